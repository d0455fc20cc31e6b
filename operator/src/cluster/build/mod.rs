//! The children of a cluster: a validated cluster and its plan become complete Kubernetes objects.
//!
//! Pure. An object holds every field that we own and none that somebody else owns: no replicas where the autoscaler sets
//! them. [`Children`] has a field for each child; who applies it takes it apart without a rest pattern, so that a child that
//! nobody applies does not compile.

pub mod autoscaler;
pub mod config;
mod data_claim;
mod deployment;
mod disruption_budget;
pub mod metadata;
mod network_policy;
mod pod;
mod qdrant;
mod revision;
mod secrets;
pub mod service;
mod service_account;

use std::marker::PhantomData;

use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use super::decide::Plan;
use super::decide::revision::{CONFIG_SCHEMA, Frozen};
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
    /// NAME-CREDENTIAL-gN, immutable: created, never applied. One that exists already ends the pass, since everything below
    /// was derived from material that is not the one in use; the next pass reads it back.
    pub minted: Vec<Secret>,
    /// NAME-server, which the servers mount.
    pub server_secret: Secret,
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
    /// What is removed, last of all.
    pub prune: Vec<ObjectRef>,
    /// Whether it has been applied.
    pub stage: PhantomData<Stage>,
}

/// What the managed vector store consists of.
#[derive(Clone)]
pub struct QdrantChildren {
    /// NAME-qdrant, from which it takes its key.
    pub secret: Secret,
    /// NAME-qdrant-REVISION; its data is immutable.
    pub revision: ControllerRevision,
    /// NAME-qdrant.
    pub network_policy: Option<NetworkPolicy>,
    /// NAME-qdrant, headless.
    pub service: Service,
    /// NAME-qdrant.
    pub stateful_set: StatefulSet,
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
    let operator_namespace = &observed.defaults.operator_namespace;
    Children {
        service_account: service_account::service_account(cluster),
        minted: secrets::minted(cluster, &plan.credentials, observed.now),
        server_secret: secrets::server(cluster, &plan.credentials),
        client_keys: secrets::client_keys(cluster, &plan.credentials),
        revision: revision::revision(cluster, Part::Server, &plan.revision, &frozen),
        config: config::config(cluster, &plan.revision.name, config),
        live: config::live(cluster, frozen.config_schema),
        network_policy: cluster
            .network
            .as_ref()
            .map(|scrape_from| network_policy::network_policy(cluster, scrape_from, operator_namespace)),
        data_claim: data_claim::data_claim(cluster),
        qdrant,
        deployment: deployment::deployment(cluster, &frozen),
        replicas: plan.size.apply.map(|count| Replicas { deployment: cluster.name.server(), count }),
        disruption_budget: disruption_budget::disruption_budget(cluster),
        autoscaler: cluster
            .autoscaling
            .as_ref()
            .map(|autoscaling| autoscaler::autoscaler(cluster, autoscaling, &plan.size)),
        service: service::service(cluster),
        prune: plan.prune.clone(),
        stage: PhantomData,
    }
}

/// What the servers' revision holds: what was frozen, or what this operator makes of a new one.
pub fn frozen(cluster: &ValidatedCluster, plan: &Plan, observed: &Observed) -> Frozen {
    plan.revision.frozen.clone().unwrap_or_else(|| {
        let image = cluster.image.clone().unwrap_or_else(|| observed.defaults.server_image.clone());
        let pod_template = deployment::pod_template(cluster, &plan.revision.name, &image);
        Frozen { image, pod_template, config: Some(config::render(cluster)), config_schema: CONFIG_SCHEMA }
    })
}
