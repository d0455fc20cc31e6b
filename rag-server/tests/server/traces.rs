//! What a collector of traces is sent: one trace for a question, from its client to the provider, and no word of it.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    credentials::keyed,
    fake_collector::{FakeCollector, Span},
    fake_provider::{Act, FakeProvider},
    process::{FREE_PORTS, Home, Server, eventually},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const READER: &str = "reader-key-0123456789";
const WRITER: &str = "writer-key-0123456789";

/// A server that sends its traces there, with a provider and a document.
async fn traced(home: &Home, collector: &FakeCollector, provider: &FakeProvider, more: &str) -> Server {
    home.write("collector", "Authorization: Bearer planted-collector-key\n");
    home.write("provider", "planted-provider-key-0123\n");
    let tracing = format!("[tracing]\nendpoint = \"{}\"\nheaders_file = \"collector\"\n{more}\n", collector.url);
    let provider = provider.configured("double", "api_key_file = \"provider\"");
    let server = home.serve(&[&*keyed(home), &tracing, &provider].concat());
    server.await_ready().await;
    server.ingest("plan.md", "# Zanzibars\n\nDaily zanzibars are kept for 7 days.\n", WRITER).await;
    server
}

async fn ask(server: &Server, id: &str, flags: Option<&str>) -> Value {
    let question = json!({"query": format!("How long are daily zanzibars kept, {id}?"), "explain": true});
    let request = server.post("/query").header("x-api-key", READER).header("x-request-id", id).json(&question);
    let request = match flags {
        Some(flags) => request.header("traceparent", format!("00-{TRACE}-{PARENT}-{flags}")),
        None => request,
    };
    let answer = request.send().await.unwrap();
    assert_eq!((answer.status(), answer.headers()["x-request-id"].to_str().unwrap()), (StatusCode::OK, id));
    answer.json().await.unwrap()
}

fn named<'s>(spans: &'s [Span], name: &str) -> &'s Span {
    let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name:?} among {names:?}"))
}

#[tokio::test]
async fn a_question_is_one_trace_from_its_client_to_the_provider() {
    let (home, collector) = (Home::new(), FakeCollector::start().await);
    let provider = FakeProvider::start(Act::Say("Daily zanzibars are kept for 7 days. [1]")).await;
    let server = traced(&home, &collector, &provider, "").await;
    let answer = ask(&server, "traced-1", Some("01")).await;
    assert_eq!((&answer["written_by"], &answer["request_id"]), (&json!("double"), &json!("traced-1")));
    eventually("the request's span was sent", async || collector.request("traced-1").is_some()).await;

    let spans = collector.trace(TRACE);
    let request = named(&spans, "POST /query");
    assert_eq!((request.kind, request.parent().as_str()), (2, PARENT));
    let told = ["http.route", "http.request.method", "http.response.status_code", "request_id"];
    assert_eq!(told.map(|key| request.attribute(key)), ["/query", "POST", "200", "traced-1"]);
    let of = |name: &str| {
        let parent = named(&spans, name).parent();
        spans.iter().find(|span| span.id() == parent).map_or_else(String::new, |span| span.name.clone())
    };
    for (name, parent) in [
        ("embed", "POST /query"),
        ("embedding model embed_query", "embed"),
        ("search", "POST /query"),
        ("vector store search", "search"),
        ("provider double chat", "POST /query"),
        ("check", "POST /query"),
    ] {
        assert_eq!(of(name), parent, "{name}");
        let span = named(&spans, name);
        assert!(request.start <= span.start && span.start <= span.end && span.end <= request.end, "{name}");
    }
    // The provider was told its place in the trace: below the call of it.
    let (headers, _) = provider.asked().pop().unwrap();
    let called = named(&spans, "provider double chat").id();
    assert_eq!(headers["traceparent"].to_str().unwrap(), format!("00-{TRACE}-{called}-01"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_no_question_and_no_text_is_sent_with_spans() {
    let (home, collector) = (Home::new(), FakeCollector::start().await);
    let provider = FakeProvider::start(Act::Say("Daily zanzibars are kept for 7 days. [1]")).await;
    let mut server = traced(&home, &collector, &provider, "").await;
    ask(&server, "whole", None).await;
    provider.script([Act::Fail(500, Vec::new())]);
    ask(&server, "failing", None).await;
    let stream = json!({"query": "Which zanzibars are there?", "stream": true, "session": "zanzibar"});
    let stream = server.post("/query").header("x-api-key", READER).header("x-request-id", "stream").json(&stream);
    stream.send().await.unwrap().bytes().await.unwrap();
    for path in ["/documents/zanzibar", "/nowhere/zanzibar"] {
        server.get(path).header("x-api-key", READER).send().await.unwrap();
    }
    // A line within a request is told with its id, also where a span of the trace is around it.
    let failed = server.await_log("the provider ");
    assert_eq!(failed["span"]["request_id"], "failing", "{failed}");

    // The last ones are sent before the process ends.
    server.terminate();
    assert!(server.await_exit().await.success());
    for id in ["whole", "failing", "stream"] {
        assert!(collector.request(id).is_some(), "{id}");
    }
    let failing = collector.trace(&collector.request("failing").unwrap().trace());
    let call = named(&failing, "provider double chat");
    assert!(call.is_error() && call.attribute("cause") == "failed", "{call:?}");
    let sent = collector.sent();
    for (headers, body) in &sent {
        assert_eq!(headers["authorization"], "Bearer planted-collector-key");
        let body = String::from_utf8_lossy(body).to_lowercase();
        for secret in ["zanzibar", "planted", READER, WRITER, "sk-secret", "plan.md"] {
            assert!(!body.contains(secret), "{secret}: {body}");
        }
    }
}

#[tokio::test]
async fn what_is_not_sampled_is_not_sent_unless_its_client_wants_it() {
    let (home, collector) = (Home::new(), FakeCollector::start().await);
    let provider = FakeProvider::start(Act::Say("Daily zanzibars are kept for 7 days. [1]")).await;
    let server = traced(&home, &collector, &provider, "sample_ratio = 0.0").await;
    ask(&server, "unsampled", None).await;
    let (headers, _) = provider.asked().pop().unwrap();
    assert!(headers["traceparent"].to_str().unwrap().ends_with("-00"), "{headers:?}");
    ask(&server, "refused-by-client", Some("00")).await;
    ask(&server, "wanted", Some("01")).await;
    eventually("the wanted one was sent", async || collector.request("wanted").is_some()).await;
    assert!(collector.spans().iter().all(|span| span.trace() == TRACE && span.attribute("request_id") != "unsampled"));
    assert!(collector.request("refused-by-client").is_none());
    // Probes, jobs and counts go on all the time, and are nobody's trace.
    assert!(collector.spans().iter().all(|span| !span.name.contains("health") && !span.name.contains("count")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_refuses_fails_no_request_and_is_said_once() {
    let (home, collector) = (Home::new(), FakeCollector::start().await);
    let provider = FakeProvider::start(Act::Say("Daily zanzibars are kept for 7 days. [1]")).await;
    collector.answer(503);
    let mut server = traced(&home, &collector, &provider, "").await;
    let failed = async || {
        let metrics = server.manage("/metrics").send().await.unwrap().text().await.unwrap();
        let line = metrics.lines().find_map(|line| line.strip_prefix("rag_trace_spans_total{outcome=\"failed\"} "));
        line.unwrap().parse::<u64>().unwrap()
    };
    let mut before = 0;
    for id in ["one", "two"] {
        ask(&server, id, None).await;
        eventually("spans were refused", async || failed().await > before).await;
        before = failed().await;
    }
    collector.answer(200);
    ask(&server, "three", None).await;
    server.await_log("answers again");
    let said = server.seen.iter().filter(|line| line.contains("trace collector") && line.contains("does not answer"));
    assert_eq!(said.count(), 1, "{:?}", server.seen);
}

#[test]
fn what_is_wrong_with_the_way_to_a_collector_is_said_at_the_start() {
    let home = Home::new();
    home.write("headers", "planted-key-without-a-name\n");
    let endpoint = "[tracing]\nendpoint = \"http://127.0.0.1:1\"\n";
    for (more, said) in [
        ("headers_file = \"headers\"\n", "tracing: headers line 1 is no header"),
        ("headers_file = \"nowhere\"\n", "tracing: nowhere cannot be read"),
        ("ca_file = \"headers\"\n", "tracing: headers holds no CA certificate"),
        ("sample_ratio = 2\n", "tracing.sample_ratio"),
    ] {
        let config = home.write("config.toml", &[FREE_PORTS, endpoint, more].concat());
        let output = home.command(&["serve", "--config"]).args_of(&[&config]).command().output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(said) && !told.contains("planted"), "{told}");
    }
}
