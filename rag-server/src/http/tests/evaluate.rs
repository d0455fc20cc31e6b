//! What an evaluation takes from others, and when it ends.

use axum::body::BodyDataStream;
use futures::StreamExt;
use tower::Service;

use super::*;
use crate::ports::{Kind, Records};

/// One question, and a document that answers it.
fn body(question: &str, stream: bool) -> Value {
    json!({"queries": [{"text": question, "relevant": ["a.txt"]}], "stream": stream})
}

async fn with_document() -> Bench {
    let bench = bench().ready();
    let record = json!({"id": "a.txt", "version": "v", "chunks": 0});
    bench.records.put_if_absent(Kind::Document, "a.txt", record).await.unwrap();
    bench
}

async fn stream_of(bench: &Bench, question: &str) -> BodyDataStream {
    let request = Request::post("/evaluate")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body(question, true).to_string()))
        .unwrap();
    public_router(bench.api.clone()).call(request).await.unwrap().into_body().into_data_stream()
}

async fn read(events: BodyDataStream) -> String {
    let pieces: Vec<_> = events.map(|piece| piece.unwrap().to_vec()).collect().await;
    String::from_utf8(pieces.concat()).unwrap()
}

#[tokio::test]
async fn one_evaluation_runs_at_a_time_and_questions_are_answered_beside_it() {
    let bench = with_document().await;
    let running = bench.api.admission.evaluation();
    let (status, retry_after, problem) = bench.ask("POST", "/evaluate", body("anything", false)).await;
    assert_eq!((status, retry_after.as_deref(), kind(&problem)), (503, Some("30"), "overloaded"));
    assert_eq!(bench.query("anything").await.0, 200);
    drop(running);
    let (status, _, report) = bench.ask("POST", "/evaluate", body("anything", false)).await;
    assert_eq!((status, &report["modes"][0]["refused"]), (200, &json!(1)), "{report}");
}

#[tokio::test]
async fn an_evaluation_ends_with_its_caller_and_gives_its_place_back() {
    let bench = with_document().await;
    let mut events = stream_of(&bench, "hang").await;
    assert!(futures::poll!(events.next()).is_pending(), "the first question hangs");
    assert!(bench.api.admission.evaluation().is_none());
    drop(events);
    assert!(bench.api.admission.evaluation().is_some());
}

#[tokio::test]
async fn a_search_that_hangs_or_fails_ends_the_evaluation_with_a_problem() {
    let bench = with_document().await;
    let (status, _, problem) = bench.ask("POST", "/evaluate", body("hang", false)).await;
    assert_eq!((status, kind(&problem)), (504, "deadline-exceeded"), "{problem}");
    for (question, expected) in [("hang", "question 1 took more than 1 s"), ("be busy", "too many questions wait")] {
        let said = read(stream_of(&bench, question).await).await;
        assert!(said.starts_with("event: error\n") && said.contains(expected), "{said}");
    }
    assert!(bench.api.admission.evaluation().is_some());
}

#[tokio::test]
async fn a_streamed_evaluation_tells_how_far_it_is_and_then_the_report() {
    let bench = with_document().await;
    let said = read(stream_of(&bench, "anything").await).await;
    let progress = "event: progress\ndata: {\"done\":1,\"total\":1}\n\nevent: report\ndata: {\"origin\":\"judged\",";
    assert!(said.starts_with(progress), "{said}");
    let metrics = bench.api.metrics.text().unwrap();
    assert!(metrics.contains("rag_query_accuracy{mode=\"Dense\"} 0"), "{metrics}");
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_an_evaluation() {
    let bench = with_document().await;
    bench.api.readiness.stop();
    let (status, _, problem) = bench.ask("POST", "/evaluate", body("anything", false)).await;
    assert_eq!((status, kind(&problem)), (503, "stopping"));
}

#[tokio::test]
async fn without_two_documents_or_a_heading_there_is_nothing_to_sample() {
    for (documents, expected) in
        [(0, "no heading of the 0 stored documents"), (1, "only one document"), (2, "no heading of the 2")]
    {
        let bench = bench().ready();
        for number in 0..documents {
            let id = format!("{number}.txt");
            let record = json!({"id": id, "version": "v", "chunks": 0});
            bench.records.put_if_absent(Kind::Document, &id, record).await.unwrap();
        }
        let (status, _, problem) = bench.ask("POST", "/evaluate", json!({"sample": 5})).await;
        assert_eq!((status, kind(&problem)), (422, "invalid-value"));
        assert!(problem["detail"].as_str().unwrap().contains(expected), "{problem}");
    }
}
