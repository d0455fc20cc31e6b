//! Clusters and facts for tests: minimal YAML, chainable changes, and a world that takes up what is built.
//!
//! The cluster is called `handbook`, so that a label that should name the product and names the instance fails.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DeploymentStatus, StatefulSetStatus};
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateWaiting, ContainerStatus, PersistentVolumeClaim,
    PersistentVolumeClaimStatus, Pod, PodCondition, PodStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference, Time};

use super::build::{Children, Prepared, build, config, metadata};
use super::decide::volume::Growth;
use super::decide::{Plan, decide};
use super::observed::{
    Answer, Entropy, Kept, LiveChildren, Observed, OperatorDefaults, OwnSecrets, Reported, ServerReport, Snapshot,
    SnapshotState,
};
use super::validate::{ValidatedCluster, validate};
use crate::api::{Credential, Generation, RagCluster, labels};

/// The time of a first pass.
pub(crate) const NOW: &str = "2026-11-21T08:00:00Z";

/// A cluster with the given spec, in YAML.
pub(crate) fn cluster(spec: &str) -> RagCluster {
    let spec: serde_json::Value = serde_yaml_ng::from_str(spec).unwrap();
    let object = serde_json::json!({
        "apiVersion": "ragops.dev/v1alpha1",
        "kind": "RagCluster",
        "metadata": {"name": "handbook", "namespace": "team-a", "uid": "c0ffee00-0000-4000-8000-000000000001", "generation": 1},
        "spec": spec,
    });
    serde_json::from_value(object).unwrap()
}

/// A spec that asks for the embedded store.
pub(crate) const EMBEDDED: &str =
    "{profile: Development, replicas: 1, autoscaling: {enabled: false}, vectorStore: {embedded: {}}}";

/// A spec that names a Qdrant of somebody else's.
pub(crate) const EXTERNAL: &str = "vectorStore:
  externalQdrant: {url: 'https://qdrant.example.com:6334', apiKeySecretRef: {name: qdrant-cloud}, collection: shared}";

/// Facts in which nothing exists yet.
pub(crate) fn nothing() -> Observed {
    Observed {
        now: NOW.parse().unwrap(),
        entropy: Entropy([7; 32]),
        defaults: OperatorDefaults {
            server_image: "example.com/rag-server:0.1.0".to_owned(),
            qdrant_image: "example.com/qdrant:1.20.0".to_owned(),
            operator_namespace: "ragops-system".to_owned(),
            operator_labels: BTreeMap::new(),
        },
        server_version: None,
        children: LiveChildren::default(),
        foreign: Vec::new(),
        referenced_secrets: BTreeMap::new(),
        approvals: Vec::new(),
        procedures: Vec::new(),
        snapshots: Vec::new(),
        readings: Vec::new(),
        removals: Vec::new(),
        restores: Vec::new(),
        server_pods: Vec::new(),
        qdrant_pods: Vec::new(),
        reports: BTreeMap::new(),
    }
}

impl Observed {
    /// The same facts, some seconds later, with fresh randomness.
    pub(crate) fn later(mut self, seconds: i64) -> Self {
        self.now = self.now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap();
        self.entropy.0[0] = self.entropy.0[0].wrapping_add(1);
        self
    }
}

/// One pass: valid, planned, built.
pub(crate) fn pass(cluster: &RagCluster, observed: &Observed) -> (ValidatedCluster, Plan, Children<Prepared>) {
    let valid = validate(cluster, observed).unwrap();
    let plan = decide(&valid, observed);
    let children = build(&valid, &plan, observed);
    (valid, plan, children)
}

/// The facts after everything that was built has been applied, pruned and become ready.
pub(crate) fn applied(cluster: &RagCluster, observed: &Observed) -> Observed {
    let (valid, _, children) = pass(cluster, observed);
    let mut world = observed.clone();
    take_up(&mut world.children, children);
    settle(&mut world, &valid);
    world
}

fn uid(metadata: &mut ObjectMeta) {
    metadata.uid = metadata.name.as_ref().map(|name| format!("uid-of-{name}"));
}

fn take_up(live: &mut LiveChildren, children: Children<Prepared>) {
    let Children { service_account, minted, server_secret, client_keys, revision, config, live: settings, .. } =
        children.clone();
    let Children { network_policy, data_claim, qdrant, deployment, replicas, disruption_budget, autoscaler, .. } =
        children.clone();
    live.service_account = Some(service_account);
    live.corpus = Some(children.corpus);
    store_secrets(&mut live.secrets, minted, server_secret, client_keys);
    live.revisions.retain(|existing| existing.metadata.name != revision.metadata.name);
    live.revisions.push(revision);
    live.configs.retain(|existing| existing.metadata.name != config.metadata.name);
    live.configs.push(config);
    live.live = Some(settings);
    live.network_policy = network_policy.or(live.network_policy.take());
    live.data_claim = data_claim.map(bound);
    let before = live.deployment.take().and_then(|before| before.spec.replicas);
    let mut deployment = deployment;
    deployment.spec.replicas = replicas.map(|replicas| replicas.count).or(before).or(Some(1));
    live.deployment = Some(deployment);
    live.disruption_budget = Some(disruption_budget);
    live.autoscaler = autoscaler.or(live.autoscaler.take());
    live.service = Some(children.service);
    live.management = children.management.or(live.management.take());
    if let Some(qdrant) = qdrant {
        live.secrets.qdrant = qdrant.secret.or(live.secrets.qdrant.take());
        live.revisions.retain(|existing| existing.metadata.name != qdrant.revision.metadata.name);
        live.revisions.push(qdrant.revision);
        live.qdrant_bootstrap = Some(qdrant.bootstrap);
        live.qdrant_disruption_budget = Some(qdrant.disruption_budget);
        live.qdrant_peers = Some(qdrant.peers);
        live.qdrant_service = Some(qdrant.service);
        let template = &qdrant.stateful_set.spec.volume_claim_templates.as_ref().unwrap()[0];
        live.qdrant_claim.get_or_insert_with(|| {
            let name = Some("data-handbook-qdrant-0".to_owned());
            bound(PersistentVolumeClaim { metadata: ObjectMeta { name, ..ObjectMeta::default() }, ..template.clone() })
        });
        live.qdrant_stateful_set = Some(qdrant.stateful_set).filter(|_| qdrant.remade.is_none());
        live.qdrant_network_policy = qdrant.network_policy.or(live.qdrant_network_policy.take());
    }
    if let Some(growth) = &children.growth {
        grow(live, growth);
    }
    let gone = |metadata: &ObjectMeta| children.prune.iter().any(|pruned| metadata.uid.as_ref() == Some(&pruned.uid));
    live.autoscaler.take_if(|object| gone(&object.metadata));
    live.network_policy.take_if(|object| gone(&object.metadata));
    live.qdrant_network_policy.take_if(|object| gone(&object.metadata));
    live.configs.retain(|object| !gone(&object.metadata));
    live.revisions.retain(|object| !gone(&object.metadata));
    live.secrets.client_keys.retain(|_, object| !gone(&object.metadata));
    live.secrets.generations.retain(|_, object| !gone(&object.metadata));
    live.configs.iter_mut().for_each(|object| uid(&mut object.metadata));
    live.revisions.iter_mut().for_each(|object| uid(&mut object.metadata));
    live.autoscaler.iter_mut().for_each(|object| uid(&mut object.metadata));
    live.management.iter_mut().for_each(|object| uid(&mut object.metadata));
    live.network_policy.iter_mut().for_each(|object| uid(&mut object.metadata));
    live.qdrant_network_policy.iter_mut().for_each(|object| uid(&mut object.metadata));
}

/// A claim that has a volume.
fn bound(mut claim: PersistentVolumeClaim) -> PersistentVolumeClaim {
    uid(&mut claim.metadata);
    claim.metadata.resource_version = Some("1".to_owned());
    let spec = claim.spec.get_or_insert_default();
    spec.storage_class_name.get_or_insert_with(|| "standard".to_owned());
    claim.status = Some(PersistentVolumeClaimStatus {
        phase: Some("Bound".to_owned()),
        capacity: spec.resources.as_ref().unwrap().requests.clone(),
        ..PersistentVolumeClaimStatus::default()
    });
    claim
}

/// The volume is as large as was asked for.
fn grow(live: &mut LiveChildren, growth: &Growth) {
    let mut claims = [&mut live.data_claim, &mut live.qdrant_claim].into_iter().flatten();
    let claim = claims.find(|claim| claim.metadata.name.as_ref() == Some(&growth.claim.name)).unwrap();
    let size = BTreeMap::from([("storage".to_owned(), Quantity(growth.to.clone()))]);
    claim.status.as_mut().unwrap().capacity = Some(size.clone());
    claim.spec.as_mut().unwrap().resources.as_mut().unwrap().requests = Some(size);
}

type Secrets = Vec<k8s_openapi::api::core::v1::Secret>;

fn store_secrets(
    live: &mut OwnSecrets,
    minted: Secrets,
    server: Option<k8s_openapi::api::core::v1::Secret>,
    client_keys: Secrets,
) {
    for mut secret in minted {
        uid(&mut secret.metadata);
        let name = secret.metadata.labels.as_ref().unwrap()[labels::CREDENTIAL].clone();
        let credential = match name.as_str() {
            "operator" => Credential::Operator,
            "vector-store" => Credential::VectorStore,
            client => {
                Credential::ApiKey(crate::api::ClientName::parse(client.strip_prefix("api-key-").unwrap()).unwrap())
            }
        };
        // A name that exists is not created again.
        live.generations.entry((credential, Generation::FIRST)).or_insert(secret);
    }
    for mut secret in client_keys {
        uid(&mut secret.metadata);
        let client = secret.metadata.name.as_ref().unwrap().strip_prefix("handbook-key-").unwrap().to_owned();
        live.client_keys.insert(crate::api::ClientName::parse(&client).unwrap(), secret);
    }
    live.server = server.or(live.server.take());
}

/// Every server is ready and reports what was rendered for it.
fn settle(world: &mut Observed, valid: &ValidatedCluster) {
    let deployment = world.children.deployment.as_mut().unwrap();
    let count = deployment.spec.replicas.unwrap();
    deployment.metadata.generation = Some(1);
    deployment.status = Some(DeploymentStatus {
        observed_generation: Some(1),
        replicas: Some(count),
        ready_replicas: Some(count),
        updated_replicas: Some(count),
        available_replicas: Some(count),
        ..DeploymentStatus::default()
    });
    let revision =
        deployment.spec.template.metadata.as_ref().unwrap().labels.as_ref().unwrap()[labels::REVISION].clone();
    if let Some(set) = &mut world.children.qdrant_stateful_set {
        let revision = &set.spec.template.metadata.as_ref().unwrap().labels.as_ref().unwrap()[labels::REVISION];
        set.status = Some(StatefulSetStatus {
            observed_generation: Some(1),
            replicas: 1,
            ready_replicas: Some(1),
            update_revision: Some(of_stateful_set(revision)),
            ..StatefulSetStatus::default()
        });
        set.metadata.generation = Some(1);
        uid(&mut set.metadata);
        world.qdrant_pods = vec![store_pod(valid, revision, world.now)];
    }
    let config = world.children.configs.iter().find(|config| {
        config.metadata.labels.as_ref().and_then(|labels| labels.get(labels::REVISION)) == Some(&revision)
    });
    let bytes = config.unwrap().data.as_ref().unwrap()[config::CONFIG_FILE].clone();
    let live = world.children.live.as_ref().unwrap().data.as_ref().unwrap()[config::LIVE_FILE].clone();
    world.server_pods = (0..count).map(|index| server_pod(valid, index, &revision, world.now)).collect();
    world.reports.clear();
    for pod in &world.server_pods {
        let said = Reported {
            config_sha256: sha256(&bytes),
            live_sha256: Some(sha256(&live)),
            ready: true,
            read_only: valid.read_only,
            waiting_for: Vec::new(),
            credentials: BTreeSet::new(),
            store: None,
        };
        let report = ServerReport { asked_at: world.now, answer: Answer::Said(said) };
        world.reports.insert(pod.metadata.uid.clone().unwrap(), report);
    }
}

/// A server's pod that is ready.
pub(crate) fn server_pod(valid: &ValidatedCluster, index: i32, revision: &str, started: Timestamp) -> Pod {
    let names = (format!("handbook-server-{index}"), format!("pod-{index}"));
    pod(valid, metadata::Part::Server, names, revision, started)
}

/// The managed store's pod, which is ready.
pub(crate) fn store_pod(valid: &ValidatedCluster, revision: &str, started: Timestamp) -> Pod {
    let names = ("handbook-qdrant-0".to_owned(), format!("store-of-{revision}"));
    let mut pod = pod(valid, metadata::Part::VectorStore, names, revision, started);
    let hash = ("controller-revision-hash".to_owned(), of_stateful_set(revision));
    pod.metadata.labels.as_mut().unwrap().extend([hash]);
    pod.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "StatefulSet".to_owned(),
        name: "handbook-qdrant".to_owned(),
        uid: "uid-of-handbook-qdrant".to_owned(),
        controller: Some(true),
        block_owner_deletion: None,
    }]);
    let running = ContainerState { running: Some(ContainerStateRunning::default()), ..ContainerState::default() };
    pod.status.as_mut().unwrap().container_statuses =
        Some(vec![ContainerStatus { name: "qdrant".to_owned(), state: Some(running), ..ContainerStatus::default() }]);
    pod
}

/// How Kubernetes names the StatefulSet's own revision of a template.
fn of_stateful_set(revision: &str) -> String {
    format!("handbook-qdrant-of-{revision}")
}

/// The managed store's pod cannot fetch its image.
pub(crate) fn store_waits_for_its_image(world: &mut Observed) {
    let waiting =
        ContainerStateWaiting { reason: Some("ImagePullBackOff".to_owned()), ..ContainerStateWaiting::default() };
    let status = world.qdrant_pods[0].status.as_mut().unwrap();
    status.conditions = None;
    let state = ContainerState { waiting: Some(waiting), ..ContainerState::default() };
    status.container_statuses.as_mut().unwrap()[0].state = Some(state);
}

fn pod(
    valid: &ValidatedCluster,
    part: metadata::Part,
    (name, uid): (String, String),
    revision: &str,
    started: Timestamp,
) -> Pod {
    let mut labels = metadata::selector(valid, part);
    labels.insert(labels::REVISION.to_owned(), revision.to_owned());
    Pod {
        metadata: ObjectMeta { name: Some(name), uid: Some(uid), labels: Some(labels), ..ObjectMeta::default() },
        status: Some(PodStatus {
            start_time: Some(Time(started)),
            conditions: Some(vec![PodCondition {
                type_: "Ready".to_owned(),
                status: "True".to_owned(),
                last_transition_time: Some(Time(started)),
                ..PodCondition::default()
            }]),
            ..PodStatus::default()
        }),
        ..Pod::default()
    }
}

fn sha256(text: &str) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(text))
}

/// A verified snapshot of schedule daily, of so many days after the first of a year.
pub(crate) fn daily_snapshot(index: usize) -> Snapshot {
    let began_at = Timestamp::from_second(1_767_225_600 + index as i64 * 86_400).unwrap();
    Snapshot {
        name: format!("d{index:02}"),
        uid: format!("u{index}"),
        schedule: Some("daily".to_owned()),
        due_at: began_at,
        state: SnapshotState::Kept(Kept { destination: "near".to_owned(), began_at, is_verified: true }),
        is_going: false,
    }
}
