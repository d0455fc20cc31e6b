//! Any service with a `/rerank` in the shape that Cohere, Jina, vLLM and many others share.
//!
//! Guarantees: the key is read at each call and is in no message; a redirect is not followed, so the key goes nowhere else; what a service sends is bounded in memory.

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use reqwest::{Client, header};
use serde::Deserialize;
use serde_json::json;

use crate::{
    outside::{self, Unread},
    ports::{RerankError, Reranker},
};

/// A service that does not accept a connection by then is down.
const CONNECT: Duration = Duration::from_secs(2);
/// A reranker that needs longer costs more than it gains.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer; a thousand scores without their texts are a tenth of it.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// Where a reranker is, and what to ask it for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RerankSettings {
    /// Where its API is; `/rerank` is added.
    pub base_url: String,
    /// The model.
    pub model: String,
    /// File that holds the key; none when the service wants none.
    pub api_key_file: Option<PathBuf>,
}

/// A service.
#[derive(Debug, Clone)]
pub struct HttpReranker {
    http: Client,
    address: String,
    model: String,
    api_key_file: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Scored>,
}

#[derive(Deserialize)]
struct Scored {
    index: usize,
    #[serde(alias = "score")]
    relevance_score: f32,
}

impl HttpReranker {
    /// A client; nothing is called yet.
    pub fn new(settings: RerankSettings) -> Result<Self, RerankError> {
        let RerankSettings { base_url, model, api_key_file } = settings;
        let address = format!("{}/rerank", base_url.trim_end_matches('/'));
        let http = outside::client(&base_url, Client::builder().connect_timeout(CONNECT).timeout(TIMEOUT))
            .map_err(|e| unreachable(&address, &e))?;
        Ok(Self { http, address, model, api_key_file })
    }

    fn garbled(&self, cause: impl Into<String>) -> RerankError {
        RerankError::Garbled { address: self.address.clone(), cause: cause.into() }
    }
}

#[async_trait]
impl Reranker for HttpReranker {
    async fn rerank(&self, question: &str, texts: &[&str]) -> Result<Vec<f32>, RerankError> {
        let body = json!({ "model": self.model, "query": question, "documents": texts, "top_n": texts.len(), "return_documents": false });
        let mut call = self.http.post(&self.address).json(&body);
        if let Some(path) = &self.api_key_file {
            let key = outside::bearer(path).await.map_err(|e| RerankError::NoKey { cause: e.to_string() })?;
            call = call.header(header::AUTHORIZATION, key);
        }
        let response = call.send().await.map_err(|e| unreachable(&self.address, &e))?;
        if !response.status().is_success() {
            return Err(RerankError::Refused { address: self.address.clone(), status: response.status().as_u16() });
        }
        let body = outside::bounded(response, MAX_ANSWER_BYTES).await.map_err(|unread| match unread {
            Unread::TooLong(_) => self.garbled(unread.to_string()),
            Unread::Broken(error) => unreachable(&self.address, &error),
        })?;
        let answer: Answer = serde_json::from_slice(&body).map_err(|e| self.garbled(e.to_string()))?;
        let mut scores = vec![None; texts.len()];
        for Scored { index, relevance_score } in answer.results {
            let place = scores.get_mut(index).ok_or_else(|| self.garbled(format!("it scores a text {index}")))?;
            *place = Some(relevance_score).filter(|score| score.is_finite());
        }
        scores.into_iter().collect::<Option<Vec<f32>>>().ok_or_else(|| self.garbled("it leaves texts without a score"))
    }
}

/// The address is named once.
fn unreachable(address: &str, error: &reqwest::Error) -> RerankError {
    RerankError::Unreachable { address: address.to_owned(), cause: outside::innermost(error) }
}

#[cfg(test)]
mod tests {
    use axum::{Json, Router, http::HeaderMap, routing::post};
    use serde_json::Value;

    use super::*;

    /// A service that answers `body` and gives back what it was asked in the error of the test.
    async fn service(answer: Value, status: u16) -> (String, tokio::sync::mpsc::UnboundedReceiver<(HeaderMap, Value)>) {
        let (told, asked) = tokio::sync::mpsc::unbounded_channel();
        let handler = move |headers: HeaderMap, Json(body): Json<Value>| async move {
            told.send((headers, body)).unwrap();
            (axum::http::StatusCode::from_u16(status).unwrap(), Json(answer))
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/v1/", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/rerank", post(handler));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (address, asked)
    }

    fn reranker(base_url: &str, api_key_file: Option<PathBuf>) -> HttpReranker {
        let settings = RerankSettings { base_url: base_url.to_owned(), model: "m".to_owned(), api_key_file };
        HttpReranker::new(settings).unwrap()
    }

    #[tokio::test]
    async fn scores_come_back_in_the_order_of_the_texts_and_the_key_goes_along() {
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        std::fs::write(&key, "s3cret\n").unwrap();
        let answer = json!({ "results": [{ "index": 1, "relevance_score": 0.9 }, { "index": 0, "score": 0.1 }] });
        let (address, mut asked) = service(answer, 200).await;
        assert_eq!(reranker(&address, Some(key)).rerank("q", &["a", "b"]).await, Ok(vec![0.1, 0.9]));
        let (headers, body) = asked.recv().await.unwrap();
        assert_eq!(headers["authorization"], "Bearer s3cret");
        assert_eq!(
            (&body["query"], &body["documents"], &body["model"]),
            (&json!("q"), &json!(["a", "b"]), &json!("m"))
        );
    }

    #[tokio::test]
    async fn an_answer_that_makes_no_sense_is_refused() {
        for results in [json!([]), json!([{ "index": 7, "relevance_score": 1.0 }]), json!("none")] {
            let (address, _asked) = service(json!({ "results": results }), 200).await;
            let error = reranker(&address, None).rerank("q", &["a"]).await.unwrap_err();
            assert!(matches!(error, RerankError::Garbled { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn a_failure_has_its_class_and_never_the_key() {
        let (address, _asked) = service(json!({}), 429).await;
        let refused = reranker(&address, None).rerank("q", &["a"]).await.unwrap_err();
        assert!(matches!(refused, RerankError::Refused { status: 429, .. }), "{refused}");
        let away = reranker("http://127.0.0.1:1", None).rerank("q", &["a"]).await.unwrap_err();
        assert!(matches!(away, RerankError::Unreachable { .. }), "{away}");
        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("key");
        std::fs::write(&key, "two words").unwrap();
        let error = reranker(&address, Some(key)).rerank("q", &["a"]).await.unwrap_err().to_string();
        assert!(error.contains("key") && !error.contains("two words"), "{error}");
    }
}
