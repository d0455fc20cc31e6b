//! What the log holds of documents and questions: nothing, at every level of ours.

use serde_json::{Value, json};

use crate::{
    documents::{ended, fixture},
    fake_provider::{Act, FakeProvider},
    process::{FREE_PORTS, Home, Server},
};

const QUESTION: &str = "How long are daily zanzibars kept?";

/// Starts a server that says all that it can say.
async fn talkative(home: &Home, config: &str) -> Server {
    let config = home.write("config.toml", &format!("{FREE_PORTS}{config}"));
    let call = home.command(&["serve", "--config"]).args_of(&[&config]).variable("RAG_LOG", "rag_server=trace,warn");
    let server = Server::start(&call);
    server.await_ready().await;
    server
}

/// Everything that it said until its end.
async fn whole_log(mut server: Server) -> Vec<String> {
    server.terminate();
    server.await_log("stopped");
    assert!(server.await_exit().await.success());
    std::mem::take(&mut server.seen)
}

#[tokio::test]
async fn a_log_holds_no_text_of_a_document_and_no_question() {
    let home = Home::new();
    let provider = FakeProvider::start(Act::Say("Daily zanzibars are kept for 7 days. [1]")).await;
    let server = talkative(&home, &provider.configured("double", "")).await;
    let plan = "# Zanzibars\n\nDaily zanzibars are kept for 7 days.\n";
    server.ingest("plan.md", plan, "").await;
    server.ingest("plan.md", &plan.replace('7', "8"), "").await;
    for (path, body) in [
        ("/query", json!({"query": QUESTION, "explain": true, "session": "s"})),
        ("/query", json!({"query": QUESTION, "stream": true})),
        ("/query", json!({"query": QUESTION, "zanzibars": 1})),
        ("/search", json!({"query": QUESTION})),
        ("/v1/chat/completions", json!({"model": "rag", "messages": [{"role": "user", "content": QUESTION}]})),
        ("/v1/embeddings", json!({"model": "rag", "input": QUESTION})),
        ("/ingest", json!({"documents": [{"id": "broken.jsonl", "text": "{\"text\": \"zanzibars\", oops"}]})),
        ("/ingest", json!({"documents": "zanzibars"})),
    ] {
        server.post(path).json(&body).send().await.unwrap().bytes().await.unwrap();
    }
    provider.otherwise(Act::Garbage);
    let answer: Value =
        server.post("/query").json(&json!({"query": QUESTION})).send().await.unwrap().json().await.unwrap();
    assert!(answer.to_string().contains("zanzibars"), "{answer}");
    let mut damaged = fixture("libreoffice.pdf");
    damaged.truncate(400);
    let put = server.request(reqwest::Method::PUT, "/documents/damaged.pdf").body(damaged);
    let job = ended(&server, put.send().await.unwrap()).await;
    assert_eq!(job["documents"][0]["state"], "failed", "{job}");

    let log = whole_log(server).await;
    let requests = log.iter().filter(|line| line.contains("\"/query\"")).count();
    assert!(requests >= 4, "requests are logged:\n{}", log.join("\n"));
    for line in &log {
        assert!(!line.to_lowercase().contains("zanzibar"), "{line}");
    }
}

#[tokio::test]
async fn angle_brackets_in_a_document_break_nothing() {
    let home = Home::new();
    let server = talkative(&home, "").await;
    let text = "# Headers\n\nThe pump driver begins with #include <linux/pump.h> and `Vec<Option<&'a str>>`, {braces}, %s and <red>no colour</red>.\n";
    for id in ["pump.c.md", "<pump>.txt", "{0} %d <b>.md"] {
        server.ingest(id, &format!("{text}\n{id}\n"), "").await;
    }
    let question = json!({"query": "What does the pump driver begin with, <linux/pump.h> or {braces}?"});
    let found: Value = server.post("/search").json(&question).send().await.unwrap().json().await.unwrap();
    let passages = found["passages"].as_array().unwrap();
    assert_eq!(passages.len(), 3, "{found}");
    for passage in passages {
        let shown = passage["text"].as_str().unwrap();
        assert!(
            shown.contains("#include <linux/pump.h> and `Vec<Option<&'a str>>`, {braces}, %s and <red>"),
            "{shown}"
        );
    }
    let answer: Value = server.post("/query").json(&question).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["status"], "grounded", "{answer}");
    for line in whole_log(server).await {
        assert!(serde_json::from_str::<Value>(&line).is_ok_and(|event| event.is_object()), "{line}");
    }
}
