//! How a Job is looked at.

use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use crate::api::ConditionReason;
use crate::job::{Failure, Looked, look};
use crate::snapshot::report::Cause;

fn job(conditions: Value) -> Job {
    serde_json::from_value(
        json!({"metadata": {"name": "nightly-take", "uid": "j1"}, "status": {"conditions": conditions}}),
    )
    .unwrap()
}

fn pod(name: &str, created: &str, status: Value) -> Arc<Pod> {
    let metadata = json!({"name": name, "creationTimestamp": created});
    Arc::new(serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap())
}

fn ended(code: i32, reason: &str, message: &str) -> Value {
    let terminated = json!({"exitCode": code, "reason": reason, "message": message});
    json!({"phase": if code == 0 { "Succeeded" } else { "Failed" }, "containerStatuses": [container(json!({"terminated": terminated}))]})
}

fn container(state: Value) -> Value {
    json!({"name": "job", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state})
}

const AT: &str = "2026-11-21T08:00:00Z";

fn over(type_: &str, reason: &str) -> Value {
    json!([{"type": type_, "status": "True", "reason": reason, "message": "said the Job", "lastTransitionTime": AT}])
}

fn seen(job: &Job, status: Value) -> Looked {
    look(Some(job), &[pod("p", AT, status)])
}

fn failure(looked: Looked) -> Failure {
    match looked {
        Looked::Failed { failure, at } => {
            assert_eq!(at, Some(AT.parse().unwrap()));
            failure
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_job_that_is_done_is_as_its_newest_pod_reports() {
    let done = job(over("Complete", "CompletionsReached"));
    let report = r#"{"outcome": "done", "removed": []}"#;
    let pods = [
        pod("b", "2026-11-21T07:00:00Z", ended(1, "Error", r#"{"outcome": "failed"}"#)),
        pod("a", "2026-11-21T07:30:00Z", ended(0, "Completed", report)),
    ];
    assert!(matches!(look(Some(&done), &pods), Looked::Done { report, .. } if report.read::<Value>().is_ok()));
    // The Job's watch is ahead of that of its pods.
    assert_eq!(seen(&done, json!({"phase": "Running"})), Looked::Running);
    assert!(failure(look(Some(&done), &[])).may_pass(), "the report is lost, and is made again");
    for hostile in ["", "{", "null", &"x".repeat(5000)] {
        let failure = failure(seen(&done, ended(0, "Completed", hostile)));
        assert!(failure.may_pass() && failure.words().contains("cannot be read"), "{failure:?}");
    }
    assert_eq!(look(None, &[]), Looked::NotThere);
}

#[test]
fn a_job_that_has_failed_says_why_and_whether_it_may_pass() {
    let failed = job(over("Failed", "BackoffLimitExceeded"));
    let said = r#"{"outcome": "failed", "cause": "auth_failed", "message": "the bucket does not accept the key"}"#;
    let reported = failure(seen(&failed, ended(1, "Error", said)));
    assert_eq!(reported.cause(), Some(&Cause::AuthFailed));
    assert!(!reported.may_pass() && reported.words() == "auth_failed: the bucket does not accept the key");
    let passing = failure(seen(&failed, ended(1, "Error", r#"{"outcome": "failed", "cause": "unreachable"}"#)));
    assert!(passing.may_pass());
    for (status, may_pass, words) in [
        (ended(137, "OOMKilled", ""), true, "memory"),
        (ended(2, "Error", ""), false, "does not know the command"),
        (ended(1, "Error", "panicked"), true, "exit code 1 (Error) and no report"),
        (json!({"phase": "Failed", "reason": "Evicted", "message": "disk"}), true, "pod p: Evicted: disk"),
    ] {
        let failure = failure(seen(&failed, status));
        assert_eq!(failure.may_pass(), may_pass, "{failure:?}");
        assert!(failure.words().contains(words), "{failure:?}");
    }
    assert_eq!(seen(&failed, json!({"phase": "Running"})), Looked::Running);
    assert!(failure(look(Some(&failed), &[])).words().contains("said the Job"));
    let late = job(over("Failed", "DeadlineExceeded"));
    let stopped = r#"{"outcome": "failed", "cause": "stopped"}"#;
    assert_eq!(failure(seen(&late, ended(1, "Error", stopped))), Failure::Late);
    assert_eq!(failure(look(Some(&late), &[])), Failure::Late);
}

#[test]
fn a_job_that_does_not_start_says_what_it_waits_for() {
    let fresh = job(json!([]));
    let waiting = |reason: &str| {
        let state = container(json!({"waiting": {"reason": reason, "message": "back-off"}}));
        seen(&fresh, json!({"phase": "Pending", "containerStatuses": [state]}))
    };
    let reason = |looked: Looked| match looked {
        Looked::Pending { reason, .. } => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(waiting("ImagePullBackOff")), Some(ConditionReason::ImageUnavailable));
    assert_eq!(reason(waiting("CreateContainerConfigError")), Some(ConditionReason::ContainerNotCreated));
    assert_eq!(reason(waiting("ContainerCreating")), None);
    let unplaced = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"}]});
    assert_eq!(reason(seen(&fresh, unplaced)), Some(ConditionReason::Unschedulable));
    assert_eq!(reason(look(Some(&fresh), &[])), None);
    assert_eq!(seen(&fresh, json!({"phase": "Running"})), Looked::Running);
    let mut going = fresh.clone();
    going.metadata.deletion_timestamp = Some(Time(AT.parse().unwrap()));
    assert_eq!(reason(seen(&going, json!({"phase": "Running"}))), None);
}
