//! What was counted since the process began, as the operator reads it. Nothing is counted here: it is all read from the metrics.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::class::RouteClass;
use crate::{
    metrics::{Durations, Ended, Metrics},
    model::MicroUsd,
};

/// What was counted since the process began; it begins anew with another `boot_id`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Counters {
    /// Requests by the class of their route; every class is there.
    #[serde(default)]
    pub requests: Vec<ClassRequests>,
    /// Questions by what became of them.
    #[serde(default)]
    pub questions: Questions,
    /// How long the server itself took for questions, waiting for providers excluded.
    #[serde(default)]
    pub server_seconds: ServerSeconds,
    /// What was spent, by what for; empty before anything was.
    #[serde(default)]
    pub cost: Vec<PartCost>,
}

/// Requests to one class of routes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct ClassRequests {
    /// `query`, `ingest`, `documents`, `sessions`, `evaluate`, `v1`, `mcp`, `admin`, `health`, `management` or `other`.
    pub class: String,
    /// Requests that ended, however they did.
    pub requests: u64,
    /// Those of them that were answered with a status of 500 or above: what failed here, and who was told to come back.
    pub errors: u64,
}

/// Questions by what became of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Questions {
    /// Every sentence of the answer is supported by the documents.
    #[serde(default)]
    pub grounded: u64,
    /// At least one sentence is not.
    #[serde(default)]
    pub partial: u64,
    /// Nothing in the documents answers it.
    #[serde(default)]
    pub refused: u64,
    /// It could not be answered.
    #[serde(default)]
    pub failed: u64,
    /// Its caller went away.
    #[serde(default)]
    pub abandoned: u64,
}

/// The histogram `rag_server_seconds`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct ServerSeconds {
    /// Questions that were measured.
    #[serde(default)]
    pub count: u64,
    /// Seconds of all of them together.
    #[serde(default)]
    pub sum_seconds: f64,
    /// How many took at most so long, the shortest time first.
    #[serde(default)]
    pub buckets: Vec<Bucket>,
}

/// Questions that took at most so long.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Bucket {
    /// The longest time that is counted.
    pub le_seconds: f64,
    /// How many; those of the buckets before it are among them.
    pub count: u64,
}

/// What was spent on one part.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct PartCost {
    /// What for: `generate`, `embed` or `rerank`.
    pub part: String,
    /// Millionths of a US dollar.
    pub micro_usd: u64,
}

impl Counters {
    /// What these metrics have counted.
    pub(in crate::http) fn of(metrics: &Metrics) -> Self {
        let cost = |(part, MicroUsd(micro_usd))| PartCost { part, micro_usd };
        Self {
            requests: by_class(&metrics.ended()),
            questions: Questions {
                grounded: metrics.questions("grounded"),
                partial: metrics.questions("partial"),
                refused: metrics.questions("refused"),
                failed: metrics.questions("failed"),
                abandoned: metrics.questions("abandoned"),
            },
            server_seconds: metrics.server_durations().into(),
            cost: metrics.costs().into_iter().map(cost).collect(),
        }
    }
}

impl From<Durations> for ServerSeconds {
    fn from(Durations { count, sum_seconds, up_to_seconds }: Durations) -> Self {
        let bucket = |(le_seconds, count)| Bucket { le_seconds, count };
        Self { count, sum_seconds, buckets: up_to_seconds.into_iter().map(bucket).collect() }
    }
}

fn by_class(ended: &[Ended]) -> Vec<ClassRequests> {
    let sum = |class: RouteClass| {
        let mut sum = ClassRequests { class: class.as_str().to_owned(), ..ClassRequests::default() };
        for Ended { status, requests, .. } in ended.iter().filter(|ended| RouteClass::of(&ended.route) == class) {
            sum.requests += requests;
            sum.errors += if *status >= 500 { *requests } else { 0 };
        }
        sum
    };
    RouteClass::ALL.map(sum).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_of_a_class_are_added_up_and_a_refusal_of_the_caller_is_no_error_of_ours() {
        let ended = |route: &str, status, requests| Ended { route: route.to_owned(), status, requests };
        let sums = by_class(&[
            ended("/query", 200, 5),
            ended("/query", 503, 2),
            ended("/search", 504, 1),
            ended("/search", 422, 4),
            ended("/query", 499, 3),
            ended("/v1/chat/completions", 500, 1),
            ended("unmatched", 404, 7),
        ]);
        let of = |class: &str| sums.iter().find(|sum| sum.class == class).map(|sum| (sum.requests, sum.errors));
        assert_eq!(of("query"), Some((15, 3)));
        assert_eq!((of("v1"), of("other")), (Some((1, 1)), Some((7, 0))));
        assert_eq!(of("mcp"), Some((0, 0)), "one that nobody asked is there all the same");
        assert_eq!(sums.len(), RouteClass::ALL.len());
    }
}
