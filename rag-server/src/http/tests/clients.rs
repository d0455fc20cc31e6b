//! What clients really send: the same said in another form, another encoding, under another path, or from a page.

use std::sync::atomic::{AtomicBool, Ordering};

use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use axum::{
    body::Bytes,
    http::{HeaderMap, Method},
};
use tokio::io::AsyncWriteExt;

use super::*;
use crate::http::public_openapi;

const JSON: (&str, &str) = ("content-type", "application/json");

impl Bench {
    async fn send(&self, route: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> (u16, HeaderMap, Value) {
        let (method, path) = route.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = public_router(self.api.clone()).call(request.body(body.into()).unwrap()).await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, headers, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Sends JSON as it is written here; gives the status, and what was said where it is an error.
    async fn told(&self, route: &str, body: &str) -> (u16, String) {
        let (status, _, answer) = self.send(route, &[JSON], body.to_owned()).await;
        let detail = answer["detail"].as_str().or(answer["error"]["message"].as_str()).unwrap_or_default();
        (status, detail.to_owned())
    }
}

/// Routes with a JSON body of which nothing may be left out.
const WHOLE: [&str; 1] = ["PUT /admin/read-only"];

/// For each other route with a JSON body the least that it takes.
fn bodies() -> [(&'static str, &'static str, Value); 11] {
    let question = json!([{"role": "user", "content": "anything"}]);
    let opinion = json!({"answer": "6a2f41a3-c54c-4f1d-9d5a-7a3a5c0f5d3e", "rating": "up"});
    [
        ("POST /admin/blocks", "BlockRequest", json!({"client": "portal", "reason": "asks in a loop"})),
        ("POST /query", "AskRequest", json!({"query": "anything"})),
        ("POST /search", "QueryRequest", json!({"query": "anything"})),
        ("POST /feedback", "FeedbackRequest", opinion),
        ("POST /evaluate", "EvaluateRequest", json!({"sample": 1})),
        ("POST /ingest", "IngestRequest", json!({"documents": [{"id": "a.txt", "text": "a"}]})),
        ("POST /prune", "PruneRequest", json!({"prefix": "", "keep": ["a"]})),
        ("PUT /documents/a.txt", "NewContent", json!({"text": "a"})),
        ("POST /v1/chat/completions", "ChatRequest", json!({"model": "rag", "messages": question})),
        ("POST /v1/embeddings", "EmbeddingsRequest", json!({"model": "double", "input": "a"})),
        ("POST /v1/rerank", "RerankRequest", json!({"model": "double", "query": "a", "documents": ["a"]})),
    ]
}

/// The members of a type in the API's description.
fn members(description: &Value, name: &str) -> Vec<String> {
    let schema = &description["components"]["schemas"][name];
    schema["properties"].as_object().unwrap_or_else(|| panic!("{name}: {schema}")).keys().cloned().collect()
}

/// Adds as `null` whatever is not there.
fn with_nulls(body: &mut Value, members: Vec<String>) -> usize {
    let body = body.as_object_mut().unwrap();
    let before = body.len();
    members.into_iter().for_each(|member| {
        body.entry(member).or_insert(Value::Null);
    });
    body.len() - before
}

#[tokio::test]
async fn whatever_may_be_left_out_may_be_null_on_every_route() {
    let description = serde_json::to_value(public_openapi()).unwrap();
    let described = description["paths"].as_object().unwrap().iter();
    let with_body = described.flat_map(|(path, item)| item.as_object().unwrap().iter().map(move |one| (path, one)));
    let with_body = with_body.filter(|(_, (_, operation))| operation["requestBody"].is_object()).count();
    assert_eq!(bodies().len() + WHOLE.len(), with_body, "a route with a body has no row here");
    for (route, name, least) in bodies() {
        let mut body = least.clone();
        let mut added = with_nulls(&mut body, members(&description, name));
        let document = body.get_mut("documents").and_then(|documents| documents.get_mut(0));
        if let Some(document) = document.filter(|document| document.is_object()) {
            added += with_nulls(document, members(&description, "NewDocument"));
        }
        assert!(added > 0, "{route}: nothing may be left out");
        // Each on a server of its own, so that what the first one left behind tells nothing.
        let (expected, found) = (bench().ready(), bench().ready());
        let expected = expected.told(route, &least.to_string()).await;
        // Nothing is stored that could be evaluated.
        let is_read = expected.0 != 400 && (expected.0 != 422 || route == "POST /evaluate");
        assert!(is_read, "{route} {least}: {expected:?}");
        assert_eq!(found.told(route, &body.to_string()).await, expected, "{route} {body}");
    }
}

#[tokio::test]
async fn an_encoding_format_of_null_is_that_of_a_client_that_says_nothing() {
    let bench = bench().ready();
    let (status, _, answer) =
        bench.send("POST /v1/embeddings", &[JSON], r#"{"model":"double","input":"a","encoding_format":null}"#).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["data"][0]["embedding"].is_array(), "{answer}");
}

#[tokio::test]
async fn whole_numbers_written_with_a_point_are_taken() {
    let bench = bench().ready();
    let chat = |member: &str| {
        format!(r#"{{"model": "rag", "messages": [{{"role": "user", "content": "anything"}}], {member}}}"#)
    };
    for (route, body) in [
        ("POST /search", r#"{"query": "anything", "top_k": 3.0}"#.to_owned()),
        ("POST /query", r#"{"query": "anything", "top_k": 3.0, "max_tokens": 1e2, "seed": -1.0}"#.to_owned()),
        ("POST /v1/chat/completions", chat(r#""n": 1.0"#)),
        ("POST /v1/chat/completions", chat(r#""max_tokens": 100.0"#)),
        ("POST /v1/chat/completions", chat(r#""seed": -1"#)),
        ("POST /v1/rerank", r#"{"model": "double", "query": "a", "documents": ["a"], "top_n": 1.0}"#.to_owned()),
    ] {
        let (status, detail) = bench.told(route, &body).await;
        assert_eq!(status, 200, "{route} {body}: {detail}");
    }
    let (status, detail) = bench.told("POST /search", r#"{"query": "anything", "top_k": 3.5}"#).await;
    assert_eq!((status, &*detail), (422, "top_k: invalid type: floating point `3.5`, expected usize"));
}

#[tokio::test]
async fn a_byte_order_mark_and_half_of_an_emoji_are_no_obstacle() {
    let bench = bench().ready();
    for body in ["\u{feff}{\"query\": \"anything\"}", r#"{"query": "snap \ud83d shots"}"#] {
        assert_eq!(bench.told("POST /query", body).await.0, 200, "{body}");
    }
    let conversation = r#"{"model": "rag", "messages": [
        {"role": "assistant", "content": "snap \ude00"}, {"role": "user", "content": "anything"}]}"#;
    assert_eq!(bench.told("POST /v1/chat/completions", conversation).await.0, 200);
}

#[tokio::test]
async fn metadata_with_numbers_is_taken_and_found_by_them() {
    let bench = bench().ready();
    let documents = r#"{"documents": [{"id": "a.txt", "text": "a", "metadata": {"year": 2031, "draft": false}}]}"#;
    assert_eq!(bench.told("POST /ingest", documents).await.0, 202);
    let filtered = r#"{"query": "anything", "filter": {"year": 2031}}"#;
    assert_eq!(bench.told("POST /search", filtered).await.0, 200);
    let (status, detail) = bench.told("POST /search", r#"{"query": "anything", "filter": {"year": null}}"#).await;
    assert_eq!(status, 422, "a filter that is null would find everything");
    assert!(detail.starts_with("filter"), "{detail}");
}

#[tokio::test]
async fn every_chunk_tells_the_usage_or_that_it_is_not_known_yet() {
    let bench = bench().ready();
    let chunks = async |options: &str| {
        let body = format!(
            r#"{{"model": "rag", "stream": true, "messages": [{{"role": "user", "content": "anything"}}]{options}}}"#
        );
        let request = Request::builder().method("POST").uri("/v1/chat/completions").header(header::HOST, "localhost");
        let request = request.header(JSON.0, JSON.1).body(Body::from(body)).unwrap();
        let response = public_router(bench.api.clone()).call(request).await.unwrap();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
        data.map(|data| serde_json::from_str(data).unwrap()).collect::<Vec<Value>>()
    };
    let told = chunks(r#", "stream_options": {"include_usage": true}"#).await;
    let (last, before) = told.split_last().unwrap();
    assert!(last["usage"].is_object() && last["choices"] == json!([]), "{last}");
    assert!(before.len() > 1 && before.iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)), "{before:?}");
    assert!(chunks("").await.iter().all(|chunk| chunk.get("usage").is_none()));
}

/// A text, encoded.
async fn encoded(encoding: &str, text: &[u8]) -> Vec<u8> {
    macro_rules! with {
        ($encoder:ident) => {{
            let mut encoder = $encoder::new(Vec::new());
            encoder.write_all(text).await.unwrap();
            encoder.shutdown().await.unwrap();
            encoder.into_inner()
        }};
    }
    match encoding {
        "gzip" => with!(GzipEncoder),
        "br" => with!(BrotliEncoder),
        _ => with!(ZstdEncoder),
    }
}

const ENCODINGS: [&str; 3] = ["gzip", "br", "zstd"];

#[tokio::test]
async fn an_encoded_body_says_what_it_said_before_it_was_encoded() {
    let bench = bench().ready();
    let call = r#"{"jsonrpc": "2.0", "id": 1, "method": "ping"}"#;
    for encoding in ENCODINGS {
        let as_json = [JSON, ("content-encoding", encoding)];
        for (route, body) in [("POST /query", r#"{"query": "anything"}"#), ("POST /mcp", call)] {
            let (status, _, answer) = bench.send(route, &as_json, encoded(encoding, body.as_bytes()).await).await;
            assert_eq!(status, 200, "{encoding} {route}: {answer}");
        }
        let documents = br#"{"documents": [{"id": "a.txt", "text": "a"}], "dry_run": true}"#;
        let (_, _, preview) = bench.send("POST /ingest", &as_json, encoded(encoding, documents).await).await;
        assert_eq!(preview["documents"][0]["outcome"], "created", "{encoding}: {preview}");
        let as_text = [("content-type", "text/plain"), ("content-encoding", encoding)];
        let (status, ..) = bench.send("PUT /documents/b.txt", &as_text, encoded(encoding, b"b").await).await;
        assert_eq!(status, 202, "{encoding}");
    }
    // Two members say what they say one after the other.
    let halves = [encoded("gzip", b"{\"query\": ").await, encoded("gzip", b"\"anything\"}").await].concat();
    assert_eq!(bench.send("POST /query", &[JSON, ("content-encoding", "gzip")], halves).await.0, 200);
}

#[tokio::test]
async fn an_encoding_that_is_not_decoded_is_refused_by_name() {
    let bench = bench().ready();
    for (encoding, route) in [("deflate", "POST /query"), ("gzip, br", "POST /ingest"), ("x", "PUT /documents/a")] {
        let (status, headers, problem) = bench.send(route, &[JSON, ("content-encoding", encoding)], "{}").await;
        assert_eq!((status, kind(&problem)), (415, "unsupported-encoding"), "{encoding}");
        assert_eq!(headers["accept-encoding"], "gzip, br, zstd");
        assert!(problem["detail"].as_str().unwrap().contains(encoding), "{problem}");
    }
}

#[tokio::test]
async fn a_bomb_ends_at_the_limit_of_a_body_and_a_broken_one_is_told() {
    let bench = bench_with(&Auth::default(), &[("server.max_body_bytes", "100000")]).ready();
    let most = bench.api.admission.free(Bodies::Documents);
    for encoding in ENCODINGS {
        let headers = [JSON, ("content-encoding", encoding)];
        let bomb = encoded(encoding, &vec![b' '; 20_000_000]).await;
        assert!(bomb.len() < 50_000, "{encoding}: {}", bomb.len());
        for route in ["POST /ingest", "POST /query", "PUT /documents/a.txt", "POST /mcp"] {
            let (status, _, problem) = bench.send(route, &headers, bomb.clone()).await;
            assert_eq!((status, kind(&problem)), (413, "body-too-large"), "{encoding} {route}");
        }
        let form = [("content-type", "multipart/form-data; boundary=x"), ("content-encoding", encoding)];
        let (status, _, problem) = bench.send("POST /ingest", &form, bomb.clone()).await;
        assert_eq!((status, kind(&problem)), (413, "body-too-large"), "{encoding} form");
        assert_eq!(bench.api.admission.free(Bodies::Documents), most, "{encoding}");
        let whole = encoded(encoding, br#"{"query": "anything"}"#).await;
        for broken in [&whole[..whole.len() - 1], b"{\"query\": \"anything\"}", b""] {
            let (status, _, problem) = bench.send("POST /query", &headers, broken.to_vec()).await;
            assert_eq!((status, kind(&problem)), (400, "bad-request"), "{encoding} {broken:?}");
        }
    }
    // Members that say nothing, without an end: each is small, and together they are above the limit.
    let nothing = Bytes::from(encoded("gzip", b"").await);
    let endless = Body::from_stream(stream::repeat_with(move || Ok::<_, std::io::Error>(nothing.clone())));
    let (status, _, problem) = bench.send("POST /query", &[JSON, ("content-encoding", "gzip")], endless).await;
    assert_eq!((status, kind(&problem)), (413, "body-too-large"));
}

#[tokio::test]
async fn a_client_that_waits_to_be_told_is_refused_without_a_look_at_its_body() {
    let bench = bench().ready();
    for (route, length, expected) in [("POST /query", "99999999", 413), ("POST /nowhere", "9", 404)] {
        let looked = Arc::new(AtomicBool::new(false));
        let looks = Arc::clone(&looked);
        let body = stream::poll_fn(move |_| {
            looks.store(true, Ordering::Relaxed);
            std::task::Poll::Ready(None::<Result<Bytes, std::io::Error>>)
        });
        let headers = [JSON, ("expect", "100-continue"), ("content-length", length)];
        assert_eq!(bench.send(route, &headers, Body::from_stream(body)).await.0, expected, "{route}");
        assert!(!looked.load(Ordering::Relaxed), "{route}: a look would have it told to go on");
    }
}

#[tokio::test]
async fn slashes_of_a_base_url_change_nothing() {
    let bench = bench().ready();
    let question = r#"{"model": "rag", "messages": [{"role": "user", "content": "anything"}]}"#;
    for route in ["POST /v1//chat/completions", "POST /v1/chat/completions/", "POST //v1/chat//completions"] {
        assert_eq!(bench.told(route, question).await, (200, String::new()), "{route}");
    }
    for route in ["GET /v1/models/", "GET /v1//models", "GET //documents", "GET /documents/", "GET /health/ready/"] {
        assert_eq!(bench.told(route, "").await.0, 200, "{route}");
    }
    // Errors keep the shape of the route.
    let (_, _, error) = bench.send("POST /v1//chat/completions/", &[JSON], "{}").await;
    assert!(error["error"]["message"].is_string(), "{error}");
    // Those of an id are its own.
    let (status, _, problem) = bench.send("GET /documents/a//b/", &[], "").await;
    assert_eq!((status, kind(&problem)), (404, "no-such-document"));
}

const PORTAL: &str = "https://portal.example.org";

#[tokio::test]
async fn a_browser_is_told_which_pages_may_call_and_only_those_may() {
    let open = bench_with(&Auth::default(), &[("server.cors_origins", "[\"https://portal.example.org\"]")]).ready();
    let preflight = |origin| {
        [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "authorization,x-stainless-lang"),
        ]
    };
    let (status, headers, _) = open.send("OPTIONS /v1/chat/completions", &preflight(PORTAL), "").await;
    assert_eq!(status, 200);
    assert_eq!(headers["access-control-allow-origin"], PORTAL);
    assert_eq!(headers["access-control-allow-headers"], "authorization,x-stainless-lang");
    let methods = headers["access-control-allow-methods"].to_str().unwrap();
    for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
        assert!(methods.contains(method.as_str()), "{methods}");
    }
    let from = |origin| [JSON, ("origin", origin), ("sec-fetch-site", "cross-site")];
    let (status, headers, _) = open.send("POST /query", &from(PORTAL), r#"{"query": "anything"}"#).await;
    assert_eq!((status, &headers["access-control-allow-origin"]), (200, &PORTAL.parse().unwrap()));
    // Errors are read, too.
    let (status, headers, _) = open.send("POST /query", &from(PORTAL), "{").await;
    assert_eq!((status, headers.contains_key("access-control-allow-origin")), (400, true));
    let (status, headers, problem) = open.send("POST /query", &from("https://evil.example"), "{}").await;
    assert_eq!((status, kind(&problem)), (403, "foreign-page"));
    assert!(!headers.contains_key("access-control-allow-origin"));
    let closed = bench().ready();
    let (status, headers, _) = closed.send("OPTIONS /query", &preflight(PORTAL), "").await;
    assert_eq!((status, headers.contains_key("access-control-allow-origin")), (405, false));
    let (status, _, problem) = closed.send("POST /query", &from(PORTAL), r#"{"query": "anything"}"#).await;
    assert_eq!((status, kind(&problem)), (403, "foreign-page"));
}

const LIST: &str = r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}"#;

#[tokio::test]
async fn a_client_of_the_model_context_protocol_that_takes_json_alone_is_answered() {
    let bench = bench().ready();
    for route in ["POST /mcp", "POST /mcp/"] {
        for accept in [None, Some("application/json"), Some("*/*"), Some("application/json, text/event-stream")] {
            let headers = [Some(JSON), accept.map(|accept| ("accept", accept))];
            let headers: Vec<_> = headers.into_iter().flatten().collect();
            let (status, _, answer) = bench.send(route, &headers, LIST).await;
            assert_eq!(status, 200, "{route} {accept:?}: {answer}");
            assert!(answer["result"]["tools"].is_array(), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_refusal_of_the_model_context_protocol_says_why_and_does_not_contradict_itself() {
    let bench = bench().ready();
    for (headers, expected, slug, word) in [
        ([JSON, ("accept", "text/html")], 406, "not-acceptable", "Accept"),
        ([JSON, ("accept", "text/event-stream")], 406, "not-acceptable", "Accept"),
        ([("content-type", "text/plain"), ("accept", "*/*")], 415, "unsupported-media-type", "Content-Type"),
        ([JSON, ("mcp-protocol-version", "1999-01-01")], 400, "refused", "1999-01-01"),
    ] {
        let (status, _, problem) = bench.send("POST /mcp", &headers, LIST).await;
        assert_eq!((status, &problem["status"], kind(&problem)), (expected, &json!(expected), slug), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{problem}");
    }
    for (body, status, code) in [
        ("{\"jsonrpc\":", 400, -32700),
        ("", 400, -32700),
        ("[]", 400, -32600),
        (r#"{"jsonrpc": "2.0", "id": 1}"#, 400, -32600),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/cal"}"#, 200, -32601),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "nonsense"}}"#, 200, -32602),
    ] {
        let (found, headers, answer) = bench.send("POST /mcp", &[JSON], body).await;
        assert_eq!((found, &answer["error"]["code"]), (status, &json!(code)), "{body}: {answer}");
        assert_eq!((&headers["content-type"], &answer["jsonrpc"]), (&JSON.1.parse().unwrap(), &json!("2.0")));
    }
}

#[tokio::test]
async fn arguments_as_a_text_are_named_and_whole_floats_are_taken() {
    let bench = bench().ready();
    let call = |arguments: &str| {
        format!(
            r#"{{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {{"name": "ask", "arguments": {arguments}}}}}"#
        )
    };
    let (status, _, answer) = bench.send("POST /mcp", &[JSON], call(r#""{\"query\": \"anything\"}""#)).await;
    assert_eq!((status, &answer["error"]["code"]), (200, &json!(-32602)), "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("arguments"), "{answer}");
    for arguments in [
        r#"{"query": "anything", "top_k": 3.0}"#,
        r#"{"query": "anything", "top_k": null}"#,
        r#"{"query": "snap \ud83d shots"}"#,
    ] {
        let (status, _, answer) = bench.send("POST /mcp", &[JSON], call(arguments)).await;
        assert!(status == 200 && answer["result"].is_object(), "{arguments}: {answer}");
        assert_ne!(answer["result"]["isError"], true, "{arguments}: {answer}");
    }
}
