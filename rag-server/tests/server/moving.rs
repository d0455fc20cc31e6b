//! Another embedding model without a moment in which questions are not answered: whatever is killed, and whoever writes meanwhile.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use axum::{Json, Router, extract::State, routing::post};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore};

use crate::{
    process::{FREE_PORTS, Home, Server, eventually},
    shared_store::SharedStore,
};

const OPERATOR: &str = "operator-key-0123456789";

/// In the text of every document and in no question.
const MARK: &str = "says the handbook";

const DOCUMENTS: [(&str, &str, &str, &str); 5] = [
    ("backup.md", "Backup retention plan", "Daily snapshots are kept for 7 days", "How long are daily snapshots kept?"),
    ("visit.md", "Visiting hours at night", "Visitors ring the blue bell", "Which bell do visitors ring?"),
    ("pump.md", "Maintenance of the pump", "The pump is greased with lithium soap", "What is the pump greased with?"),
    ("menu.md", "Meals in the canteen", "Lunch is served at half past eleven", "When is lunch served?"),
    ("lift.md", "Inspection of the lift", "The lift is inspected by Ms Okafor", "Who inspects the lift?"),
];

/// A provider of vectors under a name of its own. It embeds a document only when it is allowed to.
#[derive(Clone)]
struct Provider {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    allowed: Arc<Semaphore>,
    client: reqwest::Client,
    /// Whether every text is the same to it.
    is_blind: bool,
}

impl Provider {
    /// Vectors come from the model of this server. Returns the configuration that names the provider, too.
    async fn of(model: &Server) -> (Self, String) {
        let provider = Self {
            url: format!("{}/v1/embeddings", model.public),
            asked: Arc::default(),
            allowed: Arc::new(Semaphore::new(0)),
            client: reqwest::Client::new(),
            is_blind: false,
        };
        let config = provider.listen().await;
        (provider, config)
    }

    async fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/v1/embeddings", post(Self::embed)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("[embedding.openai]\nbase_url = \"http://{address}/v1\"\nmodel = \"other\"\ndimensions = 384\n")
    }

    async fn embed(State(provider): State<Self>, Json(mut body): Json<Value>) -> Json<Value> {
        let texts = body["input"].to_string();
        provider.asked.lock().unwrap().push(texts.clone());
        if texts.contains(MARK) {
            provider.allowed.acquire().await.unwrap().forget();
        }
        body["model"] = "all-MiniLM-L6-v2".into();
        let vectors = provider.client.post(&provider.url).json(&body).send().await.unwrap();
        let mut vectors: Value = vectors.json().await.unwrap();
        if provider.is_blind {
            for item in vectors["data"].as_array_mut().unwrap() {
                item["embedding"] = (0..384).map(|at| f64::from(at == 0)).collect();
            }
        }
        Json(vectors)
    }

    /// How often it was asked for something with these words.
    fn asked(&self, words: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|texts| texts.contains(words)).count()
    }

    /// Documents among the texts: a sentence that is compared with a question has no heading.
    fn documents(&self) -> usize {
        self.asked.lock().unwrap().iter().filter(|texts| texts.contains(MARK) && texts.contains("# ")).count()
    }
}

async fn ingest(server: &Server, at: usize) {
    let (id, heading, fact, _) = DOCUMENTS[at];
    server.ingest(id, &format!("# {heading}\n\n{fact}, {MARK}.\n"), "").await;
}

/// Whether the answer to the question about this document is the document's.
async fn answers(server: &Server, at: usize) -> bool {
    let (_, _, fact, question) = DOCUMENTS[at];
    let answer = server.post("/query").json(&json!({"query": question})).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    answer["status"] == "grounded" && answer["answer"].as_str().unwrap().contains(fact)
}

async fn all_answered(server: &Server) {
    for (at, (id, ..)) in DOCUMENTS.iter().enumerate() {
        assert!(answers(server, at).await, "{id}");
    }
}

/// A server whose folder has the operator's key.
fn start(home: &Home, config: &str) -> Server {
    home.write("keys/operator.current", OPERATOR);
    home.serve(&format!("{FREE_PORTS}[auth]\ncredentials_dir = \"keys\"\n{config}"))
}

async fn moving(server: &Server) -> Value {
    let status = server.manage("/ops/status").bearer_auth(OPERATOR).send().await.unwrap();
    status.json::<Value>().await.unwrap()["moving"].take()
}

/// A server whose model others borrow.
async fn lender() -> (Home, Server) {
    let home = Home::new();
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    (home, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_answers_while_it_changes_over_to_another_model_and_goes_on_after_a_kill() {
    let (_lent, lender) = lender().await;
    let (provider, new) = Provider::of(&lender).await;
    let home = Home::new();
    let mut server = start(&home, "");
    server.await_ready().await;
    for at in 0..4 {
        ingest(&server, at).await;
    }
    server.terminate();
    assert!(server.await_exit().await.success());

    let moves = format!("{new}[embedding.previous.local]\n");
    provider.allowed.add_permits(2);
    let server = start(&home, &moves);
    server.await_ready().await;
    eventually("the third document is at the provider", async || provider.asked(MARK) == 3).await;
    assert_eq!(moving(&server).await, json!({"model": "other", "documents": 2, "of": 4}));
    assert!(answers(&server, 0).await && answers(&server, 3).await);
    drop(server);

    let mut server = start(&home, &moves);
    server.await_ready().await;
    eventually("the third document is at the provider again", async || provider.asked(MARK) == 4).await;
    ingest(&server, 4).await;
    all_answered(&server).await;
    assert_eq!(provider.asked("lunch served"), 0, "questions are embedded by the model whose vectors are searched");
    provider.allowed.add_permits(100);
    let measured = server.await_log("measured: the share of headings");
    assert_eq!((measured["epoch"].as_u64(), measured["share"].as_f64()), (Some(2), Some(1.0)));
    let changed = server.await_log("changed over to the configured embedding model");
    assert_eq!(
        (changed["from"].as_u64(), changed["to"].as_u64(), changed["chunks"].as_u64()),
        (Some(1), Some(2), Some(3))
    );
    server.await_log("another epoch is searched from now on");
    eventually("the new model embeds questions", async || {
        assert!(answers(&server, 3).await);
        provider.asked("lunch served") > 0
    })
    .await;
    all_answered(&server).await;
    assert_eq!(moving(&server).await, Value::Null);
    let before = provider.asked(MARK);
    server.ingest("new.md", &format!("# Garden\n\nThe roses are cut in March, {MARK}.\n"), "").await;
    assert_eq!(provider.asked(MARK), before + 1, "what comes now is embedded with the new model");
}

/// Starts on the old model with so many documents, and then with a new one that has to find half of the headings.
async fn demanding(home: &Home, documents: usize, new: &str) -> Server {
    let mut server = start(home, "");
    server.await_ready().await;
    for at in 0..documents {
        let text = format!("# Chapter about topic{at}\n\nThe number of topic{at} is {at}{at}{at}, {MARK}.\n");
        server.ingest(&format!("part-{at}.md"), &text, "").await;
    }
    server.terminate();
    assert!(server.await_exit().await.success());
    start(home, &format!("{new}[embedding.previous]\nleast = 0.5\n[retrieval]\nmode = \"Dense\"\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_not_good_enough_is_built_and_not_searched() {
    let (_lent, lender) = lender().await;
    let (mut provider, _) = Provider::of(&lender).await;
    provider.is_blind = true;
    let new = provider.listen().await;
    provider.allowed.add_permits(100);
    let home = Home::new();
    let mut server = demanding(&home, 30, &new).await;
    let measured = server.await_log("measured: the share of headings");
    assert!(measured["share"].as_f64().unwrap() < 0.5, "{measured}");
    server.await_log("the vectors of the configured embedding model are kept and not searched");
    let before = provider.asked(MARK);
    ingest(&server, 1).await;
    assert!(answers(&server, 1).await);
    assert_eq!((provider.asked(MARK), provider.asked("visitors ring?")), (before, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_cannot_be_measured_is_not_searched_where_a_share_is_demanded() {
    let (_lent, lender) = lender().await;
    let (provider, new) = Provider::of(&lender).await;
    provider.allowed.add_permits(100);
    let home = Home::new();
    let mut server = demanding(&home, 1, &new).await;
    server.await_log("not measured, which embedding.previous.least does not allow");
    server.await_log("the vectors of the configured embedding model are kept and not searched");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_model_that_cannot_be_reached_keeps_nobody_waiting() {
    let home = Home::new();
    let mut server = start(&home, "");
    server.await_ready().await;
    ingest(&server, 0).await;
    server.terminate();
    assert!(server.await_exit().await.success());
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let new = format!("[embedding.openai]\nbase_url = \"http://{closed}/v1\"\nmodel = \"other\"\ndimensions = 384\n");
    let mut server = start(&home, &format!("{new}[embedding.previous.local]\n"));
    server.await_ready().await;
    server.await_log("the change to the configured embedding model is interrupted");
    ingest(&server, 1).await;
    assert!(answers(&server, 0).await && answers(&server, 1).await);
    server.terminate();
    assert!(server.await_exit().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_change_over_together_and_one_that_knows_only_the_old_model_answers_until_it_is_replaced() {
    let (_lent, lender) = lender().await;
    let (provider, new) = Provider::of(&lender).await;
    let store = SharedStore::start().await;
    let serve = |home: &Home, config: &str| home.serve_over_store(&format!("{FREE_PORTS}{}{config}", store.config()));
    let homes = [Home::new(), Home::new(), Home::new()];
    let mut old = serve(&homes[0], "");
    old.await_ready().await;
    for at in 0..4 {
        ingest(&old, at).await;
    }
    let moves = format!("{new}[embedding.previous.local]\n");
    let mut replicas = [serve(&homes[1], &moves), serve(&homes[2], &moves)];
    for replica in &replicas {
        replica.await_ready().await;
    }
    eventually("a document is at the provider", async || provider.asked(MARK) == 1).await;
    ingest(&old, 4).await;
    for replica in &replicas {
        all_answered(replica).await;
    }
    assert_eq!(provider.asked(MARK), 1, "one replica builds");
    provider.allowed.add_permits(100);
    for replica in &mut replicas {
        let next = replica.await_log("another epoch is searched from now on");
        assert_eq!((next["from"].as_u64(), next["to"].as_u64()), (Some(1), Some(2)));
        all_answered(replica).await;
    }
    assert_eq!(provider.documents(), 5, "no document is embedded twice");
    // Until it is replaced, it answers from the old vectors, and leaves the work to others.
    old.await_log("another epoch is searched now and this server cannot");
    all_answered(&old).await;
    old.ingest("new.md", &format!("# Garden\n\nThe roses are cut in March, {MARK}.\n"), "").await;
    assert_eq!(provider.documents(), 6);
    drop(old);
    let home = Home::new();
    let config = home.write("config.toml", &format!("{FREE_PORTS}{}", store.config()));
    let call = home.command(&["serve", "--config"]).args_of(&[&config]).without_embedded_store();
    let refused = tokio::task::spawn_blocking(move || call.command().output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("embedding.previous"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_commands_that_reindex_one_store_the_second_is_told_and_a_stopped_one_lets_go_at_once() {
    let (_lent, lender) = lender().await;
    let (provider, new) = Provider::of(&lender).await;
    let (store, home) = (SharedStore::start().await, Home::new());
    let mut server = home.serve_over_store(&format!("{FREE_PORTS}{}", store.config()));
    server.await_ready().await;
    for at in 0..2 {
        ingest(&server, at).await;
    }
    server.terminate();
    assert!(server.await_exit().await.success());

    let config = home.write("new.toml", &format!("{FREE_PORTS}{}{new}", store.config()));
    let reindex = || home.command(&["reindex", "--config"]).args_of(&[&config]).without_embedded_store().command();
    let mut first = reindex().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("a document is at the provider", async || provider.asked(MARK) == 1).await;
    let mut second = reindex();
    let refused = tokio::task::spawn_blocking(move || second.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    let by = format!("rag-server: rag-server reindex (process {}", first.id());
    assert!(said.starts_with(&by) && said.contains("until 20"), "{said}");
    assert_eq!(provider.asked(MARK), 1, "it embedded nothing");

    assert!(Command::new("kill").args(["-INT", &first.id().to_string()]).status().unwrap().success());
    let mut told = BufReader::new(first.stderr.take().unwrap()).lines().map_while(Result::ok);
    let heard = move || (told.any(|line| line.contains("stopping")), told);
    // It is listened to until it ends.
    let (is_stopping, _told) = tokio::task::spawn_blocking(heard).await.unwrap();
    assert!(is_stopping);
    provider.allowed.add_permits(1);
    let stopped = tokio::task::spawn_blocking(move || first.wait_with_output().unwrap()).await.unwrap();
    assert_eq!(stopped.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&stopped.stdout).contains("stopped; run it again"));

    provider.allowed.add_permits(100);
    let mut third = reindex();
    let done = tokio::task::spawn_blocking(move || third.output().unwrap()).await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success() && said.contains("epoch 2 is searched now: 1 chunks embedded"), "{said}");
}
