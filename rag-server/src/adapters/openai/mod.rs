//! Any service that speaks OpenAI's chat completions, streamed.
//!
//! Guarantees: the key is read at each call and is in no message; a redirect is not followed, so the key goes nowhere else; what a service sends is bounded in memory; dropping an answer closes its connection.
//! Caveat: `https` needs certificates of the system. A system without any needs `SSL_CERT_FILE` or `SSL_CERT_DIR`.

mod headers;
mod pieces;
mod thinking;

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use reqwest::{
    Client, Response, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap},
};
use serde_json::{Value, json};

use crate::{
    model::Speaker,
    outside,
    ports::{ChatError, ChatModel, ChatRequest, ChatStream},
};

/// A service that does not accept a connection by then is down; its timeout is for the answer.
const CONNECT: Duration = Duration::from_secs(5);
/// Where a service is, and what to ask it for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAiSettings {
    /// Where its API is, such as `https://api.example.com/v1`.
    pub base_url: String,
    /// The model.
    pub model: String,
    /// File that holds the key; none when the service wants none.
    pub api_key_file: Option<PathBuf>,
}

/// Why a client for a service could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenAiError {
    /// Most likely there are no certificates to trust.
    #[error(
        "no secure connection to {base_url} can be made: {cause}; where the system has no CA certificates, set SSL_CERT_FILE to a PEM file that holds them"
    )]
    Tls {
        /// Where.
        base_url: String,
        /// What the client said.
        cause: String,
    },
}

/// A service.
#[derive(Debug, Clone)]
pub struct OpenAi {
    http: Client,
    url: String,
    model: String,
    api_key_file: Option<PathBuf>,
}

impl OpenAi {
    /// A client; nothing is called yet.
    pub fn new(settings: &OpenAiSettings) -> Result<Self, OpenAiError> {
        let base_url = settings.base_url.trim_end_matches('/');
        let http = outside::client(base_url, Client::builder().connect_timeout(CONNECT))
            .map_err(|e| OpenAiError::Tls { base_url: base_url.to_owned(), cause: outside::innermost(&e) })?;
        Ok(Self {
            http,
            url: format!("{base_url}/chat/completions"),
            model: settings.model.clone(),
            api_key_file: settings.api_key_file.clone(),
        })
    }

    fn body(&self, request: &ChatRequest) -> Value {
        let role = |speaker| match speaker {
            Speaker::User => "user",
            Speaker::Assistant => "assistant",
        };
        let turns = request.turns.iter().map(|turn| json!({ "role": role(turn.speaker), "content": turn.text }));
        let system = json!({ "role": "system", "content": request.system });
        let messages: Vec<_> = std::iter::once(system).chain(turns).collect();
        let mut body = json!({
            "model": self.model,
            "messages": messages,
            "max_tokens": request.max_tokens,
            "stream": true,
            "stream_options": { "include_usage": true },
        });
        let sampling = &request.sampling;
        // Only what was asked for: some models refuse a parameter whatever its value.
        let mut set = |name: &str, value: Option<Value>| value.map(|value| body[name] = value);
        set("temperature", sampling.temperature.map(Value::from));
        set("top_p", sampling.top_p.map(Value::from));
        set("seed", sampling.seed.map(Value::from));
        set("stop", (!sampling.stop.is_empty()).then(|| json!(sampling.stop)));
        body
    }
}

#[async_trait]
impl ChatModel for OpenAi {
    async fn chat(&self, request: &ChatRequest) -> Result<ChatStream, ChatError> {
        let mut call = self.http.post(&self.url).json(&self.body(request));
        if let Some(path) = &self.api_key_file {
            let key = outside::bearer(path).await.map_err(|e| ChatError::NoKey { cause: e.to_string() })?;
            call = call.header(AUTHORIZATION, key);
        }
        let response = call.send().await.map_err(|e| failed(&e))?;
        let rate_limit = headers::rate_limit(response.headers(), jiff::Timestamp::now());
        if !response.status().is_success() {
            return Err(refused(response, rate_limit).await);
        }
        let most = pieces::most_bytes(request.max_tokens);
        let pieces = if is_json(response.headers()) {
            pieces::whole(response.bytes_stream(), most)
        } else {
            pieces::streamed(response.bytes_stream(), most)
        };
        Ok(ChatStream { rate_limit, pieces: thinking::told_apart(pieces) })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

/// What the client's error means. Its text may hold the address, and holds no key.
fn failed(error: &reqwest::Error) -> ChatError {
    if error.is_timeout() && !error.is_connect() {
        return ChatError::Timeout;
    }
    ChatError::Unreachable { cause: outside::innermost(error) }
}

async fn refused(response: Response, rate_limit: crate::ports::RateLimit) -> ChatError {
    let status = response.status();
    let number = status.as_u16();
    // Some services tell an overload by 503 or 529 instead of 429.
    let stay_away = rate_limit.retry_after.is_some() && [503, 529].contains(&number);
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ChatError::AuthFailed { status: number },
        StatusCode::TOO_MANY_REQUESTS => ChatError::RateLimited { rate_limit },
        _ if stay_away => ChatError::RateLimited { rate_limit },
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
            ChatError::Refused { status: number, code: code(response).await }
        }
        _ => ChatError::Failed { status: number, code: code(response).await },
    }
}

/// The code in an error's body, as it stands in a message.
async fn code(response: Response) -> String {
    outside::error_code(response).await.map_or_else(String::new, |code| format!(", {code}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Sampling, Turn};

    fn request() -> ChatRequest {
        let turn = |speaker, text: &str| Turn { speaker, text: text.to_owned() };
        let turns = vec![turn(Speaker::User, "a"), turn(Speaker::Assistant, "b"), turn(Speaker::User, "c")];
        ChatRequest { system: "s".to_owned(), turns, max_tokens: 9, sampling: Sampling::default() }
    }

    fn service(base_url: &str) -> OpenAi {
        let (base_url, model) = (base_url.to_owned(), "m".to_owned());
        OpenAi::new(&OpenAiSettings { base_url, model, api_key_file: None }).unwrap()
    }

    #[test]
    fn a_request_holds_what_was_asked_for_and_no_parameter_that_was_not() {
        let service = service("http://llm/v1/");
        assert_eq!(service.url, "http://llm/v1/chat/completions");
        let plain = service.body(&request());
        let messages = json!([
            {"role": "system", "content": "s"}, {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"},
        ]);
        let expected = json!({
            "model": "m", "messages": messages, "max_tokens": 9, "stream": true,
            "stream_options": {"include_usage": true},
        });
        assert_eq!(plain, expected);
        let stop = vec!["x".to_owned()];
        let sampling = Sampling { temperature: Some(0.0), top_p: Some(0.5), seed: Some(7), stop, max_tokens: None };
        let full = service.body(&ChatRequest { sampling, ..request() });
        assert_eq!((&full["temperature"], &full["top_p"]), (&json!(0.0), &json!(0.5)));
        assert_eq!((&full["seed"], &full["stop"]), (&json!(7), &json!(["x"])));
    }

    #[tokio::test]
    async fn nobody_at_the_address_is_unreachable() {
        // Port 0 cannot be connected to.
        let error = service("http://127.0.0.1:0").chat(&request()).await.unwrap_err();
        assert!(matches!(error, ChatError::Unreachable { .. }), "{error:?}");
    }
}
