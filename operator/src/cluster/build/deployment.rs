//! The query servers: their Deployment, and the pods that a new revision freezes.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, ContainerPort, KeyToPath, Lifecycle, LifecycleHandler,
    PersistentVolumeClaimVolumeSource, PodSpec, PodTemplateSpec, ProjectedVolumeSource, SecretProjection, SleepAction,
    TopologySpreadConstraint, Volume, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::config::{
    CONFIG_DIR, CONFIG_FILE, CREDENTIALS_DIR, DATA_DIR, DRAIN_SECONDS, HTTP_PORT, LIVE_DIR, MANAGEMENT_PORT,
    POSTGRES_DIR, PROVIDER_KEY_FILE, PROVIDERS_DIR, REDIS_CA, REDIS_DIR, REDIS_PASSWORD, REDIS_USER, VECTOR_STORE_CA,
};
use super::metadata::{self, Part};
use super::pod;
use crate::api::cluster::{Postgres, SecretKeyRef};
use crate::api::{Credential, Revision};
use crate::cluster::decide::ceiling::Granted;
use crate::cluster::decide::revision::Frozen;
use crate::cluster::validate::{Outside, SURGE, Store, ValidatedCluster};

/// The user of the server's image.
const SERVER_USER: i64 = 65532;

/// For how long a stopping pod still takes requests, until every client has heard that it goes.
const PRE_STOP_SECONDS: i32 = 5;

/// What a stopping pod is given beyond its pause and its drain.
const STOP_RESERVE_SECONDS: i32 = 10;

/// After this long without progress a roll-out counts as stuck.
const PROGRESS_DEADLINE_SECONDS: i32 = 600;

/// The name of the port that the operator, the scrapers and the kubelet's probes ask.
const MANAGEMENT: &str = "management";

/// What the image of this project is built for: on a node of another kind its containers could not start.
const ARCH: (&str, &str) = ("kubernetes.io/arch", "amd64");

/// Files of mounted Secrets: readable for the server's group, nobody else.
const CREDENTIAL_MODE: i32 = 0o440;

/// NAME-server, without `replicas`: their number belongs to another field manager, or to the autoscaler.
pub(super) fn deployment(cluster: &ValidatedCluster, frozen: &Frozen, granted: Option<&Granted>) -> Deployment {
    Deployment {
        metadata: metadata::granted(metadata::child(cluster, Part::Server, cluster.name.server()), granted),
        spec: DeploymentSpec {
            selector: metadata::deployment_selector(cluster),
            strategy: Some(strategy(cluster)),
            template: metadata::coloured(frozen.pod_template.clone()),
            revision_history_limit: Some(2),
            progress_deadline_seconds: Some(PROGRESS_DEADLINE_SECONDS),
            ..DeploymentSpec::default()
        },
        ..Deployment::default()
    }
}

/// One more before one less; where the store is inside the server, two would fight over its volume.
fn strategy(cluster: &ValidatedCluster) -> DeploymentStrategy {
    if matches!(cluster.store, Store::Embedded { .. }) {
        return DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None };
    }
    DeploymentStrategy {
        type_: Some("RollingUpdate".to_owned()),
        rolling_update: Some(RollingUpdateDeployment {
            max_surge: Some(IntOrString::Int(SURGE)),
            max_unavailable: Some(IntOrString::Int(0)),
        }),
    }
}

/// The pods of a new revision.
pub(super) fn pod_template(cluster: &ValidatedCluster, revision: &Revision, image: &str) -> PodTemplateSpec {
    let additions = &cluster.pod_template;
    let spec = PodSpec {
        service_account_name: Some(cluster.name.server()),
        containers: vec![server(cluster, image)],
        volumes: Some(volumes(cluster, revision)),
        affinity: additions.affinity.clone(),
        topology_spread_constraints: Some(spread(cluster)),
        node_selector: Some(nodes(&additions.node_selector)),
        termination_grace_period_seconds: Some(i64::from(PRE_STOP_SECONDS + DRAIN_SECONDS + STOP_RESERVE_SECONDS)),
        ..pod::restricted(SERVER_USER, additions)
    };
    PodTemplateSpec {
        metadata: Some(metadata::pod(cluster, Part::Server, revision.as_str(), additions)),
        spec: Some(spec),
    }
}

fn server(cluster: &ValidatedCluster, image: &str) -> Container {
    let mut mounts = vec![
        pod::mount("config", CONFIG_DIR, true),
        pod::mount("live", LIVE_DIR, true),
        pod::mount("credentials", CREDENTIALS_DIR, true),
        pod::mount("tmp", "/tmp", false),
    ];
    if outside_keys(cluster).next().is_some() {
        mounts.push(pod::mount("providers", PROVIDERS_DIR, true));
    }
    if cluster.postgres.is_some() {
        mounts.push(pod::mount("postgres", POSTGRES_DIR, true));
    }
    if redis(cluster).is_some() {
        mounts.push(pod::mount("redis", REDIS_DIR, true));
    }
    if matches!(cluster.store, Store::Embedded { .. }) {
        mounts.push(pod::mount("data", DATA_DIR, false));
    }
    let sleep = SleepAction { seconds: i64::from(PRE_STOP_SECONDS) };
    Container {
        args: Some(vec!["serve".to_owned(), "--config".to_owned(), format!("{CONFIG_DIR}/{CONFIG_FILE}")]),
        ports: Some(vec![port("http", HTTP_PORT), port(MANAGEMENT, MANAGEMENT_PORT)]),
        volume_mounts: Some(mounts),
        // Loading takes well under a second; opening a large volume after a crash may take a minute or two.
        // They are asked on the management port, so that load on the public one never looks like a dead server.
        startup_probe: Some(pod::probe("/health/live", MANAGEMENT, 1, 180)),
        liveness_probe: Some(pod::probe("/health/live", MANAGEMENT, 10, 3)),
        readiness_probe: Some(pod::probe("/health/ready", MANAGEMENT, 5, 2)),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler { sleep: Some(sleep), ..LifecycleHandler::default() }),
            ..Lifecycle::default()
        }),
        ..pod::container("server", image, &cluster.resources)
    }
}

fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn volumes(cluster: &ValidatedCluster, revision: &Revision) -> Vec<Volume> {
    let mut volumes = vec![
        config_map("config", cluster.name.config(revision)),
        config_map("live", cluster.name.live()),
        credentials(cluster),
        pod::empty_dir("tmp"),
    ];
    if outside_keys(cluster).next().is_some() {
        volumes.push(providers(cluster));
    }
    volumes.extend(cluster.postgres.as_ref().map(postgres));
    volumes.extend(redis(cluster));
    if matches!(cluster.store, Store::Embedded { .. }) {
        volumes.push(Volume {
            name: "data".to_owned(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: cluster.name.data(),
                read_only: None,
            }),
            ..Volume::default()
        });
    }
    volumes
}

fn config_map(volume: &str, name: String) -> Volume {
    Volume {
        name: volume.to_owned(),
        config_map: Some(ConfigMapVolumeSource { name, ..ConfigMapVolumeSource::default() }),
        ..Volume::default()
    }
}

/// One folder for all credentials: ours, and of an external vector store the user's key and what its certificate is checked
/// against, which the operator never reads.
fn credentials(cluster: &ValidatedCluster) -> Volume {
    let mut sources = vec![secret(cluster.name.server(), None)];
    if let Store::External(external) = &cluster.store
        && let Some(key) = &external.api_key
    {
        let item = |key: &String, path: String| KeyToPath { key: key.clone(), path, mode: None, user: None };
        let mut items = vec![item(&key.key, Credential::VectorStore.current_file())];
        items.extend(external.ca_key.as_ref().map(|ca| item(ca, VECTOR_STORE_CA.to_owned())));
        sources.push(secret(key.name.clone(), Some(items)));
    }
    Volume {
        name: "credentials".to_owned(),
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(CREDENTIAL_MODE),
            sources: Some(sources),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// The services outside that need a key.
fn outside_keys(cluster: &ValidatedCluster) -> impl Iterator<Item = (&Outside, &SecretKeyRef)> {
    cluster.outside.iter().filter_map(|service| Some((service, service.key.as_ref()?)))
}

/// The users' keys, one folder for each service, so that a changed Secret reaches the servers without a restart.
fn providers(cluster: &ValidatedCluster) -> Volume {
    let source = |(service, key): (&Outside, &SecretKeyRef)| {
        let path = format!("{}/{PROVIDER_KEY_FILE}", service.name);
        secret(key.name.clone(), Some(vec![KeyToPath { key: key.key.clone(), path, mode: None, user: None }]))
    };
    Volume {
        name: "providers".to_owned(),
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(CREDENTIAL_MODE),
            sources: Some(outside_keys(cluster).map(source).collect()),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// The user's Secret of the database, whole, so that a key that may be missing keeps no pod from starting.
fn postgres(database: &Postgres) -> Volume {
    Volume {
        name: "postgres".to_owned(),
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(CREDENTIAL_MODE),
            sources: Some(vec![secret(database.secret_ref.name.clone(), None)]),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// What the user's Secret of Redis, if there is one, holds of its user, its password and, where it shows a certificate, the
/// authority of that. Without any of it a server answers from its memory, so none waits for it to start.
fn redis(cluster: &ValidatedCluster) -> Option<Volume> {
    let redis = cluster.redis.as_ref()?;
    let item = |key: &str| KeyToPath { key: key.to_owned(), path: key.to_owned(), mode: None, user: None };
    let keys = [REDIS_USER, REDIS_PASSWORD].into_iter().chain(redis.tls.then_some(REDIS_CA));
    let items = Some(keys.map(item).collect());
    let source = SecretProjection { name: redis.secret.clone()?, items, optional: Some(true) };
    Some(Volume {
        name: "redis".to_owned(),
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(CREDENTIAL_MODE),
            sources: Some(vec![VolumeProjection { secret: Some(source), ..VolumeProjection::default() }]),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    })
}

fn secret(name: String, items: Option<Vec<KeyToPath>>) -> VolumeProjection {
    VolumeProjection { secret: Some(SecretProjection { name, items, optional: None }), ..VolumeProjection::default() }
}

/// Nodes that can run the image, unless the user, whose image may be for others, names their kind.
fn nodes(asked: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut labels = asked.clone();
    labels.entry(ARCH.0.to_owned()).or_insert_with(|| ARCH.1.to_owned());
    labels
}

/// The user's constraints, or: apart from each other as far as nodes and zones allow, without ever keeping a server from
/// starting.
fn spread(cluster: &ValidatedCluster) -> Vec<TopologySpreadConstraint> {
    let given = &cluster.pod_template.topology_spread_constraints;
    if !given.is_empty() {
        return given.clone();
    }
    let over = |topology_key: &str| TopologySpreadConstraint {
        max_skew: 1,
        topology_key: topology_key.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        label_selector: Some(metadata::label_selector(cluster, Part::Server)),
        // Each revision spreads by itself, or the old pods would push the new ones together.
        match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
        ..TopologySpreadConstraint::default()
    };
    vec![over("kubernetes.io/hostname"), over("topology.kubernetes.io/zone")]
}
