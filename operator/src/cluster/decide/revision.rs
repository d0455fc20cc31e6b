//! Which revision runs, and whether it is a new one.
//!
//! A revision is named by a hash of the spec fields that need a roll-out, never of the rendered pod: a new operator with
//! another default image or another pod template finds the revision that exists, takes what was frozen in it, and so
//! changes no running pod until the spec changes. While something is in the way of the revision that the spec asks for, the
//! one in use stays.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::ControllerRevision;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::api::Revision;
use crate::api::cluster::{
    EmbeddingModel, ExternalQdrant, Generation, OpenAiEmbedding, PodTemplate, Postgres, RedisCache, Resources,
    Retention, Retrieval, Role, Tracing,
};
use crate::cluster::observed::{FIRST_SCHEMA, Observed};
use crate::cluster::validate::{Embedder, ManagedStore, Problem, Scope, Store, ValidatedCluster, last_run};

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

/// The version of the configuration's schema that this operator renders. Since 2 there is a budget among the live settings,
/// since 3 an `owner_id`, and a budget may prefer the cheaper providers.
pub const CONFIG_SCHEMA: u32 = 3;

/// The revisions that are to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Revisions {
    /// What keeps a new revision from being made; with nothing in the way, the spec's own revisions run.
    pub held: Vec<Problem>,
    /// The servers' revision that the spec asks for, while it is not made.
    pub awaited: Option<Revision>,
    /// Of the servers.
    pub servers: PlannedRevision,
    /// Of the managed vector store, where there is one.
    pub qdrant: Option<PlannedRevision>,
}

/// The revisions that the spec asks for or, where something is in their way, those that are in use.
pub fn revisions(cluster: &ValidatedCluster, observed: &Observed) -> Revisions {
    let (of_servers, of_qdrant) =
        (|name: &Revision| cluster.name.server_revision(name), |name: &Revision| cluster.name.qdrant_revision(name));
    let wanted = server_revision(cluster);
    let wanted_qdrant = match &cluster.store {
        Store::Managed(store) => Some(qdrant_revision(cluster, store, &store_image(store, observed))),
        Store::External(_) | Store::Embedded { .. } => None,
    };
    let mut held = cluster.held.clone();
    held.extend(unreadable(&of_servers(&wanted), observed));
    held.extend(wanted_qdrant.as_ref().and_then(|name| unreadable(&of_qdrant(name), observed)));
    let live = &observed.children;
    let in_use = live.server_revision().filter(|name| !held.is_empty() && live.frozen(&of_servers(name)).is_some());
    let qdrant_in_use =
        live.qdrant_revision().filter(|name| !held.is_empty() && live.frozen(&of_qdrant(name)).is_some());
    let servers = in_use.unwrap_or_else(|| wanted.clone());
    let qdrant = wanted_qdrant.map(|wanted| qdrant_in_use.unwrap_or(wanted));
    Revisions {
        held,
        awaited: (servers != wanted).then_some(wanted),
        servers: planned(&of_servers(&servers), &cluster.name.server(), servers, observed),
        qdrant: qdrant.map(|name| planned(&of_qdrant(&name), &cluster.name.qdrant(), name, observed)),
    }
}

/// One that cannot be read is not planned with: what was frozen in it cannot be guessed.
fn unreadable(name: &str, observed: &Observed) -> Option<Problem> {
    let revisions = &observed.children.revisions;
    let revision = revisions.iter().find(|revision| revision.metadata.name.as_deref() == Some(name))?;
    let error = Frozen::read(revision).err()?;
    Some(Problem::unreadable_revision(Scope::Revision, name, &error))
}

/// The image of the managed vector store: the one that the spec names, or the one that has the data, or the operator's default.
pub fn store_image(store: &ManagedStore, observed: &Observed) -> String {
    let image = store.image.clone().or_else(|| last_run(observed));
    image.unwrap_or_else(|| observed.defaults.qdrant_image.clone())
}

/// The newest version of the schema that the servers of all these revisions know: each of them reads the same live settings,
/// and refuses the whole of them where one key is unknown to it.
pub fn live_schema(
    cluster: &ValidatedCluster,
    planned: &PlannedRevision,
    in_use: &BTreeSet<Revision>,
    observed: &Observed,
) -> u32 {
    let schema = |revision: &Revision| {
        if *revision == planned.name {
            return planned.frozen.as_ref().map_or(CONFIG_SCHEMA, |frozen| frozen.config_schema);
        }
        let known = observed.children.frozen(&cluster.name.server_revision(revision));
        // One that was removed cannot say what its servers know; what the first servers know, all do.
        known.map_or(FIRST_SCHEMA, |frozen| frozen.config_schema)
    };
    in_use.iter().map(schema).min().unwrap_or(CONFIG_SCHEMA)
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
    // One that cannot be read is not planned.
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
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<RecordsInputs<'a>>,
    embedding: EmbeddingInputs<'a>,
    retrieval: &'a Retrieval,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<&'a Generation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<&'a RedisCache>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracing: Option<&'a Tracing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<&'a Retention>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow_query_seconds: Option<i32>,
    clients: BTreeMap<&'a str, Role>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tenants: BTreeMap<&'a str, &'a str>,
    pods: &'a PodTemplate,
}

/// A database of the records, and how many servers share it.
#[derive(Serialize)]
struct RecordsInputs<'a> {
    database: &'a Postgres,
    servers: i32,
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
        records: cluster.postgres.as_ref().map(|database| RecordsInputs { database, servers: cluster.most_servers() }),
        embedding: match &cluster.embedder {
            Embedder::Local(model) => EmbeddingInputs::Local(*model),
            Embedder::OpenAi(service) => EmbeddingInputs::OpenAi(service),
        },
        retrieval: &spec.retrieval,
        generation: spec.generation.as_ref().filter(|generation| !generation.providers.is_empty()),
        cache: spec.cache.as_ref().and_then(|cache| cache.redis.as_ref()),
        tracing: spec.tracing.as_ref(),
        retention: spec.retention.as_ref().filter(|retention| !retention.is_empty()),
        slow_query_seconds: spec.slow_query_seconds,
        clients: cluster.clients.iter().map(|(name, client)| (name.as_str(), client.role)).collect(),
        tenants: cluster
            .clients
            .iter()
            .filter_map(|(name, client)| Some((name.as_str(), client.tenant.as_deref()?)))
            .collect(),
        pods: &cluster.pod_template,
    })
}

/// What needs a restart of the managed vector store. The same holds for fields that are added later. The image is the resolved
/// one: naming the one that runs anyway, or no longer naming it, changes nothing.
#[derive(Serialize)]
struct QdrantInputs<'a> {
    image: &'a str,
    resources: Resources,
    pods: &'a PodTemplate,
}

fn qdrant_revision(cluster: &ValidatedCluster, store: &ManagedStore, image: &str) -> Revision {
    let asked = cluster.spec.vector_store.as_ref().and_then(|store| store.qdrant.as_ref());
    let resources = asked.and_then(|qdrant| qdrant.resources.clone()).unwrap_or_default();
    hash(&QdrantInputs { image, resources, pods: &store.pod_template })
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
    use crate::api::{ConditionReason, labels};
    use crate::cluster::build::config::LIVE_FILE;
    use crate::cluster::fixtures::{EXTERNAL, applied, cluster, nothing, pass, store_waits_for_its_image};
    use crate::cluster::observed::{Observed, Presence};

    fn names(spec: &str) -> (String, Option<String>) {
        let (_, plan, _) = pass(&cluster(spec), &nothing());
        (plan.revision.name.to_string(), plan.qdrant_revision.map(|revision| revision.name.to_string()))
    }

    /// A change of these values rolls the pods of every cluster that exists.
    #[test]
    fn the_revision_of_a_spec_is_the_same_in_every_version_of_the_operator() {
        assert_eq!(names("{}"), ("fa7cccbd83".to_owned(), Some("8552b9dc87".to_owned())));
        // What is stored of an empty spec where minScore still had a default.
        let stored = "retrieval: {mode: Hybrid, topK: 5, minScore: 0.4}";
        assert_eq!(names(stored), ("f5675e4a03".to_owned(), Some("8552b9dc87".to_owned())));
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
            "tracing: {endpoint: 'http://collector.monitoring.svc:4318'}",
            "embedding: {openAI: {baseUrl: 'https://llm.example.com/v1', model: m, dimensions: 8}}",
            "auth: {apiKeys: [{name: nightly, role: Writer}]}",
            "auth: {apiKeys: [{name: default, role: Writer, tenant: acme}]}",
            "retention: {sessionDays: 30}",
            "slowQuerySeconds: 10",
            "podTemplate: {affinity: {}}",
            "records: {postgres: {secretRef: {name: db}}}",
            "cache: {redis: {url: 'redis://cache:6379'}}",
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
            "retention: {}",
            "vectorStore: {qdrant: {}}",
            "records: {vectorStore: {}}",
            "cache: {memory: {}}",
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
        let pods =
            "{labels: {team: a}, annotations: {note: here}, nodeSelector: {disk: fast}, tolerations: [{key: rag}],
            affinity: {}, priorityClassName: high, imagePullSecrets: [{name: pull}]}";
        let (servers_after, store_after) = names(&format!("podTemplate: {pods}"));
        assert_ne!(servers_after, servers);
        assert_eq!(store_after, store);
        let (servers_after, store_after) = names(&format!("vectorStore: {{qdrant: {{podTemplate: {pods}}}}}"));
        assert_eq!(servers_after, servers);
        assert_ne!(store_after, store);
    }

    /// The store's image and revision after each of these specs was applied and its pod had started, in turn.
    fn store_after(specs: &[&str]) -> Vec<(String, String)> {
        let mut world = nothing();
        let mut stores = Vec::new();
        for spec in specs {
            world = applied(&cluster(spec), &world.later(60));
            let template = &world.children.qdrant_stateful_set.as_ref().unwrap().spec.template;
            let image = template.spec.as_ref().unwrap().containers[0].image.clone().unwrap();
            let labels = template.metadata.as_ref().unwrap().labels.as_ref().unwrap();
            stores.push((image, labels[labels::REVISION].clone()));
            // A new operator has another default each time.
            world.defaults.qdrant_image = format!("example.com/qdrant:1.25.{}", stores.len());
        }
        stores
    }

    #[test]
    fn the_image_that_has_the_data_stays_whatever_the_default_is_and_whatever_else_changes() {
        let stores = store_after(&[
            "{}",
            "{}",
            "vectorStore: {qdrant: {podTemplate: {labels: {team: a}}}}",
            "vectorStore: {qdrant: {image: 'example.com/qdrant:1.20.0'}}",
            "vectorStore: {qdrant: {image: 'example.com/qdrant:1.21.0'}}",
            "{}",
        ]);
        let images: Vec<&str> = stores.iter().map(|(image, _)| image.as_str()).collect();
        let minor = |minor: &str| images.iter().filter(|image| image.ends_with(minor)).count();
        assert_eq!((minor("1.20.0"), minor("1.21.0")), (4, 2), "{images:?}");
        // Naming what runs, and no longer naming it, restarts nothing.
        assert_eq!(stores[0], stores[3]);
        assert_eq!(stores[4], stores[5]);
    }

    #[test]
    fn an_image_that_was_never_fetched_gives_way_to_the_one_before() {
        let mut world = applied(&cluster("{}"), &applied(&cluster("{}"), &nothing()));
        world.defaults.qdrant_image = "example.com/qdrant:1.25.0".to_owned();
        world = applied(&cluster("vectorStore: {qdrant: {image: 'example.com/qdrant:1.21.99'}}"), &world);
        store_waits_for_its_image(&mut world);
        let store = pass(&cluster("{}"), &world).2.qdrant.unwrap().stateful_set.spec.template.spec.unwrap();
        assert_eq!(store.containers[0].image.as_deref(), Some("example.com/qdrant:1.20.0"));
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
        assert_eq!(store.containers[0].image.as_deref(), Some("example.com/qdrant:1.20.0"));

        let (_, plan, children) = pass(&cluster("retrieval: {topK: 6}"), &world);
        let servers = children.deployment.spec.template.spec.unwrap();
        assert_eq!(servers.containers[0].image.as_deref(), Some("example.com/rag-server:0.2.0"));
        assert_eq!(plan.revision.number, 2);
    }

    fn live_settings(spec: &str, world: &Observed) -> String {
        let (_, _, children) = pass(&cluster(spec), world);
        children.live.data.unwrap()[LIVE_FILE].clone()
    }

    #[test]
    fn live_settings_hold_no_key_that_a_server_which_still_runs_would_not_know() {
        let old = cluster("{}");
        let mut world = applied(&old, &nothing());
        for revision in &mut world.children.revisions {
            revision.data.0["configSchema"] = serde_json::json!(1);
        }
        let new = "{retrieval: {topK: 6}, readOnly: true, budget: {monthlyUsd: 200}}";
        // The new revision is planned, and every server is of the old one.
        assert_eq!(live_settings(new, &world), "read_only = true\n");
        // One of the old servers is left.
        let mut rolling = applied(&cluster(new), &world);
        rolling.server_pods.push(world.server_pods[0].clone());
        assert_eq!(live_settings(new, &rolling), "read_only = true\n");
        // Its revision was removed by hand, so that nothing says what it knows.
        let mut unknown = rolling.clone();
        unknown.children.revisions.retain(|revision| revision.data.0["configSchema"] != 1);
        assert_eq!(live_settings(new, &unknown), "read_only = true\n");
        rolling.server_pods.pop();
        let settled = applied(&cluster(new), &rolling);
        assert!(live_settings(new, &settled).starts_with("read_only = true\n\n[budget]\n"));
    }

    #[test]
    fn while_a_secret_is_missing_the_revision_in_use_stays_and_the_rest_of_the_spec_is_applied() {
        let before = cluster("{}");
        let mut world = applied(&before, &nothing());
        let (_, running, _) = pass(&before, &world);
        world.referenced_secrets.insert("llm".to_owned(), Presence::Missing);
        let template = world.children.deployment.as_ref().unwrap().spec.template.clone();
        let store = world.children.qdrant_stateful_set.as_ref().unwrap().spec.template.clone();
        world.defaults.server_image = "example.com/rag-server:0.2.0".to_owned();
        let asking = cluster(
            "{replicas: 10, readOnly: true, budget: {monthlyUsd: 20}, podTemplate: {nodeSelector: {disk: fast}},
              networkPolicy: {scrapeFrom: [{podSelector: {}}]}, generation: {providers: [
                {name: a, baseUrl: 'http://llm.rag.svc:8000/v1', model: m, secretRef: {name: llm, key: k}}]}}",
        );
        let (_, plan, children) = pass(&asking, &world);
        assert_eq!(plan.held[0].reason, ConditionReason::SecretMissing);
        assert_eq!((plan.revision, plan.qdrant_revision), (running.revision, running.qdrant_revision));
        assert!(plan.awaited.is_some());
        assert_eq!(children.deployment.spec.template, template);
        assert_eq!(children.qdrant.unwrap().stateful_set.spec.template, store);
        assert_eq!(children.replicas.map(|replicas| replicas.count), Some(10));
        assert_eq!(children.autoscaler.unwrap().spec.min_replicas, Some(10));
        let live = &children.live.data.unwrap()["live.toml"];
        assert!(live.contains("read_only = true") && live.contains("monthly_usd = 20.0"), "{live}");
        // Scrapers are let in at once; the servers call what their revision calls.
        let policy = children.network_policy.unwrap().spec.unwrap();
        let ways_out = world.children.network_policy.as_ref().unwrap().spec.as_ref().unwrap().egress.clone();
        assert_eq!(policy.egress, ways_out);
        assert_eq!(policy.ingress.unwrap()[1].from.as_ref().unwrap().len(), 2);

        world.referenced_secrets.insert("llm".to_owned(), Presence::Exists);
        let (_, plan, children) = pass(&asking, &world);
        assert!(plan.held.is_empty() && plan.awaited.is_none());
        assert_ne!(children.deployment.spec.template, template);
        assert_ne!(children.network_policy.unwrap().spec.unwrap().egress, ways_out);
    }

    #[test]
    fn a_missing_secret_of_the_revision_in_use_leaves_it_as_it_is() {
        let cluster = cluster("podTemplate: {imagePullSecrets: [{name: pull}]}");
        let mut world = applied(&cluster, &nothing());
        world.referenced_secrets.insert("pull".to_owned(), Presence::Missing);
        let (_, plan, children) = pass(&cluster, &world);
        assert!(!plan.held.is_empty() && plan.awaited.is_none());
        assert_eq!(children.deployment.spec.template, world.children.deployment.unwrap().spec.template);
    }

    #[test]
    fn a_revision_that_cannot_be_read_is_not_gone_back_to() {
        let (one, other) = (cluster("{}"), cluster("retrieval: {topK: 6}"));
        let mut world = applied(&one, &nothing());
        let (_, first, _) = pass(&one, &world);
        world = applied(&other, &world);
        let (_, second, _) = pass(&other, &world);
        let damaged = format!("handbook-server-{}", first.revision.name);
        let mut revisions = world.children.revisions.iter_mut();
        let damaged = revisions.find(|revision| revision.metadata.name.as_ref() == Some(&damaged)).unwrap();
        damaged.data.0 = serde_json::json!({"layout": "of another operator"});
        assert!(pass(&other, &world).1.held.is_empty());
        let (_, back, _) = pass(&one, &world);
        assert_eq!(back.held[0].reason, ConditionReason::RevisionUnreadable);
        assert_eq!((back.revision, back.awaited), (second.revision, Some(first.revision.name)));
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
