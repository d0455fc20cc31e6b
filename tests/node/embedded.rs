//! A store inside its one server: Jobs take snapshots of it and drill them while the server answers, and nobody opens its volume beside it.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::json;

use crate::asking::Asking;
use crate::documents::{id, room};
use crate::service::Service;
use crate::shared::node;

const NAME: &str = "inside";
const CLAIM: &str = "inside-archive";
const ROOMS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_store_inside_its_server_is_taken_and_drilled_by_jobs_while_the_server_answers() -> Result<()> {
    let test = "a_store_inside_its_server_is_taken_and_drilled_by_jobs_while_the_server_answers";
    let Some(node) = node(test).await? else { return Ok(()) };
    let service = Service::of(&node, NAME).await?;
    node.after_snapshots(promises(&service).await).await
}

async fn promises(service: &Service<'_>) -> Result<()> {
    service.claim(CLAIM).await?;
    let spec = json!({
        "profile": "Development", "replicas": 1, "autoscaling": {"enabled": false},
        "vectorStore": {"embedded": {"storage": {"size": "1Gi"}}},
        "snapshots": {"destinations": [{"name": "volume", "volume": {"claimName": CLAIM}}], "suspend": true},
    });
    service.serving(&spec).await?;
    let before = service.servers().await?;
    let server = Arc::new(service.connect(before.first().context("no server is ready")?).await?);
    let rooms: Vec<_> = (0..ROOMS).map(|n| (id(n), room(n))).collect();
    let job = server.ingest(&rooms).await?;
    server.done(&job).await?;

    let asking = Asking::begin(&server);
    asking.has_answers().await?;
    let taken = service.snapshot("inside-first", "volume").await?;
    assert_eq!((taken.documents, taken.left_out), (ROOMS as i64, 0));
    let drill = service.restore("inside-drill", json!({"cluster": NAME, "mode": "Drill"})).await?;
    assert_eq!((drill.snapshot.as_str(), drill.documents), ("inside-first", Some(ROOMS as i64)));
    assert_eq!(drill.recall_percent, Some(100.0));
    asking.has_answers().await?;
    asking.end().await?;
    let after = service.servers().await?;
    let same = |pods: &[Pod]| pods.iter().map(ResourceExt::uid).collect::<Vec<_>>();
    ensure!(same(&before) == same(&after), "the server was replaced");
    Ok(())
}
