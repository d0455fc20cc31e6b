//! What is said of snapshots. Pure.

use std::path::Path;

use indicatif::HumanBytes;

use super::super::printable;
use crate::snapshot::{Created, Downloaded, Manifest, Name, Outline, Plan, Removed, Restored, SnapshotError, Verified};

/// Bytes as people read them.
pub(super) fn bytes(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

/// What became of a snapshot that was to be taken.
pub(super) fn created(created: &Created) -> String {
    let Created { manifest, progress, was_there } = created;
    if *was_there {
        return format!("snapshot {} was taken before, for the same: {}", manifest.name, contents(manifest));
    }
    let mut said = format!(
        "snapshot {}: {}; {} written, {} were in the archive already",
        manifest.name,
        contents(manifest),
        bytes(progress.written_bytes),
        bytes(progress.kept_bytes),
    );
    if manifest.left_out > 0 {
        said += &format!(
            "\n{} documents are not in it, because the store has lost some of their chunks: the log names them; ingest them again",
            manifest.left_out
        );
    }
    said
}

/// What was found of one that was read.
pub(super) fn verified(verified: &Verified) -> String {
    let Verified { manifest, bytes: read } = verified;
    format!("snapshot {} is whole{}: {}; {} read", manifest.name, seal(manifest), contents(manifest), bytes(*read))
}

/// What became of snapshots that were to be removed.
pub(super) fn removed(names: &[Name], removed: &Removed) -> String {
    let named = |names: &[&Name]| names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    let (there, gone): (Vec<_>, Vec<_>) = names.iter().partition(|name| removed.removed.contains(name));
    let mut said = match there.as_slice() {
        [] => "no snapshot was removed".to_owned(),
        there => format!("removed: {}", named(there)),
    };
    said += &format!("; {} freed", bytes(removed.freed_bytes));
    if !gone.is_empty() {
        said += &format!("\nnot in the archive: {}", named(&gone));
    }
    if let Some(left) = &removed.left {
        said += &format!("\n{left}");
    }
    said
}

/// What became of a copy.
pub(super) fn downloaded(downloaded: &Downloaded, place: &str) -> String {
    let Downloaded { manifest, progress } = downloaded;
    format!(
        "snapshot {} is in {place}, whole{}: {}; {} written, {} were there already",
        manifest.name,
        seal(manifest),
        contents(manifest),
        bytes(progress.written_bytes),
        bytes(progress.kept_bytes),
    )
}

/// What was written of the files that went with a snapshot.
pub(super) fn attached(manifest: &Manifest, folder: &Path) -> String {
    let files: Vec<_> = manifest.attached.iter().map(|attached| attached.file.as_str()).collect();
    match files.as_slice() {
        [] => format!("no file went with snapshot {}", manifest.name),
        files => format!("written to {}: {}", folder.display(), files.join(", ")),
    }
}

fn seal(manifest: &Manifest) -> String {
    let words = [(manifest.seal.signed, ", signed"), (manifest.seal.encrypted, ", encrypted")];
    words.iter().filter(|(holds, _)| *holds).map(|(_, word)| *word).collect()
}

/// What a restore would do.
pub(super) fn plan(plan: &Plan) -> String {
    let Plan { manifest, goes_on } = plan;
    let goes_on = if *goes_on { "would go on with the restore of" } else { "would restore" };
    format!(
        "{goes_on} snapshot {} of {:.0}: {}; {} to read. Nothing was changed",
        manifest.name,
        manifest.began,
        contents(manifest),
        bytes(manifest.bytes()),
    )
}

/// What a restore did.
pub(super) fn restored(restored: &Restored) -> String {
    let Restored { manifest, epoch, proven } = restored;
    format!(
        "snapshot {} of {:.0} is restored: {}; {proven} of its chunks were asked for and found; epoch {} is searched now",
        manifest.name,
        manifest.began,
        contents(manifest),
        epoch.0,
    )
}

fn contents(manifest: &Manifest) -> String {
    let others: u64 = manifest.records.iter().map(|records| records.count).sum();
    let files = match manifest.attached.len() {
        0 => String::new(),
        files => format!(", {files} files"),
    };
    format!("{} documents with {} chunks, {others} other records{files}", manifest.documents, manifest.chunks)
}

/// What is not known.
const UNKNOWN: &str = "-";

/// A line of the list.
pub(super) type Row = [String; 6];

/// The line of a snapshot.
pub(super) fn row(outline: &Outline) -> Row {
    let (name, began, size) = (outline.name.to_string(), format!("{:.0}", outline.began), bytes(outline.bytes));
    match &outline.manifest {
        Some(Manifest { documents, chunks, built_with, .. }) => {
            [name, began, documents.to_string(), chunks.to_string(), size, built_with.model.name.clone()]
        }
        None => {
            [name, began, UNKNOWN.to_owned(), UNKNOWN.to_owned(), size, "encrypted, and the key is not here".to_owned()]
        }
    }
}

/// The line of a snapshot that cannot be used.
pub(super) fn unusable(name: &Name, error: &SnapshotError) -> Row {
    let nothing = String::new;
    [name.to_string(), printable::line(&error.to_string()), nothing(), nothing(), nothing(), nothing()]
}

/// The lines below each other.
pub(super) fn table(rows: &[Row]) -> String {
    let head = ["NAME", "BEGAN", "DOCUMENTS", "CHUNKS", "SIZE", "MODEL"].map(str::to_owned);
    let is_usable = |row: &&Row| !row[2].is_empty();
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            rows.iter().filter(is_usable).chain([&head]).map(|row| row[column].chars().count()).max().unwrap_or(0)
        })
        .collect();
    let line = |row: &Row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("   ").trim_end())
    };
    [&head].into_iter().chain(rows).map(line).collect()
}
