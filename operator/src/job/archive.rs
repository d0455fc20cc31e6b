//! Where snapshots of a cluster are, and what a Job needs to get there. Pure.

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaimVolumeSource, ProjectedVolumeSource, SecretProjection, Volume, VolumeMount, VolumeProjection,
};
use serde::Serialize;

use super::attached::{ATTACHED_DIR, Attached};
use super::servers::Servers;
use crate::api::cluster::{Destination, S3Destination, Snapshots};
use crate::cluster::build::pod;
use crate::cluster::validate::{Place, place_of};

/// Where the key of a bucket is mounted.
const BUCKET_KEY_DIR: &str = "/etc/rag/archive";
/// Where a volume of snapshots is mounted.
const VOLUME_DIR: &str = "/var/lib/rag/archive";
/// Where the keys of the encryption are mounted.
const ENCRYPTION_DIR: &str = "/etc/rag/encryption";
/// Where the key that signs manifests is mounted.
const SIGNING_DIR: &str = "/etc/rag/signing";
/// Files of mounted Secrets: readable for the program's group, nobody else.
const KEY_MODE: i32 = 0o440;

/// Where snapshots of a cluster are, with what they are encrypted and signed with.
#[derive(Clone, Debug, PartialEq)]
pub struct Archive {
    /// The destination.
    pub destination: Destination,
    /// The Secret of the encryption, where there is one.
    pub encryption: Option<String>,
    /// The Secret of the signatures, where there is one.
    pub signing: Option<String>,
    /// What goes with a snapshot that is taken.
    pub attached: Attached,
}

/// Why there is no archive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoDestination {
    /// The cluster names none.
    #[error("RagCluster {cluster} names no destination; add one to spec.snapshots.destinations")]
    None {
        /// The cluster.
        cluster: String,
    },
    /// It names others.
    #[error("RagCluster {cluster} has no destination {found:?}, but {known}; add it to spec.snapshots.destinations")]
    Unknown {
        /// The cluster.
        cluster: String,
        /// What was asked for.
        found: String,
        /// Those that there are.
        known: String,
    },
}

impl Archive {
    /// The archive of a destination by its name, or of the first one.
    pub fn of(cluster: &str, snapshots: Option<&Snapshots>, name: Option<&str>) -> Result<Self, NoDestination> {
        let none = || NoDestination::None { cluster: cluster.to_owned() };
        let Snapshots { destinations, encryption, signing, .. } = snapshots.ok_or_else(none)?;
        let destination = match name {
            None => destinations.first().ok_or_else(none)?,
            Some(_) if destinations.is_empty() => return Err(none()),
            Some(name) => destinations.iter().find(|found| found.name == name).ok_or_else(|| {
                let known: Vec<&str> = destinations.iter().map(|found| found.name.as_str()).collect();
                NoDestination::Unknown { cluster: cluster.to_owned(), found: name.to_owned(), known: known.join(", ") }
            })?,
        };
        Ok(Self {
            destination: destination.clone(),
            encryption: encryption.as_ref().map(|encryption| encryption.secret_ref.name.clone()),
            signing: signing.as_ref().map(|signing| signing.secret_ref.name.clone()),
            attached: Attached::Nothing,
        })
    }

    /// The same, for a Job that takes a snapshot with which this goes.
    pub fn attaching(self, attached: Attached) -> Self {
        Self { attached, ..self }
    }

    /// Where that is, for people.
    pub fn place(&self, namespace: &str, cluster: &str) -> String {
        match (&self.destination.s3, &self.destination.volume) {
            (Some(s3), _) => format!("s3://{}/{}", s3.bucket, prefix(s3, namespace, cluster)),
            (None, Some(volume)) => format!("volume {}, folder {namespace}/{cluster}", volume.claim_name),
            (None, None) => String::new(),
        }
    }

    /// The users' Secrets that a Job mounts for it, each with the field that names it.
    pub fn secrets(&self) -> Vec<(String, &str)> {
        let of_bucket = self.destination.s3.as_ref().map(|s3| {
            let field = format!("spec.snapshots.destinations[{}].s3.secretRef.name", self.destination.name);
            (field, s3.secret_ref.name.as_str())
        });
        let encryption =
            self.encryption.as_deref().map(|name| ("spec.snapshots.encryption.secretRef.name".to_owned(), name));
        let signing = self.signing.as_deref().map(|name| ("spec.snapshots.signing.secretRef.name".to_owned(), name));
        [of_bucket, encryption, signing].into_iter().flatten().collect()
    }

    /// The claim that a Job mounts for it, where it is a volume.
    pub fn claim(&self) -> Option<&str> {
        self.destination.volume.as_ref().map(|volume| volume.claim_name.as_str())
    }

    /// Where a Job has to be let out to; nothing for a volume.
    pub(super) fn way_out(&self, namespace: &str) -> Option<Place> {
        let s3 = self.destination.s3.as_ref()?;
        let of_endpoint = s3.endpoint.as_deref().and_then(|endpoint| place_of(endpoint, namespace));
        Some(of_endpoint.unwrap_or(Place::Port(443)))
    }

    /// The table `[snapshots]` of a Job's configuration.
    pub(super) fn table(&self, servers: &Servers) -> String {
        let (namespace, cluster) = (servers.namespace.as_str(), servers.cluster.as_str());
        let Destination { s3, volume, .. } = &self.destination;
        let snapshots = SnapshotsTable {
            signing_key_file: self.signing.as_ref().map(|_| format!("{SIGNING_DIR}/key")),
            folder: volume.as_ref().map(|_| FolderTable { path: format!("{VOLUME_DIR}/{namespace}/{cluster}") }),
            s3: s3.as_ref().map(|s3| S3Table {
                bucket: s3.bucket.clone(),
                prefix: prefix(s3, namespace, cluster),
                endpoint: s3.endpoint.clone(),
                region: s3.region.clone(),
                access_key_id_file: format!("{BUCKET_KEY_DIR}/access-key-id"),
                secret_access_key_file: format!("{BUCKET_KEY_DIR}/secret-access-key"),
                ca_file: s3.ca_key.as_ref().map(|key| format!("{BUCKET_KEY_DIR}/{key}")),
            }),
            encryption: self.encryption.as_ref().map(|_| EncryptionTable {
                recipients_file: format!("{ENCRYPTION_DIR}/recipients"),
                identity_file: format!("{ENCRYPTION_DIR}/identity"),
            }),
            attached: self.attached.manifest().map(|_| ATTACHED_DIR.to_owned()),
        };
        // Structs of texts always have a TOML form.
        toml::to_string(&Table { snapshots }).unwrap_or_default()
    }

    /// The volumes of it, each with where it is mounted.
    pub(super) fn volumes(&self) -> Vec<(Volume, VolumeMount)> {
        let Destination { s3, volume, .. } = &self.destination;
        let of_secret = |name: &str, secret: &str, dir: &str| {
            let source = SecretProjection { name: secret.to_owned(), ..SecretProjection::default() };
            let projected = ProjectedVolumeSource {
                default_mode: Some(KEY_MODE),
                sources: Some(vec![VolumeProjection { secret: Some(source), ..VolumeProjection::default() }]),
                ..ProjectedVolumeSource::default()
            };
            let volume = Volume { name: name.to_owned(), projected: Some(projected), ..Volume::default() };
            (volume, pod::mount(name, dir, true))
        };
        let bucket = s3.as_ref().map(|s3| of_secret("archive", &s3.secret_ref.name, BUCKET_KEY_DIR));
        let claim = volume.as_ref().map(|volume| {
            let claim_name = volume.claim_name.clone();
            let source = PersistentVolumeClaimVolumeSource { claim_name, read_only: None };
            let volume =
                Volume { name: "archive".to_owned(), persistent_volume_claim: Some(source), ..Volume::default() };
            (volume, pod::mount("archive", VOLUME_DIR, false))
        });
        let encryption = self.encryption.as_ref().map(|secret| of_secret("encryption", secret, ENCRYPTION_DIR));
        let signing = self.signing.as_ref().map(|secret| of_secret("signing", secret, SIGNING_DIR));
        [bucket, claim, encryption, signing].into_iter().flatten().collect()
    }
}

/// So that a cluster of the same names finds its snapshots, wherever it is.
fn prefix(s3: &S3Destination, namespace: &str, cluster: &str) -> String {
    s3.prefix.clone().unwrap_or_else(|| format!("{namespace}/{cluster}"))
}

#[derive(Serialize)]
struct Table {
    snapshots: SnapshotsTable,
}

#[derive(Serialize)]
struct SnapshotsTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_key_file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attached: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<FolderTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s3: Option<S3Table>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption: Option<EncryptionTable>,
}

#[derive(Serialize)]
struct FolderTable {
    path: String,
}

#[derive(Serialize)]
struct S3Table {
    bucket: String,
    prefix: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    region: String,
    access_key_id_file: String,
    secret_access_key_file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<String>,
}

#[derive(Serialize)]
struct EncryptionTable {
    recipients_file: String,
    identity_file: String,
}
