//! Two rankings into one.
//!
//! Pure. Both legs arrive best first; scores of different legs are never compared before they are normalised. Whatever the method, the result is a number from 0 to 1 where higher is better.

use std::collections::HashMap;

use crate::model::{ChunkId, Legs, Scored, Similarity};

/// How two legs become one ranking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fusion {
    /// Min-max normalised scores, weighted: `dense_weight` of the dense leg, the rest of the lexical one.
    Convex {
        /// Share of the dense leg, 0 to 1.
        dense_weight: f32,
    },
    /// Min-max normalised scores; the dense leg weighs as much as its best cosine stands above what unrelated texts reach.
    Confident {
        /// Share of the dense leg at a cosine of 1.
        dense_weight: f32,
        /// Cosine from which on the dense leg counts at all.
        floor: f32,
    },
    /// Reciprocal ranks: a hit counts `1 / (constant + rank)` in each leg that found it, and nothing in the other.
    ReciprocalRank {
        /// Flattens the difference between ranks.
        constant: f32,
    },
}

impl Fusion {
    /// For the local model. Shares and floors were measured on one half of two judged sets' questions, and hold on the other (`docs/quality.md`).
    pub const CONFIDENT: Self = Self::Confident { dense_weight: 0.8, floor: 0.3 };

    /// Reciprocal ranks with the usual constant; on two judged sets it makes no difference which one it is.
    pub const RECIPROCAL: Self = Self::ReciprocalRank { constant: 60.0 };
}

impl Default for Fusion {
    /// Equal shares: right for a model whose cosines nobody has measured.
    fn default() -> Self {
        Self::Convex { dense_weight: 0.5 }
    }
}

/// One ranking, best first, of everything that a leg found. A leg alone keeps its order. Equal scores are ordered by chunk id, so that the same hits always give the same ranking.
pub fn fuse(legs: &Legs, fusion: Fusion) -> Vec<Scored> {
    let (dense_share, lexical_share) = match (legs.dense.is_empty(), legs.lexical.is_empty(), fusion) {
        (_, true, _) => (1.0, 0.0),
        (true, false, _) => (0.0, 1.0),
        (false, false, Fusion::Convex { dense_weight }) => (dense_weight, 1.0 - dense_weight),
        (false, false, Fusion::Confident { dense_weight, floor }) => {
            let share = dense_weight * confidence(&legs.dense, floor);
            (share, 1.0 - share)
        }
        (false, false, Fusion::ReciprocalRank { .. }) => (0.5, 0.5),
    };
    let mut scores: HashMap<ChunkId, f32> = HashMap::new();
    for (hits, share) in [(&legs.dense, dense_share), (&legs.lexical, lexical_share)] {
        let normalised = match fusion {
            Fusion::Convex { .. } | Fusion::Confident { .. } => min_max(hits),
            Fusion::ReciprocalRank { constant } => reciprocal(hits.len(), constant),
        };
        for (hit, score) in hits.iter().zip(normalised) {
            *scores.entry(hit.chunk).or_default() += share * score;
        }
    }
    let fused = scores.into_iter().map(|(chunk, score)| Scored { chunk, score: Similarity(score) });
    let mut fused: Vec<_> = fused.collect();
    fused.sort_by(|a, b| Similarity::best_first(a.score, b.score).then_with(|| a.chunk.cmp(&b.chunk)));
    fused
}

/// Where the best cosine stands between the floor (0) and 1 (1).
fn confidence(dense: &[Scored], floor: f32) -> f32 {
    let best = dense.iter().map(|hit| hit.score.0).filter(|score| score.is_finite()).fold(floor, f32::max);
    ((best - floor) / (1.0 - floor)).clamp(0.0, 1.0)
}

/// Scores of a leg moved to 0 to 1: 1 for its best hit, 0 for its worst and for what it did not find.
fn min_max(hits: &[Scored]) -> Vec<f32> {
    let finite = || hits.iter().map(|hit| hit.score.0).filter(|score| score.is_finite());
    let (low, high) = (finite().fold(f32::INFINITY, f32::min), finite().fold(f32::NEG_INFINITY, f32::max));
    let normalised = |score: f32| match (score.is_finite(), high > low) {
        (false, _) => 0.0,
        // In double precision: the span of two finite scores may not be one.
        (true, true) => ((f64::from(score) - f64::from(low)) / (f64::from(high) - f64::from(low))) as f32,
        // Hits that are all equally good are all the best.
        (true, false) => 1.0,
    };
    hits.iter().map(|hit| normalised(hit.score.0)).collect()
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

    const CONVEX: Fusion = Fusion::Convex { dense_weight: 0.5 };
    const RANKS: Fusion = Fusion::RECIPROCAL;

    #[test]
    fn what_both_legs_find_beats_what_one_leg_finds() {
        let legs =
            || Legs { dense: hits(&[(1, 0.9), (2, 0.8), (3, 0.1)]), lexical: hits(&[(4, 12.0), (2, 11.0), (5, 1.0)]) };
        for fusion in [CONVEX, RANKS] {
            assert_eq!(order(&fuse(&legs(), fusion))[0], 2, "{fusion:?}");
        }
    }

    #[test]
    fn scores_are_normalised_before_they_are_weighed() {
        // Scores of the lexical leg are a hundred times larger and must not drown the dense ones.
        let legs = Legs { dense: hits(&[(1, 0.9), (2, 0.1)]), lexical: hits(&[(2, 90.0), (1, 10.0)]) };
        let fused = fuse(&legs, Fusion::Convex { dense_weight: 0.6 });
        assert_eq!(order(&fused), [1, 2]);
        assert!((fused[0].score.0 - 0.6).abs() < 1e-6 && (fused[1].score.0 - 0.4).abs() < 1e-6);
    }

    #[test]
    fn a_dense_leg_that_found_nothing_near_leaves_the_order_to_the_lexical_one() {
        let legs = |best: f32| Legs { dense: hits(&[(1, best), (2, 0.1)]), lexical: hits(&[(2, 9.0), (1, 1.0)]) };
        for (best, first) in [(0.3, 2), (0.45, 2), (0.95, 1)] {
            assert_eq!(order(&fuse(&legs(best), Fusion::CONFIDENT))[0], first, "{best}");
        }
        let fused = fuse(&legs(0.65), Fusion::CONFIDENT);
        assert!((fused[1].score.0 - 0.4).abs() < 1e-6, "half way above the floor is half of 0.8: {fused:?}");
    }

    #[test]
    fn reciprocal_ranks_give_nothing_for_a_leg_that_did_not_find_a_hit() {
        let legs = Legs { dense: hits(&[(1, 0.9)]), lexical: hits(&[(2, 3.0), (1, 2.0)]) };
        let fused = fuse(&legs, RANKS);
        assert_eq!(order(&fused), [1, 2]);
        assert!((fused[1].score.0 - 0.5).abs() < 1e-6, "half of the best possible, not more: {:?}", fused[1].score);
    }

    #[test]
    fn a_leg_that_does_not_know_a_hit_adds_nothing_however_deep_it_was_searched() {
        // A missing rank that counted as the depth would change the order with the number of hits that were asked for.
        let lexical = |depth: u32| hits(&(0..depth).map(|n| (100 + n, 50.0 - n as f32)).collect::<Vec<_>>());
        let score = |depth: u32| {
            let fused = fuse(&Legs { dense: hits(&[(1, 0.9), (2, 0.8)]), lexical: lexical(depth) }, RANKS);
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
            let fused = fuse(&legs, CONVEX);
            assert_eq!(order(&fused), [3, 1, 2]);
            assert_eq!(fused[0].score, Similarity(1.0));
        }
        assert!(fuse(&Legs::default(), CONVEX).is_empty());
    }

    proptest! {
        #[test]
        fn fused_scores_lie_between_0_and_1_and_every_hit_appears_once(
            dense in prop::collection::btree_map(0..40_u32, prop::num::f32::ANY, 0..20),
            lexical in prop::collection::btree_map(0..40_u32, 0.0..50.0_f32, 0..20),
            weight in 0.0..=1.0_f32,
            ranks in any::<bool>(),
        ) {
            let leg = |scores: &std::collections::BTreeMap<u32, f32>| {
                let mut hits: Vec<_> = scores.iter().map(|(ordinal, score)| hit(*ordinal, *score)).collect();
                hits.sort_by(|a, b| Similarity::best_first(a.score, b.score));
                hits
            };
            let distinct: std::collections::BTreeSet<_> = dense.keys().chain(lexical.keys()).collect();
            let fusion = if ranks { RANKS } else { Fusion::Convex { dense_weight: weight } };
            let legs = Legs { dense: leg(&dense), lexical: leg(&lexical) };
            let fused = fuse(&legs, fusion);
            prop_assert_eq!(fused.len(), distinct.len());
            prop_assert!(fused.iter().all(|f| (0.0..=1.0001).contains(&f.score.0)), "{:?}", fused);
            prop_assert!(fused.windows(2).all(|pair| pair[0].score.0 >= pair[1].score.0));
            prop_assert_eq!(fuse(&legs, fusion), fused);
        }
    }
}
