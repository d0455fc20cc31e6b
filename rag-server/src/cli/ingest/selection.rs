//! Which documents a run is about: what stands at and below the paths, under which names, and whether so much was seen of it that what is missing can be called gone.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
};

use unicode_normalization::UnicodeNormalization;

use crate::{
    ingest::{FailureReason, Nobodys, Source, walk},
    model::DocumentId,
};

/// What was found.
#[derive(Default)]
pub(super) struct Selection {
    /// The documents.
    pub(super) sources: Vec<Source>,
    /// What cannot be one, by name and reason.
    pub(super) broken: Vec<(String, FailureReason)>,
    /// The first place that could not be looked at.
    pub(super) unseen: Option<String>,
    /// How much was passed over, by kind.
    pub(super) passed_over: BTreeMap<Nobodys, usize>,
    /// Names that look like another one's, which is beside each.
    pub(super) alike: Vec<(String, String)>,
}

impl Selection {
    /// The documents at and below the paths, each named `prefix` and its path below its folder. No two have the same name.
    pub(super) fn find(paths: &[PathBuf], prefix: &str) -> Self {
        let mut selection = Self::default();
        let mut passed_over = BTreeMap::new();
        let mut taken: HashMap<String, &Path> = HashMap::new();
        for path in paths {
            for found in walk(path, |kind| *passed_over.entry(kind).or_default() += 1) {
                let source = match found.and_then(|source| named(source, prefix)) {
                    Ok(source) => source,
                    Err((name, reason)) => {
                        selection.fail(format!("{prefix}{name}"), reason);
                        continue;
                    }
                };
                match taken.get(source.id.as_str()) {
                    Some(other) => {
                        let by = format!("the one under {}", other.display());
                        selection.fail(source.id.as_str().to_owned(), FailureReason::NameTaken { by });
                    }
                    None => {
                        taken.insert(source.id.as_str().to_owned(), path);
                        selection.sources.push(source);
                    }
                }
            }
        }
        let alike = alike(&selection.sources);
        Self { passed_over, alike, ..selection }
    }

    fn fail(&mut self, name: String, reason: FailureReason) {
        let seen = matches!(reason, FailureReason::UnknownType { .. } | FailureReason::NameTaken { .. });
        if !seen && self.unseen.is_none() {
            self.unseen = Some(format!("{name}: {reason}"));
        }
        self.broken.push((name, reason));
    }

    /// The ids of everything that is still there, also of what cannot be read.
    pub(super) fn there(&self) -> HashSet<DocumentId> {
        let broken = self.broken.iter().filter_map(|(name, _)| name.parse().ok());
        self.sources.iter().map(|source| source.id.clone()).chain(broken).collect()
    }
}

/// The names that look like an earlier one: a letter with its accent is one character on one system (NFC) and two on another (NFD).
fn alike(sources: &[Source]) -> Vec<(String, String)> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    let names = sources.iter().map(|source| source.id.as_str()).filter(|name| !name.is_ascii());
    let looks_like = names.filter_map(|name| {
        let other = *seen.entry(name.nfc().collect()).or_insert(name);
        (other != name).then(|| (name.to_owned(), other.to_owned()))
    });
    looks_like.collect()
}

fn named(source: Source, prefix: &str) -> Result<Source, (String, FailureReason)> {
    if prefix.is_empty() {
        return Ok(source);
    }
    let name = source.id.as_str().to_owned();
    let id = format!("{prefix}{name}").parse::<DocumentId>().map_err(|e| (name, FailureReason::from(e)))?;
    Ok(Source { id, ..source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_the_order_of_their_names_and_each_name_once() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/two.md", "a.txt", "b/one.html", ".hidden/x.md", "b/picture.png"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "text").unwrap();
        }
        let found = Selection::find(&[folder.path().to_owned(), folder.path().join("a.txt")], "");
        assert_eq!(
            found.sources.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(),
            ["a.txt", "b/one.html", "b/two.md"]
        );
        let reasons: Vec<_> = found.broken.iter().map(|(name, reason)| (name.as_str(), reason.class())).collect();
        assert_eq!(reasons, [("b/picture.png", "unknown_type"), ("a.txt", "name_taken")]);
        assert_eq!(found.unseen, None, "everything was looked at");
        assert_eq!(found.there().len(), 4);
        assert_eq!(found.passed_over, [(Nobodys::Hidden, 1)].into());
    }

    #[test]
    fn two_names_that_look_the_same_are_two_documents_and_said() {
        let folder = tempfile::tempdir().unwrap();
        let (composed, apart) = ("caf\u{e9}.md", "cafe\u{301}.md");
        for name in [composed, apart, "cafe.md"] {
            std::fs::write(folder.path().join(name), "text").unwrap();
        }
        let found = Selection::find(&[folder.path().to_owned()], "menu/");
        assert_eq!(found.sources.len(), 3);
        let [(name, other)] = &found.alike[..] else { panic!("{:?}", found.alike) };
        let mut both = [name.as_str(), other.as_str()];
        both.sort_unstable();
        assert_eq!(both, [format!("menu/{apart}"), format!("menu/{composed}")]);
    }

    #[test]
    fn a_path_that_does_not_exist_fails_by_its_name() {
        let found = Selection::find(&[PathBuf::from("/nowhere/at-all.md")], "");
        assert!(found.sources.is_empty());
        assert_eq!(found.broken, [("at-all.md".to_owned(), FailureReason::NotFound)]);
        assert_eq!(found.unseen.as_deref(), Some("at-all.md: no such file or folder"));
    }

    #[test]
    fn a_prefix_stands_before_every_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.txt"), "text").unwrap();
        std::fs::write(folder.path().join("b.png"), "text").unwrap();
        let found = Selection::find(&[folder.path().to_owned()], "guide/");
        assert_eq!(found.sources[0].id.as_str(), "guide/a.txt");
        assert_eq!(found.broken[0].0, "guide/b.png");
    }
}
