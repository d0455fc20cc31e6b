//! Vectors from a provider: one rag-server embeds for another.

use std::path::Path;

use axum::{Json, Router, routing::post};
use rag_server::{
    adapters::openai_embedder::{OpenAiEmbedder, OpenAiSettings, Pauses},
    ports::Embedder,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::process::{FREE_PORTS, Home, Server};

const MODEL: &str = "all-MiniLM-L6-v2";
const KEY: &str = "provider-key-0123456789";

/// A server that asks for a key.
async fn provider(home: &Home) -> Server {
    home.write("keys/api-key.app.current", KEY);
    let keyed = "[auth]\ncredentials_dir = \"keys\"\n[[auth.api_keys]]\nname = \"app\"\nrole = \"Reader\"\n";
    let server = home.serve(&format!("{FREE_PORTS}{keyed}"));
    server.await_ready().await;
    server
}

fn embedding(provider: &Server, dimensions: usize) -> String {
    let url = &provider.public;
    format!(
        "{FREE_PORTS}[embedding.openai]\nbase_url = \"{url}/v1\"\nmodel = \"{MODEL}\"\ndimensions = {dimensions}\napi_key_file = \"key\"\n"
    )
}

/// The same provider under another model's name: what it is asked for is passed on under its own.
async fn renamed(provider: &Server) -> String {
    let (listener, url) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), provider.public.clone());
    let address = listener.local_addr().unwrap();
    let pass_on = async move |Json(mut body): Json<Value>| {
        body["model"] = MODEL.into();
        let client = reqwest::Client::new().post(format!("{url}/v1/embeddings")).bearer_auth(KEY);
        Json(client.json(&body).send().await.unwrap().json::<Value>().await.unwrap())
    };
    let router = Router::new().route("/v1/embeddings", post(pass_on));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("{FREE_PORTS}[embedding.openai]\nbase_url = \"http://{address}/v1\"\nmodel = \"other\"\ndimensions = 384\n")
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[tokio::test]
async fn vectors_of_a_provider_are_those_that_it_gives_anybody() {
    let home = Home::new();
    let provider = provider(&home).await;
    let settings = OpenAiSettings {
        base_url: format!("{}/v1", provider.public),
        model: MODEL.to_owned(),
        dimensions: 384,
        api_key_file: Some(home.write("key", KEY)),
        pauses: Pauses::default(),
    };
    let embedder = OpenAiEmbedder::open(settings).await.unwrap();
    let texts: Vec<String> = (0..150).map(|number| format!("passage {number} about backups")).collect();
    let vectors = embedder.embed_passages(texts.clone()).await.unwrap();
    assert_eq!(vectors.len(), texts.len());
    for (text, vector) in texts.iter().zip(&vectors).step_by(37) {
        let body = json!({"model": MODEL, "input": text});
        let answer = provider.post("/v1/embeddings").bearer_auth(KEY).json(&body).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        let direct: Vec<f32> = serde_json::from_value(answer["data"][0]["embedding"].clone()).unwrap();
        assert!(cosine(&direct, vector) > 0.999, "{text}");
        assert!(cosine(&embedder.embed_query(text).await.unwrap(), vector) > 0.999, "{text}");
    }
}

#[tokio::test]
async fn a_server_answers_with_vectors_of_a_provider() {
    let (far, near) = (Home::new(), Home::new());
    let provider = provider(&far).await;
    near.write("key", &format!("{KEY}\n"));
    let server = near.serve(&embedding(&provider, 384));
    server.await_ready().await;
    server.ingest("plan.md", "# Backup\n\nDaily snapshots are kept for 7 days.\n", "").await;
    for (question, status) in
        [("How long are daily snapshots kept?", "grounded"), ("Who won the cup in 1954?", "refused")]
    {
        let answer = server.post("/query").json(&json!({"query": question})).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["status"], status, "{answer}");
    }
    drop(provider);
    let question = json!({"query": "a question that nobody asked before"});
    let answer = server.post("/query").json(&question).send().await.unwrap();
    crate::process::problem(answer, 503, "embedder-unavailable").await;
}

#[tokio::test]
async fn another_length_of_vectors_is_refused_at_the_start_with_the_remedy() {
    let (far, near) = (Home::new(), Home::new());
    let provider = provider(&far).await;
    near.write("key", KEY);
    let config = near.write("config.toml", &embedding(&provider, 512));
    let output = near.command(&["serve", "--config"]).args_of(&[&config]).command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("set dimensions = 384"), "{said}");
    assert!(!said.contains(KEY), "{said}");
}

#[tokio::test]
async fn a_corpus_moves_to_another_model_with_one_command_and_back_with_the_same() {
    let (far, near) = (Home::new(), Home::new());
    let provider = provider(&far).await;
    let answered = async |server: &Server, question: &str| {
        let answer = server.post("/query").json(&json!({"query": question})).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["answer"].as_str().unwrap().to_owned()
    };
    let run = async |arguments: &[&str], config: &str| {
        let config = near.write("config.toml", config);
        let mut call = near.command(arguments).args_of(&[Path::new("--config"), &config]).command();
        let output = tokio::task::spawn_blocking(move || call.output().unwrap()).await.unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), said)
    };
    let reindexed = async |config: &str, said: &str| {
        let (done, told) = run(&["reindex"], config).await;
        assert!(done && told.contains(said), "{told}");
    };
    let mut server = near.serve(FREE_PORTS);
    server.await_ready().await;
    server.ingest("plan.md", "# Backup plan\n\nDaily snapshots are kept for 7 days.\n", "").await;
    server.terminate();
    assert!(server.await_exit().await.success());

    let remote = renamed(&provider).await;
    let (fits, told) = run(&["query", "How long?"], &remote).await;
    assert!(!fits && told.contains("rag-server reindex"), "{told}");
    let (done, told) = run(&["reindex", "--least", "0.9"], &remote).await;
    assert!(!done && told.contains("epoch 2 is not measured: only one document"), "{told}");
    assert!(told.contains("epoch 2 is built and kept, and epoch 1 is searched as before"), "{told}");
    reindexed(&remote, "epoch 2 is searched now: 0 chunks embedded").await;
    reindexed(&remote, "nothing is to be done").await;
    let mut server = near.serve(&remote);
    server.await_ready().await;
    assert!(answered(&server, "How long are daily snapshots kept?").await.contains("7 days"));
    server.ingest("visit.md", "# Visiting hours\n\nVisitors ring the blue bell.\n", "").await;
    server.terminate();
    assert!(server.await_exit().await.success());

    let (done, told) = run(&["reindex", "--least", "1.0"], FREE_PORTS).await;
    assert!(done && told.contains("epoch 1, before it is searched") && told.contains("success@5"), "{told}");
    assert!(told.contains("epoch 1 is searched now: 1 chunks embedded"), "{told}");
    let server = near.serve(FREE_PORTS);
    server.await_ready().await;
    assert!(answered(&server, "Which bell do visitors ring?").await.contains("blue bell"));
    assert!(answered(&server, "How long are daily snapshots kept?").await.contains("7 days"));
}
