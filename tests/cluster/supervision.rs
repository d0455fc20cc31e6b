//! Clusters run side by side, and nothing of them outlives whoever asked for them.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use ragops_tests::{Cluster, until};
use serde_json::json;

use crate::shared::shared;

const GONE_WITHIN: Duration = Duration::from_secs(20);

/// The processes that a supervisor has started.
fn parts_of(supervisor: u32) -> Result<Vec<u32>> {
    let children = std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children"))?;
    Ok(children.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
}

async fn gone(processes: &[u32]) -> Result<()> {
    until("the parts of the cluster have gone", GONE_WITHIN, || async {
        Ok(processes.iter().all(|process| !Path::new(&format!("/proc/{process}")).exists()).then_some(()))
    })
    .await
}

#[tokio::test]
async fn clusters_run_side_by_side_and_a_killed_supervisor_leaves_nothing() -> Result<()> {
    let Some(first) = shared("clusters_run_side_by_side_and_a_killed_supervisor_leaves_nothing").await? else {
        return Ok(());
    };
    let (client, namespace) = first.alone("side-by-side").await?;

    let second = Cluster::control_plane(first.cluster.parts()).await?;
    assert_ne!(first.cluster.url(), second.url());
    assert_ne!(first.cluster.pod_network(), second.pod_network());
    let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "only-here"}}))?;
    Api::namespaced(client.clone(), &namespace).create(&PostParams::default(), &map).await?;
    let elsewhere: Api<ConfigMap> = Api::all(second.client().await?);
    assert!(
        elsewhere
            .list(&kube::api::ListParams::default())
            .await?
            .items
            .iter()
            .all(|map| map.metadata.name.as_deref() != Some("only-here"))
    );

    let (processes, left) = (parts_of(second.supervisor())?, second.folder().to_owned());
    assert_eq!(processes.len(), 5, "etcd, API server, controller-manager, scheduler and KWOK");
    let status = std::process::Command::new("kill").args(["-KILL", &second.supervisor().to_string()]).status()?;
    assert!(status.success());
    gone(&processes).await?;
    assert!(second.failed().is_some(), "the handle says that the cluster has gone");

    assert!(left.exists(), "nobody could remove the folder yet");
    let third = Cluster::control_plane(first.cluster.parts()).await?;
    assert!(!left.exists(), "the next start removes it");
    let (processes, folder) = (parts_of(third.supervisor())?, third.folder().to_owned());
    third.stop().await?;
    assert!(!folder.exists());
    gone(&processes).await?;

    client.apiserver_version().await?;
    assert_eq!(first.cluster.failed(), None, "the first cluster has noticed nothing");
    Ok(())
}
