//! What a Job is made of, and how it is looked at.

mod looked;
mod made;
mod refused;
mod stories;

use std::sync::Arc;

use insta::assert_yaml_snapshot;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use super::{Archive, Built, Request, Servers, Unusable, attempt_name, attempt_number, build, servers};
use crate::api::RagCluster;
use crate::cluster::fixtures::{applied, cluster, nothing};

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
fn an_attempt_is_known_by_its_name() {
    for (name, number) in [("a-take", Some(1)), ("a-take-2", Some(2)), ("a-take-17", Some(17))] {
        assert_eq!(attempt_number("a-take", name), number);
        assert_eq!(number.map(|number| attempt_name("a-take", number)).as_deref(), Some(name));
    }
    for name in ["a", "a-take-1", "a-take-", "a-take-x", "a-takes", "b-take", "a-take-0"] {
        assert_eq!(attempt_number("a-take", name), None, "{name}");
    }
}
