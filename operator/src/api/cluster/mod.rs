//! RagCluster: the desired RAG service.
//!
//! One file per concern, defaults and rules beside the fields. Rules stand as deep as they can see; those that tie concerns
//! together stand here with a field path. What no rule can see is checked in `cluster::validate`.

#![allow(unreachable_pub, reason = "the derive of KubeSchema repeats each struct inside a function")]

mod auth;
mod autoscaling;
mod cache;
mod embedding;
mod generation;
mod network_policy;
mod objectives;
mod pod_template;
mod quota;
mod records;
mod resources;
mod retention;
mod retrieval;
mod snapshots;
mod status;
mod storage;
mod tracing;
mod vector_store;
mod verification;

pub use auth::{ApiKey, Auth, Role};
pub use autoscaling::{Autoscaling, ScaleDown, ScaleUp};
pub use cache::{Cache, MemoryCache, RedisCache, RedisSecretRef};
pub use embedding::{Embedding, EmbeddingModel, EmbeddingPricing, LocalEmbedding, OpenAiEmbedding};
pub use generation::{Budget, CircuitBreaker, Fallback, Generation, OnLimit, Pricing, Provider};
pub use network_policy::{NetworkPolicySpec, ScrapePeer};
pub use objectives::Objectives;
pub use pod_template::{PodTemplate, PullSecret};
pub use quota::Quota;
pub use records::{Postgres, PostgresSecretRef, PostgresTls, Records, VectorStoreRecords};
pub use resources::{Amount, ResourceAmounts, Resources};
pub use retention::Retention;
pub use retrieval::{Rerank, RerankPricing, Retrieval, RetrievalMode};
pub use snapshots::{
    Destination, Drill, FullDrill, S3Destination, SnapshotEncryption, SnapshotSchedule, SnapshotSecretRef,
    SnapshotSigning, Snapshots, VolumeDestination,
};
pub use status::{
    AutoscalingStatus, ConfigurationStatus, CorrectionStatus, DrillOutcome, DrillStatus, ExpiringSnapshot,
    FailedSnapshot, KeptSnapshot, NextStep, RagClusterStatus, ScheduleStatus, SnapshotsStatus, TriedRestore,
};
pub use storage::Storage;
pub use tracing::Tracing;
pub use vector_store::{DeletionPolicy, EmbeddedStore, ExternalQdrant, ManagedQdrant, SecretKeyRef, VectorStore};
pub use verification::Verification;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Query servers in a cluster that says nothing else.
pub const DEFAULT_REPLICAS: i32 = 3;

/// The fewest query servers of a Production cluster.
pub const PRODUCTION_MIN_REPLICAS: i32 = 3;

/// The desired RAG service. An empty spec is a valid one: three query servers over a managed Qdrant, autoscaled up to 20.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[kube(
    group = "ragops.dev",
    version = "v1alpha1",
    kind = "RagCluster",
    plural = "ragclusters",
    singular = "ragcluster",
    shortname = "rag",
    category = "ragops",
    namespaced,
    status = "RagClusterStatus",
    derive = "PartialEq",
    doc = "A RAG service: query servers over a vector store, provisioned, scaled and watched over by the ragops operator.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "READY",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether the service answers."
    ),
    printcolumn(
        name = "STATUS",
        type_ = "string",
        json_path = ".status.phase",
        description = "What is happening, in a few words."
    ),
    printcolumn(
        name = "REPLICAS",
        type_ = "string",
        json_path = ".status.servers",
        description = "Ready query servers, of those that are wanted."
    ),
    printcolumn(
        name = "REVISION",
        type_ = "string",
        json_path = ".status.revision",
        description = "The revision that is applied."
    ),
    printcolumn(
        name = "LAST-SNAPSHOT",
        type_ = "date",
        json_path = ".status.snapshots.last.takenAt",
        description = "What was acknowledged before this time is in the newest snapshot."
    ),
    printcolumn(
        name = "AGE",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Since when the cluster exists."
    ),
    printcolumn(
        name = "ENDPOINT",
        type_ = "string",
        json_path = ".status.endpoint",
        description = "Where clients inside Kubernetes reach the service.",
        priority = 1
    ),
    printcolumn(
        name = "LAST-DRILL",
        type_ = "string",
        json_path = ".status.snapshots.lastDrill.summary",
        description = "How the last trial of a restore ended, and how long it took.",
        priority = 1
    ),
    validation = Rule::new(
        "self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')"
    )
    .message(
        "metadata.name: a cluster name has at most 40 lower-case letters, digits and dashes, begins with a letter and does not \
         end with a dash"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.profile != 'Production' || self.replicas >= 3")
        .message(Message::Expression(
            "self.replicas == 1 \
             ? 'found 1: a Production cluster keeps at least 3 query servers; set profile: Development for fewer' \
             : 'found 2: a Production cluster keeps at least 3 query servers; set profile: Development for fewer'"
                .to_owned()
        ))
        .field_path(".replicas"),
    validation = Rule::new("!self.autoscaling.enabled || self.replicas <= self.autoscaling.maxReplicas")
        .message(
            "while autoscaling is on, replicas is the floor and must not exceed autoscaling.maxReplicas; lower replicas, raise \
             autoscaling.maxReplicas, or set autoscaling.enabled: false"
        )
        .field_path(".replicas"),
    validation = Rule::new(
        "!has(self.vectorStore) || !has(self.vectorStore.embedded) \
         || (self.profile == 'Development' && self.replicas == 1 && !self.autoscaling.enabled)"
    )
    .message(
        "the embedded vector store lives inside one server; set profile: Development, replicas: 1 and \
         autoscaling.enabled: false, or choose vectorStore.qdrant"
    )
    .field_path(".vectorStore"),
    validation = Rule::new(
        "(has(self.vectorStore) && has(self.vectorStore.embedded)) \
           == (has(oldSelf.vectorStore) && has(oldSelf.vectorStore.embedded)) \
         && (has(self.vectorStore) && has(self.vectorStore.externalQdrant)) \
           == (has(oldSelf.vectorStore) && has(oldSelf.vectorStore.externalQdrant))"
    )
    .message(
        "the kind of vector store cannot be changed, added or removed (absent means a managed Qdrant): \
         create a new RagCluster and ingest the documents there"
    )
    .field_path(".vectorStore"),
    validation = Rule::new(
        "!(has(self.vectorStore) && has(self.vectorStore.qdrant)) \
         || (has(oldSelf.vectorStore) && has(oldSelf.vectorStore.qdrant)) \
         || (quantity(self.vectorStore.qdrant.storage.size).compareTo(quantity('10Gi')) >= 0 \
             && !has(self.vectorStore.qdrant.storage.className))"
    )
    .message(
        "the volume of the managed Qdrant was created with the defaults (10Gi, default storage class): it only grows, and its \
         class stays; ask for 10Gi or more without className, leave storage out, or create a new RagCluster"
    )
    .field_path(".vectorStore"),
    validation = Rule::new(
        "!(has(oldSelf.vectorStore) && has(oldSelf.vectorStore.qdrant)) \
         || (has(self.vectorStore) && has(self.vectorStore.qdrant)) \
         || (quantity(oldSelf.vectorStore.qdrant.storage.size).compareTo(quantity('10Gi')) <= 0 \
             && !has(oldSelf.vectorStore.qdrant.storage.className))"
    )
    .message(
        "the volume of the managed Qdrant was created with vectorStore.qdrant.storage, and without it the spec asks for 10Gi of \
         the default storage class: a volume only grows, and its class stays; keep vectorStore.qdrant.storage, or create a new \
         RagCluster"
    )
    .field_path(".vectorStore"),
    validation = Rule::new(
        "!has(self.records) || !has(self.records.postgres) \
         || !has(self.vectorStore) || !has(self.vectorStore.embedded)"
    )
    .message(
        "the embedded vector store keeps its records in a file beside the vectors, for its one server; leave records out, or \
         choose vectorStore.qdrant"
    )
    .field_path(".records"),
    validation = Rule::new(
        "(has(self.records) && has(self.records.postgres)) == (has(oldSelf.records) && has(oldSelf.records.postgres))"
    )
    .message(
        "where the records are cannot be changed, added or removed (absent means beside the vectors): create a new RagCluster \
         and ingest the documents there"
    )
    .field_path(".records"),
    validation = Rule::new(
        "(has(self.embedding) && has(self.embedding.openAI)) == (has(oldSelf.embedding) && has(oldSelf.embedding.openAI)) \
         && (has(self.embedding) && has(self.embedding.local) ? self.embedding.local.model : 'all-MiniLM-L6-v2') \
         == (has(oldSelf.embedding) && has(oldSelf.embedding.local) ? oldSelf.embedding.local.model : 'all-MiniLM-L6-v2')"
    )
    .message(
        "the embedder cannot be changed (absent means all-MiniLM-L6-v2 inside the servers): what is stored was embedded with the \
         old one; create a new RagCluster and ingest the documents there"
    )
    .field_path(".embedding")
)]
pub struct RagClusterSpec {
    /// Image of the query servers. Absent: the operator's default, resolved once for each revision, so that a new operator
    /// changes no running pod until the spec changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,

    /// Production keeps at least 3 query servers; Development allows fewer, and the embedded vector store.
    #[serde(default)]
    pub profile: Profile,

    /// Query servers: exactly this many while autoscaling is off, at least this many while it is on. More than 20 is
    /// capped unless a ScaleApproval stands.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 1, max = 1000))]
    pub replicas: i32,

    /// How the number of query servers follows their CPU use.
    #[serde(default)]
    pub autoscaling: Autoscaling,

    /// CPU and memory of each query server. Absent amounts: requests of 250m CPU and 256Mi memory (1Gi where the vector store is
    /// embedded), no limits. A limit of memory holds for a server and the process together that reads a PDF or an office document for it, and
    /// that may take 512Mi: where both pass it, Kubernetes ends the server. Leave 768Mi or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// Where the documents' vectors live, and their records unless `records` says otherwise. Absent: a managed Qdrant. The kind cannot be changed later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vector_store: Option<VectorStore>,

    /// Where documents, jobs, sessions and budgets are recorded. Absent: beside the vectors. Cannot be changed later, but for the
    /// Secret, the port and the encryption of a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<Records>,

    /// What turns text into vectors. Absent: the model inside the server's image. The model and its dimensions cannot be changed
    /// later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<Embedding>,

    /// How a query finds its passages, where the query itself does not say.
    #[serde(default)]
    pub retrieval: Retrieval,

    /// Who writes answers. Absent: answers are made of sentences of the documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<Generation>,

    /// What the providers may cost, over all servers together. Absent: no limit. Takes effect on running servers within about a
    /// minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,

    /// What is remembered of questions, besides the memory of each server. Absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// Where traces of requests are sent. Absent: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracing: Option<Tracing>,
    /// How long conversations and feedback are kept. Absent: a day and a year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,

    /// From how many seconds on a question is slow: it is logged with where the time went, counted, and listed in the servers'
    /// status. 0 takes every question for one. Absent: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 600))]
    pub slow_query_seconds: Option<i32>,

    /// Snapshots of the corpus: where they are kept, when they are taken, and how often a restore is tried. Absent: none is taken
    /// but by hand, for which a destination is needed all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshots: Option<Snapshots>,

    /// What the service has to reach. What cannot be reached with the rest of the spec is said at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objectives: Option<Objectives>,

    /// Who may use the service.
    #[serde(default)]
    pub auth: Auth,

    /// Which network traffic reaches the servers and the vector store.
    #[serde(default)]
    pub network_policy: NetworkPolicySpec,

    /// What the servers' pods carry besides what the operator gives them. The managed vector store has a podTemplate of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_template: Option<PodTemplate>,

    /// Keeps the operator's hands off: nothing is written while this is true, the status is still reported.
    #[serde(default)]
    pub paused: bool,

    /// Answers queries and refuses writes, with 503 and Retry-After. Takes effect on running servers within about a minute.
    #[serde(default)]
    pub read_only: bool,
}

/// How much the cluster insists on.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Profile {
    /// At least three query servers.
    #[default]
    Production,
    /// Any number of query servers.
    Development,
}

fn default_replicas() -> i32 {
    DEFAULT_REPLICAS
}

impl RagClusterSpec {
    /// The store that is inside the one server, where that was chosen.
    pub fn embedded(&self) -> Option<&EmbeddedStore> {
        self.vector_store.as_ref()?.embedded.as_ref()
    }

    /// Every Secret of the user's that the spec names, with the field that names it.
    pub fn referenced_secrets(&self) -> Vec<(String, &str)> {
        let mut secrets = self.secrets_of_pods();
        secrets.extend(self.snapshots.iter().flat_map(Snapshots::referenced_secrets));
        secrets
    }

    /// Those that servers and the managed vector store need.
    pub fn secrets_of_pods(&self) -> Vec<(String, &str)> {
        let external = self.vector_store.as_ref().and_then(|store| store.external_qdrant.as_ref());
        let embedder = self.embedding.as_ref().and_then(|embedding| embedding.open_ai.as_ref());
        let services = [
            (
                "vectorStore.externalQdrant.apiKeySecretRef",
                external.and_then(|store| store.api_key_secret_ref.as_ref()),
            ),
            ("embedding.openAI.secretRef", embedder.and_then(|service| service.secret_ref.as_ref())),
            (
                "retrieval.rerank.secretRef",
                self.retrieval.rerank.as_ref().and_then(|service| service.secret_ref.as_ref()),
            ),
            ("tracing.secretRef", self.tracing.as_ref().and_then(|tracing| tracing.secret_ref.as_ref())),
        ];
        let services = services
            .into_iter()
            .filter_map(|(field, secret)| Some((format!("spec.{field}.name"), secret?.name.as_str())));
        let database = self.records.as_ref().and_then(|records| records.postgres.as_ref());
        let database = database
            .map(|database| ("spec.records.postgres.secretRef.name".to_owned(), database.secret_ref.name.as_str()));
        let providers = self.generation.iter().flat_map(|generation| generation.providers.iter().enumerate());
        let providers = providers.filter_map(|(index, provider)| {
            let secret = provider.secret_ref.as_ref()?;
            Some((format!("spec.generation.providers[{index}].secretRef.name"), secret.name.as_str()))
        });
        let redis = self.cache.as_ref().and_then(|cache| cache.redis.as_ref()?.secret_ref.as_ref());
        let redis = redis.map(|secret| ("spec.cache.redis.secretRef.name".to_owned(), secret.name.as_str()));
        let qdrant = self.vector_store.as_ref().and_then(|store| store.qdrant.as_ref());
        let templates = [
            ("podTemplate", self.pod_template.as_ref()),
            ("vectorStore.qdrant.podTemplate", qdrant.and_then(|qdrant| qdrant.pod_template.as_ref())),
        ];
        let pull = templates.into_iter().filter_map(|(field, template)| Some((field, template?)));
        let pull = pull.flat_map(|(field, template)| {
            let secrets = template.image_pull_secrets.iter().enumerate();
            secrets.map(move |(index, secret)| {
                (format!("spec.{field}.imagePullSecrets[{index}].name"), secret.name.as_str())
            })
        });
        services.chain(database).chain(providers).chain(redis).chain(pull).collect()
    }
}
