//! What embedding and reranking cost: priced as answers are, from the same budget, and counted for who caused it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Json, Router, routing::post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    process::{FREE_PORTS, Home, Server, eventually, problem},
    shared_store::SharedStore,
    soak::{Look, start},
};

const KEY: &str = "shop-key-0123456789";
const DIMENSIONS: usize = 8;

/// Doubles of services that say what a request took: five tokens for each text, and a search for each question.
#[derive(Default)]
struct Services {
    texts: AtomicUsize,
}

impl Services {
    /// The services, and the part of a configuration that names them with their prices.
    async fn start() -> (Arc<Self>, String) {
        let services = Arc::<Self>::default();
        let counted = Arc::clone(&services);
        let embed = async move |Json(body): Json<Value>| {
            let count = body["input"].as_array().map_or(1, Vec::len);
            counted.texts.fetch_add(count, Ordering::SeqCst);
            let data: Vec<Value> =
                (0..count).map(|index| json!({ "index": index, "embedding": vec![0.5; DIMENSIONS] })).collect();
            Json(
                json!({ "model": "double", "data": data, "usage": { "prompt_tokens": 5 * count, "total_tokens": 5 * count } }),
            )
        };
        let rerank = async |Json(body): Json<Value>| {
            let count = body["documents"].as_array().unwrap().len();
            let results: Vec<Value> =
                (0..count).map(|index| json!({ "index": index, "relevance_score": 0.5 })).collect();
            Json(json!({ "results": results, "meta": { "billed_units": { "search_units": 1 } } }))
        };
        let router = Router::new().route("/v1/embeddings", post(embed)).route("/v1/rerank", post(rerank));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let embedding = format!(
            "[embedding.openai]\nbase_url = \"{url}\"\nmodel = \"double\"\ndimensions = {DIMENSIONS}\n[embedding.openai.pricing]\ninput_usd_per_million_tokens = 200\n"
        );
        let rerank = format!(
            "[retrieval]\nmin_score = 0.0\n[retrieval.rerank]\nbase_url = \"{url}\"\nmodel = \"double\"\n[retrieval.rerank.pricing]\nusd_per_thousand_requests = 2\n"
        );
        (services, format!("{embedding}{rerank}"))
    }

    /// Texts that were embedded.
    fn texts(&self) -> usize {
        self.texts.load(Ordering::SeqCst)
    }
}

/// A server with a client of a tenant and this budget.
async fn server(home: &Home, store: &SharedStore, services: &str, budget: &str) -> Server {
    home.write("keys/api-key.shop.current", KEY);
    let live = home.write("live.toml", &format!("[budget]\n{budget}\n"));
    let auth = "[auth]\ncredentials_dir = \"keys\"\n[[auth.api_keys]]\nname = \"shop\"\nrole = \"Writer\"\ntenant = \"acme\"\n";
    let live = format!("[live]\nfile = {:?}\n", live.display().to_string());
    home.write("config.toml", &format!("{FREE_PORTS}{live}{}{services}{auth}", store.config()));
    // The double of the store answers on other threads of this runtime.
    let server = tokio::task::block_in_place(|| start(home));
    server.await_ready().await;
    server
}

async fn search(server: &Server, text: &str) -> reqwest::Response {
    let question = json!({ "query": text });
    server.post("/search").header("x-api-key", KEY).json(&question).send().await.unwrap()
}

/// A metric's value.
async fn measured(server: &Server, name: &str) -> f64 {
    let text = server.manage("/metrics").send().await.unwrap().text().await.unwrap();
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn embedding_and_reranking_are_priced_settled_and_counted_for_who_caused_them() {
    let (home, store, (services, config)) = (Home::new(), SharedStore::start().await, Services::start().await);
    let server = server(&home, &store, &config, "monthly_usd = 100").await;
    server.ingest("pump.md", "The pump of the boiler is greased.", KEY).await;
    server.ingest("valve.md", "The valve of the boiler is closed.", KEY).await;
    assert_eq!(search(&server, "What of the boiler?").await.status(), 200);
    assert_eq!(measured(&server, r#"rag_cost_usd_total{part="rerank"}"#).await, 0.002);
    let embedded = async || measured(&server, r#"rag_cost_usd_total{part="embed"}"#).await;
    // Five tokens of a text are 0.001. What a server measures by itself is among them.
    let priced = async || (embedded().await - 0.001 * services.texts() as f64).abs() < 1e-9;
    eventually("each text is priced", priced).await;
    // All but the first call of the server, which finds out the length of vectors and belongs to no budget, and with what was reranked.
    let used = async || measured(&server, r#"rag_budget_used_ratio{period="month"}"#).await * 100.0;
    let settled = async || (used().await - (embedded().await - 0.001) - 0.002).abs() < 1e-9;
    eventually("both are settled against the budget", settled).await;
    let look = Look::at(&store);
    let mut rows = Vec::new();
    eventually("what was spent is written down", async || {
        rows = look.costs().await;
        rows.iter().any(|row| row["part"] == "rerank")
    })
    .await;
    let spent = |part: &str, client: &str| {
        let row = rows.iter().find(|row| row["part"] == part && row["client"] == client && row["tenant"] == "acme");
        row.unwrap_or_else(|| panic!("{part} of {client} is not in {rows:?}"))["micro_usd"].as_u64().unwrap()
    };
    assert_eq!((spent("rerank", "api-key.shop"), spent("embed", "api-key.shop")), (2_000, 1_000));
    assert!(spent("embed", "ingestion") >= 2_000, "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_that_the_budget_does_not_allow_is_not_embedded_and_a_job_waits_for_a_higher_one() {
    let (home, store, (services, config)) = (Home::new(), SharedStore::start().await, Services::start().await);
    let server = server(&home, &store, &config, "monthly_usd = 0.000001").await;
    let before = services.texts();
    problem(search(&server, "What of the boiler?").await, 402, "budget-spent").await;
    let body = json!({"documents": [{"id": "pump.md", "text": "The pump of the boiler is greased."}]});
    let accepted = server.post("/ingest").header("x-api-key", KEY).json(&body).send().await.unwrap();
    let job = accepted.headers()["location"].to_str().unwrap().to_owned();
    let looked =
        async || -> Value { server.get(&job).header("x-api-key", KEY).send().await.unwrap().json().await.unwrap() };
    eventually("it is said what the job waits for", async || {
        looked().await.to_string().contains("the budget is spent")
    })
    .await;
    assert_eq!(services.texts(), before, "nothing was sent");
    home.swap("live.toml", "[budget]\nmonthly_usd = 100\n");
    eventually("the job is done", async || looked().await["state"] == "done").await;
    assert_eq!(search(&server, "What of the boiler?").await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_budget_is_spent_words_alone_are_searched_which_is_said_and_what_they_do_not_find_is_402() {
    let (home, store, (services, config)) = (Home::new(), SharedStore::start().await, Services::start().await);
    // What it writes costs nothing, and is not asked for: nobody could check it.
    let writer = format!(
        "{config}[[generation.providers]]\nname = \"writer\"\nbase_url = \"http://127.0.0.1:1/v1\"\nmodel = \"m\"\n"
    );
    let server = server(&home, &store, &writer, "monthly_usd = 100").await;
    server.ingest("pump.md", "The pump of the boiler is greased with soap.", KEY).await;
    let budget = |on_limit: &str| format!("[budget]\nmonthly_usd = 0.000001\non_limit = \"{on_limit}\"\n");
    home.swap("live.toml", &budget("Extractive"));
    let asked = async |text: &str| {
        server.post("/query").header("x-api-key", KEY).json(&json!({ "query": text })).send().await.unwrap()
    };
    let mut number = 0;
    eventually("the budget is spent", async || {
        number += 1;
        let answer: Value = asked(&format!("Is the pump of the boiler greased {number}?")).await.json().await.unwrap();
        answer["degraded"] == json!(["dense_skipped"])
    })
    .await;
    let before = services.texts();

    let answer: Value = asked("What is the pump of the boiler greased with?").await.json().await.unwrap();
    assert_eq!((&answer["status"], &answer["degraded"]), (&json!("grounded"), &json!(["dense_skipped"])), "{answer}");
    let told = answer.to_string();
    assert!(told.contains("with soap. [1]") && told.contains("found by the words of the question alone"), "{answer}");
    let found = search(&server, "the greased pump of the boiler").await;
    let found: Value = found.json().await.unwrap();
    assert_eq!(
        (&found["passages"][0]["document"], &found["degraded"][0]),
        (&json!("pump.md"), &json!("dense_skipped"))
    );
    problem(asked("Which club won the football league?").await, 402, "budget-spent").await;

    home.swap("live.toml", &budget("Refuse"));
    eventually("it is refused", async || {
        number += 1;
        asked(&format!("What is the pump of the boiler greased with, {number}?")).await.status() == 402
    })
    .await;
    assert_eq!(services.texts(), before, "nothing was sent");
}
