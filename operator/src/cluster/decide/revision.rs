//! Which revision runs, and whether it is a new one.
//!
//! A revision is named by a hash of the spec fields that need a roll-out, never of the rendered pod: a new operator with
//! another default image or another pod template finds the revision that exists, takes what was frozen in it, and so
//! changes no running pod until the spec changes.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::Toleration;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::api::Revision;
use crate::api::cluster::{
    EmbeddingModel, ExternalQdrant, Generation, ManagedQdrant, OpenAiEmbedding, PodTemplate, PullSecret, Resources,
    Retrieval, Role,
};
use crate::cluster::observed::Observed;
use crate::cluster::validate::{Embedder, Store, ValidatedCluster};

pub use crate::cluster::observed::Frozen;

/// A revision that is to run.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedRevision {
    /// Its name.
    pub name: Revision,
    /// Its place in the order of revisions, counted from 1.
    pub number: i64,
    /// What was frozen when it was first applied; nothing when this pass is the first.
    pub frozen: Option<Frozen>,
}

/// The version of the configuration's schema that this operator renders.
pub const CONFIG_SCHEMA: u32 = 2;

/// The revision of the servers.
pub fn of_servers(cluster: &ValidatedCluster, observed: &Observed) -> PlannedRevision {
    let name = server_revision(cluster);
    planned(&cluster.name.server_revision(&name), &cluster.name.server(), name, observed)
}

/// The revision of the managed vector store.
pub fn of_qdrant(cluster: &ValidatedCluster, observed: &Observed) -> PlannedRevision {
    let name = qdrant_revision(cluster);
    planned(&cluster.name.qdrant_revision(&name), &cluster.name.qdrant(), name, observed)
}

fn planned(object_name: &str, workload: &str, name: Revision, observed: &Observed) -> PlannedRevision {
    let of_workload = |revision: &&ControllerRevision| {
        let prefix = format!("{workload}-");
        revision
            .metadata
            .name
            .as_deref()
            .and_then(|name| name.strip_prefix(&prefix))
            .is_some_and(|rest| Revision::parse(rest).is_some())
    };
    let mut siblings = observed.children.revisions.iter().filter(of_workload);
    let newest = siblings.clone().filter_map(|revision| revision.revision).max().unwrap_or(0);
    let existing = siblings.find(|revision| revision.metadata.name.as_deref() == Some(object_name));
    // One that cannot be read has stopped the pass before this.
    let frozen = existing.and_then(|revision| Frozen::read(revision).ok());
    let number = existing.and_then(|revision| revision.revision).unwrap_or(newest + 1);
    PlannedRevision { name, number, frozen }
}

/// The fields of the spec that need a roll-out of the servers. A field that is added later must be left out of the JSON while
/// it has its default, or every cluster would roll when the operator is upgraded.
#[derive(Serialize)]
struct ServerInputs<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<&'a str>,
    resources: Resources,
    store: StoreInputs<'a>,
    embedding: EmbeddingInputs<'a>,
    retrieval: &'a Retrieval,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<&'a Generation>,
    clients: BTreeMap<&'a str, Role>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tenants: BTreeMap<&'a str, &'a str>,
    pods: &'a PodTemplate,
}

/// A local model is its name alone, as it was while there was nothing else.
#[derive(Serialize)]
#[serde(untagged)]
enum EmbeddingInputs<'a> {
    Local(EmbeddingModel),
    OpenAi(&'a OpenAiEmbedding),
}

#[derive(Serialize)]
enum StoreInputs<'a> {
    Managed,
    External(&'a ExternalQdrant),
    Embedded,
}

fn server_revision(cluster: &ValidatedCluster) -> Revision {
    let spec = &cluster.spec;
    let external = spec.vector_store.as_ref().and_then(|store| store.external_qdrant.as_ref());
    let store = match (&cluster.store, external) {
        (Store::External(_), Some(external)) => StoreInputs::External(external),
        (Store::Embedded { .. }, _) => StoreInputs::Embedded,
        (Store::Managed(_) | Store::External(_), _) => StoreInputs::Managed,
    };
    hash(&ServerInputs {
        image: spec.image.as_deref(),
        resources: spec.resources.clone().unwrap_or_default(),
        store,
        embedding: match &cluster.embedder {
            Embedder::Local(model) => EmbeddingInputs::Local(*model),
            Embedder::OpenAi(service) => EmbeddingInputs::OpenAi(service),
        },
        retrieval: &spec.retrieval,
        generation: spec.generation.as_ref().filter(|generation| !generation.providers.is_empty()),
        clients: cluster.clients.iter().map(|(name, client)| (name.as_str(), client.role)).collect(),
        tenants: cluster
            .clients
            .iter()
            .filter_map(|(name, client)| Some((name.as_str(), client.tenant.as_deref()?)))
            .collect(),
        pods: &cluster.pod_template,
    })
}

/// The fields of the spec that need a restart of the managed vector store. The same holds for fields that are added later.
#[derive(Serialize)]
struct QdrantInputs<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    resources: Resources,
    labels: &'a BTreeMap<String, String>,
    annotations: &'a BTreeMap<String, String>,
    node_selector: &'a BTreeMap<String, String>,
    tolerations: &'a [Toleration],
    #[serde(skip_serializing_if = "Option::is_none")]
    priority_class_name: Option<&'a str>,
    image_pull_secrets: &'a [PullSecret],
}

fn qdrant_revision(cluster: &ValidatedCluster) -> Revision {
    let given = cluster.spec.vector_store.as_ref().and_then(|store| store.qdrant.clone());
    let ManagedQdrant { image, resources, storage: _ } = given.unwrap_or_default();
    let pods = &cluster.pod_template;
    hash(&QdrantInputs {
        image,
        resources: resources.unwrap_or_default(),
        labels: &pods.labels,
        annotations: &pods.annotations,
        node_selector: &pods.node_selector,
        tolerations: &pods.tolerations,
        priority_class_name: pods.priority_class_name.as_deref(),
        image_pull_secrets: &pods.image_pull_secrets,
    })
}

fn hash(inputs: &impl Serialize) -> Revision {
    // Through a JSON value whose keys are put in order, since what else is linked decides whether they are in order already.
    // Maps with text keys and plain values always have a JSON form.
    let mut json = serde_json::to_value(inputs).unwrap_or_default();
    json.sort_all_objects();
    Revision::of_hash(&hex::encode(Sha256::digest(json.to_string())))
}

#[cfg(test)]
mod tests {
    use crate::cluster::fixtures::{EXTERNAL, applied, cluster, nothing, pass};
    use crate::cluster::observed::Observed;

    fn names(spec: &str) -> (String, Option<String>) {
        let (_, plan, _) = pass(&cluster(spec), &nothing());
        (plan.revision.name.to_string(), plan.qdrant_revision.map(|revision| revision.name.to_string()))
    }

    /// A change of these values rolls the pods of every cluster that exists.
    #[test]
    fn the_revision_of_a_spec_is_the_same_in_every_version_of_the_operator() {
        assert_eq!(names("{}"), ("fa7cccbd83".to_owned(), Some("ad0627c86c".to_owned())));
        // What is stored of an empty spec where minScore still had a default.
        let stored = "retrieval: {mode: Hybrid, topK: 5, minScore: 0.4}";
        assert_eq!(names(stored), ("f5675e4a03".to_owned(), Some("ad0627c86c".to_owned())));
    }

    #[test]
    fn what_needs_a_roll_out_makes_a_revision_and_nothing_else_does() {
        let (servers, store) = names("{}");
        for rolls in [
            "image: example.com/other:1",
            "resources: {limits: {memory: 1Gi}}",
            "retrieval: {topK: 6}",
            "retrieval: {minScore: 0.4}",
            "retrieval: {rerank: {baseUrl: 'https://rerank.example.com/v1', model: m}}",
            "embedding: {openAI: {baseUrl: 'https://llm.example.com/v1', model: m, dimensions: 8}}",
            "auth: {apiKeys: [{name: nightly, role: Writer}]}",
            "auth: {apiKeys: [{name: default, role: Writer, tenant: acme}]}",
            "podTemplate: {affinity: {}}",
            EXTERNAL,
        ] {
            assert_ne!(names(rolls).0, servers, "{rolls}");
        }
        for still in [
            "replicas: 5",
            "autoscaling: {maxReplicas: 7}",
            "networkPolicy: {enabled: false}",
            "readOnly: true",
            "profile: Development",
            "auth: {apiKeys: [{name: default, role: Writer}]}",
            "embedding: {local: {}}",
            "vectorStore: {qdrant: {}}",
            "resources: {}",
            "podTemplate: {}",
        ] {
            assert_eq!(names(still), (servers.clone(), store.clone()), "{still}");
        }
    }

    #[test]
    fn the_store_restarts_for_its_own_part_of_the_spec_alone() {
        let (servers, store) = names("{}");
        let (servers_after, store_after) = names("vectorStore: {qdrant: {image: 'example.com/qdrant:2'}}");
        assert_eq!(servers, servers_after);
        assert_ne!(store, store_after);
        assert_eq!(names("retrieval: {topK: 6}").1, store);
        assert_ne!(names("podTemplate: {nodeSelector: {disk: fast}}").1, store);
    }

    #[test]
    fn another_default_image_changes_no_pod_until_the_spec_changes() {
        let before = cluster("{}");
        let mut world = applied(&before, &nothing());
        let template = world.children.deployment.as_ref().unwrap().spec.template.clone();
        world.defaults.server_image = "example.com/rag-server:0.2.0".to_owned();
        world.defaults.qdrant_image = "example.com/qdrant:2".to_owned();
        let (_, plan, children) = pass(&before, &world);
        assert_eq!(children.deployment.spec.template, template);
        assert_eq!(plan.revision.number, 1);
        let store = children.qdrant.unwrap().stateful_set.spec.template.spec.unwrap();
        assert_eq!(store.containers[0].image.as_deref(), Some("example.com/qdrant:1.16.0"));

        let (_, plan, children) = pass(&cluster("retrieval: {topK: 6}"), &world);
        let servers = children.deployment.spec.template.spec.unwrap();
        assert_eq!(servers.containers[0].image.as_deref(), Some("example.com/rag-server:0.2.0"));
        assert_eq!(plan.revision.number, 2);
    }

    #[test]
    fn going_back_finds_what_was_frozen() {
        let (one, other) = (cluster("{}"), cluster("retrieval: {topK: 6}"));
        let mut world: Observed = applied(&one, &nothing());
        let template = world.children.deployment.as_ref().unwrap().spec.template.clone();
        world = applied(&other, &world.later(60));
        world.defaults.server_image = "example.com/rag-server:0.2.0".to_owned();
        world = applied(&one, &world.later(60));
        assert_eq!(world.children.deployment.unwrap().spec.template, template);
    }
}
