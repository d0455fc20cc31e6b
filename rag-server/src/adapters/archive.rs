//! The archive of snapshots: a folder, or a bucket of S3.
//!
//! Guarantees: an object is there whole or not at all, and is never replaced; keys are read from their files when the archive is opened, and stand in no error. Calls are tried again, with growing waits, for half a minute.

use std::{
    fmt,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use futures::TryStreamExt as _;
use object_store::{
    Certificate, ClientOptions, Error, ObjectStore, ObjectStoreExt as _, PutMode, RetryConfig,
    aws::AmazonS3Builder,
    client::{HttpError, HttpErrorKind},
    local::LocalFileSystem,
    path::Path,
};

use crate::{
    key_file::{Key, NoKey},
    outside::innermost,
    ports::{Archive, ArchiveError, Object},
};

/// How long a call is tried again before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// Tries of a call within that time.
const RETRIES: usize = 8;
/// Most objects of a folder that are listed: ten years of hourly snapshots, or the parts of some hundred gigabytes. It bounds the memory of whoever lists, to less than 100 MB.
const MOST_LISTED: usize = 500_000;

/// What is needed to reach a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Settings {
    /// Its name.
    pub bucket: String,
    /// The folder in it; empty for all of it.
    pub prefix: String,
    /// Address of the service; none: that of AWS in the region.
    pub endpoint: Option<String>,
    /// The region.
    pub region: String,
    /// File that holds the id of the access key.
    pub access_key_id_file: PathBuf,
    /// File that holds the access key.
    pub secret_access_key_file: PathBuf,
    /// File of the certificates to trust; none: those of the system.
    pub ca_file: Option<PathBuf>,
}

/// Why an archive cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// One of its keys cannot be read.
    #[error("the archive's {file} {cause}")]
    NoKey {
        /// Which setting names the file.
        file: &'static str,
        /// What is wrong with it.
        cause: NoKey,
    },
    /// The certificates cannot be read.
    #[error("snapshots.s3.ca_file {path} holds no certificates that can be read: {cause}")]
    Certificates {
        /// The file.
        path: String,
        /// Why not.
        cause: String,
    },
    /// There is no such folder, or no such service.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// An archive in an object store.
pub struct ObjectArchive {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// What messages call it.
    place: String,
}

impl fmt::Debug for ObjectArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectArchive").field("place", &self.place).finish_non_exhaustive()
    }
}

impl ObjectArchive {
    /// The archive in a folder that exists.
    pub fn folder(folder: &FilePath) -> Result<Self, ArchiveError> {
        let place = folder.display().to_string();
        let store = LocalFileSystem::new_with_prefix(folder);
        let store = store.map_err(|_| ArchiveError::NoPlace { place: place.clone() })?.with_fsync(true);
        Ok(Self { store: Arc::new(store), prefix: Path::default(), place })
    }

    /// The archive in a folder, which is made if it is not there.
    pub fn new_folder(folder: &FilePath) -> Result<Self, ArchiveError> {
        std::fs::create_dir_all(folder)
            .map_err(|e| ArchiveError::Failed { place: folder.display().to_string(), cause: e.to_string() })?;
        Self::folder(folder)
    }

    /// The archive in a bucket. Nothing is called.
    pub fn s3(settings: &S3Settings) -> Result<Self, OpenError> {
        let place = format!("s3://{}/{}", settings.bucket, settings.prefix);
        let key = |file, path| Key::read(path).map_err(|cause| OpenError::NoKey { file, cause });
        let id = key("snapshots.s3.access_key_id_file", &settings.access_key_id_file)?;
        let secret = key("snapshots.s3.secret_access_key_file", &settings.secret_access_key_file)?;
        let plain = settings.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http:"));
        let retry = RetryConfig { max_retries: RETRIES, retry_timeout: PATIENCE, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&settings.bucket)
            .with_region(&settings.region)
            .with_access_key_id(id.expose())
            .with_secret_access_key(secret.expose())
            .with_client_options(options(settings, plain)?)
            .with_retry(retry);
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let store = builder.build().map_err(|error| failure(&place, &error))?;
        Ok(Self { store: Arc::new(store), prefix: Path::from(settings.prefix.as_str()), place })
    }

    fn path(&self, name: &str) -> Path {
        self.prefix.parts().chain(Path::from(name).parts()).collect()
    }

    fn failed(&self, error: &Error) -> ArchiveError {
        failure(&self.place, error)
    }
}

fn options(settings: &S3Settings, plain: bool) -> Result<ClientOptions, OpenError> {
    let mut options = ClientOptions::new().with_allow_http(plain);
    if plain {
        // Without TLS no certificate is needed, and an image may hold none to load.
        options = options.with_no_system_certificates(true);
    }
    let Some(path) = &settings.ca_file else { return Ok(options) };
    let unreadable = |cause: String| OpenError::Certificates { path: path.display().to_string(), cause };
    let pem = std::fs::read(path).map_err(|e| unreadable(e.to_string()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|e| unreadable(e.to_string()))?;
    if certificates.is_empty() {
        return Err(unreadable("there is none in it".to_owned()));
    }
    let options = options.with_no_system_certificates(true);
    Ok(certificates.into_iter().fold(options, ClientOptions::with_root_certificate))
}

/// What an error means, by what a person would do about it.
fn failure(place: &str, error: &Error) -> ArchiveError {
    let place = place.to_owned();
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => ArchiveError::AuthFailed { place },
        Error::NotFound { .. } => ArchiveError::NoPlace { place },
        error if is_network(error) => ArchiveError::Unreachable { place, cause: innermost(error) },
        error => {
            let said = innermost(error);
            // Of a listing the library tells the status in words alone.
            match said.strip_prefix(STATUS) {
                Some(status) if status.starts_with("401") || status.starts_with("403") => {
                    ArchiveError::AuthFailed { place }
                }
                // AWS says 400 of a credential whose time is over, or that it never gave.
                Some(status) if EXPIRED.iter().any(|code| status.contains(code)) => ArchiveError::AuthFailed { place },
                // What follows is the body, which may be long.
                Some(status) => {
                    let status = status.split(':').next().unwrap_or(status);
                    ArchiveError::Failed { place, cause: format!("it answered {status}") }
                }
                None => ArchiveError::Failed { place, cause: said },
            }
        }
    }
}

/// What the library says before the status of an answer.
const STATUS: &str = "Server returned non-2xx status code: ";

/// Codes of AWS for a credential that it does not take, in the body of an answer whose status does not tell.
const EXPIRED: [&str; 3] =
    ["<Code>ExpiredToken</Code>", "<Code>InvalidToken</Code>", "<Code>TokenRefreshRequired</Code>"];

/// Whether no answer came at all.
fn is_network(error: &Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            use HttpErrorKind::{Connect, Interrupted, Request, Timeout};
            return matches!(http.kind(), Connect | Request | Timeout | Interrupted);
        }
        cause = error.source();
    }
    false
}

#[async_trait]
impl Archive for ObjectArchive {
    async fn put_if_absent(&self, name: &str, bytes: Vec<u8>) -> Result<bool, ArchiveError> {
        match self.store.put_opts(&self.path(name), bytes.into(), PutMode::Create.into()).await {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(self.failed(&error)),
        }
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        let got = match self.store.get(&self.path(name)).await {
            Ok(got) => got,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.failed(&error)),
        };
        got.bytes().await.map(|bytes| Some(bytes.to_vec())).map_err(|error| self.failed(&error))
    }

    async fn size(&self, name: &str) -> Result<Option<u64>, ArchiveError> {
        match self.store.head(&self.path(name)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    async fn list(&self, folder: &str) -> Result<Vec<Object>, ArchiveError> {
        let below = self.path(folder);
        let mut found = Vec::new();
        let mut objects = self.store.list(Some(&below));
        while let Some(meta) = objects.try_next().await.map_err(|error| self.failed(&error))? {
            let relative = meta.location.prefix_match(&self.prefix).map(|parts| parts.collect::<Path>());
            found.extend(relative.map(|path| Object { name: path.to_string(), bytes: meta.size }));
            if found.len() > MOST_LISTED {
                let cause = format!("{folder} holds more than {MOST_LISTED} objects");
                return Err(ArchiveError::Failed { place: self.place.clone(), cause });
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    async fn remove(&self, name: &str) -> Result<(), ArchiveError> {
        match self.store.delete(&self.path(name)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn place(&self) -> &str {
        &self.place
    }
}
