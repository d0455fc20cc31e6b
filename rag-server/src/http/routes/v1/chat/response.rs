//! A completion as it is sent in one piece, and the extension that carries what OpenAI's shape has no place for.

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    super::{super::super::passage::CitationView, models::CHAT},
    Head,
};
use crate::model::{Answer, AnswerStatus, Cut};

/// A completion.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct ChatCompletion {
    /// Its id.
    id: String,
    /// `chat.completion`.
    object: &'static str,
    /// When it was made, in seconds since 1970.
    created: i64,
    /// `rag`.
    model: &'static str,
    /// One choice.
    choices: Vec<Choice>,
    /// What was read and written.
    usage: Usage,
}

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Choice {
    /// 0.
    index: usize,
    /// What is said.
    message: AssistantMessage,
    /// Always null.
    #[schema(value_type = Option<Object>)]
    logprobs: Option<()>,
    /// `stop`; `length` or `content_filter` when the provider's text is not whole.
    finish_reason: &'static str,
}

/// What is said.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct AssistantMessage {
    /// `assistant`.
    role: &'static str,
    /// The answer, with references like `[1]`; a refusal is an answer, too.
    content: String,
    /// Always null: OpenAI means something else by it.
    #[schema(value_type = Option<String>)]
    refusal: Option<()>,
    /// What the answer rests on. Not in OpenAI's API; clients pass it on or ignore it.
    ragops: Extension,
}

/// What an answer rests on.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Extension {
    /// How far the documents carry the answer.
    status: AnswerStatus,
    /// How many chunks were searched.
    searched: u64,
    /// The passages, best first; empty when refused.
    citations: Vec<CitationView>,
}

/// What was read and written, in tokens as the provider counted them; as the embedding model does, where there was none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(in super::super) struct Usage {
    /// Tokens that were read: the prompt, or the question alone where there was no provider.
    prompt_tokens: usize,
    /// Tokens of the answer.
    completion_tokens: usize,
    /// Both.
    total_tokens: usize,
}

impl Usage {
    pub(super) fn new(prompt_tokens: usize, completion_tokens: usize) -> Self {
        Self { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens }
    }
}

/// Why an answer ended, in OpenAI's words.
pub(super) fn finish_reason(answer: &Answer) -> &'static str {
    answer.generation.cut.map_or("stop", Cut::as_str)
}

impl Extension {
    /// The text of an answer, and everything else of it.
    pub(super) fn apart(answer: Answer) -> (String, Self) {
        let Answer { status, text, citations, searched, .. } = answer;
        (text, Self { status, searched, citations: citations.into_iter().map(CitationView::from).collect() })
    }
}

impl ChatCompletion {
    pub(super) fn new(head: Head, answer: Answer, usage: Usage) -> Self {
        let finish_reason = finish_reason(&answer);
        let (content, ragops) = Extension::apart(answer);
        let message = AssistantMessage { role: "assistant", content, refusal: None, ragops };
        let choice = Choice { index: 0, message, logprobs: None, finish_reason };
        let Head { id, created } = head;
        Self { id, object: "chat.completion", created, model: CHAT, choices: vec![choice], usage }
    }
}
