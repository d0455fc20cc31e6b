//! The managed vector store's StatefulSet, and the pod that a new revision freezes.

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    ConfigMapKeySelector, Container, ContainerPort, EnvVar, EnvVarSource, ObjectFieldSelector, PersistentVolumeClaim,
    PodSpec, PodTemplateSpec, SecretKeySelector,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::bootstrap::BOOTSTRAP_KEY;
use crate::api::Revision;
use crate::api::cluster::{DeletionPolicy, Storage};
use crate::cluster::build::config::QDRANT_GRPC_PORT;
use crate::cluster::build::metadata::{self, Part};
use crate::cluster::build::secrets::QDRANT_KEY;
use crate::cluster::build::{data_claim, pod};
use crate::cluster::decide::revision::Frozen;
use crate::cluster::validate::{ManagedStore, ValidatedCluster};

/// Qdrant's HTTP port, which answers the probes.
pub(super) const HTTP_PORT: i32 = 6333;

/// The port on which the peers of a Qdrant cluster speak with each other.
pub(super) const PEER_PORT: i32 = 6335;

/// The user of Qdrant's unprivileged image.
const QDRANT_USER: i64 = 1000;

const STORAGE_DIR: &str = "/qdrant/storage";
/// On the volume: a snapshot is as large as what it is of, and shards move between peers as snapshots.
const SNAPSHOTS_DIR: &str = "/qdrant/storage/snapshots";
const INIT_DIR: &str = "/qdrant/init";

/// NAME-qdrant: one replica, whose restart is a short pause of the service. Whose pods go, and when, is decided here and not by
/// Kubernetes, which would wait for a pod that cannot start before it replaced it.
pub(super) fn stateful_set(cluster: &ValidatedCluster, storage: &Storage, frozen: &Frozen) -> StatefulSet {
    let when_deleted = match cluster.deletion_policy {
        DeletionPolicy::Retain => "Retain",
        DeletionPolicy::Delete => "Delete",
    };
    StatefulSet {
        metadata: metadata::child(cluster, Part::VectorStore, cluster.name.qdrant()),
        spec: StatefulSetSpec {
            replicas: Some(1),
            pod_management_policy: Some("Parallel".to_owned()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".to_owned()),
                rolling_update: None,
            }),
            service_name: Some(cluster.name.qdrant_peers()),
            selector: metadata::label_selector(cluster, Part::VectorStore),
            template: frozen.pod_template.clone(),
            revision_history_limit: Some(2),
            persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some(when_deleted.to_owned()),
                when_scaled: Some("Retain".to_owned()),
            }),
            volume_claim_templates: Some(vec![PersistentVolumeClaim {
                metadata: ObjectMeta { name: Some("data".to_owned()), ..ObjectMeta::default() },
                spec: Some(data_claim::claim(storage)),
                status: None,
            }]),
            ..StatefulSetSpec::default()
        },
        ..StatefulSet::default()
    }
}

/// The pod of a new revision.
pub(super) fn pod_template(
    cluster: &ValidatedCluster,
    store: &ManagedStore,
    revision: &Revision,
    image: &str,
) -> PodTemplateSpec {
    let additions = &store.pod_template;
    let spread = &additions.topology_spread_constraints;
    let spec = PodSpec {
        containers: vec![qdrant(cluster, store, image)],
        volumes: Some(vec![pod::empty_dir("init"), pod::empty_dir("tmp")]),
        // Time to write what is in memory.
        termination_grace_period_seconds: Some(60),
        affinity: additions.affinity.clone(),
        topology_spread_constraints: (!spread.is_empty()).then(|| spread.clone()),
        ..pod::restricted(QDRANT_USER, additions)
    };
    let metadata = metadata::pod(cluster, Part::VectorStore, revision.as_str(), additions);
    PodTemplateSpec { metadata: Some(metadata), spec: Some(spec) }
}

fn qdrant(cluster: &ValidatedCluster, store: &ManagedStore, image: &str) -> Container {
    let port = |name: &str, number: i32| ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    };
    Container {
        ports: Some(vec![port("http", HTTP_PORT), port("grpc", QDRANT_GRPC_PORT), port("p2p", PEER_PORT)]),
        env: Some(environment(cluster)),
        volume_mounts: Some(vec![
            pod::mount("data", STORAGE_DIR, false),
            pod::mount("init", INIT_DIR, false),
            pod::mount("tmp", "/tmp", false),
        ]),
        // An hour: a large collection is loaded before anything is answered.
        startup_probe: Some(pod::probe("/livez", "http", 2, 1800)),
        liveness_probe: Some(pod::probe("/livez", "http", 10, 6)),
        readiness_probe: Some(pod::probe("/readyz", "http", 5, 2)),
        ..pod::container("qdrant", image, &store.resources)
    }
}

/// In cluster mode from the first start on, alone or not, so that data never has to be taken over into it. A peer knows itself by
/// the name of its pod, and whom it joins, if anybody, is read at each start.
fn environment(cluster: &ValidatedCluster) -> Vec<EnvVar> {
    let key = SecretKeySelector { name: cluster.name.qdrant(), key: QDRANT_KEY.to_owned(), optional: None };
    let bootstrap = ConfigMapKeySelector { name: cluster.name.qdrant(), key: BOOTSTRAP_KEY.to_owned(), optional: None };
    let pod_name = ObjectFieldSelector { field_path: "metadata.name".to_owned(), api_version: None };
    let taken = |name: &str, from: EnvVarSource| EnvVar { name: name.to_owned(), value_from: Some(from), value: None };
    vec![
        taken("QDRANT__SERVICE__API_KEY", EnvVarSource { secret_key_ref: Some(key), ..EnvVarSource::default() }),
        variable("QDRANT__STORAGE__STORAGE_PATH", STORAGE_DIR),
        variable("QDRANT__STORAGE__SNAPSHOTS_PATH", SNAPSHOTS_DIR),
        variable("QDRANT__TELEMETRY_DISABLED", "true"),
        // The root is read-only: the mark of a finished start goes elsewhere.
        variable("QDRANT_INIT_FILE_PATH", &format!("{INIT_DIR}/.qdrant-initialized")),
        variable("QDRANT__CLUSTER__ENABLED", "true"),
        taken("POD_NAME", EnvVarSource { field_ref: Some(pod_name), ..EnvVarSource::default() }),
        variable("QDRANT_URI", &format!("http://$(POD_NAME).{}:{PEER_PORT}", cluster.name.qdrant_peers())),
        taken("QDRANT_BOOTSTRAP", EnvVarSource { config_map_key_ref: Some(bootstrap), ..EnvVarSource::default() }),
    ]
}

fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), value_from: None }
}
