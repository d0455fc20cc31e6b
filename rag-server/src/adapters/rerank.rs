//! Any service with a `/rerank` in the shape that Cohere, Jina, vLLM and many others share.
//!
//! Guarantees: the key is read at each call and is in no message; a redirect is not followed, so the key goes nowhere else; what a service sends is bounded in memory.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use reqwest::Client;
use serde::Deserialize;
use serde_json::json;

use crate::{
    outside::{self, NotAnswered, Refusal, Rest, Service, Unread},
    ports::{Bill, Fare, NoToll, RerankError, Reranker, Toll, Trip},
};

/// A service that does not accept a connection by then is down.
const CONNECT: Duration = Duration::from_secs(2);
/// A reranker that needs longer costs more than it gains.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest rest, whatever the service asks for: one question a minute finds out whether it was meant.
const LONGEST_REST: Duration = Duration::from_secs(60);
/// Longest wait for a rate limit: the fused order is better than a late one.
const PATIENCE: Duration = Duration::from_secs(1);
/// Bytes that count as a token where the service does not say how many there were.
const BYTES_PER_TOKEN: usize = 3;
/// Texts that are billed as one search by services that bill searches.
const TEXTS_PER_SEARCH: usize = 100;
/// Bytes of a text above which such services may bill it as several: five hundred tokens have at least as many.
const BYTES_PER_TEXT: usize = 500;
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
pub struct HttpReranker {
    service: Service,
    model: String,
    rest: Rest,
    toll: Arc<dyn Toll>,
}

#[derive(Deserialize)]
struct Answer {
    results: Vec<Scored>,
    /// What was read, by services that bill tokens.
    #[serde(default)]
    usage: Option<Usage>,
    /// What is billed, by services that bill searches.
    #[serde(default)]
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Usage {
    total_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Meta {
    billed_units: Option<Units>,
}

/// Numbers that some services write with a fraction of zero.
#[derive(Deserialize)]
struct Units {
    search_units: Option<f64>,
    input_tokens: Option<f64>,
}

impl Answer {
    /// What it took by the service's own count, where it says so, and otherwise what was estimated.
    fn fare(&self, estimate: Fare) -> Fare {
        let units = self.meta.as_ref().and_then(|meta| meta.billed_units.as_ref());
        let whole = |number: f64| number.ceil() as u64;
        let tokens = self.usage.as_ref().and_then(|usage| usage.total_tokens);
        Fare {
            tokens: tokens.or_else(|| units?.input_tokens.map(whole)).unwrap_or(estimate.tokens),
            requests: units.and_then(|units| units.search_units).map_or(estimate.requests, whole),
        }
    }
}

#[derive(Deserialize)]
struct Scored {
    index: usize,
    #[serde(alias = "score")]
    relevance_score: f32,
}

impl HttpReranker {
    /// A client of a service without a price and a limit; nothing is called yet.
    pub fn new(settings: RerankSettings) -> Result<Self, RerankError> {
        Self::behind(Arc::new(NoToll), settings)
    }

    /// A client; nothing is called yet. Each request passes this toll.
    pub fn behind(toll: Arc<dyn Toll>, settings: RerankSettings) -> Result<Self, RerankError> {
        let RerankSettings { base_url, model, api_key_file } = settings;
        let client = Client::builder().connect_timeout(CONNECT).timeout(TIMEOUT);
        let service = Service::new(&base_url, "rerank", api_key_file, client)
            .map_err(|e| RerankError::Unreachable { address: base_url, cause: outside::innermost(&e) })?;
        Ok(Self { service, model, rest: Rest::new(LONGEST_REST), toll })
    }

    fn address(&self) -> String {
        self.service.url().to_owned()
    }

    fn garbled(&self, cause: impl Into<String>) -> RerankError {
        RerankError::Garbled { address: self.address(), cause: cause.into() }
    }

    fn not_answered(&self, failure: NotAnswered) -> RerankError {
        match failure {
            NotAnswered::NoKey(cause) => RerankError::NoKey { cause: cause.to_string() },
            NotAnswered::Unreachable(_) | NotAnswered::Timeout | NotAnswered::Broken(_) => {
                RerankError::Unreachable { address: self.address(), cause: failure.to_string() }
            }
        }
    }
}

#[async_trait]
impl Reranker for HttpReranker {
    async fn rerank(&self, question: &str, texts: &[&str]) -> Result<Vec<f32>, RerankError> {
        if let Some(rest) = self.rest.left(Instant::now()) {
            return Err(RerankError::LeftAlone { address: self.address(), seconds: rest.as_secs() + 1 });
        }
        let trip = trip(question, texts);
        let not_admitted = |cause| RerankError::NotAdmitted { address: self.address(), cause };
        let mut bill = self.toll.admit(trip).await.map_err(not_admitted)?;
        // From now on it is owed, also if nobody waits for it any more.
        bill.owes(trip.estimate);
        let answer = self.ask(question, texts, &mut *bill).await?;
        bill.owes(answer.fare(trip.estimate));
        self.scores(answer, texts.len())
    }
}

impl HttpReranker {
    async fn ask(&self, question: &str, texts: &[&str], bill: &mut dyn Bill) -> Result<Answer, RerankError> {
        let body = json!({ "model": self.model, "query": question, "documents": texts, "top_n": texts.len(), "return_documents": false });
        let response = self.service.post(&body).await.map_err(|failure| {
            if !failure.was_sent() {
                bill.owes(Fare::default());
            }
            self.not_answered(failure)
        })?;
        if !response.status().is_success() {
            bill.owes(Fare::default());
            let Refusal { status, retry_after, .. } = Refusal::read(response).await;
            retry_after.into_iter().for_each(|wait| self.rest.ask(wait, Instant::now()));
            return Err(RerankError::Refused { address: self.address(), status });
        }
        let body = outside::bounded(response, MAX_ANSWER_BYTES).await.map_err(|unread| match unread {
            Unread::TooLong(_) => self.garbled(unread.to_string()),
            Unread::Broken(error) => self.not_answered(NotAnswered::of(&error)),
        })?;
        serde_json::from_slice(&body).map_err(|e| self.garbled(e.to_string()))
    }

    fn scores(&self, answer: Answer, expected: usize) -> Result<Vec<f32>, RerankError> {
        let mut scores = vec![None; expected];
        for Scored { index, relevance_score } in answer.results {
            let place = scores.get_mut(index).ok_or_else(|| self.garbled(format!("it scores a text {index}")))?;
            *place = Some(relevance_score).filter(|score| score.is_finite());
        }
        scores.into_iter().collect::<Option<Vec<f32>>>().ok_or_else(|| self.garbled("it leaves texts without a score"))
    }
}

/// What a question with these passages takes.
fn trip(question: &str, texts: &[&str]) -> Trip {
    // The question is read again with each passage.
    let bytes: usize = texts.iter().map(|text| text.len() + question.len()).sum();
    let pieces: usize = texts.iter().map(|text| (text.len() + question.len()).div_ceil(BYTES_PER_TEXT).max(1)).sum();
    let searches = |texts: usize| texts.div_ceil(TEXTS_PER_SEARCH).max(1) as u64;
    Trip {
        estimate: Fare { tokens: bytes.div_ceil(BYTES_PER_TOKEN) as u64, requests: searches(texts.len()) },
        most: Fare { tokens: bytes as u64, requests: searches(pieces) },
        lasts: TIMEOUT,
        patience: PATIENCE,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use axum::{Json, Router, http::HeaderMap, response::AppendHeaders, routing::post};
    use serde_json::Value;

    use super::*;
    use crate::ports::NotAdmitted;

    type Asked = tokio::sync::mpsc::UnboundedReceiver<(HeaderMap, Value)>;

    /// A service that gives this answer, and tells the test what it was asked.
    async fn service(answer: Value, status: u16) -> (String, Asked) {
        resting(answer, status, None).await
    }

    /// The same with this `Retry-After`.
    async fn resting(answer: Value, status: u16, retry_after: Option<&'static str>) -> (String, Asked) {
        let (told, asked) = tokio::sync::mpsc::unbounded_channel();
        let handler = move |headers: HeaderMap, Json(body): Json<Value>| async move {
            told.send((headers, body)).unwrap();
            let wait = retry_after.map(|wait| [("retry-after", wait)]);
            (axum::http::StatusCode::from_u16(status).unwrap(), wait.map(AppendHeaders), Json(answer))
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

    #[tokio::test]
    async fn a_service_that_asks_for_a_rest_gets_one_of_a_minute_at_most() {
        for (status, asked_for, most) in [
            (429, "7", 8),
            (503, "4000000000", 61),
            (500, "18446744073709551615", 61),
            (429, "Fri, 31 Dec 9999 23:59:59 GMT", 61),
        ] {
            let (address, mut asked) = resting(json!({}), status, Some(asked_for)).await;
            let reranker = reranker(&address, None);
            let refused = reranker.rerank("q", &["a"]).await.unwrap_err();
            assert!(matches!(refused, RerankError::Refused { .. }), "{refused}");
            let RerankError::LeftAlone { seconds, .. } = reranker.rerank("q", &["a"]).await.unwrap_err() else {
                panic!("it was asked again")
            };
            assert!((most - 2..=most).contains(&seconds), "{asked_for}: {seconds}");
            assert!(asked.recv().await.is_some() && asked.try_recv().is_err());
        }
        for nothing in ["0", "-1", "soon", "Sat, 21 Nov 2015 09:00:30 GMT"] {
            let (address, _asked) = resting(json!({}), 429, Some(nothing)).await;
            let reranker = reranker(&address, None);
            for _ in 0..2 {
                let refused = reranker.rerank("q", &["a"]).await.unwrap_err();
                assert!(matches!(refused, RerankError::Refused { .. }), "{nothing}: {refused}");
            }
        }
    }

    /// Keeps what is owed, and refuses if it is told to.
    #[derive(Default)]
    struct Till {
        owed: Arc<Mutex<Vec<Fare>>>,
        refuses: Option<NotAdmitted>,
    }

    struct Slip(Arc<Mutex<Vec<Fare>>>);

    impl Bill for Slip {
        fn owes(&mut self, fare: Fare) {
            self.0.lock().unwrap().push(fare);
        }
    }

    #[async_trait]
    impl Toll for Till {
        async fn admit(&self, trip: Trip) -> Result<Box<dyn Bill>, NotAdmitted> {
            assert!(trip.most.tokens >= trip.estimate.tokens && trip.most.requests >= trip.estimate.requests);
            self.refuses.map_or(Ok(Box::new(Slip(Arc::clone(&self.owed)))), Err)
        }
    }

    fn tolled(base_url: &str, till: Till) -> (HttpReranker, Arc<Mutex<Vec<Fare>>>) {
        let owed = Arc::clone(&till.owed);
        let settings = RerankSettings { base_url: base_url.to_owned(), model: "m".to_owned(), api_key_file: None };
        (HttpReranker::behind(Arc::new(till), settings).unwrap(), owed)
    }

    #[tokio::test]
    async fn a_service_is_owed_what_it_says_that_it_took_an_estimate_if_it_does_not_and_nothing_if_it_refuses() {
        // The question and a text of 30 bytes together are eleven tokens.
        let estimate = Fare { tokens: 11, requests: 1 };
        for (more, status, owed) in [
            (json!({ "usage": { "total_tokens": 77 } }), 200, Fare { tokens: 77, requests: 1 }),
            (json!({ "meta": { "billed_units": { "search_units": 3.0 } } }), 200, Fare { tokens: 11, requests: 3 }),
            (json!({ "meta": { "billed_units": { "input_tokens": 9 } } }), 200, Fare { tokens: 9, requests: 1 }),
            (json!({ "usage": {}, "meta": {} }), 200, estimate),
            (json!({}), 429, Fare::default()),
        ] {
            let mut answer = json!({ "results": [{ "index": 0, "relevance_score": 0.9 }] });
            answer.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let (address, _asked) = service(answer, status).await;
            let (reranker, till) = tolled(&address, Till::default());
            let answered = reranker.rerank("q?", &[&"a".repeat(30)]).await;
            assert_eq!(answered.is_ok(), status == 200, "{answered:?}");
            let said = till.lock().unwrap().clone();
            assert_eq!((said.first(), said.last()), (Some(&estimate), Some(&owed)), "{more}");
        }
    }

    #[tokio::test]
    async fn a_service_that_may_not_be_paid_is_not_asked() {
        let (address, mut asked) = service(json!({ "results": [] }), 200).await;
        let refusal = NotAdmitted::OverBudget { retry_after: Duration::from_secs(9) };
        let till = Till { refuses: Some(refusal), ..Till::default() };
        let error = tolled(&address, till).0.rerank("q", &["a"]).await.unwrap_err();
        assert!(matches!(error, RerankError::NotAdmitted { cause, .. } if cause == refusal), "{error}");
        assert!(asked.try_recv().is_err());
    }
}
