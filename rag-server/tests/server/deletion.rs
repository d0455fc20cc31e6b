//! What was deleted stays deleted, whatever was accepted before.

use std::sync::Arc;

use axum::{Json, Router, routing::post};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

use crate::{
    process::{FREE_PORTS, Home, Server, eventually},
    shared_store::SharedStore,
};

/// A provider of vectors that answers for documents while its gate is open, and for whoever only asks whether it is there at any time.
async fn provider() -> (String, Arc<watch::Sender<bool>>) {
    let gate = Arc::new(watch::Sender::new(true));
    let opened = Arc::clone(&gate);
    let embed = async move |Json(body): Json<Value>| {
        let asked = body["input"].to_string();
        if ["zq", "canteen"].iter().any(|word| asked.contains(word)) {
            opened.subscribe().wait_for(|is_open| *is_open).await.unwrap();
        }
        let count = body["input"].as_array().map_or(1, Vec::len);
        let data: Vec<Value> = (0..count).map(|index| json!({ "index": index, "embedding": vec![0.5; 8] })).collect();
        Json(json!({ "model": "gated", "data": data, "usage": { "prompt_tokens": 1, "total_tokens": 1 } }))
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/embeddings", post(embed))).await });
    let config = format!("[embedding.openai]\nbase_url = \"http://{address}/v1\"\nmodel = \"gated\"\ndimensions = 8\n");
    (config, gate)
}

fn start(home: &Home) -> Server {
    let serve = home.command(&["serve", "--config"]).args_of(&[&home.path("config.toml")]);
    Server::start(&serve.without_embedded_store())
}

/// Sends a text; gives the path of its job.
async fn put(server: &Server, id: &str, text: String) -> String {
    let accepted = server.post("/ingest").json(&json!({ "documents": [{ "id": id, "text": text }] })).send().await;
    let accepted = accepted.unwrap();
    assert_eq!(accepted.status(), StatusCode::ACCEPTED);
    accepted.headers()["location"].to_str().unwrap().to_owned()
}

async fn ended(server: &Server, job: &str) -> Value {
    let mut answer = Value::Null;
    eventually("the job has ended", async || {
        answer = server.get(job).send().await.unwrap().json().await.unwrap();
        answer["finished_at"] != Value::Null
    })
    .await;
    answer
}

async fn delete(server: &Server, id: &str) -> StatusCode {
    server.request(Method::DELETE, &format!("/documents/{id}")).send().await.unwrap().status()
}

async fn status(server: &Server, id: &str) -> StatusCode {
    server.get(&format!("/documents/{id}")).send().await.unwrap().status()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_document_stays_away_whatever_was_queued_before_and_after_a_restart() {
    let (store, (embedding, gate), home) = (SharedStore::start().await, provider().await, Home::new());
    let config = format!("{FREE_PORTS}[retrieval]\nmode = \"Lexical\"\nmin_score = 0.0\n{}{embedding}", store.config());
    home.write("config.toml", &config);
    let server = start(&home);
    server.await_ready().await;
    let job = put(&server, "vault.md", "The vault code is zqfirst.".to_owned()).await;
    assert_eq!(ended(&server, &job).await["state"], "done");
    gate.send_replace(false);
    // The first one is in work, the others wait behind it.
    let before = put(&server, "other.md", "The canteen opens at noon.".to_owned()).await;
    let changed = put(&server, "vault.md", "The vault code is zqsecond.".to_owned()).await;
    let fresh = put(&server, "new.md", "The cellar code is zqthird.".to_owned()).await;
    assert_eq!(delete(&server, "vault.md").await, StatusCode::NO_CONTENT);
    assert_eq!(delete(&server, "new.md").await, StatusCode::NOT_FOUND, "it was not written yet");
    assert_eq!(status(&server, "vault.md").await, StatusCode::NOT_FOUND);
    drop(server);
    let server = start(&home);
    server.await_ready().await;
    let after = put(&server, "kept.md", "The attic code is zqfourth.".to_owned()).await;
    gate.send_replace(true);
    for (job, outcome) in [(&before, "done"), (&changed, "failed"), (&fresh, "failed"), (&after, "done")] {
        let ended = ended(&server, job).await;
        assert_eq!(ended["state"], outcome, "{ended}");
        let is_deleted = ended["documents"][0].to_string().contains("the document was deleted");
        assert_eq!(is_deleted, outcome == "failed", "{ended}");
    }
    for (id, there) in [("vault.md", false), ("new.md", false), ("kept.md", true), ("other.md", true)] {
        let expected = if there { StatusCode::OK } else { StatusCode::NOT_FOUND };
        assert_eq!(status(&server, id).await, expected, "{id}");
    }
    for (word, there) in [("zqfirst", false), ("zqsecond", false), ("zqthird", false), ("zqfourth", true)] {
        let found = server.post("/search").json(&json!({ "query": word, "top_k": 5 })).send().await.unwrap();
        let found: Value = found.json().await.unwrap();
        assert_eq!(found["passages"].to_string().contains(word), there, "{word}: {found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_is_deleted_while_a_long_new_version_of_it_is_being_written_stays_gone() {
    let (store, (embedding, gate), home) = (SharedStore::start().await, provider().await, Home::new());
    let config = format!("{FREE_PORTS}[retrieval]\nmode = \"Lexical\"\nmin_score = 0.0\n{}{embedding}", store.config());
    home.write("config.toml", &config);
    let server = start(&home);
    server.await_ready().await;
    let first = put(&server, "res.txt", "The vault code is zqfirst.".to_owned()).await;
    assert_eq!(ended(&server, &first).await["state"], "done");
    gate.send_replace(false);
    let sentence = |number| format!("Reservation {number} has the vault code zqsecond.\n");
    let changed = put(&server, "res.txt", (0..3000).map(sentence).collect()).await;
    eventually("it is being written", async || {
        let job: Value = server.get(&changed).send().await.unwrap().json().await.unwrap();
        job["state"] == "running"
    })
    .await;
    assert_eq!(delete(&server, "res.txt").await, StatusCode::NO_CONTENT);
    assert_eq!(status(&server, "res.txt").await, StatusCode::NOT_FOUND);
    gate.send_replace(true);
    let job = ended(&server, &changed).await;
    assert_eq!((&job["state"], &job["documents"][0]["state"]), (&json!("failed"), &json!("failed")), "{job}");
    assert!(job["documents"][0]["error"].as_str().unwrap().contains("the document was deleted"), "{job}");
    assert_eq!(status(&server, "res.txt").await, StatusCode::NOT_FOUND);
    for word in ["zqfirst", "zqsecond"] {
        let found = server.post("/search").json(&json!({ "query": word, "top_k": 5 })).send().await.unwrap();
        let found: Value = found.json().await.unwrap();
        assert_eq!(found["passages"], json!([]), "{word}");
    }
    // What is sent afterwards is written as ever.
    let again = put(&server, "res.txt", "The vault code is zqthird.".to_owned()).await;
    assert_eq!(ended(&server, &again).await["documents"][0]["outcome"], "created");
}
