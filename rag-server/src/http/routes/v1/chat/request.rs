//! What a client may send, and what of it is refused by name instead of being ignored.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::super::{
    super::super::{error::Problem, extract::FromBody, question},
    invalid,
};
use crate::{
    config::Retrieval,
    generate::Ask,
    model::{Query, Sampling, Speaker, Tenant, Turn},
    resilience::Deadline,
};

/// Bytes of all system messages together.
const MAX_INSTRUCTION_BYTES: usize = 8 * 1024;

/// Texts that may end an answer, and bytes of each; as OpenAI has it.
const MAX_STOPS: usize = 4;
const MAX_STOP_BYTES: usize = 256;

/// Messages of a conversation.
const MAX_MESSAGES: usize = 1000;

/// A conversation. Members that are not listed, such as `user`, are ignored.
#[derive(Debug, Deserialize, ToSchema)]
pub(in super::super) struct ChatRequest {
    /// `rag`.
    model: Option<String>,
    /// The conversation; the user's last message is the question, up to 8192 bytes. Only messages of `system` and `developer` may follow it.
    #[schema(min_items = 1, max_items = 1000)]
    messages: Vec<Message>,
    /// Whether the answer comes in pieces, as server-sent events.
    stream: Option<bool>,
    /// What else a stream holds.
    stream_options: Option<StreamOptions>,
    /// How many answers; only 1.
    n: Option<Value>,
    /// 0 for the likeliest text, at most 2; for a provider.
    #[schema(minimum = 0, maximum = 2)]
    temperature: Option<f64>,
    /// Share of the likeliest words that are considered, 0 to 1; for a provider.
    #[schema(minimum = 0, maximum = 1)]
    top_p: Option<f64>,
    /// Longest answer in tokens; for a provider. The configured limit holds, too.
    max_completion_tokens: Option<u64>,
    /// The same, by its older name.
    max_tokens: Option<u64>,
    /// The same seed gives the same text, as far as the provider keeps that.
    seed: Option<i64>,
    /// Above 0 for words that were not said yet, below for those that were; -2 to 2, for a provider.
    #[schema(minimum = -2, maximum = 2)]
    presence_penalty: Option<f64>,
    /// The same, by how often they were said.
    #[schema(minimum = -2, maximum = 2)]
    frequency_penalty: Option<f64>,
    /// A text, or up to four, that end the answer; for a provider.
    #[schema(value_type = Option<Vec<String>>)]
    stop: Option<Stop>,
    /// Refused.
    #[schema(ignore)]
    tools: Option<Value>,
    #[schema(ignore)]
    tool_choice: Option<Value>,
    #[schema(ignore)]
    functions: Option<Value>,
    #[schema(ignore)]
    function_call: Option<Value>,
    #[schema(ignore)]
    logprobs: Option<Value>,
    #[schema(ignore)]
    top_logprobs: Option<Value>,
    #[schema(ignore)]
    audio: Option<Value>,
    #[schema(ignore)]
    modalities: Option<Value>,
    #[schema(ignore)]
    logit_bias: Option<Value>,
    #[schema(ignore)]
    prediction: Option<Value>,
    #[schema(ignore)]
    reasoning_effort: Option<Value>,
    #[schema(ignore)]
    verbosity: Option<Value>,
    #[schema(ignore)]
    web_search_options: Option<Value>,
    /// How the answer is written; only `{"type": "text"}`.
    #[schema(ignore)]
    response_format: Option<Value>,
}

/// What else a stream holds.
#[derive(Debug, Clone, Deserialize, ToSchema)]
pub(in super::super) struct StreamOptions {
    /// Whether the last chunk before the end tells the usage.
    include_usage: Option<bool>,
}

/// A message.
#[derive(Debug, Deserialize, ToSchema)]
pub(in super::super) struct Message {
    /// Who said it.
    role: Role,
    /// What was said.
    #[schema(value_type = Option<String>)]
    content: Option<Content>,
}

/// Who said a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum Role {
    /// Wishes of the answer's form; the server's rules about passages stand above them.
    System,
    /// The same.
    Developer,
    /// Whoever asks.
    User,
    /// An earlier answer.
    Assistant,
    /// Refused.
    Tool,
    /// Refused.
    Function,
}

impl Role {
    /// Whether it says how to answer, and is no part of what was said.
    fn instructs(self) -> bool {
        match self {
            Self::System | Self::Developer => true,
            Self::User | Self::Assistant | Self::Tool | Self::Function => false,
        }
    }
}

/// One text that ends the answer, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
enum Stop {
    One(String),
    Many(Vec<String>),
}

/// What was said, in one piece or in several.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of parts")]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
    /// What an assistant said instead of an answer.
    refusal: Option<String>,
}

impl FromBody for ChatRequest {
    const MAX_BYTES: Option<usize> = Some(256 * 1024);
}

/// A conversation that can be answered.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Conversation {
    /// The last message of the user.
    pub(super) question: String,
    /// What was said before, oldest first.
    history: Vec<Turn>,
    /// What the caller wishes of the answer's form.
    instructions: Option<String>,
    /// How a provider is to write.
    sampling: Sampling,
    /// Whether the answer comes in pieces.
    pub(super) stream: bool,
    /// Whether the stream tells the usage.
    pub(super) include_usage: bool,
}

impl ChatRequest {
    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The conversation, or the first thing in it that cannot be done.
    pub(super) fn checked(self) -> Result<Conversation, Problem> {
        self.refuse_what_is_not_done()?;
        if self.messages.len() > MAX_MESSAGES {
            return Err(invalid(
                "messages",
                format_args!("{} messages; send the last {MAX_MESSAGES}", self.messages.len()),
            ));
        }
        let sampling = self.sampling()?;
        // Some front ends put what they tell the model behind the question.
        let last = self.messages.iter().rposition(|message| !message.role.instructs()).unwrap_or(0);
        let (mut question, mut history, mut instructions) = (None, Vec::new(), Vec::new());
        for (at, message) in self.messages.into_iter().enumerate() {
            let Message { role, content } = message;
            let text = text(content, at)?;
            match role {
                Role::Tool | Role::Function => {
                    let what = "results of tools are not read; send messages of system, user and assistant";
                    return Err(invalid(format!("messages[{at}].role"), what));
                }
                Role::User if at == last => question = Some(text),
                Role::User => history.push(Turn { speaker: Speaker::User, text }),
                Role::Assistant => history.push(Turn { speaker: Speaker::Assistant, text }),
                Role::System | Role::Developer => instructions.push(text),
            }
        }
        let Some(question) = question else {
            let what = "the last message, but for those of system, must be the user's: it is the question";
            return Err(invalid("messages", what));
        };
        question::check(&question).map_err(|why| invalid(format!("messages[{last}].content"), why))?;
        let instructions = instructions.join("\n");
        if instructions.len() > MAX_INSTRUCTION_BYTES {
            let what =
                format!("{} bytes of system messages; at most {MAX_INSTRUCTION_BYTES} are read", instructions.len());
            return Err(invalid("messages", what));
        }
        let instructions = Some(instructions).filter(|text| !text.trim().is_empty());
        let include_usage = self.stream_options.and_then(|options| options.include_usage).unwrap_or(false);
        let stream = self.stream.unwrap_or(false);
        Ok(Conversation { question, history, instructions, sampling, stream, include_usage })
    }

    fn sampling(&self) -> Result<Sampling, Problem> {
        if let Some(given) = self.temperature.filter(|given| !(0.0..=2.0).contains(given)) {
            return Err(invalid("temperature", format_args!("{given}; it must be from 0 to 2")));
        }
        if let Some(given) = self.top_p.filter(|given| !(0.0..=1.0).contains(given)) {
            return Err(invalid("top_p", format_args!("{given}; it must be from 0 to 1")));
        }
        let stop = match &self.stop {
            None => Vec::new(),
            Some(Stop::One(text)) => vec![text.clone()],
            Some(Stop::Many(texts)) => texts.clone(),
        };
        if stop.len() > MAX_STOPS || stop.iter().any(|text| text.is_empty() || text.len() > MAX_STOP_BYTES) {
            return Err(invalid("stop", format_args!("at most {MAX_STOPS} texts of 1 to {MAX_STOP_BYTES} bytes")));
        }
        // Above what any model writes it is no limit.
        let most = |given: u64| u32::try_from(given).unwrap_or(u32::MAX);
        let max_tokens = self.max_completion_tokens.or(self.max_tokens).map(most);
        if max_tokens == Some(0) {
            return Err(invalid("max_tokens", "0; an answer has at least one token"));
        }
        for (field, given) in
            [("presence_penalty", self.presence_penalty), ("frequency_penalty", self.frequency_penalty)]
        {
            if let Some(given) = given.filter(|given| !(-2.0..=2.0).contains(given)) {
                return Err(invalid(field, format_args!("{given}; it must be from -2 to 2")));
            }
        }
        Ok(Sampling {
            temperature: self.temperature,
            top_p: self.top_p,
            max_tokens,
            seed: self.seed,
            presence_penalty: self.presence_penalty,
            frequency_penalty: self.frequency_penalty,
            stop,
        })
    }

    /// An answer that silently lacks what was asked for would be worse than none.
    fn refuse_what_is_not_done(&self) -> Result<(), Problem> {
        let no_tools = "tools are not called here; leave it out";
        let not_passed_on = "it is not passed on to a provider; leave it out";
        for (field, value, why) in [
            ("tools", &self.tools, no_tools),
            ("tool_choice", &self.tool_choice, no_tools),
            ("functions", &self.functions, no_tools),
            ("function_call", &self.function_call, no_tools),
            ("logprobs", &self.logprobs, "no probabilities are known; leave it out"),
            ("top_logprobs", &self.top_logprobs, "no probabilities are known; leave it out"),
            ("audio", &self.audio, "answers are text; leave it out"),
            ("logit_bias", &self.logit_bias, "it names tokens of a model that clients do not know here; leave it out"),
            ("prediction", &self.prediction, not_passed_on),
            ("reasoning_effort", &self.reasoning_effort, not_passed_on),
            ("verbosity", &self.verbosity, not_passed_on),
            ("web_search_options", &self.web_search_options, "only the documents are searched; leave it out"),
        ] {
            if value.as_ref().is_some_and(asks_for_something) {
                return Err(invalid(field, why));
            }
        }
        if let Some(n) = self.n.as_ref().filter(|n| !n.is_null() && **n != 1) {
            return Err(invalid("n", format_args!("{n}; one answer is given, so send 1 or leave it out")));
        }
        let modalities = self.modalities.as_ref().filter(|modalities| !modalities.is_null());
        if modalities.is_some_and(|modalities| *modalities != serde_json::json!(["text"])) {
            return Err(invalid("modalities", "answers are text; leave it out"));
        }
        let format = self.response_format.as_ref().filter(|format| !format.is_null());
        if format.is_some_and(|format| format["type"] != "text") {
            return Err(invalid("response_format", "answers are text; leave it out"));
        }
        Ok(())
    }
}

impl Conversation {
    /// The question as the flow takes it.
    pub(super) fn ask(self, defaults: &Retrieval, tenant: &Tenant, deadline: Deadline) -> Ask {
        let Self { question, history, instructions, sampling, .. } = self;
        let (mode, top_k, tenant) = (defaults.mode, defaults.top_k, tenant.clone());
        let query = Query { text: question, mode, top_k, tenant, ..Query::default() };
        Ask { history, instructions, sampling, deadline, ..Ask::from(query) }
    }
}

/// Whether a member wants what it is there for: clients send empty lists and `none`, too.
fn asks_for_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Object(members) => !members.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => text != "none",
        Value::Array(members) => !members.is_empty(),
    }
}

fn text(content: Option<Content>, message: usize) -> Result<String, Problem> {
    let parts = match content {
        None => return Ok(String::new()),
        Some(Content::Text(text)) => return Ok(text),
        Some(Content::Parts(parts)) => parts,
    };
    let texts = parts.into_iter().enumerate().map(|(at, part)| match (part.kind.as_str(), part.text, part.refusal) {
        ("text", Some(text), _) | ("refusal", _, Some(text)) => Ok(text),
        _ => Err(invalid(format!("messages[{message}].content[{at}]"), "only parts of the type text are read")),
    });
    Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n"))
}

#[cfg(test)]
mod tests;
