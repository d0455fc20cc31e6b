//! Evidence: what was found out about snapshots, in the archive beside them. It outlives the snapshots, and whoever asked for it.
//!
//! An object for each finding, written once: its line of JSON and the signature of the line, as a manifest has them, or nothing. It holds figures and names, and nothing of a document. The newest [`MOST_KEPT`] are kept; removing snapshots removes none.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Archived, Name, SigningKey, SnapshotError, manifest, part};

/// The folder of the objects.
const FOLDER: &str = "evidence/";
/// The format that is written, and the newest that is read.
const FORMAT: u32 = 1;
/// Objects that are kept: those of a daily snapshot that is read back, with weekly drills, for two years.
pub const MOST_KEPT: usize = 1000;
/// Objects too many that one writing removes at most; the next one goes on.
const MOST_REMOVED: usize = 16;
/// Bytes of an object at most. Whoever can write to the archive must not choose how much memory is taken.
const MOST_BYTES: u64 = 16 * 1024;

/// What was done to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Every part was read.
    Verify,
    /// It was restored beside what is served.
    Drill,
    /// It was restored.
    Restore,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Verify => "verify",
            Self::Drill => "drill",
            Self::Restore => "restore",
        })
    }
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The snapshot is what was taken.
    Passed,
    /// It is not, or that could not be shown.
    Failed,
    /// Nothing was found out, because there was no room.
    Skipped,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        })
    }
}

/// What was measured; what was not is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Documents; absent of a snapshot that is encrypted, which does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<u64>,
    /// Their chunks; likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunks: Option<u64>,
    /// Bytes of its objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Golden chunks that were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<u64>,
    /// Those of them that were found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<u64>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto_seconds: Option<f64>,
    /// From the snapshot's beginning to the act's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_seconds: Option<f64>,
}

/// A finding about a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The format.
    pub format: u32,
    /// When it was found out.
    pub at: Timestamp,
    /// What was done.
    pub act: Act,
    /// The snapshot.
    pub snapshot: Name,
    /// SHA-256 of the object of its manifest, in hex; absent where there was none to be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_sha256: Option<String>,
    /// What was found.
    pub verdict: Verdict,
    /// The class of the cause, where it is not passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The sentence for people; absent of a snapshot that is encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What was measured.
    #[serde(default)]
    pub measured: Measured,
    /// Who asked for it.
    pub asked_by: String,
    /// What found it out: the program and its version, the process and its machine.
    pub found_by: String,
}

impl Evidence {
    /// A finding without figures, to which they are added.
    pub fn new(at: Timestamp, act: Act, snapshot: Name, verdict: Verdict) -> Self {
        Self {
            format: FORMAT,
            at,
            act,
            snapshot,
            manifest_sha256: None,
            verdict,
            cause: None,
            message: None,
            measured: Measured::default(),
            asked_by: String::new(),
            found_by: String::new(),
        }
    }

    /// The object's name: in the order of the time, and never the same for two findings.
    fn object(&self, line: &[u8]) -> String {
        let Self { at, act, snapshot, .. } = self;
        let hash = part::sha256(line);
        format!("{FOLDER}{}-{act}-{snapshot}-{}.json", at.strftime("%Y%m%d-%H%M%S"), hash.get(..8).unwrap_or(&hash))
    }
}

/// An object of the evidence.
#[derive(Debug, Clone, PartialEq)]
pub struct Exhibit {
    /// Its name in the archive.
    pub object: String,
    /// What it says, or why nobody should believe it, as a sentence.
    pub finding: Result<Evidence, String>,
}

impl Archived {
    /// SHA-256 of the object of a manifest, in hex, whatever is in it; nothing where there is none.
    pub async fn manifest_sha256(&self, name: &Name) -> Result<Option<String>, SnapshotError> {
        Ok(self.archive.get(&name.object()).await?.map(|object| part::sha256(&object)))
    }

    /// Keeps a finding, and no more than [`MOST_KEPT`] of them. That old ones cannot be removed is no failure.
    pub async fn keep_evidence(&self, evidence: &Evidence) -> Result<(), SnapshotError> {
        let unwritable = |e: serde_json::Error| manifest::unreadable(&evidence.snapshot, e.to_string());
        let line = serde_json::to_vec(evidence).map_err(unwritable)?;
        let name = evidence.object(&line);
        let object = manifest::object(line, self.key.as_ref().map(SigningKey::of_evidence).as_ref());
        self.archive.put_if_absent(&name, object).await?;
        let all = self.archive.list(FOLDER).await?;
        let too_many = all.len().saturating_sub(MOST_KEPT).min(MOST_REMOVED);
        for old in all.iter().take(too_many) {
            if let Err(error) = self.archive.remove(&old.name).await {
                tracing::info!(object = old.name, %error, "old evidence stays, since it cannot be removed");
                break;
            }
        }
        Ok(())
    }

    /// The newest findings, at most so many, the newest first; and how many there are. With a signing key, what is not signed with it is not believed.
    pub async fn evidence(&self, most: usize) -> Result<(Vec<Exhibit>, usize), SnapshotError> {
        let all = self.archive.list(FOLDER).await?;
        let key = self.key.as_ref().map(SigningKey::of_evidence);
        let mut exhibits = Vec::new();
        for object in all.iter().rev().take(most) {
            let finding = match object.bytes {
                0..=MOST_BYTES => match self.archive.get(&object.name).await? {
                    Some(content) => finding(&content, key.as_ref()),
                    // Somebody has removed it since.
                    None => continue,
                },
                more => Err(format!("it has {more} bytes, which no finding has")),
            };
            exhibits.push(Exhibit { object: object.name.clone(), finding });
        }
        Ok((exhibits, all.len()))
    }
}

fn finding(object: &[u8], key: Option<&SigningKey>) -> Result<Evidence, String> {
    let text = str::from_utf8(object).map_err(|e| format!("it cannot be read: {e}"))?;
    let lines = text.split_once('\n').and_then(|(line, rest)| Some((line, rest.strip_suffix('\n')?)));
    let (line, signature) = lines.ok_or("it cannot be read: its end is missing")?;
    match key {
        Some(_) if signature.is_empty() => return Err("it is not signed, and a key is configured".to_owned()),
        Some(key) if !key.verifies(line.as_bytes(), signature) => {
            return Err("its signature does not fit: somebody changed it, or the key is another one".to_owned());
        }
        Some(_) | None => {}
    }
    let evidence: Evidence = serde_json::from_str(line).map_err(|e| format!("it cannot be read: {e}"))?;
    if evidence.format > FORMAT {
        return Err(format!("it is of format {}; use a newer rag-server", evidence.format));
    }
    Ok(evidence)
}
