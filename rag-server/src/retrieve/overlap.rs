//! Which of the found passages say nothing new.
//!
//! Pure. The same text under two names, and a passage that lies inside another one of the same document (chunks may overlap), would fill the places of the answer twice.

use std::collections::HashSet;

use super::fuse::Fused;

/// Keeps the best `limit` passages without those that repeat a better one.
///
/// Neighbours in a document stay apart, because a citation is one chunk byte for byte; only one that adds no text is dropped.
pub(super) fn distinct(ranking: impl IntoIterator<Item = Fused>, limit: usize) -> Vec<Fused> {
    let mut kept: Vec<Fused> = Vec::with_capacity(limit.min(128));
    let mut texts = HashSet::new();
    for candidate in ranking {
        if kept.len() == limit {
            break;
        }
        let text = candidate.chunk.text.trim();
        let repeats = texts.contains(text) || kept.iter().any(|better| lies_within(&candidate, better));
        if !repeats {
            texts.insert(text.to_owned());
            kept.push(candidate);
        }
    }
    kept
}

/// Whether a passage is part of a neighbour's text.
fn lies_within(candidate: &Fused, better: &Fused) -> bool {
    let (inner, outer) = (&candidate.chunk, &better.chunk);
    inner.document == outer.document
        && inner.ordinal.abs_diff(outer.ordinal) == 1
        && outer.text.contains(inner.text.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Chunk, ChunkId, ContentHash, Similarity};

    fn fused(document: &str, ordinal: u32, text: &str) -> Fused {
        let (document, version) = (document.parse().unwrap(), ContentHash("v".to_owned()));
        let id = ChunkId::new(&document, &version, ordinal);
        let chunk =
            Chunk { id, document, version, ordinal, title: String::new(), headings: Vec::new(), text: text.to_owned() };
        Fused { chunk, score: Similarity(1.0) }
    }

    fn names(kept: &[Fused]) -> Vec<(&str, u32)> {
        kept.iter().map(|fused| (fused.chunk.document.as_str(), fused.chunk.ordinal)).collect()
    }

    #[test]
    fn the_same_text_under_two_names_takes_one_place() {
        let ranking = [fused("a", 0, "same\n"), fused("b", 0, "same"), fused("c", 0, "other")];
        assert_eq!(names(&distinct(ranking, 2)), [("a", 0), ("c", 0)]);
    }

    #[test]
    fn a_neighbour_that_adds_no_text_is_dropped_and_one_that_adds_some_stays() {
        let ranking = [
            fused("a", 1, "one. two. three."),
            fused("a", 2, "two. three."),
            fused("a", 0, "zero. one."),
            fused("b", 2, "two. three."),
        ];
        assert_eq!(names(&distinct(ranking, 10)), [("a", 1), ("a", 0), ("b", 2)]);
    }

    #[test]
    fn no_more_than_the_limit_is_kept() {
        let ranking = (0..10).map(|ordinal| fused("a", ordinal, &ordinal.to_string()));
        assert_eq!(distinct(ranking, 3).len(), 3);
        assert!(distinct([fused("a", 0, "x")], 0).is_empty());
    }
}
