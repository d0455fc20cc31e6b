//! Vectors from a provider: one rag-server embeds for another.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
};

use axum::{Json, Router, http::StatusCode, response::IntoResponse, routing::post};
use rag_server::{
    adapters::openai_embedder::{OpenAiEmbedder, OpenAiSettings, Pauses},
    ports::Embedder,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::process::{FREE_PORTS, Home, Server, eventually, problem};

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

/// A provider that embeds every text alike, or refuses with the status that it is told.
struct Refusing {
    url: String,
    status: Arc<AtomicU16>,
    asked: Arc<AtomicUsize>,
}

impl Refusing {
    async fn start() -> Self {
        let (status, asked) = (Arc::new(AtomicU16::new(200)), Arc::<AtomicUsize>::default());
        let (now, count) = (Arc::clone(&status), Arc::clone(&asked));
        let embed = async move |Json(body): Json<Value>| {
            count.fetch_add(1, Ordering::SeqCst);
            let status = StatusCode::from_u16(now.load(Ordering::SeqCst)).unwrap();
            if !status.is_success() {
                return (status, Json(json!({"error": {"message": "you sent: secret", "code": "too_long"}})))
                    .into_response();
            }
            let texts = body["input"].as_array().unwrap().len();
            let vector = |index| json!({"index": index, "embedding": [0.6, 0.8]});
            Json(json!({"data": (0..texts).map(vector).collect::<Vec<_>>()})).into_response()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/embeddings", post(embed));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, status, asked }
    }

    fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// A server with this provider, whose breaker opens after two failures for so long.
    async fn serve(&self, home: &Home, open_seconds: u32) -> Server {
        let url = &self.url;
        let breaker =
            format!("[generation.circuit_breaker]\nfailures = 2\nopen_seconds = {open_seconds}\nsuccesses = 1\n");
        let embedding = format!("[embedding.openai]\nbase_url = \"{url}\"\nmodel = \"flat\"\ndimensions = 2\n");
        let server = home.serve(&[FREE_PORTS, &breaker, &embedding].concat());
        server.await_ready().await;
        server
    }
}

/// A question that nobody asked before, so that its vector is not remembered.
async fn question(server: &Server, number: usize) -> reqwest::Response {
    server.post("/query").json(&json!({"query": format!("question {number}")})).send().await.unwrap()
}

#[tokio::test]
async fn a_text_that_the_embedding_provider_refuses_is_its_sender_s_fault_and_any_other_refusal_the_provider_s() {
    let (home, provider) = (Home::new(), Refusing::start().await);
    let server = provider.serve(&home, 30).await;
    for (number, (answers, status, kind)) in [
        (400, 422, "invalid-value"),
        (413, 422, "invalid-value"),
        (422, 422, "invalid-value"),
        (404, 502, "embedder-failed"),
        (401, 503, "embedder-unavailable"),
    ]
    .into_iter()
    .enumerate()
    {
        provider.answers(answers);
        let told = problem(question(&server, number).await, status, kind).await;
        assert!(!told.to_string().contains("secret"), "{told}");
        // What is ill is well again before the next one: two failures in a row would open the breaker.
        provider.answers(200);
        assert_eq!(question(&server, 100 + number).await.status(), 200);
    }
    provider.answers(400);
    let body = json!({"model": "flat", "input": "a text"});
    let refused = server.post("/v1/embeddings").json(&body).send().await.unwrap();
    assert_eq!(refused.status(), 400);
    let told: Value = refused.json().await.unwrap();
    assert_eq!(told["error"]["type"], "invalid_request_error", "{told}");
}

/// Where the embedding provider's breaker stands.
async fn breaker(server: &Server) -> String {
    let said = server.manage("/metrics").send().await.unwrap().text().await.unwrap();
    let name = "rag_circuit_breaker_state{provider=\"embedding_provider\"} ";
    said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{said}")).to_owned()
}

#[tokio::test]
async fn an_embedding_provider_that_fails_is_left_alone_and_questions_are_told_when_to_come_back() {
    let (home, provider) = (Home::new(), Refusing::start().await);
    let server = provider.serve(&home, 600).await;
    assert_eq!(breaker(&server).await, "0");
    provider.answers(404);
    for number in 0..2 {
        problem(question(&server, number).await, 502, "embedder-failed").await;
    }
    assert_eq!(breaker(&server).await, "1");
    let asked = provider.asked();
    let left_alone = question(&server, 2).await;
    let retry_after: u64 = left_alone.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((300..=601).contains(&retry_after), "{retry_after}");
    problem(left_alone, 503, "embedder-unavailable").await;
    assert_eq!(provider.asked(), asked, "it was not asked");
}

#[tokio::test]
async fn an_embedding_provider_that_is_well_again_is_trusted_again() {
    let (home, provider) = (Home::new(), Refusing::start().await);
    let server = provider.serve(&home, 1).await;
    provider.answers(404);
    for number in 0..2 {
        problem(question(&server, number).await, 502, "embedder-failed").await;
    }
    provider.answers(200);
    let mut number = 2;
    eventually("questions are embedded again", async || {
        number += 1;
        question(&server, number).await.status() == 200
    })
    .await;
    assert_eq!(breaker(&server).await, "0");
}
