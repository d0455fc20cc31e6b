//! Who is let in and who is not: pages of other origins, held connections, feedback to answers that were never given, keys whose files are missing.

use std::net::{IpAddr, SocketAddr};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::{
    credentials::keyed,
    process::{FREE_PORTS, Home, PATIENCE, Server, eventually, problem},
};

const WRITER: &str = "writer-key-0123456789";

/// Holds more connections than the public port has, from two addresses.
const HELD: usize = 1100;

#[tokio::test]
async fn a_page_elsewhere_changes_nothing_on_a_server_without_keys() {
    let home = Home::new();
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    // A form needs no permission of the server's before a browser sends it.
    let upload = || {
        let file = reqwest::multipart::Part::text("The gate is open.").file_name("gate.txt");
        server.post("/ingest").multipart(reqwest::multipart::Form::new().part("file", file))
    };
    for (name, value) in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        problem(upload().header(name, value).send().await.unwrap(), 403, "foreign-page").await;
    }
    let documents: Value = server.get("/documents").send().await.unwrap().json().await.unwrap();
    assert_eq!(documents["documents"], json!([]));
    let own = upload().header("origin", &server.public).header("sec-fetch-site", "same-origin");
    assert_eq!(own.send().await.unwrap().status(), StatusCode::ACCEPTED);
    assert_eq!(upload().send().await.unwrap().status(), StatusCode::ACCEPTED);
}

/// Connects from 127.0.0.`host` and says nothing.
async fn hold(server: &Server, host: u8) -> TcpStream {
    let to: SocketAddr = server.public.trim_start_matches("http://").parse().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, host], 0))).unwrap();
    socket.connect(to).await.unwrap()
}

#[tokio::test]
async fn held_connections_keep_neither_probes_nor_newcomers_out() {
    rlimit::increase_nofile_limit(4 * HELD as u64).unwrap();
    let home = Home::new();
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    let mut held = Vec::new();
    for index in 0..HELD {
        held.push(hold(&server, if index % 2 == 0 { 1 } else { 3 }).await);
    }
    let newcomer = reqwest::Client::builder().local_address(IpAddr::from([127, 0, 0, 2])).build().unwrap();
    for path in ["/health/live", "/documents"] {
        let answer = newcomer.get(format!("{}{path}", server.public)).timeout(PATIENCE).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }
    for path in ["/health/live", "/health/ready"] {
        assert_eq!(server.manage(path).send().await.unwrap().status(), StatusCode::OK, "{path}");
    }
    // The one that was held for the longest made room; the youngest is still served.
    let ended = timeout(PATIENCE, held[0].read(&mut [0; 1])).await.unwrap();
    assert_eq!(ended.unwrap_or(0), 0);
    let youngest = held.last_mut().unwrap();
    youngest.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut status = [0; 15];
    timeout(PATIENCE, youngest.read_exact(&mut status)).await.unwrap().unwrap();
    assert_eq!(&status, b"HTTP/1.1 200 OK");
    let metrics = server.manage("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains(r#"rag_connections_cut_total{cause="idle",port="public"}"#), "{metrics}");
}

async fn say(server: &Server, answer: &Value) -> reqwest::Response {
    server.post("/feedback").json(&json!({"answer": answer, "rating": "up"})).send().await.unwrap()
}

#[tokio::test]
async fn feedback_is_for_answers_that_were_given_also_by_a_process_before() {
    let home = Home::new();
    home.write("live.toml", "");
    let config = format!("{FREE_PORTS}[live]\nfile = {:?}\n", home.path("live.toml"));
    let mut server = home.serve(&config);
    server.await_ready().await;
    let asked = server.post("/query").json(&json!({"query": "How long are snapshots kept?"})).send().await.unwrap();
    let answer = asked.json::<Value>().await.unwrap()["id"].clone();
    assert_eq!(say(&server, &answer).await.status(), StatusCode::CREATED);
    for invented in ["6fa459ea-ee8a-4ca4-894e-db77e160355e", "00000000-0000-0000-0000-000000000000"] {
        problem(say(&server, &json!(invented)).await, 404, "no-such-answer").await;
    }
    server.terminate();
    assert_eq!(server.await_exit().await.code(), Some(0));
    let server = home.serve(&config);
    server.await_ready().await;
    assert_eq!(say(&server, &answer).await.status(), StatusCode::CREATED);
    home.swap("live.toml", "read_only = true\n");
    eventually("writes are refused", async || say(&server, &answer).await.status() == StatusCode::SERVICE_UNAVAILABLE)
        .await;
    problem(say(&server, &answer).await, 503, "read-only").await;
}

#[tokio::test]
async fn a_session_is_read_and_not_gone_on_with_while_writes_are_refused() {
    let home = Home::new();
    home.write("live.toml", "");
    let server = home.serve(&format!("{FREE_PORTS}[live]\nfile = {:?}\n", home.path("live.toml")));
    server.await_ready().await;
    let ask = async || {
        let body = json!({"query": "How long are snapshots kept?", "session": "s"});
        server.post("/query").json(&body).send().await.unwrap().json::<Value>().await.unwrap()
    };
    let turns = async || {
        let shown = server.get("/sessions/s").send().await.unwrap().json::<Value>().await.unwrap();
        shown["turns"].as_array().unwrap().len()
    };
    assert_eq!((ask().await["notice"].as_str(), turns().await), (None, 1));
    home.swap("live.toml", "read_only = true\n");
    let end = async || server.request(Method::DELETE, "/sessions/s").send().await.unwrap();
    eventually("it is read-only", async || {
        let refused = server.request(Method::DELETE, "/sessions/none").send().await.unwrap();
        refused.status() == StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    let told = ask().await;
    assert!(told["notice"].as_str().unwrap().contains("read-only"), "{told}");
    problem(end().await, 503, "read-only").await;
    assert_eq!(turns().await, 1);
}

#[tokio::test]
async fn a_client_without_a_key_file_costs_its_own_key_and_no_start() {
    let home = Home::new();
    let config = keyed(&home);
    std::fs::remove_file(home.path("keys/api-key.reader.current")).unwrap();
    let server = home.serve(&config);
    let told = server.seen.iter().filter(|line| line.contains("a credential is not accepted")).count();
    assert_eq!(told, 1, "it is said before anybody can ask");
    server.await_ready().await;
    let status = async |key: &str| server.get("/documents").header("x-api-key", key).send().await.unwrap().status();
    assert_eq!(status(WRITER).await, StatusCode::OK);
    assert_eq!(status("reader-key-0123456789").await, StatusCode::UNAUTHORIZED);
    assert_eq!(server.get("/documents").send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let metrics = server.manage("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("rag_credentials_damaged 1"), "{metrics}");
    home.write("keys/api-key.reader.current", "reader-key-0123456789");
    eventually("its key is accepted", async || status("reader-key-0123456789").await == StatusCode::OK).await;
}

#[tokio::test]
async fn the_description_is_sent_once_to_who_keeps_it() {
    let home = Home::new();
    let server = home.serve(FREE_PORTS);
    let first = server.get("/openapi.json").send().await.unwrap();
    let tag = first.headers()["etag"].clone();
    let again = server.get("/openapi.json").header("if-none-match", tag).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
}
