use super::*;
use crate::cluster::events::{Severity, events};
use crate::cluster::fixtures::{EMBEDDED, EXTERNAL, applied, cluster, nothing, pass, server_pod};
use crate::cluster::observed::{Answer, Approval, Presence, Reported};
use crate::cluster::validate::validate;
use k8s_openapi::api::apps::v1::DeploymentCondition;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateWaiting, ContainerStatus};

fn carried_out(cluster: &RagCluster, observed: &Observed) -> Outcome {
    let (valid, plan, _) = pass(cluster, observed);
    Outcome::Applied { planned: Box::new(Planned { cluster: valid, plan }), corrections: Vec::new(), refused: None }
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
fn nothing_is_unreachable_while_the_servers_start() {
    for spec in ["{}", EMBEDDED, EXTERNAL] {
        let (cluster, mut world) = starting(spec);
        world.referenced_secrets.insert("qdrant-cloud".into(), Presence::Exists);
        let silent = after(&cluster, &world);
        let waiting = Reported { waiting_for: vec!["the vector store".into()], ..Reported::default() };
        for report in world.reports.values_mut() {
            report.answer = Answer::Said(waiting.clone());
        }
        let answering = after(&cluster, &world.later(30));
        for status in [silent, answering] {
            let text = serde_json::to_string(&status).unwrap().to_lowercase();
            assert!(!text.contains("unreachable") && !text.contains("cannot be reached"), "{spec}: {text}");
            let told = told(&cluster, &status);
            assert!(told.iter().all(|event| event.starts_with("Normal")), "{spec}: {told:?}");
        }
    }
}

#[test]
fn a_corpus_of_another_cluster_stalls_at_once_with_a_remedy() {
    let waiting =
        Reported { waiting_for: vec!["the corpus (belongs to another cluster)".into()], ..Reported::default() };
    for spec in ["{}", EMBEDDED, EXTERNAL] {
        let (cluster, mut world) = starting(spec);
        world.referenced_secrets.insert("qdrant-cloud".into(), Presence::Exists);
        for report in world.reports.values_mut() {
            report.answer = Answer::Said(waiting.clone());
        }
        let refused = after(&cluster, &world);
        is(&refused, ConditionType::VectorStoreReady, "False", ConditionReason::CorpusOwned);
        is(&refused, ConditionType::Stalled, "True", ConditionReason::CorpusOwned);
        is(&refused, ConditionType::Ready, "False", ConditionReason::Starting);
        let said = message(&refused, ConditionType::Stalled);
        assert!(said.contains("another collection") && said.contains("NAME-corpus"), "{said}");
        assert_eq!(refused.phase, "CorpusOwned: see condition Stalled");
    }
}

#[test]
fn servers_that_serve_go_on_beside_one_that_finds_the_corpus_of_another_cluster() {
    let (cluster, mut world) = serving(EXTERNAL);
    let waiting =
        Reported { waiting_for: vec!["the corpus (belongs to another cluster)".into()], ..Reported::default() };
    world.reports.get_mut("pod-1").unwrap().answer = Answer::Said(waiting);
    let mixed = after(&cluster, &world);
    is(&mixed, ConditionType::VectorStoreReady, "True", ConditionReason::Reachable);
    is(&mixed, ConditionType::Stalled, "True", ConditionReason::CorpusOwned);
}

#[test]
fn a_store_that_the_servers_wait_for_is_unreachable_after_a_minute() {
    let (cluster, mut world) = starting("{}");
    let waiting = Reported { waiting_for: vec!["the vector store".into()], ..Reported::default() };
    for report in world.reports.values_mut() {
        report.answer = Answer::Said(waiting.clone());
    }
    let at = |seconds| after(&cluster, &world.clone().later(seconds));
    is(&at(60), ConditionType::VectorStoreReady, "False", ConditionReason::Starting);
    is(&at(61), ConditionType::VectorStoreReady, "False", ConditionReason::Unreachable);
    // A store that came later than its servers has its own minute.
    let ready = world.later(120);
    let store = server_pod(&pass(&cluster, &ready).0, 9, "r", ready.now);
    let later = Observed { qdrant_pods: vec![store], ..ready };
    is(&after(&cluster, &later.clone().later(60)), ConditionType::VectorStoreReady, "False", ConditionReason::Starting);
    is(&after(&cluster, &later.later(61)), ConditionType::VectorStoreReady, "False", ConditionReason::Unreachable);
}

#[test]
fn a_change_of_the_store_is_under_way_until_its_pod_is_replaced() {
    let (mut cluster, world) = serving("{}");
    let changed = "{qdrant: {podTemplate: {labels: {team: a}}}}";
    cluster.spec.vector_store = serde_yaml_ng::from_str(changed).unwrap();
    let moves = |world: &Observed| {
        let new = after(&cluster, world);
        is(&new, ConditionType::Reconciling, "True", ConditionReason::Progressing);
        assert!(message(&new, ConditionType::Reconciling).contains("of an earlier revision"), "{:?}", new.conditions);
    };
    moves(&world);
    let mut replaced = applied(&cluster, &world);
    is(&after(&cluster, &replaced), ConditionType::Reconciling, "False", ConditionReason::Settled);
    let unseen = |world: &mut Observed, generation| {
        world.children.qdrant_stateful_set.as_mut().unwrap().metadata.generation = Some(generation);
    };
    unseen(&mut replaced, 2);
    moves(&replaced);
    unseen(&mut replaced, 1);
    moves(&Observed { qdrant_pods: world.qdrant_pods.clone(), ..replaced });
}

#[test]
fn a_store_that_is_far_from_the_servers_client_is_said_where_the_store_is() {
    let (cluster, _) = serving("vectorStore: {qdrant: {image: 'example.com/qdrant:1.18.2'}}");
    let status = cluster.status.unwrap();
    is(&status, ConditionType::VectorStoreReady, "True", ConditionReason::Reachable);
    let said = message(&status, ConditionType::VectorStoreReady);
    assert!(said.starts_with("vector store reached by the servers (Qdrant 1.18 is more than one minor"), "{said}");
    assert!(!message(&serving("{}").0.status.unwrap(), ConditionType::VectorStoreReady).contains("Qdrant"));
}

#[test]
fn the_embedded_store_is_never_asked_for_a_connection() {
    let (cluster, world) = starting(EMBEDDED);
    let new = after(&cluster, &world);
    is(&new, ConditionType::VectorStoreReady, "Unknown", ConditionReason::Starting);
    assert_eq!(message(&new, ConditionType::VectorStoreReady), "the vector store opens with its server");
    assert_eq!(new.phase, "Starting: servers 0/1");
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
fn an_invalid_spec_stalls_and_leaves_what_runs_as_it_is() {
    let (mut cluster, world) = serving("{}");
    cluster.metadata.generation = Some(2);
    cluster.spec = super::super::fixtures::cluster("resources: {requests: {cpu: '0'}}").spec;
    let problems = validate(&cluster, &world).unwrap_err();
    let new = status(&cluster, &world, &Outcome::Invalid { problems });
    is(&new, ConditionType::Stalled, "True", ConditionReason::InvalidSpec);
    is(&new, ConditionType::Ready, "True", ConditionReason::Serving);
    let old = cluster.status.as_ref().unwrap();
    assert_eq!((&new.revision, &new.selector, &new.endpoint), (&old.revision, &old.selector, &old.endpoint));
    assert_eq!(new.observed_generation, Some(2));
    assert!(new.phase.starts_with("InvalidSpec: spec.resources"), "{}", new.phase);
    assert_eq!(told(&cluster, &new), ["Warning InvalidSpec"]);
}

#[test]
fn a_missing_secret_stalls_the_next_revision_and_is_looked_for_within_thirty_seconds() {
    let (mut cluster, mut world) = serving("autoscaling: {enabled: false}");
    cluster.metadata.generation = Some(2);
    cluster.spec.replicas = 4;
    cluster.spec.pod_template =
        serde_json::from_value(serde_json::json!({"imagePullSecrets": [{"name": "pull"}]})).unwrap();
    world.referenced_secrets.insert("pull".into(), Presence::Missing);
    let held = after(&cluster, &world);
    is(&held, ConditionType::Stalled, "True", ConditionReason::SecretMissing);
    is(&held, ConditionType::Reconciling, "False", ConditionReason::Settled);
    let said = message(&held, ConditionType::Stalled);
    assert!(said.contains("no Secret \"pull\"") && said.contains("what needs no new revision is applied"), "{said}");
    assert_eq!(held.revision, cluster.status.as_ref().unwrap().revision);
    // The world that follows has the fourth server: what serves is told as it is.
    let scaled = applied(&cluster, &world);
    let held = after(&cluster, &scaled);
    is(&held, ConditionType::Ready, "True", ConditionReason::Serving);
    is(&held, ConditionType::ConfigurationInSync, "True", ConditionReason::InSync);
    assert_eq!(held.servers, "4/4");
    assert_eq!(told(&cluster, &held), ["Warning SecretMissing"]);
    assert!(next_look(&held) <= Duration::from_secs(30) && next_look(&held) > LOOK_WHILE_MOVING);
    world.referenced_secrets.insert("pull".into(), Presence::Exists);
    let released = after(&cluster, &world);
    is(&released, ConditionType::Stalled, "False", ConditionReason::Unhindered);
    assert_ne!(released.revision, held.revision);
}

#[test]
fn a_failure_is_said_by_its_class() {
    let (cluster, world) = serving("{}");
    let failed = |class| {
        let Outcome::Applied { planned, .. } = carried_out(&cluster, &world) else { unreachable!() };
        let failure =
            Failure { phase: Phase::Apply, class, message: "patch deployments".into(), remedy: "do this".into() };
        status(&cluster, &world, &Outcome::Failed { planned, failure })
    };
    let forbidden = failed(Class::Forbidden);
    is(&forbidden, ConditionType::Stalled, "True", ConditionReason::Forbidden);
    assert_eq!(told(&cluster, &forbidden), ["Warning Forbidden"]);
    is(&failed(Class::Invalid), ConditionType::Stalled, "True", ConditionReason::Rejected);
    let transient = failed(Class::Transient);
    is(&transient, ConditionType::Stalled, "False", ConditionReason::Unhindered);
    is(&transient, ConditionType::Reconciling, "True", ConditionReason::Retrying);
    is(&transient, ConditionType::Ready, "True", ConditionReason::Serving);
    assert!(told(&cluster, &transient).is_empty());
}

#[test]
fn a_budget_waits_for_servers_that_know_it() {
    let (mut cluster, mut world) = serving("{generation: {providers: [{name: a, baseUrl: 'https://a/v1', model: m}]}}");
    cluster.spec.budget = serde_json::from_value(serde_json::json!({"monthlyUsd": 20})).unwrap();
    assert!(after(&cluster, &world).next.iter().all(|step| !step.what.contains("spec.budget")));
    for revision in &mut world.children.revisions {
        revision.data.0["configSchema"] = serde_json::json!(1);
    }
    let waiting = after(&cluster, &world);
    assert!(waiting.next.iter().any(|step| step.what.contains("spec.budget")), "{:?}", waiting.next);
    let live = pass(&cluster, &world).2.live.data.unwrap()["live.toml"].clone();
    assert_eq!(live, "read_only = false\n");
}

#[test]
fn the_key_of_a_removed_client_is_told_while_a_server_accepts_it() {
    let (mut cluster, mut world) = serving("auth: {apiKeys: [{name: nightly}, {name: web}]}");
    let names = ["api-key.nightly", "api-key.web", "operator", "vector-store"];
    for report in world.reports.values_mut() {
        let Answer::Said(said) = &mut report.answer else { unreachable!() };
        said.credentials = names.map(str::to_owned).into();
    }
    let lingers = |cluster: &RagCluster, world: &Observed| {
        let steps = after(cluster, world).next.into_iter().map(|step| step.what);
        steps.filter(|what| what.contains("spec.auth.apiKeys")).collect::<Vec<String>>()
    };
    assert!(lingers(&cluster, &world).is_empty());
    cluster.spec.auth.api_keys.remove(0);
    let told = lingers(&cluster, &world);
    assert!(told.len() == 1 && told[0].ends_with("the key of nightly"), "{told:?}");
    for report in world.reports.values_mut() {
        let Answer::Said(said) = &mut report.answer else { unreachable!() };
        said.credentials.remove("api-key.nightly");
    }
    assert!(lingers(&cluster, &world).is_empty());
}

#[test]
fn a_paused_cluster_says_so_and_still_reports() {
    let (cluster, world) = serving("{}");
    let Outcome::Applied { planned, .. } = carried_out(&cluster, &world) else { unreachable!() };
    let paused = status(&cluster, &world, &Outcome::Paused { planned });
    assert_eq!((paused.phase.as_str(), paused.servers.as_str()), ("Paused, serving", "3/3"));
    is(&paused, ConditionType::Reconciling, "False", ConditionReason::Paused);
    assert_eq!(told(&cluster, &paused), ["Normal Paused"]);
}

#[test]
fn what_is_planned_and_not_carried_out_is_not_expected_of_the_servers() {
    let (mut cluster, world) = serving("{}");
    cluster.spec.retrieval.top_k = 9;
    cluster.spec.read_only = true;
    let Outcome::Applied { planned, .. } = carried_out(&cluster, &world) else { unreachable!() };
    let paused = status(&cluster, &world.later(3600), &Outcome::Paused { planned });
    let old = cluster.status.as_ref().unwrap();
    assert_eq!((&paused.revision, &paused.configuration), (&old.revision, &old.configuration));
    is(&paused, ConditionType::ConfigurationInSync, "True", ConditionReason::InSync);
    is(&paused, ConditionType::Ready, "True", ConditionReason::Serving);
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
fn a_volume_that_may_not_grow_stalls_and_takes_nothing_away() {
    let (mut cluster, world) = serving("{}");
    cluster.spec.vector_store = serde_yaml_ng::from_str("{qdrant: {storage: {size: 50Gi}}}").unwrap();
    let refused = |said: &str, world: &Observed| {
        let (valid, plan, _) = pass(&cluster, world);
        let refused = Refusal { growth: plan.growth.clone().unwrap(), said: said.to_owned() };
        let planned = Box::new(Planned { cluster: valid, plan });
        status(&cluster, world, &Outcome::Applied { planned, corrections: Vec::new(), refused: Some(refused) })
    };
    let new = refused("the storageclass that provisions the pvc must support resize", &world);
    is(&new, ConditionType::Stalled, "True", ConditionReason::VolumeTooSmall);
    is(&new, ConditionType::Ready, "True", ConditionReason::Serving);
    assert_eq!(new.phase, "VolumeTooSmall: 10Gi of 50Gi");
    assert_eq!(told(&cluster, &new), ["Warning VolumeTooSmall"]);
    assert!(next_look(&new) <= LOOK_WHILE_STALLED);
    let said = message(&new, ConditionType::Stalled);
    assert!(said.starts_with("volume data-handbook-qdrant-0 may not grow from 10Gi to 50Gi: the storage"), "{said}");
    assert!(said.contains("allowVolumeExpansion: true on StorageClass standard"), "{said}");
    assert!(said.contains("spec.vectorStore.qdrant.storage.size: 10Gi"), "{said}");
    let full = message(&refused("exceeded quota: small", &world), ConditionType::Stalled);
    assert!(full.contains("raise the ResourceQuota") && !full.contains("StorageClass"), "{full}");
    // What is on its way is said first: it may well settle.
    let mut rolling = world;
    rolling.children.deployment.as_mut().unwrap().status.as_mut().unwrap().updated_replicas = Some(1);
    is(&refused("no", &rolling), ConditionType::Stalled, "False", ConditionReason::Unhindered);
}

#[test]
fn a_stateful_set_that_is_made_again_is_under_way_and_no_outage() {
    let (mut cluster, world) = serving("{}");
    cluster.spec.vector_store = serde_yaml_ng::from_str("{qdrant: {storage: {size: 50Gi}}}").unwrap();
    let grown = applied(&cluster, &world);
    let gone = applied(&cluster, &grown);
    assert!(gone.children.qdrant_stateful_set.is_none());
    let mut unseen = applied(&cluster, &gone);
    unseen.children.qdrant_stateful_set.as_mut().unwrap().status = None;
    for world in [&world, &grown, &gone, &unseen] {
        let new = after(&cluster, world);
        is(&new, ConditionType::Reconciling, "True", ConditionReason::Progressing);
        is(&new, ConditionType::VectorStoreReady, "True", ConditionReason::Reachable);
        is(&new, ConditionType::Ready, "True", ConditionReason::Serving);
        assert!(told(&cluster, &new).is_empty(), "{:?}", told(&cluster, &new));
    }
    let again = applied(&cluster, &gone);
    is(&after(&cluster, &again), ConditionType::Reconciling, "False", ConditionReason::Settled);
}

#[test]
fn a_volume_that_is_not_what_the_spec_asks_for_is_said_where_the_store_is() {
    for spec in ["vectorStore: {qdrant: {storage: {size: 50Gi}}}", EMBEDDED] {
        let (mut cluster, world) = serving(spec);
        assert!(!message(cluster.status.as_ref().unwrap(), ConditionType::VectorStoreReady).contains("volume"));
        let store = cluster.spec.vector_store.as_mut().unwrap();
        let qdrant = store.qdrant.as_mut().map(|qdrant| &mut qdrant.storage);
        let embedded = store.embedded.as_mut().map(|embedded| &mut embedded.storage);
        qdrant.into_iter().chain(embedded).for_each(|storage| storage.size = "5Gi".to_owned());
        let new = after(&cluster, &world);
        assert_eq!(condition(&new, ConditionType::VectorStoreReady).0, "True");
        let said = message(&new, ConditionType::VectorStoreReady);
        assert!(said.contains("and stays so, since no volume shrinks"), "{said}");
    }
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
fn the_embedded_store_is_ready_with_its_server() {
    let (cluster, _) = serving(EMBEDDED);
    let status = cluster.status.unwrap();
    is(&status, ConditionType::VectorStoreReady, "True", ConditionReason::Embedded);
    assert_eq!(condition(&status, ConditionType::AutoscalingExact), Default::default());
    assert_eq!(status.autoscaling, None);
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
