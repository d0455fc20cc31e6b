//! Which part of a passage a sentence is to be compared with.
//!
//! Pure. Sentences of the passage that share words and figures with the claim; one that a check speaks against carries nothing. A claim of several clauses may take each from a sentence of its own.

use super::wording::{self, Part, Wording};
use crate::{ports::Passage, sentences};

/// Sentences of a passage that a claim is compared with.
const MAX_PARTS: usize = 2;
/// A further one must share so much of what the best shares.
const FURTHER: f32 = 0.75;
/// The share of its own words that a clause may have.
const OWN_WORDS_OF_A_CLAUSE: f32 = 0.5;

const NOTHING_SHARED: &str = "no sentence of the passage speaks of it";

/// A part of one passage, or of several, that no check speaks against.
#[derive(Debug)]
pub(super) struct Comparison {
    /// The numbers of the passages.
    pub(super) passages: Vec<usize>,
    /// What the claim is to be near to; one of them is enough.
    pub(super) texts: Vec<String>,
    /// The share of the claim's words that do not stand there.
    pub(super) own_words: f32,
}

/// A passage as it is compared.
pub(super) struct Read {
    /// Title and headings, and then each sentence and heading of the text, in their order.
    wordings: Vec<Wording>,
    lines: Vec<Line>,
}

/// A sentence of a passage.
struct Line {
    text: String,
    /// Its place among the wordings.
    at: usize,
    /// With the sentence before, where it speaks of what that one named.
    with_before: Option<String>,
}

/// A sentence of the passage with a number.
#[derive(Clone, Copy)]
struct Place<'r> {
    number: usize,
    read: &'r Read,
    line: &'r Line,
}

impl<'r> Place<'r> {
    fn said(self) -> &'r Wording {
        &self.read.wordings[self.line.at]
    }

    fn part(self) -> Part<'r> {
        Part { said: self.said(), around: &self.read.wordings[..self.line.at] }
    }
}

impl Read {
    pub(super) fn of(passage: &Passage) -> Self {
        let chunk = &passage.chunk;
        let above: Vec<&str> = std::iter::once(&chunk.title).chain(&chunk.headings).map(String::as_str).collect();
        let (mut wordings, mut lines) = (vec![Wording::of(&above.join("\n"))], Vec::new());
        let mut before: Option<&str> = None;
        for piece in sentences::pieces(&chunk.text, &chunk.headings) {
            let said = Wording::of(piece.text);
            if !piece.heading {
                let with_before =
                    before.filter(|_| said.refers_back()).map(|before| format!("{before} {}", piece.text));
                lines.push(Line { text: piece.text.to_owned(), at: wordings.len(), with_before });
                before = Some(piece.text);
            }
            wordings.push(said);
        }
        Self { wordings, lines }
    }
}

/// What a claim is to be compared with, or why no part carries it. The passages come with their numbers.
pub(super) fn comparisons(claim: &str, passages: &[(usize, &Read)]) -> Result<Vec<Comparison>, &'static str> {
    let claim = Wording::of(claim);
    let (mut found, mut faults) = (Vec::new(), Vec::new());
    for passage in passages {
        for (place, shared) in nearest(&claim, std::slice::from_ref(passage)) {
            match wording::fault(&claim, &place.part()) {
                Some(fault) => faults.push((shared, fault)),
                None => found.push(Comparison {
                    passages: vec![place.number],
                    texts: std::iter::once(&place.line.text).chain(&place.line.with_before).cloned().collect(),
                    own_words: wording::own_words(&claim, &[place.part()]),
                }),
            }
        }
    }
    if found.is_empty() {
        found.extend(by_clauses(&claim, passages));
    }
    if !found.is_empty() {
        return Ok(found);
    }
    // Told is what is wrong beside the sentence that shares most.
    let fault = faults.into_iter().rev().max_by(|a, b| a.0.total_cmp(&b.0));
    Err(fault.map_or(NOTHING_SHARED, |(_, fault)| fault))
}

/// The sentences of these passages that share most with the claim, best first.
fn nearest<'r>(claim: &Wording, passages: &[(usize, &'r Read)]) -> Vec<(Place<'r>, f32)> {
    let places = passages
        .iter()
        .flat_map(|(number, read)| read.lines.iter().map(move |line| Place { number: *number, read, line }));
    let mut shares: Vec<_> = places.map(|place| (place, claim.shared_with(place.said()))).collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    let least = shares.first().map_or(0.0, |best| best.1 * FURTHER);
    shares.retain(|(_, shared)| *shared > 0.0 && *shared >= least);
    shares.truncate(MAX_PARTS);
    shares
}

/// All clauses of the claim, each carried by a sentence of its own.
fn by_clauses(claim: &Wording, passages: &[(usize, &Read)]) -> Option<Comparison> {
    let mut carrying = Vec::new();
    for clause in claim.clauses() {
        let carries = |place: Place<'_>| {
            let part = place.part();
            wording::fault(&clause, &part).is_none() && wording::own_words(&clause, &[part]) <= OWN_WORDS_OF_A_CLAUSE
        };
        let (place, _) = nearest(&clause, passages).into_iter().find(|(place, _)| carries(*place))?;
        carrying.push(place);
    }
    carrying.first()?;
    let mut numbers: Vec<usize> = carrying.iter().map(|place| place.number).collect();
    numbers.dedup();
    let parts: Vec<Part<'_>> = carrying.iter().map(|place| place.part()).collect();
    let text = carrying.iter().map(|place| place.line.text.as_str()).collect::<Vec<_>>().join(" ");
    Some(Comparison { passages: numbers, texts: vec![text], own_words: wording::own_words(claim, &parts) })
}
