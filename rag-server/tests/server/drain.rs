//! Told to stop, the server finishes what is in flight, takes nothing new and ends with 0.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::process::{FREE_PORTS, Home, PATIENCE, Server};

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
    server.await_log("requests were still in flight");
    assert_eq!(server.await_exit().await.code(), Some(0));
    drop(stream);
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let home = Home::new();
    let mut server = home.serve(&format!("{FREE_PORTS}drain_seconds = 3600\n"));
    server.await_ready().await;
    let (stream, _rest) = half_a_question(&server);
    server.terminate();
    server.await_log("stopping");
    server.terminate();
    assert_eq!(server.await_exit().await.code(), Some(130));
    drop(stream);
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
