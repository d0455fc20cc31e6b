//! The fault proxy does to its client what a bad day would, and nothing else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use futures::StreamExt as _;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt as _};
use ragops_tests::faults::{Fault, FaultProxy, Killer};
use ragops_tests::until;
use serde_json::{Value, json};

use crate::shared::shared;

const WITHIN: Duration = Duration::from_secs(20);

fn map(name: &str) -> ConfigMap {
    ConfigMap {
        metadata: kube::api::ObjectMeta { name: Some(name.into()), ..Default::default() },
        ..Default::default()
    }
}

#[tokio::test]
async fn writes_are_counted_and_fail_where_planned() -> Result<()> {
    let Some(shared) = shared("writes_are_counted_and_fail_where_planned").await? else { return Ok(()) };
    let (client, namespace) = shared.alone("faults").await?;
    let direct: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let proxy = FaultProxy::start(&shared.cluster).await?;
    let maps: Api<ConfigMap> = Api::namespaced(shared.cluster.client_at(proxy.url()).await?, &namespace);
    let create = PostParams::default();

    proxy.plan(2, Fault::Answer(409));
    maps.create(&create, &map("a")).await?;
    maps.list(&ListParams::default()).await?;
    let refused = maps.create(&create, &map("b")).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.is_conflict()), "{refused}");
    maps.create(&create, &map("b")).await?;
    let statuses: Vec<_> = proxy.writes().iter().map(|write| write.status).collect();
    assert_eq!(statuses, [Some(201), Some(409), Some(201)], "reads are not counted");

    let killed = Arc::new(AtomicUsize::new(0));
    let counter = killed.clone();
    let kill: Killer = Arc::new(move || {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    for (name, fault, exists) in
        [("before", Fault::KillBefore(kill.clone()), false), ("after", Fault::KillAfter(kill.clone()), true)]
    {
        let earlier = killed.load(Ordering::SeqCst);
        proxy.plan(1, fault);
        let object = map(name);
        let unanswered = maps.create(&create, &object);
        let fired = until("the client is killed", WITHIN, || async {
            Ok((killed.load(Ordering::SeqCst) == earlier + 1).then_some(()))
        });
        tokio::select! {
            result = unanswered => panic!("a killed client is not answered, but was: {result:?}"),
            result = fired => result?,
        }
        assert!(proxy.fired());
        assert_eq!(direct.get_opt(name).await?.is_some(), exists, "{name}");
    }
    Ok(())
}

#[tokio::test]
async fn a_watch_is_passed_on_while_it_runs() -> Result<()> {
    let Some(shared) = shared("a_watch_is_passed_on_while_it_runs").await? else { return Ok(()) };
    let (client, namespace) = shared.alone("faults").await?;
    let proxy = FaultProxy::start(&shared.cluster).await?;
    let watched: Api<ConfigMap> = Api::namespaced(shared.cluster.client_at(proxy.url()).await?, &namespace);
    let events = watched.watch(&WatchParams::default().fields("metadata.name=seen"), "0").await?.boxed();
    Api::namespaced(client, &namespace).create(&PostParams::default(), &map("seen")).await?;
    let added = events.filter_map(async |event| match event {
        Ok(WatchEvent::Added(map)) => Some(map.name_any()),
        _ => None,
    });
    let added = tokio::time::timeout(WITHIN, std::pin::pin!(added).next()).await?;
    assert_eq!(added.as_deref(), Some("seen"));
    Ok(())
}

#[tokio::test]
async fn an_older_kubernetes_forgets_the_tolerance() -> Result<()> {
    let Some(shared) = shared("an_older_kubernetes_forgets_the_tolerance").await? else { return Ok(()) };
    let (client, namespace) = shared.alone("faults").await?;
    let direct: Api<HorizontalPodAutoscaler> = Api::namespaced(client, &namespace);
    let proxy = FaultProxy::start(&shared.cluster).await?;
    let old: Api<HorizontalPodAutoscaler> = Api::namespaced(shared.cluster.client_at(proxy.url()).await?, &namespace);
    let wanted = json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "app"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "app"},
            "maxReplicas": 20,
            "behavior": {"scaleDown": {"tolerance": "0.572", "stabilizationWindowSeconds": 600}},
        },
    });
    let apply = PatchParams::apply("test").force();
    let read = |autoscaler: HorizontalPodAutoscaler| -> Result<Value> {
        let value = serde_json::to_value(autoscaler)?;
        assert_eq!(value["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"], 600);
        Ok(value["spec"]["behavior"]["scaleDown"]["tolerance"].clone())
    };

    assert_eq!(read(direct.patch("app", &apply, &Patch::Apply(&wanted)).await?)?, "572m", "a new one keeps it");
    proxy.drop_tolerance(true);
    assert_eq!(read(old.get("app").await?)?, Value::Null, "an old one does not show it");
    old.patch("app", &apply, &Patch::Apply(&wanted)).await?;
    assert_eq!(read(direct.get("app").await?)?, Value::Null, "nor does it keep it");
    Ok(())
}

#[tokio::test]
async fn leases_hang_and_nothing_else_does() -> Result<()> {
    let Some(shared) = shared("leases_hang_and_nothing_else_does").await? else { return Ok(()) };
    let (_, namespace) = shared.alone("faults").await?;
    let proxy = FaultProxy::start(&shared.cluster).await?;
    let client = shared.cluster.client_at(proxy.url()).await?;
    let leases: Api<Lease> = Api::namespaced(client.clone(), &namespace);
    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    proxy.hang_leases(true);
    let all = ListParams::default();
    let unanswered = leases.list(&all);
    let answered = async {
        maps.list(&all).await?;
        maps.create(&PostParams::default(), &map("a")).await
    };
    tokio::select! {
        result = unanswered => panic!("it hangs, but was answered: {result:?}"),
        result = answered => result?,
    };
    proxy.hang_leases(false);
    leases.list(&all).await?;
    Ok(())
}
