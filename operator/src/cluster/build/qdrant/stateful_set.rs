//! The managed vector store's StatefulSet, and the pod that a new revision freezes.

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec, StatefulSetUpdateStrategy,
};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, EnvVarSource, PersistentVolumeClaim, PodSpec, PodTemplateSpec, SecretKeySelector,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::cluster::DeletionPolicy;
use crate::api::{Revision, labels};
use crate::cluster::build::config::QDRANT_GRPC_PORT;
use crate::cluster::build::metadata::{self, Part};
use crate::cluster::build::secrets::QDRANT_KEY;
use crate::cluster::build::{data_claim, pod};
use crate::cluster::decide::revision::Frozen;
use crate::cluster::validate::{ManagedStore, ValidatedCluster};

/// Qdrant's HTTP port, which answers the probes.
pub(super) const HTTP_PORT: i32 = 6333;

/// The user of Qdrant's unprivileged image.
const QDRANT_USER: i64 = 1000;

const STORAGE_DIR: &str = "/qdrant/storage";
const SNAPSHOTS_DIR: &str = "/qdrant/snapshots";
const INIT_DIR: &str = "/qdrant/init";

/// NAME-qdrant: one replica, whose restart is a short pause of the service. Whose pods go, and when, is decided here and not by
/// Kubernetes, which would wait for a pod that cannot start before it replaced it.
pub(super) fn stateful_set(
    cluster: &ValidatedCluster,
    store: &ManagedStore,
    frozen: &Frozen,
    last_run: Option<String>,
) -> StatefulSet {
    let metadata = metadata::child(cluster, Part::VectorStore, cluster.name.qdrant());
    let metadata = match last_run {
        Some(image) => metadata::annotated(metadata, [(labels::LAST_RUN, &image)]),
        None => metadata,
    };
    let when_deleted = match cluster.deletion_policy {
        DeletionPolicy::Retain => "Retain",
        DeletionPolicy::Delete => "Delete",
    };
    StatefulSet {
        metadata,
        spec: StatefulSetSpec {
            replicas: Some(1),
            pod_management_policy: Some("Parallel".to_owned()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("OnDelete".to_owned()),
                rolling_update: None,
            }),
            service_name: Some(cluster.name.qdrant()),
            selector: metadata::label_selector(cluster, Part::VectorStore),
            template: frozen.pod_template.clone(),
            revision_history_limit: Some(2),
            persistent_volume_claim_retention_policy: Some(StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some(when_deleted.to_owned()),
                when_scaled: Some("Retain".to_owned()),
            }),
            volume_claim_templates: Some(vec![PersistentVolumeClaim {
                metadata: ObjectMeta { name: Some("data".to_owned()), ..ObjectMeta::default() },
                spec: Some(data_claim::claim(&store.storage)),
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
        volumes: Some(vec![pod::empty_dir("snapshots"), pod::empty_dir("init"), pod::empty_dir("tmp")]),
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
    let key = SecretKeySelector { name: cluster.name.qdrant(), key: QDRANT_KEY.to_owned(), optional: None };
    Container {
        ports: Some(vec![port("http", HTTP_PORT), port("grpc", QDRANT_GRPC_PORT)]),
        env: Some(vec![
            EnvVar {
                name: "QDRANT__SERVICE__API_KEY".to_owned(),
                value_from: Some(EnvVarSource { secret_key_ref: Some(key), ..EnvVarSource::default() }),
                value: None,
            },
            variable("QDRANT__STORAGE__STORAGE_PATH", STORAGE_DIR),
            variable("QDRANT__STORAGE__SNAPSHOTS_PATH", SNAPSHOTS_DIR),
            variable("QDRANT__TELEMETRY_DISABLED", "true"),
            // The root is read-only: the mark of a finished start goes elsewhere.
            variable("QDRANT_INIT_FILE_PATH", &format!("{INIT_DIR}/.qdrant-initialized")),
        ]),
        volume_mounts: Some(vec![
            pod::mount("data", STORAGE_DIR, false),
            pod::mount("snapshots", SNAPSHOTS_DIR, false),
            pod::mount("init", INIT_DIR, false),
            pod::mount("tmp", "/tmp", false),
        ]),
        // Large collections take minutes to load.
        startup_probe: Some(pod::probe("/readyz", "http", 2, 300)),
        liveness_probe: Some(pod::probe("/livez", "http", 10, 6)),
        readiness_probe: Some(pod::probe("/readyz", "http", 5, 2)),
        ..pod::container("qdrant", image, &store.resources)
    }
}

fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), value_from: None }
}
