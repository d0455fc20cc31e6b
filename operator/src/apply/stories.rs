//! How children are written, told as stories: what the API server is asked, in which order, and what it is not asked.

mod removal;
mod servers;
mod tolerance;
mod volume;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::writer::Writer;
use super::{Owner, remake, replace, write_autoscaler, write_deployment};
use crate::api::labels;
use crate::cluster::build::Replicas;
use crate::cluster::decide::volume::Growth;
use crate::cluster::observed::{ChildKind, ObjectRef, OperatorDefaults};
use crate::context::Context;
use crate::error::{Class, Error};
use crate::objects::ObjectId;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;

/// What one request is expected to be, and what it is answered with.
pub(crate) struct Scene {
    /// Method, path and query, with the field manager and force.
    request: &'static str,
    code: u16,
    answer: Value,
}

pub(crate) fn scene(request: &'static str, code: u16, answer: Value) -> Scene {
    Scene { request, code, answer }
}

fn not_found() -> Value {
    json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": "not found"})
}

/// An API server that plays the scenes in their order, and fails the test at a request that is not in them.
pub(crate) struct Play {
    scenes: Arc<Mutex<VecDeque<Scene>>>,
    bodies: Arc<Mutex<Vec<Value>>>,
    pub(crate) context: Context,
}

impl Play {
    pub(crate) fn of(scenes: impl IntoIterator<Item = Scene>) -> Self {
        let scenes = Arc::new(Mutex::new(scenes.into_iter().collect::<VecDeque<_>>()));
        let bodies: Arc<Mutex<Vec<Value>>> = Arc::default();
        let (left, seen) = (Arc::clone(&scenes), Arc::clone(&bodies));
        let service = tower::service_fn(move |request: http::Request<Body>| {
            let (left, seen) = (Arc::clone(&left), Arc::clone(&seen));
            async move {
                let asked = format!("{} {}", request.method(), request.uri());
                let body = request.into_body().collect_bytes().await?;
                seen.lock().unwrap().push(serde_json::from_slice(&body).unwrap_or_default());
                let scene = left.lock().unwrap().pop_front();
                let Some(scene) = scene.filter(|scene| scene.request == asked) else {
                    panic!("{asked} is not what comes next");
                };
                let answer = Body::from(serde_json::to_vec(&scene.answer)?);
                Ok::<_, tower::BoxError>(http::Response::builder().status(scene.code).body(answer)?)
            }
        });
        Self { scenes, bodies, context: context(Client::new(service, "ns")) }
    }

    fn writer(&self) -> Writer<'_> {
        let owner = Owner { name: "handbook", uid: "u1" };
        let object = ObjectId { kind: "RagCluster", namespace: "ns".to_owned(), name: "handbook".to_owned() };
        Writer { context: &self.context, object, owner, corrections: Vec::new(), refused: None }
    }

    /// The bodies that were sent, once every scene has been played.
    pub(crate) fn end(self) -> Vec<Value> {
        let left: Vec<&str> = self.scenes.lock().unwrap().iter().map(|scene| scene.request).collect();
        assert!(left.is_empty(), "never asked: {left:?}");
        std::mem::take(&mut *self.bodies.lock().unwrap())
    }
}

fn context(client: Client) -> Context {
    Context {
        client,
        defaults: OperatorDefaults {
            server_image: "server".into(),
            qdrant_image: "qdrant".into(),
            operator_namespace: "ns".into(),
            operator_labels: std::collections::BTreeMap::new(),
        },
        namespaces: std::collections::BTreeMap::new(),
        samples: Arc::default(),
        identity: "test".into(),
        metrics: Arc::new(crate::metrics::Metrics::new().unwrap()),
        memory: crate::memory::Memory::default(),
        resync: std::time::Duration::from_secs(600),
        now: jiff::Timestamp::now,
        began: std::time::Instant::now(),
    }
}

const CREATE: &str = "PATCH /api/v1/namespaces/ns/configmaps/handbook-live?&fieldManager=ragops.dev%2Fcore";
const CHANGE: &str = "PATCH /api/v1/namespaces/ns/configmaps/handbook-live?&force=true&fieldManager=ragops.dev%2Fcore";
const LOOK_UP: &str = "GET /api/v1/namespaces/ns/configmaps/handbook-live";

fn wanted() -> ConfigMap {
    let owner = json!({"apiVersion": "ragops.dev/v1alpha1", "kind": "RagCluster", "name": "handbook", "uid": "u1", "controller": true});
    let metadata = json!({"name": "handbook-live", "namespace": "ns", "ownerReferences": [owner]});
    serde_json::from_value(json!({"metadata": metadata, "data": {"live.toml": "read_only = false\n"}})).unwrap()
}

/// What the API server makes of `wanted` when the core manager applies it.
fn stored(version: u32) -> Value {
    let mut object = serde_json::to_value(wanted()).unwrap();
    object["metadata"]["uid"] = json!("c1");
    object["metadata"]["resourceVersion"] = json!(version.to_string());
    object["metadata"]["managedFields"] = json!([{
        "manager": "ragops.dev/core", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {"f:live.toml": {}}, "f:metadata": {"f:ownerReferences": {"k:{\"uid\":\"u1\"}": {}}}},
    }]);
    object
}

fn parsed<K: serde::de::DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).unwrap()
}

#[tokio::test]
async fn a_missing_child_is_looked_up_and_then_created_without_force() {
    let play = Play::of([scene(LOOK_UP, 404, not_found()), scene(CREATE, 201, stored(1))]);
    let created = play.writer().apply(&wanted(), None).await.unwrap();
    assert_eq!(created.metadata.uid.as_deref(), Some("c1"));
    let bodies = play.end();
    assert_eq!((&bodies[1]["kind"], &bodies[1]["apiVersion"]), (&json!("ConfigMap"), &json!("v1")));
}

#[tokio::test]
async fn a_namesake_of_somebody_elses_is_left_alone() {
    let mut namesake = stored(1);
    namesake["metadata"]["ownerReferences"] = json!([]);
    let play = Play::of([scene(LOOK_UP, 200, namesake)]);
    let refused = play.writer().apply(&wanted(), None).await.unwrap_err();
    assert!(matches!(&refused, Error::NameTaken { object, .. } if object == "ConfigMap/handbook-live"), "{refused}");
    play.end();
}

#[tokio::test]
async fn what_a_deleted_cluster_left_behind_is_waited_for() {
    let mut leftover = stored(1);
    leftover["metadata"]["ownerReferences"][0]["uid"] = json!("u0");
    let play = Play::of([scene(LOOK_UP, 200, leftover)]);
    let refused = play.writer().apply(&wanted(), None).await.unwrap_err();
    assert_eq!(refused.class(), Class::Transient);
    play.end();
}

#[tokio::test]
async fn a_child_that_is_as_wanted_causes_no_request() {
    let play = Play::of([]);
    play.writer().apply(&wanted(), Some(&parsed(stored(1)))).await.unwrap();
    play.end();
}

#[tokio::test]
async fn a_field_that_somebody_changed_is_put_back_and_told() {
    let mut edited = stored(2);
    edited["data"]["live.toml"] = json!("read_only = true\n");
    edited["metadata"]["managedFields"] = json!([
        {"manager": "ragops.dev/core", "operation": "Apply", "fieldsV1": {"f:data": {}}},
        {"manager": "kubectl-edit", "operation": "Update", "fieldsV1": {"f:data": {"f:live.toml": {}}}},
    ]);
    let play = Play::of([scene(CHANGE, 200, stored(3))]);
    let mut writer = play.writer();
    writer.apply(&wanted(), Some(&parsed(edited))).await.unwrap();
    let told = &writer.corrections[0];
    assert_eq!((told.object.as_str(), told.by.as_str()), ("ConfigMap/handbook-live", "kubectl-edit"));
    assert_eq!(told.fields, ["data.live.toml"]);
    play.end();
}

#[tokio::test]
async fn a_field_that_somebody_removed_is_put_back_and_told() {
    let mut emptied = stored(2);
    emptied["data"] = json!({});
    emptied["metadata"]["managedFields"][0]["fieldsV1"]["f:data"] = json!({});
    let play = Play::of([scene(CHANGE, 200, stored(3))]);
    let mut writer = play.writer();
    writer.apply(&wanted(), Some(&parsed(stored(1)))).await.unwrap();
    writer.apply(&wanted(), Some(&parsed(emptied))).await.unwrap();
    assert_eq!(writer.corrections[0].fields, ["data.live.toml"]);
    play.end();
}

#[tokio::test]
async fn a_cache_that_has_not_shown_our_own_write_accuses_nobody() {
    let (before, after) = ("read_only = false\n", "read_only = true\n");
    let with = |version: u32, text: &str| {
        let mut object = stored(version);
        object["data"]["live.toml"] = json!(text);
        object
    };
    let answers = [3, 3, 3, 7].map(|version| scene(CHANGE, 200, with(version, after)));
    let play = Play::of(answers);
    let mut writer = play.writer();
    let mut plan = wanted();
    plan.data = Some([("live.toml".to_owned(), after.to_owned())].into());
    for stale in [1, 1, 2] {
        writer.apply(&plan, Some(&parsed(with(stale, before)))).await.unwrap();
        assert!(writer.corrections.is_empty(), "version {stale} is older than our own write");
    }
    writer.apply(&plan, Some(&parsed(with(6, before)))).await.unwrap();
    assert_eq!(writer.corrections[0].fields, ["data.live.toml"]);
    play.end();
}

#[tokio::test]
async fn a_field_that_the_api_server_drops_is_applied_once_and_not_fought_over() {
    let dropped = |version: u32| {
        let mut object = stored(version);
        object["data"] = json!({});
        object
    };
    let play = Play::of([scene(CHANGE, 200, dropped(2))]);
    let mut writer = play.writer();
    writer.apply(&wanted(), Some(&parsed(dropped(1)))).await.unwrap();
    writer.apply(&wanted(), Some(&parsed(dropped(2)))).await.unwrap();
    play.end();
}

#[tokio::test]
async fn a_refused_write_says_which_verb_is_missing() {
    let forbidden = json!({"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "no"});
    let play = Play::of([scene(LOOK_UP, 404, not_found()), scene(CREATE, 403, forbidden)]);
    let refused = play.writer().apply(&wanted(), None).await.unwrap_err();
    assert_eq!(refused.class(), Class::Forbidden);
    assert!(refused.remedy().starts_with("grant patch on configmaps in namespace ns"), "{}", refused.remedy());
    play.end();
}

#[tokio::test]
async fn only_the_object_that_was_seen_is_removed() {
    let conflict = json!({"kind": "Status", "status": "Failure", "reason": "Conflict", "code": 409, "message": "uid"});
    let play = Play::of([scene("DELETE /api/v1/namespaces/ns/configmaps/old?", 409, conflict)]);
    let old = ObjectRef { kind: ChildKind::ConfigMap, name: "old".into(), uid: "seen".into() };
    play.writer().remove::<ConfigMap>(&old).await.unwrap();
    let bodies = play.end();
    assert_eq!(bodies[0]["preconditions"]["uid"], json!("seen"));
}

#[tokio::test]
async fn a_pod_of_the_store_goes_only_while_its_stateful_set_stands_as_it_was_seen() {
    let deleted = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "handbook-qdrant-0", "uid": "p1"}});
    let play = Play::of([scene("DELETE /api/v1/namespaces/ns/pods/handbook-qdrant-0?", 200, deleted)]);
    let pod = ObjectRef { kind: ChildKind::Pod, name: "handbook-qdrant-0".into(), uid: "p1".into() };
    let set = |generation: i64| -> StatefulSet {
        let spec = json!({"selector": {}, "template": {}});
        let metadata = json!({"name": "handbook-qdrant", "generation": generation});
        parsed(json!({"metadata": metadata, "spec": spec, "status": {"replicas": 1, "observedGeneration": 1}}))
    };
    let mut writer = play.writer();
    assert!(replace(&mut writer, &set(2), vec![pod.clone()]).await.unwrap().is_empty());
    assert_eq!(replace(&mut writer, &set(1), vec![pod.clone()]).await.unwrap(), [pod]);
    assert_eq!(play.end()[0]["preconditions"]["uid"], json!("p1"));
}
