//! What a restore asks of the API server, and what it does not ask, told as stories.

use serde_json::{Value, json};

use crate::api::labels;
use crate::apply::stories::{Play, scene};
use crate::caches::tests::empty;
use crate::restore::build::before;
use crate::restore::carry_out::carry_out;
use crate::restore::decide::Deed;
use crate::restore::fixtures::{drill, in_place, seen};
use crate::restore::reconcile;

const KEEP: &str = "POST /apis/ragops.dev/v1alpha1/namespaces/team-a/ragsnapshots?&fieldManager=ragops.dev%2Fcore";
const STATUS: &str = "PATCH /apis/ragops.dev/v1alpha1/namespaces/team-a/ragrestores/weekly/status?&force=true&fieldManager=ragops.dev%2Fcore";

fn keep() -> Deed {
    Deed::Snapshot { name: "undo-before".into() }
}

fn refusal(code: u16, reason: &str) -> Value {
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
    let play = Play::of([scene(KEEP, 409, refusal(409, "AlreadyExists")), scene(KEEP, 403, refusal(403, "Forbidden"))]);
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
