//! Vectors from a provider: one rag-server embeds for another.

use rag_server::{
    adapters::openai_embedder::{OpenAiEmbedder, OpenAiSettings, Pauses},
    ports::Embedder,
};
use serde_json::{Value, json};

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
