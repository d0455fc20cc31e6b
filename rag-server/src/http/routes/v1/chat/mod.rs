//! `POST /v1/chat/completions`: a conversation's last question, answered from the documents, in OpenAI's shape.

mod request;
mod response;
mod stream;

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use jiff::Timestamp;
use utoipa::openapi::HttpMethod;
use uuid::Uuid;

use self::{
    request::ChatRequest,
    response::{ChatCompletion, Usage},
    stream::Chunk,
};
use super::{
    super::super::{
        answering::{self, Measured},
        endpoint::Endpoint,
        error::Problem,
        extract::{Client, JsonBody},
        observe::RequestId,
        state::Api,
    },
    expect_model,
    models::CHAT,
};
use crate::{model::Answer, ports::Embedder, resilience::Deadline};

/// What every piece of one completion repeats.
#[derive(Debug, Clone)]
struct Head {
    id: String,
    created: i64,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let summary = "Answer the last question of a conversation from the documents; OpenAI's shape";
    vec![
        Endpoint::new(HttpMethod::Post, "/v1/chat/completions", post(chat), summary)
            .keyed()
            .body::<ChatRequest>()
            .answers::<ChatCompletion>(200, "the answer or a refusal; with `stream`, server-sent events of chunks")
            .also_sends::<Chunk>()
            .problem(402, "the budget is spent, and no answer without a language model is wanted")
            .problem(404, "no such model")
            .problem(502, "the answer was not written")
            .problem(503, "the search or every provider is not available; this is not an empty result")
            .problem(504, "no answer in time"),
    ]
}

async fn chat(
    client: Client,
    State(api): State<Api>,
    Extension(id): Extension<RequestId>,
    Extension(deadline): Extension<Deadline>,
    body: JsonBody<ChatRequest>,
) -> Result<Response, Problem> {
    let flows = api.flows()?;
    let (request, _room) = body.into_parts();
    expect_model(&flows, request.model(), CHAT)?;
    let conversation = request.checked()?;
    let head = Head { id: format!("chatcmpl-{}", Uuid::new_v4().simple()), created: Timestamp::now().as_second() };
    let prompt_tokens = flows.embedder.count_tokens(&conversation.question);
    let (streams, include_usage) = (conversation.stream, conversation.include_usage);
    let ask = conversation.ask(&api.retrieval, client.tenant(), deadline);
    let about = About { embedder: Arc::clone(&flows.embedder), head, prompt_tokens, include_usage };
    if streams {
        return answering::stream(&api, id, about, flows.answers.stream(ask)).await;
    }
    let mut measured = Measured::new(api.clone(), id.0);
    let answer = flows.answers.answer(ask).await;
    measured.ended(&answer);
    let answer = answer?;
    let usage = about.usage(&answer);
    Ok(Json(ChatCompletion::new(about.head, answer, usage)).into_response())
}

/// What is told of an answer beside its text.
struct About {
    /// The one that the answer's flows embed with: they may be replaced meanwhile.
    embedder: Arc<dyn Embedder>,
    head: Head,
    prompt_tokens: usize,
    include_usage: bool,
}

impl About {
    /// Tokens as the provider counted them; as the embedding model does, where there was none.
    fn usage(&self, answer: &Answer) -> Usage {
        let spent = answer.generation.usage;
        if spent.prompt_tokens > 0 {
            let tokens = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
            return Usage::new(tokens(spent.prompt_tokens), tokens(spent.completion_tokens));
        }
        Usage::new(self.prompt_tokens, self.embedder.count_tokens(&answer.text))
    }
}
