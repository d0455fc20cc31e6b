//! Caches: what is remembered is used, and never after the documents changed, whichever replica is asked.

use serde_json::{Value, json};

use crate::{
    fake_provider::{Act, FakeProvider},
    process::{FREE_PORTS, Home, Server},
    shared_store::SharedStore,
};

const QUESTION: &str = "How long are daily snapshots kept?";

fn plan(days: u32) -> String {
    format!("# Backup\n\nDaily snapshots are kept for {days} days.\n")
}

async fn ask(server: &Server) -> Value {
    let response = server.post("/query").json(&json!({"query": QUESTION})).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

/// The answer's text.
async fn said(server: &Server) -> String {
    ask(server).await["answer"].as_str().unwrap().to_owned()
}

async fn delete(server: &Server, document: &str) {
    let path = format!("/documents/{document}");
    assert_eq!(server.request(reqwest::Method::DELETE, &path).send().await.unwrap().status(), 204);
}

/// A counter's value.
async fn counted(server: &Server, metric: &str, cache: &str) -> u64 {
    let text = server.manage("/metrics").send().await.unwrap().text().await.unwrap();
    let name = format!("{metric}{{cache=\"{cache}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_else(|| panic!("no {name}:\n{text}"));
    line.parse().unwrap()
}

#[tokio::test]
async fn a_repeated_question_is_answered_from_memory_until_a_document_changes() {
    let home = Home::new();
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    for cache in ["embedding", "retrieval", "response"] {
        assert_eq!(counted(&server, "rag_cache_hits_total", cache).await, 0);
    }
    server.ingest("plan.md", &plan(7), "").await;
    let first = ask(&server).await;
    let again = ask(&server).await;
    for member in ["status", "answer", "citations", "searched"] {
        assert_eq!(first[member], again[member]);
    }
    let hits = counted(&server, "rag_cache_hits_total", "retrieval").await;
    assert!(hits > 0, "the second question was searched again");
    assert!(counted(&server, "rag_cache_hits_total", "response").await > 0, "its answer was put together again");
    assert!(counted(&server, "rag_cache_requests_total", "retrieval").await >= hits);

    for days in [9, 11] {
        server.ingest("plan.md", &plan(days), "").await;
        assert!(said(&server).await.contains(&format!("for {days} days")));
    }
    server.ingest("other.md", "Daily snapshots are kept in the cellar.\n", "").await;
    let both = ask(&server).await["citations"].to_string();
    assert!(both.contains("other.md") && both.contains("plan.md"), "{both}");
    delete(&server, "plan.md").await;
    assert!(!ask(&server).await.to_string().contains("plan.md"));
    delete(&server, "other.md").await;
    assert_eq!(ask(&server).await["status"], "refused");
    server.ingest("plan.md", &plan(13), "").await;
    assert!(said(&server).await.contains("for 13 days"));
}

#[tokio::test]
async fn a_providers_answer_is_given_again_until_what_it_was_written_from_changes() {
    let home = Home::new();
    let provider = FakeProvider::start(Act::Say("They are kept for a week. [1]")).await;
    let server = home.serve(&format!("{FREE_PORTS}{}", provider.configured("double", "")));
    server.await_ready().await;
    server.ingest("plan.md", &plan(7), "").await;
    let explained = async |sampling: Value| {
        let mut body = json!({"query": QUESTION, "top_k": 1, "explain": true});
        body.as_object_mut().unwrap().extend(sampling.as_object().unwrap().clone());
        let answer: Value = server.post("/query").json(&body).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["answer"], "They are kept for a week. [1]", "{answer}");
        (answer["explain"]["generation"]["cached"].as_bool().unwrap(), provider.calls())
    };
    assert_eq!(explained(json!({})).await, (false, 1));
    assert_eq!(explained(json!({})).await, (true, 1));
    let streamed = json!({"query": QUESTION, "top_k": 1, "stream": true});
    let events = server.post("/query").json(&streamed).send().await.unwrap().text().await.unwrap();
    assert!(events.contains("They are kept for a week. [1]") && provider.calls() == 1, "{events}");
    assert_eq!(explained(json!({"temperature": 0.5})).await, (false, 2), "written in another way");
    server.ingest("pumps.md", "A pump is greased every month.", "").await;
    assert_eq!(explained(json!({})).await, (true, 2), "another document changes nothing of it");
    server.ingest("plan.md", &plan(9), "").await;
    assert_eq!(explained(json!({})).await, (false, 3), "written from other passages");
    assert!(counted(&server, "rag_cache_hits_total", "response").await >= 2);
}

#[tokio::test]
async fn without_memory_nothing_is_remembered() {
    let home = Home::new();
    let server = home.serve(&format!("{FREE_PORTS}[cache]\nmax_bytes = 0\n"));
    server.await_ready().await;
    server.ingest("plan.md", &plan(7), "").await;
    for _ in 0..2 {
        assert!(said(&server).await.contains("for 7 days"));
    }
    assert_eq!(counted(&server, "rag_cache_requests_total", "retrieval").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_through_one_replica_is_seen_by_the_next_question_to_another() {
    let store = SharedStore::start().await;
    let config = format!("{FREE_PORTS}{}", store.config());
    let homes = [Home::new(), Home::new()];
    let servers = homes.each_ref().map(|home| home.serve_over_store(&config));
    for server in &servers {
        server.await_ready().await;
        assert_eq!(ask(server).await["status"], "refused");
    }
    for round in 0..6_usize {
        let (writer, reader) = (&servers[round % 2], &servers[(round + 1) % 2]);
        let days = 7 + u32::try_from(round).unwrap();
        writer.ingest("plan.md", &plan(days), "").await;
        // Twice: the second answer may come from memory, and both must be the new one.
        for server in [reader, reader, writer] {
            assert!(said(server).await.contains(&format!("for {days} days")), "round {round}");
        }
    }
    delete(&servers[0], "plan.md").await;
    for server in servers.iter().rev() {
        assert_eq!(ask(server).await["status"], "refused");
    }
    let hits = counted(&servers[0], "rag_cache_hits_total", "retrieval").await;
    assert!(hits > 0, "nothing was answered from memory, so nothing was shown");
}
