//! As many documents as are asked for, of real sentences: Cranfield's abstracts in another order for each document, with words of its own in between, so that no chunk is like another.

use std::fmt::Write as _;

use serde::Serialize;

use crate::cranfield::Cranfield;

/// Documents of one request.
pub(super) const BATCH: usize = 250;
/// Abstracts of a document: some pages.
const ABSTRACTS: usize = 10;
/// After so many words of an abstract there is one of the document's own.
const BETWEEN: usize = 12;
/// Words of a question.
const ASKED: usize = 12;

/// The source of all documents.
pub(super) struct Corpus {
    texts: Vec<String>,
}

/// What is sent.
#[derive(Serialize)]
pub(super) struct Document {
    id: String,
    text: String,
}

impl Corpus {
    pub(super) fn new(collection: Cranfield) -> Self {
        Self { texts: collection.abstracts.into_iter().map(|found| found.text).collect() }
    }

    /// The documents of one request, from this number on.
    pub(super) fn batch(&self, from: usize) -> Vec<Document> {
        (from..from + BATCH).map(|number| self.document(number, "first")).collect()
    }

    /// A document in one of its editions, which share no chunk.
    pub(super) fn document(&self, number: usize, edition: &str) -> Document {
        let mut text = String::new();
        for place in 0..ABSTRACTS {
            for (at, words) in self.words(number, place).chunks(BETWEEN).enumerate() {
                // Writing to a text cannot fail.
                let _done = write!(text, "{} {edition}{number}p{place}n{at} ", words.join(" "));
            }
            text.push_str("\n\n");
        }
        Document { id: format!("reports/{number}.txt"), text }
    }

    /// A piece of a document as a question.
    pub(super) fn question(&self, number: usize) -> String {
        let words = self.words(number, number % ABSTRACTS);
        format!("{} {number}", words[..words.len().min(ASKED)].join(" "))
    }

    /// The words of the abstract at a place of a document.
    fn words(&self, number: usize, place: usize) -> Vec<&str> {
        self.texts[(number * ABSTRACTS + place * 131) % self.texts.len()].split_whitespace().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_documents_and_no_two_editions_share_a_paragraph() {
        let corpus = Corpus { texts: vec!["one two three ".repeat(30), "four five six ".repeat(30)] };
        let documents = [corpus.document(0, "first"), corpus.document(1, "first"), corpus.document(0, "changed")];
        let paragraphs: Vec<&str> =
            documents.iter().flat_map(|document| document.text.split_terminator("\n\n")).collect();
        assert_eq!(paragraphs.len(), 3 * ABSTRACTS);
        assert_eq!(paragraphs.iter().collect::<HashSet<_>>().len(), paragraphs.len());
    }
}
