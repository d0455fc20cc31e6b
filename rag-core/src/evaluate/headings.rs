//! Known-item queries: the heading of a section is asked as a question, and the section's document is what should be found.
//!
//! Pure. A heading is used when exactly one of the documents that were read has it, and when it has at least two words: `Overview` and `page 3` ask for nothing.
//! Caveat: a passage is embedded and indexed under its headings, so the words that are asked for stand in what is searched. That favours the lexical leg; questions of people do not repeat the words of the text so exactly.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::query_set::{JudgedQuery, drawn};
use crate::model::DocumentId;

/// Bytes of a heading that is asked; a longer one is no heading but a paragraph.
const MAX_HEADING_BYTES: usize = 300;
/// Words of a heading that is asked.
const MIN_WORDS: usize = 2;

/// Where known-item queries come from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct KnownItems {
    /// Documents that are stored.
    pub documents: u64,
    /// Documents whose headings were read.
    pub documents_read: u64,
    /// Different headings in them.
    pub headings: usize,
    /// Headings that more than one document has; left out.
    pub repeated: usize,
    /// Headings of one word, of numbers, or of the length of a paragraph; left out.
    pub unusable: usize,
}

/// Headings that are being read.
#[derive(Debug, Default)]
pub(super) struct Headings {
    /// By their words, and the document; none when several have it.
    usable: BTreeMap<String, (String, Option<DocumentId>)>,
    unusable: BTreeSet<String>,
}

impl Headings {
    /// Takes the heading of a section.
    pub(super) fn add(&mut self, document: &DocumentId, heading: &str) {
        let text = heading.split_whitespace().collect::<Vec<_>>().join(" ");
        let key = text.to_lowercase();
        let words = key.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().any(char::is_alphabetic));
        if text.len() > MAX_HEADING_BYTES || words.count() < MIN_WORDS {
            self.unusable.insert(key.chars().take(MAX_HEADING_BYTES).collect());
            return;
        }
        match self.usable.entry(key) {
            Entry::Vacant(free) => {
                free.insert((text, Some(document.clone())));
            }
            Entry::Occupied(mut taken) => {
                let (_, owner) = taken.get_mut();
                *owner = owner.take().filter(|owner| owner == document);
            }
        }
    }

    /// At most so many questions, the same ones each time.
    pub(super) fn queries(self, most: usize) -> (Vec<JudgedQuery>, KnownItems) {
        let (headings, unusable) = (self.usable.len() + self.unusable.len(), self.unusable.len());
        let unique: Vec<_> = self.usable.into_values().filter_map(|(text, document)| Some((text, document?))).collect();
        let repeated = headings - unusable - unique.len();
        let query = |(text, document): (String, DocumentId)| JudgedQuery {
            id: format!("{document}#{text}"),
            text,
            relevant: [(document, 1)].into(),
        };
        let queries = drawn(unique, most).into_iter().map(query).collect();
        (queries, KnownItems { headings, repeated, unusable, ..KnownItems::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sections: &[(&str, &str)]) -> (Vec<JudgedQuery>, KnownItems) {
        let mut headings = Headings::default();
        for (document, heading) in sections {
            headings.add(&document.parse().unwrap(), heading);
        }
        headings.queries(10)
    }

    #[test]
    fn a_heading_of_one_document_asks_for_it() {
        let (queries, from) =
            read(&[("a", "Retention of  snapshots"), ("a", "retention of snapshots"), ("b", "Pump care")]);
        let asked: Vec<_> = queries.iter().map(|query| (query.id.as_str(), query.text.as_str())).collect();
        assert_eq!(asked, [("b#Pump care", "Pump care"), ("a#Retention of snapshots", "Retention of snapshots")]);
        assert_eq!(queries[0].relevant, [("b".parse().unwrap(), 1)].into());
        assert_eq!((from.headings, from.repeated, from.unusable), (2, 0, 0));
    }

    #[test]
    fn a_heading_of_two_documents_asks_for_neither_and_stays_out() {
        let (queries, from) =
            read(&[("a", "First steps"), ("b", "First Steps"), ("a", "First steps"), ("c", "Next steps")]);
        assert_eq!(queries.len(), 1);
        assert_eq!((from.headings, from.repeated, from.unusable), (2, 1, 0));
    }

    #[test]
    fn a_heading_that_asks_for_nothing_is_counted_and_left_out() {
        let paragraph = "many words ".repeat(40);
        let (queries, from) = read(&[("a", "Overview"), ("b", "page 3"), ("b", "1.2.3"), ("b", ""), ("a", &paragraph)]);
        assert_eq!((queries.len(), from.headings, from.unusable), (0, 5, 5));
    }

    #[test]
    fn a_sample_is_bounded() {
        let mut headings = Headings::default();
        for number in 0..100 {
            headings.add(&format!("d{number}").parse().unwrap(), &format!("heading n{number}"));
        }
        assert_eq!(headings.queries(7).0.len(), 7);
    }
}
