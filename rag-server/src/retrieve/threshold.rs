//! Whether anything that was found is evidence: the line between an answer and a refusal.
//!
//! Pure. A ranking always has a first hit, however far it is from the question; this module alone decides whether it is near enough.

use crate::{
    lexical,
    model::{Chunk, Legs, Similarity},
};

/// Why a question may be answered, or that it may not.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Evidence {
    /// The nearest passage is near enough.
    Near(Similarity),
    /// No passage is near, but one holds an identifier or error code of the question. Only such passages may be cited.
    RareTerm,
    /// Nothing: the answer is a refusal.
    None,
}

/// What speaks for an answer. BM25 scores have no common scale, so the lexical leg counts only by the rare terms that its hits hold.
pub fn evidence(legs: &Legs, rare_terms: &[String], min_score: f32) -> Evidence {
    let best =
        legs.dense.iter().map(|hit| hit.score.0).filter(|score| score.is_finite()).fold(f32::NEG_INFINITY, f32::max);
    if best >= min_score {
        return Evidence::Near(Similarity(best));
    }
    if legs.dense.iter().chain(&legs.lexical).any(|hit| lexical::holds_any(&hit.chunk, rare_terms)) {
        return Evidence::RareTerm;
    }
    Evidence::None
}

/// Whether a chunk may be cited under this evidence.
pub fn is_citable(evidence: Evidence, chunk: &Chunk, rare_terms: &[String]) -> bool {
    match evidence {
        Evidence::Near(_) => true,
        Evidence::RareTerm => lexical::holds_any(chunk, rare_terms),
        Evidence::None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ChunkId, ContentHash, Hit};

    fn hit(text: &str, score: f32) -> Hit {
        let (document, version) = ("d".parse().unwrap(), ContentHash("v".to_owned()));
        let id = ChunkId::new(&document, &version, 0);
        let chunk = Chunk {
            id,
            document,
            version,
            ordinal: 0,
            title: String::new(),
            headings: Vec::new(),
            text: text.to_owned(),
        };
        Hit { chunk, score: Similarity(score) }
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
            assert_eq!(evidence(&Legs { dense, lexical }, &[], 0.40), expected);
        }
    }

    #[test]
    fn a_passage_that_holds_the_error_code_is_evidence_however_far_it_is() {
        let rare = lexical::rare_terms("what is ERR_4711?");
        for legs in [
            Legs { dense: vec![hit("ERR_4711: disk full", 0.1)], lexical: vec![] },
            Legs { dense: vec![], lexical: vec![hit("see err_4711", 7.0)] },
        ] {
            assert_eq!(evidence(&legs, &rare, 0.40), Evidence::RareTerm);
        }
        let other = Legs { dense: vec![hit("ERR_4712: disk full", 0.1)], lexical: vec![] };
        assert_eq!(evidence(&other, &rare, 0.40), Evidence::None);
    }

    #[test]
    fn only_passages_with_the_rare_term_are_citable_when_nothing_else_is_evidence() {
        let rare = lexical::rare_terms("what is ERR_4711?");
        let (with, without) = (hit("ERR_4711", 0.1).chunk, hit("weather", 0.1).chunk);
        assert!(is_citable(Evidence::RareTerm, &with, &rare) && !is_citable(Evidence::RareTerm, &without, &rare));
        assert!(is_citable(Evidence::Near(Similarity(0.5)), &without, &rare));
        assert!(!is_citable(Evidence::None, &with, &rare));
    }
}
