//! What a provider says of its answer and of a request reaches whoever asked, unchanged in meaning.

use serde_json::{Value, json};

use crate::{
    fake_provider::{Act, FakeProvider},
    generation::events,
    process::{FREE_PORTS, Home, Server, problem},
};

const BACKUP: &str = "# Backup\n\nDaily snapshots are kept for 7 days.\n";
const QUESTION: &str = "How long are daily snapshots kept?";
const SAID: &str = "Daily snapshots are kept for 7 days. [1]";

async fn serve(home: &Home, config: &str) -> Server {
    let server = home.serve(&format!("{FREE_PORTS}{config}"));
    server.await_ready().await;
    server.ingest("ops/backup.md", BACKUP, "").await;
    server
}

async fn asked(server: &Server) -> Value {
    server.post("/query").json(&json!({"query": QUESTION})).send().await.unwrap().json().await.unwrap()
}

fn chat(more: Value) -> Value {
    let mut body = json!({"model": "rag", "messages": [{"role": "user", "content": QUESTION}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

async fn completed(server: &Server) -> Value {
    server.post("/v1/chat/completions").json(&chat(json!({}))).send().await.unwrap().json().await.unwrap()
}

/// The reason in the last piece of a stream.
async fn streamed_reason(server: &Server) -> Value {
    let body = chat(json!({"stream": true}));
    let text = server.post("/v1/chat/completions").json(&body).send().await.unwrap().text().await.unwrap();
    let mut data = text.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    let last: Value = serde_json::from_str(data.next_back().unwrap()).unwrap();
    last["choices"][0]["finish_reason"].clone()
}

#[tokio::test]
async fn an_answer_that_is_not_whole_says_so_and_is_neither_grounded_nor_remembered() {
    for (ends, reason, cut_by) in [
        ("length", json!("length"), json!("length")),
        ("content_filter", json!("content_filter"), json!("content_filter")),
        ("stop", json!("stop"), Value::Null),
    ] {
        let (home, provider) = (Home::new(), FakeProvider::start(Act::SayAndEnd(SAID, ends)).await);
        let server = serve(&home, &provider.configured("double", "")).await;
        let is_whole = cut_by.is_null();
        for _ in 0..2 {
            let answer = asked(&server).await;
            assert_eq!((&answer["answer"], &answer["cut_by"]), (&json!(SAID), &cut_by), "{answer}");
            assert_eq!(answer["status"], if is_whole { "grounded" } else { "partial" }, "{answer}");
            assert_eq!(answer["sentences"][0]["supported"], true, "{answer}");
            let completion = completed(&server).await;
            assert_eq!(completion["choices"][0]["finish_reason"], reason, "{completion}");
            assert_eq!(streamed_reason(&server).await, reason);
        }
        let body = json!({"query": QUESTION, "stream": true});
        let events = events(&server.post("/query").json(&body).send().await.unwrap().text().await.unwrap());
        assert_eq!(events.last().unwrap().1["cut_by"], cut_by, "{events:?}");
        assert_eq!(provider.calls(), if is_whole { 1 } else { 7 }, "{ends}");
    }
}

#[tokio::test]
async fn a_text_of_which_a_filter_left_nothing_is_a_refusal_and_no_illness() {
    let (home, provider) = (Home::new(), FakeProvider::start(Act::SayAndEnd("", "content_filter")).await);
    let breaker = "[generation.circuit_breaker]\nfailures = 1\nopen_seconds = 600\n";
    let server = serve(&home, &[breaker, &provider.configured("double", "")].concat()).await;
    for calls in 1..=3 {
        let answer = asked(&server).await;
        assert_eq!((&answer["written_by"], provider.calls()), (&json!("extractive"), calls), "{answer}");
        let notice = answer["notice"].as_str().unwrap();
        assert!(notice.contains("double refused the request") && notice.contains("content_filter"), "{notice}");
    }
}

#[tokio::test]
async fn a_request_that_every_provider_refuses_stays_the_caller_s_fault() {
    let (home, provider) = (Home::new(), FakeProvider::start(Act::Fail(400, vec![])).await);
    let config = ["[generation]\nfallback = \"None\"\n", &provider.configured("double", "")].concat();
    let server = serve(&home, &config).await;
    let refused = server.post("/query").json(&json!({"query": QUESTION})).send().await.unwrap();
    let told = problem(refused, 422, "invalid-value").await;
    assert!(told["detail"].as_str().unwrap().contains("status 400, told_to_fail"), "{told}");
    let refused = server.post("/v1/chat/completions").json(&chat(json!({}))).send().await.unwrap();
    assert_eq!(refused.status(), 400);
    let told: Value = refused.json().await.unwrap();
    assert_eq!(told["error"]["type"], "invalid_request_error", "{told}");
    for (act, status, kind) in
        [(Act::Fail(500, vec![]), 503, "no-provider"), (Act::Fail(401, vec![]), 503, "no-provider")]
    {
        provider.otherwise(act);
        let failed = server.post("/query").json(&json!({"query": QUESTION})).send().await.unwrap();
        problem(failed, status, kind).await;
    }
}

#[tokio::test]
async fn a_provider_is_sent_the_very_numbers_that_the_client_sent() {
    let (home, provider) = (Home::new(), FakeProvider::start(Act::Say(SAID)).await);
    let server = serve(&home, &provider.configured("double", "")).await;
    let wishes = json!({
        "temperature": 0.7, "top_p": 0.1, "seed": -1, "presence_penalty": 0.3, "frequency_penalty": -1.7,
    });
    let response = server.post("/v1/chat/completions").json(&chat(wishes.clone())).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let (_, sent) = provider.asked().remove(0);
    for (name, value) in wishes.as_object().unwrap() {
        assert_eq!(sent[name].to_string(), value.to_string(), "{name}");
    }
    let body = json!({"query": QUESTION, "temperature": 1.3, "seed": -9_000_000_000_000_000_000_i64});
    assert_eq!(server.post("/query").json(&body).send().await.unwrap().status(), 200);
    let (_, sent) = provider.asked().remove(1);
    assert_eq!(
        (sent["temperature"].to_string(), sent["seed"].to_string()),
        ("1.3".to_owned(), "-9000000000000000000".to_owned())
    );
}

#[tokio::test]
async fn what_another_provider_wrote_is_not_remembered_so_that_the_first_is_asked_again() {
    let home = Home::new();
    let (first, second) =
        (FakeProvider::start(Act::Say(SAID)).await, FakeProvider::start(Act::Say("A week. [1]")).await);
    let server = serve(&home, &[first.configured("first", ""), second.configured("second", "")].concat()).await;
    first.script([Act::Fail(500, vec![])]);
    for (by, calls) in [("second", (1, 1)), ("first", (2, 1)), ("first", (2, 1))] {
        assert_eq!(asked(&server).await["written_by"], by);
        assert_eq!((first.calls(), second.calls()), calls);
    }
}
