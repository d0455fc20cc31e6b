//! The facts of one pass, as one plain value.
//!
//! Everything that a decision needs stands here, the time and the randomness included; after it is filled nothing is read
//! again. It names no client and holds no handle. Key material is inside; its debug form shows names only.

mod approval;
mod corpus;
mod readings;
mod secrets;
mod snapshots;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, PodTemplateSpec, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::api::{Credential, Revision, labels};
use crate::steps::Standing;

pub use approval::Approval;
pub use corpus::{CORPUS_ID_KEY, CORPUS_OF_ANOTHER};
pub use readings::{Reading, Trouble, last_at};
pub use secrets::{MATERIAL_KEY, OwnSecrets, QDRANT_KEY, credentials_to_read};
pub use snapshots::{Kept, Removal, RemovalState, Restore, RestoreState, Snapshot, SnapshotState};

/// Everything that one pass over one RagCluster knows.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The time of this pass.
    pub now: Timestamp,
    /// Fresh randomness, from which this pass derives what it mints.
    pub entropy: Entropy,
    /// What the operator itself was started with.
    pub defaults: OperatorDefaults,
    /// The version of the API server. Only asked for where something was left undone because of it.
    pub server_version: Option<String>,
    /// The objects that belong to this cluster.
    pub children: LiveChildren,
    /// Objects that bear a name which this cluster needs, and belong to somebody else.
    pub foreign: Vec<ForeignObject>,
    /// For each Secret that the spec names: whether it exists, and with that key as far as that may be known.
    pub referenced_secrets: BTreeMap<String, Presence>,
    /// The ScaleApprovals that name this cluster, by name.
    pub approvals: Vec<Approval>,
    /// How what takes time stands: snapshots, restores and drills of this cluster that have not ended.
    pub procedures: Vec<Standing>,
    /// The RagSnapshots of a cluster of this name, those of one that went before it among them, by name.
    pub snapshots: Vec<Snapshot>,
    /// What is known of reading those of them again that are in an archive, by name.
    pub readings: Vec<Reading>,
    /// The Jobs of this cluster that remove copies of snapshots.
    pub removals: Vec<Removal>,
    /// The RagRestores of a cluster of this name, by name.
    pub restores: Vec<Restore>,
    /// The query servers' pods.
    pub server_pods: Vec<Pod>,
    /// The managed vector store's pods.
    pub qdrant_pods: Vec<Pod>,
    /// What each server said last, by the uid of its pod. A pod that was never asked has no entry.
    pub reports: BTreeMap<String, ServerReport>,
}

impl Observed {
    /// Whether a credential is in use and its material stands in no Secret any more. Whoever has it would refuse what were minted
    /// in its place.
    pub fn is_lost(&self, credential: &Credential) -> bool {
        let is_in_use = || match credential {
            // The operator alone sends it, and the servers follow what is mounted.
            Credential::Operator => false,
            Credential::VectorStore => self.children.qdrant_stateful_set.is_some() || !self.qdrant_pods.is_empty(),
            // A mounted Secret without the key has taken it from the servers already.
            Credential::ApiKey(client) => {
                self.children.secrets.server.is_none() && self.children.clients_in_use().contains(client.as_str())
            }
        };
        self.children.secrets.material(credential).is_none() && is_in_use()
    }
}

/// What the operator was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorDefaults {
    /// Image of the query servers for clusters that name none.
    pub server_image: String,
    /// Image of the managed vector store for clusters that name none.
    pub qdrant_image: String,
    /// The namespace in which the operator runs, which is let through to the management port.
    pub operator_namespace: String,
    /// The labels of its pods there; none: every pod of the namespace is let through.
    pub operator_labels: BTreeMap<String, String>,
}

/// The live children. Each is ours: labelled, and owned by this very RagCluster (what may have been retained aside: claims, and
/// NAME-corpus).
#[derive(Clone, Debug, Default)]
pub struct LiveChildren {
    /// NAME-server.
    pub service_account: Option<ServiceAccount>,
    /// NAME-corpus.
    pub corpus: Option<ConfigMap>,
    /// Every ControllerRevision, of the servers and of the managed vector store.
    pub revisions: Vec<ControllerRevision>,
    /// Every NAME-config-REVISION.
    pub configs: Vec<ConfigMap>,
    /// NAME-live.
    pub live: Option<ConfigMap>,
    /// The Secrets that the operator made.
    pub secrets: OwnSecrets,
    /// NAME-server.
    pub network_policy: Option<NetworkPolicy>,
    /// NAME-data.
    pub data_claim: Option<PersistentVolumeClaim>,
    /// data-NAME-qdrant-0, which the managed vector store's StatefulSet makes; a retained one is of an earlier StatefulSet.
    pub qdrant_claim: Option<PersistentVolumeClaim>,
    /// NAME-server.
    pub deployment: Option<Deployment>,
    /// NAME-server.
    pub disruption_budget: Option<PodDisruptionBudget>,
    /// NAME, as the API server returns it.
    pub autoscaler: Option<HorizontalPodAutoscaler>,
    /// NAME.
    pub service: Option<Service>,
    /// NAME-management.
    pub management: Option<Service>,
    /// NAME-qdrant.
    pub qdrant_bootstrap: Option<ConfigMap>,
    /// NAME-qdrant.
    pub qdrant_disruption_budget: Option<PodDisruptionBudget>,
    /// NAME-qdrant-peers.
    pub qdrant_peers: Option<Service>,
    /// NAME-qdrant.
    pub qdrant_service: Option<Service>,
    /// NAME-qdrant.
    pub qdrant_stateful_set: Option<StatefulSet>,
    /// NAME-qdrant.
    pub qdrant_network_policy: Option<NetworkPolicy>,
    /// Labelled and owned by this RagCluster, under a name that nothing above has.
    pub strays: Vec<ObjectRef>,
}

impl LiveChildren {
    /// The revision that the servers are made of.
    pub fn server_revision(&self) -> Option<Revision> {
        revision_of(self.deployment.as_ref()?.spec.template.metadata.as_ref()?)
    }

    /// The revision that the managed vector store is made of.
    pub fn qdrant_revision(&self) -> Option<Revision> {
        revision_of(self.qdrant_stateful_set.as_ref()?.spec.template.metadata.as_ref()?)
    }

    /// What was frozen in the ControllerRevision of this name; nothing where there is none that can be read.
    pub fn frozen(&self, name: &str) -> Option<Frozen> {
        let revision = self.revisions.iter().find(|revision| revision.metadata.name.as_deref() == Some(name))?;
        Frozen::read(revision).ok()
    }

    /// The clients that the servers were given keys for when their revision was made.
    fn clients_in_use(&self) -> BTreeSet<String> {
        let Some(in_use) = self.server_revision() else { return BTreeSet::new() };
        let of_servers = |revision: &ControllerRevision| Frozen::read(revision).ok()?.config;
        let mut revisions =
            self.revisions.iter().filter(|revision| revision_of(&revision.metadata).as_ref() == Some(&in_use));
        revisions.find_map(of_servers).map(|config| clients_of(&config)).unwrap_or_default()
    }
}

/// The revision that an object belongs to.
pub fn revision_of(metadata: &ObjectMeta) -> Option<Revision> {
    Revision::parse(metadata.labels.as_ref()?.get(labels::REVISION)?)
}

/// The part of a servers' configuration that says whose keys they accept.
#[derive(Deserialize)]
struct ClientsConfig {
    auth: ClientsAuth,
}

#[derive(Deserialize)]
struct ClientsAuth {
    api_keys: Vec<ClientsKey>,
}

#[derive(Deserialize)]
struct ClientsKey {
    name: String,
}

fn clients_of(config: &str) -> BTreeSet<String> {
    let config: Option<ClientsConfig> = toml::from_str(config).ok();
    config.into_iter().flat_map(|config| config.auth.api_keys).map(|key| key.name).collect()
}

/// Randomness for one pass.
#[derive(Clone)]
pub struct Entropy(pub [u8; 32]);

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entropy(..)")
    }
}

/// What is known of a Secret that belongs to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It exists.
    Exists,
    /// It does not.
    Missing,
    /// The API server could not say. Not a finding.
    Unknown,
}

/// A kind of object that a RagCluster may consist of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChildKind {
    /// core/v1
    ServiceAccount,
    /// apps/v1
    ControllerRevision,
    /// core/v1
    ConfigMap,
    /// core/v1
    Secret,
    /// networking.k8s.io/v1
    NetworkPolicy,
    /// core/v1
    PersistentVolumeClaim,
    /// apps/v1
    Deployment,
    /// apps/v1
    StatefulSet,
    /// policy/v1
    PodDisruptionBudget,
    /// autoscaling/v2
    HorizontalPodAutoscaler,
    /// core/v1
    Service,
    /// core/v1. Made by the workloads, and only ever removed.
    Pod,
}

impl ChildKind {
    /// The kind as the API spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ServiceAccount => "ServiceAccount",
            Self::ControllerRevision => "ControllerRevision",
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::PersistentVolumeClaim => "PersistentVolumeClaim",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::HorizontalPodAutoscaler => "HorizontalPodAutoscaler",
            Self::Service => "Service",
            Self::Pod => "Pod",
        }
    }
}

impl fmt::Display for ChildKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One object of the cluster's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectRef {
    /// What it is.
    pub kind: ChildKind,
    /// Its name.
    pub name: String,
    /// Its uid, so that a namesake is not removed in its place.
    pub uid: String,
}

impl ObjectRef {
    /// A live object; nothing where the API server has given it no name or uid.
    pub fn of(kind: ChildKind, metadata: &ObjectMeta) -> Option<Self> {
        Some(Self { kind, name: metadata.name.clone()?, uid: metadata.uid.clone()? })
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// An object of somebody else's under a name that the cluster needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignObject {
    /// What it is.
    pub kind: ChildKind,
    /// Its name.
    pub name: String,
    /// Whose it is, for a person: `RagCluster/other`, or that it has no owner.
    pub owner: String,
}

/// What a server said when it was last asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerReport {
    /// When.
    pub asked_at: Timestamp,
    /// What.
    pub answer: Answer,
}

/// An answer of a server's management port, or its absence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It answered.
    Said(Reported),
    /// No usable answer, and why. Not a failure by itself: the service may well answer its clients.
    Silent(String),
}

impl Answer {
    /// What the server said, if it said anything.
    pub fn said(&self) -> Option<&Reported> {
        match self {
            Self::Said(said) => Some(said),
            Self::Silent(_) => None,
        }
    }
}

/// The part of a server's answer that decisions use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// SHA-256 of the accepted configuration, in hexadecimal.
    pub config_sha256: String,
    /// SHA-256 of the accepted live settings.
    pub live_sha256: Option<String>,
    /// Whether the server is ready.
    pub ready: bool,
    /// What it waits for.
    pub waiting_for: Vec<String>,
    /// Whether it refuses writes.
    pub read_only: bool,
    /// The credentials that it accepts, by the stem of their files.
    pub credentials: BTreeSet<String>,
    /// How it last saw the vector store and the records, if it says so.
    pub store: Option<SeenStore>,
}

/// How the last calls of a server saw the vector store and the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenStore {
    /// Whether this is about the records, which did not answer while the vector store did.
    pub is_records: bool,
    /// Whether it answered.
    pub reachable: bool,
    /// Since when that is so, by the server's clock.
    pub since: Option<Timestamp>,
    /// The class of what is wrong, such as `auth_failed`.
    pub cause: Option<String>,
}

/// What a ControllerRevision holds: everything about the pods that must not change behind the user's back.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Frozen {
    /// The resolved image.
    pub image: String,
    /// The pods.
    pub pod_template: PodTemplateSpec,
    /// The bytes of the servers' configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// The version of the configuration's schema, so that live settings are rendered as these servers read them.
    #[serde(default = "first_schema")]
    pub config_schema: u32,
}

/// The version of the configuration's schema before versions were written down.
pub const FIRST_SCHEMA: u32 = 1;

fn first_schema() -> u32 {
    FIRST_SCHEMA
}

impl Frozen {
    /// What was frozen in a revision.
    pub fn read(revision: &ControllerRevision) -> Result<Self, serde_json::Error> {
        serde_json::from_value(revision.data.0.clone())
    }
}
