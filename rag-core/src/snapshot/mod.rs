//! Snapshots: everything of a corpus that cannot be computed again, in one logical format for every store, and back.
//!
//! ```text
//! create    documents and records -> entries -> parts (named by their hash) -> manifest (last)
//! verify    manifest -> every part: hash, order, counts
//! remove    manifests -> parts that no other manifest names
//! download  every part -> manifest (last), into another archive
//! restore   manifest -> parts -> chunks, then records -> activate (last)
//! replace   the same beside what is served, into the other edition of documents -> compare -> activate (last)
//! drill     the same into an epoch and records of its own -> compare -> remove both
//! ```
//! Guarantees: a snapshot is listed only when it is whole, because its manifest is written last and once. Everything that was acknowledged before its beginning is in it, as it stood then or in a later state, and a document is there whole or not at all.
//! Parts are named by their content, or by a keyed hash of it where they are encrypted: what did not change since an earlier snapshot of the same archive is not written again. No secret is in it: credentials are named by configurations, never stored with the data.
//! A restore writes into an epoch that nobody searches and activates it when everything is there; one that was cut short is taken up again, and until it is done no server serves the half of it.
//! Caveats: a snapshot is no picture of one moment; what is written meanwhile may be in it or not. The lexical part of the index is not stored, but computed again.

mod archived;
mod attached;
mod commit;
mod create;
mod cursor;
mod download;
mod drill;
mod encryption;
mod envelope;
mod error;
mod evidence;
mod filling;
mod manifest;
mod newest;
mod out;
mod paced;
mod packing;
mod part;
mod reading;
mod remove;
mod replace;
mod restore;
mod signature;
mod underway;
mod verify;
mod walk;

pub use archived::{Archived, Outline};
pub use attached::{AttachedFile, MOST_FILE_BYTES, MOST_FILES, content, is_file_name};
use commit::commit;
pub use create::{Create, Created, Progress};
pub use download::{Download, Downloaded};
pub use drill::{Drill, Drilled, clear_drills};
pub use encryption::{Encryption, Identities, InvalidKeys, Recipients};
pub use error::SnapshotError;
pub use evidence::{Act, Evidence, Exhibit, MOST_KEPT as MOST_EVIDENCE, Measured, Verdict};
pub use manifest::{Attached, FORMAT, Golden, Manifest, Name, PartRef, RecordCount, Seal};
pub use newest::newest;
pub use paced::Paced;
pub use remove::{Remove, Removed};
pub use replace::{Difference, Planned, Replace, Replaced, Undone};
pub use restore::{Plan, Restore, Restored};
pub use signature::SigningKey;
pub use verify::{Verified, verify};

use crate::ports::Archive;

/// Names of the snapshots of an archive, the oldest first: names begin with the time.
pub async fn list(archive: &dyn Archive) -> Result<Vec<Name>, SnapshotError> {
    let objects = archive.list(manifest::FOLDER).await?;
    Ok(objects.iter().filter_map(|object| Name::of_object(&object.name)).collect())
}

#[cfg(test)]
mod tests;
