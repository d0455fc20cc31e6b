//! The manifest: what a snapshot is made of. Pure.
//!
//! Its object holds two lines: the manifest as JSON, or what it is encrypted to, and the signature of the line or nothing.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{SigningKey, SnapshotError};
use crate::{
    corpus::BuiltWith,
    model::ChunkId,
    ports::{Epoch, Kind},
};

/// The format that is written, and the newest that is read.
pub const FORMAT: u32 = 1;
/// The folder of the manifests.
pub(super) const FOLDER: &str = "manifests/";
/// What the names of their objects end with.
const ENDING: &str = ".json";

/// Names a snapshot: 1 to 63 lower-case letters, digits and dashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text cannot name a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a snapshot's name has 1 to 63 lower-case letters, digits and dashes, and begins with a letter or a digit; found {0:?}"
)]
pub struct InvalidName(String);

impl Name {
    /// The name of one that begins now, when nobody chose another: the time to the second, and a few digits so that two that begin together differ.
    pub fn at(now: Timestamp, salt: u16) -> Self {
        Self(format!("{}-{salt:04x}", now.strftime("%Y%m%d-%H%M%S")))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The object of its manifest.
    pub(super) fn object(&self) -> String {
        format!("{FOLDER}{}{ENDING}", self.0)
    }

    /// The snapshot whose manifest this object is.
    pub(super) fn of_object(object: &str) -> Option<Self> {
        object.strip_prefix(FOLDER)?.strip_suffix(ENDING)?.parse().ok()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = (1..=63).contains(&text.len()) && text.chars().all(plain) && !text.starts_with('-');
        if fits { Ok(Self(text)) } else { Err(InvalidName(text)) }
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// One part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartRef {
    /// SHA-256 of the object before it is encrypted, in hex.
    pub sha256: String,
    /// The object's name where it is encrypted; without it that is the hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Bytes of the object.
    pub bytes: u64,
    /// Bytes of what is inside.
    pub unpacked_bytes: u64,
}

impl PartRef {
    /// What the object is called in the folder of the parts, and what messages call the part.
    pub fn called(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.sha256)
    }
}

/// A file that was put beside the corpus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attached {
    /// Its name.
    pub file: String,
    /// What holds it.
    pub part: PartRef,
}

/// What is known of the object of a manifest, and stands in none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seal {
    /// SHA-256 of the object, in hex: two that are alike are the same snapshot.
    pub sha256: String,
    /// Whether it bears the signature of the key that was asked for.
    pub signed: bool,
    /// Whether it is encrypted.
    pub encrypted: bool,
}

/// Records of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordCount {
    /// The kind, as it is stored.
    pub kind: String,
    /// How many.
    pub count: u64,
}

/// A chunk that must find itself in what was restored: its own vector leads to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Which chunk.
    pub chunk: ChunkId,
}

/// What a snapshot is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format.
    pub format: u32,
    /// The snapshot's name; another one means that the object was renamed.
    pub name: Name,
    /// When it began: what was acknowledged before is in it.
    pub began: Timestamp,
    /// When its last part was written.
    pub ended: Timestamp,
    /// When the latest of its documents was committed; none without documents.
    pub last_write: Option<Timestamp>,
    /// Version of the rag-server that took it.
    pub taken_by: String,
    /// What the corpus was built with, and whose it was.
    pub built_with: BuiltWith,
    /// The epoch that was searched.
    pub epoch: Epoch,
    /// Documents.
    pub documents: u64,
    /// Their chunks.
    pub chunks: u64,
    /// Documents that are not in it, because the store had lost some of their chunks.
    pub left_out: u64,
    /// Other records, by kind.
    pub records: Vec<RecordCount>,
    /// The parts, in the order in which they are read.
    pub parts: Vec<PartRef>,
    /// Chunks that prove a restore.
    pub golden: Vec<Golden>,
    /// Files that were put beside the corpus.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attached: Vec<Attached>,
    /// For whom it was taken, by an id of theirs: asked for again, it is theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_for: Option<String>,
    /// What is known of its object.
    #[serde(skip)]
    pub seal: Seal,
}

impl Manifest {
    /// All that it is made of: the parts of the corpus, and those of the files beside it.
    pub fn all_parts(&self) -> impl Iterator<Item = &PartRef> {
        self.parts.iter().chain(self.attached.iter().map(|attached| &attached.part))
    }

    /// Bytes of all parts in the archive; those that it shares with other snapshots are counted, too.
    pub fn bytes(&self) -> u64 {
        self.all_parts().fold(0, |bytes, part| bytes.saturating_add(part.bytes))
    }

    /// How many records of a kind it holds.
    pub fn count(&self, kind: Kind) -> u64 {
        self.records.iter().filter(|records| records.kind == kind.as_str()).map(|records| records.count).sum()
    }

    /// Its line.
    pub(super) fn line(&self) -> Result<Vec<u8>, SnapshotError> {
        serde_json::to_vec(self).map_err(|e| unreadable(&self.name, e.to_string()))
    }

    /// What the line of a snapshot's manifest says.
    pub(super) fn of_line(name: &Name, line: &[u8]) -> Result<Self, SnapshotError> {
        let manifest: Self = serde_json::from_slice(line).map_err(|e| unreadable(name, e.to_string()))?;
        is_that_of(&manifest.name, name)?;
        Ok(manifest)
    }
}

/// The object of a line: the line, and its signature.
pub(super) fn object(mut line: Vec<u8>, key: Option<&SigningKey>) -> Vec<u8> {
    let signature = key.map(|key| key.sign(&line)).unwrap_or_default();
    line.push(b'\n');
    line.extend_from_slice(signature.as_bytes());
    line.push(b'\n');
    line
}

/// The line of an object, and whether it is what something is encrypted to. With a key, only one that was signed with it; of a format that is read here.
pub(super) fn line_of<'o>(
    name: &Name,
    object: &'o [u8],
    key: Option<&SigningKey>,
) -> Result<(&'o str, bool), SnapshotError> {
    let cut = || unreadable(name, "its end is missing".to_owned());
    let text = str::from_utf8(object).map_err(|e| unreadable(name, e.to_string()))?;
    let (line, signature) = text.split_once('\n').ok_or_else(cut)?;
    let signature = signature.strip_suffix('\n').ok_or_else(cut)?;
    match key {
        Some(_) if signature.is_empty() => return Err(SnapshotError::Unsigned(name.clone())),
        Some(key) if !key.verifies(line.as_bytes(), signature) => return Err(SnapshotError::Forged(name.clone())),
        Some(_) | None => {}
    }
    // The format first: what follows it may look otherwise in a newer one.
    let Format { format, encrypted } = serde_json::from_str(line).map_err(|e| unreadable(name, e.to_string()))?;
    if format > FORMAT {
        return Err(SnapshotError::Newer { name: name.clone(), found: format, readable: FORMAT });
    }
    Ok((line, encrypted.is_some()))
}

/// Refuses what was renamed.
pub(super) fn is_that_of(found: &Name, name: &Name) -> Result<(), SnapshotError> {
    if found == name { Ok(()) } else { Err(unreadable(name, format!("it is that of snapshot {found}"))) }
}

pub(super) fn unreadable(name: &Name, cause: String) -> SnapshotError {
    SnapshotError::Unreadable { name: name.clone(), cause }
}

#[derive(Deserialize)]
struct Format {
    format: u32,
    encrypted: Option<IgnoredAny>,
}
