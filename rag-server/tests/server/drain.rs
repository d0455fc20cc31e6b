//! Told to stop, the server says so, finishes what is in flight, takes nothing new, says what it cut off, and ends with 0.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
};

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::{
    admission::until,
    fake_provider::{Act, FakeProvider},
    process::{FREE_PORTS, Home, PATIENCE, Server, eventually, problem},
};

/// Sends the head of a question and half of its body, so that the request is in flight for as long as the test wants.
fn half_a_question(server: &Server) -> (TcpStream, &'static [u8]) {
    let address = server.public.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let body: &[u8] = br#"{"query": "How long are snapshots kept?"}"#;
    let head = format!(
        "POST /query HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The server asks for the body once a handler reads it: from then on the request is in flight.
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&body[..10]).unwrap();
    (stream, &body[10..])
}

#[tokio::test]
async fn a_request_in_flight_is_finished_and_a_new_one_is_not_taken() {
    let home = Home::new();
    let mut server = home.serve(&format!("{FREE_PORTS}drain_seconds = 60\n"));
    server.await_ready().await;
    let idle = TcpStream::connect(server.public.trim_start_matches("http://")).unwrap();
    let (mut stream, rest) = half_a_question(&server);
    server.terminate();
    server.await_log("stopping");
    crate::process::eventually("no new connection", async || server.get("/health/live").send().await.is_err()).await;
    stream.write_all(rest).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\"status\":\"refused\""), "{answer}");
    assert_eq!(server.await_exit().await.code(), Some(0));
    drop(idle);
}

#[tokio::test]
async fn a_client_that_never_finishes_does_not_hold_the_stop_up() {
    let home = Home::new();
    let mut server = home.serve(&format!("{FREE_PORTS}drain_seconds = 1\n"));
    server.await_ready().await;
    let (stream, _rest) = half_a_question(&server);
    server.terminate();
    let cut = server.await_log("requests were still in flight");
    assert_eq!((&cut["arriving"], &cut["questions"], &cut["streams"]), (&json!(1), &json!(0), &json!(0)), "{cut}");
    assert_eq!(server.await_log("stopped")["cut"], 1);
    assert_eq!(server.await_exit().await.code(), Some(0));
    drop(stream);
}

#[tokio::test]
async fn a_second_signal_waits_for_nothing_and_still_closes_the_stores() {
    let home = Home::new();
    let mut server = home.serve(&format!("{FREE_PORTS}drain_seconds = 3600\nleave_seconds = 600\n"));
    server.await_ready().await;
    let (stream, _rest) = half_a_question(&server);
    server.terminate();
    server.await_log("stopping");
    server.terminate();
    assert_eq!(server.await_log("requests were still in flight")["arriving"], 1);
    assert_eq!(server.await_log("stopped")["cut"], 1);
    assert_eq!(server.await_exit().await.code(), Some(130));
    drop(stream);
}

#[tokio::test]
async fn while_a_load_balancer_has_yet_to_hear_of_it_requests_are_answered_by_a_server_that_says_it_goes() {
    let home = Home::new();
    let mut server = home.serve(&format!("{FREE_PORTS}drain_seconds = 3600\nleave_seconds = 600\n"));
    server.await_ready().await;
    server.terminate();
    let ready = async || server.get("/health/ready").send().await.unwrap();
    eventually("it says that it stops", async || ready().await.status() == StatusCode::SERVICE_UNAVAILABLE).await;
    problem(ready().await, 503, "stopping").await;
    assert_eq!(server.manage("/health/ready").send().await.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    let asked = server.post("/query").json(&json!({"query": "How long are snapshots kept?"})).send().await.unwrap();
    assert_eq!((asked.status(), &asked.headers()["connection"]), (StatusCode::OK, &"close".parse().unwrap()));
    server.terminate();
    assert_eq!(server.await_log("stopped")["cut"], 0);
    assert_eq!(server.await_exit().await.code(), Some(130));
}

#[tokio::test]
async fn the_time_to_leave_ends_by_itself() {
    let home = Home::new();
    let mut server = home.serve(&format!("{FREE_PORTS}drain_seconds = 3600\nleave_seconds = 1\n"));
    server.await_ready().await;
    server.terminate();
    assert_eq!(server.await_log("stopped")["cut"], 0);
    assert_eq!(server.await_exit().await.code(), Some(0));
}

/// Asks for an answer by this provider while it is written, and reads the first piece of it.
async fn streamed(server: &Server) -> Response {
    let body = json!({"query": "How long are daily snapshots kept?", "stream": true});
    let mut stream = server.post("/query").json(&body).send().await.unwrap();
    assert!(stream.chunk().await.unwrap().is_some());
    stream
}

async fn with_provider(home: &Home, provider: &FakeProvider, drain: u64) -> Server {
    let patient = format!("request_timeout_seconds = 600\ndrain_seconds = {drain}\n");
    let provider = provider.configured("double", "timeout_seconds = 600");
    let server = home.serve(&format!("{FREE_PORTS}{patient}{provider}"));
    server.await_ready().await;
    server.ingest("ops/backup.md", "Daily snapshots are kept for 7 days.", "").await;
    server
}

#[tokio::test]
async fn a_stream_that_is_being_written_is_written_to_its_end() {
    let all = Arc::new(Barrier::new(2));
    let (home, provider) = (Home::new(), FakeProvider::start(Act::Echo(Arc::clone(&all))).await);
    let mut server = with_provider(&home, &provider, 3600).await;
    let stream = streamed(&server).await;
    server.terminate();
    server.await_log("stopping");
    eventually("no new connection", async || server.get("/health/live").send().await.is_err()).await;
    all.wait().await;
    let rest = stream.text().await.unwrap();
    assert!(rest.contains("event: answer"), "{rest}");
    assert_eq!(server.await_log("stopped")["cut"], 0);
    assert_eq!(server.await_exit().await.code(), Some(0));
}

#[tokio::test]
async fn streams_that_do_not_end_in_time_are_cut_off_and_counted() {
    let (home, provider) = (Home::new(), FakeProvider::start(Act::SayAndStall("Daily snapshots ")).await);
    let mut server = with_provider(&home, &provider, 1).await;
    let streams = [streamed(&server).await, streamed(&server).await];
    until(&server, r#"rag_places_taken{class="streams"} 2"#).await;
    server.terminate();
    let cut = server.await_log("requests were still in flight");
    assert_eq!((&cut["streams"], &cut["questions"], &cut["arriving"]), (&json!(2), &json!(0), &json!(0)), "{cut}");
    let stopped: Value = server.await_log("stopped");
    assert_eq!(stopped["cut"], 2, "{stopped}");
    assert_eq!(server.await_exit().await.code(), Some(0));
    for stream in streams {
        assert!(stream.text().await.is_err(), "a stream that is cut off does not look whole");
    }
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_given_up_with_a_problem_document() {
    let home = Home::new();
    let server = home.serve(&format!("{FREE_PORTS}request_timeout_seconds = 1\n"));
    server.await_ready().await;
    let (mut stream, _rest) = half_a_question(&server);
    let mut answer = vec![0; 4096];
    let mut filled = 0;
    while !String::from_utf8_lossy(&answer[..filled]).contains("request-timeout") {
        let read = stream.read(&mut answer[filled..]).unwrap();
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(&answer[..filled]));
        filled += read;
    }
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer[..filled]));
}
