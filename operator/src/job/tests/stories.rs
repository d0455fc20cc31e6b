//! What a Job asks of the API server, told as stories.

use serde_json::{Value, json};

use super::{built, with_snapshots};
use crate::apply::stories::{Play, scene};
use crate::error::Error;
use crate::job::{Archive, Built, Made, Missing, create, missing, remove};
use crate::objects::ObjectId;

const ACCOUNT: &str = "/api/v1/namespaces/team-a/serviceaccounts";
const POLICY: &str = "/apis/networking.k8s.io/v1/namespaces/team-a/networkpolicies";
const CONFIG: &str = "/api/v1/namespaces/team-a/configmaps";
const JOB: &str = "/apis/batch/v1/namespaces/team-a/jobs";

fn whole() -> Built {
    built(&with_snapshots(""), None)
}

fn object() -> ObjectId {
    ObjectId { kind: "RagSnapshot", namespace: "team-a".into(), name: "nightly".into() }
}

fn answer(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "status": "Failure", "reason": reason, "code": code, "message": reason})
}

fn stored(object: &impl serde::Serialize) -> Value {
    let mut stored = json!(object);
    stored["metadata"]["uid"] = json!("made");
    stored["metadata"]["resourceVersion"] = json!("7");
    stored
}

/// The requests by which each part is made, with what has been stored of it.
fn parts() -> Vec<(&'static str, &'static str, Value)> {
    let Built { service_account, network_policy, config, job } = whole();
    vec![
        ("GET /api/v1/namespaces/team-a/serviceaccounts/nightly-take", ACCOUNT, stored(&service_account)),
        (
            "GET /apis/networking.k8s.io/v1/namespaces/team-a/networkpolicies/nightly-take",
            POLICY,
            stored(&network_policy.unwrap()),
        ),
        ("GET /api/v1/namespaces/team-a/configmaps/nightly-take", CONFIG, stored(&config)),
        ("GET /apis/batch/v1/namespaces/team-a/jobs/nightly-take", JOB, stored(&job)),
    ]
}

fn post(path: &str) -> &'static str {
    match path {
        ACCOUNT => "POST /api/v1/namespaces/team-a/serviceaccounts?&fieldManager=ragops.dev%2Fcore",
        POLICY => "POST /apis/networking.k8s.io/v1/namespaces/team-a/networkpolicies?&fieldManager=ragops.dev%2Fcore",
        CONFIG => "POST /api/v1/namespaces/team-a/configmaps?&fieldManager=ragops.dev%2Fcore",
        _ => "POST /apis/batch/v1/namespaces/team-a/jobs?&fieldManager=ragops.dev%2Fcore",
    }
}

/// Whoever was killed after any of the writes finds what it made, and makes the rest.
#[tokio::test]
async fn a_job_is_made_after_what_it_needs_wherever_it_was_cut_off_before() {
    for made_before in 0..=4 {
        let mut scenes = Vec::new();
        for (index, (get, path, stored)) in parts().into_iter().enumerate() {
            if index < made_before {
                scenes.push(scene(get, 200, stored));
            } else {
                scenes.push(scene(get, 404, answer(404, "NotFound")));
                scenes.push(scene(post(path), 201, stored));
            }
        }
        let play = Play::of(scenes);
        create(&play.context, &object(), &whole()).await.unwrap();
        play.end();
    }
}

#[tokio::test]
async fn a_namesake_of_somebody_elses_is_left_alone_and_one_of_a_snapshot_before_is_waited_for() {
    let (get, _, mut theirs) = parts().remove(0);
    theirs["metadata"]["ownerReferences"] = json!([]);
    let play = Play::of([scene(get, 200, theirs.clone())]);
    let refused = create(&play.context, &object(), &whole()).await.unwrap_err();
    assert!(
        matches!(&refused, Error::NameTaken { object, .. } if object == "ServiceAccount/nightly-take"),
        "{refused}"
    );
    play.end();
    theirs["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "ragops.dev/v1alpha1", "kind": "RagSnapshot", "name": "nightly", "uid": "of-another-life",
    }]);
    let play = Play::of([scene(get, 200, theirs)]);
    let refused = create(&play.context, &object(), &whole()).await.unwrap_err();
    assert!(matches!(&refused, Error::Leftover { .. }), "{refused}");
    play.end();
}

#[tokio::test]
async fn what_is_removed_is_what_was_seen_and_no_namesake() {
    let path = "DELETE /apis/batch/v1/namespaces/team-a/jobs/nightly-take?";
    for (code, reason) in [(200, "Success"), (404, "NotFound"), (409, "Conflict")] {
        let play = Play::of([scene(path, code, answer(code, reason))]);
        remove(&play.context, &object(), &[Made::job("nightly-take")]).await.unwrap();
        let body = play.end().remove(0);
        assert_eq!(body["preconditions"]["uid"], "uid-of-nightly-take");
        assert_eq!(body["propagationPolicy"], "Background");
    }
}

#[tokio::test]
async fn a_secret_or_a_claim_that_is_not_there_is_named_and_what_cannot_be_asked_for_is_no_finding() {
    let cluster = with_snapshots("");
    let of = |name: &str| Archive::of("handbook", cluster.spec.snapshots.as_ref(), Some(name)).unwrap();
    let bucket = "GET /api/v1/namespaces/team-a/secrets/bucket-key";
    let (age, signing) = ("GET /api/v1/namespaces/team-a/secrets/age", "GET /api/v1/namespaces/team-a/secrets/signing");
    let claim = "GET /api/v1/namespaces/team-a/persistentvolumeclaims/archive";
    let there = || json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "it"}});
    let gone = || answer(404, "NotFound");
    let play = Play::of([scene(bucket, 404, gone())]);
    let found = missing(&play.context, &cluster, &of("offsite")).await.unwrap();
    assert!(matches!(&found, Missing::Secret { name, .. } if name == "bucket-key"), "{found}");
    assert!(found.to_string().starts_with("spec.snapshots.destinations[offsite].s3.secretRef.name"), "{found}");
    play.end();
    let play =
        Play::of([scene(age, 200, there()), scene(signing, 403, answer(403, "Forbidden")), scene(claim, 404, gone())]);
    let found = missing(&play.context, &cluster, &of("near")).await.unwrap();
    assert_eq!(found, Missing::Claim { destination: "near".into(), name: "archive".into() });
    play.end();
    let play = Play::of([scene(age, 200, there()), scene(signing, 200, there()), scene(claim, 200, there())]);
    assert_eq!(missing(&play.context, &cluster, &of("near")).await, None);
    play.end();
}

#[tokio::test]
async fn the_operator_lets_itself_in_to_ask_a_job_how_far_it_is() {
    let mut scenes = Vec::new();
    for (get, path, stored) in parts() {
        scenes.push(scene(get, 404, answer(404, "NotFound")));
        scenes.push(scene(post(path), 201, stored));
    }
    let play = Play::of(scenes);
    create(&play.context, &object(), &whole()).await.unwrap();
    let operator = play.context.defaults.operator_namespace.clone();
    let bodies = play.end();
    let policy = bodies.iter().find(|body| body["spec"]["policyTypes"].is_array()).unwrap();
    let from = &policy["spec"]["ingress"][0]["from"][0]["namespaceSelector"]["matchLabels"];
    assert_eq!(from["kubernetes.io/metadata.name"], json!(operator));
    let job = bodies.iter().find(|body| body["spec"]["template"].is_object()).unwrap();
    let args = json!(job["spec"]["template"]["spec"]["containers"][0]["args"]).to_string();
    assert!(args.contains(r#""--progress","[::]:9090""#), "{args}");
}
