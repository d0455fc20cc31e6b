//! The autoscaler's tolerance.

use super::*;

const LOOK_UP: &str = "GET /apis/autoscaling/v2/namespaces/ns/horizontalpodautoscalers/handbook";
const CREATE: &str =
    "PATCH /apis/autoscaling/v2/namespaces/ns/horizontalpodautoscalers/handbook?&fieldManager=ragops.dev%2Fcore";
const CHANGE: &str = "PATCH /apis/autoscaling/v2/namespaces/ns/horizontalpodautoscalers/handbook?&force=true&fieldManager=ragops.dev%2Fcore";
const VERSION: &str = "GET /version";

const TOLERANCE: &str = "/spec/behavior/scaleDown/tolerance";

fn wanted() -> HorizontalPodAutoscaler {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "handbook-server"});
    let spec = json!({"maxReplicas": 20, "scaleTargetRef": target, "behavior": {"scaleDown": {"tolerance": "715m"}}});
    parsed(json!({"metadata": {"name": "handbook", "namespace": "ns"}, "spec": spec}))
}

fn stored(version: u32) -> Value {
    let mut object = serde_json::to_value(wanted()).unwrap();
    object["metadata"]["uid"] = json!("a1");
    object["metadata"]["resourceVersion"] = json!(version.to_string());
    let fields = json!({"f:spec": {
        "f:maxReplicas": {}, "f:scaleTargetRef": {}, "f:behavior": {"f:scaleDown": {"f:tolerance": {}}},
    }});
    object["metadata"]["managedFields"] =
        json!([{"manager": "ragops.dev/core", "operation": "Apply", "fieldsV1": fields}]);
    object
}

/// As an API server without the field keeps it, and as one shows it that somebody has removed it from.
fn bare(version: u32) -> Value {
    let mut object = stored(version);
    object["spec"]["behavior"]["scaleDown"] = json!({});
    object["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:behavior"] = json!({"f:scaleDown": {}});
    object
}

fn noted(version: u32) -> Value {
    let mut object = bare(version);
    object["metadata"]["annotations"] = json!({(labels::TOLERANCE_DROPPED): "v1.34.2"});
    object["metadata"]["managedFields"][0]["fieldsV1"]["f:metadata"] =
        json!({"f:annotations": {"f:ragops.dev/tolerance-dropped": {}}});
    object
}

fn server() -> Value {
    json!({
        "major": "1", "minor": "34", "gitVersion": "v1.34.2", "gitCommit": "", "gitTreeState": "", "buildDate": "",
        "goVersion": "", "compiler": "", "platform": "",
    })
}

async fn write(writer: &mut Writer<'_>, live: Option<Value>) {
    let live = live.map(parsed::<HorizontalPodAutoscaler>);
    write_autoscaler(writer, Some(wanted()), live.as_ref()).await.unwrap();
}

#[tokio::test]
async fn one_that_the_answer_lacks_is_noted_beside_the_version_that_dropped_it() {
    let play = Play::of([
        scene(LOOK_UP, 404, not_found()),
        scene(CREATE, 201, bare(1)),
        scene(VERSION, 200, server()),
        scene(CHANGE, 200, noted(2)),
    ]);
    let mut writer = play.writer();
    write(&mut writer, None).await;
    assert!(writer.corrections.is_empty(), "{:?}", writer.corrections);
    let bodies = play.end();
    assert_eq!(bodies[1].pointer(TOLERANCE), Some(&json!("715m")));
    assert_eq!(bodies[3].pointer(TOLERANCE), None);
    assert_eq!(bodies[3]["metadata"]["annotations"], json!({(labels::TOLERANCE_DROPPED): "v1.34.2"}));
}

#[tokio::test]
async fn one_that_somebody_removed_is_put_back_and_told_and_not_taken_for_dropped() {
    let play = Play::of([scene(CHANGE, 200, stored(3))]);
    let mut writer = play.writer();
    write(&mut writer, Some(stored(1))).await;
    write(&mut writer, Some(bare(2))).await;
    assert_eq!(writer.corrections[0].object, "HorizontalPodAutoscaler/handbook");
    let bodies = play.end();
    assert_eq!(bodies[0].pointer(TOLERANCE), Some(&json!("715m")));
}

#[tokio::test]
async fn a_newer_api_server_that_keeps_it_loses_the_note_and_is_asked_once() {
    let play = Play::of([scene(CHANGE, 200, stored(3))]);
    write(&mut play.writer(), Some(noted(2))).await;
    let bodies = play.end();
    assert_eq!(bodies[0]["metadata"]["annotations"], Value::Null);
}
