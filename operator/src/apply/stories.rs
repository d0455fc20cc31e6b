//! How children are written, told as stories: what the API server is asked, in which order, and what it is not asked.

mod removal;

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

mod the_volume {
    use super::*;

    const GROW: &str =
        "PATCH /api/v1/namespaces/ns/persistentvolumeclaims/data-handbook-qdrant-0?&fieldManager=ragops.dev%2Fcore";
    const REMOVE: &str = "DELETE /apis/apps/v1/namespaces/ns/statefulsets/handbook-qdrant?";

    fn growth() -> Growth {
        let kind = ChildKind::PersistentVolumeClaim;
        Growth {
            claim: ObjectRef { kind, name: "data-handbook-qdrant-0".into(), uid: "v1".into() },
            version: "7".into(),
            from: "10Gi".into(),
            to: "50Gi".into(),
            class: "standard".into(),
            field: "spec.vectorStore.qdrant.storage",
        }
    }

    fn failure(code: u16, reason: &str, message: &str) -> Value {
        json!({"kind": "Status", "status": "Failure", "reason": reason, "code": code, "message": message})
    }

    #[tokio::test]
    async fn a_claim_is_asked_for_more_only_as_it_was_seen() {
        let claim = json!({"metadata": {"name": "data-handbook-qdrant-0", "uid": "v1", "resourceVersion": "8"}});
        let play = Play::of([
            scene(GROW, 200, claim),
            scene(GROW, 409, failure(409, "Conflict", "the object has been modified")),
        ]);
        let mut writer = play.writer();
        assert_eq!(writer.grow(growth()).await.unwrap(), Some(growth()));
        assert_eq!(writer.grow(growth()).await.unwrap_err().class(), Class::Conflict);
        assert_eq!(writer.refused, None);
        let bodies = play.end();
        let asked = json!({
            "metadata": {"resourceVersion": "7"}, "spec": {"resources": {"requests": {"storage": "50Gi"}}},
        });
        assert_eq!(bodies[0], asked);
    }

    #[tokio::test]
    async fn a_class_that_does_not_grow_and_a_full_quota_stop_nothing_and_are_noted() {
        let class = "persistentvolumeclaims \"data-handbook-qdrant-0\" is forbidden: only dynamically provisioned pvc can be \
                     resized and the storageclass that provisions the pvc must support resize";
        let quota = "persistentvolumeclaims \"data-handbook-qdrant-0\" is forbidden: exceeded quota: small";
        let invalid = "PersistentVolumeClaim \"data-handbook-qdrant-0\" is invalid";
        for (code, message) in [(403, class), (403, quota), (422, invalid)] {
            let play = Play::of([scene(GROW, code, failure(code, "Forbidden", message))]);
            let mut writer = play.writer();
            assert_eq!(writer.grow(growth()).await.unwrap(), None);
            let refused = writer.refused.take().unwrap();
            assert_eq!((&refused.growth, refused.said.as_str()), (&growth(), message));
            play.end();
        }
    }

    #[tokio::test]
    async fn a_missing_verb_is_no_refusal_of_the_size() {
        let message = "persistentvolumeclaims \"data-handbook-qdrant-0\" is forbidden: User \"operator\" cannot patch resource \
                       \"persistentvolumeclaims\" in API group \"\" in the namespace \"ns\"";
        let play = Play::of([scene(GROW, 403, failure(403, "Forbidden", message))]);
        let refused = play.writer().grow(growth()).await.unwrap_err();
        assert!(refused.remedy().starts_with("grant patch on persistentvolumeclaims"), "{}", refused.remedy());
        play.end();
    }

    #[tokio::test]
    async fn a_stateful_set_that_is_made_again_leaves_its_pod_and_goes_only_as_it_was_seen() {
        let play = Play::of([scene(REMOVE, 200, json!({"kind": "Status", "status": "Success"}))]);
        let seen = ObjectRef { kind: ChildKind::StatefulSet, name: "handbook-qdrant".into(), uid: "s1".into() };
        let set = |generation: i64| -> StatefulSet {
            let metadata = json!({"name": "handbook-qdrant", "generation": generation});
            let spec = json!({"selector": {}, "template": {}});
            parsed(json!({"metadata": metadata, "spec": spec, "status": {"replicas": 1, "observedGeneration": 1}}))
        };
        let mut writer = play.writer();
        assert_eq!(remake(&mut writer, &set(1), None).await.unwrap(), None);
        assert_eq!(remake(&mut writer, &set(2), Some(seen.clone())).await.unwrap(), None);
        assert_eq!(remake(&mut writer, &set(1), Some(seen.clone())).await.unwrap(), Some(seen));
        let bodies = play.end();
        assert_eq!(bodies[0]["propagationPolicy"], json!("Orphan"));
        assert_eq!(bodies[0]["preconditions"]["uid"], json!("s1"));
    }
}

mod the_number_of_servers {
    use super::*;

    const LOOK_UP: &str = "GET /apis/apps/v1/namespaces/ns/deployments/handbook-server";
    const CREATE: &str =
        "PATCH /apis/apps/v1/namespaces/ns/deployments/handbook-server?&fieldManager=ragops.dev%2Fcore";
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
        let owner =
            |manager: &str, fields: Value| json!({"manager": manager, "operation": "Apply", "fieldsV1": fields});
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
        let moved =
            json!({"kind": "Status", "status": "Failure", "reason": "Conflict", "code": 409, "message": "moved"});
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
}

mod the_tolerance_of_the_autoscaler {
    use super::*;

    const LOOK_UP: &str = "GET /apis/autoscaling/v2/namespaces/ns/horizontalpodautoscalers/handbook";
    const CREATE: &str =
        "PATCH /apis/autoscaling/v2/namespaces/ns/horizontalpodautoscalers/handbook?&fieldManager=ragops.dev%2Fcore";
    const CHANGE: &str = "PATCH /apis/autoscaling/v2/namespaces/ns/horizontalpodautoscalers/handbook?&force=true&fieldManager=ragops.dev%2Fcore";
    const VERSION: &str = "GET /version";

    const TOLERANCE: &str = "/spec/behavior/scaleDown/tolerance";

    fn wanted() -> HorizontalPodAutoscaler {
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "handbook-server"});
        let spec =
            json!({"maxReplicas": 20, "scaleTargetRef": target, "behavior": {"scaleDown": {"tolerance": "715m"}}});
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
}
