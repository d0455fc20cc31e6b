//! A key is in its Secrets and nowhere else, whatever goes wrong beside it; and no two clusters have the same one.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Resource, ResourceExt as _};
use ragops_operator::api::{RagCluster, labels};
use ragops_tests::faults::{Fault, FaultProxy};
use ragops_tests::pods::Script;
use ragops_tests::until;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::reports::server_pods;
use crate::scene::{Scene, WITHIN};

/// What the operator minted for a cluster: the key of each Secret that holds a generation, by the Secret's name.
async fn minted(scene: &Scene, cluster: &str) -> Result<BTreeMap<String, String>> {
    let generations = ListParams::default().labels(&format!("{}={cluster},{}", labels::INSTANCE, labels::CREDENTIAL));
    let mut keys = BTreeMap::new();
    for secret in scene.api::<Secret>().list(&generations).await? {
        for ByteString(material) in secret.data.iter().flat_map(BTreeMap::values) {
            keys.insert(secret.name_any(), String::from_utf8(material.clone())?);
        }
    }
    Ok(keys)
}

/// Every text as which a key could be told: as it is, and as the API server and a hash of bytes write it.
fn forms(key: &str) -> Result<[String; 3]> {
    let encoded = serde_json::to_value(ByteString(key.into()))?;
    Ok([key.to_owned(), encoded.as_str().context("no text")?.to_owned(), hex::encode(key)])
}

/// All objects of a kind, as the API server shows them.
async fn shown<K>(scene: &Scene) -> Result<(String, String)>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Serialize + std::fmt::Debug,
    K::DynamicType: Default,
{
    let all = scene.api::<K>().list(&ListParams::default()).await?.items;
    Ok((K::kind(&K::DynamicType::default()).into_owned(), serde_json::to_string(&all)?))
}

/// All that somebody without a right on Secrets may see of the namespace.
async fn everything_else(scene: &Scene) -> Result<Vec<(String, String)>> {
    Ok(vec![
        shown::<RagCluster>(scene).await?,
        shown::<Event>(scene).await?,
        shown::<ConfigMap>(scene).await?,
        shown::<ControllerRevision>(scene).await?,
        shown::<Deployment>(scene).await?,
        shown::<StatefulSet>(scene).await?,
        shown::<Pod>(scene).await?,
        shown::<HorizontalPodAutoscaler>(scene).await?,
        shown::<PodDisruptionBudget>(scene).await?,
        shown::<NetworkPolicy>(scene).await?,
        shown::<Service>(scene).await?,
        shown::<ServiceAccount>(scene).await?,
        shown::<Lease>(scene).await?,
    ])
}

/// Clusters with keys of every kind, and what makes the operator speak of them: a refused write, a server that takes its key for
/// wrong, and somebody who writes a key of his own over one of ours.
async fn trouble_with_keys(scene: &Scene, planted: &BTreeMap<String, String>) -> Result<()> {
    let secret: Secret = serde_json::from_value(json!({"metadata": {"name": "planted"}, "stringData": planted}))?;
    scene.api::<Secret>().create(&PostParams::default(), &secret).await?;
    let provider = json!({
        "name": "far", "baseUrl": "https://llm.example.com/v1", "model": "large",
        "secretRef": {"name": "planted", "key": "provider"},
    });
    let handbook = json!({
        "auth": {"apiKeys": [{"name": "reader"}, {"name": "writer", "role": "Writer"}]},
        "autoscaling": {"enabled": false}, "generation": {"providers": [provider]},
    });
    scene.apply("handbook", handbook).await?;
    let store = json!({
        "url": "http://qdrant:6334", "collection": "c", "apiKeySecretRef": {"name": "planted", "key": "store"},
    });
    scene.apply("elsewhere", json!({"vectorStore": {"externalQdrant": store}})).await?;
    scene.serving("handbook").await?;
    scene.serving("elsewhere").await?;

    let servers = server_pods(scene).await?;
    let (pods, namespace, server) = (&scene.shared.pods, &scene.namespace, servers.first().context("no server")?);
    pods.script_pod(namespace, server, Script { status: Some(401), ..Script::default() });
    let enough = pods.asked(namespace, server) + 3;
    until("the server has refused the key", WITHIN, || async move {
        Ok((pods.asked(namespace, server) >= enough).then_some(()))
    })
    .await?;
    pods.heal_pod(namespace, server);

    let mounted = scene.api::<Secret>().get("handbook-server").await?;
    let forged = json!({"stringData": {"operator.current": &planted["forged"]}});
    scene.api::<Secret>().patch("handbook-server", &PatchParams::default(), &Patch::Merge(&forged)).await?;
    scene.becomes("the key is put back", "handbook-server", |secret: &Secret| secret.data == mounted.data).await?;
    scene.serving("handbook").await
}

#[tokio::test]
async fn no_key_stands_in_a_log_an_event_a_status_a_metric_an_object_or_the_audit_log() -> Result<()> {
    let test = "no_key_stands_in_a_log_an_event_a_status_a_metric_an_object_or_the_audit_log";
    let Some(scene) = Scene::new(test, "secrets").await? else { return Ok(()) };
    let audit = scene.shared.cluster.audit();
    let mark = audit.mark()?;
    let proxy = FaultProxy::start(&scene.shared.cluster).await?;
    scene.installation.through(&proxy)?;
    // Among the first Secrets, whose failure is logged.
    proxy.plan(3, Fault::Answer(500));
    let operator = scene.operator(&["--log", "debug", "--resync-seconds", "1"]).await?;
    let random = |name: &str| (name.to_owned(), hex::encode(rand::random::<[u8; 16]>()));
    let planted: BTreeMap<String, String> = ["provider", "store", "forged"].map(random).into();
    trouble_with_keys(&scene, &planted).await?;
    assert!(proxy.fired(), "nothing was refused");

    let mut keys = minted(&scene, "handbook").await?;
    // Two clients, the operator and the vector store.
    assert_eq!(keys.len(), 4, "{:?}", keys.keys());
    keys.extend(minted(&scene, "elsewhere").await?);
    let (_, secrets) = shown::<Secret>(&scene).await?;
    for (name, key) in &keys {
        let found = forms(key)?.iter().any(|form| secrets.contains(form));
        assert!(found, "{name}: what is looked for is not even found where it is");
    }
    keys.extend(planted);
    let mut told = everything_else(&scene).await?;
    told.push(("the operator's log".to_owned(), scene.installation.log()?));
    told.push(("the operator's metrics".to_owned(), operator.get("/metrics").await?));
    told.push(("the audit log".to_owned(), audit.text_since(mark)?));
    for (place, text) in &told {
        assert!(!text.is_empty(), "{place}");
        for (name, key) in &keys {
            assert!(!forms(key)?.iter().any(|form| text.contains(form)), "{place} shows the key of {name}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn no_two_clusters_share_a_key_and_a_cluster_that_is_made_anew_has_new_ones() -> Result<()> {
    let test = "no_two_clusters_share_a_key_and_a_cluster_that_is_made_anew_has_new_ones";
    let Some(scene) = Scene::new(test, "secrets").await? else { return Ok(()) };
    let _operator = scene.operator(&[]).await?;
    let development = json!({
        "profile": "Development", "replicas": 1, "autoscaling": {"enabled": false}, "vectorStore": {"embedded": {}},
    });
    let mut all = Vec::new();
    for name in ["handbook", "notes"] {
        scene.apply(name, development.clone()).await?;
        scene.serving(name).await?;
        all.extend(minted(&scene, name).await?);
    }
    scene.clusters.delete("handbook", &DeleteParams::default()).await?;
    let of = &scene;
    until("the cluster and its keys have gone", WITHIN, || async move {
        let gone = of.clusters.get_opt("handbook").await?.is_none() && minted(of, "handbook").await?.is_empty();
        Ok(gone.then_some(()))
    })
    .await?;
    scene.apply("handbook", development).await?;
    scene.serving("handbook").await?;
    all.extend(minted(&scene, "handbook").await?);

    // Of each the operator's and the default client's.
    assert_eq!(all.len(), 3 * 2, "{:?}", all.iter().map(|(name, _)| name).collect::<Vec<_>>());
    let different: BTreeSet<&String> = all.iter().map(|(_, key)| key).collect();
    assert_eq!(different.len(), all.len(), "a key is in two places");
    Ok(())
}
