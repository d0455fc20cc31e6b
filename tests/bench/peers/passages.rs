//! Passages and questions from reStructuredText: the text of each section in pieces, and its heading, which is taken out, as the question.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::Path,
};

use anyhow::ensure;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::bench::files;

/// Words of a passage: with this model's tokens as many as it reads of a text, nearly.
const WORDS: usize = 160;
/// Words of a section, or of the end of one, that are worth a passage.
const FEWEST_WORDS: usize = 40;
/// Words of a heading that can be asked: one or two name nothing, more are no heading.
const HEADING_WORDS: std::ops::RangeInclusive<usize> = 3..=12;
/// Shortest line below a heading.
const UNDERLINE: usize = 4;

/// A piece of a section.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Passage {
    /// Its section, and which piece of it.
    pub(super) id: String,
    /// Its words.
    pub(super) text: String,
}

/// The heading of a section.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Question {
    /// As it stands in the source.
    pub(super) heading: String,
    section: String,
}

/// What is ingested and asked.
#[derive(Debug, PartialEq)]
pub(super) struct KnownItems {
    pub(super) passages: Vec<Passage>,
    pub(super) questions: Vec<Question>,
    sections: HashMap<String, String>,
}

struct Section {
    heading: String,
    words: Vec<String>,
}

impl KnownItems {
    /// So many passages from the sources below a folder, in an order that depends on their names alone and mixes all parts.
    pub(super) fn read(folder: &Path, passages: usize) -> anyhow::Result<Self> {
        let mut sources = BTreeMap::new();
        for path in files::below(folder)? {
            let Some(name) = path.strip_prefix(folder).ok().and_then(Path::to_str) else { continue };
            // Translations say the same once more, in languages that the model does not know.
            if name.ends_with(".rst.txt") && !name.starts_with("translations/") {
                sources.insert(hex::encode(Sha256::digest(name)), (name.to_owned(), path));
            }
        }
        let mut texts = Vec::new();
        for (name, path) in sources.into_values() {
            texts.push((name, String::from_utf8_lossy(&fs::read(path)?).into_owned()));
        }
        let items = Self::of(&texts, passages);
        ensure!(
            items.passages.len() == passages,
            "{} holds {} passages, not {passages}",
            folder.display(),
            items.passages.len()
        );
        Ok(items)
    }

    fn of(sources: &[(String, String)], wanted: usize) -> Self {
        let (mut passages, mut headings) = (Vec::new(), Vec::<(String, String)>::new());
        let (mut seen, mut sections) = (HashSet::new(), HashMap::new());
        for (name, source) in sources {
            for (number, section) in sections_of(source).into_iter().enumerate() {
                let key = format!("{name}#{number}");
                for (place, words) in section.words.chunks(WORDS).enumerate() {
                    let text = words.join(" ");
                    if words.len() < FEWEST_WORDS || passages.len() == wanted || !seen.insert(text.clone()) {
                        continue;
                    }
                    let id = format!("{key}-{place}");
                    sections.insert(id.clone(), key.clone());
                    passages.push(Passage { id, text });
                }
                headings.push((section.heading, key));
            }
        }
        let stored: HashSet<&String> = sections.values().collect();
        let mut times = HashMap::<String, usize>::new();
        headings.iter().for_each(|(heading, _)| *times.entry(heading.to_lowercase()).or_default() += 1);
        let can_be_asked = |(heading, section): &(String, String)| {
            // Where several sections have the same heading, there is not one right answer.
            stored.contains(section)
                && HEADING_WORDS.contains(&heading.split_whitespace().count())
                && times.get(&heading.to_lowercase()) == Some(&1)
        };
        let asked: Vec<_> = headings.iter().filter(|heading| can_be_asked(heading)).cloned().collect();
        let questions = asked.into_iter().map(|(heading, section)| Question { heading, section }).collect();
        Self { passages, questions, sections }
    }

    /// Whether a passage of the question's section is among those that were found.
    pub(super) fn answers(&self, question: &Question, found: &[String]) -> bool {
        found.iter().any(|id| self.sections.get(id) == Some(&question.section))
    }
}

/// The sections of a source; what stands above the first heading is none.
fn sections_of(source: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut lines = source.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        let underlined = lines.peek().is_some_and(|next| is_rule(next));
        if underlined && !line.is_empty() && !is_rule(line) {
            sections.push(Section { heading: line.to_owned(), words: Vec::new() });
        } else if !is_rule(line)
            && !is_markup(line)
            && let Some(section) = sections.last_mut()
        {
            section.words.extend(line.split_whitespace().map(str::to_owned));
        }
    }
    sections
}

/// A line of one sign alone, which stands below a heading and may stand above it.
fn is_rule(line: &str) -> bool {
    let Some(sign) = line.chars().next().filter(char::is_ascii_punctuation) else { return false };
    line.len() >= UNDERLINE && line.chars().all(|c| c == sign)
}

/// Directives, comments and fields are for the program that makes pages of the source.
fn is_markup(line: &str) -> bool {
    line.starts_with(".. ") || line.starts_with(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(sections: &[(&str, usize)]) -> (String, String) {
        let text = sections.iter().map(|(heading, words)| {
            let body: String = (0..*words).map(|n| format!("{}{n} ", heading.len())).collect();
            format!("=====\n{heading}\n=====\n\n.. note:: for the machine\n:field: too\n\n{body}\n\n")
        });
        ("a.rst.txt".to_owned(), text.collect())
    }

    #[test]
    fn a_heading_is_asked_and_stands_in_no_passage() {
        let items = KnownItems::of(&[source(&[("How to grease a pump", 200), ("Short", 60)])], 10);
        let ids: Vec<_> = items.passages.iter().map(|passage| passage.id.as_str()).collect();
        assert_eq!(ids, ["a.rst.txt#0-0", "a.rst.txt#0-1", "a.rst.txt#1-0"]);
        assert!(
            items.passages.iter().all(|passage| !passage.text.contains("grease") && !passage.text.contains("machine"))
        );
        let headings: Vec<_> = items.questions.iter().map(|question| question.heading.as_str()).collect();
        assert_eq!(headings, ["How to grease a pump"], "a heading of one word names nothing");
        let found = |id: &str| items.answers(&items.questions[0], &[id.to_owned()]);
        assert!(found("a.rst.txt#0-1") && !found("a.rst.txt#1-0") && !found("elsewhere"));
    }

    #[test]
    fn a_heading_of_two_sections_or_of_one_that_is_not_stored_is_not_asked() {
        let twice = source(&[("How it is used", 50), ("how it is used", 60), ("Not one passage here", 5)]);
        assert_eq!(KnownItems::of(&[twice], 10).questions, []);
        let cut = KnownItems::of(&[source(&[("The first of them", 50), ("The second one of them", 60)])], 1);
        assert_eq!((cut.passages.len(), cut.questions.len()), (1, 1));
    }
}
