//! What the servers report reaches the status as what it means: a server that lags is waited for and then named, a server that is
//! silent takes nothing from a cluster that serves.

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role};
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use ragops_operator::api::labels;
use ragops_tests::pods::Script;
use ragops_tests::until;
use serde_json::json;

use crate::argocd_health::health;
use crate::scene::{Scene, WITHIN, condition};

/// Asks often, and gives a silent pod little time: nothing else depends on it.
const EAGER: [&str; 6] = ["--sample-seconds", "1", "--sample-timeout-millis", "500", "--resync-seconds", "1"];

pub(crate) async fn server_pods(scene: &Scene) -> Result<Vec<String>> {
    let servers = ListParams::default().labels(&format!("{}={}", labels::NAME, labels::name::SERVER));
    let pods = scene.api::<Pod>().list(&servers).await?;
    Ok(pods.items.iter().map(ResourceExt::name_any).collect())
}

/// Waits until the message of ConfigurationInSync contains `sentence`.
async fn says_in_sync(scene: &Scene, sentence: &str) -> Result<()> {
    until(&format!("ConfigurationInSync says: {sentence}"), WITHIN, || async {
        let cluster = scene.clusters.get("handbook").await?;
        let found = condition(&cluster, "ConfigurationInSync").context("no condition")?;
        anyhow::ensure!(found.message.contains(sentence), "{} {}: {}", found.status, found.reason, found.message);
        Ok(Some(()))
    })
    .await
}

fn is_about_secrets(rule: &PolicyRule) -> bool {
    rule.resources.iter().flatten().any(|resource| resource == "secrets")
}

/// The rules by which the operator works, and the name of their Role.
async fn rules(scene: &Scene) -> Result<(String, Vec<PolicyRule>)> {
    let roles = scene.api::<Role>().list(&ListParams::default()).await?.items;
    let mut found = roles.into_iter().filter_map(|role| Some((role.name_any(), role.rules?)));
    found.find(|(_, rules)| rules.iter().any(is_about_secrets)).context("no Role about Secrets")
}

async fn grant(scene: &Scene, (role, rules): (&str, &[PolicyRule])) -> Result<()> {
    let change = json!({ "rules": rules });
    scene.api::<Role>().patch(role, &PatchParams::default(), &Patch::Merge(&change)).await?;
    Ok(())
}

async fn warnings(scene: &Scene) -> Result<Vec<String>> {
    let events = scene.events("handbook").await?;
    let ordinary = ["RolloutStarted", "Serving", "Current", "InSync", "DeadBand"];
    Ok(events.into_iter().map(|(reason, _)| reason).filter(|reason| !ordinary.contains(&reason.as_str())).collect())
}

#[tokio::test]
async fn a_lagging_server_is_waited_for_and_named_when_it_is_late() -> Result<()> {
    let test = "a_lagging_server_is_waited_for_and_named_when_it_is_late";
    let Some(scene) = Scene::new(test, "lagging").await? else { return Ok(()) };
    let _operator = scene.operator(&EAGER).await?;
    scene.apply("handbook", json!({"autoscaling": {"enabled": false}})).await?;
    scene.serving("handbook").await?;
    let pods = server_pods(&scene).await?;
    let lagging = pods.first().context("no server")?;
    let other = Script { config_sha256: Some("other".into()), ..Script::default() };
    scene.shared.pods.script_pod(&scene.namespace, lagging, other);
    scene.says("handbook", "ConfigurationInSync", "Unknown", "Propagating").await?;
    scene.says("handbook", "Ready", "True", "Serving").await?;

    // Staged: the settings and the pod are made older than the three minutes that a server has.
    let long_ago = "2026-01-01T00:00:00Z";
    let older = json!({"status": {"startTime": long_ago}});
    scene.api::<Pod>().patch_status(lagging, &PatchParams::default(), &Patch::Merge(&older)).await?;
    let older = json!({"status": {"configuration": {"since": long_ago}}});
    scene.clusters.patch_status("handbook", &PatchParams::default(), &Patch::Merge(&older)).await?;
    let late = scene.says("handbook", "ConfigurationInSync", "False", "Mismatch").await?;
    assert!(late.message.contains(lagging.as_str()) && late.message.contains("delete the pod"), "{}", late.message);
    scene.says("handbook", "Ready", "False", "Degraded").await?;

    scene.shared.pods.heal_pod(&scene.namespace, lagging);
    scene.serving("handbook").await?;
    let told: Vec<String> = scene.events("handbook").await?.into_iter().map(|(reason, _)| reason).collect();
    assert!(told.iter().any(|reason| reason == "Mismatch"), "{told:?}");
    Ok(())
}

#[tokio::test]
async fn silent_servers_take_nothing_from_a_cluster_that_serves() -> Result<()> {
    let test = "silent_servers_take_nothing_from_a_cluster_that_serves";
    let Some(scene) = Scene::new(test, "silent").await? else { return Ok(()) };
    let _operator = scene.operator(&EAGER).await?;
    scene.apply("handbook", json!({"autoscaling": {"enabled": false}})).await?;
    scene.serving("handbook").await?;
    let pods = server_pods(&scene).await?;
    let dead = Script { dead: true, ..Script::default() };
    scene.shared.pods.script_pod(&scene.namespace, &pods[0], dead.clone());
    says_in_sync(&scene, "(1 of them: no answer within the deadline)").await?;
    scene.says("handbook", "ConfigurationInSync", "True", "InSync").await?;
    for pod in &pods {
        scene.shared.pods.script_pod(&scene.namespace, pod, dead.clone());
    }
    let silent = scene.says("handbook", "ConfigurationInSync", "Unknown", "Unreachable").await?;
    assert!(silent.message.contains("does not answer the operator"), "{}", silent.message);
    scene.says("handbook", "Ready", "True", "Serving").await?;
    for pod in &pods {
        scene.shared.pods.heal_pod(&scene.namespace, pod);
    }
    scene.serving("handbook").await?;
    assert_eq!(warnings(&scene).await?, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_first_start_without_answers_warns_of_nothing() -> Result<()> {
    let Some(scene) = Scene::new("a_first_start_without_answers_warns_of_nothing", "start").await? else {
        return Ok(());
    };
    scene.shared.pods.script(&scene.namespace, Script { status: Some(503), ..Script::default() });
    let _operator = scene.operator(&EAGER).await?;
    scene.apply("handbook", json!({"autoscaling": {"enabled": false}})).await?;
    scene.says("handbook", "ServersReady", "True", "AllReady").await?;
    says_in_sync(&scene, "answered with HTTP 503").await?;
    assert_eq!(warnings(&scene).await?, Vec::<String>::new());
    scene.shared.pods.script(&scene.namespace, Script::default());
    scene.serving("handbook").await?;
    assert_eq!(warnings(&scene).await?, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn a_store_that_is_lost_after_the_start_is_seen_and_so_is_its_return() -> Result<()> {
    let test = "a_store_that_is_lost_after_the_start_is_seen_and_so_is_its_return";
    let Some(scene) = Scene::new(test, "lost").await? else { return Ok(()) };
    let _operator = scene.operator(&EAGER).await?;
    scene.apply("handbook", json!({"autoscaling": {"enabled": false}})).await?;
    scene.serving("handbook").await?;
    let lost = Script { lost_store: Some("auth_failed".into()), ..Script::default() };
    scene.shared.pods.script(&scene.namespace, lost);
    let seen = scene.says("handbook", "VectorStoreReady", "False", "AuthFailed").await?;
    // How many of the servers have said so twice is a matter of the moment.
    assert!(seen.message.contains("not reach the vector store (auth failed, since 2026-01-01T00:00:00Z)"), "{seen:?}");
    scene.says("handbook", "Ready", "False", "Degraded").await?;
    scene.shared.pods.script(&scene.namespace, Script::default());
    scene.says("handbook", "VectorStoreReady", "True", "Reachable").await?;
    scene.serving("handbook").await?;
    let told: Vec<String> = scene.events("handbook").await?.into_iter().map(|(reason, _)| reason).collect();
    assert!(["AuthFailed", "Degraded"].iter().all(|reason| told.iter().any(|told| told == reason)), "{told:?}");
    Ok(())
}

#[tokio::test]
async fn a_cluster_that_no_operator_has_seen_is_not_taken_for_current() -> Result<()> {
    let test = "a_cluster_that_no_operator_has_seen_is_not_taken_for_current";
    let Some(scene) = Scene::new(test, "unseen").await? else { return Ok(()) };
    scene.apply("handbook", json!({})).await?;
    let object = serde_json::to_value(scene.clusters.get("handbook").await?)?;
    // What kstatus, and so Flux, compares with metadata.generation.
    assert_eq!(object["status"]["observedGeneration"], -1, "{object}");
    assert_eq!(health(&object)?.status, "Progressing");
    Ok(())
}

#[tokio::test]
async fn a_pass_that_may_not_read_says_which_verb_it_needs() -> Result<()> {
    let test = "a_pass_that_may_not_read_says_which_verb_it_needs";
    let Some(scene) = Scene::new(test, "forbidden").await? else { return Ok(()) };
    let (role, whole) = rules(&scene).await?;
    let mut less = whole.clone();
    for rule in less.iter_mut().filter(|rule| is_about_secrets(rule)) {
        rule.verbs.retain(|verb| verb != "get");
    }
    grant(&scene, (&role, &less)).await?;
    let _operator = scene.operator(&EAGER).await?;
    scene.apply("handbook", json!({"autoscaling": {"enabled": false}})).await?;
    let stalled = scene.says("handbook", "Stalled", "True", "Forbidden").await?;
    let needed = format!("grant get on secrets in namespace {}", scene.namespace);
    assert!(stalled.message.contains(&needed), "{}", stalled.message);
    scene.says("handbook", "Ready", "Unknown", "NotObserved").await?;
    let (scene, needed) = (&scene, needed.as_str());
    until("an event names the verb", WITHIN, || async move {
        let told = scene.events("handbook").await?;
        let named = told.iter().any(|(reason, note)| reason == "Forbidden" && note.contains(needed));
        anyhow::ensure!(named, "{told:?}");
        Ok(Some(()))
    })
    .await?;

    // Nothing tells the operator of a Role that was mended; a change of the spec makes it look.
    grant(scene, (&role, &whole)).await?;
    scene.apply("handbook", json!({"autoscaling": {"enabled": false}, "replicas": 4})).await?;
    scene.serving("handbook").await
}

#[tokio::test]
async fn a_roll_out_that_somebody_pauses_is_said_and_goes_on_when_it_is_resumed() -> Result<()> {
    let test = "a_roll_out_that_somebody_pauses_is_said_and_goes_on_when_it_is_resumed";
    let Some(scene) = Scene::new(test, "paused-rollout").await? else { return Ok(()) };
    let _operator = scene.operator(&[]).await?;
    scene.apply("handbook", json!({})).await?;
    scene.serving("handbook").await?;
    // What `kubectl rollout pause` and `kubectl rollout resume` do.
    let deployments = scene.api::<Deployment>();
    let paused = |is_paused: bool| Patch::Merge(json!({"spec": {"paused": is_paused}}));
    deployments.patch("handbook-server", &PatchParams::default(), &paused(true)).await?;
    scene.apply("handbook", json!({"retrieval": {"topK": 8}})).await?;
    let said = scene.says("handbook", "Stalled", "True", "RolloutPaused").await?;
    let remedy = format!("kubectl rollout resume deployment/handbook-server -n {}", scene.namespace);
    assert!(said.message.ends_with(&remedy), "{}", said.message);
    deployments.patch("handbook-server", &PatchParams::default(), &paused(false)).await?;
    scene.serving("handbook").await
}
