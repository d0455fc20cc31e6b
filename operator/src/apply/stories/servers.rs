//! The number of servers.

use super::*;

const LOOK_UP: &str = "GET /apis/apps/v1/namespaces/ns/deployments/handbook-server";
const CREATE: &str = "PATCH /apis/apps/v1/namespaces/ns/deployments/handbook-server?&fieldManager=ragops.dev%2Fcore";
const SCALE: &str =
    "PATCH /apis/apps/v1/namespaces/ns/deployments/handbook-server?&force=true&fieldManager=ragops.dev%2Fscaling";
const CHANGE: &str =
    "PATCH /apis/apps/v1/namespaces/ns/deployments/handbook-server?&force=true&fieldManager=ragops.dev%2Fcore";

fn wanted() -> Deployment {
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}});
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template});
    parsed(json!({"metadata": {"name": "handbook-server", "namespace": "ns"}, "spec": spec}))
}

/// A live Deployment with this many servers, the number being owned by these managers.
fn stored(replicas: i32, owners: &[&str]) -> Value {
    let mut object = serde_json::to_value(wanted()).unwrap();
    object["spec"]["replicas"] = json!(replicas);
    object["metadata"]["uid"] = json!("d1");
    object["metadata"]["resourceVersion"] = json!("1");
    let owner = |manager: &str, fields: Value| json!({"manager": manager, "operation": "Apply", "fieldsV1": fields});
    let mut core = json!({"f:spec": {"f:selector": {}, "f:template": {"f:metadata": {"f:labels": {"f:a": {}}}}}});
    let mut entries = Vec::new();
    for manager in owners {
        match *manager {
            "ragops.dev/core" => core["f:spec"]["f:replicas"] = json!({}),
            other => entries.push(owner(other, json!({"f:spec": {"f:replicas": {}}}))),
        }
    }
    entries.push(owner("ragops.dev/core", core));
    object["metadata"]["managedFields"] = json!(entries);
    object
}

fn replicas(count: i32) -> Replicas {
    Replicas { deployment: "handbook-server".into(), count }
}

#[tokio::test]
async fn a_new_deployment_starts_with_the_floor_and_its_number_is_handed_over() {
    let play = Play::of([
        scene(LOOK_UP, 404, not_found()),
        scene(CREATE, 201, stored(3, &["ragops.dev/core"])),
        scene(SCALE, 200, stored(3, &["ragops.dev/core", "ragops.dev/scaling"])),
        scene(CHANGE, 200, stored(3, &["ragops.dev/scaling"])),
    ]);
    write_deployment(&mut play.writer(), wanted(), Some(&replicas(3)), None).await.unwrap();
    let bodies = play.end();
    let counts: Vec<&Value> = bodies[1..].iter().map(|body| &body["spec"]["replicas"]).collect();
    assert_eq!(counts, [&json!(3), &json!(3), &Value::Null]);
    assert_eq!(bodies[2]["spec"], json!({"replicas": 3}));
    assert_eq!(bodies[2]["metadata"]["resourceVersion"], Value::Null, "nothing is newer than the answer");
}

#[tokio::test]
async fn a_handover_that_was_cut_off_is_finished_without_losing_the_number() {
    let play = Play::of([
        scene(SCALE, 200, stored(3, &["ragops.dev/core", "ragops.dev/scaling"])),
        scene(CHANGE, 200, stored(3, &["ragops.dev/scaling"])),
    ]);
    let live = parsed(stored(3, &["ragops.dev/core"]));
    write_deployment(&mut play.writer(), wanted(), None, Some(&live)).await.unwrap();
    let bodies = play.end();
    assert_eq!(bodies[0]["spec"], json!({"replicas": 3}));
    assert_eq!(bodies[0]["metadata"]["resourceVersion"], json!("1"));
}

#[tokio::test]
async fn a_raised_floor_takes_no_servers_away_that_the_cache_has_not_shown() {
    let moved = json!({"kind": "Status", "status": "Failure", "reason": "Conflict", "code": 409, "message": "moved"});
    let play = Play::of([scene(SCALE, 409, moved)]);
    let live = parsed(stored(4, &["kube-controller-manager"]));
    let refused = write_deployment(&mut play.writer(), wanted(), Some(&replicas(10)), Some(&live)).await;
    assert_eq!(refused.unwrap_err().class(), Class::Conflict);
    assert_eq!(play.end()[0]["metadata"]["resourceVersion"], json!("1"));
}

#[tokio::test]
async fn a_raised_floor_is_no_correction_of_the_autoscaler() {
    let play = Play::of([scene(SCALE, 200, stored(10, &["ragops.dev/scaling"]))]);
    let mut writer = play.writer();
    let live = parsed(stored(4, &["kube-controller-manager"]));
    write_deployment(&mut writer, wanted(), Some(&replicas(10)), Some(&live)).await.unwrap();
    assert!(writer.corrections.is_empty(), "{:?}", writer.corrections);
    play.end();
}

#[tokio::test]
async fn the_autoscalers_number_is_not_touched() {
    let play = Play::of([]);
    let live = parsed(stored(7, &["kube-controller-manager"]));
    write_deployment(&mut play.writer(), wanted(), None, Some(&live)).await.unwrap();
    play.end();
}

#[tokio::test]
async fn a_number_set_by_hand_is_put_back_where_no_autoscaler_owns_it() {
    let play = Play::of([scene(SCALE, 200, stored(5, &["ragops.dev/scaling"]))]);
    let mut writer = play.writer();
    let live = parsed(stored(9, &["kubectl"]));
    write_deployment(&mut writer, wanted(), Some(&replicas(5)), Some(&live)).await.unwrap();
    assert_eq!(writer.corrections[0].by, "kubectl");
    play.end();
}
