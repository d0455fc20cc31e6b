//! What an answer can be made of: sentences, list items, rows of tables and blocks of code, each a slice of its passage.
//!
//! Pure. Headings, questions and fragments announce an answer and are none: they lend their words to what stands below them.

use std::collections::BTreeSet;

use crate::{
    lexical,
    ports::{Form, Passage},
    sentences::{self, Block, Kind},
};

/// Longest item that is quoted as a whole, in bytes; of a longer one its sentences are.
const MAX_ITEM: usize = 400;
/// Longest row of names that is quoted above a row.
const MAX_HEADER: usize = 300;
/// Words of a line that announces.
const MAX_FRAGMENT_WORDS: usize = 8;

/// What a sentence that points to the rest of the text begins with.
const POINTED: [&str; 9] = ["section", "sections", "chapter", "page", "document", "guide", "file", "article", "table"];
/// What it says of that.
const POINTING: [&str; 11] = [
    "describes",
    "describe",
    "explains",
    "explain",
    "says",
    "shows",
    "lists",
    "discusses",
    "covers",
    "contains",
    "documents",
];

/// A piece that could be part of an answer.
#[derive(Debug, Clone)]
pub(super) struct Unit<'a> {
    pub(super) text: &'a str,
    pub(super) form: Form,
    pub(super) passage: usize,
    /// Its block among those of all passages.
    pub(super) block: usize,
    /// The row that names the columns, with the line below it.
    pub(super) header: Option<&'a str>,
    pub(super) terms: BTreeSet<u32>,
    /// The terms of what announces it.
    pub(super) above: BTreeSet<u32>,
    /// What announces it in the text, nearest last.
    pub(super) announced: Vec<&'a str>,
    /// The line without which it would be said of something else: the signature, the term or the case that stands above it. Headings stand beside the citation.
    pub(super) label: Option<&'a str>,
}

/// The units of passages in reading order.
pub(super) fn units(passages: &[Passage]) -> Vec<Unit<'_>> {
    let mut units = Vec::new();
    let mut block = 0;
    for (at, passage) in passages.iter().enumerate() {
        Reading::of(passage, at, block).read(&mut units);
        block = units.last().map_or(0, |unit| unit.block + 1);
    }
    units
}

/// One passage while it is read.
struct Reading<'a> {
    passage: &'a Passage,
    at: usize,
    block: usize,
    /// The terms of title and headings.
    outer: BTreeSet<u32>,
    announced: Vec<&'a str>,
    label: Option<&'a str>,
    /// Whether the last block announced, so that a further one does not replace it.
    announcing: bool,
}

impl<'a> Reading<'a> {
    fn of(passage: &'a Passage, at: usize, block: usize) -> Self {
        let chunk = &passage.chunk;
        let mut outer = lexical::terms(&chunk.title);
        chunk.headings.iter().for_each(|heading| outer.extend(lexical::terms(heading)));
        Self { passage, at, block, outer, announced: Vec::new(), label: None, announcing: false }
    }

    fn read(mut self, units: &mut Vec<Unit<'a>>) {
        let chunk = &self.passage.chunk;
        let blocks = sentences::blocks(&chunk.text, &chunk.headings);
        let before = units.len();
        for (at, block) in blocks.iter().enumerate() {
            let followed = blocks.get(at + 1).is_some();
            if block.kind == Kind::Heading || (followed && is_fragment(block)) {
                let heading =
                    chunk.headings.iter().any(|heading| heading.trim_end_matches('¶') == unmarked(block.text));
                let label = Some(block.text).filter(|text| !heading && !text.starts_with('#') && !is_question(text));
                self.announce(block.text, label);
            } else {
                self.add(*block, units);
            }
            self.block += 1;
        }
        // What announces and has nothing below it is what there is.
        if let Some(last) = self.announced.pop().filter(|_| units.len() == before) {
            self.label = None;
            units.push(self.unit(last, Form::Sentence));
        }
    }

    fn announce(&mut self, text: &'a str, label: Option<&'a str>) {
        if !self.announcing {
            self.announced.clear();
        }
        self.announced.push(text);
        self.label = label;
        self.announcing = true;
    }

    fn add(&mut self, Block { text, kind }: Block<'a>, units: &mut Vec<Unit<'a>>) {
        self.announcing = false;
        match kind {
            Kind::Heading => {}
            Kind::Item if text.len() <= MAX_ITEM => units.push(self.unit(text, Form::Lines)),
            Kind::Paragraph | Kind::Item => {
                for sentence in sentences::sentences(text) {
                    let sentence = sentence.trim();
                    if is_question(sentence) || points(sentence) {
                        self.announce(sentence, None);
                    } else if sentence.contains(char::is_alphanumeric) {
                        self.announcing = false;
                        units.push(self.unit(sentence, Form::Sentence));
                    }
                }
            }
            Kind::Table => self.rows(text, units),
            Kind::Records => units.extend(text.lines().map(str::trim).map(|row| self.unit(row, Form::Lines))),
            Kind::Code => units.push(self.unit(text, Form::Code)),
        }
    }

    /// Each row below its header. A table of one row has none.
    fn rows(&self, table: &'a str, units: &mut Vec<Unit<'a>>) {
        let mut rows = table.lines().map(str::trim_end).filter(|row| row.contains(char::is_alphanumeric));
        let Some(first) = rows.next() else { return };
        let mut rest = rows.peekable();
        if rest.peek().is_none() {
            return units.push(self.unit(first, Form::Lines));
        }
        let delimiter = table.lines().nth(1).filter(|line| !line.contains(char::is_alphanumeric));
        let end = delimiter.unwrap_or(first);
        let length = end.as_ptr() as usize - table.as_ptr() as usize + end.len();
        let header = &table[..length];
        let named = lexical::terms(first);
        for row in rest {
            let mut unit = self.unit(row, Form::Lines);
            unit.header = Some(header).filter(|header| header.len() <= MAX_HEADER);
            unit.above.extend(&named);
            units.push(unit);
        }
    }

    fn unit(&self, text: &'a str, form: Form) -> Unit<'a> {
        let mut above = self.outer.clone();
        self.announced.iter().for_each(|announced| above.extend(lexical::terms(announced)));
        Unit {
            text,
            form,
            passage: self.at,
            block: self.block,
            header: None,
            terms: lexical::terms(text),
            above,
            announced: self.announced.clone(),
            label: self.label.map(unmarked),
        }
    }
}

/// A line without the sign that links to it.
fn unmarked(line: &str) -> &str {
    line.trim_end_matches(['¶', ' '])
}

fn is_question(sentence: &str) -> bool {
    sentence.trim_end_matches(['¶', '*', '_', '"', '”', ')', ' ']).ends_with(['?', '？'])
}

/// Whether a sentence says no more than what the text is about: "This section describes ...".
fn points(sentence: &str) -> bool {
    let lower = sentence.to_lowercase();
    let mut words = lower.split_whitespace();
    matches!(words.next(), Some("this" | "these" | "the"))
        && words.next().is_some_and(|word| POINTED.contains(&word))
        && words.take(2).any(|word| POINTING.contains(&word))
}

/// Whether a block is a line that announces what follows: few words, no end of a sentence, and nothing that is told.
fn is_fragment(block: &Block<'_>) -> bool {
    let text = block.text;
    let ends =
        [".", "!", ":", ";", "…", "。"].iter().any(|end| text.trim_end_matches(['*', '_', '"', ')']).ends_with(end));
    block.kind == Kind::Paragraph
        && !text.contains('\n')
        && text.split_whitespace().count() <= MAX_FRAGMENT_WORDS
        && !ends
        && !text.contains(|c: char| c.is_ascii_digit() || c == '=')
        && !text.contains(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::extract::tests::passage;

    fn read(text: &str) -> Vec<(String, Form)> {
        let passages = [passage(&[], text, 1.0)];
        units(&passages).into_iter().map(|unit| (unit.text.to_owned(), unit.form)).collect()
    }

    #[test]
    fn questions_and_fragments_announce_what_is_below_them() {
        let passages = [passage(
            &[],
            "On the serial console\n\nWhat does BREAK do? It is sent twice.\n\nOther keys\n\nSee below.",
            1.0,
        )];
        let units = units(&passages);
        let announced: Vec<_> = units.iter().map(|unit| (unit.text, unit.announced.as_slice())).collect();
        assert_eq!(
            announced,
            [("It is sent twice.", &["What does BREAK do?"][..]), ("See below.", &["Other keys"][..])]
        );
    }

    #[test]
    fn a_fragment_with_nothing_below_it_is_what_there_is() {
        assert_eq!(read("Snapshots kept daily"), [("Snapshots kept daily".to_owned(), Form::Sentence)]);
    }

    #[test]
    fn a_row_knows_the_row_that_names_its_columns() {
        for (table, header) in [
            ("Zone | Adult\nEast | 44 kr\nWest | 51 kr", "Zone | Adult"),
            ("| Zone | Adult |\n| --- | --- |\n| East | 44 kr |\n| West | 51 kr |", "| Zone | Adult |\n| --- | --- |"),
        ] {
            let passages = [passage(&[], table, 1.0)];
            let units = units(&passages);
            assert_eq!(units.len(), 2, "{table}");
            assert!(units.iter().all(|unit| unit.header == Some(header) && unit.form == Form::Lines), "{table}");
        }
    }
}
