//! The router over doubles: what a caller sees when a part behind it fails, hangs or panics.

mod classes;
mod clients;
mod doors;
mod evaluate;
mod ops;

use std::sync::Arc;

use async_trait::async_trait;
use axum::{
    body::Body,
    http::{Request, header},
};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use tower::Service;

use super::{Api, Flows, public_router, readiness::Part};
use crate::{
    adapters::watched::Watched,
    config::{Auth, Layers, LiveSettings, Origin, Setting},
    doubles::{EmbedderDouble, RecordsDouble, StoreDouble},
    generate::{Answers, Extractive},
    ingest::{Ingest, Patience},
    metrics::Metrics,
    operations::Operations,
    ports::{EmbedError, Embedder, EmbedderDecorator, Epoch, Records, SystemClock, VectorStore},
    resilience::Bodies,
    retrieve::{Retrieve, Settings},
    security::Keys,
};

/// An embedder that does what the question says.
#[derive(Default)]
struct Obedient(EmbedderDouble);

#[async_trait]
impl EmbedderDecorator for Obedient {
    fn inner(&self) -> &dyn Embedder {
        &self.0
    }

    async fn around_query(&self, text: &str) -> Result<Vec<f32>, EmbedError> {
        match text {
            "hang" => std::future::pending().await,
            "panic" => panic!("the secret text of a document"),
            "be busy" => Err(EmbedError::Overloaded),
            "fail" => Err(EmbedError::Model { model: "m".to_owned(), cause: "at /secret/path".to_owned() }),
            _ => self.0.embed_query(text).await,
        }
    }
}

struct Bench {
    api: Api,
    store: Arc<StoreDouble>,
    records: Arc<RecordsDouble>,
}

fn bench() -> Bench {
    bench_with(&Auth::default(), &[])
}

fn bench_with(auth: &Auth, settings: &[(&str, &str)]) -> Bench {
    let setting = |(key, value): &(&str, &str)| Setting {
        origin: Origin::Flag("test".to_owned()),
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    };
    let settings = [("server.request_timeout_seconds", "1")].iter().chain(settings).map(setting).collect();
    let loaded = Layers { file: None, settings }.load().unwrap();
    let operations = Operations::new(LiveSettings::new(loaded.config.live.file.clone()));
    let api = Api::new(&loaded, Keys::open(auth), Metrics::new().unwrap(), operations);
    Bench { api, store: Arc::default(), records: Arc::default() }
}

impl Bench {
    fn ready(self) -> Self {
        let embedder = Arc::new(Obedient::default());
        let operations = &self.api.operations;
        let store = Watched::<dyn VectorStore>::new(Arc::clone(&self.store) as _, operations.sight("vector store"));
        let store: Arc<dyn VectorStore> = Arc::new(store);
        let records = Watched::<dyn Records>::new(Arc::clone(&self.records) as _, operations.sight("records"));
        let records: Arc<dyn Records> = Arc::new(records);
        let parts = || (Arc::clone(&store), Arc::clone(&records), Arc::clone(&embedder));
        let (store, records, model) = parts();
        let ingest = Ingest::new(store, records, model, Arc::new(SystemClock), Epoch(1));
        let ingest = ingest.patience(Patience { attempts: 1, ..Patience::default() });
        let (store, records, model) = parts();
        let retrieve = Arc::new(Retrieve::new(store, records, model, Settings::default()));
        let answers = Arc::new(Answers::new(Arc::clone(&retrieve), Arc::new(Extractive::default())));
        let (store, records, embedder) = parts();
        self.api.ready(Flows {
            ingest: Arc::new(ingest),
            uncached: Arc::clone(&retrieve),
            retrieve,
            answers,
            store,
            records,
            embedder,
        });
        self
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Option<String>, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let response = public_router(self.api.clone()).call(request).await.unwrap();
        let status = response.status().as_u16();
        let retry_after = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, retry_after, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    async fn query(&self, question: &str) -> (u16, Option<String>, Value) {
        self.ask("POST", "/query", json!({"query": question})).await
    }
}

fn kind(problem: &Value) -> &str {
    problem["type"].as_str().unwrap().rsplit('/').next().unwrap()
}

#[tokio::test]
async fn a_failed_search_is_a_503_that_says_it_is_no_empty_result() {
    let bench = bench().ready();
    bench.store.fail();
    let (status, retry_after, problem) = bench.query("anything").await;
    assert_eq!((status, retry_after.as_deref(), kind(&problem)), (503, Some("5"), "store-unreachable"));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("this is not an empty result"), "{detail}");
    assert!(!detail.contains("nowhere"), "an address is in the answer: {detail}");
    let metrics = bench.api.metrics.text().unwrap();
    assert!(metrics.contains(r#"rag_query_outcome_total{outcome="failed"} 1"#), "{metrics}");
}

#[tokio::test]
async fn records_that_fail_are_a_503_on_every_route_that_needs_them() {
    let bench = bench().ready();
    bench.records.fail();
    let documents = json!({"documents": [{"id": "a.txt", "text": "a"}]});
    let job = format!("/jobs/{:012x}-{}", 1, "0".repeat(32));
    for (method, path, body) in [
        ("GET", "/documents", json!(null)),
        ("GET", "/documents/a", json!(null)),
        ("DELETE", "/documents/a", json!(null)),
        ("GET", &*job, json!(null)),
        ("POST", "/ingest", documents),
    ] {
        let (status, retry_after, problem) = bench.ask(method, path, body).await;
        assert_eq!((status, kind(&problem)), (503, "store-unreachable"), "{method} {path}");
        assert!(retry_after.is_some(), "{method} {path}");
    }
    let (status, _, health) = bench.ask("GET", "/health?detailed", json!(null)).await;
    assert_eq!(status, 200);
    assert_eq!(
        (&health["parts"][1]["name"], &health["parts"][1]["status"]),
        (&json!("records"), &json!("unreachable"))
    );
    assert!(!health.to_string().contains("nowhere"), "an address is in the answer: {health}");
    let (status, ..) = bench.ask("GET", "/health/ready", json!(null)).await;
    assert_eq!(status, 200, "a store that fails later must not empty the Service");
}

#[tokio::test]
async fn a_panic_costs_its_own_request_and_tells_nothing() {
    let bench = bench().ready();
    let (status, _, problem) = bench.query("panic").await;
    assert_eq!((status, kind(&problem)), (500, "internal"));
    assert!(!problem.to_string().contains("secret"), "{problem}");
    let (status, _, problem) = bench.query("fail").await;
    assert_eq!((status, kind(&problem)), (500, "internal"));
    assert!(!problem.to_string().contains("secret"), "{problem}");
    assert_eq!(bench.query("anything").await.0, 200);
}

#[tokio::test]
async fn work_that_takes_too_long_is_given_up_and_its_room_given_back() {
    let bench = bench().ready();
    let (status, retry_after, problem) = bench.query("hang").await;
    assert_eq!((status, retry_after.as_deref(), kind(&problem)), (504, Some("1"), "deadline-exceeded"));
    assert_eq!(bench.query("anything").await.0, 200);
}

#[tokio::test]
async fn whoever_finds_no_room_is_told_to_come_back() {
    let bench = bench().ready();
    let (status, retry_after, problem) = bench.query("be busy").await;
    assert_eq!((status, retry_after.as_deref(), kind(&problem)), (503, Some("1"), "overloaded"));
    let _room = bench.api.admission.body(Bodies::Documents, bench.api.server.max_body_bytes);
    let (status, _, problem) = bench.ask("POST", "/ingest", json!({"documents": [{"id": "a.txt", "text": "a"}]})).await;
    assert_eq!((status, kind(&problem)), (503, "overloaded"));
    assert_eq!(bench.query("anything").await.0, 200, "uploads must not crowd questions out");
}

/// An upload of unknown length whose client sends the beginning and then nothing.
fn stuck(path: &str) -> Request<Body> {
    let beginning = stream::once(async { Ok::<_, std::io::Error>("{\"documents\": ") });
    Request::builder()
        .method("POST")
        .uri(path)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from_stream(beginning.chain(stream::pending())))
        .unwrap()
}

#[tokio::test]
async fn an_upload_takes_no_more_room_than_what_came_of_it() {
    let bench = bench().ready();
    let most = bench.api.server.max_body_bytes;
    for path in ["/ingest", "/mcp"] {
        let mut router = public_router(bench.api.clone());
        let mut waiting = Box::pin(router.call(stuck(path)));
        assert!(futures::poll!(&mut waiting).is_pending());
        let free = bench.api.admission.free(Bodies::Documents);
        assert!((most - 100..most).contains(&free), "{path}: {free} of {most}");
        drop(waiting);
        assert_eq!(bench.api.admission.free(Bodies::Documents), most, "{path}");
    }
}

#[tokio::test]
async fn texts_to_embed_and_documents_do_not_take_each_others_room() {
    let bench = bench().ready();
    let most = bench.api.server.max_body_bytes;
    let (texts, documents) =
        (json!({"model": "double", "input": ["a"]}), json!({"documents": [{"id": "a.txt", "text": "a"}]}));
    let taken = bench.api.admission.body(Bodies::Texts, most / 2).unwrap();
    assert_eq!(bench.ask("POST", "/v1/embeddings", texts.clone()).await.0, 503);
    assert_eq!(
        bench.ask("POST", "/v1/rerank", json!({"model": "double", "query": "a", "documents": ["a"]})).await.0,
        503
    );
    assert_eq!(bench.ask("POST", "/ingest", documents.clone()).await.0, 202);
    drop(taken);
    let _taken = bench.api.admission.body(Bodies::Documents, most).unwrap();
    assert_eq!(bench.ask("POST", "/v1/embeddings", texts).await.0, 200);
    assert_eq!(bench.ask("POST", "/ingest", documents).await.0, 503);
}

#[tokio::test]
async fn before_it_is_ready_every_route_says_what_is_waited_for() {
    let bench = bench();
    for (method, path) in [("POST", "/query"), ("GET", "/documents"), ("GET", "/documents/a"), ("GET", "/health/ready")]
    {
        let (status, _, problem) = bench.ask(method, path, json!({"query": "anything"})).await;
        assert_eq!((status, kind(&problem)), (503, "not-ready"), "{method} {path}");
        assert_eq!(problem["waiting_for"].as_array().unwrap().len(), Part::ALL.len());
    }
    for part in [Part::Model, Part::VectorStore, Part::Records, Part::Corpus] {
        bench.api.readiness.arrived(part);
    }
    // All is loaded, and no flow takes requests yet: who says ready now is asked, and refuses.
    for (method, path) in [("GET", "/health/ready"), ("POST", "/query")] {
        let (status, _, problem) = bench.ask(method, path, json!({"query": "anything"})).await;
        assert_eq!((status, kind(&problem), &problem["waiting_for"]), (503, "not-ready", &json!(["the index"])));
    }
    let bench = bench.ready();
    bench.api.readiness.stop();
    let (status, _, problem) = bench.ask("GET", "/health/ready", json!(null)).await;
    assert_eq!((status, kind(&problem)), (503, "stopping"));
}
