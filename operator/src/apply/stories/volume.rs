//! How a volume of the store is asked to grow, and its StatefulSet made again.

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
    let play =
        Play::of([scene(GROW, 200, claim), scene(GROW, 409, failure(409, "Conflict", "the object has been modified"))]);
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
