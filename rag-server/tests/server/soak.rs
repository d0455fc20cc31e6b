//! Three servers over one store, stopped and killed at random while documents come, change and go: what was acknowledged is there and whole, what was deleted is found nowhere, and nothing is left over.
//!
//! `RAGOPS_SOAK_SECONDS` makes it longer, `RAGOPS_SOAK_SEED` repeats a schedule.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Json, Router, routing::post};
use rag_server::{
    adapters::qdrant::{Layout, PeerTold, QdrantConnection, QdrantRecords, QdrantSettings, QdrantVectorStore},
    model::{ChunkId, DocumentRecord},
    ports::{Epoch, Kind, Records, VectorStore as _, stands},
};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::Interval};

use crate::{
    process::{FREE_PORTS, Home, PATIENCE, Server, eventually},
    shared_store::SharedStore,
};

const REPLICAS: usize = 3;
/// Each has names of its own, so that it knows what must stand under them.
const WRITERS: u64 = 3;
const NAMES: u64 = 5;
const DIMENSIONS: usize = 64;
/// Longer than a replica ever stands still: a request that was given up could be carried out behind the next one, and nobody could say what must stand then.
const IMPATIENCE: Duration = Duration::from_secs(90);
/// Between two looks at something that is to come.
const LOOK: Duration = Duration::from_millis(50);
/// Most answers from the end of one fault to the next.
pub(crate) const MOST_BETWEEN: u64 = 40;
/// A moment of what is done to them.
const MOMENT: Duration = Duration::from_millis(100);

/// Numbers that follow from a seed (splitmix64).
#[derive(Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// The clock of what is done to servers and their dependencies. How long that lasts is what is tried, and nothing ends it before.
pub(crate) struct Moments(Interval);

impl Moments {
    pub(crate) fn new() -> Self {
        Self(tokio::time::interval(MOMENT))
    }

    /// Lets so many pass.
    pub(crate) async fn pass(&mut self, moments: u64) {
        self.0.reset();
        for _ in 0..moments {
            self.0.tick().await;
        }
    }
}

/// How many requests of all clients were answered.
pub(crate) struct Answered(watch::Receiver<u64>);

impl Answered {
    /// And what each client counts its answers with.
    pub(crate) fn new() -> (Self, watch::Sender<u64>) {
        let (told, answered) = watch::channel(0);
        (Self(answered), told)
    }

    /// Waits until so many more are, or nobody is left who asks.
    pub(crate) async fn more(&mut self, number: u64) {
        let enough = *self.0.borrow() + number;
        let waited = tokio::time::timeout(PATIENCE, self.0.wait_for(|answered| *answered >= enough)).await;
        assert!(waited.is_ok(), "nobody is answered any more");
    }
}

pub(crate) fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// A provider of vectors that takes no time: words are counted into places.
pub(crate) async fn provider() -> String {
    async fn embed(Json(body): Json<Value>) -> Json<Value> {
        let vector = |text: &str| {
            let mut vector = vec![0.01_f64; DIMENSIONS];
            for word in text.split_whitespace() {
                let place = word.bytes().fold(7_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
                vector[place % DIMENSIONS] += 1.0;
            }
            vector
        };
        let texts: Vec<String> = match &body["input"] {
            Value::String(text) => vec![text.clone()],
            texts => serde_json::from_value(texts.clone()).unwrap(),
        };
        let data = texts.iter().enumerate();
        let data: Vec<Value> = data.map(|(index, text)| json!({ "index": index, "embedding": vector(text) })).collect();
        Json(json!({ "model": "counted", "data": data, "usage": { "prompt_tokens": 1, "total_tokens": 1 } }))
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/v1/embeddings", post(embed));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("[embedding.openai]\nbase_url = \"http://{address}/v1\"\nmodel = \"counted\"\ndimensions = {DIMENSIONS}\n")
}

/// Where the replicas listen just now.
pub(crate) type Addresses = Arc<Mutex<Vec<String>>>;

/// Stops, goes on with, kills and starts replicas again, until it is time to let all of them live.
async fn disturb(
    homes: Arc<Vec<Home>>,
    servers: Vec<Server>,
    addresses: Addresses,
    (mut dice, until): (Dice, Instant),
    mut answered: Answered,
) -> Vec<Server> {
    let mut servers: Vec<Option<Server>> = servers.into_iter().map(Some).collect();
    let (began, mut clock) = (Instant::now(), Moments::new());
    while Instant::now() < until {
        let at = dice.below(REPLICAS as u64) as usize;
        let moments = 2 + dice.below(25);
        let pause = MOMENT * moments as u32;
        let seconds = began.elapsed().as_secs_f32();
        if dice.below(2) == 0 {
            println!("{seconds:6.1} s: replica {at} stands still for {pause:?}");
            let server = servers[at].as_ref().unwrap();
            signal(server, "-STOP");
            clock.pass(moments).await;
            signal(server, "-CONT");
        } else {
            println!("{seconds:6.1} s: replica {at} is killed, and started again after {pause:?}");
            drop(servers[at].take());
            clock.pass(moments).await;
            let homes = Arc::clone(&homes);
            let server = tokio::task::spawn_blocking(move || start(&homes[at])).await.unwrap();
            addresses.lock().unwrap()[at].clone_from(&server.public);
            servers[at] = Some(server);
        }
        answered.more(dice.below(MOST_BETWEEN)).await;
    }
    servers.into_iter().map(Option::unwrap).collect()
}

fn signal(server: &Server, signal: &str) {
    let pid = server.child.id().to_string();
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
}

pub(crate) fn start(home: &Home) -> Server {
    let serve = home.command(&["serve", "--config"]).args_of(&[&home.path("config.toml")]);
    Server::start(&serve.without_embedded_store())
}

/// What must stand under a name: the words of its text, one for each paragraph. Empty: nothing.
pub(crate) type Expected = BTreeMap<String, Vec<String>>;

/// A client that sends documents and deletes them, through whichever replica answers.
pub(crate) struct Writer {
    name: u64,
    dice: Dice,
    client: Client,
    addresses: Addresses,
    expected: Expected,
    /// Words of texts that were replaced or deleted.
    gone: BTreeSet<String>,
    versions: u64,
    answered: watch::Sender<u64>,
}

impl Writer {
    pub(crate) fn new(name: u64, seed: u64, addresses: Addresses, answered: watch::Sender<u64>) -> Self {
        let client = Client::builder().timeout(IMPATIENCE).build().unwrap();
        let dice = Dice(seed.wrapping_add(1 + name));
        let (expected, gone, versions) = Default::default();
        Self { name, dice, client, addresses, expected, gone, versions, answered }
    }

    /// Gives what must stand and which words must be gone. The writer itself ends here: whoever waits for answers sees that it sends nothing more.
    pub(crate) async fn run(mut self, until: Instant) -> (Expected, BTreeSet<String>) {
        while Instant::now() < until {
            let id = format!("w{}/d{}.md", self.name, self.dice.below(NAMES));
            if self.dice.below(3) == 0 {
                self.delete(&id).await;
            } else {
                let accepted = self.put(&id).await;
                // Half of the time a deletion follows what was accepted and is not done yet.
                match self.dice.below(4) {
                    0 => self.delete(&id).await,
                    _ => self.await_job(&accepted).await,
                }
            }
        }
        (self.expected, self.gone)
    }

    /// Makes a request until a replica answers it, whichever that is. What was asked may have been done more than once.
    async fn insist(
        &mut self,
        request: impl Fn(&Client, &str) -> RequestBuilder,
    ) -> (StatusCode, Value, Option<String>) {
        let (until, mut looks) = (Instant::now() + PATIENCE, tokio::time::interval(LOOK));
        loop {
            looks.tick().await;
            let addresses = self.addresses.lock().unwrap().clone();
            let address = &addresses[self.dice.below(addresses.len() as u64) as usize];
            if let Ok(response) = request(&self.client, address).send().await {
                let status = response.status();
                let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
                if !status.is_server_error()
                    && let Ok(body) = response.bytes().await
                {
                    self.answered.send_modify(|answered| *answered += 1);
                    return (status, serde_json::from_slice(&body).unwrap_or_default(), location);
                }
            }
            assert!(Instant::now() < until, "no replica answers");
        }
    }

    /// Sends a new text and gives its job.
    async fn put(&mut self, id: &str) -> String {
        self.versions += 1;
        let paragraphs = 1 + self.dice.below(30);
        let words: Vec<String> = (0..paragraphs).map(|n| format!("zq{}v{}p{n}", self.name, self.versions)).collect();
        let filler = "The pump of the boiler is greased with soap before the winter begins. ".repeat(8);
        let text: String = words.iter().map(|word| format!("Paragraph {word} {filler}\n\n")).collect();
        let body = json!({ "documents": [{ "id": id, "text": text }] });
        let (status, answer, job) = self
            .insist(|client, address| {
                // A replica may have accepted it and died before it said so.
                client.post(format!("{address}/ingest")).header("idempotency-key", &words[0]).json(&body)
            })
            .await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        self.gone.extend(self.expected.insert(id.to_owned(), words).into_iter().flatten());
        job.unwrap()
    }

    async fn delete(&mut self, id: &str) {
        let (status, answer, _) =
            self.insist(|client, address| client.request(Method::DELETE, format!("{address}/documents/{id}"))).await;
        assert!(matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_FOUND), "{status}: {answer}");
        self.gone.extend(self.expected.remove(id).into_iter().flatten());
    }

    async fn await_job(&mut self, job: &str) {
        let (until, mut looks) = (Instant::now() + PATIENCE, tokio::time::interval(LOOK));
        loop {
            looks.tick().await;
            let (status, answer, _) = self.insist(|client, address| client.get(format!("{address}{job}"))).await;
            assert_eq!(status, StatusCode::OK, "an accepted job is forgotten: {answer}");
            match answer["state"].as_str().unwrap() {
                "done" => return,
                "queued" | "running" => assert!(Instant::now() < until, "a job does not end: {answer}"),
                _ => panic!("{answer}"),
            }
        }
    }
}

/// What must stand, and which words must be gone, once all writers have ended.
pub(crate) async fn ended(writers: Vec<JoinHandle<(Expected, BTreeSet<String>)>>) -> (Expected, BTreeSet<String>) {
    let (mut expected, mut gone) = (Expected::new(), BTreeSet::new());
    for writer in writers {
        let (stands, went) = writer.await.unwrap();
        expected.extend(stands);
        gone.extend(went);
    }
    println!("{} documents are to stand, {} texts to be gone", expected.len(), gone.len());
    (expected, gone)
}

/// The store itself, looked at beside the servers.
pub(crate) struct Look {
    records: Arc<dyn Records>,
    pub(crate) vectors: QdrantVectorStore,
}

impl Look {
    pub(crate) fn at(store: &SharedStore) -> Self {
        let deadline = Duration::from_secs(30);
        let settings = QdrantSettings { urls: vec![store.url()], api_key_file: None, ca_file: None, deadline };
        let nobody: PeerTold = Arc::new(|_, _, _| {});
        let connection = QdrantConnection::new(settings, &nobody).unwrap();
        Self {
            records: Arc::new(QdrantRecords::new(connection.clone(), "handbook", Layout::of_records(None, None))),
            vectors: QdrantVectorStore::new(connection, "handbook", Layout::default()),
        }
    }

    /// The same where the records are elsewhere.
    pub(crate) fn with_records(self, records: Arc<dyn Records>) -> Self {
        Self { records, ..self }
    }

    pub(crate) async fn documents(&self) -> Vec<DocumentRecord> {
        let page = self.records.list(Kind::Document, "", None, 1_000).await.unwrap();
        let standing = page.records.into_iter().filter(stands);
        standing.map(|record| serde_json::from_value(record.body).unwrap()).collect()
    }

    /// What all processes wrote down that they spent.
    pub(crate) async fn costs(&self) -> Vec<Value> {
        let page = self.records.list(Kind::Cost, "", None, 1_000).await.unwrap();
        page.records.into_iter().flat_map(|record| record.body.as_array().cloned().unwrap_or_default()).collect()
    }

    /// Whether no text waits to be embedded, and nothing is stored that no record holds.
    pub(crate) async fn is_quiet(&self) -> bool {
        let held: BTreeSet<ChunkId> = self.documents().await.iter().flat_map(chunks).collect();
        !self.has_work().await && self.stored().await.is_subset(&held)
    }

    /// Whether a job stands in the line. What a submission left that was killed before it had made its job is none: nobody was told of it, and it goes when no submission can be that old.
    async fn has_work(&self) -> bool {
        let line = self.records.list(Kind::Waiting, "", None, 1_000).await.unwrap();
        let jobs: Vec<&str> = line.records.iter().map(|record| record.id.as_str()).collect();
        !jobs.is_empty() && !self.records.get_many(Kind::Job, &jobs).await.unwrap().is_empty()
    }

    /// Every chunk that is stored.
    async fn stored(&self) -> BTreeSet<ChunkId> {
        let (mut all, mut after) = (BTreeSet::new(), None);
        loop {
            let page = self.vectors.scan(Epoch(1), after, 500).await.unwrap();
            all.extend(page.held.into_iter().map(|held| held.id));
            after = page.next;
            if after.is_none() {
                return all;
            }
        }
    }
}

pub(crate) fn chunks(document: &DocumentRecord) -> impl Iterator<Item = ChunkId> {
    (0..document.chunks).map(|ordinal| ChunkId::new(&document.id, &document.version, ordinal))
}

/// The passages that a search for a word finds and that hold it.
async fn finds(server: &Server, word: &str) -> bool {
    let found = server.post("/search").json(&json!({ "query": word, "top_k": 10 })).send().await.unwrap();
    assert_eq!(found.status(), StatusCode::OK);
    let found: Value = found.json().await.unwrap();
    // A word may begin another one.
    let holds = |text: &str| text.split_whitespace().any(|other| other == word);
    found["passages"].as_array().unwrap().iter().any(|passage| holds(passage["text"].as_str().unwrap()))
}

pub(crate) async fn check(look: &Look, servers: &[Server], expected: &Expected, gone: &BTreeSet<String>) {
    let documents = look.documents().await;
    let names: BTreeSet<&str> = documents.iter().map(|document| document.id.as_str()).collect();
    assert_eq!(names, expected.keys().map(String::as_str).collect(), "these stand, those were acknowledged");
    for document in &documents {
        let ids: Vec<ChunkId> = chunks(document).collect();
        let mut stored = look.vectors.chunks(None, &ids).await.unwrap();
        assert_eq!(stored.len(), ids.len(), "{} is torn", document.id);
        stored.sort_by_key(|chunk| chunk.ordinal);
        let text: String = stored.iter().map(|chunk| chunk.text.as_str()).collect();
        let words: BTreeSet<&str> = text.split_whitespace().filter(|word| word.starts_with("zq")).collect();
        assert_eq!(words, expected[document.id.as_str()].iter().map(String::as_str).collect(), "{}", document.id);
    }
    for (at, word) in expected.values().flatten().enumerate() {
        assert!(finds(&servers[at % servers.len()], word).await, "{word} is not found");
    }
    for (at, word) in gone.iter().enumerate() {
        assert!(!finds(&servers[at % servers.len()], word).await, "{word} is found although it was deleted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_servers_that_are_stopped_and_killed_keep_what_they_acknowledged_and_nothing_else() {
    let seed = setting("RAGOPS_SOAK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let lasts = Duration::from_secs(setting("RAGOPS_SOAK_SECONDS").unwrap_or(25));
    println!("RAGOPS_SOAK_SEED={seed} RAGOPS_SOAK_SECONDS={}", lasts.as_secs());
    let store = SharedStore::start().await;
    let config =
        format!("{FREE_PORTS}[retrieval]\nmode = \"Lexical\"\nmin_score = 0.0\n{}{}", store.config(), provider().await);
    let homes: Arc<Vec<Home>> = Arc::new((0..REPLICAS).map(|_| Home::new()).collect());
    let mut servers = Vec::new();
    for home in homes.iter() {
        home.write("config.toml", &config);
        servers.push(start(home));
    }
    for server in &servers {
        server.await_ready().await;
    }
    let addresses: Addresses = Arc::new(Mutex::new(servers.iter().map(|server| server.public.clone()).collect()));
    let until = Instant::now() + lasts;
    let (answered, told) = Answered::new();
    let writer = |name| Writer::new(name, seed, Arc::clone(&addresses), told.clone());
    let writers: Vec<_> = (0..WRITERS).map(|name| tokio::spawn(writer(name).run(until))).collect();
    drop(told);
    let servers = disturb(homes, servers, addresses, (Dice(seed), until), answered).await;
    let (expected, gone) = ended(writers).await;
    assert!(expected.len() > 3 && gone.len() > 20, "too little was done to show anything");
    let look = Look::at(&store);
    eventually("nothing is in work or left over", async || look.is_quiet().await).await;
    check(&look, &servers, &expected, &gone).await;
}
