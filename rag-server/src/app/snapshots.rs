//! What takes, keeps and restores snapshots, put together.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tempfile::TempDir;

use super::{Models, Stores, owner};
use crate::{
    adapters::{
        archive::{ObjectArchive, OpenError, S3Settings},
        sqlite::SqliteRecords,
    },
    config::{S3, Snapshots},
    key_file::{Key, NoKey},
    ports::{Archive, ArchiveError, StoreError, SystemClock},
    snapshot::{Archived, Create, Drill, Replace, Restore, SigningKey},
};

/// In this time every server looks once what holds for all, and which epoch is searched, also one whose last look failed: it looks each five seconds then, for two.
const SETTLE: Duration = Duration::from_secs(7);

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
pub fn restore(models: &Models, stores: &Stores, archived: Archived) -> Restore {
    let configured = models.configured();
    let model = configured.identity();
    let owner = owner(&configured.config);
    let Stores { vectors, records, .. } = stores.clone();
    Restore { store: vectors, records, archived, clock: Arc::new(SystemClock), owner, model }
}

/// What restores over a corpus that these stores serve, in the name of `by`. What was deleted since comes back where that is asked for.
pub fn replace(models: &Models, stores: &Stores, by: String, with_deleted: bool) -> Replace {
    let configured = models.configured();
    Replace {
        store: Arc::clone(&stores.vectors),
        editions: Arc::clone(&stores.editions),
        clock: Arc::new(SystemClock),
        owner: owner(&configured.config),
        model: configured.identity(),
        with_deleted,
        by,
        settle: SETTLE,
    }
}

/// A drill, and the folder of its records, which goes with it.
pub struct Drilling {
    /// The drill.
    pub drill: Drill,
    _folder: TempDir,
}

/// What drills beside a corpus that these stores may serve. Its records are in a folder of their own on this machine.
pub async fn drill(
    models: &Models,
    stores: &Stores,
    archived: Archived,
    min_recall: f64,
) -> Result<Drilling, StoreError> {
    let cause = |e: io::Error| format!("no folder for them can be made in {}: {e}", std::env::temp_dir().display());
    let folder =
        tempfile::tempdir().map_err(|e| StoreError::Failed { store: "the records of a drill", cause: cause(e) })?;
    let scratch = Arc::new(SqliteRecords::open_alone(&folder.path().join("records.db")).await?);
    let drill = Drill {
        store: Arc::clone(&stores.vectors),
        records: Arc::clone(&stores.records),
        scratch,
        archived,
        clock: Arc::new(SystemClock),
        model: models.configured().identity(),
        min_recall,
    };
    Ok(Drilling { drill, _folder: folder })
}

fn settings(s3: &S3) -> S3Settings {
    let S3 { bucket, prefix, endpoint, region, access_key_id_file, secret_access_key_file, ca_file } = s3.clone();
    let prefix = prefix.unwrap_or_default();
    S3Settings { bucket, prefix, endpoint, region, access_key_id_file, secret_access_key_file, ca_file }
}
