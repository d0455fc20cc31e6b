//! The volume claims of the vector stores: made once, and kept unless the spec says otherwise. How they grow is decided elsewhere.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::metadata::{self, Part};
use crate::api::cluster::{DeletionPolicy, Storage};
use crate::cluster::decide::volume::requested;
use crate::cluster::validate::{Store, ValidatedCluster};

/// NAME-data, of the embedded store. Retained: without an owner, so that it stays and a later namesake finds it.
///
/// One that is there is never asked to be another: it grows by a step of its own, and the rest of it is for good.
pub(super) fn data_claim(
    cluster: &ValidatedCluster,
    live: Option<&PersistentVolumeClaim>,
) -> Option<PersistentVolumeClaim> {
    let Store::Embedded { storage } = &cluster.store else { return None };
    let storage = live.and_then(volume_of).unwrap_or_else(|| storage.clone());
    let name = cluster.name.data();
    let mut metadata = match cluster.deletion_policy {
        DeletionPolicy::Retain => metadata::retained(cluster, Part::Server, name),
        DeletionPolicy::Delete => metadata::child(cluster, Part::Server, name),
    };
    metadata::forget_uid(&mut metadata);
    Some(PersistentVolumeClaim { metadata, spec: Some(claim(&storage)), status: None })
}

fn volume_of(live: &PersistentVolumeClaim) -> Option<Storage> {
    let size = requested(live.spec.as_ref())?.to_owned();
    Some(Storage { size, class_name: live.spec.as_ref()?.storage_class_name.clone() })
}

/// A claim of one pod at a time.
pub(super) fn claim(storage: &Storage) -> PersistentVolumeClaimSpec {
    let size = Quantity(storage.size.clone());
    PersistentVolumeClaimSpec {
        access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
        storage_class_name: storage.class_name.clone(),
        resources: Some(VolumeResourceRequirements {
            requests: Some(BTreeMap::from([("storage".to_owned(), size)])),
            limits: None,
        }),
        ..PersistentVolumeClaimSpec::default()
    }
}
