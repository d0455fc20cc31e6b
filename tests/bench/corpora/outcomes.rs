//! What `rag-server ingest` says of its documents, counted.

use std::{collections::BTreeMap, fmt};

/// How many failures are shown by name; the rest is counted.
const SHOWN: usize = 40;

/// The outcomes of a run.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Outcomes {
    /// Documents that were not there before.
    pub(super) created: usize,
    others: BTreeMap<String, usize>,
    /// Files that are no documents, by the end of their names.
    skipped: BTreeMap<String, usize>,
    /// Documents that failed, by name and reason.
    failed: Vec<String>,
}

impl Outcomes {
    /// Takes a line such as `created    guide/intro.md`; what is no outcome of a file is passed over.
    pub(super) fn take(&mut self, line: &str) {
        let Some((outcome, rest)) = line.split_once("  ") else { return };
        let rest = rest.trim_start();
        match outcome {
            "created" => self.created += 1,
            "updated" | "metadata" | "unchanged" | "duplicate" => {
                *self.others.entry(outcome.to_owned()).or_default() += 1;
            }
            "failed" => match rest.split_once("  ") {
                Some((name, reason)) if reason.starts_with("unknown type") => {
                    let file = name.rsplit('/').next().unwrap_or(name);
                    let end = file.rsplit_once('.').map_or(file.to_owned(), |(_, end)| format!(".{end}"));
                    *self.skipped.entry(end).or_default() += 1;
                }
                _ => self.failed.push(rest.to_owned()),
            },
            _ => {}
        }
    }

    /// How many files were reported.
    pub(super) fn files(&self) -> usize {
        self.created + self.failed.len() + self.others.values().sum::<usize>() + self.skipped.values().sum::<usize>()
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |counts: &BTreeMap<String, usize>| {
            counts.iter().map(|(what, count)| format!(", {count} {what}")).collect::<String>()
        };
        writeln!(f, "outcomes: {} created{}, {} failed", self.created, list(&self.others), self.failed.len())?;
        if !self.skipped.is_empty() {
            writeln!(f, "skipped, because their type is not read: {}", list(&self.skipped).trim_start_matches(", "))?;
        }
        for failure in self.failed.iter().take(SHOWN) {
            writeln!(f, "  failed  {failure}")?;
        }
        if self.failed.len() > SHOWN {
            writeln!(f, "  and {} more", self.failed.len() - SHOWN)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_counted_once_and_a_failure_keeps_its_name() {
        let mut outcomes = Outcomes::default();
        for line in [
            "created    a.html",
            "created    b  c.html",
            "duplicate  d.html  of a.html",
            "failed     _static/logo.png  unknown type .png; these are read: .txt",
            "failed     Makefile  unknown type; these are read: .txt",
            "failed     e.html  invalid UTF-8 at byte 3; save it as UTF-8",
            "6 files: 2 created in 1.0 s",
        ] {
            outcomes.take(line);
        }
        assert_eq!((outcomes.files(), outcomes.created), (6, 2));
        assert_eq!(
            outcomes.to_string(),
            "outcomes: 2 created, 1 duplicate, 1 failed\nskipped, because their type is not read: 1 .png, 1 Makefile\n  failed  e.html  invalid UTF-8 at byte 3; save it as UTF-8\n"
        );
    }
}
