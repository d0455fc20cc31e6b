//! Who is let in while others are answered: each class has places of its own, and probes need none.

use std::sync::Arc;

use futures::StreamExt;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::Barrier};

use crate::{
    fake_provider::{Act, FakeProvider},
    process::{FREE_PORTS, Home, Server, eventually, problem},
};

const BACKUP: &str = "# Backup\n\nDaily snapshots are kept for 7 days.\n";
const QUESTION: &str = "How long are daily snapshots kept?";
const SAID: &str = "Daily snapshots are kept for 7 days. [1]";

/// A server that answers so many questions and streams at once, by this provider.
async fn serve(home: &Home, provider: &FakeProvider, places: &str) -> Server {
    let patient = "request_timeout_seconds = 600\n";
    let provider = provider.configured("double", "timeout_seconds = 600");
    let server = home.serve(&format!("{FREE_PORTS}{patient}places = {{ {places} }}\n{provider}"));
    server.await_ready().await;
    server.ingest("ops/backup.md", BACKUP, "").await;
    server
}

fn question(server: &Server, number: usize, stream: bool) -> RequestBuilder {
    server.post("/query").json(&json!({"query": format!("{QUESTION} ({number})"), "stream": stream}))
}

async fn ask(server: &Server, number: usize, stream: bool) -> Response {
    question(server, number, stream).send().await.unwrap()
}

pub(crate) async fn metrics(server: &Server) -> String {
    server.manage("/metrics").send().await.unwrap().text().await.unwrap()
}

/// Waits until the metrics have this line.
pub(crate) async fn until(server: &Server, line: &str) {
    eventually(line, async || metrics(server).await.lines().any(|other| other == line)).await;
}

async fn is_shed(refused: Response) {
    let seconds: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=30).contains(&seconds), "{seconds}");
    problem(refused, 503, "overloaded").await;
}

#[tokio::test]
async fn probes_and_documents_go_on_while_every_place_of_questions_is_taken() {
    let all = Arc::new(Barrier::new(3));
    let (home, provider) = (Home::new(), FakeProvider::start(Act::Echo(Arc::clone(&all))).await);
    let server = serve(&home, &provider, "questions = 2").await;
    let answers = [1, 2].map(|number| tokio::spawn(question(&server, number, false).send()));
    until(&server, r#"rag_places_taken{class="questions"} 2"#).await;
    is_shed(ask(&server, 3, false).await).await;
    is_shed(server.post("/search").json(&json!({"query": QUESTION})).send().await.unwrap()).await;
    for path in ["/health", "/health/live", "/health/ready", "/documents"] {
        assert_eq!(server.get(path).send().await.unwrap().status(), StatusCode::OK, "{path}");
    }
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(server.manage(path).send().await.unwrap().status(), StatusCode::OK, "{path}");
    }
    // Read, cut, embedded and found to be there, all beside the questions.
    server.ingest("ops/restore.md", "# Restore\n\nA restore takes ten minutes.\n", "").await;
    assert!(metrics(&server).await.contains(r#"rag_requests_shed_total{class="questions"} 2"#));
    all.wait().await;
    for answer in answers {
        assert_eq!(answer.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    until(&server, r#"rag_places_taken{class="questions"} 0"#).await;
}

#[tokio::test]
async fn long_streams_take_no_place_of_a_question() {
    let (home, provider) = (Home::new(), FakeProvider::start(Act::Say(SAID)).await);
    let server = serve(&home, &provider, "questions = 1, streams = 2").await;
    provider.script([Act::SayAndStall("Daily snapshots "), Act::SayAndStall("Daily snapshots ")]);
    let mut streams = Vec::new();
    for number in 0..2 {
        let mut stream = ask(&server, number, true).await;
        assert_eq!(stream.status(), StatusCode::OK);
        assert!(stream.chunk().await.unwrap().is_some());
        streams.push(stream);
    }
    until(&server, r#"rag_places_taken{class="streams"} 2"#).await;
    until(&server, r#"rag_places_taken{class="questions"} 0"#).await;
    is_shed(ask(&server, 2, true).await).await;
    let answer: Value = ask(&server, 3, false).await.json().await.unwrap();
    assert_eq!(answer["status"], "grounded", "{answer}");
    drop(streams);
    until(&server, r#"rag_places_taken{class="streams"} 0"#).await;
    assert_eq!(ask(&server, 4, true).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_client_of_http2_is_answered_as_every_other_one_many_requests_over_one_connection() {
    let home = Home::new();
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    server.ingest("ops/backup.md", BACKUP, "").await;
    let authority = server.public.trim_start_matches("http://").to_owned();
    let stream = TcpStream::connect(&authority).await.unwrap();
    let io = TokioIo::new(stream);
    let (client, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let asked = (0..40).map(|number| {
        let mut client = client.clone();
        let body = json!({"query": format!("{QUESTION} ({number})"), "stream": number % 2 == 0}).to_string();
        let request = hyper::Request::post(format!("http://{authority}/query"))
            .header("content-type", "application/json")
            .body(axum::body::Body::from(body))
            .unwrap();
        async move {
            let response = client.send_request(request).await.unwrap();
            assert_eq!((response.status().as_u16(), response.version()), (200, hyper::Version::HTTP_2));
            axum::body::to_bytes(axum::body::Body::new(response.into_body()), 1 << 20).await.unwrap()
        }
    });
    let answers: Vec<Bytes> = futures::stream::iter(asked).buffer_unordered(16).collect().await;
    assert_eq!(answers.len(), 40);
    for answer in answers {
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.contains("Daily snapshots are kept for 7 days.") && answer.contains("ops/backup.md"),
            "{answer}"
        );
    }
}
