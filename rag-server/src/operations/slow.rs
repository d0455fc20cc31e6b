//! Slow questions: which ones are, and where their time went. Pure.
//!
//! Guarantee: nothing of a question's text is kept.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::Answer;

/// A question that was slow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlowQuery {
    /// When it ended.
    pub at: Timestamp,
    /// Finds the request in log and traces.
    pub request_id: String,
    /// What became of it.
    pub outcome: &'static str,
    /// How long it took in all.
    pub took: Duration,
    /// Where that time went.
    pub stages: Vec<StageTime>,
}

/// How long a stage took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageTime {
    /// The stage.
    pub name: String,
    /// How long it took.
    pub took: Duration,
}

/// Whether a question that took so long is slow.
pub fn is_slow(took: Duration, limit: Duration) -> bool {
    took >= limit
}

/// Where the time of an answer went that took so long in all. The search tells its stages, unless they are those of an earlier question; what no stage took is the `rest`.
pub fn stages(answer: &Answer, took: Duration) -> Vec<StageTime> {
    let searched = answer.explanation.stages.iter().filter(|_| !answer.explanation.cached);
    let mut stages: Vec<_> = searched
        .map(|stage| {
            let took = Duration::try_from_secs_f64(stage.millis / 1000.0).unwrap_or_default();
            StageTime { name: stage.name.clone(), took }
        })
        .collect();
    let providers = Duration::from_millis(answer.generation.provider_millis);
    if !answer.generation.path.is_empty() {
        stages.push(StageTime { name: "providers".to_owned(), took: providers });
    }
    let known: Duration = stages.iter().map(|stage| stage.took).sum();
    stages.push(StageTime { name: "rest".to_owned(), took: took.saturating_sub(known) });
    stages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        doubles,
        model::{Attempt, Explanation, Generation, Stage},
    };

    fn answer(cached: bool) -> Answer {
        let stage = |name: &str, millis| Stage { name: name.to_owned(), millis };
        let stages = vec![stage("embed", 250.0), stage("search", 1500.0)];
        let attempt = Attempt { provider: "p".to_owned(), outcome: "answered".to_owned(), millis: 4000 };
        Answer {
            explanation: Explanation { stages, cached, ..Explanation::default() },
            generation: Generation { path: vec![attempt], provider_millis: 4000, ..Generation::default() },
            ..doubles::answer("a text")
        }
    }

    fn told(answer: &Answer, seconds: u64) -> Vec<(String, u128)> {
        let stages = stages(answer, Duration::from_secs(seconds));
        stages.into_iter().map(|stage| (stage.name, stage.took.as_millis())).collect()
    }

    #[test]
    fn a_question_is_slow_from_the_limit_on_and_each_is_where_the_limit_is_zero() {
        let seconds = Duration::from_secs;
        assert!(is_slow(seconds(5), seconds(5)) && !is_slow(Duration::from_millis(4999), seconds(5)));
        assert!(is_slow(Duration::ZERO, Duration::ZERO));
    }

    #[test]
    fn every_stage_is_told_and_the_rest_is_what_none_of_them_took() {
        let stage = |name: &str, millis| (name.to_owned(), millis);
        assert_eq!(
            told(&answer(false), 6),
            [stage("embed", 250), stage("search", 1500), stage("providers", 4000), stage("rest", 250)]
        );
        // What was measured by two clocks may be more than the whole.
        assert_eq!(told(&answer(false), 5).last(), Some(&stage("rest", 0)));
    }

    #[test]
    fn the_stages_of_an_earlier_search_are_not_taken_for_those_of_this_question() {
        let stage = |name: &str, millis| (name.to_owned(), millis);
        assert_eq!(told(&answer(true), 6), [stage("providers", 4000), stage("rest", 2000)]);
    }
}
