//! What a client may send, and what of it is refused by name instead of being ignored.

use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::super::{
    super::super::{error::Problem, extract::FromBody},
    invalid,
};

/// Bytes of a question; the model reads the first 256 tokens.
const MAX_QUESTION_BYTES: usize = 8 * 1024;

/// Messages of a conversation.
const MAX_MESSAGES: usize = 1000;

/// A conversation. Members that are not listed, such as `temperature`, are ignored.
#[derive(Debug, Deserialize, ToSchema)]
pub(in super::super) struct ChatRequest {
    /// `rag`.
    model: Option<String>,
    /// The conversation; its last message is the question, up to 8192 bytes.
    #[schema(min_items = 1, max_items = 1000)]
    messages: Vec<Message>,
    /// Whether the answer comes in pieces, as server-sent events.
    stream: Option<bool>,
    /// What else a stream holds.
    stream_options: Option<StreamOptions>,
    /// How many answers; only 1.
    n: Option<Value>,
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
    /// Ignored: what the generator is told is the server's.
    System,
    /// Ignored, too.
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
}

impl FromBody for ChatRequest {
    const MAX_BYTES: Option<usize> = Some(256 * 1024);
}

/// A conversation that can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conversation {
    /// The last message of the user.
    pub(super) question: String,
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
        let last = self.messages.len().saturating_sub(1);
        let mut question = None;
        for (at, message) in self.messages.into_iter().enumerate() {
            let Message { role, content } = message;
            let text = text(content, at)?;
            match role {
                Role::Tool | Role::Function => {
                    let what = "results of tools are not read; send messages of system, user and assistant";
                    return Err(invalid(format!("messages[{at}].role"), what));
                }
                Role::User if at == last => question = Some(text),
                Role::System | Role::Developer | Role::User | Role::Assistant => {}
            }
        }
        let Some(question) = question else {
            return Err(invalid("messages", "the last message must be the user's: it is the question"));
        };
        if question.trim().is_empty() {
            return Err(invalid(format!("messages[{last}].content"), "the question is empty"));
        }
        if question.len() > MAX_QUESTION_BYTES {
            let what = format!("{} bytes; a question has at most {MAX_QUESTION_BYTES}", question.len());
            return Err(invalid(format!("messages[{last}].content"), what));
        }
        let include_usage = self.stream_options.and_then(|options| options.include_usage).unwrap_or(false);
        Ok(Conversation { question, stream: self.stream.unwrap_or(false), include_usage })
    }

    /// An answer that silently lacks what was asked for would be worse than none.
    fn refuse_what_is_not_done(&self) -> Result<(), Problem> {
        let no_tools = "tools are not called here; leave it out";
        for (field, value, why) in [
            ("tools", &self.tools, no_tools),
            ("tool_choice", &self.tool_choice, no_tools),
            ("functions", &self.functions, no_tools),
            ("function_call", &self.function_call, no_tools),
            ("logprobs", &self.logprobs, "no probabilities are known; leave it out"),
            ("top_logprobs", &self.top_logprobs, "no probabilities are known; leave it out"),
            ("audio", &self.audio, "answers are text; leave it out"),
        ] {
            if value.as_ref().is_some_and(asks_for_something) {
                return Err(invalid(field, why));
            }
        }
        if let Some(n) = self.n.as_ref().filter(|n| !n.is_null() && **n != 1) {
            return Err(invalid("n", format_args!("{n}; one answer is given, so send 1 or leave it out")));
        }
        let format = self.response_format.as_ref().filter(|format| !format.is_null());
        if format.is_some_and(|format| format["type"] != "text") {
            return Err(invalid("response_format", "answers are text; leave it out"));
        }
        Ok(())
    }
}

/// Whether a member wants what it is there for: clients send empty lists and `none`, too.
fn asks_for_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) | Value::Object(_) => true,
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
    let texts = parts.into_iter().enumerate().map(|(at, part)| match (part.kind.as_str(), part.text) {
        ("text", Some(text)) => Ok(text),
        _ => Err(invalid(format!("messages[{message}].content[{at}]"), "only parts of the type text are read")),
    });
    Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::error::Code;

    fn checked(mut request: Value) -> Result<Conversation, Problem> {
        if request.get("messages").is_none() {
            request["messages"] = json!([{"role": "user", "content": "how long?"}]);
        }
        serde_json::from_value::<ChatRequest>(request).unwrap().checked()
    }

    #[test]
    fn the_last_message_of_the_user_is_the_question() {
        let conversation = checked(json!({"messages": [
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": "what?"},
            {"role": "assistant", "content": null},
            {"role": "user", "content": [{"type": "text", "text": "how"}, {"type": "text", "text": "long?"}]},
        ]}));
        let expected = Conversation { question: "how\nlong?".to_owned(), stream: false, include_usage: false };
        assert_eq!(conversation, Ok(expected));
    }

    #[test]
    fn a_conversation_without_a_question_is_refused() {
        let assistant = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]);
        for messages in [json!([]), assistant, json!([{"role": "user", "content": " "}]), json!([{"role": "user"}])] {
            let problem = checked(json!({"messages": messages})).unwrap_err();
            assert_eq!(problem.code, Code::InvalidValue, "{messages}");
            assert!(problem.param.is_some_and(|field| field.starts_with("messages")), "{messages}");
        }
    }

    #[test]
    fn what_is_not_done_is_refused_by_its_name() {
        for (field, value) in [
            ("tools", json!([{"type": "function"}])),
            ("tool_choice", json!("auto")),
            ("functions", json!([{}])),
            ("function_call", json!({"name": "f"})),
            ("n", json!(2)),
            ("logprobs", json!(true)),
            ("top_logprobs", json!(3)),
            ("audio", json!({})),
            ("response_format", json!({"type": "json_object"})),
        ] {
            let problem = checked(json!({field: value})).unwrap_err();
            assert_eq!(problem.param.as_deref(), Some(field));
        }
        let image = json!([{"role": "user", "content": [{"type": "image_url"}]}]);
        assert_eq!(checked(json!({"messages": image})).unwrap_err().param.as_deref(), Some("messages[0].content[0]"));
        let tool = json!([{"role": "tool", "content": "x"}, {"role": "user", "content": "a"}]);
        assert_eq!(checked(json!({"messages": tool})).unwrap_err().param.as_deref(), Some("messages[0].role"));
    }

    #[test]
    fn what_asks_for_nothing_is_no_obstacle() {
        let harmless = json!({
            "tools": [], "tool_choice": "none", "n": 1, "logprobs": false, "functions": null, "temperature": 0.1,
            "response_format": {"type": "text"}, "stream": true, "stream_options": {"include_usage": true},
        });
        let conversation = checked(harmless).unwrap();
        assert!(conversation.stream && conversation.include_usage);
    }
}
