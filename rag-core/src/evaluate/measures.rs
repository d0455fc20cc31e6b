//! How good a ranking is, by judgements; and the percentiles of what it took.
//!
//! Pure. A judgement is a grade: 0 is not relevant, what is not judged is not relevant either. Without a relevant document every measure is 0.
//! A ranking holds no document twice: see [`documents`].

use std::collections::{BTreeMap, BTreeSet};

/// The grade of each judged document.
pub type Judgements<D> = BTreeMap<D, u32>;

/// Normalised discounted cumulative gain of the first `depth` places: 1 when the best documents stand in front, in the order of their grades.
///
/// The gain is the grade itself, as `trec_eval` and BEIR have it.
pub fn ndcg<D: Ord>(ranking: &[D], judgements: &Judgements<D>, depth: usize) -> f64 {
    let grade = |document: &D| judgements.get(document).copied().unwrap_or(0);
    let mut best: Vec<u32> = judgements.values().copied().collect();
    best.sort_unstable_by(|a, b| b.cmp(a));
    let ideal = discounted(best.into_iter().take(depth));
    if ideal > 0.0 { discounted(ranking.iter().take(depth).map(grade)) / ideal } else { 0.0 }
}

/// The sum of gains, each the less worth the lower it stands.
fn discounted(grades: impl Iterator<Item = u32>) -> f64 {
    // The empty sum of floats is -0, which a person would read.
    grades.enumerate().fold(0.0, |sum, (place, grade)| sum + f64::from(grade) / (place as f64 + 2.0).log2())
}

/// Share of the relevant documents that stand in the first `depth` places.
pub fn recall<D: Ord>(ranking: &[D], judgements: &Judgements<D>, depth: usize) -> f64 {
    let relevant = judgements.values().filter(|grade| **grade > 0).count();
    let found = ranking.iter().take(depth).filter(|document| is_relevant(*document, judgements)).count();
    if relevant > 0 { found as f64 / relevant as f64 } else { 0.0 }
}

/// One divided by the place of the first relevant document of the first `depth`; 0 when there is none.
pub fn reciprocal_rank<D: Ord>(ranking: &[D], judgements: &Judgements<D>, depth: usize) -> f64 {
    let first = ranking.iter().take(depth).position(|document| is_relevant(document, judgements));
    first.map_or(0.0, |place| 1.0 / (place as f64 + 1.0))
}

/// Whether a relevant document stands in the first `depth` places.
pub fn is_success<D: Ord>(ranking: &[D], judgements: &Judgements<D>, depth: usize) -> bool {
    ranking.iter().take(depth).any(|document| is_relevant(document, judgements))
}

fn is_relevant<D: Ord>(document: &D, judgements: &Judgements<D>) -> bool {
    judgements.get(document).is_some_and(|grade| *grade > 0)
}

/// Documents in the order of their first passage.
pub fn documents<D: Ord + Clone>(passages: impl IntoIterator<Item = D>) -> Vec<D> {
    let mut seen = BTreeSet::new();
    passages.into_iter().filter(|document| seen.insert(document.clone())).collect()
}

/// The arithmetic mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// The smallest value that at least `percent` of all values do not exceed (nearest rank); 0 of nothing.
pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let rank = (sorted.len() * percent.min(100)).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    /// `a b:2 c:0` is a with grade 1, b with 2 and c with 0.
    fn graded(text: &str) -> Judgements<String> {
        let grade = |name: String| match name.split_once(':') {
            Some((name, grade)) => (name.to_owned(), grade.parse().unwrap()),
            None => (name, 1),
        };
        names(text).into_iter().map(grade).collect()
    }

    fn close(found: f64, expected: f64) -> bool {
        (found - expected).abs() < 1e-5
    }

    #[test]
    fn the_gain_of_hand_computed_rankings() {
        for (ranking, judgements, depth, expected) in [
            ("a b c", "a b", 10, 1.0),
            ("a b c", "a b c d", 3, 1.0),
            ("", "a", 10, 0.0),
            // 1 / log2(3), of the best possible 1.
            ("x a", "a", 10, 0.630_93),
            ("x a", "a", 1, 0.0),
            // (1 + 1 / log2(4)) / (1 + 1 / log2(3)).
            ("a x b", "a b", 10, 0.919_72),
            // (1 + 3 / log2(3)) / (3 + 1 / log2(3)).
            ("a b", "a:1 b:3", 10, 0.796_71),
            ("b a", "a:1 b:3", 10, 1.0),
            // A grade of 0 is worth nothing, and neither is having judged it.
            ("x a", "x:0 a", 10, 0.630_93),
            ("a", "a:0", 10, 0.0),
            ("a", "", 10, 0.0),
        ] {
            let found = ndcg(&names(ranking), &graded(judgements), depth);
            assert!(
                close(found, expected) && found.is_sign_positive(),
                "{ranking} by {judgements} at {depth}: {found}"
            );
        }
    }

    #[test]
    fn recall_reciprocal_rank_and_success_of_hand_computed_rankings() {
        for (ranking, judgements, depth, expected) in [
            ("a x b y", "a b", 2, (0.5, 1.0, true)),
            ("a x b y", "a b", 4, (1.0, 1.0, true)),
            ("x a b", "a b", 3, (1.0, 0.5, true)),
            ("x a b", "a b", 1, (0.0, 0.0, false)),
            ("x y", "a", 2, (0.0, 0.0, false)),
            ("z a", "z:0 a c:2", 5, (0.5, 0.5, true)),
            ("", "a", 5, (0.0, 0.0, false)),
            ("a", "", 5, (0.0, 0.0, false)),
        ] {
            let (ranking, judgements) = (names(ranking), graded(judgements));
            let found = (
                recall(&ranking, &judgements, depth),
                reciprocal_rank(&ranking, &judgements, depth),
                is_success(&ranking, &judgements, depth),
            );
            assert_eq!(found, expected, "{ranking:?} by {judgements:?} at {depth}");
        }
    }

    #[test]
    fn a_document_stands_where_its_first_passage_stands() {
        assert_eq!(documents(names("b a b c a")), names("b a c"));
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let values: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        assert_eq!([0, 50, 95, 100].map(|percent| percentile(&values, percent)), [1.0, 10.0, 19.0, 20.0]);
        assert_eq!((percentile(&[7.0], 95), percentile(&[], 95), mean(&[]), mean(&[1.0, 2.0])), (7.0, 0.0, 0.0, 1.5));
    }

    /// A ranking without repetitions, judgements, and a depth.
    fn ranked() -> impl Strategy<Value = (Vec<u8>, Judgements<u8>, usize)> {
        let ranking = proptest::collection::vec(0_u8..30, 0..20).prop_map(documents);
        (ranking, proptest::collection::btree_map(0_u8..30, 0_u32..4, 0..20), 0_usize..25)
    }

    proptest! {
        #[test]
        fn every_measure_is_between_0_and_1((ranking, judgements, depth) in ranked()) {
            for measure in [ndcg, recall, reciprocal_rank] {
                let found = measure(&ranking, &judgements, depth);
                prop_assert!((0.0..=1.0 + 1e-12).contains(&found), "{found}");
            }
        }

        #[test]
        fn all_measures_see_the_same_successes((ranking, judgements, depth) in ranked()) {
            let success = is_success(&ranking, &judgements, depth);
            for measure in [ndcg, recall, reciprocal_rank] {
                prop_assert_eq!(measure(&ranking, &judgements, depth) > 0.0, success);
            }
        }

        #[test]
        fn the_order_of_the_grades_is_the_best(judgements in proptest::collection::btree_map(0_u8..30, 1_u32..4, 1..20), depth in 1_usize..25) {
            let mut best: Vec<u8> = judgements.keys().copied().collect();
            best.sort_by_key(|document| std::cmp::Reverse(judgements[document]));
            prop_assert!(close(ndcg(&best, &judgements, depth), 1.0));
        }

        #[test]
        fn a_better_document_moved_up_never_lowers_the_gain((mut ranking, judgements, depth) in ranked(), at in 0_usize..20) {
            let grade = |document: &u8| judgements.get(document).copied().unwrap_or(0);
            let before = ndcg(&ranking, &judgements, depth);
            if at + 1 < ranking.len() && grade(&ranking[at]) < grade(&ranking[at + 1]) {
                ranking.swap(at, at + 1);
                prop_assert!(ndcg(&ranking, &judgements, depth) >= before - 1e-12);
            }
        }

        #[test]
        fn looking_deeper_never_finds_less((ranking, judgements, depth) in ranked()) {
            prop_assert!(recall(&ranking, &judgements, depth + 1) >= recall(&ranking, &judgements, depth));
            prop_assert!(reciprocal_rank(&ranking, &judgements, depth + 1) >= reciprocal_rank(&ranking, &judgements, depth));
        }
    }
}
