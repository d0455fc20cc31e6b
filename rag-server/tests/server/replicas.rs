//! Several servers over one store are one service: what one of them did, the others know at once, and what one of them began, another one ends.

use rag_server::{model::DocumentRecord, ports::VectorStore as _};
use serde_json::{Value, json};

use crate::{
    fake_provider::{Act, FakeProvider},
    process::{FREE_PORTS, Home, Server, eventually, problem},
    shared_store::SharedStore,
    soak::{Look, chunks, provider, start},
    takeover::{self, MARK},
};

const REPLICAS: usize = 3;
const SELECTION: &str = "Daily snapshots are kept for 7 days. Weekly snapshots are kept for 5 weeks.";
const SAID: &str = "Daily snapshots are kept for 7 days. [1]";

/// A server over this store; its configuration is this, and what `more` says of the folder that it is in.
async fn server(store: &SharedStore, config: &str, more: impl Fn(&Home) -> String) -> (Home, Server) {
    let home = Home::new();
    home.write("config.toml", &format!("{}{FREE_PORTS}{}{config}", more(&home), store.config()));
    let (home, server) = tokio::task::spawn_blocking(move || {
        let server = start(&home);
        (home, server)
    })
    .await
    .unwrap();
    server.await_ready().await;
    (home, server)
}

async fn servers(store: &SharedStore, config: &str, more: impl Fn(&Home) -> String + Copy) -> Vec<(Home, Server)> {
    let mut servers = Vec::new();
    for _ in 0..REPLICAS {
        servers.push(server(store, config, more).await);
    }
    servers
}

/// Nothing besides.
fn plain(_: &Home) -> String {
    String::new()
}

const LEXICAL: &str = "[retrieval]\nmode = \"Lexical\"\nmin_score = 0.0\n";

async fn answer(server: &Server, body: Value) -> Value {
    let response = server.post("/query").json(&body).send().await.unwrap();
    assert!(response.status().is_success(), "{response:?}");
    response.json().await.unwrap()
}

/// A question about a text that comes with it.
fn about_a_text(number: usize) -> Value {
    let text = format!("{SELECTION} This is note {number}.");
    let query = format!("How long are daily snapshots kept, by note {number}?");
    json!({"query": query, "mode": "selection", "selection": {"text": text}, "explain": true})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ingested_or_deleted_on_one_server_is_seen_by_questions_on_all_at_once() {
    let store = SharedStore::start().await;
    let servers = servers(&store, &format!("{LEXICAL}{}", provider().await), plain).await;
    let question = json!({"query": "What does zqboiler need?"});
    // What is asked once is remembered by each of them.
    for _ in 0..2 {
        for (_, server) in &servers {
            assert_eq!(answer(server, question.clone()).await["status"], "refused");
        }
    }
    for (writer, (_, server)) in servers.iter().enumerate() {
        let said = format!("The zqboiler needs valve {writer} before the winter.");
        server.ingest("ops/boiler.md", &said, "").await;
        for (_, reader) in &servers {
            let answer = answer(reader, question.clone()).await;
            assert!(answer["answer"].as_str().unwrap().contains(&format!("valve {writer}")), "{answer}");
        }
    }
    let deleted = servers[0].1.request(reqwest::Method::DELETE, "/documents/ops/boiler.md").send().await.unwrap();
    assert!(deleted.status().is_success(), "{deleted:?}");
    for (_, reader) in &servers {
        assert_eq!(answer(reader, question.clone()).await["status"], "refused");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_server_is_killed_is_ended_by_another_one_and_nothing_is_left_over() {
    let store = SharedStore::start().await;
    let (gate, embedding) = takeover::Provider::start().await;
    let (_home, killed) = server(&store, &embedding, plain).await;
    let text: String = (0..40).map(|at| format!("Of the {MARK} of chapter {at} nothing more is known.\n\n")).collect();
    let body = json!({"documents": [{"id": "book.md", "text": text}]});
    let accepted = killed.post("/ingest").json(&body).send().await.unwrap();
    assert_eq!(accepted.status(), 202);
    let job = accepted.headers()["location"].to_str().unwrap().to_owned();
    eventually("it is in the middle of the work", async || gate.asked() > 0).await;
    let (_home, successor) = server(&store, &embedding, plain).await;
    drop(killed);
    gate.open();
    eventually("the other one ended the job", async || {
        let job: Value = successor.get(&job).send().await.unwrap().json().await.unwrap();
        assert_ne!(job["state"], "failed", "{job}");
        job["state"] == "done"
    })
    .await;
    let look = Look::at(&store);
    let documents: Vec<DocumentRecord> = look.documents().await;
    assert_eq!(documents.iter().map(|document| document.id.as_str()).collect::<Vec<_>>(), ["book.md"]);
    let ids: Vec<_> = documents.iter().flat_map(chunks).collect();
    assert_eq!(look.vectors.chunks(None, &ids).await.unwrap().len(), ids.len(), "the document is whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_at_another_server() {
    let (store, model) = (SharedStore::start().await, FakeProvider::start(Act::Say(SAID)).await);
    let config = format!("{}{}", provider().await, model.configured("double", ""));
    let servers = servers(&store, &config, plain).await;
    for (number, (_, server)) in servers.iter().enumerate() {
        let mut question = about_a_text(number);
        question["session"] = json!("chat-1");
        assert_eq!(answer(server, question).await["written_by"], "double");
    }
    let (_, last) = model.asked().pop().unwrap();
    for before in ["by note 0?", "by note 1?", "by note 2?"] {
        assert!(last["messages"].to_string().contains(before), "{before} is not in {last}");
    }
    let session: Value = servers[0].1.get("/sessions/chat-1").send().await.unwrap().json().await.unwrap();
    assert_eq!(session["turns"].as_array().map(Vec::len), Some(3), "{session}");
}

/// An answer costs 0.10, and its prompt nothing.
const PRICED: &str = "max_tokens = 10\n[generation.providers.pricing]\noutput_usd_per_million_tokens = 10000\n";

#[tokio::test(flavor = "multi_thread")]
async fn one_budget_is_kept_to_the_cent_by_all_servers_and_nothing_is_spent_while_the_records_do_not_answer() {
    let (mut store, model) = (SharedStore::start().await, FakeProvider::start(Act::Say(SAID)).await);
    let config = format!("{}{}", provider().await, model.configured("double", PRICED));
    let live = |home: &Home| {
        let live = home.write("live.toml", "[budget]\nmonthly_usd = 1.05\non_limit = \"Refuse\"\n");
        format!("[live]\nfile = {:?}\n", live.display().to_string())
    };
    let servers = servers(&store, &config, live).await;
    let questions = (0..30).map(|number| {
        let asked = servers[number % REPLICAS].1.post("/query").json(&about_a_text(number)).send();
        tokio::spawn(async move { asked.await.unwrap() })
    });
    let mut answered = 0;
    for question in questions.collect::<Vec<_>>() {
        match question.await.unwrap() {
            answer if answer.status().is_success() => answered += 1,
            refused => drop(problem(refused, 402, "budget-spent").await),
        }
    }
    // The bound of each is what it costs, so that ten of 0.10 fit, whoever asks when.
    assert_eq!((answered, model.calls()), (10, 10));
    for (home, _) in &servers {
        home.swap("live.toml", "[budget]\nmonthly_usd = 100\n");
    }
    let mut number = 100;
    for (_, server) in &servers {
        eventually("there is a higher budget", async || {
            number += 1;
            let response = server.post("/query").json(&about_a_text(number)).send().await.unwrap();
            response.status().is_success()
        })
        .await;
    }
    let calls = model.calls();
    store.leave().await;
    for (number, (_, server)) in (200..).zip(&servers) {
        let answer = answer(server, about_a_text(number)).await;
        let outcome = &answer["explain"]["generation"]["path"][0]["outcome"];
        assert_eq!((outcome, &answer["written_by"]), (&json!("budget_unknown"), &json!("extractive")), "{answer}");
    }
    assert_eq!(model.calls(), calls, "nothing is spent that nobody could write down");
    store.come_back().await;
    eventually("what may be spent is known again", async || {
        number += 1;
        answer(&servers[1].1, about_a_text(number)).await["written_by"] == "double"
    })
    .await;
}
