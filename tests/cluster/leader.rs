//! Of two operators on one lease one works. Whatever happens to the lease or to its holder, there are never two, and the other one
//! takes over.

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::ResourceExt as _;
use kube::api::{ListParams, Patch, PatchParams};
use ragops_tests::faults::FaultProxy;
use ragops_tests::operator::Operator;
use ragops_tests::{Pace, until, until_at};
use serde_json::json;

use crate::scene::{Scene, WITHIN, figure};

/// Long enough that a machine whose cores are all busy renews it in time, short enough to wait for its end.
const LEASE_SECONDS: &str = "12";

/// Two that work at once may do so for a moment only.
const OFTEN: Pace = Pace { first: Duration::from_millis(20), longest: Duration::from_millis(20) };

async fn start(scene: &Scene, identity: &str) -> Result<Operator> {
    scene.operator(&["--lease-seconds", LEASE_SECONDS, "--identity", identity]).await
}

async fn leads(operator: &Operator) -> Result<bool> {
    Ok(figure(operator, "ragops_leader").await? > 0.0)
}

async fn comes_to_lead(operator: &Operator) -> Result<()> {
    until("it leads", WITHIN, || async move { Ok(leads(operator).await?.then_some(())) }).await
}

/// Whether it may still write: it says that it leads, and has not ended.
async fn may_work(operator: &Operator) -> Result<bool> {
    match leads(operator).await {
        Ok(leads) => Ok(leads),
        // The port is closed with the process, and the system tells its end a moment later.
        Err(_) => operator.gone().await.map(|()| false),
    }
}

/// The lease that `holder` holds.
async fn lease_of(scene: &Scene, holder: &str) -> Result<Lease> {
    let all = scene.api::<Lease>().list(&ListParams::default()).await?.items;
    let holds = |lease: &Lease| lease.spec.as_ref().is_some_and(|spec| spec.holder_identity.as_deref() == Some(holder));
    all.into_iter().find(holds).with_context(|| format!("{holder} holds no lease"))
}

/// Somebody changes what is ours, and it is put back by whoever works.
async fn put_back(scene: &Scene) -> Result<()> {
    let maps = scene.api::<ConfigMap>();
    let live = maps.get("handbook-live").await?;
    let edit = json!({"data": {"live.toml": "read_only = true\n"}});
    maps.patch("handbook-live", &PatchParams::default(), &Patch::Merge(&edit)).await?;
    scene.becomes("it is put back", "handbook-live", |map: &ConfigMap| map.data == live.data).await.map(drop)
}

#[tokio::test]
async fn while_renewals_hang_there_are_never_two_that_work() -> Result<()> {
    let test = "while_renewals_hang_there_are_never_two_that_work";
    let Some(scene) = Scene::new(test, "leader").await? else { return Ok(()) };
    let (proxy, other_proxy) =
        (FaultProxy::start(&scene.shared.cluster).await?, FaultProxy::start(&scene.shared.cluster).await?);
    scene.installation.through(&proxy)?;
    let first = start(&scene, "first").await?;
    comes_to_lead(&first).await?;
    scene.installation.through(&other_proxy)?;
    let second = start(&scene, "second").await?;
    scene.apply("handbook", json!({"autoscaling": {"enabled": false}})).await?;
    scene.serving("handbook").await?;
    assert!(leads(&first).await? && !leads(&second).await?, "one leads");
    assert_eq!(other_proxy.writes(), [], "who waits writes nothing");

    // All else that the holder asks is answered: it could go on working.
    proxy.hang_leases(true);
    let (leader, standby) = (&first, &second);
    let both = until_at(OFTEN, "the second leads", WITHIN, || async move {
        if !leads(standby).await? {
            return Ok(None);
        }
        may_work(leader).await.map(Some)
    });
    assert!(!both.await?, "both work");
    let written = proxy.writes().len();
    put_back(&scene).await?;
    scene.serving("handbook").await?;
    assert!(!other_proxy.writes().is_empty(), "the second works");
    assert_eq!(proxy.writes().len(), written, "the first goes on writing beside the second: {:?}", proxy.writes());
    assert!(!may_work(&first).await? && leads(&second).await?);
    Ok(())
}

#[tokio::test]
async fn who_loses_the_lease_to_somebody_else_stops_working() -> Result<()> {
    let test = "who_loses_the_lease_to_somebody_else_stops_working";
    let Some(scene) = Scene::new(test, "leader").await? else { return Ok(()) };
    let first = start(&scene, "first").await?;
    comes_to_lead(&first).await?;
    let lease = lease_of(&scene, "first").await?;
    let taken = json!({"spec": {
        "holderIdentity": "somebody-else", "leaseDurationSeconds": 3600, "renewTime": MicroTime(Timestamp::now()),
    }});
    scene.api::<Lease>().patch(&lease.name_any(), &PatchParams::default(), &Patch::Merge(&taken)).await?;
    let leader = &first;
    until("it has stopped working", WITHIN, || async move { Ok((!may_work(leader).await?).then_some(())) }).await?;
    lease_of(&scene, "somebody-else").await.map(drop)
}

#[tokio::test]
async fn who_waits_takes_over_when_the_holder_dies() -> Result<()> {
    let Some(scene) = Scene::new("who_waits_takes_over_when_the_holder_dies", "leader").await? else { return Ok(()) };
    let first = start(&scene, "first").await?;
    comes_to_lead(&first).await?;
    let second = start(&scene, "second").await?;
    scene.apply("handbook", json!({"autoscaling": {"enabled": false}})).await?;
    scene.serving("handbook").await?;
    assert!(leads(&first).await? && !leads(&second).await?, "one leads");
    first.kill().await?;
    comes_to_lead(&second).await?;
    lease_of(&scene, "second").await?;
    put_back(&scene).await?;
    scene.serving("handbook").await
}
