//! A provisioner of node-local volumes. Like a disk of a cloud, a new volume belongs to root and is opened to a pod by
//! its `fsGroup`; the host-path provisioner inside the controller-manager cannot do that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{DeleteParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::NAME;

const CLASS: &str = "standard";
const PROVISIONER: &str = "ragops.test/node-local";

/// The default class.
pub(crate) fn storage_class() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
    })
}

/// Gives every claim of the class a volume below `folder`, and removes volumes that nobody claims any more. Never ends.
pub(crate) async fn provision(client: Client, folder: PathBuf) {
    let claims = watcher(Api::<PersistentVolumeClaim>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .applied_objects()
        .map_ok(|claim| Change::Claim(Box::new(claim)))
        .boxed();
    let volumes = watcher(Api::<PersistentVolume>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .applied_objects()
        .map_ok(|volume| Change::Volume(Box::new(volume)))
        .boxed();
    let mut changes = futures::stream::select(claims, volumes);
    while let Some(change) = changes.next().await {
        let outcome = match change {
            Ok(Change::Claim(claim)) => supply(&client, &folder, &claim).await,
            Ok(Change::Volume(volume)) => reclaim(&client, &folder, &volume).await,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = outcome {
            tracing::warn!("volumes: {error:#}");
        }
    }
}

enum Change {
    Claim(Box<PersistentVolumeClaim>),
    Volume(Box<PersistentVolume>),
}

async fn supply(client: &Client, folder: &Path, claim: &PersistentVolumeClaim) -> Result<()> {
    let Some(spec) = &claim.spec else { return Ok(()) };
    if spec.storage_class_name.as_deref() != Some(CLASS) || spec.volume_name.is_some() {
        return Ok(());
    }
    let uid = claim.uid().context("a claim without a uid")?;
    let name = format!("pvc-{uid}");
    let path = folder.join(&name);
    std::fs::create_dir_all(&path)?;
    let requested = spec.resources.as_ref().and_then(|resources| resources.requests.clone());
    let capacity: BTreeMap<_, _> = requested.unwrap_or_default();
    let volume: PersistentVolume = serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "capacity": capacity,
            "accessModes": spec.access_modes,
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": CLASS,
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": claim.namespace(),
                "name": claim.name_any(),
                "uid": uid,
            },
            "local": {"path": path},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [NAME]}]},
            ]}},
        },
    }))?;
    match Api::all(client.clone()).create(&PostParams::default(), &volume).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        result => result.map(drop).context("cannot create a volume"),
    }
}

async fn reclaim(client: &Client, folder: &Path, volume: &PersistentVolume) -> Result<()> {
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    let ours = volume.annotations().get("pv.kubernetes.io/provisioned-by").is_some_and(|by| by == PROVISIONER);
    if !ours || phase != Some("Released") || policy != Some("Delete") {
        return Ok(());
    }
    let name = volume.name_any();
    let path = folder.join(&name);
    if path.exists() {
        std::fs::remove_dir_all(&path)?;
    }
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    volumes.delete(&name, &DeleteParams::default()).await.map(drop).context("cannot delete a volume")
}
