//! What the operator reads in `/ops/status`, and that reading it costs nobody anything.

use jiff::Timestamp;

use super::*;
use crate::{
    config::{ApiKey, Role},
    doubles,
    generate::Meter as _,
    http::{management_router, ops::Status},
    lexical,
    model::{MicroUsd, Point},
    ports::{Changes, Kind},
};

const READER: &str = "the-key-of-a-reader-0123";
const OTHER: &str = "the-key-of-another-0123";
const OPERATOR: &str = "the-key-of-the-operator-0123";
const TEXT: &str = "Backups run nightly.";

/// A server with one document and keys of two readers and the operator.
async fn keyed(folder: &std::path::Path) -> Bench {
    let key = |name: &str| ApiKey { name: name.to_owned(), role: Role::Reader, tenant: None };
    for (file, material) in [("api-key.a", READER), ("api-key.b", OTHER), ("operator", OPERATOR)] {
        std::fs::write(folder.join(format!("{file}.current")), material).unwrap();
    }
    let auth = Auth { credentials_dir: Some(folder.to_owned()), api_keys: vec![key("a"), key("b")] };
    let bench = bench_with(&auth, &[]).ready();
    bench.store.create_epoch(Epoch(1), 512).await.unwrap();
    bench.store.activate(Epoch(1)).await.unwrap();
    let chunk = doubles::chunk("plan.md".parse().unwrap(), TEXT);
    let (when, version) = ("2026-11-21T08:00:00Z", &chunk.version);
    let record =
        json!({"id": chunk.document, "title": "", "version": version, "chunks": 1, "bytes": 20, "updated_at": when});
    bench.records.put_if_absent(Kind::Document, "plan.md", record).await.unwrap();
    let dense = EmbedderDouble::default().embed_query(TEXT).await.unwrap();
    let sparse = lexical::passage("", &[], TEXT);
    bench.store.upsert(Epoch(1), vec![Point { chunk, dense, sparse, labels: Vec::new() }]).await.unwrap();
    bench
}

async fn send(mut router: axum::Router, method: &str, path: &str, key: &str, body: &Value) -> (u16, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("x-api-key", key)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = router.call(request).await.unwrap();
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

impl Bench {
    async fn asked(&self, question: &str) -> (u16, Value) {
        let body = json!({"query": question});
        let (status, answer) = send(public_router(self.api.clone()), "POST", "/query", READER, &body).await;
        (status, serde_json::from_str(&answer).unwrap())
    }

    async fn managed(&self, path: &str) -> String {
        let (status, answer) = send(management_router(self.api.clone()), "GET", path, OPERATOR, &json!(null)).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    async fn status(&self) -> Status {
        serde_json::from_str(&self.managed("/ops/status").await).unwrap()
    }

    /// Requests and errors of a class of routes.
    async fn counted(&self, class: &str) -> (u64, u64) {
        let requests = self.status().await.counters.unwrap().requests;
        let found = requests.into_iter().find(|counted| counted.class == class).unwrap();
        (found.requests, found.errors)
    }
}

#[tokio::test]
async fn a_grounded_and_a_refused_question_move_their_counters_and_the_buckets() {
    let folder = tempfile::tempdir().unwrap();
    let bench = keyed(folder.path()).await;
    let before = bench.status().await.counters.unwrap();
    assert_eq!((before.questions.grounded, before.questions.refused, before.server_seconds.count), (0, 0, 0));
    let (_, answer) = bench.asked("backups run nightly").await;
    assert_eq!(answer["status"], "grounded", "{answer}");
    for _ in 0..2 {
        let (_, answer) = bench.asked("who won the football cup").await;
        assert_eq!(answer["status"], "refused", "{answer}");
    }
    let after = bench.status().await.counters.unwrap();
    let questions = &after.questions;
    assert_eq!((questions.grounded, questions.refused, questions.partial, questions.failed), (1, 2, 0, 0));
    let seconds = &after.server_seconds;
    assert!(seconds.count == 3 && seconds.sum_seconds > 0.0, "{seconds:?}");
    assert!(seconds.buckets.is_sorted_by(|a, b| a.le_seconds < b.le_seconds && a.count <= b.count), "{seconds:?}");
    assert!(seconds.buckets.iter().any(|bucket| bucket.le_seconds == 0.5), "the objective is a bound: {seconds:?}");
    assert_eq!(seconds.buckets.last().map(|bucket| bucket.count), Some(3), "none took half a minute");
}

#[tokio::test]
async fn an_error_is_counted_in_the_class_of_its_route_and_in_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let bench = keyed(folder.path()).await;
    assert_eq!(bench.asked("backups run nightly").await.0, 200);
    bench.store.fail();
    assert_eq!(bench.asked("who won the football cup").await.0, 503);
    let public = || public_router(bench.api.clone());
    assert_eq!(send(public(), "GET", "/documents", OTHER, &json!(null)).await.0, 200);
    assert_eq!(send(public(), "POST", "/v1/embeddings", OTHER, &json!({})).await.0, 400);
    assert_eq!(send(public(), "GET", "/nowhere", OTHER, &json!(null)).await.0, 404);
    assert_eq!(bench.counted("query").await, (2, 1));
    assert_eq!(bench.counted("documents").await, (1, 0));
    assert_eq!(bench.counted("v1").await, (1, 0), "what the caller did wrong is no error of the server");
    assert_eq!(bench.counted("other").await, (1, 0));
    assert_eq!(bench.counted("ingest").await, (0, 0));
}

#[tokio::test]
async fn a_used_credential_shows_how_often_and_when_and_an_unused_one_that_it_never_was() {
    let folder = tempfile::tempdir().unwrap();
    let bench = keyed(folder.path()).await;
    let before = Timestamp::now();
    for _ in 0..2 {
        assert_eq!(bench.asked("backups run nightly").await.0, 200);
    }
    let after = Timestamp::now();
    let text = bench.managed("/ops/status").await;
    for key in [READER, OTHER, OPERATOR] {
        assert!(!text.contains(key), "a key is shown: {text}");
    }
    let Status { credentials, .. } = serde_json::from_str(&text).unwrap();
    let [a, b, operator] = &credentials[..] else { panic!("{credentials:?}") };
    let last: Timestamp = a.last_used_at.as_ref().unwrap().parse().unwrap();
    assert!(a.name == "api-key.a" && a.uses == 2 && (before..=after).contains(&last), "{a:?}");
    assert!(b.name == "api-key.b" && b.uses == 0 && b.last_used_at.is_none(), "{b:?}");
    assert!(operator.name == "operator" && operator.uses == 1 && operator.last_used_at.is_some(), "{operator:?}");
}

#[tokio::test]
async fn a_scrape_calls_no_store_and_shows_what_was_counted_in_the_background() {
    let folder = tempfile::tempdir().unwrap();
    let bench = keyed(folder.path()).await;
    let status = bench.status().await;
    assert_eq!((status.documents, status.chunks, status.counted_at, status.chunks_counted_at), (0, None, None, None));
    let operations = &bench.api.operations;
    operations.count(&*bench.records, &Changes::alone()).await;
    operations.count_chunks(&*bench.store, Epoch(1)).await;
    bench.store.fail();
    bench.records.fail();
    let status = bench.status().await;
    assert_eq!((status.documents, status.chunks), (1, Some(1)));
    for at in [status.counted_at, status.chunks_counted_at] {
        assert!(at.unwrap().parse::<Timestamp>().unwrap() <= Timestamp::now());
    }
    for path in ["/metrics", "/health", "/health/ready", "/health/live"] {
        bench.managed(path).await;
    }
    assert!(!bench.store.failed() && !bench.records.failed(), "a store was called to be looked at");
    // Whoever asks a question does call them, and it is noticed.
    assert_eq!(bench.asked("backups run nightly").await.0, 503);
    assert!(bench.store.failed() || bench.records.failed());
}

#[tokio::test]
async fn the_status_says_its_version_what_was_spent_and_a_peak_of_memory_not_below_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let bench = keyed(folder.path()).await;
    bench.api.metrics.writing.cost("generate", MicroUsd(2_500));
    let status = bench.status().await;
    assert_eq!(status.status_version, 2);
    let cost: Vec<_> = status.counters.unwrap().cost.into_iter().map(|cost| (cost.part, cost.micro_usd)).collect();
    assert_eq!(cost, [("generate".to_owned(), 2_500)]);
    let memory = status.memory.unwrap();
    assert!(memory.resident_bytes > 1 << 20 && memory.peak_resident_bytes >= memory.resident_bytes, "{memory:?}");
}
