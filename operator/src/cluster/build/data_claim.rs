//! The volume claims of the vector stores: made once, and kept unless the spec says otherwise.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::metadata::{self, Part};
use crate::api::cluster::{DeletionPolicy, Storage};
use crate::cluster::validate::{Store, ValidatedCluster};

/// NAME-data, of the embedded store. Retained: without an owner, so that it stays and a later namesake finds it.
pub(super) fn data_claim(cluster: &ValidatedCluster) -> Option<PersistentVolumeClaim> {
    let Store::Embedded { storage } = &cluster.store else { return None };
    let name = cluster.name.data();
    let mut metadata = match cluster.deletion_policy {
        DeletionPolicy::Retain => metadata::retained(cluster, Part::Server, name),
        DeletionPolicy::Delete => metadata::child(cluster, Part::Server, name),
    };
    metadata::forget_uid(&mut metadata);
    Some(PersistentVolumeClaim { metadata, spec: Some(claim(storage)), status: None })
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
