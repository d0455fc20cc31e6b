//! Which of the found passages say nothing new, and which belong together.
//!
//! Pure. The same text under two names, and a passage that lies inside another one of the same document (chunks may overlap), would fill the places of the answer twice.
//! Neighbours of one section become one passage, so that an answer that stands across the cut is found whole; the place that is won goes to the next hit.

use std::collections::HashSet;

use crate::model::{Chunk, ChunkId, Hit};

/// Bytes of a passage that neighbours are joined to: about four chunks, so that one long section does not fill the context.
const MAX_JOINED_BYTES: usize = 4 * 1024;

/// Of the ranking, so many chunks are joined where they are neighbours: those that five passages are made of (`docs/quality.md`).
const NEAR: usize = 10;

/// Between the texts of two chunks that are joined; both are kept byte for byte, but for the head of a table that both have.
const BETWEEN: &str = "\n\n";

/// One passage of the result.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Joined {
    /// Its best chunk, with the texts of those that were joined to it in the order of the document.
    pub(super) best: Hit,
    /// The other chunks, in the order of the document.
    pub(super) others: Vec<ChunkId>,
    first: u32,
    last: u32,
}

impl Joined {
    fn new(best: Hit) -> Self {
        let ordinal = best.chunk.ordinal;
        Self { best, others: Vec::new(), first: ordinal, last: ordinal }
    }

    /// Takes the candidate in, if it adjoins and there is room.
    fn takes(&mut self, candidate: &Chunk) -> bool {
        let chunk = &mut self.best.chunk;
        let same_section = candidate.document == chunk.document
            && candidate.version == chunk.version
            && candidate.headings == chunk.headings;
        let room = chunk.text.len() + BETWEEN.len() + candidate.text.len() <= MAX_JOINED_BYTES;
        if !same_section || !room {
            return false;
        }
        if candidate.ordinal.checked_add(1) == Some(self.first) {
            chunk.text = joined(&candidate.text, &chunk.text);
            self.first = candidate.ordinal;
            self.others.insert(0, candidate.id);
        } else if self.last.checked_add(1) == Some(candidate.ordinal) {
            chunk.text = joined(&chunk.text, &candidate.text);
            self.last = candidate.ordinal;
            self.others.push(candidate.id);
        } else {
            return false;
        }
        true
    }

    /// Whether a passage is part of this one's text.
    fn holds(&self, candidate: &Chunk) -> bool {
        let outer = &self.best.chunk;
        let near =
            candidate.ordinal.saturating_add(1) >= self.first && candidate.ordinal <= self.last.saturating_add(1);
        candidate.document == outer.document && near && outer.text.contains(candidate.text.trim())
    }
}

/// The texts of two neighbours. Rows of one table stand below its head once.
fn joined(above: &str, below: &str) -> String {
    let (mut rest, mut lines, mut named) = (below, above.lines(), false);
    while let Some((line, after)) = rest.split_once('\n') {
        let repeated =
            if rest.len() == below.len() { lines.any(|other| other == line) } else { lines.next() == Some(line) };
        if !repeated {
            break;
        }
        named |= line.contains('|');
        rest = after;
    }
    if named { format!("{above}\n{rest}") } else { format!("{above}{BETWEEN}{below}") }
}

/// The passages of a ranking: repetitions dropped, and neighbours among the first [`NEAR`] joined to the better one.
///
/// What ranks behind those may still take a place of its own, but makes no passage longer: whoever reads them pays by the word. How many are wanted plays no part, so that the first
/// passages are the same ones, and as long, however many follow.
pub(super) fn passages(ranking: impl IntoIterator<Item = Hit>) -> Vec<Joined> {
    let mut kept: Vec<Joined> = Vec::new();
    let mut texts = HashSet::new();
    for (place, candidate) in ranking.into_iter().enumerate() {
        if texts.contains(candidate.chunk.text.trim()) || kept.iter().any(|better| better.holds(&candidate.chunk)) {
            continue;
        }
        texts.insert(candidate.chunk.text.trim().to_owned());
        let joins = place < NEAR;
        if !(joins && kept.iter_mut().any(|better| better.takes(&candidate.chunk))) {
            kept.push(Joined::new(candidate));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ContentHash, Similarity};

    fn hit(document: &str, ordinal: u32, text: &str) -> Hit {
        let (document, version) = (document.parse().unwrap(), ContentHash("v".to_owned()));
        let id = ChunkId::new(&document, &version, ordinal);
        let chunk =
            Chunk { id, document, version, ordinal, title: String::new(), headings: Vec::new(), text: text.to_owned() };
        Hit { chunk, score: Similarity(1.0) }
    }

    fn texts(kept: &[Joined]) -> Vec<(&str, &str)> {
        kept.iter().map(|joined| (joined.best.chunk.document.as_str(), joined.best.chunk.text.as_str())).collect()
    }

    #[test]
    fn the_same_text_under_two_names_takes_one_place() {
        let ranking = [hit("a", 0, "same\n"), hit("b", 0, "same"), hit("c", 0, "other")];
        assert_eq!(texts(&passages(ranking)), [("a", "same\n"), ("c", "other")]);
    }

    #[test]
    fn a_neighbour_that_adds_no_text_is_dropped() {
        let ranking = [hit("a", 1, "one. two. three."), hit("a", 2, "two. three."), hit("b", 2, "two. three.")];
        assert_eq!(texts(&passages(ranking)), [("a", "one. two. three."), ("b", "two. three.")]);
    }

    #[test]
    fn neighbours_become_one_passage_in_the_order_of_the_document_and_leave_their_place() {
        let ranking =
            [hit("a", 5, "five"), hit("b", 0, "zero"), hit("a", 4, "four"), hit("a", 6, "six"), hit("a", 8, "eight")];
        let kept = passages(ranking.clone());
        assert_eq!(texts(&kept), [("a", "four\n\nfive\n\nsix"), ("b", "zero"), ("a", "eight")]);
        assert_eq!(kept[0].best.chunk.id, ranking[0].chunk.id);
        assert_eq!(kept[0].others, [ranking[2].chunk.id, ranking[3].chunk.id]);
    }

    #[test]
    fn rows_of_one_table_stand_below_its_head_once() {
        assert_eq!(
            joined("Fares:\n\n| a | b |\n|---|---|\n| 1 | 2 |", "| a | b |\n|---|---|\n| 3 | 4 |"),
            "Fares:\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |"
        );
        assert_eq!(joined("Depths\na | b\n1 | 2", "Depths\na | b\n3 | 4\n5 | 6"), "Depths\na | b\n1 | 2\n3 | 4\n5 | 6");
        for (above, below) in [("a | b\n1 | 2", "c | d\n3 | 4"), ("same\nx", "same\ny"), ("a | b", "a | b")] {
            assert_eq!(joined(above, below), format!("{above}{BETWEEN}{below}"));
        }
    }

    #[test]
    fn neighbours_of_another_section_version_or_beyond_the_room_stay_apart() {
        let mut section = hit("a", 1, "one");
        section.chunk.headings = vec!["Other".to_owned()];
        let mut version = hit("a", 1, "uno");
        version.chunk.version = ContentHash("w".to_owned());
        let long = hit("a", 1, &"x".repeat(MAX_JOINED_BYTES));
        for other in [section, version, long] {
            assert_eq!(passages([hit("a", 0, "zero"), other]).len(), 2);
        }
    }

    #[test]
    fn only_the_first_of_the_ranking_are_joined() {
        let ranking = |at: usize| {
            let others = (0..at).map(|n| hit(&format!("d{n}"), 0, &format!("text {n}")));
            others.chain([hit("d0", 1, "next")]).collect::<Vec<_>>()
        };
        assert_eq!(texts(&passages(ranking(NEAR - 1)))[0], ("d0", "text 0\n\nnext"));
        assert_eq!(texts(&passages(ranking(NEAR)))[NEAR], ("d0", "next"));
    }
}
