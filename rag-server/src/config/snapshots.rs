//! The keys of `[snapshots]`.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where snapshots are kept: at most one of `folder` and `s3`. Without either, commands need `--archive`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Snapshots {
    /// A folder, such as that of a mounted volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<ArchiveFolder>,
    /// A bucket of S3, or of a service that speaks its protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3>,
    /// File that holds what manifests are signed with: a secret of 32 random bytes or more, as text. With it, a snapshot that is not signed with it is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_key_file: Option<PathBuf>,
    /// What snapshots are encrypted and read with. Without it they are not encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// Most bytes that are read and written in a second, together, so that questions beside it stay fast. Without it as many as there can be.
    #[schemars(range(min = 65_536, max = 1_099_511_627_776_u64))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u64>,
    /// A folder whose files go into each snapshot, such as the manifest of the RagCluster and its ConfigMaps: at most 64, of at most 1 MiB each, no folders and no Secrets. Names that begin with a dot are passed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attached: Option<PathBuf>,
}

/// Encryption with age, for X25519 keys as `age-keygen` makes them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Encryption {
    /// File of the recipients, a line each: `age1...`. Taking a snapshot needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipients_file: Option<PathBuf>,
    /// File of the identities, a line each: `AGE-SECRET-KEY-1...`. Verifying, downloading and restoring need it; taking does not, but finds parts that are there already with it, and so writes less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_file: Option<PathBuf>,
}

/// A folder that holds snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveFolder {
    /// The folder; it is made when the first snapshot is taken.
    pub path: PathBuf,
}

/// A bucket that holds snapshots. Its objects are written once and never changed, so that a lock on the bucket does no harm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3 {
    /// The bucket's name.
    #[schemars(extend("minLength" = 3, "maxLength" = 63))]
    pub bucket: String,
    /// What the names of objects begin with, as a folder in the bucket, such as `handbook`. Two corpora need two.
    #[schemars(extend("minLength" = 1, "maxLength" = 200))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Address of the service, such as `http://seaweedfs:8333`. Without it: that of AWS in the region.
    #[schemars(extend("format" = "http-url"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The region.
    #[schemars(extend("minLength" = 1, "maxLength" = 63))]
    #[serde(default = "default_region")]
    pub region: String,
    /// File that holds the id of the access key.
    pub access_key_id_file: PathBuf,
    /// File that holds the access key itself.
    pub secret_access_key_file: PathBuf,
    /// File of the certificates (PEM) that the service's certificate must be signed by. Without it: those of the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// What services other than AWS take as well.
fn default_region() -> String {
    "us-east-1".to_owned()
}
