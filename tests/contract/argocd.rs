//! The health check for Argo CD, asked about the statuses that the operator writes.

use ragops_operator::{
    api::{ConditionReason, ConditionType, RagCluster, RagRestore, RagSnapshot, ScaleApproval, restore::RestoreResult},
    approval,
    cluster::{
        decide::decide,
        observed::Presence,
        status::{Failure, Outcome, Planned, status, unobserved},
        validate::validate,
    },
    error::{Class, Phase},
    job::Unusable,
    restore::{
        self,
        observed::{Act, Attempt, ClusterSeen, Fault, Seen, Task},
    },
    snapshot::{
        self,
        observed::{Observed, Obstacle},
    },
    steps::{Turn, Window, advance},
};
use serde_json::{Value, json};

use crate::{
    argocd_health::{Health, health},
    built::{named, nothing},
    rendered::examples,
};

/// The object of a cluster as the API server keeps it, with the status after one pass.
fn after_a_pass(cluster: &RagCluster) -> Value {
    let mut cluster = named(cluster.clone());
    let mut observed = nothing("example.com/rag-server:0.1.0", "example.com/qdrant:1.20.0");
    for (_, secret) in cluster.spec.referenced_secrets() {
        observed.referenced_secrets.insert(secret.to_owned(), Presence::Missing);
    }
    let outcome = match validate(&cluster, &observed) {
        Ok(valid) => {
            let plan = decide(&valid, &observed);
            let planned = Box::new(Planned::of(valid, plan));
            if cluster.spec.paused {
                Outcome::Paused { planned }
            } else {
                Outcome::Applied { planned, corrections: Vec::new(), refused: None }
            }
        }
        Err(problems) => Outcome::Invalid { problems },
    };
    cluster.status = Some(status(&cluster, &observed, &outcome));
    json!(cluster)
}

/// The same after a pass that could not read its facts.
fn unseen(cluster: &RagCluster, class: Class) -> Value {
    let mut cluster = named(cluster.clone());
    let (message, remedy) = ("get secrets: no".to_owned(), "grant it".to_owned());
    let failure = Failure { phase: Phase::Observe, class, message, remedy };
    cluster.status = Some(unobserved(&cluster, &failure, false, Default::default()));
    json!(cluster)
}

fn is(object: &Value, expected: &str, message: &str) {
    let Health { status, message: said } = health(object).unwrap();
    assert_eq!(status, expected, "{said}\n{}", object["status"]);
    assert!(said.contains(message), "not \"{message}\" but: {said}");
}

/// The same object with another status and reason of a condition.
fn with(object: &Value, type_: ConditionType, state: &str, reason: ConditionReason) -> Value {
    let mut object = object.clone();
    let conditions = object["status"]["conditions"].as_array_mut().unwrap();
    let condition = conditions.iter_mut().find(|condition| condition["type"] == type_.as_str()).unwrap();
    condition["status"] = json!(state);
    condition["reason"] = json!(reason.as_str());
    object
}

#[test]
fn argo_cd_waits_for_a_cluster_that_nobody_has_looked_at_or_that_starts() {
    let cluster = named(examples().remove(0).1);
    is(&json!(cluster), "Progressing", "has not looked");
    let mut created = json!(cluster);
    created["status"] = json!({"observedGeneration": -1});
    is(&created, "Progressing", "has not looked");
    let started = after_a_pass(&cluster);
    is(&started, "Progressing", "creating the servers of revision");
    let mut changed = started;
    changed["metadata"]["generation"] = json!(2);
    is(&changed, "Progressing", "has not looked at this generation");
}

#[test]
fn argo_cd_shows_what_a_person_has_to_do() {
    let mut cluster = examples().remove(0).1;
    let embedder =
        json!({"baseUrl": "https://llm/v1", "model": "m", "dimensions": 8, "secretRef": {"name": "no-such-key"}});
    cluster.spec.embedding = serde_json::from_value(json!({"openAI": embedder})).unwrap();
    is(&after_a_pass(&cluster), "Degraded", "SecretMissing: spec.embedding.openAI.secretRef.name");
    is(&unseen(&cluster, Class::Forbidden), "Degraded", "Forbidden: get secrets: no; grant it");
    is(&unseen(&cluster, Class::Transient), "Progressing", "NotObserved: get secrets: no");
    cluster.spec.embedding = None;
    cluster.spec.paused = true;
    is(&after_a_pass(&cluster), "Suspended", "spec.paused");
}

#[test]
fn argo_cd_tells_serving_from_moving_and_from_degraded() {
    let started = after_a_pass(&examples().remove(0).1);
    let settled = with(&started, ConditionType::Reconciling, "False", ConditionReason::Settled);
    let serving = with(&settled, ConditionType::Ready, "True", ConditionReason::Serving);
    is(&serving, "Healthy", "");
    is(
        &with(&serving, ConditionType::Reconciling, "True", ConditionReason::Progressing),
        "Progressing",
        "Progressing: ",
    );
    is(&with(&serving, ConditionType::Ready, "False", ConditionReason::Scaling), "Progressing", "");
    let lost = with(&serving, ConditionType::Ready, "False", ConditionReason::Degraded);
    is(&lost, "Degraded", "Degraded: ");
    is(&with(&lost, ConditionType::Reconciling, "True", ConditionReason::Progressing), "Degraded", "Degraded: ");
    is(&with(&serving, ConditionType::Stalled, "True", ConditionReason::RolloutStuck), "Degraded", "RolloutStuck: ");
}

#[test]
fn argo_cd_tells_an_approval_in_force_from_one_that_has_ended_and_one_for_nothing() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/approval/approval.yaml")).unwrap();
    let mut approval: ScaleApproval = serde_yaml_ng::from_str(&text).unwrap();
    approval.metadata.generation = Some(1);
    is(&json!(approval), "Progressing", "has not looked");
    let mut after = |time: &str, has_cluster| {
        approval.status = Some(approval::status::status(&approval, has_cluster, time.parse().unwrap()));
        json!(approval)
    };
    is(&after("2029-01-01T00:00:00Z", true), "Healthy", "up to 40 servers until 2030-01-15T18:00:00Z");
    is(&after("2030-01-15T17:00:00Z", true), "Healthy", "create another ScaleApproval");
    is(&after("2029-01-01T00:00:00Z", false), "Degraded", "ClusterMissing: there is no RagCluster handbook");
    is(&after("2030-01-15T18:00:00Z", true), "Suspended", "ended at 2030-01-15T18:00:00Z");
}

/// A drill after a pass that saw this.
fn drilled(seen: &Seen) -> Value {
    let spec = json!({"cluster": "handbook", "mode": "Drill"});
    let mut drill: RagRestore = serde_json::from_value(json!({
        "apiVersion": "ragops.dev/v1alpha1", "kind": "RagRestore",
        "metadata": {"name": "weekly", "namespace": "team-a", "uid": "u", "generation": 1}, "spec": spec,
    }))
    .unwrap();
    let (now, awake) = (jiff::Timestamp::UNIX_EPOCH, jiff::SignedDuration::ZERO);
    let turn = Turn { now, awake, window: Window::Open, standings: &[] };
    let after = advance(&restore::decide::procedure(&drill), &[], seen, &turn);
    drill.status = Some(restore::status::status(&drill, seen, &after, now));
    json!(drill)
}

#[test]
fn argo_cd_tells_a_drill_that_passed_from_one_that_failed_one_without_room_and_one_under_way() {
    let cluster = ClusterSeen { destinations: vec!["bucket".into()], min_recall_percent: 95, ..ClusterSeen::default() };
    let nothing = Seen { cluster: Some(cluster), ..Seen::default() };
    let with = |act: Act| {
        let attempts = [(Task::Drill, vec![Attempt { number: 1, act }])].into();
        drilled(&Seen { attempts, ..nothing.clone() })
    };
    let failed = |reason: ConditionReason| {
        let why = "part 7 is not what the manifest says".to_owned();
        with(Act::Failed(Fault { reason, why, may_pass: false, at: None }))
    };
    let passed = RestoreResult { snapshot: "daily-7".into(), recall_percent: Some(100.0), ..RestoreResult::default() };
    is(&drilled(&nothing), "Progressing", "Drilling: step 2 of 3 (drill): create Job weekly-drill");
    is(&drilled(&Seen::default()), "Progressing", "ClusterMissing: ");
    is(&with(Act::Done(passed)), "Healthy", "snapshot daily-7 was restored");
    is(&failed(ConditionReason::Damaged), "Degraded", "Damaged: step 2 of 3 (drill): part 7 is not what");
    is(&failed(ConditionReason::Skipped), "Suspended", "part 7");
    let mut changed = drilled(&nothing);
    changed["metadata"]["generation"] = json!(2);
    is(&changed, "Progressing", "has not looked at this generation");
}

#[test]
fn argo_cd_tells_a_snapshot_that_is_there_from_one_on_its_way_and_one_that_needs_somebody() {
    let mut snapshot: RagSnapshot = serde_json::from_value(json!({
        "apiVersion": "ragops.dev/v1alpha1", "kind": "RagSnapshot",
        "metadata": {"name": "nightly", "namespace": "team-a", "uid": "s1", "generation": 1},
        "spec": {"cluster": "handbook"},
    }))
    .unwrap();
    is(&json!(snapshot), "Progressing", "has not looked");
    let mut after = |way: Obstacle| {
        let seen = Observed {
            reading: None,
            now: jiff::Timestamp::UNIX_EPOCH,
            awake: jiff::SignedDuration::ZERO,
            way: Err(way),
            sooner: None,
            progress: None,
            take: None,
            removal: None,
            made: Vec::new(),
        };
        snapshot.status = Some(snapshot::status::status(&snapshot, &seen, Vec::new(), None));
        json!(snapshot)
    };
    is(
        &after(Obstacle::ClusterMissing("handbook".into())),
        "Degraded",
        "ClusterMissing: there is no RagCluster handbook",
    );
    is(&after(Obstacle::Paused("handbook".into())), "Suspended", "spec.paused");
    let starting = Obstacle::Servers(Unusable::NotMade { cluster: "handbook".into() });
    let waiting = after(starting);
    is(&waiting, "Progressing", "Starting: ");
    let settled = with(&waiting, ConditionType::Reconciling, "False", ConditionReason::Settled);
    let taken = with(&settled, ConditionType::Ready, "True", ConditionReason::Taken);
    is(&taken, "Healthy", "");
    let mut unread = taken.clone();
    unread["status"]["conditions"].as_array_mut().unwrap().push(json!({
        "type": "Verified", "status": "False", "reason": "NotReadBack", "message": "it was not read back",
    }));
    is(&unread, "Degraded", "NotReadBack: it was not read back");
}
