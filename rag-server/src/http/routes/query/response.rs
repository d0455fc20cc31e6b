//! What is answered.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{super::super::passage::CitationView, About};
use crate::model::{self, Answer, AnswerStatus, Attempt, CheckedSentence, Cut, Degradation, Generation, Usage};

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct QueryResponse {
    /// Names the answer, for feedback.
    #[schema(value_type = String, format = "uuid")]
    id: Uuid,
    /// How far the documents carry the answer.
    status: AnswerStatus,
    /// The answer, with references like `[1]` into the citations.
    answer: String,
    /// How many chunks were searched.
    searched: u64,
    /// The passages that were found, best first; empty when refused.
    citations: Vec<CitationView>,
    /// The answer's sentences, each with what the check of its citations found; empty when refused.
    sentences: Vec<CheckedSentence>,
    /// Who wrote the answer: a provider's name or `extractive`; absent when refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    written_by: Option<String>,
    /// What ended the answer before it was whole: `length`, the limit of tokens, or `content_filter`, the provider's filter; absent when it is whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut_by: Option<Cut>,
    /// Why it was not written by a provider although one is configured, or why its session does not remember it.
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
    /// What was left out because the time was short, a service failed or the budget is spent; absent nearly always.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    degraded: Vec<Degradation>,
    /// How the answer came about, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Explanation>,
    /// Finds the request in the log.
    request_id: String,
}

/// How an answer came about.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Explanation {
    /// How the passages were found.
    search: model::Explanation,
    /// How it was written.
    generation: GenerationView,
}

/// How an answer was written.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct GenerationView {
    /// The providers that were tried, in order; those that were left alone included, with the reason as their outcome.
    path: Vec<Attempt>,
    /// Tokens and cost.
    usage: Usage,
    /// Milliseconds until a provider's first piece of text.
    first_text_millis: Option<u64>,
    /// Milliseconds that providers took in all.
    provider_millis: u64,
    /// Whether the text was written for an earlier question that was asked alike; no provider was called then.
    cached: bool,
}

impl QueryResponse {
    pub(super) fn new(answer: Answer, about: &About) -> Self {
        let Answer { id, status, text, citations, sentences, searched, degraded, explanation, generation } = answer;
        let Generation { by, path, usage, cut, notice, provider_millis, first_text_millis, cached } = generation;
        let generation = GenerationView { path, usage, first_text_millis, provider_millis, cached };
        let explain = about.explain.then_some(Explanation { search: explanation, generation });
        Self {
            id,
            status,
            answer: text,
            searched,
            citations: citations.into_iter().map(CitationView::from).collect(),
            sentences,
            written_by: by,
            cut_by: cut,
            notice,
            degraded,
            explain,
            request_id: about.request_id.clone(),
        }
    }
}

/// The event `citations`: what was found, before the first piece of text.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct CitationsEvent {
    /// Names the answer, for feedback.
    #[schema(value_type = String, format = "uuid")]
    pub(super) id: Uuid,
    /// How many chunks were searched.
    pub(super) searched: u64,
    /// The passages that were found, best first; empty when the answer is a refusal.
    pub(super) citations: Vec<CitationView>,
}

/// The event `text`: the next piece of the answer.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct TextEvent {
    /// All pieces together are the answer.
    pub(super) text: String,
}
