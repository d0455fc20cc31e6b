//! The children of a cluster: a validated cluster and its plan become complete Kubernetes objects.
//!
//! Pure. An object holds every field that we own and none that somebody else owns: no replicas where the autoscaler sets
//! them. [`Children`] has a field for each child; who applies it takes it apart without a rest pattern, so that a child that
//! nobody applies does not compile.

pub mod autoscaler;
pub mod config;
mod corpus;
mod data_claim;
mod deployment;
mod disruption_budget;
pub mod metadata;
pub(crate) mod network_policy;
pub(crate) mod pod;
mod qdrant;
mod revision;
mod secrets;
pub mod service;
mod service_account;
pub mod snapshots;

use std::marker::PhantomData;

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use super::decide::Plan;
use super::decide::revision::{CONFIG_SCHEMA, Frozen};
use super::decide::scaling::ReplicasOwner;
use super::decide::volume::Growth;
use super::observed::{ObjectRef, Observed};
use super::validate::{Store, ValidatedCluster};
use metadata::Part;

/// Built, and not yet with the API server.
#[derive(Clone, Copy, Debug)]
pub struct Prepared;

/// Everything that a cluster consists of, in the order in which it is applied: configuration and identity, workloads,
/// traffic; what is in surplus goes last.
#[derive(Clone)]
pub struct Children<Stage> {
    /// NAME-server.
    pub service_account: ServiceAccount,
    /// NAME-corpus: whose the corpus is. Before everything that is made with the id in it.
    pub corpus: ConfigMap,
    /// NAME-CREDENTIAL-gN, immutable: created, never applied. One that exists already ends the pass, since everything below
    /// was derived from material that is not the one in use; the next pass reads it back.
    pub minted: Vec<Secret>,
    /// NAME-server, which the servers mount; nothing where it is gone and a credential with it.
    pub server_secret: Option<Secret>,
    /// NAME-key-CLIENT.
    pub client_keys: Vec<Secret>,
    /// NAME-server-REVISION; its data is immutable.
    pub revision: ControllerRevision,
    /// NAME-config-REVISION, immutable.
    pub config: ConfigMap,
    /// NAME-live.
    pub live: ConfigMap,
    /// NAME-server.
    pub network_policy: Option<NetworkPolicy>,
    /// NAME-data, of the embedded vector store.
    pub data_claim: Option<PersistentVolumeClaim>,
    /// The managed vector store.
    pub qdrant: Option<QdrantChildren>,
    /// NAME-server, without `replicas`.
    pub deployment: Deployment,
    /// The number of servers, applied by the field manager `ragops.dev/scaling`; nothing while the autoscaler owns it.
    pub replicas: Option<Replicas>,
    /// NAME-server.
    pub disruption_budget: PodDisruptionBudget,
    /// NAME.
    pub autoscaler: Option<HorizontalPodAutoscaler>,
    /// NAME.
    pub service: Service,
    /// NAME-management.
    pub management: Option<Service>,
    /// The claim of the vector store's volume that is to ask for more. Nothing above waits for it, and it may be refused.
    pub growth: Option<Growth>,
    /// What is removed: what harms as long as it is there at once, the rest last of all.
    pub prune: Vec<ObjectRef>,
    /// Whether it has been applied.
    pub stage: PhantomData<Stage>,
}

/// What the managed vector store consists of.
#[derive(Clone)]
pub struct QdrantChildren {
    /// NAME-qdrant, from which it takes its key; nothing where that is lost.
    pub secret: Option<Secret>,
    /// NAME-qdrant, from which a pod without data learns whom to ask.
    pub bootstrap: ConfigMap,
    /// NAME-qdrant-REVISION; its data is immutable.
    pub revision: ControllerRevision,
    /// NAME-qdrant.
    pub network_policy: Option<NetworkPolicy>,
    /// NAME-qdrant.
    pub disruption_budget: PodDisruptionBudget,
    /// NAME-qdrant-peers, headless.
    pub peers: Service,
    /// NAME-qdrant.
    pub service: Service,
    /// NAME-qdrant, which replaces no pod by itself.
    pub stateful_set: StatefulSet,
    /// Its pods of an earlier revision, removed once it stands as it should.
    pub outdated: Vec<ObjectRef>,
    /// The StatefulSet itself, where it makes claims of another size than it should: removed without its pod, and made again by the
    /// next pass.
    pub remade: Option<ObjectRef>,
}

/// How many servers the Deployment gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// The Deployment.
    pub deployment: String,
    /// The number.
    pub count: i32,
}

/// Builds every child of the cluster.
pub fn build(cluster: &ValidatedCluster, plan: &Plan, observed: &Observed) -> Children<Prepared> {
    let frozen = frozen(cluster, plan, observed);
    let config = frozen.config.as_deref().unwrap_or_default();
    let qdrant = match (&cluster.store, &plan.qdrant_revision) {
        (Store::Managed(store), Some(planned)) => Some(qdrant::children(cluster, store, planned, plan, observed)),
        _ => None,
    };
    // Noted on the object that holds the number.
    let granted = plan.size.granted.as_ref().filter(|_| plan.size.owner == ReplicasOwner::Spec);
    Children {
        service_account: service_account::service_account(cluster),
        corpus: corpus::corpus(cluster, &plan.corpus, observed),
        minted: secrets::minted(cluster, &plan.credentials, observed.now),
        server_secret: secrets::server(cluster, &plan.credentials, observed.children.secrets.server.as_ref()),
        client_keys: secrets::client_keys(cluster, &plan.credentials),
        revision: revision::revision(cluster, Part::Server, &plan.revision, &frozen),
        config: config::config(cluster, &plan.revision.name, config),
        live: config::live(cluster, plan.live_schema),
        network_policy: cluster.network.as_ref().map(|scrape_from| {
            let policy = network_policy::network_policy(cluster, scrape_from, &observed.defaults);
            network_policy::with_ways_out_of_servers(policy, plan, observed.children.network_policy.as_ref())
        }),
        data_claim: data_claim::data_claim(cluster, observed.children.data_claim.as_ref()),
        qdrant,
        deployment: deployment::deployment(cluster, &frozen, granted),
        replicas: plan.size.apply.map(|count| Replicas { deployment: cluster.name.server(), count }),
        disruption_budget: disruption_budget::disruption_budget(cluster, Part::Server),
        autoscaler: cluster
            .autoscaling
            .as_ref()
            .map(|autoscaling| autoscaler::autoscaler(cluster, autoscaling, &plan.size)),
        service: service::service(cluster),
        management: service::management(cluster),
        growth: plan.growth.clone(),
        prune: plan.prune.clone(),
        stage: PhantomData,
    }
}

/// What the servers' revision holds: what was frozen, or what this operator makes of a new one.
pub fn frozen(cluster: &ValidatedCluster, plan: &Plan, observed: &Observed) -> Frozen {
    plan.revision.frozen.clone().unwrap_or_else(|| {
        let image = cluster.image.clone().unwrap_or_else(|| observed.defaults.server_image.clone());
        let pod_template = deployment::pod_template(cluster, &plan.revision.name, &image);
        let config = Some(config::render(cluster, &plan.corpus));
        Frozen { image, pod_template, config, config_schema: CONFIG_SCHEMA }
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::api::labels;
    use crate::cluster::fixtures::{EMBEDDED, EXTERNAL, applied, cluster, nothing, pass};
    use insta::{assert_snapshot, assert_yaml_snapshot};
    use k8s_openapi::api::core::v1::Probe;
    use serde_json::json;

    fn children(spec: &str) -> Children<Prepared> {
        pass(&cluster(spec), &nothing()).2
    }

    #[test]
    fn the_servers_of_an_empty_spec() {
        assert_yaml_snapshot!("deployment", children("{}").deployment);
    }

    #[test]
    fn the_servers_with_everything_that_travels_to_their_pods() {
        let spec = "
            image: example.com/own:1
            resources: {requests: {cpu: 2}, limits: {memory: 1Gi}}
            podTemplate:
              labels: {team: a, app.kubernetes.io/version: '1'}
              annotations: {note: here}
              nodeSelector: {disk: fast}
              tolerations: [{key: rag, operator: Exists}]
              affinity: {nodeAffinity: {}}
              topologySpreadConstraints: [{maxSkew: 2, topologyKey: rack, whenUnsatisfiable: DoNotSchedule}]
              priorityClassName: high
              imagePullSecrets: [{name: pull}]";
        assert_yaml_snapshot!("deployment_with_additions", children(spec).deployment.spec.template);
    }

    /// A snapshot must not depend on what else is linked.
    fn sorted(mut json: serde_json::Value) -> serde_json::Value {
        json.sort_all_objects();
        json
    }

    #[test]
    fn the_one_server_of_an_embedded_store_and_its_volume() {
        let built = children(EMBEDDED);
        let spec = &built.deployment.spec;
        let pod = spec.template.spec.as_ref().unwrap();
        assert_yaml_snapshot!(
            "embedded",
            sorted(json!({
                "strategy": spec.strategy,
                "volumes": pod.volumes,
                "mounts": pod.containers[0].volume_mounts,
                "claim": built.data_claim,
                "replicas": built.replicas.map(|replicas| replicas.count),
                "has_autoscaler": built.autoscaler.is_some(),
                "has_qdrant": built.qdrant.is_some(),
            }))
        );
        let deleted = children(&EMBEDDED.replace("embedded: {}", "embedded: {}, deletionPolicy: Delete"));
        assert!(deleted.data_claim.unwrap().metadata.owner_references.is_some());
    }

    #[test]
    fn the_key_of_an_external_qdrant_is_mounted_and_never_read() {
        let built = children(EXTERNAL);
        let pod = built.deployment.spec.template.spec.unwrap();
        let credentials = pod.volumes.unwrap().into_iter().find(|volume| volume.name == "credentials");
        let egress = built.network_policy.unwrap().spec.unwrap().egress;
        assert_yaml_snapshot!("external", sorted(json!({"credentials": credentials, "egress": egress})));
        assert!(!built.server_secret.unwrap().data.unwrap().contains_key("vector-store.current"));
    }

    #[test]
    fn the_authority_of_an_external_qdrant_is_mounted_beside_its_key() {
        let spec = EXTERNAL.replace("apiKeySecretRef", "caKey: ca.crt, apiKeySecretRef");
        let built = children(&spec);
        let config = &built.config.data.as_ref().unwrap()[config::CONFIG_FILE];
        let line = "ca_file = \"/etc/ragops/credentials/vector-store-ca.crt\"";
        assert!(config.lines().any(|found| found == line), "no {line} in {config}");
        let volumes = built.deployment.spec.template.spec.unwrap().volumes.unwrap();
        let volume = volumes.into_iter().find(|volume| volume.name == "credentials").unwrap();
        let items = json!(volume.projected.unwrap().sources.unwrap()[1].secret.as_ref().unwrap().items);
        assert_eq!(items[1], json!({"key": "ca.crt", "path": "vector-store-ca.crt"}));
        assert!(!children(EXTERNAL).config.data.unwrap()[config::CONFIG_FILE].contains("ca_file"));
    }

    const PROVIDERS: &str = "{generation: {providers: [
        {name: far, baseUrl: 'https://llm.example.com/v1', model: large, secretRef: {name: llm, key: far}, pricing: {inputUsdPerMillionTokens: 0.15}},
        {name: near, baseUrl: 'http://llm.rag.svc:8000/v1', model: small}]},
      budget: {monthlyUsd: 200, alertPercents: [90], onLimit: Refuse}}";

    #[test]
    fn the_keys_of_services_outside_are_mounted_as_folders_and_never_read() {
        let built = children(PROVIDERS);
        let pod = built.deployment.spec.template.spec.unwrap();
        let providers = pod.volumes.unwrap().into_iter().find(|volume| volume.name == "providers").unwrap();
        let sources = providers.projected.unwrap().sources.unwrap();
        let secret = sources[0].secret.as_ref().unwrap();
        let item = &secret.items.as_ref().unwrap()[0];
        assert_eq!((sources.len(), secret.name.as_str()), (1, "llm"));
        assert_eq!((item.key.as_str(), item.path.as_str()), ("far", "far/key"));
        let container = &pod.containers[0];
        assert_eq!(container.env, None);
        let mounts = container.volume_mounts.as_ref().unwrap();
        let mount = mounts.iter().find(|mount| mount.name == "providers").unwrap();
        assert_eq!((mount.mount_path.as_str(), mount.read_only), ("/etc/ragops/providers", Some(true)));
        let config = &built.config.data.unwrap()[config::CONFIG_FILE];
        assert!(config.contains("api_key_file = \"/etc/ragops/providers/far/key\""), "{config}");
        assert_eq!(config.matches("api_key_file").count(), 2, "{config}");
        let egress = built.network_policy.unwrap().spec.unwrap().egress.unwrap();
        let [.., near, far] = egress.as_slice() else { panic!("{egress:?}") };
        assert_eq!((&near.ports, &far.to), (&None, &None));
        assert_eq!(
            json!(near.to),
            json!([{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "rag"}}}])
        );
        assert_eq!(json!(far.ports), json!([{"port": 443, "protocol": "TCP"}]));
    }

    #[test]
    fn the_database_of_the_records_is_mounted_as_a_folder_and_let_out_to() {
        let database = "records: {postgres: {secretRef: {name: handbook-db}, port: 6543}}";
        let built = children(&format!("{{{database}, autoscaling: {{maxReplicas: 30}}}}"));
        let pod = built.deployment.spec.template.spec.unwrap();
        let volume = pod.volumes.unwrap().into_iter().find(|volume| volume.name == "postgres").unwrap();
        let secret = volume.projected.unwrap().sources.unwrap().remove(0).secret.unwrap();
        assert_eq!((secret.name.as_str(), secret.items), ("handbook-db", None));
        let mounts = pod.containers[0].volume_mounts.as_ref().unwrap();
        let mount = mounts.iter().find(|mount| mount.name == "postgres").unwrap();
        assert_eq!((mount.mount_path.as_str(), mount.read_only), (config::POSTGRES_DIR, Some(true)));
        let config = &built.config.data.unwrap()[config::CONFIG_FILE];
        let records =
            "[records.postgres]\ndir = \"/etc/ragops/postgres\"\nport = 6543\ntls = \"VerifyFull\"\nservers = 31\n";
        assert!(config.contains(records), "{config}");
        let egress = json!(built.network_policy.unwrap().spec.unwrap().egress);
        assert!(egress.to_string().contains("6543"), "{egress}");
    }

    #[test]
    fn scaling_up_to_what_the_autoscaler_may_make_rolls_nothing_out() {
        let revision = |rest: &str| {
            let spec = format!(
                "{{records: {{postgres: {{secretRef: {{name: db}}}}}}, autoscaling: {{enabled: false}}, {rest}}}"
            );
            pass(&cluster(&spec), &nothing()).1.revision.name
        };
        assert_eq!(revision("replicas: 3"), revision("replicas: 20"));
        assert_ne!(revision("replicas: 3"), revision("replicas: 21"));
    }

    const SEARCH_SERVICES: &str = "{embedding: {openAI: {
        baseUrl: 'https://llm.example.com:8443/v1', model: text-embedding-3-small, dimensions: 1536, secretRef: {name: embedder}}},
      retrieval: {minScore: 0.25, rerank: {
        baseUrl: 'http://rerank.rag.svc:8001/v1', model: cross-encoder, topN: 40, secretRef: {name: reranker, key: token}}}}";

    #[test]
    fn the_services_of_the_search_are_rendered_with_their_keys_in_folders_of_their_own() {
        let built = children(SEARCH_SERVICES);
        assert_snapshot!("config_search_services", built.config.data.unwrap()[config::CONFIG_FILE]);
        let pod = built.deployment.spec.template.spec.unwrap();
        let keys = pod.volumes.unwrap().into_iter().find(|volume| volume.name == "providers");
        let egress = built.network_policy.unwrap().spec.unwrap().egress.unwrap().split_off(2);
        assert_yaml_snapshot!("search_services", sorted(json!({"keys": keys, "egress": egress})));
    }

    #[test]
    fn the_password_of_redis_is_mounted_where_there_is_one_and_no_server_waits_for_it() {
        let built = children("cache: {redis: {url: 'redis://redis.rag.svc:6379/', secretRef: {name: cache}}}");
        let config = &built.config.data.as_ref().unwrap()[config::CONFIG_FILE];
        for line in [
            "[cache.redis]",
            "url = \"redis://redis.rag.svc:6379\"",
            "user_file = \"/etc/ragops/redis/user\"",
            "password_file = \"/etc/ragops/redis/password\"",
        ] {
            assert!(config.lines().any(|found| found == line), "no {line} in {config}");
        }
        let pod = built.deployment.spec.template.spec.unwrap();
        let volume = pod.volumes.unwrap().into_iter().find(|volume| volume.name == "redis").unwrap();
        assert_eq!(
            json!(volume.projected.unwrap().sources),
            json!([{"secret": {
                "name": "cache", "optional": true,
                "items": [{"key": "user", "path": "user"}, {"key": "password", "path": "password"}],
            }}])
        );
        let mounts = pod.containers[0].volume_mounts.as_ref().unwrap();
        let mount = mounts.iter().find(|mount| mount.name == "redis").unwrap();
        assert_eq!((mount.mount_path.as_str(), mount.read_only), ("/etc/ragops/redis", Some(true)));
        let egress = json!(built.network_policy.unwrap().spec.unwrap().egress);
        assert!(egress.to_string().contains("{\"kubernetes.io/metadata.name\":\"rag\"}"), "{egress}");
    }

    #[test]
    fn the_authority_of_a_redis_over_tls_is_mounted_beside_its_password_and_no_server_waits_for_it() {
        let built = children("cache: {redis: {url: 'rediss://redis.example.com:6380', secretRef: {name: cache}}}");
        let config = &built.config.data.as_ref().unwrap()[config::CONFIG_FILE];
        for line in ["url = \"rediss://redis.example.com:6380\"", "ca_file = \"/etc/ragops/redis/ca.crt\""] {
            assert!(config.lines().any(|found| found == line), "no {line} in {config}");
        }
        let volumes = built.deployment.spec.template.spec.unwrap().volumes.unwrap();
        let volume = volumes.into_iter().find(|volume| volume.name == "redis").unwrap();
        let source = json!(volume.projected.unwrap().sources.unwrap()[0].secret);
        assert_eq!((&source["optional"], &source["items"][2]["key"]), (&json!(true), &json!("ca.crt")), "{source}");
        let egress = json!(built.network_policy.unwrap().spec.unwrap().egress);
        assert!(egress.to_string().contains("6380"), "{egress}");
        let of_the_web = children("cache: {redis: {url: 'rediss://redis.example.com:6380'}}");
        assert!(!of_the_web.config.data.unwrap()[config::CONFIG_FILE].contains("ca_file"));
    }

    #[test]
    fn a_redis_without_a_password_mounts_nothing_and_memory_alone_is_what_an_absent_cache_is() {
        let open = children("cache: {redis: {url: 'redis://redis.example.com'}}");
        let pod = open.deployment.spec.template.spec.unwrap();
        assert!(pod.volumes.unwrap().iter().all(|volume| volume.name != "redis"));
        assert!(!open.config.data.unwrap()[config::CONFIG_FILE].contains("_file = \"/etc/ragops/redis"));
        let egress = json!(open.network_policy.unwrap().spec.unwrap().egress);
        assert!(egress.to_string().contains("6379"), "{egress}");
        let (absent, memory) = (children("{}"), children("cache: {memory: {}}"));
        assert_eq!(memory.config.data, absent.config.data);
        assert_eq!(memory.deployment.spec.template, absent.deployment.spec.template);
    }

    #[test]
    fn services_without_a_key_mount_nothing() {
        let built = children(
            "{embedding: {openAI: {baseUrl: 'http://tei.rag.svc/v1', model: m, dimensions: 8}},
              retrieval: {rerank: {baseUrl: 'http://tei.rag.svc/v1', model: m}}}",
        );
        let pod = built.deployment.spec.template.spec.unwrap();
        assert!(pod.volumes.unwrap().iter().all(|volume| volume.name != "providers"));
        let config = &built.config.data.unwrap()[config::CONFIG_FILE];
        assert!(!config.contains("/etc/ragops/providers"), "{config}");
        assert!(!config.contains("min_score"), "{config}");
    }

    #[test]
    fn a_budget_is_live_and_makes_no_revision() {
        let live = &children(PROVIDERS).live.data.unwrap()[config::LIVE_FILE];
        assert_eq!(
            live,
            "read_only = false\n\n[budget]\nmonthly_usd = 200.0\nalert_percents = [90]\non_limit = \"Refuse\"\n"
        );
        let revision = |spec: &str| pass(&cluster(spec), &nothing()).1.revision.name;
        assert_eq!(revision("budget: {dailyUsd: 1}"), revision("{}"));
        assert_eq!(revision("generation: {fallback: None}"), revision("{}"));
        assert_ne!(revision(PROVIDERS), revision("{}"));
    }

    #[test]
    fn what_stands_around_the_servers() {
        let built = children("networkPolicy: {scrapeFrom: [{namespaceSelector: {matchLabels: {team: metrics}}}]}");
        assert_yaml_snapshot!("autoscaler", built.autoscaler);
        assert_yaml_snapshot!("network_policy", built.network_policy);
        assert_yaml_snapshot!(
            "small",
            sorted(json!([built.service, built.service_account, built.disruption_budget, built.live]))
        );
    }

    #[test]
    fn the_managed_vector_store() {
        let qdrant = children("vectorStore: {qdrant: {storage: {size: 50Gi, className: fast}}}").qdrant.unwrap();
        assert_yaml_snapshot!("qdrant_stateful_set", qdrant.stateful_set);
        assert_yaml_snapshot!(
            "qdrant_small",
            sorted(json!([
                qdrant.service,
                qdrant.peers,
                qdrant.bootstrap,
                qdrant.disruption_budget,
                qdrant.network_policy
            ]))
        );
        assert_eq!(qdrant.stateful_set.metadata.annotations, None);
        let deleted = children("vectorStore: {qdrant: {}, deletionPolicy: Delete}").qdrant.unwrap();
        let policy = deleted.stateful_set.spec.persistent_volume_claim_retention_policy.unwrap();
        assert_eq!(policy.when_deleted.as_deref(), Some("Delete"));
    }

    #[test]
    fn a_claim_that_is_there_is_never_asked_to_be_another() {
        let asking = |storage: &str| EMBEDDED.replace("embedded: {}", &format!("embedded: {{storage: {{{storage}}}}}"));
        let world = applied(&cluster(&asking("size: 50Gi, className: fast")), &nothing());
        let live = world.children.data_claim.clone().unwrap().spec;
        for other in ["size: 10Gi", "size: 90Gi", "size: 50Gi, className: slow"] {
            let built = pass(&cluster(&asking(other)), &world).2;
            assert_eq!(built.data_claim.unwrap().spec, live, "{other}");
            assert_eq!(built.growth.is_some(), other == "size: 90Gi", "{other}");
        }
    }

    #[test]
    fn the_store_founds_a_cluster_of_its_own_by_names_that_exist() {
        let qdrant = children("{}").qdrant.unwrap();
        let set = &qdrant.stateful_set.spec;
        let container = &set.template.spec.as_ref().unwrap().containers[0];
        let env = container.env.as_ref().unwrap();
        let position = |name: &str| env.iter().position(|variable| variable.name == name).unwrap();
        let value = |name: &str| env[position(name)].value.clone().unwrap();
        let pod = format!("{}-0", qdrant.stateful_set.metadata.name.as_ref().unwrap());
        // Kubernetes replaces only what stands before.
        assert!(position("POD_NAME") < position("QDRANT_URI"));
        let own = value("QDRANT_URI").replace("$(POD_NAME)", &pod);
        assert_eq!(set.service_name.as_ref(), qdrant.peers.metadata.name.as_ref());
        assert_eq!(own, format!("http://{pod}.{}:6335", qdrant.peers.metadata.name.as_ref().unwrap()));
        assert_eq!(value("QDRANT__CLUSTER__ENABLED"), "true");
        let source = env[position("QDRANT_BOOTSTRAP")].value_from.as_ref().unwrap();
        let key = source.config_map_key_ref.as_ref().unwrap();
        assert_eq!(Some(&key.name), qdrant.bootstrap.metadata.name.as_ref());
        assert_eq!(qdrant.bootstrap.data.as_ref().unwrap()[&key.key], own);
        // A snapshot is as large as what it is of.
        let mounts = container.volume_mounts.as_ref().unwrap();
        let data = mounts.iter().find(|mount| mount.name == "data").unwrap();
        assert!(value("QDRANT__STORAGE__SNAPSHOTS_PATH").starts_with(&format!("{}/", data.mount_path)));
        // Data takes its time: only a process that does not answer at all is started anew.
        let path = |probe: &Option<Probe>| probe.as_ref().unwrap().http_get.as_ref().unwrap().path.clone().unwrap();
        let asked = [&container.startup_probe, &container.liveness_probe, &container.readiness_probe].map(path);
        assert_eq!(asked, ["/livez", "/livez", "/readyz"]);
    }

    #[test]
    fn the_store_has_a_pod_template_of_its_own() {
        let template =
            "{labels: {team: a, app.kubernetes.io/name: mine}, annotations: {note: here}, nodeSelector: {disk: fast},
            tolerations: [{key: rag, operator: Exists}], affinity: {nodeAffinity: {}}, priorityClassName: high,
            imagePullSecrets: [{name: pull}]}";
        let built = children(&format!("vectorStore: {{qdrant: {{podTemplate: {template}}}}}"));
        let pods = built.qdrant.unwrap().stateful_set.spec.template;
        let (metadata, spec) = (pods.metadata.unwrap(), pods.spec.unwrap());
        let labels = metadata.labels.unwrap();
        assert_eq!((labels["team"].as_str(), labels["app.kubernetes.io/name"].as_str()), ("a", "qdrant"));
        assert_eq!(metadata.annotations.unwrap()["note"], "here");
        assert_eq!(spec.node_selector.unwrap()["disk"], "fast");
        assert_eq!(spec.priority_class_name.as_deref(), Some("high"));
        assert_eq!(spec.image_pull_secrets.unwrap()[0].name, "pull");
        assert!(spec.affinity.is_some() && spec.tolerations.is_some());
        let servers = built.deployment.spec.template.spec.unwrap();
        assert_eq!((servers.image_pull_secrets, servers.affinity), (None, None));
        assert!(!servers.node_selector.unwrap().contains_key("disk"));

        let store = children(&format!("podTemplate: {template}")).qdrant.unwrap().stateful_set;
        assert_eq!(store, children("{}").qdrant.unwrap().stateful_set);
    }

    #[test]
    fn servers_go_to_nodes_that_can_run_their_image_unless_the_user_names_others() {
        let arch = |spec: &str| {
            let pods = children(spec).deployment.spec.template.spec.unwrap();
            pods.node_selector.unwrap()["kubernetes.io/arch"].clone()
        };
        assert_eq!(arch("{}"), "amd64");
        assert_eq!(arch("podTemplate: {nodeSelector: {kubernetes.io/arch: arm64}}"), "arm64");
        let store = children("{}").qdrant.unwrap().stateful_set.spec.template.spec.unwrap();
        assert_eq!(store.node_selector, None, "the store's image is for many kinds");
    }

    #[test]
    fn the_configuration_of_each_store() {
        for (name, spec) in [("managed", "{}"), ("embedded", EMBEDDED), ("external", EXTERNAL)] {
            let config = children(spec).config;
            assert_eq!(config.immutable, Some(true));
            assert_snapshot!(format!("config_{name}"), config.data.unwrap()[config::CONFIG_FILE]);
        }
    }

    #[test]
    fn secrets_are_minted_once_immutable_and_derived_from() {
        let built = children("auth: {apiKeys: [{name: nightly, role: Writer}]}");
        for minted in &built.minted {
            assert_eq!(minted.immutable, Some(true));
            let annotations = minted.metadata.annotations.as_ref().unwrap();
            assert_eq!(annotations["ragops.dev/minted-at"], "2026-11-21T08:00:00Z");
        }
        let names: Vec<_> = built.minted.iter().filter_map(|secret| secret.metadata.name.as_deref()).collect();
        assert_eq!(names, ["handbook-api-key-nightly-g1", "handbook-operator-g1", "handbook-vector-store-g1"]);
        let material = |index: usize| built.minted[index].data.as_ref().unwrap()["key"].clone();
        let server = built.server_secret.unwrap().data.unwrap();
        assert_eq!(server["api-key.nightly.current"], material(0));
        assert_eq!(server["operator.current"], material(1));
        assert_eq!(server["vector-store.current"], material(2));
        assert_eq!(built.client_keys[0].data.as_ref().unwrap()["key"], material(0));
        assert_eq!(built.qdrant.unwrap().secret.unwrap().data.unwrap()["api-key"], material(2));
    }

    #[test]
    fn every_child_is_labelled_and_owned_and_nothing_of_the_parent_is_copied() {
        let mut parent = cluster("{}");
        parent.metadata.labels = Some([("argocd.argoproj.io/instance".to_owned(), "app".to_owned())].into());
        parent.metadata.annotations = Some([("note".to_owned(), "mine".to_owned())].into());
        let (_, _, built) = pass(&parent, &nothing());
        let qdrant = built.qdrant.unwrap();
        let all = [
            &built.service_account.metadata,
            &built.server_secret.as_ref().unwrap().metadata,
            &built.client_keys[0].metadata,
            &built.minted[0].metadata,
            &built.revision.metadata,
            &built.config.metadata,
            &built.live.metadata,
            &built.deployment.metadata,
            &built.disruption_budget.metadata,
            &built.autoscaler.as_ref().unwrap().metadata,
            &built.service.metadata,
            &built.network_policy.as_ref().unwrap().metadata,
            &qdrant.stateful_set.metadata,
            &qdrant.secret.as_ref().unwrap().metadata,
            &qdrant.service.metadata,
            &qdrant.peers.metadata,
            &qdrant.bootstrap.metadata,
            &qdrant.disruption_budget.metadata,
            &qdrant.revision.metadata,
        ];
        for metadata in all {
            let owner = &metadata.owner_references.as_ref().unwrap()[0];
            assert_eq!(
                (owner.kind.as_str(), owner.name.as_str(), owner.controller),
                ("RagCluster", "handbook", Some(true))
            );
            let labels = metadata.labels.as_ref().unwrap();
            assert_eq!(labels["app.kubernetes.io/instance"], "handbook");
            assert_eq!(labels["app.kubernetes.io/managed-by"], "ragops-operator");
            assert!(labels.keys().all(|key| !key.contains("argocd")));
            assert!(metadata.annotations.iter().flatten().all(|(key, _)| key.starts_with("ragops.dev/")));
        }
    }

    #[test]
    fn a_pod_keeps_its_own_labels_whatever_the_template_says() {
        let built = children("podTemplate: {labels: {app.kubernetes.io/name: mine, team: a}}");
        let labels = built.deployment.spec.template.metadata.unwrap().labels.unwrap();
        assert_eq!((labels["app.kubernetes.io/name"].as_str(), labels["team"].as_str()), ("rag-server", "a"));
    }

    #[test]
    fn a_second_deployment_of_servers_has_room_beside_the_first_one() {
        let built = children("{}");
        let pods = built.deployment.spec.template.metadata.unwrap().labels.unwrap();
        let mut beside = pods.clone();
        beside.insert(labels::COLOUR.to_owned(), "green".to_owned()).unwrap();
        let matched = |selector: &BTreeMap<String, String>| {
            let has_all =
                |pods: &BTreeMap<String, String>| selector.iter().all(|(key, value)| pods.get(key) == Some(value));
            (has_all(&pods), has_all(&beside))
        };
        // Neither takes the other's pods for its own, and the autoscaler counts those of the Deployment that it scales.
        assert_eq!(matched(&built.deployment.spec.selector.match_labels.unwrap()), (true, false));
        let scaled = built.autoscaler.unwrap().spec.scale_target_ref;
        assert_eq!(Some(scaled.name), built.deployment.metadata.name);
        // What stands around the servers spans both.
        let valid = pass(&cluster("{}"), &nothing()).0;
        for around in [
            built.service.spec.unwrap().selector.unwrap(),
            built.disruption_budget.spec.unwrap().selector.unwrap().match_labels.unwrap(),
            built.network_policy.unwrap().spec.unwrap().pod_selector.unwrap().match_labels.unwrap(),
            metadata::selector(&valid, Part::Server),
        ] {
            assert_eq!(matched(&around), (true, true), "{around:?}");
        }
        // A revision runs in either.
        let frozen = Frozen::read(&built.revision).unwrap().pod_template.metadata.unwrap().labels.unwrap();
        assert!(!frozen.contains_key(labels::COLOUR), "{frozen:?}");
    }

    #[test]
    fn the_deployment_never_carries_a_number_of_servers() {
        for spec in ["{}", "{replicas: 4, autoscaling: {enabled: false}}", EMBEDDED] {
            assert_eq!(children(spec).deployment.spec.replicas, None, "{spec}");
        }
    }

    #[test]
    fn a_dropped_tolerance_is_not_asked_for_again_until_the_api_server_is_another() {
        let cluster = cluster("autoscaling: {scaleDown: {cpuPercent: 20}}");
        let mut world = applied(&cluster, &nothing());
        let asked = world.children.autoscaler.clone().unwrap();
        let down = asked.spec.behavior.as_ref().unwrap().scale_down.as_ref().unwrap();
        assert_eq!(down.tolerance.as_ref().unwrap().0, "715m", "1 - 20/70, and a little more");
        let noted = autoscaler::without_tolerance(asked.clone(), "v1.34.2");
        assert!(autoscaler::has_tolerance(&asked) && !autoscaler::has_tolerance(&noted));
        world.children.autoscaler = Some(noted.clone());
        world.server_version = Some("v1.34.2".to_owned());
        let built = pass(&cluster, &world).2.autoscaler.unwrap();
        assert_eq!(built.spec, noted.spec);
        assert_eq!(built.metadata.annotations, noted.metadata.annotations);
        world.server_version = Some("v1.35.0".to_owned());
        let again = pass(&cluster, &world).2.autoscaler.unwrap();
        assert_eq!((again.spec, again.metadata.annotations), (asked.spec.clone(), None));
    }
}
