//! What a full drill makes in another namespace: a cluster like the drilled one with nothing of it shared, and the restore into
//! it. Pure.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use super::super::decide::{Source, min_recall_percent};
use super::super::names::elsewhere_name;
use super::super::observed::Seen;
use crate::api::cluster::{
    Autoscaling, DeletionPolicy, Destination, ManagedQdrant, Profile, RagClusterSpec, Snapshots, VectorStore,
};
use crate::api::restore::{ArchiveSource, RagRestore, RagRestoreSpec, RestoreMode, RestoreSource};
use crate::api::{RagCluster, labels};

/// The cluster of a full drill; nothing where the drilled one does not name the destination.
pub fn cluster(drill: &RagRestore, seen: &Seen, source: &Source) -> Option<RagCluster> {
    let drilled = seen.cluster.as_ref()?;
    let home = drill.namespace().unwrap_or_default();
    let of_revision =
        drilled.servers.as_ref().and_then(|servers| servers.pods.spec.as_ref()?.containers.first()?.image.clone());
    let image = drilled.spec.image.clone().or(of_revision);
    let snapshots = snapshots(drilled.snapshots.as_ref()?, (&home, &drill.spec.cluster), &source.destination)?;
    let spec = RagClusterSpec { image, snapshots: Some(snapshots), ..alike(&drilled.spec) };
    Some(RagCluster { metadata: metadata(drill), spec, status: None })
}

/// The restore into it.
pub fn recovery(drill: &RagRestore, seen: &Seen, source: &Source) -> RagRestore {
    let destination = Some(source.destination.clone());
    let archive = match (&source.name, source.before) {
        (Some(name), _) => ArchiveSource { destination, name: Some(name.clone()), newest_before: None },
        (None, before) => ArchiveSource {
            destination,
            name: None,
            newest_before: before.map(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time),
        },
    };
    let metadata = metadata(drill);
    let spec = RagRestoreSpec {
        cluster: metadata.name.clone().unwrap_or_default(),
        mode: RestoreMode::InPlace,
        source: Some(RestoreSource { snapshot_ref: None, archive: Some(archive) }),
        with_deleted: false,
        dry_run: false,
        min_recall_percent: Some(min_recall_percent(&drill.spec, seen)),
        in_namespace: None,
    };
    RagRestore { metadata, spec, status: None }
}

/// Both are called the same, and say whose they are: no owner reference reaches into another namespace.
fn metadata(drill: &RagRestore) -> ObjectMeta {
    let (name, uid) = (drill.name_any(), drill.uid().unwrap_or_default());
    let home = drill.namespace().unwrap_or_default();
    ObjectMeta {
        name: Some(elsewhere_name(&name, &uid)),
        namespace: drill.spec.in_namespace.clone(),
        labels: Some(BTreeMap::from([(labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_VALUE.to_owned())])),
        annotations: Some(BTreeMap::from([
            (labels::RESTORE_UID.to_owned(), uid),
            (labels::DRILL_OF.to_owned(), format!("{home}/{name}")),
        ])),
        ..ObjectMeta::default()
    }
}

/// What embeds, searches and runs is as in the drilled cluster. Its stores, its cache, its database and the model that writes
/// answers are not used: the stores are to be made anew, and the rest a snapshot neither holds nor needs. Every field is named, so
/// that a new one has to be decided about.
fn alike(drilled: &RagClusterSpec) -> RagClusterSpec {
    let RagClusterSpec {
        resources,
        vector_store,
        embedding,
        retrieval,
        network_policy,
        pod_template,
        image: _,
        profile: _,
        replicas: _,
        autoscaling,
        records: _,
        generation: _,
        budget: _,
        cache: _,
        tracing: _,
        retention: _,
        slow_query_seconds,
        snapshots: _,
        objectives: _,
        auth: _,
        paused: _,
        read_only: _,
    } = drilled;
    let managed = vector_store.as_ref().and_then(|store| store.qdrant.clone());
    RagClusterSpec {
        profile: Profile::Development,
        replicas: 1,
        autoscaling: Autoscaling { enabled: false, ..autoscaling.clone() },
        resources: resources.clone(),
        vector_store: Some(VectorStore {
            qdrant: Some(managed.unwrap_or_else(|| like_embedded(vector_store.as_ref()))),
            external_qdrant: None,
            embedded: None,
            deletion_policy: DeletionPolicy::Delete,
        }),
        embedding: embedding.clone(),
        retrieval: retrieval.clone(),
        network_policy: network_policy.clone(),
        pod_template: pod_template.clone(),
        slow_query_seconds: *slow_query_seconds,
        ..RagClusterSpec::default()
    }
}

/// A Qdrant with as large a volume as the embedded store has; of an external one nobody knows how large it is.
fn like_embedded(store: Option<&VectorStore>) -> ManagedQdrant {
    let embedded = store.and_then(|store| store.embedded.as_ref());
    ManagedQdrant {
        storage: embedded.map(|embedded| embedded.storage.clone()).unwrap_or_default(),
        ..ManagedQdrant::default()
    }
}

/// Only the destination that is restored from, where the drilled cluster has its archive; and nothing is taken there.
fn snapshots(drilled: &Snapshots, (namespace, cluster): (&str, &str), destination: &str) -> Option<Snapshots> {
    let found = drilled.destinations.iter().find(|found| found.name == destination)?;
    let mut s3 = found.s3.clone()?;
    s3.prefix.get_or_insert_with(|| format!("{namespace}/{cluster}"));
    Some(Snapshots {
        destinations: vec![Destination { name: found.name.clone(), s3: Some(s3), volume: None }],
        schedules: Some(Vec::new()),
        suspend: true,
        encryption: drilled.encryption.clone(),
        signing: drilled.signing.clone(),
        drill: None,
        full_drill: None,
        verification: None,
    })
}
