//! Any service that speaks OpenAI's chat completions, streamed.
//!
//! Guarantees: the key is read at each call and is in no message; a redirect is not followed, so the key goes nowhere else; what a service sends is bounded in memory; dropping an answer closes its connection.
//! Caveat: `https` needs certificates of the system. A system without any needs `SSL_CERT_FILE` or `SSL_CERT_DIR`.

mod headers;
mod pieces;
mod thinking;

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderMap},
};
use serde_json::{Value, json};

use crate::{
    model::Speaker,
    outside::{self, NotAnswered, Refusal, Service},
    ports::{ChatError, ChatModel, ChatRequest, ChatStream, RateLimit},
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
    service: Service,
    model: String,
}

impl OpenAi {
    /// A client; nothing is called yet.
    pub fn new(settings: &OpenAiSettings) -> Result<Self, OpenAiError> {
        let OpenAiSettings { base_url, model, api_key_file } = settings;
        let client = Client::builder().connect_timeout(CONNECT);
        let service = Service::new(base_url, "chat/completions", api_key_file.clone(), client)
            .map_err(|e| OpenAiError::Tls { base_url: base_url.clone(), cause: outside::innermost(&e) })?;
        Ok(Self { service, model: model.clone() })
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
        set("presence_penalty", sampling.presence_penalty.map(Value::from));
        set("frequency_penalty", sampling.frequency_penalty.map(Value::from));
        set("stop", (!sampling.stop.is_empty()).then(|| json!(sampling.stop)));
        body
    }
}

#[async_trait]
impl ChatModel for OpenAi {
    async fn chat(&self, request: &ChatRequest) -> Result<ChatStream, ChatError> {
        let response = self.service.post(&self.body(request)).await?;
        let rate_limit = headers::rate_limit(response.headers(), SystemTime::now());
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

impl From<NotAnswered> for ChatError {
    fn from(failure: NotAnswered) -> Self {
        match failure {
            NotAnswered::NoKey(cause) => Self::NoKey { cause: cause.to_string() },
            NotAnswered::Unreachable(cause) => Self::Unreachable { cause },
            NotAnswered::Timeout => Self::Timeout,
            NotAnswered::Broken(_) => Self::CutOff,
        }
    }
}

async fn refused(response: Response, rate_limit: RateLimit) -> ChatError {
    let status = response.status();
    // Some services tell an overload by 503 or 529 instead of 429; whichever asks for a rest gets one.
    let stay_away = status.is_server_error() && rate_limit.retry_after.is_some_and(|wait| !wait.is_zero());
    if status == StatusCode::TOO_MANY_REQUESTS || stay_away {
        return ChatError::RateLimited { rate_limit };
    }
    let Refusal { status: number, code, .. } = Refusal::read(response).await;
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ChatError::AuthFailed { status: number },
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
            ChatError::Refused { status: number, code }
        }
        _ => ChatError::Failed { status: number, code },
    }
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
        assert_eq!(service.service.url(), "http://llm/v1/chat/completions");
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
        let sampling = Sampling {
            temperature: Some(0.7),
            top_p: Some(0.1),
            seed: Some(-7),
            presence_penalty: Some(-0.3),
            frequency_penalty: Some(1.1),
            stop,
            max_tokens: None,
        };
        let full = service.body(&ChatRequest { sampling, ..request() });
        for (name, written) in [
            ("temperature", "0.7"),
            ("top_p", "0.1"),
            ("seed", "-7"),
            ("presence_penalty", "-0.3"),
            ("frequency_penalty", "1.1"),
            ("stop", r#"["x"]"#),
        ] {
            assert_eq!(full[name].to_string(), written, "{name}");
        }
    }

    #[tokio::test]
    async fn nobody_at_the_address_is_unreachable() {
        // Port 0 cannot be connected to.
        let error = service("http://127.0.0.1:0").chat(&request()).await.unwrap_err();
        assert!(matches!(error, ChatError::Unreachable { .. }), "{error:?}");
    }

    /// A service that answers once with this status and this `Retry-After`.
    async fn refusing(status: u16, retry_after: &'static str) -> OpenAi {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = move || async move { (status, [("retry-after", retry_after)], "{}") };
        let router = axum::Router::new().route("/chat/completions", axum::routing::post(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        service(&format!("http://{address}"))
    }

    #[tokio::test]
    async fn whoever_asks_for_a_rest_is_over_its_limit_for_an_hour_at_most() {
        let hour = Some(Duration::from_secs(3600));
        for (status, asked_for, wait) in [
            (429, "7", Some(Duration::from_secs(7))),
            (429, "4000000000", hour),
            (503, "18446744073709551615", hour),
            (529, "Fri, 31 Dec 9999 23:59:59 GMT", hour),
            (500, "4000000000", hour),
            (429, "Sat, 21 Nov 2015 09:00:30 GMT", Some(Duration::ZERO)),
            (429, "-1", None),
            (429, "soon", None),
        ] {
            let error = refusing(status, asked_for).await.chat(&request()).await.unwrap_err();
            let ChatError::RateLimited { rate_limit } = error else { panic!("{status} {asked_for}: {error}") };
            assert_eq!(rate_limit.retry_after, wait, "{status} {asked_for}");
        }
        for (status, asked_for) in [(500, "0"), (503, "-1"), (502, "soon")] {
            let error = refusing(status, asked_for).await.chat(&request()).await.unwrap_err();
            assert_eq!(error, ChatError::Failed { status, code: String::new() }, "{asked_for}");
        }
    }

    #[tokio::test]
    async fn what_was_not_accepted_is_told_from_what_may_be_billed() {
        for (status, accepted) in [(400, false), (401, false), (404, false), (429, false), (500, false)] {
            let error = refusing(status, "0").await.chat(&request()).await.unwrap_err();
            assert_eq!((error.was_sent(), error.was_accepted()), (true, accepted), "{status}");
        }
        let away = service("http://127.0.0.1:0").chat(&request()).await.unwrap_err();
        assert_eq!((away.was_sent(), away.was_accepted()), (false, false));

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let hangs_up = tokio::spawn(async move { listener.accept().await.unwrap().0.readable().await });
        let broken = service(&format!("http://{address}")).chat(&request()).await.unwrap_err();
        hangs_up.await.unwrap().unwrap();
        assert_eq!((&broken, broken.was_accepted()), (&ChatError::CutOff, true));
    }
}
