//! Of a text that is too long to be quoted whole, the stretch that answers.
//!
//! Pure. What is left out between two stretches is shown; each stretch begins and ends between words.

use std::collections::{BTreeMap, BTreeSet};

use crate::{lexical, ports::GAP};

/// Bytes of a stretch: two or three sentences' worth, so that a "not" before what was asked for is most often in it.
const STRETCH: usize = 320;
/// Longest field that is quoted whole.
const MAX_FIELD: usize = 240;
/// Fields that are quoted beside the first.
const MAX_FIELDS: usize = 3;
/// Lines of code that are quoted.
const MAX_LINES: usize = 16;
/// The share of the bytes around what was found that stands before it: what is told of a matter follows it more often.
const BEFORE: usize = 3;

/// How telling the terms of a question are.
pub(super) type Weights = BTreeMap<u32, f32>;

/// The stretch of a text that holds most of these terms.
pub(super) fn stretch<'t>(text: &'t str, weights: &Weights) -> &'t str {
    if text.len() <= STRETCH {
        return text;
    }
    let words: Vec<Word> = words(text, weights);
    let (first, last) = densest(&words);
    let (from, to) = words.get(first).zip(words.get(last)).map_or((0, 0), |(first, last)| (first.from, last.to));
    let spare = STRETCH.saturating_sub(to - from);
    let start = from.saturating_sub(spare / BEFORE);
    let end = (start + STRETCH.max(to - from)).min(text.len());
    // What is not needed behind goes before.
    let start = start.min(text.len().saturating_sub(STRETCH)).min(from);
    let mut fits = words.iter().filter(|word| word.from >= start && word.to <= end);
    let (start, end) = (fits.clone().next().map_or(from, |w| w.from), fits.next_back().map_or(to, |w| w.to));
    &text[start..end]
}

struct Word {
    from: usize,
    to: usize,
    /// The terms of the question in it.
    terms: BTreeSet<u32>,
}

fn words(text: &str, weights: &Weights) -> Vec<Word> {
    let word = |word: &str| {
        let from = word.as_ptr() as usize - text.as_ptr() as usize;
        let terms = lexical::terms(word).into_iter().filter(|term| weights.contains_key(term)).collect();
        Word { from, to: from + word.len(), terms }
    };
    text.split_whitespace().flat_map(short_enough).map(word).collect()
}

/// A word, or the pieces of a run without spaces that is longer than a stretch.
fn short_enough(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let (head, tail) = rest.split_at(rest.floor_char_boundary(STRETCH / 4));
        rest = tail;
        (!head.is_empty()).then_some(head)
    })
}

/// The places of the first and the last telling word of the stretch that holds most.
fn densest(words: &[Word]) -> (usize, usize) {
    let telling: Vec<usize> = (0..words.len()).filter(|at| !words[*at].terms.is_empty()).collect();
    let weight_of = |held: &BTreeMap<u32, usize>, weights: &BTreeMap<u32, f32>| -> f32 {
        held.keys().filter_map(|term| weights.get(term)).sum()
    };
    // A term that stands often tells less here.
    let mut counts = BTreeMap::<u32, usize>::new();
    telling.iter().flat_map(|at| &words[*at].terms).for_each(|term| *counts.entry(*term).or_default() += 1);
    let weights: BTreeMap<u32, f32> =
        counts.iter().map(|(term, count)| (*term, 1.0 / (*count as f32).sqrt())).collect();
    let (mut held, mut from, mut best) = (BTreeMap::<u32, usize>::new(), 0, (0.0, 0, 0));
    for (to, at) in telling.iter().enumerate() {
        words[*at].terms.iter().for_each(|term| *held.entry(*term).or_default() += 1);
        while words[*at].to - words[telling[from]].from > STRETCH && from < to {
            for term in &words[telling[from]].terms {
                if let Some(count) = held.get_mut(term) {
                    *count -= 1;
                    if *count == 0 {
                        held.remove(term);
                    }
                }
            }
            from += 1;
        }
        let weight = weight_of(&held, &weights);
        if weight > best.0 {
            best = (weight, telling[from], *at);
        }
    }
    (best.1, best.2)
}

/// The first field of a row, which tells it from others, and those that hold most of the terms; `mark` stands between fields.
pub(super) fn fields(row: &str, mark: &str, weights: &Weights) -> String {
    let fields: Vec<&str> = row.split(mark).collect();
    let weight = |field: &str| lexical::terms(field).iter().filter_map(|term| weights.get(term)).sum::<f32>();
    let mut best: Vec<(usize, f32)> =
        fields.iter().enumerate().skip(1).map(|(at, field)| (at, weight(field))).collect();
    best.retain(|(_, weight)| *weight > 0.0);
    best.sort_by(|a, b| b.1.total_cmp(&a.1));
    best.truncate(MAX_FIELDS);
    let mut kept: Vec<usize> = best.into_iter().map(|(at, _)| at).collect();
    // The first cell between bars is empty.
    kept.extend(fields.iter().position(|field| !field.trim_matches(['|', ' ']).is_empty()));
    kept.sort_unstable();
    kept.dedup();
    let shown = |at: usize| {
        let field = fields[at].trim_matches(['|', ' ']);
        if field.len() > MAX_FIELD { stretch(field, weights) } else { field }
    };
    let parts: Vec<&str> = kept.into_iter().map(shown).collect();
    parts.join(&format!(" {GAP} "))
}

/// The lines of code around those that hold most of the terms.
pub(super) fn lines<'t>(code: &'t str, weights: &Weights) -> &'t str {
    let all: Vec<&str> = code.split_inclusive('\n').collect();
    if all.len() <= MAX_LINES {
        return code;
    }
    let weight = |line: &str| lexical::terms(line).iter().filter_map(|term| weights.get(term)).sum::<f32>();
    let weighed: Vec<f32> = all.iter().map(|line| weight(line)).collect();
    let sum = |from: usize| weighed[from..from + MAX_LINES].iter().sum::<f32>();
    let starts = 0..=all.len() - MAX_LINES;
    let from = starts.rev().max_by(|a, b| sum(*a).total_cmp(&sum(*b))).unwrap_or(0);
    let start: usize = all[..from].iter().map(|line| line.len()).sum();
    let length: usize = all[from..from + MAX_LINES].iter().map(|line| line.len()).sum();
    code[start..start + length].trim_end_matches(['\n', '\r'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn weights(question: &str) -> Weights {
        lexical::terms(question).into_iter().map(|term| (term, 1.0)).collect()
    }

    #[test]
    fn a_stretch_is_where_the_words_of_the_question_stand() {
        let filler = "so we went through the list and talked about lunch and ".repeat(30);
        let text = format!("{filler}the spare boiler key is kept in cabinet forty two behind the piano {filler}");
        let found = stretch(&text, &weights("Where is the spare boiler key kept?"));
        assert!(found.contains("cabinet forty two") && found.len() <= STRETCH, "{found}");
    }

    #[test]
    fn a_long_row_keeps_its_key_and_the_fields_that_are_asked_for() {
        let row =
            format!("sku: ZX-4410; description: {}; price: 73.15 EUR; warehouse: Odense", "lorem ipsum ".repeat(90));
        assert_eq!(fields(&row, "; ", &weights("What is the price of ZX-4410?")), "sku: ZX-4410 … price: 73.15 EUR");
        let row = format!("| a | {} | 7 days |", "word ".repeat(90));
        assert_eq!(fields(&row, " | ", &weights("how many days")), "a … 7 days");
    }

    #[test]
    fn of_long_code_the_lines_around_the_words_are_kept() {
        let code: String = (0..100).map(|n| format!("    line_{n} = {n}\n")).collect();
        let found = lines(&code, &weights("line_70"));
        assert!(found.contains("line_70 =") && found.lines().count() == MAX_LINES && code.contains(found));
    }

    proptest! {
        #[test]
        fn a_stretch_is_a_bounded_slice_that_begins_and_ends_between_words(text in "([a-cé]{1,12} ){0,150}", asked in "[a-c ]{1,12}") {
            let text = text.trim();
            let found = stretch(text, &weights(&asked));
            prop_assert!(found.len() <= STRETCH && (text.is_empty() || !found.is_empty()));
            let from = found.as_ptr() as usize - text.as_ptr() as usize;
            let (before, behind) = (&text[..from], &text[from + found.len()..]);
            prop_assert!(before.is_empty() || before.ends_with(' '), "{:?}", found);
            prop_assert!(behind.is_empty() || behind.starts_with(' '), "{:?}", found);
        }
    }
}
