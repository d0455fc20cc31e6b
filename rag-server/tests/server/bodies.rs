//! Whatever is sent, the answer is a 4xx with a problem document, never a 500.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::process::{FREE_PORTS, Home, PATIENCE, Server, problem};

async fn server(home: &Home) -> Server {
    let server = home.serve(&format!("{FREE_PORTS}max_body_bytes = 200000\n"));
    server.await_ready().await;
    server
}

async fn post(server: &Server, path: &str, kind: Option<&str>, body: impl Into<reqwest::Body>) -> reqwest::Response {
    let request = server.post(path);
    let request = match kind {
        Some(kind) => request.header("content-type", kind),
        None => request,
    };
    request.body(body).send().await.unwrap()
}

#[tokio::test]
async fn a_bad_body_is_told_what_is_wrong_with_it() {
    let home = Home::new();
    let server = server(&home).await;
    let json = Some("application/json");
    for path in ["/query", "/ingest"] {
        problem(post(&server, path, json, "").await, 400, "bad-request").await;
        problem(post(&server, path, json, "how long?").await, 400, "bad-request").await;
        problem(post(&server, path, json, &b"\xff\xfe{}"[..]).await, 400, "bad-request").await;
        problem(post(&server, path, json, "[]").await, 422, "invalid-value").await;
        problem(post(&server, path, json, "{}").await, 422, "invalid-value").await;
        problem(post(&server, path, None, "{\"query\": \"a\"}").await, 415, "unsupported-media-type").await;
        problem(post(&server, path, Some("text/plain"), "a").await, 415, "unsupported-media-type").await;
        problem(post(&server, path, json, vec![b'a'; 1_000_000]).await, 413, "body-too-large").await;
        problem(post(&server, path, json, vec![b'['; 60_000]).await, 422, "invalid-value").await;
        problem(post(&server, path, json, "{\"a\": ".repeat(8_000)).await, 400, "bad-request").await;
        let deep = format!("{}1{}", "{\"a\": ".repeat(8_000), "}".repeat(8_000));
        problem(post(&server, path, json, deep).await, 422, "invalid-value").await;
    }
    let chunked = reqwest::Body::wrap_stream(futures::stream::iter(
        (0..100).map(|_| Ok::<_, std::io::Error>(vec![b'a'; 10_000])),
    ));
    problem(post(&server, "/query", json, chunked).await, 413, "body-too-large").await;
}

#[tokio::test]
async fn a_client_that_sends_next_to_nothing_is_given_up_long_before_the_time_of_a_request() {
    let home = Home::new();
    let server = home.serve(&format!("{FREE_PORTS}request_timeout_seconds = 600\n"));
    server.await_ready().await;
    let silent = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let response = post(&server, "/ingest", Some("application/json"), reqwest::Body::wrap_stream(silent)).await;
    let told = problem(response, 408, "request-timeout").await;
    assert!(
        told["detail"].as_str().unwrap().starts_with("less than 8192 bytes of the body came within 10 s"),
        "{told}"
    );
}

/// What is answered to a head alone, as far as its first line.
async fn first_line(server: &Server, head: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(server.public.trim_start_matches("http://")).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap());
    }
    (stream, String::from_utf8(line).unwrap())
}

#[tokio::test]
async fn who_waits_to_be_told_to_go_on_is_told_so_only_if_the_body_is_wanted() {
    let home = Home::new();
    let server = server(&home).await;
    let head = |method: &str, path: &str, length: usize, more: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n{more}\r\n"
        )
    };
    for (head, refusal) in [
        (head("POST", "/query", 99_999_999, ""), "413"),
        (head("POST", "/ingest", 200_001, ""), "413"),
        (head("PUT", "/documents/a.txt", 200_001, ""), "413"),
        (head("POST", "/mcp", 200_001, ""), "413"),
        (head("POST", "/ingest", 200_001, "content-encoding: gzip\r\n"), "413"),
        (head("POST", "/ingest", 10, "content-encoding: deflate\r\n"), "415"),
        (head("POST", "/ingest", 10, "origin: https://evil.example\r\n"), "403"),
        (head("POST", "/nowhere", 10, ""), "404"),
    ] {
        let (_, line) = first_line(&server, &head).await;
        assert!(line.starts_with(&format!("HTTP/1.1 {refusal} ")), "{head}{line}");
    }
    let body = r#"{"query": "how long?"}"#;
    let (mut stream, line) = first_line(&server, &head("POST", "/query", body.len(), "connection: close\r\n")).await;
    assert_eq!(line, "HTTP/1.1 100 Continue\r\n");
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.contains("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn a_value_of_the_wrong_type_or_range_is_named() {
    let home = Home::new();
    let server = server(&home).await;
    let told = async |path: &str, body: Value| {
        let response = server.post(path).json(&body).send().await.unwrap();
        problem(response, 422, "invalid-value").await["detail"].as_str().unwrap().to_owned()
    };
    assert!(told("/query", json!({"query": 7})).await.starts_with("query: invalid type: integer"));
    assert!(told("/query", json!({"query": "a", "top_k": "many"})).await.starts_with("top_k: "));
    assert!(told("/query", json!({"query": "a", "top_k": 0})).await.starts_with("top_k: 0"));
    assert!(told("/query", json!({"query": " \n"})).await.starts_with("query: the question is empty"));
    assert!(told("/query", json!({"query": "a".repeat(9000)})).await.starts_with("query: 9000 bytes"));
    assert!(told("/query", json!({"query": "a", "mode": "hybrid"})).await.contains("`Hybrid`"));
    assert!(told("/query", json!({"query": "a", "topk": 3})).await.contains("unknown field `topk`"));
    assert!(told("/ingest", json!({"documents": []})).await.contains("send 1 to 1000"));
    assert!(told("/ingest", json!({"documents": [{"id": "", "text": "a"}]})).await.starts_with("documents[0].id: "));
    assert!(
        told("/ingest", json!({"documents": [{"id": "a", "text": "a"}, {"id": "a", "text": "b"}]}))
            .await
            .contains("twice")
    );
    let response = server.get("/documents?limit=many").send().await.unwrap();
    problem(response, 400, "bad-request").await;
    let response = server.get("/documents?limit=1001").send().await.unwrap();
    problem(response, 422, "invalid-value").await;
}

#[tokio::test]
async fn what_does_not_exist_is_a_problem_document_too() {
    let home = Home::new();
    let server = server(&home).await;
    let ask = async |method: Method, path: &str| server.request(method, path).send().await.unwrap();
    problem(ask(Method::GET, "/nowhere").await, 404, "no-such-route").await;
    problem(ask(Method::GET, "/documents/no/such.md").await, 404, "no-such-document").await;
    problem(ask(Method::DELETE, "/documents/no%2Fsuch.md").await, 404, "no-such-document").await;
    problem(ask(Method::GET, "/documents/%FF").await, 400, "bad-request").await;
    problem(ask(Method::GET, "/jobs/1").await, 404, "no-such-job").await;
    let response = ask(Method::PUT, "/query").await;
    assert_eq!(response.headers()["allow"], "POST");
    problem(response, 405, "method-not-allowed").await;
    let foreign = server.get("/documents").header("host", "attacker.example").send().await.unwrap();
    problem(foreign, 403, "host-not-allowed").await;
}

#[tokio::test]
async fn what_was_ingested_is_cited_exactly_and_can_be_read_and_deleted_by_an_id_with_slashes() {
    let home = Home::new();
    let server = server(&home).await;
    let text = "# Aufbewahrung – Überblick\r\n\r\nDaily snapshots are kept for 7 days, weekly ones for 5 weeks. ✓\r\n";
    server.ingest("ops/sub folder/bäckup.md", text, "").await;

    let asked =
        server.post("/query").json(&json!({"query": "How long are daily snapshots kept?"})).send().await.unwrap();
    assert_eq!(asked.status(), StatusCode::OK);
    let id = asked.headers()["x-request-id"].to_str().unwrap().to_owned();
    let answer: Value = asked.json().await.unwrap();
    assert_eq!(answer["status"], "grounded", "{answer}");
    assert_eq!(answer["request_id"], id);
    assert_eq!(answer["citations"][0]["ref"], 1);
    assert_eq!(answer["citations"][0]["document"], "ops/sub folder/bäckup.md");
    let cited = answer["citations"][0]["text"].as_str().unwrap();
    assert!(text.contains(cited) && cited.contains("5 weeks. ✓"), "{cited:?}");

    let refused = server.post("/query").json(&json!({"query": "Who won the cup in 1954?"})).send().await.unwrap();
    let refused: Value = refused.json().await.unwrap();
    assert_eq!((&refused["status"], &refused["citations"]), (&json!("refused"), &json!([])), "{refused}");

    let page: Value = server.get("/documents?limit=1").send().await.unwrap().json().await.unwrap();
    assert_eq!(page["documents"][0]["id"], "ops/sub folder/bäckup.md");
    for path in ["/documents/ops/sub%20folder/b%C3%A4ckup.md", "/documents/ops%2Fsub%20folder%2Fb%C3%A4ckup.md"] {
        let document: Value = server.get(path).send().await.unwrap().json().await.unwrap();
        assert_eq!(document["title"], "Aufbewahrung – Überblick", "{path}");
    }
    let path = "/documents/ops%2Fsub%20folder%2Fb%C3%A4ckup.md";
    let delete = server.request(Method::DELETE, path).send().await.unwrap();
    assert_eq!(delete.status(), StatusCode::NO_CONTENT);
    problem(server.get(path).send().await.unwrap(), 404, "no-such-document").await;
}
