//! The embedder behind OpenAI's API, against a provider that is told what to answer.

use std::{
    collections::VecDeque,
    io::Write as _,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use rag_server::{
    adapters::openai_embedder::{OpenAiEmbedder, OpenAiSettings, Pauses, ProviderError},
    ports::{EmbedError, Embedder, ProviderFailure},
};
use serde_json::{Value, json};

/// What the provider answers next.
#[derive(Clone, Copy)]
enum Next {
    Vectors,
    Status(u16),
    /// This status with this `Retry-After`.
    Rest(u16, &'static str),
    Garbage,
    TooFew,
}

#[derive(Default)]
struct Script {
    next: VecDeque<Next>,
    asked: Vec<Value>,
    keys: Vec<String>,
}

/// A double of a provider: vectors of `length` numbers, which it shortens if it may.
#[derive(Clone)]
struct Provider {
    script: Arc<Mutex<Script>>,
    length: usize,
    shortens: bool,
    url: String,
}

impl Provider {
    async fn start(length: usize, shortens: bool) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/", listener.local_addr().unwrap());
        let provider = Self { script: Arc::default(), length, shortens, url };
        let router = Router::new().route("/v1/embeddings", post(answer)).with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    fn settings(&self, dimensions: usize) -> OpenAiSettings {
        let (first, longest) = (Duration::from_millis(1), Duration::from_millis(5));
        let pauses = Pauses { first, longest, rest: Duration::from_secs(60) };
        let (base_url, model) = (self.url.clone(), "small".to_owned());
        OpenAiSettings { base_url, model, dimensions, api_key_file: None, pauses }
    }

    async fn embedder(&self) -> OpenAiEmbedder {
        OpenAiEmbedder::open(self.settings(self.length)).await.unwrap()
    }

    fn then(&self, next: &[Next]) {
        self.script.lock().unwrap().next = next.iter().copied().collect();
    }

    fn asked(&self) -> Vec<Value> {
        std::mem::take(&mut self.script.lock().unwrap().asked)
    }
}

async fn answer(State(provider): State<Provider>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let next = {
        let mut script = provider.script.lock().unwrap();
        script.asked.push(body.clone());
        let key = headers.get("authorization").map(|key| key.to_str().unwrap().to_owned());
        script.keys.extend(key);
        script.next.pop_front().unwrap_or(Next::Vectors)
    };
    let texts = body["input"].as_array().unwrap();
    let wanted = body["dimensions"].as_u64().map(|wanted| usize::try_from(wanted).unwrap());
    let length = wanted.filter(|_| provider.shortens).unwrap_or(provider.length);
    let error = |status: u16, message: &str| {
        let status = StatusCode::from_u16(status).unwrap();
        (status, Json(json!({"error": {"message": message, "code": "not_now"}}))).into_response()
    };
    if wanted.is_some() && !provider.shortens {
        return error(400, "this model cannot be shortened");
    }
    let vectors = |count: usize| {
        // In the wrong order, which the index puts right; not of length 1, which is put right, too.
        let item = |at: usize| {
            let mut vector = vec![0.0; length];
            vector[texts[at].as_str().unwrap().len() % length] = 3.0;
            json!({"index": at, "embedding": vector})
        };
        Json(json!({"data": (0..count).rev().map(item).collect::<Vec<_>>()})).into_response()
    };
    match next {
        Next::Vectors => vectors(texts.len()),
        Next::TooFew => vectors(texts.len() - 1),
        Next::Status(status) => error(status, "not now: you sent \"a\""),
        Next::Rest(status, wait) => (StatusCode::from_u16(status).unwrap(), [("retry-after", wait)]).into_response(),
        Next::Garbage => "<html>".into_response(),
    }
}

fn failure(error: &EmbedError) -> Option<ProviderFailure> {
    match error {
        EmbedError::Unavailable { failure, .. } => Some(*failure),
        _ => None,
    }
}

#[tokio::test]
async fn passages_go_in_batches_and_come_back_in_their_order_with_length_one() {
    let provider = Provider::start(16, false).await;
    let embedder = provider.embedder().await;
    provider.asked();
    let texts: Vec<String> = (0..200).map(|number| "x".repeat(1 + number % 16)).collect();
    let vectors = embedder.embed_passages(texts.clone()).await.unwrap();
    let sizes: Vec<usize> = provider.asked().iter().map(|body| body["input"].as_array().unwrap().len()).collect();
    assert_eq!((sizes.len(), sizes.iter().sum::<usize>()), (4, 200));
    for (text, vector) in texts.iter().zip(vectors) {
        let mut expected = vec![0.0; 16];
        expected[text.len() % 16] = 1.0;
        assert_eq!(vector, expected);
    }
    assert_eq!(embedder.embed_passages(Vec::new()).await, Ok(Vec::new()));
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let provider = Provider::start(4, false).await;
    let embedder = provider.embedder().await;
    for next in [Next::Status(500), Next::Status(503), Next::Status(408), Next::Garbage, Next::TooFew] {
        provider.then(&[next, next]);
        assert!(embedder.embed_query("a").await.is_ok());
    }
    provider.then(&[Next::Status(500); 100]);
    let error = embedder.embed_query("a").await.unwrap_err();
    assert_eq!(failure(&error), Some(ProviderFailure::Failed));
    assert!(error.to_string().contains("not_now") && error.may_pass(), "{error}");
    assert!(!error.to_string().contains("you sent"), "a service may quote what it was sent: {error}");
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_as_long_as_the_provider_asks() {
    let provider = Provider::start(4, false).await;
    let embedder = provider.embedder().await;
    for asked_for in ["2", "soon", "-3"] {
        // What cannot be read is a second.
        let least = if asked_for == "2" { 1_900 } else { 900 };
        provider.then(&[Next::Rest(429, asked_for)]);
        let began = Instant::now();
        embedder.embed_query("a").await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(least), "it was asked again after {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_rest_that_is_longer_than_a_question_may_take_is_told_and_no_call_is_made_in_it() {
    for (status, asked_for) in [
        (429, "4000000000"),
        (429, "18446744073709551615"),
        (503, "4000000000"),
        (500, "18446744073709551615"),
        (429, "Fri, 31 Dec 9999 23:59:59 GMT"),
    ] {
        let provider = Provider::start(4, false).await;
        let embedder = provider.embedder().await;
        provider.asked();
        provider.then(&[Next::Rest(status, asked_for)]);
        for _ in 0..2 {
            let error = embedder.embed_query("a").await.unwrap_err();
            let EmbedError::Unavailable { retry_after_seconds, .. } = &error else { panic!("{error}") };
            assert!(retry_after_seconds.is_some_and(|seconds| (50..=61).contains(&seconds)), "{asked_for}: {error:?}");
            assert!(error.may_pass(), "{error}");
        }
        assert_eq!(provider.asked().len(), 1, "{asked_for}");
    }
}

#[tokio::test]
async fn a_rest_ends_by_itself_however_long_it_was_asked_for() {
    for asked_for in ["0", "4000000000", "18446744073709551615", "Fri, 31 Dec 9999 23:59:59 GMT"] {
        let provider = Provider::start(4, false).await;
        let mut settings = provider.settings(4);
        settings.pauses.rest = Duration::from_millis(50);
        let embedder = OpenAiEmbedder::open(settings).await.unwrap();
        provider.asked();
        provider.then(&[Next::Rest(429, asked_for), Next::Rest(503, asked_for)]);
        assert!(embedder.embed_query("a").await.is_ok(), "{asked_for}");
        assert_eq!(provider.asked().len(), 3, "{asked_for}");
    }
}

#[tokio::test]
async fn what_does_not_pass_is_not_tried_again() {
    let provider = Provider::start(4, false).await;
    let embedder = provider.embedder().await;
    provider.asked();
    for (status, expected) in
        [(401, Some(ProviderFailure::AuthFailed)), (403, Some(ProviderFailure::AuthFailed)), (400, None)]
    {
        provider.then(&[Next::Status(status); 10]);
        let error = embedder.embed_query("a").await.unwrap_err();
        assert_eq!((failure(&error), provider.asked().len()), (expected, 1), "{error}");
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_unreachable() {
    let provider = Provider::start(4, false).await;
    let unbound = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = OpenAiSettings { base_url: format!("http://{unbound}/v1"), ..provider.settings(4) };
    let Err(ProviderError::Call(error)) = OpenAiEmbedder::open(settings).await else { panic!("it was reached") };
    assert_eq!(failure(&error), Some(ProviderFailure::Unreachable));
}

#[tokio::test]
async fn the_length_of_vectors_is_checked_and_asked_for_where_it_can_be() {
    let long = Provider::start(8, false).await;
    let expected = ProviderError::Dimensions { model: "small".to_owned(), configured: 4, found: 8 };
    assert_eq!(OpenAiEmbedder::open(long.settings(4)).await.err(), Some(expected));
    let shortens = Provider::start(8, true).await;
    let embedder = OpenAiEmbedder::open(shortens.settings(4)).await.unwrap();
    assert_eq!(embedder.embed_query("a").await.unwrap().len(), 4);
    assert_eq!((embedder.model().name.as_str(), embedder.model().dimension), ("small", 4));
    assert!(long.asked()[0].get("dimensions").is_none(), "it was sent where nothing has to be shortened");
}

#[tokio::test]
async fn the_key_is_read_at_each_call_and_told_to_nobody() {
    let provider = Provider::start(4, false).await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"first-secret\n").unwrap();
    let settings = OpenAiSettings { api_key_file: Some(file.path().to_owned()), ..provider.settings(4) };
    let embedder = OpenAiEmbedder::open(settings).await.unwrap();
    std::fs::write(file.path(), "second-secret").unwrap();
    embedder.embed_query("a").await.unwrap();
    assert_eq!(provider.script.lock().unwrap().keys, ["Bearer first-secret", "Bearer second-secret"]);
    provider.then(&[Next::Status(401)]);
    let error = embedder.embed_query("a").await.unwrap_err().to_string();
    assert!(!error.contains("secret"), "{error}");
}

#[tokio::test]
async fn a_long_text_is_cut_and_an_empty_one_is_sent_as_a_space() {
    let provider = Provider::start(4, false).await;
    let embedder = provider.embedder().await;
    provider.asked();
    embedder.embed_passages(vec!["ü".repeat(10_000), String::new()]).await.unwrap();
    let asked = provider.asked();
    let sent: Vec<&str> = asked[0]["input"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    assert!(sent[0].len() <= 3 * embedder.max_tokens() && sent[0].chars().all(|letter| letter == 'ü'));
    assert_eq!(sent[1], " ");
}
