//! Words that are divided at the end of a line: put together again, without losing the hyphens that belong to them. Pure.
//!
//! A soft hyphen always goes. Of any other one the document itself tells: what stands elsewhere in it, joined or with its hyphen, is how the word is written. Where it says neither, lines that are filled up to one
//! edge were divided by whoever set them, and ragged lines end only where the word had a hyphen anyway.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, RandomState},
};

use super::layout::Paragraph;

/// Words after which nothing is joined: `pre- and post-`.
const AND: [&str; 8] = ["and", "or", "und", "oder", "bis", "et", "ou", "y"];

/// The words of a document, as hashes.
#[derive(Default)]
pub(super) struct Words {
    known: HashSet<u64>,
    state: RandomState,
}

impl Words {
    /// Learns the words of a paragraph, but for those that are divided.
    pub(super) fn learn(&mut self, paragraph: &Paragraph) {
        let divided = |lines: &[String]| ends_divided(&lines[0]);
        for (at, line) in paragraph.lines.iter().enumerate() {
            let mut words: Vec<&str> = line.split_whitespace().collect();
            if at > 0 && divided(&paragraph.lines[at - 1..]) {
                words.remove(0);
            }
            if ends_divided(line) {
                words.pop();
            }
            words.into_iter().for_each(|word| self.add(word));
        }
    }

    fn add(&mut self, word: &str) {
        let word = plain(word).to_lowercase().replace(SOFT, "");
        self.known.insert(self.state.hash_one(word));
    }

    fn has(&self, word: &str) -> bool {
        self.known.contains(&self.state.hash_one(word.to_lowercase()))
    }

    /// The lines of a paragraph, with divided words put together.
    pub(super) fn joined(&self, paragraph: &Paragraph) -> String {
        let mut text = String::new();
        for line in &paragraph.lines {
            let line = line.trim();
            match self.join(&text, line, paragraph.flush) {
                Join::Line if text.is_empty() => {}
                Join::Line => text.push('\n'),
                Join::Hyphen => {}
                Join::Word => {
                    text.pop();
                }
            }
            text.push_str(line);
        }
        text.replace(SOFT, "")
    }

    /// How a line goes on with the text before it.
    fn join(&self, text: &str, line: &str, flush: bool) -> Join {
        if text.ends_with(SOFT) {
            return Join::Word;
        }
        let before = text.rsplit(char::is_whitespace).next().unwrap_or_default();
        let Some(head) = before.strip_suffix(['-', '\u{2010}']).filter(|_| ends_divided(text)) else {
            return Join::Line;
        };
        let next = line.split_whitespace().next().unwrap_or_default();
        let tail = plain(next);
        let Some(first) = tail.chars().next().filter(|_| next.starts_with(tail)) else { return Join::Line };
        if AND.contains(&tail.to_lowercase().as_str()) || !first.is_alphanumeric() {
            return Join::Line;
        }
        let head = plain(head);
        let is_name = head.chars().any(|c| !c.is_alphabetic()) || !first.is_lowercase();
        if is_name || self.has(&format!("{head}-{tail}")) {
            return Join::Hyphen;
        }
        if self.has(&format!("{head}{tail}")) {
            return Join::Word;
        }
        let are_words = self.has(head) && self.has(tail);
        if flush && !are_words && head.chars().count() > 1 { Join::Word } else { Join::Hyphen }
    }
}

const SOFT: char = '\u{ad}';

enum Join {
    /// As another line.
    Line,
    /// Behind the hyphen.
    Hyphen,
    /// In the hyphen's place.
    Word,
}

/// Whether the last word of a line goes on in the next one.
fn ends_divided(line: &str) -> bool {
    let line = line.trim_end();
    line.ends_with(SOFT)
        || line.strip_suffix(['-', '\u{2010}']).is_some_and(|head| head.ends_with(char::is_alphanumeric))
}

/// A word without what stands around it.
fn plain(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(lines: &[&str], flush: bool, elsewhere: &str) -> String {
        let paragraph = Paragraph { lines: lines.iter().map(|line| (*line).to_owned()).collect(), flush };
        let mut words = Words::default();
        words.learn(&Paragraph { lines: vec![elsewhere.to_owned()], flush: false });
        words.learn(&paragraph);
        words.joined(&paragraph)
    }

    #[test]
    fn a_hyphen_at_the_end_of_a_line_stays_or_goes_as_the_document_writes_the_word() {
        let ticket = ["the ticket is ops-", "request."];
        assert_eq!(joined(&ticket, false, ""), "the ticket is ops-request.");
        assert_eq!(joined(&ticket, true, "Each Ops-Request has a number."), "the ticket is ops-request.");
        assert_eq!(joined(&ticket, true, "The ops team takes a request."), "the ticket is ops-request.");
        let valve = ["The valve is ope-", "ned by hand."];
        assert_eq!(joined(&valve, true, ""), "The valve is opened by hand.");
        assert_eq!(joined(&valve, false, "It is opened twice."), "The valve is opened by hand.");
    }

    #[test]
    fn what_is_a_name_keeps_its_hyphen_and_what_is_left_out_is_no_word() {
        assert_eq!(joined(&["the part PLK-", "104B and COVID-", "19"], true, ""), "the part PLK-104B and COVID-19");
        assert_eq!(joined(&["der Nord-", "Süd-Weg"], true, ""), "der Nord-Süd-Weg");
        assert_eq!(joined(&["pre-", "and post-war"], true, ""), "pre-\nand post-war");
        assert_eq!(joined(&["the list -", "goes on"], true, ""), "the list -\ngoes on");
        assert_eq!(joined(&["an e-", "mail"], true, ""), "an e-mail");
    }

    #[test]
    fn soft_hyphens_go_wherever_they_stand() {
        let lines = ["The depart\u{ad}", "ment cali\u{ad}brates the thermo\u{ad}", "meter."];
        assert_eq!(joined(&lines, false, ""), "The department calibrates the thermometer.");
    }
}
