//! What a Job is made of, and how it is looked at.

use std::sync::Arc;

use insta::assert_yaml_snapshot;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use super::*;
use crate::api::{ConditionReason, RagCluster, labels};
use crate::cluster::build::config::CONFIG_FILE;
use crate::cluster::fixtures::{EMBEDDED, EXTERNAL, applied, cluster, nothing};
use crate::snapshot::report::Cause;

/// A spec with a bucket, a volume, encryption and signatures.
const SNAPSHOTS: &str = "snapshots: {
    destinations: [
      {name: offsite, s3: {bucket: archive, endpoint: 'http://seaweedfs.storage.svc:8333', secretRef: {name: bucket-key}, caKey: ca.crt}},
      {name: near, volume: {claimName: archive}},
      {name: cloud, s3: {bucket: archive, prefix: rag, secretRef: {name: bucket-key}}}],
    encryption: {secretRef: {name: age}}, signing: {secretRef: {name: signing}}}";

pub(crate) fn with_snapshots(rest: &str) -> RagCluster {
    cluster(&format!("{{{SNAPSHOTS}{rest}}}"))
}

pub(crate) fn servers_after_a_pass(cluster: &RagCluster) -> Result<Servers, Unusable> {
    let live = applied(cluster, &nothing()).children;
    let configs: Vec<Arc<ConfigMap>> = live.configs.into_iter().map(Arc::new).collect();
    servers(cluster, live.deployment.as_ref(), &configs)
}

fn nightly() -> OwnerReference {
    OwnerReference {
        api_version: "ragops.dev/v1alpha1".into(),
        kind: "RagSnapshot".into(),
        name: "nightly".into(),
        uid: "s1".into(),
        controller: Some(true),
        block_owner_deletion: None,
    }
}

fn built(cluster: &RagCluster, destination: Option<&str>) -> Built {
    let servers = servers_after_a_pass(cluster).unwrap();
    let archive = Archive::of("handbook", cluster.spec.snapshots.as_ref(), destination).unwrap();
    build(&Request {
        name: "nightly-take".into(),
        owner: nightly(),
        servers: &servers,
        archive: &archive,
        args: ["snapshot", "create", "nightly"].map(str::to_owned).to_vec(),
        deadline_seconds: 3600,
        retries: 0,
    })
}

fn sorted(object: &impl serde::Serialize) -> Value {
    let mut json = json!(object);
    json.sort_all_objects();
    json
}

#[test]
fn a_job_is_the_servers_pod_with_another_command_and_the_keys_of_the_archive() {
    let Built { service_account, network_policy, job, .. } = built(&with_snapshots(""), None);
    assert_yaml_snapshot!("job", sorted(&job));
    assert_yaml_snapshot!("network_policy", sorted(&network_policy.unwrap().spec));
    assert_eq!(service_account.automount_service_account_token, Some(false));
}

#[test]
fn what_selects_servers_or_their_store_selects_no_job() {
    let cluster = with_snapshots("");
    let children = crate::cluster::fixtures::pass(&cluster, &nothing()).2;
    let job = built(&cluster, None).job;
    let pods = job.spec.unwrap().template.metadata.unwrap().labels.unwrap();
    let policy = children.network_policy.unwrap().spec.unwrap().pod_selector.unwrap();
    let budget = children.disruption_budget.spec.unwrap().selector.unwrap();
    let set = children.qdrant.unwrap();
    let service = children.service.spec.unwrap().selector.unwrap();
    let selectors = [
        children.deployment.spec.selector.match_labels.unwrap(),
        policy.match_labels.unwrap(),
        budget.match_labels.unwrap(),
        service,
        set.stateful_set.spec.selector.match_labels.unwrap(),
        set.service.spec.unwrap().selector.unwrap(),
    ];
    for selector in selectors {
        assert!(!selector.iter().all(|(key, value)| pods.get(key) == Some(value)), "{selector:?}");
    }
    // And the store lets it in.
    let ingress = json!(set.network_policy.unwrap().spec.unwrap().ingress);
    let peers = ingress[0]["from"].as_array().unwrap();
    let lets_in = |peer: &Value| {
        let labels = peer["podSelector"]["matchLabels"].as_object().unwrap();
        labels.iter().all(|(key, value)| pods.get(key).map(String::as_str) == value.as_str())
    };
    assert!(peers.iter().any(lets_in), "{ingress}");
}

#[test]
fn a_cluster_without_snapshots_lets_nobody_else_into_its_store() {
    let children = crate::cluster::fixtures::pass(&cluster("{}"), &nothing()).2;
    let ingress = children.qdrant.unwrap().network_policy.unwrap().spec.unwrap().ingress.unwrap();
    assert_eq!(ingress[0].from.as_ref().unwrap().len(), 1);
}

#[test]
fn a_jobs_configuration_is_the_servers_and_then_the_archive() {
    let cluster = with_snapshots("");
    let of_servers = servers_after_a_pass(&cluster).unwrap().config;
    for (destination, expected) in [
        (
            Some("offsite"),
            "s3.bucket = archive, s3.prefix = team-a/handbook, s3.endpoint = http://seaweedfs.storage.svc:8333, s3.region = \
             us-east-1, s3.access_key_id_file = /etc/rag/archive/access-key-id, s3.secret_access_key_file = \
             /etc/rag/archive/secret-access-key, s3.ca_file = /etc/rag/archive/ca.crt",
        ),
        (Some("near"), "folder.path = /var/lib/rag/archive/team-a/handbook"),
        (
            Some("cloud"),
            "s3.bucket = archive, s3.prefix = rag, s3.region = us-east-1, s3.access_key_id_file = \
             /etc/rag/archive/access-key-id, s3.secret_access_key_file = /etc/rag/archive/secret-access-key",
        ),
    ] {
        let config = built(&cluster, destination).config;
        assert_eq!(config.immutable, Some(true));
        let bytes = &config.data.unwrap()[CONFIG_FILE];
        let table = bytes.strip_prefix(&of_servers).unwrap();
        let parsed: toml::Table = bytes.parse().unwrap();
        assert_eq!(parsed.len(), of_servers.parse::<toml::Table>().unwrap().len() + 1, "{table}");
        let snapshots = parsed["snapshots"].as_table().unwrap();
        let values = |kind: &str| {
            let table = snapshots.get(kind).and_then(toml::Value::as_table);
            let line = |(key, value): (&String, &toml::Value)| format!("{kind}.{key} = {}", value.as_str().unwrap());
            table.into_iter().flatten().map(line).collect::<Vec<_>>()
        };
        let mut found = [values("s3"), values("folder")].concat();
        let mut expected: Vec<String> = expected.split(", ").map(str::to_owned).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(snapshots["signing_key_file"].as_str(), Some("/etc/rag/signing/key"));
    }
}

#[test]
fn a_volume_is_mounted_for_writing_and_a_policy_lets_a_job_out_to_what_it_needs_alone() {
    let cluster = with_snapshots(", cache: {redis: {url: 'redis://redis.caches.svc:6379'}}");
    let Built { job, network_policy, .. } = built(&cluster, Some("near"));
    let pod = job.spec.unwrap().template.spec.unwrap();
    let volume = pod.volumes.unwrap().into_iter().find(|volume| volume.name == "archive").unwrap();
    assert_eq!(volume.persistent_volume_claim.unwrap().claim_name, "archive");
    let mounts = pod.containers[0].volume_mounts.as_ref().unwrap();
    assert_eq!(mounts.iter().find(|mount| mount.name == "archive").unwrap().read_only, None);
    let egress = json!(network_policy.unwrap().spec.unwrap().egress).to_string();
    assert!(!egress.contains("caches") && egress.contains("6334"), "{egress}");
    let without = with_snapshots(", networkPolicy: {enabled: false}");
    assert_eq!(built(&without, None).network_policy, None);
}

#[test]
fn a_store_and_a_database_of_others_are_let_out_to() {
    let spec = format!("{EXTERNAL}\nrecords: {{postgres: {{secretRef: {{name: db}}, port: 6543}}}}\n{SNAPSHOTS}");
    let Built { network_policy, .. } = built(&cluster(&spec), Some("cloud"));
    let egress = json!(network_policy.unwrap().spec.unwrap().egress);
    assert_eq!(
        egress[1],
        json!({"ports": [{"port": 443, "protocol": "TCP"}, {"port": 6334, "protocol": "TCP"}, {"port": 6543, "protocol": "TCP"}]})
    );
}

#[test]
fn a_corpus_inside_the_server_and_servers_that_are_not_made_say_so() {
    let embedded = servers_after_a_pass(&cluster(EMBEDDED)).unwrap_err();
    assert!(matches!(embedded, Unusable::Embedded { .. }) && embedded.to_string().contains("vectorStore.qdrant"));
    let none = servers(&cluster("{}"), None, &[]).unwrap_err();
    assert_eq!(none, Unusable::NotMade { cluster: "handbook".into() });
    let live = applied(&cluster("{}"), &nothing()).children;
    let mut config = live.configs[0].clone();
    config.data.as_mut().unwrap().insert(CONFIG_FILE.into(), "vector_store = 7".into());
    let unreadable = servers(&cluster("{}"), live.deployment.as_ref(), &[Arc::new(config)]).unwrap_err();
    assert!(unreadable.to_string().contains("handbook-config-"), "{unreadable}");
}

#[test]
fn a_destination_that_is_not_there_is_named_with_those_that_are() {
    let cluster = with_snapshots("");
    let of = |name: Option<&str>| Archive::of("handbook", cluster.spec.snapshots.as_ref(), name);
    assert_eq!(of(None).unwrap().destination.name, "offsite");
    assert_eq!(of(Some("near")).unwrap().place("team-a", "handbook"), "volume archive, folder team-a/handbook");
    assert_eq!(of(None).unwrap().place("team-a", "handbook"), "s3://archive/team-a/handbook");
    let unknown = of(Some("far")).unwrap_err().to_string();
    assert!(unknown.contains("\"far\"") && unknown.contains("offsite, near, cloud"), "{unknown}");
    assert!(matches!(Archive::of("handbook", None, None), Err(NoDestination::None { .. })));
}

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
    going.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(AT.parse().unwrap()));
    assert_eq!(reason(seen(&going, json!({"phase": "Running"}))), None);
}

#[test]
fn what_was_made_for_a_job_names_its_owner_and_goes_with_it() {
    let Built { service_account, network_policy, config, job } = built(&with_snapshots(""), None);
    for metadata in [&service_account.metadata, &network_policy.unwrap().metadata, &config.metadata, &job.metadata] {
        assert_eq!(metadata.name.as_deref(), Some("nightly-take"));
        assert_eq!(metadata.owner_references.as_deref(), Some([nightly()].as_slice()));
        let labels = metadata.labels.as_ref().unwrap();
        assert_eq!((labels[labels::OWNER_KIND].as_str(), labels[labels::OWNER].as_str()), ("RagSnapshot", "nightly"));
    }
}

mod stories {
    use super::*;
    use crate::apply::stories::{Play, scene};
    use crate::error::Error;
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
            POLICY => {
                "POST /apis/networking.k8s.io/v1/namespaces/team-a/networkpolicies?&fieldManager=ragops.dev%2Fcore"
            }
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
}

#[test]
fn an_attempt_is_known_by_its_name() {
    for (name, number) in [("a-take", Some(1)), ("a-take-2", Some(2)), ("a-take-17", Some(17))] {
        assert_eq!(attempt_number("a-take", name), number);
        assert_eq!(number.map(|number| attempt_name("a-take", number)).as_deref(), Some(name));
    }
    for name in ["a", "a-take-1", "a-take-", "a-take-x", "a-takes", "b-take", "a-take-0"] {
        assert_eq!(attempt_number("a-take", name), None, "{name}");
    }
}
