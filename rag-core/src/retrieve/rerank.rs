//! The second look at the best candidates, by a reranker. One that fails or has no time leaves the fused order standing, which is said.

use std::sync::Arc;

use super::{
    degrade::{AFTER_RERANK, RERANK_NEEDS, is_short},
    explain::Notes,
};
use crate::{
    model::{Degradation, Hit, Similarity},
    ports::Reranker,
    resilience::Deadline,
};

/// A reranker, and how many of the best candidates it is given.
#[derive(Clone)]
pub(super) struct Rerank {
    pub(super) reranker: Arc<dyn Reranker>,
    pub(super) candidates: usize,
}

/// A candidate, with the score that a reranker gave it.
pub(super) struct Candidate {
    pub(super) hit: Hit,
    pub(super) reranked: Option<f32>,
}

impl Rerank {
    /// The candidates in the order of the reranker, if it has the time, and it answers. Those that it was not given stay behind those that it was.
    pub(super) async fn reranked(
        &self,
        question: &str,
        mut ranking: Vec<Candidate>,
        deadline: Option<Deadline>,
        (degraded, notes): (&mut Vec<Degradation>, &mut Notes),
    ) -> Vec<Candidate> {
        if ranking.len() <= 1 {
            return ranking;
        }
        if is_short(deadline, RERANK_NEEDS) {
            degraded.push(Degradation::RerankSkipped);
            return ranking;
        }
        let given = ranking.len().min(self.candidates);
        let texts: Vec<&str> = ranking[..given].iter().map(|candidate| candidate.hit.chunk.text.as_str()).collect();
        let asked = self.reranker.rerank(question, &texts);
        let in_time = async {
            match deadline {
                Some(deadline) => tokio::time::timeout(deadline.left().saturating_sub(AFTER_RERANK), asked).await.ok(),
                None => Some(asked.await),
            }
        };
        let answer = notes.stage("rerank", in_time).await;
        match answer {
            Some(Ok(scores)) if scores.len() == given => {
                for (candidate, score) in ranking.iter_mut().zip(scores) {
                    candidate.reranked = Some(score);
                }
                let score = |candidate: &Candidate| Similarity(candidate.reranked.unwrap_or(f32::NEG_INFINITY));
                ranking[..given].sort_by(|a, b| Similarity::best_first(score(a), score(b)));
            }
            Some(Ok(scores)) => failed(&format!("it gave {} scores for {given} passages", scores.len()), degraded),
            Some(Err(error)) => failed(&error.to_string(), degraded),
            None => failed("it did not answer in the time of the request", degraded),
        }
        ranking
    }
}

/// Says that the order of the search stands, in the log and in the answer.
fn failed(error: &str, degraded: &mut Vec<Degradation>) {
    tracing::warn!(error, "the reranker failed; the fused order stands");
    degraded.push(Degradation::RerankFailed);
}
