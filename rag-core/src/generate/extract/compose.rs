//! The units of an answer: the best, what it leans on, and what says something more; and how they are quoted.
//!
//! Pure.

use std::collections::BTreeSet;

use super::{
    excerpt::{self, Weights},
    named::Naming,
    question::{Kind, Question},
    ranking::Ranked,
    units::Unit,
};
use crate::ports::{Form, GAP, Sentence};

/// Units that are chosen by themselves.
const MAX_CHOSEN: usize = 3;
/// A further unit must be this good beside the best one.
const FURTHER: f32 = 0.8;
/// Bytes of an answer; what is quoted whole may be a little longer.
const MAX_ANSWER: usize = 700;
/// Longest sentence or row that is quoted whole.
const MAX_WHOLE: usize = 600;
/// Items of a list that are quoted behind the sentence that announces them.
const MAX_ITEMS: usize = 12;
/// Bytes of a list that is asked for.
const MAX_LIST: usize = 1_000;
/// Bytes of a cell or an item of a list that is longer than that.
const MAX_CELL: usize = 60;

/// Words with which a sentence begins that leans on the one before.
#[rustfmt::skip]
const LEANING: [&str; 40] = [
    "it", "its", "they", "their", "them", "he", "she", "his", "her", "this", "that", "these", "those", "such", "both", "then", "so",
    "however", "therefore", "thus", "hence", "otherwise", "instead", "also", "but", "and", "or", "yet", "either", "neither",
    "er", "sie", "es", "dies", "diese", "dieser", "dieses", "dann", "aber", "sonst",
];

/// The answer, in reading order, from the passage of the best unit on.
pub(super) fn compose(question: &Question, units: &[Unit<'_>], ranked: &[Ranked], weights: &Weights) -> Vec<Sentence> {
    let Some(best) = ranked.first() else { return Vec::new() };
    if question.kind == Kind::List && units[best.at].form == Form::Lines {
        let mut run = run(units, best.at);
        run.retain(|at| !is_of_another(question, &units[*at]));
        if run.len() > 1 {
            return list(units, &run);
        }
    }
    let mut taken = Taken::default();
    let floor = best.score * FURTHER;
    let mut chosen: Vec<usize> = Vec::new();
    for Ranked { at, score, .. } in ranked {
        if chosen.len() == MAX_CHOSEN || *score < floor {
            break;
        }
        let unit = &units[*at];
        if taken.all.contains(at) || chosen.iter().any(|better| repeats(unit, &units[*better])) {
            continue;
        }
        if !chosen.is_empty() && taken.bytes + unit.text.len().min(MAX_WHOLE) > MAX_ANSWER {
            continue;
        }
        chosen.push(*at);
        taken.with_what_it_needs(*at, units, question);
    }
    let mut order: Vec<usize> = Vec::new();
    for at in chosen {
        if !order.contains(&units[at].passage) {
            order.push(units[at].passage);
        }
    }
    let mut all: Vec<usize> = taken.all.into_iter().collect();
    all.sort_by_key(|at| (order.iter().position(|passage| *passage == units[*at].passage), *at));
    quoted(units, &all, weights)
}

/// What was taken into an answer.
#[derive(Default)]
struct Taken {
    all: BTreeSet<usize>,
    bytes: usize,
}

impl Taken {
    fn take(&mut self, at: usize, units: &[Unit<'_>]) {
        if self.all.insert(at) {
            self.bytes += units[at].text.len().min(MAX_WHOLE);
        }
    }

    /// A unit, what it leans on, what it announces, and what announces it.
    fn with_what_it_needs(&mut self, at: usize, units: &[Unit<'_>], question: &Question) {
        self.take(at, units);
        let unit = &units[at];
        let before = at.checked_sub(1).filter(|before| units[*before].passage == unit.passage);
        let fits = |taken: &Self, at: usize| taken.bytes + units[at].text.len() <= MAX_ANSWER;
        if let Some(before) = before.filter(|before| fits(self, *before) && !is_of_another(question, &units[*before])) {
            let leans = unit.form == Form::Sentence && units[before].block == unit.block && leans(unit.text);
            let announced = unit.form != Form::Sentence && announces(&units[before]);
            if leans || announced {
                self.take(before, units);
            }
        }
        if announces(unit) {
            let block =
                |at: usize| units.get(at).filter(|next| next.passage == unit.passage && next.form != Form::Sentence);
            let form = block(at + 1).map(|next| next.form);
            for next in at + 1..=at + MAX_ITEMS {
                let more = block(next).is_some_and(|unit| Some(unit.form) == form) && fits(self, next);
                if !more {
                    break;
                }
                if is_of_another(question, &units[next]) {
                    continue;
                }
                self.take(next, units);
                if form == Some(Form::Code) {
                    break;
                }
            }
        }
    }
}

/// Whether a unit speaks of another one of the kind that is asked for.
fn is_of_another(question: &Question, unit: &Unit<'_>) -> bool {
    question.names.naming(unit.text) == Naming::Other
}

/// Whether a unit announces what comes behind it.
fn announces(unit: &Unit<'_>) -> bool {
    unit.text.trim_end_matches(['*', '_', '`', ' ']).ends_with(':')
}

/// Whether a sentence speaks of what the one before it said.
fn leans(sentence: &str) -> bool {
    let first = sentence.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty()).unwrap_or_default();
    LEANING.contains(&first.to_lowercase().as_str())
}

/// Whether a unit has hardly a word of its own beside a better one.
fn repeats(unit: &Unit<'_>, better: &Unit<'_>) -> bool {
    let own = unit.terms.difference(&better.terms).count();
    own * 5 <= unit.terms.len()
}

/// The rows or items in a row that a unit is one of.
fn run(units: &[Unit<'_>], at: usize) -> Vec<usize> {
    let belongs = |other: &usize| {
        let (unit, other) = (&units[at], &units[*other]);
        other.form == Form::Lines && other.passage == unit.passage && other.header == unit.header
    };
    let from = (0..=at).rev().take_while(belongs).last().unwrap_or(at);
    (from..units.len()).take_while(belongs).collect()
}

/// A whole list, each entry cut where it would be too long together.
fn list(units: &[Unit<'_>], run: &[usize]) -> Vec<Sentence> {
    let bytes: usize = run.iter().map(|at| units[*at].text.len()).sum();
    let first = &units[run[0]];
    let before =
        run[0].checked_sub(1).filter(|before| units[*before].passage == first.passage && announces(&units[*before]));
    let shown = |at: &usize| if bytes > MAX_LIST { shortened(units[*at].text) } else { units[*at].text.to_owned() };
    let (mut lines, mut left) = (Vec::new(), MAX_LIST);
    for line in run.iter().map(shown) {
        if line.len() > left {
            break;
        }
        left -= line.len();
        lines.push(line);
    }
    let header = first.header.into_iter().map(str::to_owned);
    let text = header.chain(lines).collect::<Vec<_>>().join("\n");
    let sentence = |text: String, form: Form| Sentence { text, passage: first.passage, form };
    before
        .map(|before| sentence(units[before].text.to_owned(), Form::Sentence))
        .into_iter()
        .chain([sentence(text, Form::Lines)])
        .collect()
}

/// The beginning of an entry, between words.
fn shortened(line: &str) -> String {
    if line.len() <= MAX_CELL {
        return line.to_owned();
    }
    let head = &line[..line.floor_char_boundary(MAX_CELL)];
    let end = head.rfind(char::is_whitespace).filter(|end| *end > 0).unwrap_or(head.len());
    format!("{} {GAP}", head[..end].trim_end_matches([' ', '|']))
}

/// A line, and the passage that it is of.
type Line<'t> = (usize, &'t str);

/// The units as they are quoted: rows of one table below their header once, what is too long in stretches.
fn quoted(units: &[Unit<'_>], all: &[usize], weights: &Weights) -> Vec<Sentence> {
    let mut sentences: Vec<Sentence> = Vec::with_capacity(all.len());
    let (mut table, mut said): (Option<Line<'_>>, Option<Line<'_>>) = (None, None);
    for at in all {
        let unit = &units[*at];
        let (text, form) = quotation(unit, weights);
        let within = unit.header.map(|header| (unit.passage, header));
        match (within, sentences.last_mut()) {
            (Some(_), Some(last)) if within == table && form == Form::Lines => {
                last.text = format!("{}\n{text}", last.text);
            }
            (Some((_, header)), _) if form == Form::Lines => {
                sentences.push(Sentence { text: format!("{header}\n{text}"), passage: unit.passage, form });
            }
            _ => {
                if let Some(label) = unit.label.filter(|label| said != Some((unit.passage, *label))) {
                    let text = label.to_owned();
                    sentences.push(Sentence { text, passage: unit.passage, form: Form::Lines });
                }
                sentences.push(Sentence { text, passage: unit.passage, form });
            }
        }
        said = unit.label.map(|label| (unit.passage, label));
        table = within;
    }
    sentences
}

fn quotation(unit: &Unit<'_>, weights: &Weights) -> (String, Form) {
    let text = unit.text;
    match unit.form {
        Form::Code => (excerpt::lines(text, weights).to_owned(), Form::Code),
        form if text.len() <= MAX_WHOLE => (text.to_owned(), form),
        Form::Lines if unit.header.is_some() => (excerpt::fields(text, " | ", weights), Form::Excerpt),
        Form::Lines if text.contains("; ") => (excerpt::fields(text, "; ", weights), Form::Excerpt),
        Form::Lines | Form::Sentence | Form::Excerpt => (excerpt::stretch(text, weights).to_owned(), Form::Excerpt),
    }
}
