//! Two processes that ingest the same document into one store: one stands still in the middle of its work for so long that the other takes its place.

use std::{
    io::Read as _,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Json, Router, extract::State, routing::post};
use rag_server::{
    model::ChunkId,
    ports::{Epoch, VectorStore as _},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore};

use crate::{
    process::{Home, eventually},
    shared_store::SharedStore,
    soak::{Look, chunks},
};

/// In every part of the book, and in nothing else that is embedded.
pub(crate) const MARK: &str = "marker";

/// A provider of vectors that embeds parts of the book only when it is let.
pub(crate) struct Provider {
    asked: AtomicUsize,
    let_through: AtomicUsize,
    permits: Semaphore,
}

impl Provider {
    /// The provider, and the part of a configuration that names it.
    pub(crate) async fn start() -> (Arc<Self>, String) {
        let (asked, let_through) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let provider = Arc::new(Self { asked, let_through, permits: Semaphore::new(0) });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/v1/embeddings", post(embed)).with_state(Arc::clone(&provider));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let config =
            format!("[embedding.openai]\nbase_url = \"http://{address}/v1\"\nmodel = \"gated\"\ndimensions = 8\n");
        (provider, config)
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Answers a call if one waits.
    fn let_one_through(&self) {
        if self.asked() > self.let_through.load(Ordering::SeqCst) {
            self.let_through.fetch_add(1, Ordering::SeqCst);
            self.permits.add_permits(1);
        }
    }

    /// Answers everything from now on.
    pub(crate) fn open(&self) {
        self.permits.add_permits(1_000_000);
    }
}

async fn embed(State(provider): State<Arc<Provider>>, Json(body): Json<Value>) -> Json<Value> {
    if body["input"].to_string().contains(MARK) {
        provider.asked.fetch_add(1, Ordering::SeqCst);
        provider.permits.acquire().await.unwrap().forget();
    }
    let count = body["input"].as_array().map_or(1, Vec::len);
    let data: Vec<Value> = (0..count).map(|index| json!({ "index": index, "embedding": vec![0.5; 8] })).collect();
    Json(json!({ "model": "gated", "data": data, "usage": { "prompt_tokens": 1, "total_tokens": 1 } }))
}

/// A text of several windows of chunks.
fn book() -> String {
    let chapter = |at: usize| {
        let words: Vec<String> = (0..60).map(|word| format!("{MARK}{at}w{word}")).collect();
        format!("## Chapter {at}\n\nOf the {MARK} of chapter {at}: {}.\n\n", words.join(" "))
    };
    format!("# Book\n\n{}", (0..400).map(chapter).collect::<String>())
}

/// A run of `rag-server ingest`; it is killed when this is dropped.
struct Run(Child);

impl Drop for Run {
    fn drop(&mut self) {
        // It may have ended by itself, which is fine.
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

impl Run {
    fn start(home: &Home, config: &str) -> Self {
        home.write("docs/book.md", &book());
        let config = home.write("config.toml", config);
        let call = home.command(&["ingest", "docs", "--config"]).args_of(&[&config]).without_embedded_store();
        Self(call.command().stdout(Stdio::piped()).spawn().unwrap())
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap().success());
    }

    /// Whether it ended well, and what it said.
    async fn end(mut self) -> (bool, String) {
        tokio::task::spawn_blocking(move || self.wait()).await.unwrap()
    }

    fn wait(&mut self) -> (bool, String) {
        let mut said = String::new();
        self.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        (self.0.wait().unwrap().success(), said)
    }
}

/// Chunks that are stored.
async fn stored(look: &Look) -> u64 {
    look.vectors.count(Epoch(1)).await.unwrap_or_default()
}

/// Answers one call after the other until more chunks are stored than there were.
async fn stores_a_part(look: &Look, provider: &Provider) {
    let before = stored(look).await;
    eventually("it stored a part", async || {
        provider.let_one_through();
        stored(look).await > before
    })
    .await;
}

fn says(said: &str, outcome: &str) -> bool {
    said.lines().any(|line| line.starts_with(outcome) && line.contains("book.md"))
}

async fn a_late_one_takes_nothing_away(is_killed: bool) {
    let (store, homes) = (SharedStore::start().await, [Home::new(), Home::new()]);
    let look = Look::at(&store);
    let (slow, of_slow) = Provider::start().await;
    let (next, of_next) = Provider::start().await;
    let late = Run::start(&homes[0], &format!("{}{of_slow}", store.config()));
    stores_a_part(&look, &slow).await;
    late.signal("-STOP");
    let successor = Run::start(&homes[1], &format!("{}{of_next}", store.config()));
    // It waits until the time of the late one's claim is over.
    stores_a_part(&look, &next).await;
    late.signal("-CONT");
    slow.open();
    let (mut seen, mut quiet) = (slow.asked(), 0);
    eventually("the late one embedded what it had, and found out", async || {
        quiet = if slow.asked() == seen { quiet + 1 } else { 0 };
        seen = slow.asked();
        quiet > 40
    })
    .await;
    let late = match is_killed {
        true => {
            drop(late);
            None
        }
        false => Some(late),
    };
    next.open();
    let (is_well, said) = successor.end().await;
    assert!(is_well && says(&said, "created"), "{said}");
    if let Some(late) = late {
        let (is_well, said) = late.end().await;
        assert!(is_well && says(&said, "unchanged"), "{said}");
    }
    let documents = look.documents().await;
    let ids: Vec<ChunkId> = documents.iter().flat_map(chunks).collect();
    assert!(documents.len() == 1 && ids.len() > 300, "{documents:?}");
    assert_eq!(look.vectors.chunks(None, &ids).await.unwrap().len(), ids.len(), "the document is whole");
    assert_eq!(stored(&look).await, ids.len() as u64, "and nothing is left of the other one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_stood_still_wakes_up_and_takes_nothing_from_the_one_that_took_its_place() {
    a_late_one_takes_nothing_away(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_killed_after_it_woke_up_takes_nothing_with_it() {
    a_late_one_takes_nothing_away(true).await;
}
