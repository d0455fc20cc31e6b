//! One bad neighbour stops nobody: what the provider of the embedding model does to one document, or to all of them for a while.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use axum::{Json, Router, extract::State, http::StatusCode, routing};
use serde_json::{Value, json};

use crate::process::{FREE_PORTS, Home, Server, eventually};

/// A double of a provider of embeddings.
#[derive(Default)]
struct Provider {
    is_down: AtomicBool,
    /// It breaks down on texts that hold this word.
    poison: Mutex<Option<&'static str>>,
    calls: AtomicUsize,
}

/// Texts that share words are near.
fn vector(text: &str) -> Vec<f32> {
    let mut vector = vec![0.01_f32; 8];
    for word in text.to_lowercase().split_whitespace() {
        let at = word.bytes().fold(7_usize, |at, byte| at * 31 % 1009 + usize::from(byte));
        vector[at % 8] += 1.0;
    }
    vector
}

async fn embeddings(
    State(provider): State<Arc<Provider>>,
    Json(asked): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    provider.calls.fetch_add(1, Ordering::SeqCst);
    let texts: Vec<&str> = asked["input"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    let poison = *provider.poison.lock().unwrap();
    let poisoned = poison.is_some_and(|word| texts.iter().any(|text| text.contains(word)));
    if poisoned || provider.is_down.load(Ordering::SeqCst) {
        return Err(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let data = texts.iter().enumerate().map(|(index, text)| json!({"index": index, "embedding": vector(text)}));
    Ok(Json(json!({"data": data.collect::<Vec<_>>()})))
}

async fn served(home: &Home, provider: &Arc<Provider>) -> Server {
    let router = Router::new().route("/v1/embeddings", routing::post(embeddings)).with_state(Arc::clone(provider));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let embedding = format!("[embedding.openai]\nbase_url = \"{url}\"\nmodel = \"double\"\ndimensions = 8\n");
    let server = home.serve(&format!("{FREE_PORTS}{embedding}"));
    server.await_ready().await;
    server
}

/// Sends a document; gives the path of its job.
async fn send(server: &Server, id: &str, text: &str) -> String {
    let body = json!({"documents": [{"id": id, "text": text}]});
    let accepted = server.post("/ingest").json(&body).send().await.unwrap();
    assert_eq!(accepted.status(), 202);
    accepted.headers()["location"].to_str().unwrap().to_owned()
}

async fn job(server: &Server, path: &str) -> Value {
    server.get(path).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_document_on_which_the_provider_breaks_down_holds_up_no_other_one() {
    let (home, provider) = (Home::new(), Arc::<Provider>::default());
    *provider.poison.lock().unwrap() = Some("POISON");
    let server = served(&home, &provider).await;
    let bad = send(&server, "bad.txt", "A POISON pill.").await;
    let good = send(&server, "good.txt", "Gates are red.").await;
    eventually("the other document is ingested", async || job(&server, &good).await["state"] == "done").await;
    eventually("the try counts", async || job(&server, &bad).await["documents"][0]["tries"] == 1).await;
    let waits = job(&server, &bad).await;
    assert_eq!((&waits["state"], &waits["documents"][0]["state"]), (&json!("running"), &json!("queued")), "{waits}");
    assert!(waits["documents"][0]["retry_at"].is_string(), "{waits}");
    drop(server);

    *provider.poison.lock().unwrap() = None;
    let server = served(&home, &provider).await;
    eventually("it is ingested once it can be, also after a restart", async || {
        job(&server, &bad).await["state"] == "done"
    })
    .await;
}

#[tokio::test]
async fn an_outage_of_the_provider_fails_no_document_and_all_are_ingested_after_it() {
    let (home, provider) = (Home::new(), Arc::<Provider>::default());
    let server = served(&home, &provider).await;
    provider.is_down.store(true, Ordering::SeqCst);
    let before = provider.calls.load(Ordering::SeqCst);
    let mut jobs = Vec::new();
    for number in 0..3 {
        jobs.push(send(&server, &format!("{number}.txt"), &format!("Gate {number} is red.")).await);
    }
    // Six calls for a document and six for a text that cannot be at fault.
    eventually("it was tried", async || provider.calls.load(Ordering::SeqCst) >= before + 13).await;
    for path in &jobs {
        let waits = job(&server, path).await;
        assert_eq!(
            (&waits["documents"][0]["state"], &waits["documents"][0]["tries"]),
            (&json!("queued"), &Value::Null)
        );
    }
    let said = |answer: &Value, member: &str| answer[member].as_str().is_some_and(|said| said.contains("embedding"));
    eventually("a job says what it waits for", async || said(&job(&server, &jobs[0]).await, "waits_for")).await;
    let health = async || job(&server, "/health").await;
    eventually("and the server, what its jobs wait for", async || said(&health().await, "impaired")).await;
    provider.is_down.store(false, Ordering::SeqCst);
    for path in &jobs {
        eventually("it is ingested", async || job(&server, path).await["state"] == "done").await;
        assert_eq!(job(&server, path).await["waits_for"], Value::Null);
    }
    eventually("nothing is in the way", async || health().await["impaired"] == Value::Null).await;
}

#[tokio::test]
async fn a_server_says_that_it_works_on_jobs() {
    let (home, provider) = (Home::new(), Arc::<Provider>::default());
    let server = served(&home, &provider).await;
    let works = async || server.manage("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(works().await.contains("rag_jobs_worker_up 1"), "{}", works().await);
    let health: Value = server.get("/health?detailed=true").send().await.unwrap().json().await.unwrap();
    let jobs = health["parts"].as_array().unwrap().iter().find(|part| part["name"] == "jobs").unwrap();
    assert_eq!((&jobs["status"], &health["impaired"]), (&json!("ok"), &Value::Null), "{health}");
}
