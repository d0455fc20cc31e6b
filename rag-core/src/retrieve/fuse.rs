//! Two rankings into one.
//!
//! Pure. Both legs arrive best first; scores of different legs are never compared before they are normalised. Whatever the method, the result is a number from 0 to 1 where higher is better.
//!
//! Guarantee: what a hit counts depends on its own scores, the best of each leg and the passages of its document among the first ones, never on how many hits were asked for. Min-max over
//! whatever was found would change the first places with the number of places. Where a leg's scores begin is known instead: a text that shares no word with the question has a BM25 of 0,
//! and what unrelated texts reach of the cosine is known of a model that was measured (S. Bruch, S. Gai and A. Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", ACM TOIS 42,
//! 2023, call it the theoretical minimum).

use std::collections::HashMap;

use crate::model::{ChunkId, DocumentId, Legs, Scored, Similarity};

/// How two legs become one ranking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fusion {
    /// Normalised scores, weighted: `dense_weight` of the dense leg, the rest of the lexical one. The dense leg's scores begin at its last hit of the first [`MEASURED`].
    Convex {
        /// Share of the dense leg, 0 to 1.
        dense_weight: f32,
    },
    /// A cosine counts as far as it stands above what unrelated texts reach, and what the best one leaves of 1 is the lexical leg's: a dense leg that found nothing near has little to say.
    Confident {
        /// Cosine from which on the dense leg counts at all.
        floor: f32,
    },
    /// Reciprocal ranks: a hit counts `1 / (constant + rank)` in each leg that found it, and nothing in the other.
    ReciprocalRank {
        /// Flattens the difference between ranks.
        constant: f32,
    },
}

/// Hits of the dense leg that say where its scores begin, for a model whose cosines nobody has measured.
const MEASURED: usize = 100;

/// How much of what a document's passages come to together is added to each of them. Of nothing, half and all, half was best on ten judged sets (`docs/quality.md`).
const TOGETHER: f32 = 0.5;

impl Fusion {
    /// For the local model, chosen over ten judged sets (`docs/quality.md`).
    pub const CONFIDENT: Self = Self::Confident { floor: 0.2 };

    /// Reciprocal ranks with the usual constant; on two judged sets it makes no difference which one it is.
    pub const RECIPROCAL: Self = Self::ReciprocalRank { constant: 60.0 };
}

impl Default for Fusion {
    /// Equal shares: right for a model whose cosines nobody has measured.
    fn default() -> Self {
        Self::Convex { dense_weight: 0.5 }
    }
}

/// What a chunk counts in each leg.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    dense: f32,
    lexical: f32,
}

impl Counts {
    fn sum(self) -> f32 {
        self.dense + self.lexical
    }

    fn best(self, other: Self) -> Self {
        Self { dense: self.dense.max(other.dense), lexical: self.lexical.max(other.lexical) }
    }
}

/// One ranking, best first, of everything that a leg found. A leg alone keeps its order. Equal scores are ordered by chunk id, so that the same hits always give the same ranking.
///
/// `documents` are those of the first hits of each leg. One passage of a document may be near, and another one hold the words: then the document has both, and each of its passages gains a
/// part of what it lacks.
pub fn fuse(legs: &Legs, fusion: Fusion, documents: &HashMap<ChunkId, &DocumentId>) -> Vec<Scored> {
    let dense_share = dense_share(legs, fusion);
    let mut counts: HashMap<ChunkId, Counts> = HashMap::new();
    for (hit, score) in legs.dense.iter().zip(dense(legs, fusion)) {
        counts.entry(hit.chunk).or_default().dense = dense_share * score;
    }
    for (hit, score) in legs.lexical.iter().zip(lexical(&legs.lexical, fusion)) {
        counts.entry(hit.chunk).or_default().lexical = (1.0 - dense_share) * score;
    }
    let mut together: HashMap<&DocumentId, (Counts, f32)> = HashMap::new();
    let of = |chunk: &ChunkId| Some((*documents.get(chunk)?, *counts.get(chunk)?));
    for (document, own) in documents.keys().filter_map(of) {
        let (best, alone) = together.entry(document).or_default();
        (*best, *alone) = (best.best(own), alone.max(own.sum()));
    }
    let lacks = |chunk: &ChunkId| documents.get(chunk).and_then(|document| together.get(document));
    let score = |(chunk, own): (ChunkId, Counts)| {
        let gained = lacks(&chunk).map_or(0.0, |(best, alone)| TOGETHER * (best.sum() - alone));
        // Squared: sums of two lie close together, and whoever weighs passages by their scores is to see how much better the first ones are.
        Scored { chunk, score: Similarity((own.sum() + gained).powi(2)) }
    };
    let mut fused: Vec<_> = counts.iter().map(|(chunk, own)| score((*chunk, *own))).collect();
    fused.sort_by(|a, b| Similarity::best_first(a.score, b.score).then_with(|| a.chunk.cmp(&b.chunk)));
    fused
}

/// What the dense leg counts, 0 to 1; all where it is alone.
fn dense_share(legs: &Legs, fusion: Fusion) -> f32 {
    match (legs.dense.is_empty(), legs.lexical.is_empty(), fusion) {
        (_, true, _) => 1.0,
        (true, false, _) => 0.0,
        (false, false, Fusion::Convex { dense_weight }) => dense_weight,
        (false, false, Fusion::Confident { floor }) => (best(&legs.dense) - floor).clamp(0.0, 1.0),
        (false, false, Fusion::ReciprocalRank { .. }) => 0.5,
    }
}

/// The dense leg's scores, 0 to 1. Alone it keeps its order, however far its hits are.
fn dense(Legs { dense: hits, lexical }: &Legs, fusion: Fusion) -> Vec<f32> {
    let worst = |hits: &[Scored]| finite(hits).fold(f32::INFINITY, f32::min);
    let floor = match fusion {
        Fusion::ReciprocalRank { constant } => return reciprocal(hits.len(), constant),
        _ if lexical.is_empty() => worst(hits),
        Fusion::Convex { .. } => worst(&hits[..hits.len().min(MEASURED)]),
        Fusion::Confident { floor } => floor,
    };
    hits.iter().map(|hit| from_to(hit.score.0, floor, best(hits))).collect()
}

/// The lexical leg's scores, 0 to 1.
fn lexical(hits: &[Scored], fusion: Fusion) -> Vec<f32> {
    match fusion {
        Fusion::Convex { .. } | Fusion::Confident { .. } => {
            hits.iter().map(|hit| from_to(hit.score.0, 0.0, best(hits))).collect()
        }
        Fusion::ReciprocalRank { constant } => reciprocal(hits.len(), constant),
    }
}

fn finite(hits: &[Scored]) -> impl Iterator<Item = f32> {
    hits.iter().map(|hit| hit.score.0).filter(|score| score.is_finite())
}

/// The best score of a leg, which comes first unless it is no number.
fn best(hits: &[Scored]) -> f32 {
    finite(hits).next().unwrap_or(f32::NEG_INFINITY)
}

/// Where a score stands between `low` (0) and `high` (1). Where there is nothing between them, everything that reaches `high` is as good as the best.
fn from_to(score: f32, low: f32, high: f32) -> f32 {
    match (score.is_finite(), high > low) {
        (false, _) => 0.0,
        // In double precision: the span of two finite scores may not be one.
        (true, true) => {
            (((f64::from(score) - f64::from(low)) / (f64::from(high) - f64::from(low))) as f32).clamp(0.0, 1.0)
        }
        (true, false) => f32::from(score >= high),
    }
}

/// Reciprocal ranks, scaled so that the first counts 1.
fn reciprocal(length: usize, constant: f32) -> Vec<f32> {
    (0..length).map(|rank| (constant + 1.0) / (constant + 1.0 + rank as f32)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::ContentHash;

    fn id(ordinal: u32) -> ChunkId {
        ChunkId::new(&"d".parse().unwrap(), &ContentHash("v".to_owned()), ordinal)
    }

    fn hit(ordinal: u32, score: f32) -> Scored {
        Scored { chunk: id(ordinal), score: Similarity(score) }
    }

    fn hits(scores: &[(u32, f32)]) -> Vec<Scored> {
        scores.iter().map(|(ordinal, score)| hit(*ordinal, *score)).collect()
    }

    fn order(fused: &[Scored]) -> Vec<u32> {
        fused.iter().filter_map(|fused| (0..100).find(|ordinal| id(*ordinal) == fused.chunk)).collect()
    }

    /// Fused while nothing is known of the documents.
    fn alone(legs: &Legs, fusion: Fusion) -> Vec<Scored> {
        fuse(legs, fusion, &HashMap::new())
    }

    /// What a hit counts in both legs together.
    fn sum(hit: Scored) -> f32 {
        hit.score.0.sqrt()
    }

    const CONVEX: Fusion = Fusion::Convex { dense_weight: 0.5 };
    const RANKS: Fusion = Fusion::RECIPROCAL;

    #[test]
    fn what_both_legs_find_beats_what_one_leg_finds() {
        let legs =
            || Legs { dense: hits(&[(1, 0.9), (2, 0.8), (3, 0.1)]), lexical: hits(&[(4, 12.0), (2, 11.0), (5, 1.0)]) };
        for fusion in [CONVEX, RANKS] {
            assert_eq!(order(&alone(&legs(), fusion))[0], 2, "{fusion:?}");
        }
    }

    #[test]
    fn scores_are_normalised_before_they_are_weighed() {
        // Scores of the lexical leg are a hundred times larger and must not drown the dense ones.
        let legs = Legs { dense: hits(&[(1, 0.9), (2, 0.1)]), lexical: hits(&[(2, 90.0), (1, 9.0)]) };
        let fused = alone(&legs, Fusion::Convex { dense_weight: 0.6 });
        assert_eq!(order(&fused), [1, 2]);
        assert!((sum(fused[0]) - 0.64).abs() < 1e-6 && (sum(fused[1]) - 0.4).abs() < 1e-6, "{fused:?}");
    }

    #[test]
    fn a_dense_leg_that_found_nothing_near_leaves_the_order_to_the_lexical_one() {
        let legs = |best: f32| Legs { dense: hits(&[(1, best), (2, 0.1)]), lexical: hits(&[(2, 9.0), (1, 0.9)]) };
        for (best, first) in [(0.1, 2), (0.3, 2), (0.45, 2), (0.95, 1)] {
            assert_eq!(order(&alone(&legs(best), Fusion::CONFIDENT))[0], first, "{best}");
        }
        let fused = alone(&legs(0.75), Fusion::CONFIDENT);
        let expected = [0.55 + 0.1 * 0.45, 0.45];
        assert!(fused.iter().zip(expected).all(|(hit, score)| (sum(*hit) - score).abs() < 1e-6), "{fused:?}");
    }

    #[test]
    fn a_hit_counts_the_same_however_many_others_were_found() {
        let deep = |depth: u32| Legs {
            dense: hits(&(0..depth).map(|n| (n, 0.9 - n as f32 / 200.0)).collect::<Vec<_>>()),
            lexical: hits(&(0..depth).map(|n| (depth - 1 - n, 30.0 - n as f32 / 10.0)).collect::<Vec<_>>()),
        };
        for fusion in [CONVEX, Fusion::CONFIDENT, RANKS] {
            let (few, many) = (deep(100), Legs { lexical: deep(100).lexical, ..deep(150) });
            let (few, many) = (alone(&few, fusion), alone(&many, fusion));
            for hit in few {
                let same = many.iter().find(|other| other.chunk == hit.chunk).unwrap();
                assert!((same.score.0 - hit.score.0).abs() < 1e-6, "{fusion:?}: {hit:?} {same:?}");
            }
        }
    }

    #[test]
    fn a_document_with_what_is_near_and_what_holds_the_words_comes_before_those_with_one_of_them() {
        // Chunks 1 and 2 are of one document, the others of their own.
        let legs = Legs { dense: hits(&[(3, 0.72), (1, 0.69)]), lexical: hits(&[(4, 9.0), (2, 8.9)]) };
        let names: Vec<DocumentId> = ["both", "near", "worded"].map(|name| name.parse().unwrap()).into();
        let of = HashMap::from([(id(1), &names[0]), (id(2), &names[0]), (id(3), &names[1]), (id(4), &names[2])]);
        let fused = |of: &HashMap<ChunkId, &DocumentId>| order(&fuse(&legs, Fusion::CONFIDENT, of));
        assert_eq!(fused(&of), [1, 2, 3, 4]);
        assert_eq!(fused(&HashMap::new())[0], 3);
        // Unlike two, one that has both alone lacks nothing, and gains nothing.
        let one = Legs { dense: hits(&[(1, 0.7), (3, 0.5)]), lexical: hits(&[(1, 9.0), (3, 8.0)]) };
        assert_eq!(fuse(&one, Fusion::CONFIDENT, &of), alone(&one, Fusion::CONFIDENT));
    }

    #[test]
    fn reciprocal_ranks_give_nothing_for_a_leg_that_did_not_find_a_hit() {
        let legs = Legs { dense: hits(&[(1, 0.9)]), lexical: hits(&[(2, 3.0), (1, 2.0)]) };
        let fused = alone(&legs, RANKS);
        assert_eq!(order(&fused), [1, 2]);
        assert!((sum(fused[1]) - 0.5).abs() < 1e-6, "half of the best possible, not more: {:?}", fused[1].score);
    }

    #[test]
    fn a_leg_that_does_not_know_a_hit_adds_nothing_however_deep_it_was_searched() {
        // A missing rank that counted as the depth would change the order with the number of hits that were asked for.
        let lexical = |depth: u32| hits(&(0..depth).map(|n| (100 + n, 50.0 - n as f32)).collect::<Vec<_>>());
        let score = |depth: u32| {
            let fused = alone(&Legs { dense: hits(&[(1, 0.9), (2, 0.8)]), lexical: lexical(depth) }, RANKS);
            fused.into_iter().find(|fused| fused.chunk == id(2)).unwrap().score
        };
        assert_eq!(score(5), score(50));
    }

    #[test]
    fn a_leg_alone_keeps_its_order_and_scale() {
        for legs in [
            Legs { dense: hits(&[(3, 0.9), (1, 0.5), (2, 0.1)]), lexical: vec![] },
            Legs { dense: vec![], lexical: hits(&[(3, 9.0), (1, 5.0), (2, 1.0)]) },
        ] {
            let fused = alone(&legs, CONVEX);
            assert_eq!(order(&fused), [3, 1, 2]);
            assert_eq!(fused[0].score, Similarity(1.0));
        }
        assert!(alone(&Legs::default(), CONVEX).is_empty());
    }

    proptest! {
        #[test]
        fn fused_scores_lie_between_0_and_1_and_every_hit_appears_once(
            dense in prop::collection::btree_map(0..40_u32, prop::num::f32::ANY, 0..20),
            lexical in prop::collection::btree_map(0..40_u32, 0.0..50.0_f32, 0..20),
            weight in 0.0..=1.0_f32,
            which in 0..3_usize,
        ) {
            let leg = |scores: &std::collections::BTreeMap<u32, f32>| {
                let mut hits: Vec<_> = scores.iter().map(|(ordinal, score)| hit(*ordinal, *score)).collect();
                hits.sort_by(|a, b| Similarity::best_first(a.score, b.score));
                hits
            };
            let distinct: std::collections::BTreeSet<_> = dense.keys().chain(lexical.keys()).collect();
            let fusion = [RANKS, Fusion::CONFIDENT, Fusion::Convex { dense_weight: weight }][which];
            let names: Vec<DocumentId> = (0..5).map(|n| format!("d{n}").parse().unwrap()).collect();
            let documents = (0..40).step_by(2).map(|n| (id(n), &names[n as usize % 5])).collect();
            let legs = Legs { dense: leg(&dense), lexical: leg(&lexical) };
            let fused = fuse(&legs, fusion, &documents);
            prop_assert_eq!(fused.len(), distinct.len());
            prop_assert!(fused.iter().all(|f| (0.0..=1.0001).contains(&f.score.0)), "{:?}", fused);
            prop_assert!(fused.windows(2).all(|pair| pair[0].score.0 >= pair[1].score.0));
            prop_assert_eq!(fuse(&legs, fusion, &documents), fused);
        }
    }
}
