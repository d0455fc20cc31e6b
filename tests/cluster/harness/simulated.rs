//! Simulated nodes: KWOK moves pods and volumes through their phases; every pod gets an address of the cluster's own
//! 127.x range, where a scripted endpoint can answer for it.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::control_plane::{Place, Plan};
use crate::process::{Process, Program};

/// Spreading over nodes and zones has something to spread over.
const ZONES: [&str; 3] = ["a", "b", "c"];
const PORT: u16 = 20247;
/// The class that KWOK's volume stages act on. Its volumes may grow, though what claims ask for is all that does.
const STORAGE_CLASS: &str = "kwok-volume";
/// Another one, whose volumes may not grow.
pub const FIXED_STORAGE_CLASS: &str = "kwok-volume-fixed";
/// A pod with this annotation never becomes ready: a broken revision, or a node without room.
const HOLD: &str = "ragops.test/hold";

/// Starts KWOK and creates the nodes and the default storage class.
pub(crate) async fn start(plan: &Plan<'_>, processes: &mut Vec<Process>) -> Result<()> {
    let stages = plan.folder.join("stages.yaml");
    fs::write(&stages, compose(&plan.parts.stages())?)?;
    let Place { address, pods, .. } = plan.place;
    let kwok = Program::new("kwok", plan.parts.program("kwok")).arguments(&format!(
        "--kubeconfig={}\n--config={}\n--manage-all-nodes=true\n--cidr={pods}\n--node-ip={address}
         --server-address={address}:{PORT}",
        plan.kubeconfig("kwok").display(),
        stages.display(),
    ));
    processes.push(Process::start(&kwok, plan.folder)?);
    let mut objects: Vec<Value> = ZONES.iter().map(|zone| node(zone)).collect();
    objects.push(storage_class(STORAGE_CLASS, true));
    objects.push(storage_class(FIXED_STORAGE_CLASS, false));
    create(plan, &objects).await
}

/// The one whose volumes grow is the default.
fn storage_class(name: &str, grows: bool) -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": name,
            "annotations": {"storageclass.kubernetes.io/is-default-class": grows.to_string()},
        },
        "provisioner": "kwok.x-k8s.io/volume",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
        "allowVolumeExpansion": grows,
    })
}

/// Creates objects as the admin.
pub(crate) async fn create(plan: &Plan<'_>, objects: &[Value]) -> Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let mut kubectl = Command::new(plan.parts.program("kubectl"))
        .arg("--kubeconfig")
        .arg(plan.kubeconfig("admin"))
        .args(["create", "-f", "-"])
        .env("HOME", plan.folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("cannot start kubectl")?;
    let mut input = kubectl.stdin.take().context("kubectl has no standard input")?;
    input.write_all(list.to_string().as_bytes()).await?;
    drop(input);
    let output = kubectl.wait_with_output().await?;
    if !output.status.success() {
        bail!("kubectl create failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn node(zone: &str) -> Value {
    let name = format!("node-{zone}");
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "topology.kubernetes.io/zone": zone,
            },
        },
    })
}

/// A pod with this label is a Job's of the operator: it runs until the test says how it ended.
const OF_JOB: &str = "ragops.dev/owner-kind";

/// KWOK reads one file; its module ships one stage per file, for one class of volumes. The hold, the other class and the Jobs
/// that do not end by themselves are ours.
fn compose(folder: &Path) -> Result<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .with_context(|| format!("cannot read KWOK's stages in {}", folder.display()))?
        .collect::<std::io::Result<Vec<_>>>()?;
    names.sort_by_key(fs::DirEntry::file_name);
    let mut all = String::new();
    for entry in names {
        let of_one_class = format!("storageClassName == '{STORAGE_CLASS}'");
        let of_both = format!("storageClassName in ['{STORAGE_CLASS}', '{FIXED_STORAGE_CLASS}']");
        let text = fs::read_to_string(entry.path())?.replace(&of_one_class, &of_both);
        let mut stage: Value =
            serde_yaml_ng::from_str(&text).with_context(|| format!("cannot parse {}", entry.path().display()))?;
        let left_alone = match stage["metadata"]["name"].as_str() {
            Some("pod-ready") => Some(format!(".metadata.annotations[\"{HOLD}\"]")),
            Some("pod-complete") => Some(format!(".metadata.labels[\"{OF_JOB}\"]")),
            _ => None,
        };
        if let (Some(key), Some(expressions)) =
            (left_alone, stage.pointer_mut("/spec/selector/matchExpressions").and_then(Value::as_array_mut))
        {
            expressions.push(json!({"key": key, "operator": "DoesNotExist"}));
        }
        all.push_str(&format!("---\n{}", serde_yaml_ng::to_string(&stage)?));
    }
    Ok(all)
}
