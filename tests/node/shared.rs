//! The one node of this test program: the operator is installed on it by the chart, with the images of `make images`, and with
//! Postgres, Redis and SeaweedFS where this machine has them.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::Api;
use kube::api::PostParams;
use ragops_tests::{Cluster, availability, restricted};
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::packed;

/// Patience with two cores that also build; nothing is measured by it.
pub(crate) const WITHIN: Duration = Duration::from_secs(300);
/// Where the release is, as in the pages for users.
pub(crate) const NAMESPACE: &str = "rag";
/// Where full drills are.
pub(crate) const DRILLS: &str = "rag-drill";
/// What runs in place of Qdrant's own image, which no package registry has.
pub(crate) const QDRANT_DOUBLE: &str = "ragops/qdrant-double:1.20-0.1.0";

const IMAGES: [&str; 3] = ["ragops-operator", "rag-server", "qdrant-double"];

/// The node, for one test at a time: each runs several servers, and there are few cores.
pub(crate) struct Node {
    pub(crate) cluster: &'static Cluster,
    _alone: MutexGuard<'static, ()>,
}

static NODE: OnceCell<Cluster> = OnceCell::const_new();
static ALONE: Mutex<()> = Mutex::const_new(());

/// The node; `None`, and a line that says why, where this machine cannot run it.
pub(crate) async fn node(test: &str) -> Result<Option<Node>> {
    let parts = match availability::node() {
        Ok(parts) => parts,
        Err(reason) => {
            availability::skipped(test, &reason)?;
            return Ok(None);
        }
    };
    let alone = ALONE.lock().await;
    let start = async || {
        let folder = root().join("target/images");
        let archives = IMAGES.map(|name| folder.join(format!("{name}.tar")));
        let missing = archives.iter().find(|archive| !archive.is_file());
        ensure!(missing.is_none(), "{} is missing; run `make images`", missing.unwrap_or(&folder).display());
        let temporary = tempfile::tempdir()?;
        let mut archives = archives.to_vec();
        archives.extend(packed::images(temporary.path())?);
        let cluster = Cluster::node(&parts, &archives).await?;
        install(&cluster).await?;
        Ok(cluster)
    };
    let cluster = NODE.get_or_try_init(start).await?;
    // What a failed test left would take the cores from the next one.
    output(program(cluster, "kubectl").args(["delete", "rag", "--all", "-n", NAMESPACE, "--timeout=2m"])).await?;
    Ok(Some(Node { cluster, _alone: alone }))
}

impl Node {
    /// What came of a test of snapshots: where it failed, with what their objects say. They are removed, so that none is left at work.
    pub(crate) async fn after_snapshots(&self, outcome: Result<()>) -> Result<()> {
        let outcome = match outcome {
            Ok(()) => Ok(()),
            Err(error) => {
                let describe = ["describe", "ragsnap,ragrestore,jobs", "-n", NAMESPACE];
                let told = output(program(self.cluster, "kubectl").args(describe)).await;
                Err(error.context(told.unwrap_or_default()).context(self.told().await))
            }
        };
        let delete = ["delete", "ragsnap,ragrestore", "--all", "-n", NAMESPACE, "--timeout=2m"];
        output(program(self.cluster, "kubectl").args(delete)).await?;
        outcome
    }

    /// What the cluster says about itself, for a failure.
    pub(crate) async fn told(&self) -> String {
        let describe = ["describe", "rag,pods", "-n", NAMESPACE];
        output(program(self.cluster, "kubectl").args(describe)).await.unwrap_or_else(|error| format!("{error:#}"))
    }
}

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

async fn install(cluster: &Cluster) -> Result<()> {
    // Made before the release, which would make it without the label: everything that it runs has to be let in.
    for namespace in [NAMESPACE, DRILLS] {
        Api::all(cluster.client().await?).create(&PostParams::default(), &restricted::namespace(namespace)).await?;
    }
    let mut helm = program(cluster, "helm");
    helm.args(["upgrade", "--install", "ragops"]).arg(root().join("charts/ragops"));
    helm.args(["--namespace", NAMESPACE, "--create-namespace", "--wait", "--timeout", "5m"]);
    helm.args(["--set", &format!("qdrantImage={QDRANT_DOUBLE},drillNamespaces={{{DRILLS}}}")]);
    output(&mut helm).await.map(drop)
}

/// One of the cluster's programs, as the admin.
pub(crate) fn program(cluster: &Cluster, name: &str) -> Command {
    let mut command = Command::new(cluster.parts().program(name));
    command.env("KUBECONFIG", cluster.kubeconfig()).env("HOME", cluster.folder()).stdin(Stdio::null());
    command.kill_on_drop(true);
    command
}

/// What a command prints; what it complains of when it fails.
pub(crate) async fn output(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } = command.output().await.with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?}: {}", String::from_utf8_lossy(&stderr).trim());
    Ok(String::from_utf8(stdout)?)
}
