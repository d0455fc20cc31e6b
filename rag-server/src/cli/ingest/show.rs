//! What a person sees of a run: a bar and the failures on a terminal, a line for each document elsewhere, and a summary.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, Write as _},
    time::Instant,
};

use indicatif::ProgressBar;

use crate::{
    cli::{printable, progress},
    ingest::Nobodys,
    model::{DocumentId, Outcome},
};

/// Shows a run.
pub(super) struct Show {
    bar: ProgressBar,
    terminal: bool,
    files: usize,
    started: Instant,
    created: usize,
    updated: usize,
    metadata_only: usize,
    unchanged: usize,
    duplicates: usize,
    /// What the last duplicate is one of.
    original: String,
    removed: usize,
    failed: usize,
    /// Chunks that were written, and how many of them were embedded.
    chunks: Option<(u64, u64)>,
    dry_run: bool,
}

impl Show {
    pub(super) fn new(files: usize, dry_run: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = progress::bar(Some(files as u64), "files");
        Self {
            bar,
            terminal,
            files,
            started: Instant::now(),
            created: 0,
            updated: 0,
            metadata_only: 0,
            unchanged: 0,
            duplicates: 0,
            original: String::new(),
            removed: 0,
            failed: 0,
            chunks: None,
            dry_run,
        }
    }

    /// The bar, for whoever knows how far a document is.
    pub(super) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// How many chunks were written, and how many of them were embedded.
    pub(super) fn chunks(&mut self, chunks: u64, embedded: u64) {
        self.chunks = Some((chunks, embedded));
    }

    /// Says how much was left out as nobody's document, and how it is ingested all the same.
    pub(super) fn passed_over(&self, kinds: &BTreeMap<Nobodys, usize>) {
        if kinds.is_empty() {
            return;
        }
        let kinds: Vec<_> = kinds.iter().map(|(kind, count)| kind.words(*count)).collect();
        self.line(&format!("passed over: {}; to ingest one all the same, name its path itself", kinds.join(", ")));
    }

    /// A line beside the bar.
    fn line(&self, line: &str) {
        if self.terminal {
            self.bar.println(line);
        } else {
            // A reader that went away, such as `head`, is no reason to stop.
            drop(writeln!(std::io::stdout(), "{line}"));
        }
    }

    /// Says that a document is removed.
    pub(super) fn removed(&mut self, id: &DocumentId) {
        self.removed += 1;
        self.line(&format!("removed    {}", printable::line(id.as_str())));
    }

    /// Says what became of a document.
    pub(super) fn report(&mut self, name: &str, result: Result<Outcome, String>) {
        self.bar.inc(1);
        let name = printable::line(name);
        let line = match &result {
            Ok(Outcome::Created) => {
                self.created += 1;
                format!("created    {name}")
            }
            Ok(Outcome::Updated) => {
                self.updated += 1;
                format!("updated    {name}")
            }
            Ok(Outcome::MetadataOnly) => {
                self.metadata_only += 1;
                format!("metadata   {name}")
            }
            Ok(Outcome::Unchanged) => {
                self.unchanged += 1;
                format!("unchanged  {name}")
            }
            Ok(Outcome::DuplicateOf(other)) => {
                self.duplicates += 1;
                self.original = printable::line(other.as_str());
                format!("duplicate  {name}  of {}", printable::line(other.as_str()))
            }
            Err(reason) => {
                self.failed += 1;
                format!("failed     {name}  {}", printable::line(reason))
            }
        };
        if !self.terminal || self.dry_run {
            // A reader that went away, such as `head`, is no reason to stop.
            drop(writeln!(std::io::stdout(), "{line}"));
        } else if result.is_err() {
            self.bar.println(line);
        }
    }

    /// Says something of a document that was ingested all the same.
    pub(super) fn notice(&self, name: &str, message: &str) {
        let line = format!("notice     {}  {}", printable::line(name), printable::line(message));
        if self.terminal && !self.dry_run {
            self.bar.println(line);
        } else {
            drop(writeln!(std::io::stdout(), "{line}"));
        }
    }

    /// Says what became of all; true when all went well.
    pub(super) fn finish(&self, stopped: bool) -> bool {
        self.bar.finish_and_clear();
        let done = self.created + self.updated + self.metadata_only + self.unchanged + self.duplicates + self.failed;
        let duplicate = match self.duplicates {
            1 => format!("duplicate of {}", self.original),
            _ => "duplicates".to_owned(),
        };
        let counts = [
            (self.created, "created"),
            (self.updated, "updated"),
            (self.metadata_only, "with new metadata only"),
            (self.unchanged, "unchanged"),
            (self.duplicates, duplicate.as_str()),
            (self.failed, "failed"),
            (self.files - done.min(self.files), "not reached"),
            (self.removed, "removed"),
        ];
        let parts: Vec<_> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        let files = if self.files == 1 { "1 file".to_owned() } else { format!("{} files", self.files) };
        let files = if self.dry_run { format!("dry run, nothing is written: {files}") } else { files };
        let seconds = self.started.elapsed().as_secs_f64();
        let pace = match self.chunks {
            Some((chunks, embedded)) if chunks > 0 => {
                let kept = if embedded < chunks {
                    format!(", {} of them embedded before", chunks - embedded)
                } else {
                    String::new()
                };
                format!(", {chunks} chunks at {:.0} a second{kept}", chunks as f64 / seconds)
            }
            _ => String::new(),
        };
        let summary = if parts.is_empty() { "nothing to ingest".to_owned() } else { parts.join(", ") };
        drop(writeln!(std::io::stdout(), "{files}: {summary} in {seconds:.1} s{pace}"));
        if stopped {
            drop(writeln!(std::io::stdout(), "stopped; run it again for the rest"));
        }
        self.failed == 0 && done >= self.files
    }
}
