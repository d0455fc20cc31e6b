//! How good a ranking is, by judgements.
//!
//! Pure. Relevance is yes or no. A question without any relevant document is left out by the caller.

use std::collections::BTreeSet;

/// Normalised discounted cumulative gain of the first `depth` places: 1 when all relevant documents stand in front.
pub(crate) fn ndcg(ranking: &[String], relevant: &BTreeSet<String>, depth: usize) -> f64 {
    let gain = |place: usize| 1.0 / (place as f64 + 2.0).log2();
    let found = ranking.iter().take(depth).enumerate().filter(|(_, document)| relevant.contains(*document));
    let best: f64 = (0..relevant.len().min(depth)).map(gain).sum();
    found.map(|(place, _)| gain(place)).sum::<f64>() / best
}

/// Share of the relevant documents that stand in the first `depth` places.
pub(crate) fn recall(ranking: &[String], relevant: &BTreeSet<String>, depth: usize) -> f64 {
    let found = ranking.iter().take(depth).filter(|document| relevant.contains(*document)).count();
    found as f64 / relevant.len() as f64
}

/// One divided by the place of the first relevant document; 0 when there is none.
pub(crate) fn reciprocal_rank(ranking: &[String], relevant: &BTreeSet<String>) -> f64 {
    ranking.iter().position(|document| relevant.contains(document)).map_or(0.0, |place| 1.0 / (place as f64 + 1.0))
}

/// Documents in the order of their first passage.
pub(crate) fn documents(passages: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    passages.into_iter().filter(|document| seen.insert(document.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn set(text: &str) -> BTreeSet<String> {
        names(text).into_iter().collect()
    }

    #[test]
    fn a_perfect_ranking_has_gain_1_and_an_empty_one_0() {
        assert_eq!(ndcg(&names("a b c"), &set("a b"), 10), 1.0);
        assert_eq!(ndcg(&names("a b c"), &set("a b c d"), 3), 1.0);
        assert_eq!(ndcg(&[], &set("a"), 10), 0.0);
    }

    #[test]
    fn a_relevant_document_in_the_second_place_counts_less() {
        // 1 / log2(3), of the best possible 1.
        assert!((ndcg(&names("x a"), &set("a"), 10) - 0.630_93).abs() < 1e-5);
        assert_eq!(ndcg(&names("x a"), &set("a"), 1), 0.0);
    }

    #[test]
    fn recall_counts_places_up_to_the_depth() {
        assert_eq!(recall(&names("a x b y"), &set("a b"), 2), 0.5);
        assert_eq!(recall(&names("a x b y"), &set("a b"), 4), 1.0);
    }

    #[test]
    fn the_reciprocal_rank_is_that_of_the_first_relevant_document() {
        assert_eq!(reciprocal_rank(&names("x a b"), &set("a b")), 0.5);
        assert_eq!(reciprocal_rank(&names("x y"), &set("a")), 0.0);
    }

    #[test]
    fn a_document_stands_where_its_first_passage_stands() {
        assert_eq!(documents(names("b a b c a")), names("b a c"));
    }
}
