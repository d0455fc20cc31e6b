//! The facts of one pass, as one plain value.
//!
//! Everything that a decision needs stands here, the time and the randomness included; after it is filled nothing is read
//! again. It names no client and holds no handle. Key material is inside; its debug form shows names only.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{
    ConfigMap, PersistentVolumeClaim, Pod, PodTemplateSpec, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::{Deserialize, Serialize};

use crate::api::{ClientName, Credential, Generation, RagClusterSpec, labels};

/// Everything that one pass over one RagCluster knows.
#[derive(Clone, Debug)]
pub struct Observed {
    /// The time of this pass.
    pub now: Timestamp,
    /// Fresh randomness, from which this pass derives what it mints.
    pub entropy: Entropy,
    /// What the operator itself was started with.
    pub defaults: OperatorDefaults,
    /// The objects that belong to this cluster.
    pub children: LiveChildren,
    /// Objects that bear a name which this cluster needs, and belong to somebody else.
    pub foreign: Vec<ForeignObject>,
    /// For each Secret that the spec names: whether it exists, and with that key as far as that may be known.
    pub referenced_secrets: BTreeMap<String, Presence>,
    /// The query servers' pods.
    pub server_pods: Vec<Pod>,
    /// The managed vector store's pods.
    pub qdrant_pods: Vec<Pod>,
    /// What each server said last, by the uid of its pod. A pod that was never asked has no entry.
    pub reports: BTreeMap<String, ServerReport>,
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
}

/// The live children. Each is ours: labelled, and owned by this very RagCluster (the retained claim aside).
#[derive(Clone, Debug, Default)]
pub struct LiveChildren {
    /// NAME-server.
    pub service_account: Option<ServiceAccount>,
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
    /// NAME-server.
    pub deployment: Option<Deployment>,
    /// NAME-server.
    pub disruption_budget: Option<PodDisruptionBudget>,
    /// NAME, as the API server returns it.
    pub autoscaler: Option<HorizontalPodAutoscaler>,
    /// NAME.
    pub service: Option<Service>,
    /// NAME-qdrant.
    pub qdrant_service: Option<Service>,
    /// NAME-qdrant.
    pub qdrant_stateful_set: Option<StatefulSet>,
    /// NAME-qdrant.
    pub qdrant_network_policy: Option<NetworkPolicy>,
    /// Labelled and owned by this RagCluster, under a name that nothing above has.
    pub strays: Vec<ObjectRef>,
}

/// The Secrets that the operator made for this cluster, with what is inside.
#[derive(Clone, Default)]
pub struct OwnSecrets {
    /// NAME-server, which the servers mount.
    pub server: Option<Secret>,
    /// NAME-qdrant, from which the managed vector store takes its key.
    pub qdrant: Option<Secret>,
    /// NAME-key-CLIENT.
    pub client_keys: BTreeMap<ClientName, Secret>,
    /// NAME-CREDENTIAL-gN, immutable.
    pub generations: BTreeMap<(Credential, Generation), Secret>,
}

impl fmt::Debug for OwnSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnSecrets")
            .field("server", &self.server.is_some())
            .field("qdrant", &self.qdrant.is_some())
            .field("client_keys", &self.client_keys.keys())
            .field("generations", &self.generations.keys())
            .finish()
    }
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

fn first_schema() -> u32 {
    1
}

impl Frozen {
    /// What was frozen in a revision.
    pub fn read(revision: &ControllerRevision) -> Result<Self, serde_json::Error> {
        serde_json::from_value(revision.data.0.clone())
    }
}

/// The credentials whose Secrets have to be read: those that the spec asks for, and those of clients that are gone from the
/// spec and whose Secrets may still exist. The mounted Secret remembers the latter, since Secrets are never listed.
pub fn credentials_to_read(spec: &RagClusterSpec, mounted: Option<&Secret>) -> Vec<Credential> {
    let remembered = mounted.and_then(|secret| secret.metadata.annotations.as_ref()?.get(labels::CLIENTS));
    let remembered =
        remembered.iter().flat_map(|names| names.split(',')).filter_map(|name| ClientName::parse(name).ok());
    let listed = spec.auth.api_keys.iter().filter_map(|key| ClientName::parse(&key.name).ok());
    let mut clients: BTreeSet<ClientName> = listed.chain(remembered).collect();
    if spec.auth.api_keys.is_empty() {
        clients.insert(ClientName::default_client());
    }
    let mut credentials = vec![Credential::Operator];
    let is_managed = spec.vector_store.as_ref().is_none_or(|store| store.qdrant.is_some());
    if is_managed {
        credentials.push(Credential::VectorStore);
    }
    credentials.extend(clients.into_iter().map(Credential::ApiKey));
    credentials
}
