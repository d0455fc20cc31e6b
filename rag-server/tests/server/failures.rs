//! The rows of docs/failures.md, as one table: the vector store, Postgres, Redis, the language model, the embedding provider and the reranker, each a process that is killed, that stands still, and that comes back. Postgres and Redis are real, and their rows are skipped where they are not installed.
//!
//! Whatever fails, an answer says so: no way to ask gives an empty result, or a refusal for want of documents, because something is down; and what was acknowledged is there afterwards.

use std::{
    io::Read as _,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use axum::{Json, Router, response::IntoResponse, routing::post};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::{
    credentials::keyed,
    postgres_server::{self, Postgres},
    process::{Home, Server, eventually},
    redis_server::RedisServer,
    shared_store::qdrant_double::{ApiKeys, Double, Settings},
};

const OPERATOR: &str = "operator-key-0123456789";
const WRITER: &str = "writer-key-0123456789";
const READER: &str = "reader-key-0123456789";

/// Says which component the process is, where its data is and where it listens.
const COMPONENT: &str = "RAGOPS_TEST_COMPONENT";

const QUESTION: &str = "How long are daily snapshots kept?";
const SAID: &str = "Daily snapshots are kept for 7 days. [1]";
const DOCUMENTS: [(&str, &str); 3] = [
    ("ops/backup.md", "Daily snapshots are kept for 7 days."),
    ("ops/weekly.md", "Weekly snapshots are kept for 5 weeks."),
    ("ops/pumps.md", "A pump is greased every month by the person on duty."),
];
pub(crate) const DIMENSIONS: usize = 64;

/// One vector store, or one provider of vectors, answers or orders: a process of its own.
pub(crate) struct Component {
    what: &'static str,
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Component {
    pub(crate) async fn start(what: &'static str) -> Self {
        // Free a moment ago, and asked for at once; the component comes back to where it was.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let component = Self { what, child: Self::spawn(what, port, folder.path().to_owned()), port, folder };
        component.await_there().await;
        component
    }

    /// This very program, told to be the component.
    fn spawn(what: &str, port: u16, folder: PathBuf) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "failures::a_component_is_a_process_of_its_own", "--nocapture"])
            .env(COMPONENT, format!("{what} {port} {}", folder.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    async fn await_there(&self) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        eventually("the component listens", async || tokio::net::TcpStream::connect(address).await.is_ok()).await;
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    pub(crate) fn fail(&mut self, how: How) {
        match how {
            How::Killed => {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
            }
            How::StandsStill => self.signal("-STOP"),
        }
    }

    pub(crate) async fn come_back(&mut self, how: How) {
        match how {
            How::Killed => {
                self.child = Self::spawn(self.what, self.port, self.folder.path().to_owned());
                self.await_there().await;
            }
            How::StandsStill => self.signal("-CONT"),
        }
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        // It may have ended by itself, which is fine.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// How a component fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Killed,
    StandsStill,
}

/// The process of a component, which is this program with another name: it ends with whoever started it. Nobody else says what to be, and then there is nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_component_is_a_process_of_its_own() {
    let Ok(told) = std::env::var(COMPONENT) else { return };
    let [what, port, folder] = told.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
    std::thread::spawn(|| {
        let _end = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().unwrap()));
    if what == "store" {
        let settings = Settings {
            storage_path: folder.into(),
            grpc: address,
            http: (Ipv4Addr::LOCALHOST, 0).into(),
            api_keys: ApiKeys::new(std::iter::empty::<String>()),
            strict: true,
        };
        Double::start(settings).await.unwrap().ended().await.unwrap();
        return;
    }
    let router = Router::new()
        .route("/v1/embeddings", post(embeddings))
        .route("/v1/rerank", post(scores))
        .route("/v1/chat/completions", post(|| async { ([("content-type", "text/event-stream")], said()) }));
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    axum::serve(listener, router).await.unwrap();
}

/// The more words two texts share, the nearer they are.
async fn embeddings(Json(asked): Json<Value>) -> impl IntoResponse {
    let texts = match &asked["input"] {
        Value::Array(texts) => texts.iter().map(|text| text.as_str().unwrap().to_lowercase()).collect(),
        text => vec![text.as_str().unwrap().to_lowercase()],
    };
    let vector = |text: &String| {
        let mut vector = [0.0_f64; DIMENSIONS];
        for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
            let hash = word.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
            vector[(hash % DIMENSIONS as u64) as usize] += 1.0;
        }
        let length = vector.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-9);
        vector.map(|x| x / length).to_vec()
    };
    let data = texts.iter().enumerate().map(|(index, text)| json!({"index": index, "embedding": vector(text)}));
    Json(json!({"data": data.collect::<Vec<_>>()}))
}

/// The order of the search is left as it is.
async fn scores(Json(asked): Json<Value>) -> impl IntoResponse {
    let count = asked["documents"].as_array().unwrap().len();
    let result = |index| json!({"index": index, "relevance_score": 1.0 - index as f64 / 100.0});
    Json(json!({"results": (0..count).map(result).collect::<Vec<_>>()}))
}

fn said() -> String {
    let piece = json!({"choices": [{"index": 0, "delta": {"content": SAID}}]});
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 10}});
    format!("data: {piece}\n\ndata: {end}\n\ndata: {usage}\n\ndata: [DONE]\n\n")
}

/// A server over four components, and a database or a Redis where that is what fails, which trusts a service soon again.
struct World {
    store: Component,
    embedder: Component,
    generator: Component,
    reranker: Component,
    postgres: Option<Postgres>,
    redis: Option<RedisServer>,
    server: Server,
    _home: Home,
    /// What the server reads of its database.
    _folder: tempfile::TempDir,
}

/// The part of a configuration that says where records are and what is remembered, where this part is to fail.
async fn memory(part: Part, folder: &Path) -> (String, Option<Postgres>, Option<RedisServer>) {
    const NOTHING: &str = "[cache]\nmax_bytes = 0\n";
    match part {
        // Entries must not hide that the store is down.
        Part::Store => (String::new(), None, None),
        Part::Postgres => {
            let postgres = Postgres::start();
            postgres.database_in(folder).await;
            (format!("[records.postgres]\ndir = {folder:?}\n"), Some(postgres), None)
        }
        Part::Redis => {
            let redis = RedisServer::start().await;
            // No entry has room in the memory in front of it, so that it is asked; what is slow on a busy machine is none of this.
            let cache = "[cache]\nmax_bytes = 1\n[cache.redis]\nbudget_millis = 1000\n";
            (format!("{cache}url = {:?}\n", redis.url()), None, Some(redis))
        }
        // It would hide that a service is down.
        Part::Embedder | Part::Generator | Part::Reranker => (NOTHING.to_owned(), None, None),
    }
}

impl World {
    async fn start(part: Part) -> Self {
        let (home, store, folder) = (Home::new(), Component::start("store").await, tempfile::tempdir().unwrap());
        let (memory, postgres, redis) = memory(part, folder.path()).await;
        let (embedder, generator) = (Component::start("embedder").await, Component::start("generator").await);
        let reranker = Component::start("reranker").await;
        let config = [
            keyed(&home),
            memory,
            format!("[vector_store.qdrant]\nurl = \"{}\"\ncollection = \"handbook\"\n", store.url()),
            format!("[embedding.openai]\nbase_url = \"{}/v1\"\nmodel = \"double\"\n", embedder.url()),
            format!("dimensions = {DIMENSIONS}\n[retrieval]\nmin_score = 0.1\n"),
            format!("[retrieval.rerank]\nbase_url = \"{}/v1\"\nmodel = \"double\"\n", reranker.url()),
            "[generation.circuit_breaker]\nfailures = 2\nopen_seconds = 1\nsuccesses = 1\n".to_owned(),
            format!("[[generation.providers]]\nname = \"writer\"\nbase_url = \"{}/v1\"\n", generator.url()),
            "model = \"double\"\ntimeout_seconds = 2\n".to_owned(),
        ];
        let server = home.serve_over_store(&config.concat());
        server.await_ready().await;
        for (id, text) in DOCUMENTS {
            server.ingest(id, text, WRITER).await;
        }
        Self { store, embedder, generator, reranker, postgres, redis, server, _home: home, _folder: folder }
    }

    /// Makes it fail.
    fn fail(&mut self, part: Part, how: How) {
        match (part, how) {
            (Part::Store, how) => self.store.fail(how),
            (Part::Embedder, how) => self.embedder.fail(how),
            (Part::Generator, how) => self.generator.fail(how),
            (Part::Reranker, how) => self.reranker.fail(how),
            (Part::Postgres, How::Killed) => self.postgres.as_ref().unwrap().leave(),
            (Part::Postgres, How::StandsStill) => self.postgres.as_ref().unwrap().stall(),
            (Part::Redis, How::Killed) => self.redis.as_mut().unwrap().kill(),
            (Part::Redis, How::StandsStill) => self.redis.as_ref().unwrap().stall(),
        }
    }

    /// Starts it again, or lets it go on.
    async fn come_back(&mut self, part: Part, how: How) {
        match (part, how) {
            (Part::Store, how) => self.store.come_back(how).await,
            (Part::Embedder, how) => self.embedder.come_back(how).await,
            (Part::Generator, how) => self.generator.come_back(how).await,
            (Part::Reranker, how) => self.reranker.come_back(how).await,
            (Part::Postgres, How::Killed) => self.postgres.as_ref().unwrap().come_back(),
            (Part::Postgres, How::StandsStill) => self.postgres.as_ref().unwrap().go_on(),
            (Part::Redis, How::Killed) => self.redis.as_mut().unwrap().come_back().await,
            (Part::Redis, How::StandsStill) => self.redis.as_ref().unwrap().go_on(),
        }
    }

    async fn status(&self) -> Value {
        self.server.manage("/ops/status").bearer_auth(OPERATOR).send().await.unwrap().json().await.unwrap()
    }

    async fn metrics(&self) -> String {
        self.server.manage("/metrics").send().await.unwrap().text().await.unwrap()
    }

    /// How a part is by `/ops/status` and by `/health?detailed=true`: the class of what is wrong, or `ok`.
    async fn seen(&self, part: &str) -> [String; 2] {
        let named = |parts: &Value| {
            parts.as_array().unwrap().iter().find(|found| found["name"] == part).cloned().unwrap_or_default()
        };
        let health = self.server.get("/health?detailed=true").header("x-api-key", READER).send().await.unwrap();
        let health = health.text().await.unwrap();
        assert!(!health.contains("127.0.0.1"), "an address is shown to a reader: {health}");
        let health: Value = serde_json::from_str(&health).unwrap();
        let (status, told) = (named(&self.status().await["parts"]), named(&health["parts"]));
        assert_eq!(status["reachable"].as_bool().unwrap(), status["cause"].is_null(), "{status}");
        [status["cause"].as_str().unwrap_or("ok").to_owned(), told["status"].as_str().unwrap().to_owned()]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Store,
    Embedder,
    Generator,
    Reranker,
    Postgres,
    Redis,
}

impl Part {
    /// Why it cannot be had here, if it cannot.
    fn missing(self) -> Option<String> {
        match self {
            Self::Postgres => postgres_server::skipped(),
            Self::Redis => RedisServer::missing(),
            Self::Store | Self::Embedder | Self::Generator | Self::Reranker => None,
        }
    }

    /// Whether documents are kept in it.
    fn is_a_store(self) -> bool {
        matches!(self, Self::Store | Self::Postgres)
    }
}

/// What becomes of a question meanwhile.
#[derive(Debug, Clone, Copy)]
enum Meanwhile {
    /// Every way to ask gives this kind of problem.
    Problem(&'static str),
    /// It is answered all the same, and the answer says so in these words.
    Says(&'static str),
    /// It is answered as ever.
    AsEver,
}

/// Every way to ask.
const DOORS: [&str; 9] = [
    "/query",
    "/query, streamed",
    "/query, in a session",
    "/search",
    "/v1/chat/completions",
    "/v1/chat/completions, streamed",
    "/mcp ask",
    "/mcp search",
    "/v1/embeddings",
];

/// What came of a question.
#[derive(Debug)]
struct Outcome {
    door: &'static str,
    status: u16,
    /// The last segment of the problem's type, where it is one.
    problem: Option<String>,
    body: String,
}

async fn ask(server: &Server, door: &'static str) -> Outcome {
    let chat = json!({"model": "rag", "messages": [{"role": "user", "content": QUESTION}]});
    let tool = |name| {
        let params = json!({"name": name, "arguments": {"query": QUESTION}});
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    };
    let body = match door {
        "/query" | "/search" => json!({"query": QUESTION}),
        "/query, streamed" => json!({"query": QUESTION, "stream": true}),
        "/query, in a session" => json!({"query": QUESTION, "session": "chat-1"}),
        "/v1/chat/completions" => chat,
        "/v1/chat/completions, streamed" => {
            json!({"model": chat["model"], "messages": chat["messages"], "stream": true})
        }
        "/mcp ask" => tool("ask"),
        "/mcp search" => tool("search"),
        "/v1/embeddings" => json!({"model": "double", "input": QUESTION}),
        other => panic!("{other}"),
    };
    let path = door.split([',', ' ']).next().unwrap();
    let accept = "application/json, text/event-stream";
    let request = server.post(path).header("x-api-key", WRITER).header("accept", accept).json(&body);
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let body = response.text().await.unwrap();
    Outcome { door, status, problem: problem(&body), body }
}

/// The problem that an answer is, in whichever shape the door gives it.
fn problem(body: &str) -> Option<String> {
    let last = |told: &Value| {
        let kind = told["type"].as_str().filter(|kind| kind.starts_with("https://"));
        kind.and_then(|kind| kind.rsplit('/').next()).map(str::to_owned)
    };
    let of_one = |told: &Value| {
        let code = told["error"]["code"].as_str().map(|code| code.replace('_', "-"));
        last(told).or(code).or_else(|| last(&told["result"]["structuredContent"]))
    };
    let documents = serde_json::from_str(body).into_iter().collect::<Vec<Value>>();
    let pieces = body.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?).ok());
    documents.into_iter().chain(pieces).find_map(|told| of_one(&told))
}

async fn ask_all(server: &Server, doors: &[&'static str]) -> Vec<Outcome> {
    join_all(doors.iter().map(|door| ask(server, door))).await
}

/// What a failing component looks like.
struct Row {
    part: Part,
    how: How,
    meanwhile: Meanwhile,
    /// The part of `/ops/status` and of the detailed health, and what is said of it.
    seen: (&'static str, &'static str),
    /// The message in the log.
    log: &'static str,
    /// A line of the metrics.
    metric: &'static str,
}

/// Ways to ask that need the component.
fn doors(part: Part) -> Vec<&'static str> {
    let unneeded = |door: &str| {
        let embeds = part != Part::Embedder && door == "/v1/embeddings";
        embeds || (matches!(part, Part::Generator) && matches!(door, "/search" | "/mcp search"))
    };
    DOORS.into_iter().filter(|door| !unneeded(door)).collect()
}

async fn the_row_holds(row: Row) {
    if let Some(why) = row.part.missing() {
        eprintln!("skipped, because {why}");
        return;
    }
    let mut world = World::start(row.part).await;
    for outcome in ask_all(&world.server, &DOORS).await {
        assert!(outcome.status == 200 && outcome.problem.is_none(), "well: {outcome:?}");
    }
    world.fail(row.part, row.how);
    for outcome in ask_all(&world.server, &doors(row.part)).await {
        is_as_told(&outcome, &row);
    }
    is_seen(&mut world, &row).await;

    let late = json!({"documents": [{"id": "late.md", "text": "Yearly snapshots are kept for ever."}]});
    let accepted = world.server.post("/ingest").header("x-api-key", WRITER).json(&late).send().await.unwrap();
    let accepted = accepted.status() == 202;
    assert_eq!(accepted, !row.part.is_a_store(), "what cannot be kept is not accepted, and everything else is");

    world.come_back(row.part, row.how).await;
    heals(&world, &row).await;
    let standing = async |id: &str| {
        world.server.get(&format!("/documents/{id}")).header("x-api-key", READER).send().await.unwrap().status() == 200
    };
    for (id, _) in DOCUMENTS {
        assert!(standing(id).await, "{id} was acknowledged");
    }
    if accepted {
        eventually("what was accepted meanwhile is stored", async || standing("late.md").await).await;
    }
    let session = world.server.get("/sessions/chat-1").header("x-api-key", WRITER).send().await.unwrap();
    let session: Value = session.json().await.unwrap();
    assert!(session.to_string().contains("7 days"), "the session goes on: {session}");
}

/// A question while the component fails.
fn is_as_told(outcome: &Outcome, row: &Row) {
    let body = outcome.body.to_lowercase();
    assert!(!body.contains("nothing in these documents"), "it was presented as nothing found: {outcome:?}");
    match row.meanwhile {
        Meanwhile::Problem(problem) => {
            assert_eq!(outcome.problem.as_deref(), Some(problem), "{outcome:?}");
            let is_status = outcome.status == 503 || outcome.door.starts_with("/mcp");
            assert!(is_status && body.contains("not an empty result"), "{outcome:?}");
        }
        Meanwhile::Says(_) | Meanwhile::AsEver => {
            assert!(outcome.status == 200 && outcome.problem.is_none() && body.contains("7 days"), "{outcome:?}");
            let shows = ["/query", "/query, streamed", "/query, in a session"].contains(&outcome.door);
            assert!(!shows || is_said(outcome, row), "{:?} is not in {outcome:?}", row.meanwhile);
        }
    }
}

/// Whether the answer says what it is to say meanwhile.
fn is_said(outcome: &Outcome, row: &Row) -> bool {
    match row.meanwhile {
        Meanwhile::Says(words) => outcome.body.contains(words),
        Meanwhile::Problem(_) | Meanwhile::AsEver => true,
    }
}

/// Waits for a condition. Nobody is called to be looked at, and what was asked before may be remembered, so that something new is asked meanwhile.
async fn asking_until(world: &World, what: &str, mut holds: impl AsyncFnMut(&World) -> bool) {
    let mut number = 0;
    eventually(what, async || {
        let held = holds(world).await;
        if !held {
            number += 1;
            let question = json!({"query": format!("{QUESTION} {what} {number}")});
            world.server.post("/query").header("x-api-key", WRITER).json(&question).send().await.unwrap();
        }
        held
    })
    .await;
}

/// The log, the parts and the metrics while the component fails; the server lives and is ready all the time.
async fn is_seen(world: &mut World, row: &Row) {
    let (name, cause) = row.seen;
    if row.part != Part::Generator {
        asking_until(world, "the part is seen failing", async |world| world.seen(name).await == [cause, cause]).await;
    }
    let told = world.server.await_log(row.log);
    assert_eq!(told["level"], "WARN", "{told}");
    if row.part == Part::Generator {
        let breakers = world.status().await["breakers"].clone();
        assert!(breakers.as_array().unwrap().contains(&json!({"provider": name, "state": cause})), "{breakers}");
    }
    asking_until(world, row.metric, async |world| {
        world.metrics().await.lines().any(|line| line.starts_with(row.metric))
    })
    .await;
    for probe in ["/health/live", "/health/ready"] {
        let status = world.server.get(probe).send().await.unwrap().status();
        assert_eq!(status, 200, "{probe}: a dependency that fails takes no server away");
    }
}

/// Everything is as it was, by itself.
async fn heals(world: &World, row: &Row) {
    eventually("everything is answered as before", async || {
        let well = |outcome: &Outcome| {
            let says_so = matches!(row.meanwhile, Meanwhile::Says(_)) && is_said(outcome, row);
            outcome.status == 200 && outcome.problem.is_none() && !says_so
        };
        ask_all(&world.server, &DOORS).await.iter().all(well)
    })
    .await;
    if row.part != Part::Generator {
        asking_until(world, "the part is seen well", async |world| world.seen(row.seen.0).await == ["ok", "ok"]).await;
    }
}

/// A test for each way in which each part fails.
macro_rules! rows {
    ($($part:ident: $meanwhile:expr, $name:literal, $log:literal, $metric:expr, $($how:ident $test:ident $cause:literal),*;)*) => {$($(
        #[tokio::test(flavor = "multi_thread")]
        async fn $test() {
            let (how, seen) = (How::$how, ($name, $cause));
            the_row_holds(Row { part: Part::$part, how, meanwhile: $meanwhile, seen, log: $log, metric: $metric }).await;
        }
    )*)*};
}

/// What a question gets while a store does not answer.
const NO_STORE: Meanwhile = Meanwhile::Problem("store-unreachable");
/// What it gets while it cannot be embedded.
const NO_VECTOR: Meanwhile = Meanwhile::Problem("embedder-unavailable");
const WITHOUT_MODEL: Meanwhile = Meanwhile::Says("no provider answered");
const NOT_RERANKED: Meanwhile = Meanwhile::Says("rerank_failed");
/// How questions that a store fails are counted.
const UNAVAILABLE: &str = r#"http_requests_total{route="/query",status="503"}"#;

rows! {
    Store: NO_STORE, "vector store", "a store failed", UNAVAILABLE,
        Killed a_vector_store_that_is_killed_fails_every_question_in_words_and_heals_by_itself "unreachable",
        StandsStill a_vector_store_that_stands_still_fails_every_question_in_time_and_heals_by_itself "timeout";
    Postgres: NO_STORE, "records", "a store failed", UNAVAILABLE,
        Killed a_database_that_is_killed_fails_every_question_in_words_and_heals_by_itself "unreachable",
        StandsStill a_database_that_stands_still_fails_every_question_in_time_and_heals_by_itself "timeout";
    Redis: Meanwhile::AsEver, "cache", "the cache in Redis cannot be used",
        r#"rag_circuit_breaker_transitions_total{provider="redis_cache",to="open"}"#,
        Killed a_redis_that_is_killed_costs_no_question_and_is_used_again_by_itself "unreachable",
        StandsStill a_redis_that_stands_still_costs_no_question_and_is_used_again_by_itself "timeout";
    Embedder: NO_VECTOR, "embedding model", "the embedding provider failed",
        r#"rag_circuit_breaker_transitions_total{provider="embedding_provider",to="open"}"#,
        Killed an_embedding_provider_that_is_killed_fails_questions_and_documents_wait_for_it "unreachable",
        StandsStill an_embedding_provider_that_stands_still_fails_questions_in_time_and_documents_wait_for_it "timeout";
    Generator: WITHOUT_MODEL, "writer", "the provider ",
        r#"rag_circuit_breaker_transitions_total{provider="writer",to="open"}"#,
        Killed without_its_language_model_a_server_answers_in_sentences_of_the_documents_and_says_so "open",
        StandsStill a_language_model_that_stands_still_is_given_up_in_time_for_sentences_of_the_documents "open";
    Reranker: NOT_RERANKED, "reranker", "the reranker failed",
        r#"rag_circuit_breaker_transitions_total{provider="rerank_provider",to="open"}"#,
        Killed without_its_reranker_a_server_answers_in_the_order_of_the_search_and_says_so "unreachable",
        StandsStill a_reranker_that_stands_still_is_given_up_in_time_for_the_order_of_the_search "unreachable";
}
