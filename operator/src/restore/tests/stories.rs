//! What a restore asks of the API server, and what it does not ask, told as stories.

use serde_json::{Value, json};

use crate::api::labels;
use crate::apply::stories::{Play, scene};
use crate::caches::tests::{empty, watched};
use crate::restore::build::before;
use crate::restore::carry_out::{carry_out, refusal};
use crate::restore::decide::{Deed, Errand};
use crate::restore::fixtures::{drill, full_drill, in_place, seen, seen_elsewhere};
use crate::restore::observe::elsewhere;
use crate::restore::observed::{Recovery, Seen, Serving};
use crate::restore::{reconcile, sweep};

const KEEP: &str = "POST /apis/ragops.dev/v1alpha1/namespaces/team-a/ragsnapshots?&fieldManager=ragops.dev%2Fcore";
const MAKE: &str = "POST /apis/ragops.dev/v1alpha1/namespaces/rag-drill/ragclusters?&fieldManager=ragops.dev%2Fcore";
const CLUSTER: &str = "GET /apis/ragops.dev/v1alpha1/namespaces/rag-drill/ragclusters?&fieldSelector=metadata.name%3Ddrill-quarterly-03d480b7";
const RECOVERY: &str = "GET /apis/ragops.dev/v1alpha1/namespaces/rag-drill/ragrestores?&fieldSelector=metadata.name%3Ddrill-quarterly-03d480b7";
const BEFORE: &str = "GET /apis/ragops.dev/v1alpha1/namespaces/rag-drill/ragsnapshots?&fieldSelector=metadata.name%3Ddrill-quarterly-03d480b7-before";
const FORGET: &str = "DELETE /apis/ragops.dev/v1alpha1/namespaces/rag-drill/ragrestores/drill-quarterly-03d480b7?";
const STATUS: &str = "PATCH /apis/ragops.dev/v1alpha1/namespaces/team-a/ragrestores/weekly/status?&force=true&fieldManager=ragops.dev%2Fcore";

fn keep() -> Deed {
    Deed::Snapshot { name: "undo-before".into() }
}

fn refusal_of(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "status": "Failure", "reason": reason, "code": code, "message": "no"})
}

#[tokio::test]
async fn what_is_served_is_kept_by_one_request_that_says_who_asked() {
    let play = Play::of([scene(KEEP, 201, json!(before(&in_place(), "bucket")))]);
    carry_out(&play.context, &in_place(), &seen(), &keep()).await.unwrap();
    let body = &play.end()[0];
    assert_eq!(body["metadata"]["name"], "undo-before");
    assert_eq!(body["metadata"]["annotations"][labels::RESTORE_UID], "u-undo");
    assert_eq!((&body["spec"]["cluster"], &body["spec"]["destination"]), (&json!("handbook"), &json!("bucket")));
    assert_eq!(body["metadata"]["ownerReferences"], Value::Null, "it outlives the restore");
}

#[tokio::test]
async fn a_snapshot_that_is_there_already_is_looked_at_and_a_missing_right_is_named() {
    let play =
        Play::of([scene(KEEP, 409, refusal_of(409, "AlreadyExists")), scene(KEEP, 403, refusal_of(403, "Forbidden"))]);
    carry_out(&play.context, &in_place(), &seen(), &keep()).await.unwrap();
    let refused = carry_out(&play.context, &in_place(), &seen(), &keep()).await.unwrap_err();
    assert!(
        refused.remedy().starts_with("grant create on ragsnapshots.ragops.dev in namespace team-a"),
        "{}",
        refused.remedy()
    );
    play.end();
}

#[tokio::test]
async fn a_restore_without_its_cluster_says_so_once_and_starts_nothing() {
    let mut restore = drill();
    let play = Play::of([scene(STATUS, 200, json!(restore))]);
    let caches = empty();
    reconcile(&play.context, &caches, &restore).await.unwrap();
    let status = play.sent().remove(0);
    let ready = &status["status"]["conditions"][0];
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("ClusterMissing")));
    restore.status = serde_json::from_value(status["status"].clone()).unwrap();
    // The scenes are over: whatever is asked now fails the test.
    reconcile(&play.context, &caches, &restore).await.unwrap();
    play.end();
}

fn make() -> Deed {
    let (namespace, name) = ("rag-drill".to_owned(), "drill-quarterly".to_owned());
    Deed::Elsewhere { errand: Errand::MakeCluster, namespace, name }
}

#[tokio::test]
async fn the_cluster_of_a_full_drill_is_made_once_and_says_whose_it_is() {
    let made =
        json!({"apiVersion": "ragops.dev/v1alpha1", "kind": "RagCluster", "metadata": {"name": "x"}, "spec": {}});
    let play = Play::of([scene(MAKE, 201, made), scene(MAKE, 409, refusal_of(409, "AlreadyExists"))]);
    carry_out(&play.context, &full_drill(), &seen_elsewhere(), &make()).await.unwrap();
    carry_out(&play.context, &full_drill(), &seen_elsewhere(), &make()).await.unwrap();
    let body = &play.end()[0];
    assert_eq!(body["metadata"]["annotations"][labels::RESTORE_UID], "u-quarterly");
    assert_eq!(body["metadata"]["annotations"][labels::DRILL_OF], "team-a/quarterly");
}

#[tokio::test]
async fn what_nobody_lets_a_full_drill_make_is_said_with_how_to_let_it_and_what_passes_is_tried_again() {
    for (code, expected) in [
        (403, Some("add namespace rag-drill to drillNamespaces of the chart")),
        (404, Some("there is no namespace rag-drill; create it")),
        (422, Some("change the field that it names")),
        (503, None),
    ] {
        let play = Play::of([scene(MAKE, code, refusal_of(code, "No"))]);
        let error = carry_out(&play.context, &full_drill(), &seen_elsewhere(), &make()).await.unwrap_err();
        let said = refusal(&error, "rag-drill");
        assert_eq!(said.is_some(), expected.is_some(), "{code}: {said:?}");
        assert!(said.unwrap_or_default().contains(expected.unwrap_or_default()), "{code}");
        play.end();
    }
}

fn list(kind: &str, items: &[Value]) -> Value {
    json!({"apiVersion": "ragops.dev/v1alpha1", "kind": format!("{kind}List"), "metadata": {}, "items": items})
}

/// As the API server lists it when its Ready says so.
fn there(kind: &str, spec: &Value, result: &Value, ready: (&str, &str), at: &str) -> Value {
    let condition = |type_: &str, status: &str, reason: &str| {
        json!({
            "type": type_, "status": status, "reason": reason, "message": "said", "lastTransitionTime": at,
            "observedGeneration": 1,
        })
    };
    json!({
        "apiVersion": "ragops.dev/v1alpha1", "kind": kind,
        "metadata": {
            "name": "x", "uid": "u", "generation": 1, "creationTimestamp": "2026-11-28T08:00:10Z",
            "annotations": {labels::RESTORE_UID: "u-quarterly"},
        },
        "spec": spec,
        "status": {
            "observedGeneration": 1, "result": result,
            "conditions": [condition("Ready", ready.0, ready.1), condition("Reconciling", "False", "Settled")],
        },
    })
}

#[tokio::test]
async fn what_is_in_the_other_namespace_is_asked_of_the_api_server_and_the_whole_is_measured() {
    let drill = full_drill();
    // It is looked into though it is watched no longer: something may have been made there.
    let begun = json!([{"number": 2, "name": "cluster", "state": "Running"}]);
    let seen = Seen { steps: serde_json::from_value(begun).unwrap(), ..seen_elsewhere() };
    let (mut recoveries, figures) = (
        Vec::new(),
        |recall: f64| json!({"snapshot": "daily-7", "destination": "bucket", "recallPercent": recall, "rtoSeconds": 12.3, "epoch": 2}),
    );
    for (ready, recall) in [(("True", "Restored"), 100.0), (("False", "Reverted"), 50.0), (("False", "Damaged"), 0.0)] {
        let spec = json!({"cluster": "x", "mode": "InPlace", "source": {"archive": {"name": "daily-7"}}});
        let cluster = there("RagCluster", &json!({}), &Value::Null, ("True", "Serving"), "2026-11-28T08:01:00Z");
        let recovery = there("RagRestore", &spec, &figures(recall), ready, "2026-11-28T08:04:20Z");
        let play = Play::of([
            scene(CLUSTER, 200, list("RagCluster", &[cluster])),
            scene(RECOVERY, 200, list("RagRestore", &[recovery])),
            scene(BEFORE, 200, list("RagSnapshot", &[])),
        ]);
        let found = elsewhere(&play.context, &drill, &seen).await.unwrap();
        assert_eq!((found.unseen, found.cluster.unwrap().state), (None, Serving::Yes));
        let recovery = found.recovery.unwrap();
        assert!(recovery.is_ours);
        recoveries.push(recovery.state);
        play.end();
    }
    let [Recovery::Done(result), Recovery::Failed { reason: low, .. }, Recovery::Failed { reason: broken, .. }] =
        &recoveries[..]
    else {
        panic!("{recoveries:?}")
    };
    assert_eq!(
        (result.rto.as_deref(), result.rto_seconds),
        (Some("4m10s"), Some(250.0)),
        "from the making of the cluster"
    );
    assert_eq!(result.rpo_seconds, Some(30.0 * 3600.0));
    assert_eq!((low.as_str(), broken.as_str()), ("RecallTooLow", "Damaged"));
}

#[tokio::test]
async fn a_namespace_that_is_not_watched_or_is_its_own_is_never_looked_into() {
    let play = Play::of([]);
    let barred = elsewhere(&play.context, &full_drill(), &seen_elsewhere()).await.unwrap().barred.unwrap();
    assert_eq!(barred.0.as_str(), "Skipped");
    assert!(barred.1.contains("add it to drillNamespaces of the chart"), "{}", barred.1);
    let mut own = full_drill();
    own.spec.in_namespace = Some("team-a".into());
    let barred = elsewhere(&play.context, &own, &seen_elsewhere()).await.unwrap().barred.unwrap();
    assert_eq!(barred.0.as_str(), "InvalidSpec");
    play.end();
}

#[tokio::test]
async fn what_was_made_by_a_drill_that_has_gone_is_found_by_its_annotation_and_removed() {
    let ready = ("True", "Serving");
    let mut made = there("RagCluster", &json!({}), &Value::Null, ready, "2026-11-28T08:01:00Z");
    made["metadata"]["name"] = json!("drill-quarterly-03d480b7");
    made["metadata"]["namespace"] = json!("rag-drill");
    made["metadata"]["annotations"][labels::DRILL_OF] = json!("team-a/quarterly");
    let spec = json!({"cluster": "x", "mode": "InPlace", "source": {"archive": {"name": "daily-7"}}});
    let recovery = there("RagRestore", &spec, &Value::Null, ("False", "Restoring"), "2026-11-28T08:04:20Z");
    let deleted = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
    let mut play = Play::of([
        scene(CLUSTER, 200, list("RagCluster", std::slice::from_ref(&made))),
        scene(RECOVERY, 200, list("RagRestore", &[recovery])),
        scene(BEFORE, 200, list("RagSnapshot", &[])),
        scene(FORGET, 200, deleted),
    ]);
    let cluster: crate::api::RagCluster = serde_json::from_value(made).unwrap();
    let at_home = |drills: Vec<crate::api::RagRestore>| {
        let mut caches = empty();
        caches.restores = watched(drills);
        caches
    };
    // Nobody knows: the namespace is not watched, or has not been read yet.
    assert_eq!(sweep::of_cluster(&play.context, &cluster).await.unwrap(), None);
    play.context.namespaces.insert("team-a".to_owned(), empty());
    assert_eq!(sweep::of_cluster(&play.context, &cluster).await.unwrap(), None);
    play.context.namespaces.insert("team-a".to_owned(), at_home(vec![full_drill()]));
    assert_eq!(sweep::of_cluster(&play.context, &cluster).await.unwrap(), None, "its drill is at work");
    play.context.namespaces.insert("team-a".to_owned(), at_home(Vec::new()));
    assert!(sweep::of_cluster(&play.context, &cluster).await.unwrap().is_some());
    let mut own = cluster;
    own.metadata.annotations = None;
    assert_eq!(sweep::of_cluster(&play.context, &own).await.unwrap(), None, "nobody else's is touched");
    assert_eq!(play.end()[3]["preconditions"]["uid"], "u");
}
