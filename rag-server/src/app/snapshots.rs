//! What takes, keeps and restores snapshots, put together.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Models, Stores, owner};
use crate::{
    adapters::archive::{ObjectArchive, OpenError, S3Settings},
    config::{S3, Snapshots},
    key_file::{Key, NoKey},
    ports::{Archive, ArchiveError, SystemClock},
    snapshot::{Archived, Create, Restore, SigningKey},
};

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotSetupError {
    /// Nobody said where snapshots are.
    #[error("no archive is named: give --archive DIR, or set snapshots.folder or snapshots.s3 in the configuration")]
    NoArchive,
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The secret that manifests are signed with cannot be read.
    #[error("snapshots.signing_key_file {0}")]
    NoSigningKey(NoKey),
}

/// Where an archive is, and whether it may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchivePlace {
    /// It is there.
    Existing,
    /// A folder is made when it is not.
    New,
}

/// The archive in this folder, or else the configured one.
pub fn archive(
    config: &Snapshots,
    folder: Option<&Path>,
    place: &ArchivePlace,
) -> Result<Arc<dyn Archive>, SnapshotSetupError> {
    let configured = config.folder.as_ref().map(|folder| folder.path.clone());
    let at = |folder: &PathBuf| match place {
        ArchivePlace::Existing => ObjectArchive::folder(folder),
        ArchivePlace::New => ObjectArchive::new_folder(folder),
    };
    let opened = |opened: Result<ObjectArchive, ArchiveError>| opened.map_err(OpenError::from);
    let archive = match (folder.map(Path::to_owned), &config.s3, configured) {
        (Some(folder), ..) => opened(at(&folder))?,
        (None, Some(s3), _) => ObjectArchive::s3(&settings(s3))?,
        (None, None, Some(folder)) => opened(at(&folder))?,
        (None, None, None) => return Err(SnapshotSetupError::NoArchive),
    };
    Ok(Arc::new(archive))
}

/// What manifests are signed with, if they are.
pub fn signing_key(config: &Snapshots) -> Result<Option<SigningKey>, SnapshotSetupError> {
    let key = config.signing_key_file.as_deref().map(Key::read).transpose();
    Ok(key.map_err(SnapshotSetupError::NoSigningKey)?.map(|key| SigningKey::new(key.expose())))
}

/// What takes a snapshot of these stores.
pub fn create(stores: &Stores, archive: Arc<dyn Archive>, key: Option<SigningKey>) -> Create {
    let Stores { vectors, records, .. } = stores.clone();
    let taken_by = env!("CARGO_PKG_VERSION").to_owned();
    Create { store: vectors, records, archive, clock: Arc::new(SystemClock), key, taken_by }
}

/// What restores into these stores. The embedding model is named, not loaded.
pub fn restore(models: &Models, stores: &Stores, archive: Arc<dyn Archive>, key: Option<SigningKey>) -> Restore {
    let configured = models.configured();
    let model = configured.identity();
    let owner = owner(&configured.config);
    let Stores { vectors, records, .. } = stores.clone();
    let archived = Archived { archive, key };
    Restore { store: vectors, records, archived, clock: Arc::new(SystemClock), owner, model }
}

fn settings(s3: &S3) -> S3Settings {
    let S3 { bucket, prefix, endpoint, region, access_key_id_file, secret_access_key_file, ca_file } = s3.clone();
    let prefix = prefix.unwrap_or_default();
    S3Settings { bucket, prefix, endpoint, region, access_key_id_file, secret_access_key_file, ca_file }
}
