//! The node itself: pods run under restrictions, write to their volumes, resolve names and are measured; and nothing is
//! left when it ends, however it ends.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;
use kube::api::{LogParams, Patch, PatchParams, PostParams};
use ragops_tests::image::{Image, Item};
use ragops_tests::{Cluster, availability, restricted, until};
use serde_json::{Value, json};

const WITHIN: Duration = Duration::from_secs(120);

/// Says what a pod sees: its volume, and the address of a name. Where there is none yet it ends, and the kubelet starts it again: it
/// shows that names resolve and not how soon.
const PROBE: &str = r#"
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
    FILE *file = fopen("/data/file", "w");
    printf("volume %s\n", file && fputs("text", file) >= 0 ? "writable" : "refused");
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = 0;
    char text[INET_ADDRSTRLEN];
    if (getaddrinfo("kubernetes.default.svc.cluster.local", "443", &hints, &found) != 0) return 1;
    inet_ntop(AF_INET, &((struct sockaddr_in *)found->ai_addr)->sin_addr, text, sizeof text);
    printf("kubernetes %s\n", text);
    fflush(stdout);
    for (;;) pause();
}
"#;

fn probe_image(folder: &Path) -> Result<PathBuf> {
    let (source, program) = (folder.join("probe.c"), folder.join("probe"));
    std::fs::write(&source, PROBE)?;
    let output = Command::new("gcc").args(["-static", "-Os", "-o"]).arg(&program).arg(&source).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let archive = folder.join("probe.tar");
    let image = Image {
        name: "ragops.test/probe:1".into(),
        entrypoint: vec!["/probe".into()],
        user: 65532,
        environment: Vec::new(),
        items: vec![Item::File { from: program, to: "/probe".into() }],
    };
    image.write(&archive)?;
    Ok(archive)
}

fn probe() -> Result<StatefulSet> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": "probe"},
        "spec": {
            "serviceName": "probe",
            "selector": {"matchLabels": {"app": "probe"}},
            "template": {
                "metadata": {"labels": {"app": "probe"}},
                "spec": {
                    "securityContext": {
                        "runAsNonRoot": true, "fsGroup": 65532, "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [{
                        "name": "probe",
                        "image": "ragops.test/probe:1",
                        "resources": {"requests": {"cpu": "10m"}},
                        "securityContext": {
                            "allowPrivilegeEscalation": false,
                            "readOnlyRootFilesystem": true,
                            "capabilities": {"drop": ["ALL"]},
                        },
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    }],
                },
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }],
        },
    }))?)
}

fn control_groups(name: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/sys/fs/cgroup") else { return Vec::new() };
    let folders = entries.flatten().map(|entry| entry.path().join(name));
    folders.chain([Path::new("/sys/fs/cgroup").join(name)]).filter(|path| path.exists()).collect()
}

/// Everything that runs from the cluster's folder, in whatever namespace.
fn processes(folder: &Path) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_string_lossy().parse::<u32>().ok());
    let folder = folder.to_string_lossy().into_owned();
    let runs_there = |id: &u32| {
        std::fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&folder))
    };
    ids.filter(runs_there).collect()
}

async fn nothing_runs(folder: &Path) -> Result<()> {
    until("nothing runs any more", WITHIN, || async { Ok(processes(folder).is_empty().then_some(())) }).await
}

#[tokio::test]
async fn pods_run_restricted_on_volumes_with_names_and_figures_and_nothing_is_left() -> Result<()> {
    let parts = match availability::node() {
        Ok(parts) => parts,
        Err(reason) => {
            let test = "pods_run_restricted_on_volumes_with_names_and_figures_and_nothing_is_left";
            return availability::skipped(test, &reason);
        }
    };
    let temporary = tempfile::tempdir()?;
    let cluster = Cluster::node(&parts, &[probe_image(temporary.path())?]).await?;
    let client = cluster.client().await?;
    let restricted = Patch::Apply(restricted::namespace("default"));
    Api::<Namespace>::all(client.clone()).patch("default", &PatchParams::apply("test").force(), &restricted).await?;
    Api::namespaced(client.clone(), "default").create(&PostParams::default(), &probe()?).await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let pods = &pods;
    let said = until("the probe has spoken", WITHIN, || async move {
        let log = pods.logs("probe-0", &LogParams::default()).await?;
        Ok(Some(log).filter(|log| log.lines().count() == 2))
    })
    .await?;
    assert_eq!(said, "volume writable\nkubernetes 10.96.0.1\n");

    let client = &client;
    until("the pod is measured", WITHIN, || async move {
        let path = "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/probe-0";
        let metrics: Value = client.request(axum::http::Request::get(path).body(Vec::new())?).await?;
        Ok(metrics["containers"][0]["usage"]["cpu"].as_str().map(drop))
    })
    .await?;

    // Killed: the kernel ends everything, and the next start removes what it cannot.
    let (folder, name) =
        (cluster.folder().to_owned(), cluster.folder().file_name().map(|n| n.to_string_lossy().into_owned()));
    let name = name.unwrap_or_default();
    assert!(!control_groups(&name).is_empty() && !processes(&folder).is_empty());
    let status = Command::new("kill").args(["-KILL", &cluster.supervisor().to_string()]).status()?;
    assert!(status.success());
    nothing_runs(&folder).await?;
    drop(cluster);

    let second = Cluster::node(&parts, &[]).await?;
    assert!(!folder.exists() && control_groups(&name).is_empty(), "the next start removes the rest");
    let folder = second.folder().to_owned();
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    second.stop().await?;
    assert!(!folder.exists() && control_groups(&name).is_empty());
    nothing_runs(&folder).await
}
