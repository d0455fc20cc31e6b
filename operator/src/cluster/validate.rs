//! The spec and the facts become a cluster that can be built, or all problems at once.
//!
//! Pure. What the CRD's rules can refuse never gets here; what they cannot see is checked here, and every absent value is
//! resolved, so that builders and deciders know no defaults. Each problem names its field and what to do.

mod amounts;
mod cache;
mod corpus;
mod memory;
mod outside;
mod place;
mod qdrant;
mod records;
mod secrets;
mod snapshots;
mod store;
mod timer;

use std::collections::BTreeMap;

use super::observed::{Frozen, Observed};
use crate::api::ConditionReason;
use crate::api::cluster::{
    Autoscaling, Budget, DeletionPolicy, EmbeddingModel, Generation, OpenAiEmbedding, PodTemplate, Postgres,
    RagCluster, RagClusterSpec, Retention, Retrieval, Role, ScrapePeer, Tracing,
};
use crate::api::{ClientName, ClusterName};

pub use amounts::Amounts;
pub use cache::Redis;
pub use memory::{READER_MIB, memory_warning};
pub use outside::{EMBEDDING, Outside, RERANK, TRACING};
pub use place::Place;
pub(crate) use place::place_of;
pub use qdrant::{client_warning, last_run};
pub use snapshots::{DrillSchedule, Schedule, Snapshots};
pub use store::{ExternalStore, ManagedStore, Store};
pub use timer::{InvalidTimer, Timer};

/// Servers that are there for a while beside those that are asked for: the one that a roll-out starts first.
pub const SURGE: i32 = 1;

/// What a problem keeps from being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// No new revision is made. The one in use stays, and what needs no revision is applied: the number of servers, live settings,
    /// credentials, disruption budget, network.
    Revision,
    /// No snapshot is taken by the schedule in question. Everything else is carried out.
    Snapshots,
    /// Nothing is written.
    Cluster,
}

impl Scope {
    /// Of what speaks against a managed store as the spec asks for it: without a StatefulSet there is none that could stay as it is,
    /// and one would be made.
    fn of_store(observed: &Observed) -> Self {
        if observed.children.qdrant_stateful_set.is_some() { Self::Revision } else { Self::Cluster }
    }
}

/// Something that keeps the spec from being carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What it keeps from being done.
    pub scope: Scope,
    /// The class of the problem.
    pub reason: ConditionReason,
    /// The field, as a person would write it.
    pub field: String,
    /// What was found there.
    pub found: String,
    /// What to do.
    pub remedy: String,
}

impl Problem {
    /// A ControllerRevision that another operator or a person wrote.
    pub fn unreadable_revision(scope: Scope, name: &str, error: &serde_json::Error) -> Self {
        Self {
            scope,
            reason: ConditionReason::RevisionUnreadable,
            field: format!("ControllerRevision/{name}"),
            found: format!("it cannot be read ({error}), so another operator or a person wrote it"),
            remedy: "run the operator that wrote it, or delete it: the revision is then made anew, and its pods are replaced \
                     where that differs"
                .to_owned(),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}; {}", self.field, self.found, self.remedy)
    }
}

/// A cluster that can be built: every name well formed, every default filled in. Made by [`validate`] alone.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidatedCluster {
    /// Its name.
    pub name: ClusterName,
    /// Its namespace.
    pub namespace: String,
    /// Its uid, for owner references and selectors.
    pub uid: String,
    /// Image of the servers, where the spec names one.
    pub image: Option<String>,
    /// How many servers are asked for.
    pub replicas: i32,
    /// How the autoscaler works, where it is on.
    pub autoscaling: Option<Autoscaling>,
    /// CPU and memory of each server.
    pub resources: Amounts,
    /// Where vectors live, and records where there is no database for them.
    pub store: Store,
    /// The database of the records, where they are in one.
    pub postgres: Option<Postgres>,
    /// Whether the store's volume outlives the cluster.
    pub deletion_policy: DeletionPolicy,
    /// What the servers embed with.
    pub embedder: Embedder,
    /// How a query finds its passages.
    pub retrieval: Retrieval,
    /// Who writes answers.
    pub generation: Generation,
    /// Where traces of requests are sent.
    pub tracing: Option<Tracing>,
    /// What the providers may cost, where there is a limit.
    pub budget: Option<Budget>,
    /// The Redis behind the servers' memory, where there is one.
    pub redis: Option<Redis>,
    /// How long conversations and feedback are kept.
    pub retention: Retention,
    /// The services outside that the servers call.
    pub outside: Vec<Outside>,
    /// Snapshots, where they are asked for, with what is wrong about them.
    pub snapshots: Option<Snapshots>,
    /// Who has a key; never empty, ordered by name.
    pub clients: BTreeMap<ClientName, Client>,
    /// Who may scrape, where NetworkPolicies are kept.
    pub network: Option<Vec<ScrapePeer>>,
    /// What the servers' pods carry besides.
    pub pod_template: PodTemplate,
    /// Nothing is to be written.
    pub paused: bool,
    /// Writes are to be refused.
    pub read_only: bool,
    /// What keeps a new revision from being made. While it is not empty, there is a revision in use to go on with.
    pub held: Vec<Problem>,
    /// The spec as it was written, for what asks whether it changed. Defaults that the operator resolves are not in it.
    pub spec: RagClusterSpec,
    _validated: Seal,
}

impl ValidatedCluster {
    /// How many servers there can be at once without a change of the spec other than that of `replicas` up to the most that the
    /// autoscaler may make: a number of its own for each size would roll all of them out whenever somebody scales.
    pub fn most_servers(&self) -> i32 {
        self.replicas.max(self.spec.autoscaling.max_replicas).saturating_add(SURGE)
    }

    /// Whether its server is asked for what is stored, because snapshots are taken of a store that nobody else can open.
    pub fn lends(&self) -> bool {
        matches!(self.store, Store::Embedded { .. }) && self.spec.snapshots.is_some()
    }
}

/// Keeps others from making a [`ValidatedCluster`].
#[derive(Clone, Debug, PartialEq)]
struct Seal;

/// What a client may do, and with whose documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// What it may do.
    pub role: Role,
    /// Whose documents it sees and writes; nothing for the default tenant.
    pub tenant: Option<String>,
}

/// What turns text into vectors.
#[derive(Clone, Debug, PartialEq)]
pub enum Embedder {
    /// A model inside each server.
    Local(EmbeddingModel),
    /// A service outside.
    OpenAi(OpenAiEmbedding),
}

/// Resolves the cluster, or says everything that is in the way. What keeps a new revision alone from being made is in the way of
/// a cluster that has none yet; to any other it is told in [`ValidatedCluster::held`].
pub fn validate(cluster: &RagCluster, observed: &Observed) -> Result<ValidatedCluster, Vec<Problem>> {
    let mut problems = Problems::default();
    let spec = &cluster.spec;
    check_foreign(observed, &mut problems);
    secrets::check_named(spec, observed, &mut problems);
    secrets::check_material(observed, &mut problems);
    corpus::check(observed, &mut problems);
    let name = cluster.metadata.name.as_deref().unwrap_or_default();
    let name = problems.take("metadata.name", ClusterName::parse(name));
    let clients = clients(spec, &mut problems);
    let store = store::store(cluster, observed, &mut problems);
    if let (Some(name), Some(store)) = (&name, &store) {
        check_revisions(name, observed, &mut problems);
        secrets::check_lost(name, &clients, store, observed, &mut problems);
    }
    let embedder = embedder(spec, &mut problems);
    let outside = outside::outside(cluster, &mut problems);
    let redis = cache::redis(cluster, &mut problems);
    let requests = amounts::requests(store.as_ref());
    let resources = amounts::resolved("spec.resources", spec.resources.as_ref(), requests, &mut problems);
    let autoscaling = spec.autoscaling.enabled.then(|| spec.autoscaling.clone());
    if autoscaling.is_some() {
        amounts::check_cpu_request(&resources, &mut problems);
    }
    store::check_embedded(spec, &mut problems);
    let postgres = records::postgres(spec, &mut problems);
    let snapshots = snapshots::snapshots(cluster, observed);
    match (name, store, embedder) {
        (Some(name), Some(store), Some(embedder)) if problems.leave_what_runs(&name, observed) => {
            Ok(ValidatedCluster {
                name,
                namespace: cluster.metadata.namespace.clone().unwrap_or_default(),
                uid: cluster.metadata.uid.clone().unwrap_or_default(),
                image: spec.image.clone(),
                replicas: spec.replicas,
                autoscaling,
                resources,
                store,
                postgres,
                deletion_policy: spec.vector_store.as_ref().map(|store| store.deletion_policy).unwrap_or_default(),
                embedder,
                retrieval: spec.retrieval.clone(),
                generation: spec.generation.clone().unwrap_or_default(),
                tracing: spec.tracing.clone(),
                budget: spec.budget.clone(),
                redis,
                retention: spec.retention.clone().unwrap_or_default(),
                outside,
                snapshots,
                clients,
                network: spec.network_policy.enabled.then(|| spec.network_policy.scrape_from.clone()),
                pod_template: spec.pod_template.clone().unwrap_or_default(),
                paused: spec.paused,
                read_only: spec.read_only,
                held: problems.found,
                spec: spec.clone(),
                _validated: Seal,
            })
        }
        _ => Err(problems.found),
    }
}

/// Collects what is in the way.
#[derive(Default)]
struct Problems {
    found: Vec<Problem>,
}

impl Problems {
    fn invalid(&mut self, field: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) {
        self.add((Scope::Cluster, ConditionReason::InvalidSpec), field, found, remedy);
    }

    fn add(
        &mut self,
        (scope, reason): (Scope, ConditionReason),
        field: impl Into<String>,
        found: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.found.push(Problem { scope, reason, field: field.into(), found: found.into(), remedy: remedy.into() });
    }

    /// Whether nothing was found but what keeps a new revision from being made, with one in use to go on with.
    fn leave_what_runs(&self, name: &ClusterName, observed: &Observed) -> bool {
        let live = &observed.children;
        let is_in_use = || {
            let servers = live.server_revision();
            servers.is_some_and(|revision| live.frozen(&name.server_revision(&revision)).is_some())
        };
        self.found.is_empty() || self.found.iter().all(|problem| problem.scope == Scope::Revision) && is_in_use()
    }

    fn take<T, E: std::fmt::Display>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(refused) => {
                self.invalid(field, refused.to_string(), "change it");
                None
            }
        }
    }
}

fn check_foreign(observed: &Observed, problems: &mut Problems) {
    for foreign in &observed.foreign {
        problems.add(
            (Scope::Cluster, ConditionReason::NameTaken),
            "metadata.name",
            format!("{} \"{}\" exists and belongs to {}", foreign.kind, foreign.name, foreign.owner),
            "it is left alone; rename or remove it, or give this RagCluster another name",
        );
    }
}

/// What was frozen cannot be guessed, and guessing would change running pods. One that nothing runs on is in the way once it is
/// asked for, and not before.
fn check_revisions(name: &ClusterName, observed: &Observed, problems: &mut Problems) {
    let live = &observed.children;
    let servers = live.server_revision().map(|revision| name.server_revision(&revision));
    let store = live.qdrant_revision().map(|revision| name.qdrant_revision(&revision));
    let of_store = format!("{}-", name.qdrant());
    for revision in &live.revisions {
        let Err(error) = Frozen::read(revision) else { continue };
        let found = revision.metadata.name.as_deref().unwrap_or_default();
        let in_use = if found.starts_with(&of_store) { store.as_deref() } else { servers.as_deref() };
        let is_spare = in_use.is_some_and(|in_use| in_use != found && live.frozen(in_use).is_some());
        if !is_spare {
            problems.found.push(Problem::unreadable_revision(Scope::Cluster, found, &error));
        }
    }
}

fn clients(spec: &RagClusterSpec, problems: &mut Problems) -> BTreeMap<ClientName, Client> {
    if spec.auth.api_keys.is_empty() {
        return BTreeMap::from([(ClientName::default_client(), Client { role: Role::Writer, tenant: None })]);
    }
    let mut clients = BTreeMap::new();
    for (index, key) in spec.auth.api_keys.iter().enumerate() {
        let field = format!("spec.auth.apiKeys[{index}].name");
        if let Some(name) = problems.take(&field, ClientName::parse(&key.name)) {
            clients.insert(name, Client { role: key.role, tenant: key.tenant.clone() });
        }
    }
    clients
}

/// The CRD says so too; this holds where an object was stored before the rule existed.
fn embedder(spec: &RagClusterSpec, problems: &mut Problems) -> Option<Embedder> {
    let Some(embedding) = &spec.embedding else {
        return Some(Embedder::Local(EmbeddingModel::default()));
    };
    match (&embedding.local, &embedding.open_ai) {
        (Some(local), None) => Some(Embedder::Local(local.model)),
        (None, Some(service)) => Some(Embedder::OpenAi(service.clone())),
        _ => {
            problems.invalid(
                "spec.embedding",
                "not exactly one embedder",
                "name exactly one of local and openAI, or leave embedding out",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

    use super::*;
    use crate::cluster::fixtures::{EMBEDDED, EXTERNAL, applied, cluster, nothing};
    use crate::cluster::observed::{ChildKind, ForeignObject, Presence};

    fn problems(spec: &str) -> Vec<String> {
        validate(&cluster(spec), &nothing()).unwrap_err().iter().map(Problem::to_string).collect()
    }

    #[test]
    fn an_empty_spec_is_three_servers_over_a_managed_qdrant_with_a_key_for_a_default_writer() {
        let valid = validate(&cluster("{}"), &nothing()).unwrap();
        assert_eq!(valid.replicas, 3);
        assert!(matches!(&valid.store, Store::Managed(store) if store.storage.size == "10Gi"));
        let client = Client { role: Role::Writer, tenant: None };
        assert_eq!(valid.clients, BTreeMap::from([(ClientName::default_client(), client)]));
        assert_eq!(valid.resources.requests["cpu"], Quantity("250m".to_owned()));
        assert_eq!(valid.autoscaling.unwrap().max_replicas, 20);
    }

    #[test]
    fn a_request_that_is_left_out_follows_the_limit_and_then_the_default() {
        let spec = "resources: {requests: {cpu: 1}, limits: {memory: 1Gi}}";
        let amounts = validate(&cluster(spec), &nothing()).unwrap().resources;
        assert_eq!(amounts.requests["cpu"], Quantity("1".to_owned()));
        assert_eq!(amounts.requests["memory"], Quantity("1Gi".to_owned()));
        assert_eq!(amounts.limits.len(), 1);
    }

    #[test]
    fn a_server_with_the_store_inside_asks_for_the_memory_of_its_index() {
        let memory = |spec: &str| validate(&cluster(spec), &nothing()).unwrap().resources.requests["memory"].0.clone();
        assert_eq!(memory("{}"), "256Mi");
        assert_eq!(memory(EMBEDDED), "1Gi");
        assert_eq!(memory(&EMBEDDED.replace("replicas: 1", "replicas: 1, resources: {limits: {memory: 2Gi}}")), "2Gi");
    }

    #[test]
    fn every_problem_is_named_at_once_with_its_field_and_a_remedy() {
        let spec = "{resources: {requests: {cpu: 0m}, limits: {memory: '0'}},
                     vectorStore: {externalQdrant: {url: 'https://:6334', apiKeySecretRef: {name: missing}}}}";
        let mut observed = nothing();
        observed.referenced_secrets.insert("missing".to_owned(), Presence::Missing);
        observed.foreign.push(ForeignObject {
            kind: ChildKind::Service,
            name: "handbook".to_owned(),
            owner: "nobody".to_owned(),
        });
        let problems = validate(&cluster(spec), &observed).unwrap_err();
        let found: Vec<(&str, ConditionReason)> = problems.iter().map(|p| (p.field.as_str(), p.reason)).collect();
        assert_eq!(
            found,
            [
                ("metadata.name", ConditionReason::NameTaken),
                ("spec.vectorStore.externalQdrant.apiKeySecretRef.name", ConditionReason::SecretMissing),
                ("spec.vectorStore.externalQdrant.url", ConditionReason::InvalidSpec),
                ("spec.resources.limits.memory", ConditionReason::InvalidSpec),
                ("spec.resources.requests.cpu", ConditionReason::InvalidSpec),
            ]
        );
        assert!(problems.iter().all(|problem| !problem.remedy.is_empty() && !problem.found.is_empty()));
    }

    #[test]
    fn the_services_of_the_search_need_their_secrets_and_a_host() {
        let spec = "{embedding: {openAI: {baseUrl: 'https://:8443/v1', model: m, dimensions: 8, secretRef: {name: e}}},
                     retrieval: {rerank: {baseUrl: 'https://host:0', model: m, secretRef: {name: r}}}}";
        let mut observed = nothing();
        for secret in ["e", "r"] {
            observed.referenced_secrets.insert(secret.to_owned(), Presence::Missing);
        }
        let problems = validate(&cluster(spec), &observed).unwrap_err();
        let found: Vec<(&str, ConditionReason)> = problems.iter().map(|p| (p.field.as_str(), p.reason)).collect();
        assert_eq!(
            found,
            [
                ("spec.embedding.openAI.secretRef.name", ConditionReason::SecretMissing),
                ("spec.retrieval.rerank.secretRef.name", ConditionReason::SecretMissing),
                ("spec.embedding.openAI.baseUrl", ConditionReason::InvalidSpec),
                ("spec.retrieval.rerank.baseUrl", ConditionReason::InvalidSpec),
            ]
        );
    }

    #[test]
    fn a_redis_needs_its_secret_and_a_host_and_is_the_only_cache() {
        let of = |cache: &str| problems(&format!("cache: {cache}"));
        assert!(validate(&cluster("cache: {redis: {url: 'redis://redis:6379'}}"), &nothing()).is_ok());
        let said = of("{redis: {url: 'redis://user:secret@redis'}}").concat();
        assert!(
            said.starts_with("spec.cache.redis.url: a URL that names no host") && !said.contains("secret"),
            "{said}"
        );
        for cache in ["{}", "{memory: {}, redis: {url: 'redis://redis'}}"] {
            assert_eq!(
                of(cache),
                ["spec.cache: not exactly one cache; name exactly one of memory and redis, or leave cache out"]
            );
        }
        let spec = cluster("cache: {redis: {url: 'redis://redis', secretRef: {name: gone}}}");
        let mut observed = nothing();
        observed.referenced_secrets.insert("gone".to_owned(), Presence::Missing);
        let found = validate(&spec, &observed).unwrap_err();
        assert_eq!(found[0].field, "spec.cache.redis.secretRef.name");
    }

    #[test]
    fn a_pull_secret_of_the_store_is_looked_for_as_well() {
        let spec = "vectorStore: {qdrant: {podTemplate: {imagePullSecrets: [{name: there}, {name: missing}]}}}";
        let mut observed = nothing();
        observed.referenced_secrets.insert("there".to_owned(), Presence::Exists);
        observed.referenced_secrets.insert("missing".to_owned(), Presence::Missing);
        let problems = validate(&cluster(spec), &observed).unwrap_err();
        let found: Vec<(&str, ConditionReason)> = problems.iter().map(|p| (p.field.as_str(), p.reason)).collect();
        let field = "spec.vectorStore.qdrant.podTemplate.imagePullSecrets[1].name";
        assert_eq!(found, [(field, ConditionReason::SecretMissing)]);
    }

    #[test]
    fn exactly_one_embedder_is_asked_for_even_where_the_rule_was_passed_by() {
        let service = "openAI: {baseUrl: 'https://llm.example.com/v1', model: m, dimensions: 8}";
        for spec in ["{embedding: {}}".to_owned(), format!("{{embedding: {{local: {{}}, {service}}}}}")] {
            assert!(problems(&spec)[0].contains("exactly one of local and openAI"), "{spec}");
        }
        let embedder = |spec: &str| validate(&cluster(spec), &nothing()).unwrap().embedder;
        assert_eq!(embedder("{}"), Embedder::Local(EmbeddingModel::AllMiniLmL6V2));
        assert_eq!(embedder("embedding: {local: {}}"), embedder("{}"));
        let chosen = embedder(&format!("embedding: {{{service}}}"));
        assert!(matches!(chosen, Embedder::OpenAi(service) if service.dimensions == 8));
    }

    #[test]
    fn a_secret_that_the_api_server_cannot_tell_about_is_no_problem() {
        let mut observed = nothing();
        observed.referenced_secrets.insert("qdrant-cloud".to_owned(), Presence::Unknown);
        assert!(validate(&cluster(EXTERNAL), &observed).is_ok());
    }

    #[test]
    fn a_zero_cpu_request_is_fine_while_autoscaling_is_off() {
        let spec = "{autoscaling: {enabled: false}, resources: {requests: {cpu: '0'}}}";
        assert!(validate(&cluster(spec), &nothing()).is_ok());
        assert_eq!(problems("resources: {requests: {cpu: '0'}}").len(), 1);
    }

    #[test]
    fn the_embedded_store_asks_for_one_server_even_where_the_rule_was_passed_by() {
        assert!(validate(&cluster(EMBEDDED), &nothing()).is_ok());
        let refused = problems("{vectorStore: {embedded: {}}}");
        assert!(refused[0].contains("profile: Development, replicas: 1"), "{refused:?}");
        assert!(problems("{vectorStore: {}}")[0].contains("exactly one"));
    }

    #[test]
    fn a_revision_that_cannot_be_read_stops_the_pass_with_a_remedy() {
        let cluster = cluster("{}");
        for damage in ["null", "{}", "7", r#"{"image": 7, "podTemplate": {}}"#, r#"{"image": "example.com/server:1"}"#]
        {
            let mut world = applied(&cluster, &nothing());
            world.children.revisions[0].data.0 = serde_json::from_str(damage).unwrap();
            let name = world.children.revisions[0].metadata.name.clone().unwrap();
            let refused = validate(&cluster, &world).unwrap_err();
            assert_eq!(refused.len(), 1, "{damage}");
            assert_eq!(
                (refused[0].reason, &refused[0].field),
                (ConditionReason::RevisionUnreadable, &format!("ControllerRevision/{name}"))
            );
            assert!(refused[0].remedy.contains("delete it"), "{}", refused[0]);
        }
    }

    #[test]
    fn a_generation_without_material_is_named_and_can_be_deleted() {
        let cluster = cluster("{}");
        let mut world = applied(&cluster, &nothing());
        world.children.secrets.generations.values_mut().next().unwrap().data = None;
        let held = validate(&cluster, &world).unwrap().held;
        assert_eq!(held[0].field, "Secret/handbook-api-key-default-g1");
        assert!(held[0].remedy.contains("delete it"), "{}", held[0]);
    }

    fn reasons(problems: &[Problem]) -> Vec<(&str, ConditionReason)> {
        problems.iter().map(|problem| (problem.field.as_str(), problem.reason)).collect()
    }

    #[test]
    fn a_missing_secret_holds_a_cluster_that_runs_and_stops_one_that_has_nothing_to_go_on_with() {
        let plain = cluster("{}");
        let mut world = applied(&plain, &nothing());
        world.referenced_secrets.insert("pull".to_owned(), Presence::Missing);
        let asking = cluster("{replicas: 9, podTemplate: {imagePullSecrets: [{name: pull}]}}");
        let missing = [("spec.podTemplate.imagePullSecrets[0].name", ConditionReason::SecretMissing)];
        let held = validate(&asking, &world).unwrap();
        assert_eq!((reasons(&held.held).as_slice(), held.replicas), (missing.as_slice(), 9));
        assert!(validate(&plain, &world).unwrap().held.is_empty());

        let mut new = nothing();
        new.referenced_secrets.insert("pull".to_owned(), Presence::Missing);
        assert_eq!(reasons(&validate(&asking, &new).unwrap_err()), missing);
        // A roll-out of which nobody can tell what it was made of is nothing to go on with.
        world.children.revisions.clear();
        assert_eq!(reasons(&validate(&asking, &world).unwrap_err()), missing);
        // With a field that is wrong beside it, nothing is written at all.
        let wrong = cluster("{resources: {requests: {cpu: '0'}}, podTemplate: {imagePullSecrets: [{name: pull}]}}");
        let mut world = applied(&plain, &nothing());
        world.referenced_secrets.insert("pull".to_owned(), Presence::Missing);
        assert_eq!(validate(&wrong, &world).unwrap_err().len(), 2);
    }

    #[test]
    fn a_revision_of_the_past_that_cannot_be_read_is_in_nobodys_way() {
        let (before, now) = (cluster("{}"), cluster("retrieval: {topK: 6}"));
        let mut world = applied(&before, &nothing());
        let past = world.children.revisions[0].metadata.name.clone();
        world = applied(&now, &world);
        let past = world.children.revisions.iter_mut().find(|revision| revision.metadata.name == past).unwrap();
        past.data.0 = serde_json::json!({"layout": "of another operator"});
        assert!(validate(&now, &world).unwrap().held.is_empty());
    }

    #[test]
    fn a_key_that_is_in_use_and_stands_nowhere_any_more_is_named_with_a_way_out() {
        let cluster = cluster("auth: {apiKeys: [{name: nightly}]}");
        let mut world = applied(&cluster, &nothing());
        world.children.secrets = crate::cluster::observed::OwnSecrets::default();
        let held = validate(&cluster, &world).unwrap().held;
        assert_eq!(
            reasons(&held),
            [
                ("Secret/handbook-api-key-nightly-g1", ConditionReason::CredentialLost),
                ("Secret/handbook-vector-store-g1", ConditionReason::CredentialLost),
            ]
        );
        assert!(held.iter().all(|problem| problem.remedy.contains("backup")), "{held:?}");
        assert!(held[1].remedy.contains("delete StatefulSet handbook-qdrant with --cascade=orphan"), "{}", held[1]);

        // Halfway through the remedy the pod still has the key: nothing may be written that would take it up.
        world.children.qdrant_stateful_set = None;
        let store = world.server_pods[0].clone();
        world.qdrant_pods.push(store);
        let problems = validate(&cluster, &world).unwrap_err();
        assert_eq!(problems[1].scope, Scope::Cluster);
        world.qdrant_pods.clear();
        assert_eq!(validate(&cluster, &world).unwrap().held.len(), 1);
    }

    #[test]
    fn a_key_that_nobody_has_yet_is_not_lost() {
        let mut world = applied(&cluster("{}"), &nothing());
        world.children.secrets.generations.clear();
        world.children.secrets.server = None;
        let more = cluster("auth: {apiKeys: [{name: default}, {name: web}]}");
        assert!(validate(&more, &world).unwrap().held.is_empty());
        assert!(validate(&cluster("{}"), &nothing()).unwrap().held.is_empty());
    }
}
