//! What is said of snapshots. Pure.

use indicatif::HumanBytes;

use super::super::printable;
use crate::snapshot::{Created, Manifest, Name, Plan, Restored, SnapshotError, Verified};

/// Bytes as people read them.
pub(super) fn bytes(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}

/// What became of a snapshot that was to be taken.
pub(super) fn created(created: &Created) -> String {
    let Created { manifest, progress } = created;
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
pub(super) fn verified(verified: &Verified, signed: bool) -> String {
    let Verified { manifest, bytes: read } = verified;
    let signature = if signed { ", signed" } else { "" };
    format!("snapshot {} is whole{signature}: {}; {} read", manifest.name, contents(manifest), bytes(*read))
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
    format!("{} documents with {} chunks, {others} other records", manifest.documents, manifest.chunks)
}

/// A line of the list.
pub(super) type Row = [String; 6];

/// The line of a snapshot.
pub(super) fn row(manifest: &Manifest) -> Row {
    [
        manifest.name.to_string(),
        format!("{:.0}", manifest.began),
        manifest.documents.to_string(),
        manifest.chunks.to_string(),
        bytes(manifest.bytes()),
        manifest.built_with.model.name.clone(),
    ]
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
