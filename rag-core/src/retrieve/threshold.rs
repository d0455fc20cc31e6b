//! Whether anything that was found is evidence: the line between an answer and a refusal.
//!
//! Pure. A ranking always has a first hit, however far it is from the question; this module alone decides whether it is near enough.
//!
//! Relevance is the best cosine and a fifth of the best coverage: the share of the question's terms, and pairs of neighbouring terms, that one passage holds. The cosine alone refuses a
//! sixth of the questions of a judged set that its documents answer, those that ask for one rare word or lean on their article; together they refuse a fiftieth, at the same 2 % of
//! unrelated questions that are let through (`docs/quality.md`).
//!
//! An identifier of the question, such as an error code, is evidence as well: where few of the chunks that were found hold it, so that it tells them from the others, and only for what it
//! names: a chunk that holds it must hold what else the question asks for.

use super::candidates::Candidates;
use crate::{
    lexical::{Identifiers, Question},
    model::{Chunk, Similarity},
};

/// What holding all of a question's terms adds to the cosine. Of 0.1 to 0.5 the value that told two judged sets' questions apart best.
const COVERAGE_WEIGHT: f32 = 0.2;

/// Of the chunks that were found, which are two hundred at most, so many may hold an identifier that is rare. What a corpus is about stands in most of them.
const RARE: usize = 10;
/// The share of a question's terms and pairs that a passage must hold where nothing else speaks for it: as much as of what stands beside an identifier. A pair is only held together with both of its words, so it is most of them.
const COVERED: f32 = REST;
/// The share of what else the question asks for that a chunk with its identifier must hold.
const REST: f32 = 0.5;

/// Why a question may be answered, or that it may not.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Evidence {
    /// The nearest passage is near enough.
    Near(Similarity),
    /// No passage is near enough by itself, but with the question's own words it is. Holds the relevance.
    Worded(Similarity),
    /// How near anything is was not asked, but a passage holds this share of the question's terms, and pairs of neighbouring terms.
    Covered(f32),
    /// No passage is near, but one holds a rare identifier of the question, and what it asks of it. Only such passages may be cited.
    Identifier,
    /// Nothing: the answer is a refusal.
    None,
}

/// What speaks for an answer. BM25 scores have no common scale, so the lexical leg counts only by the terms that its hits hold.
///
/// `question` has no terms where the words are not to count; `identifiers` those that are [`rare`]; `min_score` is the relevance from which a question is answered.
pub(super) fn evidence(found: &Candidates, question: &Question, identifiers: &Identifiers, min_score: f32) -> Evidence {
    let cosine = found.best_cosine().unwrap_or(f32::NEG_INFINITY);
    if cosine >= min_score {
        return Evidence::Near(Similarity(cosine));
    }
    // Looking at the words costs more than everything else here, so only where it can decide.
    if cosine + COVERAGE_WEIGHT >= min_score {
        let relevance = relevance(found, question);
        if relevance >= min_score {
            return Evidence::Worded(Similarity(relevance));
        }
    }
    if found.read().any(|chunk| is_named(chunk, identifiers)) {
        return Evidence::Identifier;
    }
    Evidence::None
}

/// The same where the question has no vector: its words alone must tell, so a passage must hold most of what it asks for.
pub(super) fn evidence_of_words(found: &Candidates, question: &Question, identifiers: &Identifiers) -> Evidence {
    let covered = coverage(found, question);
    if covered >= COVERED {
        return Evidence::Covered(covered);
    }
    if found.read().any(|chunk| is_named(chunk, identifiers)) { Evidence::Identifier } else { Evidence::None }
}

/// The best cosine and a fifth of the best coverage, from minus infinity (nothing was found) to 1.2.
pub(super) fn relevance(found: &Candidates, question: &Question) -> f32 {
    let cosine = found.best_cosine().unwrap_or(f32::NEG_INFINITY);
    cosine + COVERAGE_WEIGHT * coverage(found, question)
}

/// The best coverage of the first of each leg, 0 to 1.
fn coverage(found: &Candidates, question: &Question) -> f32 {
    found.worded().map(|chunk| question.coverage(chunk)).fold(0.0, f32::max)
}

/// Those identifiers of a question that few of the found chunks hold.
pub(super) fn rare(found: &Candidates, identifiers: Identifiers) -> Identifiers {
    if identifiers.is_empty() { identifiers } else { identifiers.held_by_at_most(RARE, found.read()) }
}

fn is_named(chunk: &Chunk, identifiers: &Identifiers) -> bool {
    identifiers.are_held_by(chunk) && identifiers.rest_held_by(chunk) >= REST
}

/// Whether a chunk may be cited under this evidence.
pub(super) fn is_citable(evidence: Evidence, chunk: &Chunk, identifiers: &Identifiers) -> bool {
    match evidence {
        Evidence::Near(_) | Evidence::Worded(_) | Evidence::Covered(_) => true,
        Evidence::Identifier => is_named(chunk, identifiers),
        Evidence::None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        doubles,
        model::{Hit, Legs, Scored},
    };

    fn found(dense: Vec<Hit>, lexical: Vec<Hit>) -> Candidates {
        let ids = |hits: &[Hit]| hits.iter().map(|hit| Scored { chunk: hit.chunk.id, score: hit.score }).collect();
        let legs = Legs { dense: ids(&dense), lexical: ids(&lexical) };
        Candidates::of(legs, dense.into_iter().chain(lexical).map(|hit| hit.chunk))
    }

    fn hit(text: &str, score: f32) -> Hit {
        Hit { chunk: doubles::chunk(text.replace(' ', "-").parse().unwrap(), text), score: Similarity(score) }
    }

    #[test]
    fn a_cosine_counts_from_the_threshold_on_and_a_bm25_score_never() {
        for (dense, lexical, expected) in [
            (vec![hit("a", 0.41)], vec![], Evidence::Near(Similarity(0.41))),
            (vec![hit("a", 0.40)], vec![], Evidence::Near(Similarity(0.40))),
            (vec![hit("a", 0.39)], vec![hit("b", 99.0)], Evidence::None),
            (vec![hit("a", f32::NAN)], vec![], Evidence::None),
            (vec![], vec![], Evidence::None),
        ] {
            assert_eq!(evidence(&found(dense, lexical), &Question::default(), &Identifiers::default(), 0.40), expected);
        }
    }

    fn evidence_of(question: &str, found: &Candidates) -> Evidence {
        evidence(found, &Question::default(), &rare(found, Identifiers::of(question)), 0.40)
    }

    #[test]
    fn a_passage_that_holds_the_error_code_is_evidence_however_far_it_is() {
        for held in
            [found(vec![hit("ERR_4711: disk full", 0.1)], vec![]), found(vec![], vec![hit("see err_4711", 7.0)])]
        {
            assert_eq!(evidence_of("what is ERR_4711?", &held), Evidence::Identifier);
        }
        assert_eq!(
            evidence_of("what is ERR_4711?", &found(vec![hit("ERR_4712: disk full", 0.1)], vec![])),
            Evidence::None
        );
    }

    #[test]
    fn an_identifier_is_no_evidence_for_what_else_the_question_asks() {
        let policy = || found(vec![hit("Travel during COVID-19 needs an approval.", 0.1)], vec![]);
        for question in ["Which football club won the league during COVID-19?", "Is there a cookbook for COVID-19?"] {
            assert_eq!(evidence_of(question, &policy()), Evidence::None, "{question}");
        }
        for question in ["What is COVID-19?", "Which approval does travel during COVID-19 need?"] {
            assert_eq!(evidence_of(question, &policy()), Evidence::Identifier, "{question}");
        }
    }

    #[test]
    fn an_identifier_that_many_passages_hold_is_no_evidence() {
        let of = |count: usize| {
            let hits = (0..count).map(|number| hit(&format!("trial {number} of COVID-19"), 0.1)).collect();
            evidence_of("what is COVID-19?", &found(hits, vec![]))
        };
        assert_eq!((of(RARE), of(RARE + 1)), (Evidence::Identifier, Evidence::None));
    }

    #[test]
    fn only_passages_with_the_identifier_are_citable_when_nothing_else_is_evidence() {
        let asked = Identifiers::of("what is ERR_4711?");
        let (with, without) = (hit("ERR_4711", 0.1).chunk, hit("weather", 0.1).chunk);
        assert!(is_citable(Evidence::Identifier, &with, &asked) && !is_citable(Evidence::Identifier, &without, &asked));
        assert!(is_citable(Evidence::Near(Similarity(0.5)), &without, &asked));
        assert!(!is_citable(Evidence::None, &with, &asked));
    }

    #[test]
    fn a_far_passage_that_holds_the_questions_words_is_evidence_and_one_that_holds_few_is_not() {
        let terms = Question::of("What is superspreading of measles?");
        let legs = |text: &str, cosine: f32| found(vec![hit("other", cosine)], vec![hit(text, 3.0)]);
        let holding = legs("Superspreading of measles means that few infect many.", 0.25);
        assert!(
            matches!(evidence(&holding, &terms, &Identifiers::default(), 0.40), Evidence::Worded(relevance) if relevance.0 >= 0.40)
        );
        assert_eq!(evidence(&legs("Measles are red.", 0.25), &terms, &Identifiers::default(), 0.40), Evidence::None);
        // However many words it holds, a passage about something else stays one.
        assert_eq!(
            evidence(&legs("Superspreading of measles", 0.15), &terms, &Identifiers::default(), 0.40),
            Evidence::None
        );
    }

    #[test]
    fn without_any_hit_nothing_is_relevant() {
        assert_eq!(relevance(&found(vec![], vec![]), &Question::of("measles")), f32::NEG_INFINITY);
    }
}
