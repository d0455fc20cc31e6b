//! What takes, keeps and restores snapshots, put together.

use std::{
    fs, io,
    num::NonZeroU64,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::{Models, Stores, owner};
use crate::{
    adapters::{
        archive::{ObjectArchive, OpenError, S3Settings},
        lent::LentStores,
        sqlite::SqliteRecords,
    },
    config::{self, Auth, Config, S3, Snapshots},
    key_file::{self, Key, NoKey},
    ports::{Archive, ArchiveError, Source, StoreError, SystemClock},
    security::operator_key_file,
    snapshot::{
        Archived, AttachedFile, Create, Download, Drill, Encryption, Identities, InvalidKeys, MOST_FILE_BYTES,
        MOST_FILES, Paced, Recipients, Remove, Replace, Restore, SigningKey, is_file_name,
    },
};

/// In this time every server looks once what holds for all, and which epoch is searched, also one whose last look failed: it looks each five seconds then, for two.
const SETTLE: Duration = Duration::from_secs(7);

/// Why there is no archive, or nothing to put there.
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
    /// A key of the encryption cannot be read.
    #[error("snapshots.encryption.{key} {path} {cause}")]
    NoEncryptionKey {
        /// Which of them.
        key: &'static str,
        /// The file.
        path: String,
        /// What is wrong with it, as the end of a sentence.
        cause: String,
    },
    /// Snapshots are to be encrypted, and nobody said for whom.
    #[error("snapshots.encryption.recipients_file is not set, and a snapshot that is taken is encrypted for them")]
    NoRecipients,
    /// A snapshot is to be read back, and what is needed for it is not here.
    #[error(
        "a snapshot that is to be read back needs the identity of one of its recipients, and snapshots.encryption.identity_file has none; name it, or take the snapshot without --verify"
    )]
    NoIdentity,
    /// A file that is to go with the snapshot cannot.
    #[error("snapshots.attached {path} {cause}")]
    Attached {
        /// The file, or the folder.
        path: String,
        /// What is wrong with it, as the end of a sentence.
        cause: String,
    },
}

impl SnapshotSetupError {
    /// What the archive said, where it is the archive.
    pub fn archive(&self) -> Option<&ArchiveError> {
        match self {
            Self::Open(OpenError::Archive(error)) => Some(error),
            _ => None,
        }
    }
}

/// Where an archive is, and whether it may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchivePlace {
    /// It is there.
    Existing,
    /// A folder is made when it is not.
    New,
}

/// The archive in this folder, or else the configured one, with what its snapshots are signed, encrypted and read with. Until `stop` it is read and written no faster than configured.
pub fn archived(
    config: &Snapshots,
    folder: Option<&Path>,
    place: ArchivePlace,
    stop: &CancellationToken,
) -> Result<Archived, SnapshotSetupError> {
    let archive = archive(config, folder, place)?;
    let archive = match config.bytes_per_second.and_then(NonZeroU64::new) {
        Some(most) => Arc::new(Paced::new(archive, most, stop.clone())),
        None => archive,
    };
    let key = config.signing_key_file.as_deref().map(Key::read).transpose();
    let key = key.map_err(SnapshotSetupError::NoSigningKey)?.map(|key| SigningKey::new(key.expose()));
    let encryption = config.encryption.as_ref().map(encryption).transpose()?.unwrap_or_default();
    Ok(Archived { archive, key, encryption })
}

/// The archive in a folder, which is made if it is not there: for a copy.
pub fn new_folder(folder: &Path) -> Result<Arc<dyn Archive>, SnapshotSetupError> {
    Ok(Arc::new(ObjectArchive::new_folder(folder).map_err(OpenError::from)?))
}

fn archive(
    config: &Snapshots,
    folder: Option<&Path>,
    place: ArchivePlace,
) -> Result<Arc<dyn Archive>, SnapshotSetupError> {
    let configured = config.folder.as_ref().map(|folder| folder.path.as_path());
    let at = |folder: &Path| match place {
        ArchivePlace::Existing => ObjectArchive::folder(folder),
        ArchivePlace::New => ObjectArchive::new_folder(folder),
    };
    let opened = |folder: &Path| at(folder).map_err(OpenError::from);
    let archive = match (folder, &config.s3, configured) {
        (Some(folder), ..) => opened(folder)?,
        (None, Some(s3), _) => ObjectArchive::s3(&settings(s3))?,
        (None, None, Some(folder)) => opened(folder)?,
        (None, None, None) => return Err(SnapshotSetupError::NoArchive),
    };
    Ok(Arc::new(archive))
}

fn encryption(config: &config::Encryption) -> Result<Encryption, SnapshotSetupError> {
    let config::Encryption { recipients_file, identity_file } = config;
    let recipients = recipients_file.as_deref().map(|path| keys("recipients_file", path, Recipients::parse));
    let identities = identity_file.as_deref().map(|path| keys("identity_file", path, Identities::parse));
    Ok(Encryption { recipients: recipients.transpose()?, identities: identities.transpose()? })
}

fn keys<K>(
    key: &'static str,
    path: &Path,
    parse: impl FnOnce(&str) -> Result<K, InvalidKeys>,
) -> Result<K, SnapshotSetupError> {
    let no_key = |cause: String| SnapshotSetupError::NoEncryptionKey { key, path: path.display().to_string(), cause };
    let material = key_file::material(path).map_err(|e| no_key(format!("cannot be read: {e}")))?;
    let text = str::from_utf8(&material).map_err(|_| no_key("holds no text".to_owned()))?;
    parse(text).map_err(|e| no_key(e.to_string()))
}

/// What takes a snapshot of this source, with the configured files, for whom that matters.
pub fn create(
    config: &Snapshots,
    source: Arc<dyn Source>,
    archived: Archived,
    taken_for: Option<String>,
) -> Result<Create, SnapshotSetupError> {
    if config.encryption.is_some() && archived.encryption.recipients.is_none() {
        return Err(SnapshotSetupError::NoRecipients);
    }
    let attached = config.attached.as_deref().map(attached).transpose()?.unwrap_or_default();
    let taken_by = env!("CARGO_PKG_VERSION").to_owned();
    Ok(Create { source, archived, clock: Arc::new(SystemClock), taken_by, taken_for, attached })
}

/// The stores of a running server, asked at its management port with the operator's key where this configuration has one, or should have.
pub fn lent(config: &Config, server: &str) -> Result<LentStores, StoreError> {
    let Auth { credentials_dir, api_keys } = &config.auth;
    let key_file = credentials_dir.as_deref().map(operator_key_file);
    let key_file = key_file.filter(|file| !api_keys.is_empty() || file.exists());
    LentStores::of(server, key_file.as_deref())
}

/// What restores into these stores. The embedding model is named, not loaded.
pub fn restore(models: &Models, stores: &Stores, archived: Archived) -> Restore {
    let configured = models.configured();
    let model = configured.identity();
    let owner = owner(&configured.config);
    let Stores { vectors, records, .. } = stores.clone();
    Restore { store: vectors, records, archived, clock: Arc::new(SystemClock), owner, model }
}

/// What removes snapshots from this archive.
pub fn remove(archived: Archived, even_last: bool) -> Remove {
    Remove { archived, clock: Arc::new(SystemClock), even_last }
}

/// What copies snapshots of this archive into another one.
pub fn download(from: Archived, to: Arc<dyn Archive>) -> Download {
    Download { from, to, clock: Arc::new(SystemClock) }
}

/// The files of a folder, in the order of their names.
fn attached(folder: &Path) -> Result<Vec<AttachedFile>, SnapshotSetupError> {
    let refused = |path: &Path, cause: String| SnapshotSetupError::Attached { path: path.display().to_string(), cause };
    let unreadable = |path: &Path, error: &io::Error| refused(path, format!("cannot be read: {error}"));
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| unreadable(folder, &e))? {
        let path = entry.map_err(|e| unreadable(folder, &e))?.path();
        // A mounted ConfigMap has folders of its own beside its files.
        if !path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            paths.push(path);
        }
    }
    if paths.len() > MOST_FILES {
        return Err(refused(
            folder,
            format!("holds {} files, and at most {MOST_FILES} go with a snapshot", paths.len()),
        ));
    }
    paths.sort_unstable();
    let mut files = Vec::new();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).filter(|name| is_file_name(name));
        let name = name.ok_or_else(|| {
            refused(&path, "has a name with something else than letters, digits, -, _ and .".to_owned())
        })?;
        let about = fs::metadata(&path).map_err(|e| unreadable(&path, &e))?;
        if !about.is_file() || about.len() > MOST_FILE_BYTES as u64 {
            return Err(refused(&path, format!("is no file of at most {MOST_FILE_BYTES} bytes")));
        }
        let content = fs::read(&path).map_err(|e| unreadable(&path, &e))?;
        if is_secret(&content) {
            return Err(refused(&path, "holds a Secret, and no secret goes with a snapshot".to_owned()));
        }
        files.push(AttachedFile { name: name.to_owned(), content });
    }
    Ok(files)
}

/// Whether one of the manifests in a file, of YAML or JSON, says that it is a Secret.
fn is_secret(content: &[u8]) -> bool {
    if let Ok(json) = serde_json::from_slice::<serde_json::Value>(content) {
        let items = json["items"].as_array().into_iter().flatten();
        return items.chain([&json]).any(|object| object["kind"] == "Secret");
    }
    let kind = |line: &str| Some(line.strip_prefix("kind:")?.trim().trim_matches(['"', '\'']).to_owned());
    String::from_utf8_lossy(content).lines().any(|line| kind(line).as_deref() == Some("Secret"))
}

/// What restores over a corpus that these stores serve, in the name of `by`. What was deleted since comes back where that is asked for.
pub fn replace(models: &Models, stores: &Stores, by: String) -> Replace {
    let configured = models.configured();
    Replace {
        store: Arc::clone(&stores.vectors),
        editions: Arc::clone(&stores.editions),
        clock: Arc::new(SystemClock),
        owner: owner(&configured.config),
        model: configured.identity(),
        with_deleted: false,
        restored_for: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_folder_go_with_a_snapshot_and_secrets_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        fs::create_dir(folder.path().join("..data")).unwrap();
        write("rag.yaml", "kind: RagCluster\nspec:\n  kind: Secret\n");
        write("config.toml", "owner = \"a\"\n");
        let names = |files: Vec<AttachedFile>| files.into_iter().map(|file| file.name).collect::<Vec<_>>();
        assert_eq!(names(attached(folder.path()).unwrap()), ["config.toml", "rag.yaml"]);
        let refused = || attached(folder.path()).unwrap_err().to_string();
        for secret in [
            "apiVersion: v1\nkind: Secret\n",
            "kind: ConfigMap\n---\nkind: \"Secret\"\n",
            r#"{"kind":"Secret"}"#,
            r#"{"kind":"List","items":[{"kind":"Secret"}]}"#,
        ] {
            write("more", secret);
            assert!(refused().contains("more holds a Secret"), "{secret}: {}", refused());
        }
        write("more", &"x".repeat(MOST_FILE_BYTES + 1));
        assert!(refused().contains("is no file of at most"), "{}", refused());
        write("more", &"x".repeat(MOST_FILE_BYTES));
        assert_eq!(attached(folder.path()).unwrap().len(), 3);
        write("with space", "");
        assert!(refused().contains("has a name with something else"), "{}", refused());
        fs::remove_file(folder.path().join("with space")).unwrap();
        for n in 0..MOST_FILES {
            write(&format!("f{n}"), "");
        }
        assert!(refused().contains("at most 64"), "{}", refused());
    }
}
