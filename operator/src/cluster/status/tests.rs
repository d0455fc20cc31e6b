mod hindered;
mod snapshots;
mod store;

use super::*;
use crate::cluster::events::{Severity, events};
use crate::cluster::fixtures::{EMBEDDED, EXTERNAL, applied, cluster, nothing, pass, server_pod};
use crate::cluster::observed::{Answer, Approval, Presence, Reported};
use crate::cluster::validate::validate;
use k8s_openapi::api::apps::v1::DeploymentCondition;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateWaiting, ContainerStatus};

fn carried_out(cluster: &RagCluster, observed: &Observed) -> Outcome {
    let (valid, plan, _) = pass(cluster, observed);
    Outcome::Applied { planned: Box::new(Planned::of(valid, plan)), corrections: Vec::new(), refused: None }
}

fn after(cluster: &RagCluster, observed: &Observed) -> RagClusterStatus {
    status(cluster, observed, &carried_out(cluster, observed))
}

/// A cluster that serves, with the status that says so, and its world.
fn serving(spec: &str) -> (RagCluster, Observed) {
    let mut cluster = cluster(spec);
    let world = applied(&cluster, &nothing());
    cluster.status = Some(after(&cluster, &world));
    (cluster, world)
}

fn condition(status: &RagClusterStatus, type_: ConditionType) -> (String, String) {
    let found = conditions::find(&status.conditions, type_);
    found.map(|found| (found.status.clone(), found.reason.clone())).unwrap_or_default()
}

fn is(status: &RagClusterStatus, type_: ConditionType, state: &str, reason: ConditionReason) {
    assert_eq!(condition(status, type_), (state.to_owned(), reason.to_string()), "{type_}");
}

fn told(cluster: &RagCluster, new: &RagClusterStatus) -> Vec<String> {
    let severity = |severity| if severity == Severity::Warning { "Warning" } else { "Normal" };
    let events = events(cluster.status.as_ref(), new);
    events.iter().map(|event| format!("{} {}", severity(event.severity), event.reason)).collect()
}

#[test]
fn a_new_cluster_starts_with_its_vector_store() {
    let cluster = cluster("{}");
    let new = after(&cluster, &nothing());
    assert_eq!((new.phase.as_str(), new.servers.as_str()), ("Starting: vector store 0/1", "0/3"));
    is(&new, ConditionType::Ready, "False", ConditionReason::Starting);
    is(&new, ConditionType::Reconciling, "True", ConditionReason::Progressing);
    is(&new, ConditionType::Stalled, "False", ConditionReason::Unhindered);
    assert_eq!(told(&cluster, &new), ["Normal RolloutStarted"]);
    assert_eq!(next_look(&new), LOOK_WHILE_MOVING);
}

#[test]
fn a_serving_cluster_says_so_in_every_place() {
    let (cluster, _) = serving("{}");
    let status = cluster.status.clone().unwrap();
    assert_eq!((status.phase.as_str(), status.servers.as_str(), status.ready_replicas), ("Serving", "3/3", 3));
    assert_eq!(status.endpoint.as_deref(), Some("http://handbook.team-a.svc:8080"));
    assert!(status.selector.contains("app.kubernetes.io/component=server"), "{}", status.selector);
    for type_ in [ConditionType::Ready, ConditionType::ServersReady, ConditionType::VectorStoreReady] {
        assert_eq!(condition(&status, type_).0, "True", "{type_}");
    }
    is(&status, ConditionType::ConfigurationInSync, "True", ConditionReason::InSync);
    is(&status, ConditionType::Reconciling, "False", ConditionReason::Settled);
    for unused in [ConditionType::ReplicasCapped, ConditionType::ReadOnly] {
        assert_eq!(condition(&status, unused), Default::default(), "{unused}");
    }
    assert!(status.next.is_empty());
}

#[test]
fn a_pass_that_finds_nothing_new_makes_an_equal_status_and_tells_nothing() {
    let (cluster, world) = serving("{}");
    let again = after(&cluster, &world.later(3600));
    assert_eq!(cluster.status.as_ref(), Some(&again));
    assert!(told(&cluster, &again).is_empty());
}

#[test]
fn a_lost_server_degrades_and_its_return_is_told() {
    let (mut cluster, mut world) = serving("{}");
    world.children.deployment.as_mut().unwrap().status.as_mut().unwrap().ready_replicas = Some(2);
    let degraded = after(&cluster, &world);
    assert_eq!(degraded.phase, "Degraded: servers 2/3");
    is(&degraded, ConditionType::ServersReady, "False", ConditionReason::SomeReady);
    assert_eq!(told(&cluster, &degraded), ["Warning Degraded"]);
    cluster.status = Some(degraded);
    world.children.deployment.as_mut().unwrap().status.as_mut().unwrap().ready_replicas = Some(3);
    assert_eq!(told(&cluster, &after(&cluster, &world)), ["Normal Serving"]);
}

#[test]
fn servers_above_the_floor_may_still_be_starting() {
    let (cluster, mut world) = serving("{}");
    let deployment = world.children.deployment.as_mut().unwrap();
    deployment.spec.replicas = Some(6);
    let live = deployment.status.as_mut().unwrap();
    (live.replicas, live.updated_replicas) = (Some(6), Some(6));
    let scaling = after(&cluster, &world);
    is(&scaling, ConditionType::Ready, "True", ConditionReason::Serving);
    is(&scaling, ConditionType::Reconciling, "False", ConditionReason::Settled);
    assert_eq!(scaling.servers, "3/6");
}

#[test]
fn a_roll_out_counts_the_servers_of_its_own_revision() {
    let (cluster, mut world) = serving("{}");
    let deployment = world.children.deployment.as_mut().unwrap();
    deployment.metadata.generation = Some(2);
    assert_eq!(after(&cluster, &world).phase, "Rolling out: servers 0/3");
    let live = world.children.deployment.as_mut().unwrap().status.as_mut().unwrap();
    (live.observed_generation, live.replicas, live.ready_replicas, live.updated_replicas) =
        (Some(2), Some(4), Some(4), Some(1));
    let moving = after(&cluster, &world);
    assert_eq!((moving.phase.as_str(), moving.servers.as_str()), ("Rolling out: servers 1/4", "3/3"));
    assert!(message(&moving, ConditionType::ServersReady).starts_with("3 of 3 servers"));
}

#[test]
fn a_raised_floor_is_scaling_until_a_server_is_lost() {
    let (mut cluster, mut world) = serving("{}");
    cluster.spec.replicas = 10;
    world.children.deployment.as_mut().unwrap().spec.replicas = Some(10);
    let scaling = after(&cluster, &world);
    is(&scaling, ConditionType::Ready, "False", ConditionReason::Scaling);
    assert_eq!(scaling.phase, "Scaling: servers 3/10");
    assert!(told(&cluster, &scaling).is_empty(), "{:?}", told(&cluster, &scaling));
    cluster.status = Some(scaling);
    world.children.deployment.as_mut().unwrap().status.as_mut().unwrap().ready_replicas = Some(2);
    assert_eq!(told(&cluster, &after(&cluster, &world)), ["Warning Degraded"]);
}

#[test]
fn a_pod_that_cannot_start_is_named_with_what_to_do() {
    let cluster = cluster("{}");
    let mut world = applied(&cluster, &nothing());
    world.children.deployment.as_mut().unwrap().status.as_mut().unwrap().ready_replicas = None;
    let waiting = ContainerStateWaiting { reason: Some("ImagePullBackOff".into()), message: Some("not found".into()) };
    world.server_pods[0].status.as_mut().unwrap().container_statuses = Some(vec![ContainerStatus {
        name: "server".into(),
        image: "example.com/rag-server:0.1.0".into(),
        state: Some(ContainerState { waiting: Some(waiting), ..ContainerState::default() }),
        ..ContainerStatus::default()
    }]);
    let new = after(&cluster, &world);
    is(&new, ConditionType::ServersReady, "False", ConditionReason::ImageUnavailable);
    let message = &conditions::find(&new.conditions, ConditionType::ServersReady).unwrap().message;
    assert!(message.contains("example.com/rag-server:0.1.0") && message.contains("correct the image"), "{message}");
}

#[test]
fn a_roll_out_without_progress_stalls_while_the_old_servers_serve() {
    let (cluster, mut world) = serving("{}");
    let live = world.children.deployment.as_mut().unwrap().status.as_mut().unwrap();
    live.conditions = Some(vec![DeploymentCondition {
        type_: Some("Progressing".into()),
        status: Some("False".into()),
        reason: Some("ProgressDeadlineExceeded".into()),
        ..DeploymentCondition::default()
    }]);
    let stuck = after(&cluster, &world);
    is(&stuck, ConditionType::Stalled, "True", ConditionReason::RolloutStuck);
    is(&stuck, ConditionType::Reconciling, "False", ConditionReason::Settled);
    is(&stuck, ConditionType::Ready, "True", ConditionReason::Serving);
}

#[test]
fn a_paused_deployment_is_said_with_how_to_go_on_while_something_waits_for_it() {
    let (cluster, mut world) = serving("{}");
    world.children.deployment.as_mut().unwrap().spec.paused = Some(true);
    is(&after(&cluster, &world), ConditionType::Reconciling, "False", ConditionReason::Settled);
    is(&after(&cluster, &world), ConditionType::Stalled, "False", ConditionReason::Unhindered);
    let live = world.children.deployment.as_mut().unwrap().status.as_mut().unwrap();
    live.updated_replicas = None;
    live.conditions = Some(vec![DeploymentCondition {
        type_: Some("Progressing".into()),
        reason: Some("ProgressDeadlineExceeded".into()),
        ..DeploymentCondition::default()
    }]);
    let paused = after(&cluster, &world);
    is(&paused, ConditionType::Stalled, "True", ConditionReason::RolloutPaused);
    is(&paused, ConditionType::Ready, "True", ConditionReason::Serving);
    let said = message(&paused, ConditionType::Stalled);
    let expected =
        "waits: 0 of 3 servers updated; go on with: kubectl rollout resume deployment/handbook-server -n team-a";
    assert!(said.starts_with("somebody has paused Deployment handbook-server") && said.ends_with(expected), "{said}");
    assert_eq!(paused.phase, "Roll-out paused: servers 0/3");
    assert_eq!(told(&cluster, &paused), ["Warning RolloutPaused"]);
}

#[test]
fn a_changed_setting_has_three_minutes_to_reach_the_servers() {
    let (mut cluster, world) = serving("{}");
    cluster.spec.read_only = true;
    let first = after(&cluster, &world.clone().later(60));
    is(&first, ConditionType::ConfigurationInSync, "Unknown", ConditionReason::Propagating);
    is(&first, ConditionType::Ready, "True", ConditionReason::Serving);
    is(&first, ConditionType::ReadOnly, "True", ConditionReason::Requested);
    assert_eq!(first.next[0].at.as_ref().unwrap().0.to_string(), "2026-11-21T08:04:00Z");
    assert_eq!(next_look(&first), LOOK_WHILE_MOVING);
    cluster.status = Some(first);
    let in_time = after(&cluster, &world.clone().later(60 + 180));
    is(&in_time, ConditionType::ConfigurationInSync, "Unknown", ConditionReason::Propagating);
    let late = after(&cluster, &world.clone().later(60 + 181));
    is(&late, ConditionType::ConfigurationInSync, "False", ConditionReason::Mismatch);
    is(&late, ConditionType::Ready, "False", ConditionReason::Degraded);
    assert_eq!(told(&cluster, &late), ["Warning Degraded", "Warning Mismatch"]);
    cluster.status = Some(late);
    let reached = after(&cluster, &applied(&cluster, &world));
    is(&reached, ConditionType::ConfigurationInSync, "True", ConditionReason::InSync);
    assert_eq!(reached.phase, "Serving, read-only");
    assert_eq!(told(&cluster, &reached), ["Normal Serving", "Normal InSync"]);
}

fn message(status: &RagClusterStatus, type_: ConditionType) -> String {
    conditions::find(&status.conditions, type_).map(|found| found.message.clone()).unwrap_or_default()
}

#[test]
fn servers_that_do_not_answer_the_operator_are_no_failure() {
    let (cluster, mut world) = serving("{}");
    for report in world.reports.values_mut() {
        report.answer = Answer::Silent("no answer within the deadline".into());
    }
    let silent = after(&cluster, &world);
    is(&silent, ConditionType::ConfigurationInSync, "Unknown", ConditionReason::Unreachable);
    let said = message(&silent, ConditionType::ConfigurationInSync);
    assert!(said.contains("each of 3 ready servers does not answer the operator: no answer within"), "{said}");
    is(&silent, ConditionType::Ready, "True", ConditionReason::Serving);
    assert!(told(&cluster, &silent).is_empty());
}

#[test]
fn one_server_that_is_silent_leaves_the_rest_in_sync() {
    let (cluster, mut world) = serving("{}");
    world.reports.get_mut("pod-1").unwrap().answer = Answer::Silent("no answer within the deadline".into());
    let new = after(&cluster, &world);
    is(&new, ConditionType::ConfigurationInSync, "True", ConditionReason::InSync);
    let said = message(&new, ConditionType::ConfigurationInSync);
    assert!(said.contains("(1 of them: no answer within the deadline)"), "{said}");
    assert!(told(&cluster, &new).is_empty());
}

/// Pods that run, are not ready and have never answered, as on a first start.
fn starting(spec: &str) -> (RagCluster, Observed) {
    let cluster = cluster(spec);
    let mut world = applied(&cluster, &nothing());
    world.children.deployment.as_mut().unwrap().status.as_mut().unwrap().ready_replicas = None;
    for pod in &mut world.server_pods {
        pod.status.as_mut().unwrap().conditions = None;
    }
    for report in world.reports.values_mut() {
        report.answer = Answer::Silent("the management port cannot be reached".into());
    }
    (cluster, world)
}

#[test]
fn what_was_asked_before_a_server_was_ready_says_nothing_about_it() {
    let (cluster, mut world) = starting("{}");
    let asked = world.now;
    world = world.later(5);
    let ready = server_pod(&pass(&cluster, &world).0, 0, "r", world.now);
    for pod in &mut world.server_pods {
        pod.status.clone_from(&ready.status);
    }
    assert!(world.reports.values().all(|report| report.asked_at == asked));
    let new = after(&cluster, &world);
    is(&new, ConditionType::ConfigurationInSync, "Unknown", ConditionReason::NotReported);
}

#[test]
fn only_what_means_something_else_is_news_and_the_rest_has_no_event() {
    let (cluster, world) = serving("{}");
    let old = cluster.status.as_ref().unwrap();
    assert!(!is_news(Some(old), old) && is_news(None, old));
    let mut more = world.clone();
    let deployment = more.children.deployment.as_mut().unwrap();
    deployment.spec.replicas = Some(6);
    deployment.status.as_mut().unwrap().replicas = Some(5);
    deployment.status.as_mut().unwrap().updated_replicas = Some(5);
    let scaled = after(&cluster, &more);
    assert_ne!(&scaled, old);
    assert!(!is_news(Some(old), &scaled) && told(&cluster, &scaled).is_empty());
    let mut fewer = world;
    fewer.children.deployment.as_mut().unwrap().status.as_mut().unwrap().ready_replicas = Some(2);
    let degraded = after(&cluster, &fewer);
    assert!(is_news(Some(old), &degraded) && !told(&cluster, &degraded).is_empty());
}

#[test]
fn a_field_that_was_put_back_is_told_once() {
    let (mut cluster, world) = serving("{}");
    let Outcome::Applied { planned, .. } = carried_out(&cluster, &world) else { unreachable!() };
    let correction = Correction {
        object: "Deployment/handbook-server".into(),
        fields: vec!["spec.template.spec.containers[name=server].image".into()],
        by: "kubectl-edit".into(),
    };
    let put_back =
        status(&cluster, &world, &Outcome::Applied { planned, corrections: vec![correction], refused: None });
    assert_eq!(told(&cluster, &put_back), ["Warning ChangePutBack"]);
    cluster.status = Some(put_back);
    assert!(told(&cluster, &after(&cluster, &world.later(60))).is_empty());
}

#[test]
fn a_capped_number_is_said_until_it_no_longer_is() {
    let (mut cluster, world) = serving("autoscaling: {maxReplicas: 25}");
    let capped = cluster.status.clone().unwrap();
    is(&capped, ConditionType::ReplicasCapped, "True", ConditionReason::AboveCeiling);
    let message = &conditions::find(&capped.conditions, ConditionType::ReplicasCapped).unwrap().message;
    assert!(message.contains("asked for 25 servers, capped at 20"), "{message}");
    cluster.spec.autoscaling.max_replicas = 20;
    assert_eq!(told(&cluster, &after(&cluster, &world)), ["Normal ReplicasCappedOver"]);
}

#[test]
fn what_an_approval_allows_and_its_end_are_said_with_the_time_and_told_once() {
    let spec = "autoscaling: {maxReplicas: 25}";
    let (mut cluster, mut world) = serving(spec);
    let end = world.now.checked_add(jiff::SignedDuration::from_secs(100)).unwrap();
    world.approvals = vec![Approval { name: "launch".into(), max_replicas: 25, expires_at: end }];
    world.children.deployment.as_mut().unwrap().spec.replicas = Some(25);
    let world = applied(&cluster, &world);
    let approved = after(&cluster, &world);
    assert_eq!(told(&cluster, &approved), ["Normal ReplicasCappedOver"]);
    let planned = approved.next.iter().find(|next| next.what.contains("ScaleApproval launch ends"));
    assert_eq!(planned.unwrap().at.as_ref().unwrap().0, end);
    cluster.status = Some(approved);

    let world = applied(&cluster, &world.later(100));
    let ended = after(&cluster, &world);
    is(&ended, ConditionType::ReplicasCapped, "True", ConditionReason::ApprovalEnded);
    let said = message(&ended, ConditionType::ReplicasCapped);
    for part in
        ["asked for 25 servers, capped at 23", "ScaleApproval launch ended at 2026-11-21T08:01:40Z", "20 or less"]
    {
        assert!(said.contains(part), "not \"{part}\" but: {said}");
    }
    assert_eq!(told(&cluster, &ended), ["Warning ApprovalEnded"]);
    assert_eq!(ended.autoscaling.as_ref().unwrap().ceiling, 23);
    let next_step = world.now.checked_add(jiff::SignedDuration::from_secs(60)).unwrap();
    assert_eq!(carried_out(&cluster, &world).changes_at(), Some(next_step));
    cluster.status = Some(ended);
    cluster.spec.paused = true;
    assert_eq!(carried_out(&cluster, &world).changes_at(), None, "nothing is lowered while the hands are off");
    assert!(after(&cluster, &world).next.iter().all(|next| !next.what.contains("a tenth less")));
    cluster.spec.paused = false;

    // One that was deleted leaves no name, and the steps go on.
    let mut world = world.later(60);
    world.children.deployment.as_mut().unwrap().spec.replicas = Some(23);
    world.approvals.clear();
    let world = applied(&cluster, &world);
    let lowered = after(&cluster, &world);
    let said = message(&lowered, ConditionType::ReplicasCapped);
    assert!(said.contains("capped at 21: the ScaleApproval for more was deleted"), "{said}");
    assert!(told(&cluster, &lowered).is_empty());
}

#[test]
fn a_dropped_tolerance_is_said_with_a_remedy() {
    let (cluster, mut world) = serving("{}");
    is(cluster.status.as_ref().unwrap(), ConditionType::AutoscalingExact, "True", ConditionReason::DeadBand);
    let autoscaler = world.children.autoscaler.as_mut().unwrap();
    autoscaler.spec.behavior.as_mut().unwrap().scale_down.as_mut().unwrap().tolerance = None;
    let removed = after(&cluster, &world);
    is(&removed, ConditionType::AutoscalingExact, "True", ConditionReason::DeadBand);
    let metadata = &mut world.children.autoscaler.as_mut().unwrap().metadata;
    metadata.annotations.get_or_insert_default().insert("ragops.dev/tolerance-dropped".into(), "v1.34.2".into());
    let inexact = after(&cluster, &world);
    is(&inexact, ConditionType::AutoscalingExact, "False", ConditionReason::ToleranceDropped);
    is(&inexact, ConditionType::Ready, "True", ConditionReason::Serving);
    assert_eq!(told(&cluster, &inexact), ["Warning ToleranceDropped"]);
}
