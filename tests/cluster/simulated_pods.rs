//! Simulated pods have addresses at which the scripted endpoint answers for what they mount, and volumes that are bound; and
//! they are admitted as real ones are.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret, ServiceAccount};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use ragops_tests::pods::Script;
use ragops_tests::{restricted, until};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::shared::shared;

const WITHIN: Duration = Duration::from_secs(60);

fn app() -> Result<StatefulSet> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": "app"},
        "spec": {
            "replicas": 2,
            "serviceName": "app",
            "selector": {"matchLabels": {"app": "app"}},
            "template": {
                "metadata": {"labels": {"app": "app"}},
                "spec": {
                    "securityContext": restricted::pod(),
                    "containers": [
                        {"name": "app", "image": "example/app", "securityContext": restricted::container()},
                    ],
                    "volumes": [
                        {"name": "config", "configMap": {"name": "config"}},
                        {"name": "keys", "secret": {"secretName": "keys"}},
                    ],
                },
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
            }],
        },
    }))?)
}

async fn running(client: &Client, namespace: &str, name: &str) -> Result<String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let pods = &pods;
    until(&format!("{name} has an address"), WITHIN, || async move {
        let status = pods.get(name).await?.status.unwrap_or_default();
        Ok(status.pod_ip.filter(|_| status.phase.as_deref() == Some("Running")))
    })
    .await
}

#[tokio::test]
async fn a_simulated_pod_reports_what_it_mounts_unless_scripted() -> Result<()> {
    let Some(shared) = shared("a_simulated_pod_reports_what_it_mounts_unless_scripted").await? else { return Ok(()) };
    let (client, namespace) = shared.alone("pods").await?;
    let create = PostParams::default();
    let config: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "config"}, "data": {"config.toml": "owner = \"a/b\"\n"}}))?;
    let keys: Secret = serde_json::from_value(
        json!({"metadata": {"name": "keys"}, "stringData": {"operator.current": "0p3r4t0r", "api-key.default.current": "k"}}),
    )?;
    Api::namespaced(client.clone(), &namespace).create(&create, &config).await?;
    Api::namespaced(client.clone(), &namespace).create(&create, &keys).await?;
    Api::namespaced(client.clone(), &namespace).create(&create, &app()?).await?;

    let mut addresses = Vec::new();
    for name in ["app-0", "app-1"] {
        let address = running(&client, &namespace, name).await?;
        let network = shared.cluster.pod_network().trim_end_matches("0.0/16");
        assert!(address.starts_with(network), "{address} lies in {network}");
        addresses.push(address);
    }
    shared.pods.script_pod(&namespace, "app-1", Script { config_sha256: Some("other".into()), ..Script::default() });
    let http = reqwest::Client::builder().no_proxy().build()?;
    let port = shared.pods.port();
    let ask = async |address: &str, key: &str| -> Result<(u16, Value)> {
        let response = http.get(format!("http://{address}:{port}/ops/status")).bearer_auth(key).send().await?;
        Ok((response.status().as_u16(), response.json().await?))
    };

    let (status, report) = ask(&addresses[0], "0p3r4t0r").await?;
    assert_eq!(status, 200);
    assert_eq!(report["config_sha256"], hex::encode(Sha256::digest("owner = \"a/b\"\n")));
    assert_eq!(report["ready"], true);
    let names: Vec<&Value> = report["credentials"].as_array().context("a list")?.iter().map(|c| &c["name"]).collect();
    assert_eq!(names, ["api-key.default", "operator"]);
    assert_eq!(ask(&addresses[1], "0p3r4t0r").await?.1["config_sha256"], "other");
    assert_eq!(ask(&addresses[0], "wrong").await?.0, 401);
    assert_eq!(shared.pods.asked(&namespace, "app-0"), 2);
    Ok(())
}

#[tokio::test]
async fn a_simulated_volume_is_bound_and_goes_with_its_claim() -> Result<()> {
    let Some(shared) = shared("a_simulated_volume_is_bound_and_goes_with_its_claim").await? else { return Ok(()) };
    let (client, namespace) = shared.alone("volumes").await?;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
    let volumes: Api<PersistentVolume> = Api::all(client);
    let claim: PersistentVolumeClaim = serde_json::from_value(json!({
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }))?;
    claims.create(&PostParams::default(), &claim).await?;
    let (claims, volumes) = (&claims, &volumes);
    let volume = until("the claim is bound", WITHIN, || async move {
        let claim = claims.get("data").await?;
        let bound = claim.status.and_then(|status| status.phase).is_some_and(|phase| phase == "Bound");
        Ok(claim.spec.and_then(|spec| spec.volume_name).filter(|_| bound))
    })
    .await?;
    claims.delete("data", &DeleteParams::default()).await?;
    let volume = &volume;
    until("the volume has gone", WITHIN, || async move {
        Ok(volumes
            .list(&ListParams::default())
            .await?
            .items
            .iter()
            .all(|v| v.metadata.name.as_ref() != Some(volume))
            .then_some(()))
    })
    .await
}

#[tokio::test]
async fn a_pod_outside_the_restricted_standard_is_refused_wherever_a_test_works() -> Result<()> {
    let test = "a_pod_outside_the_restricted_standard_is_refused_wherever_a_test_works";
    let Some(shared) = shared(test).await? else { return Ok(()) };
    let (client, namespace) = shared.alone("restricted").await?;
    let (pods, accounts) =
        (Api::<Pod>::namespaced(client.clone(), &namespace), Api::<ServiceAccount>::namespaced(client, &namespace));
    let accounts = &accounts;
    until("the namespace has the account of its pods", WITHIN, || async move {
        Ok(accounts.get_opt("default").await?.map(drop))
    })
    .await?;
    let pod = |context: &Value| -> Result<Pod> {
        let container = json!({"name": "app", "image": "example/app", "securityContext": context});
        let spec = json!({"securityContext": restricted::pod(), "containers": [container]});
        Ok(serde_json::from_value(json!({"metadata": {"name": "app"}, "spec": spec}))?)
    };
    // Everything but the capabilities, which are easily forgotten.
    let refused = pods.create(&PostParams::default(), &pod(&json!({"allowPrivilegeEscalation": false}))?).await;
    let refused = refused.err().context("the pod was let in")?.to_string();
    assert!(refused.contains("restricted") && refused.contains("capabilities"), "{refused}");
    pods.create(&PostParams::default(), &pod(&restricted::container())?).await?;
    Ok(())
}
