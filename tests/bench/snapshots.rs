//! Snapshots of a corpus of many chunks: seconds, bytes and peak memory of each act of `rag-server snapshot`, and what questions take beside one. Texts are abstracts with words of their own between, embedding takes next to no time.

mod act;
mod corpus;

use std::{
    fs,
    path::{Path, PathBuf},
    pin::pin,
    time::{Duration, Instant},
};

use ragops_tests::until;

use self::{act::Act, corpus::Corpus};
use super::{
    files,
    load::{self, Asked},
    row,
    stores::Qdrant,
    vectors::Vectors,
};
use crate::{cranfield::Cranfield, server::Server};

/// Of so many documents one is changed before the second snapshot.
const CHANGED_OF: usize = 100;
/// Questions that are asked alone; beside a snapshot as many as there is time for.
const QUESTIONS: usize = 100;
/// Questions that are asked before anything is measured.
const WARM_UP: usize = 20;
/// Passages of an answer.
const TOP_K: usize = 5;
/// How long a restored server may take until it has answered.
const PATIENCE: Duration = Duration::from_secs(1800);

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Snapshots {
    /// The program to measure
    #[arg(long)]
    server: PathBuf,
    /// Folder with `cranfield/`
    #[arg(long)]
    data: PathBuf,
    /// Chunks of the corpus, at least
    #[arg(long, env = "RAGOPS_BENCH_CHUNKS", default_value_t = 20_000)]
    chunks: u64,
}

/// One run.
struct Bench<'a> {
    server: &'a Path,
    corpus: Corpus,
    vectors: Vectors,
    /// Archives, configurations and embedded stores.
    folder: tempfile::TempDir,
}

/// Measures and prints.
pub(crate) async fn run(snapshots: &Snapshots) -> anyhow::Result<()> {
    let corpus = Corpus::new(Cranfield::read(&snapshots.data.join("cranfield"))?);
    let (vectors, folder) = (Vectors::serve().await?, tempfile::tempdir()?);
    let bench = Bench { server: &snapshots.server, corpus, vectors, folder };
    let embedded = bench.embedded("taken");
    let documents = bench.fill(&embedded, snapshots.chunks).await?;
    bench.act(&embedded, &["create", "first"]).await?.tell("create: everything", Some(bench.archived()?));
    let before = bench.archived()?;
    bench.change(&embedded, documents).await?;
    let second = bench.act(&embedded, &["create", "second"]).await?;
    second.tell("create: 1 % changed", Some(bench.archived()? - before));
    bench.act(&embedded, &["verify", "second"]).await?.tell("verify", None);
    bench.restore_embedded().await?;
    bench.beside_a_qdrant(documents).await
}

impl Bench<'_> {
    /// A configuration over an embedded store in a folder of this name.
    fn embedded(&self, name: &str) -> String {
        format!("[vector_store.embedded]\npath = {:?}\n{}", self.folder.path().join(name), self.vectors.config())
    }

    /// Ingests at least so many chunks; tells how many documents that took.
    async fn fill(&self, config: &str, chunks: u64) -> anyhow::Result<usize> {
        let server = Server::configured(self.server, config).await?;
        let (began, mut documents, mut stored) = (Instant::now(), 0, 0);
        while stored < chunks {
            server.ingest(&self.corpus.batch(documents)).await?;
            documents += corpus::BATCH;
            stored = server.documents().await?.iter().map(|document| document.chunks).sum();
            eprintln!("  {stored} chunks after {:.0} s", began.elapsed().as_secs_f64());
        }
        println!("{documents} documents with {stored} chunks; ingested in {:.0} s", began.elapsed().as_secs_f64());
        server.end().await?;
        Ok(documents)
    }

    async fn change(&self, config: &str, documents: usize) -> anyhow::Result<()> {
        let server = Server::configured(self.server, config).await?;
        let changed: Vec<_> =
            (0..documents).step_by(CHANGED_OF).map(|at| self.corpus.document(at, "changed")).collect();
        server.ingest(&changed).await?;
        server.end().await
    }

    async fn act(&self, config: &str, arguments: &[&str]) -> anyhow::Result<Act> {
        let file = self.folder.path().join("rag.toml");
        fs::write(&file, config)?;
        Act::of(self.server, &file, &self.folder.path().join("archive"), arguments).await
    }

    /// Bytes of the archive.
    fn archived(&self) -> anyhow::Result<u64> {
        let files = files::below(&self.folder.path().join("archive"))?;
        files.iter().map(|file| Ok(fs::metadata(file)?.len())).sum()
    }

    /// Into an embedded store, and until a server over it has answered.
    async fn restore_embedded(&self) -> anyhow::Result<()> {
        let config = self.embedded("restored");
        let began = Instant::now();
        let restored = self.act(&config, &["restore", "second"]).await?;
        let server = Server::configured(self.server, &config).await?;
        until("a question is answered", PATIENCE, || async {
            Ok((!server.search(&self.corpus.question(0), TOP_K).await?.is_empty()).then_some(()))
        })
        .await?;
        let rto = began.elapsed().as_secs_f64();
        restored.tell("restore: embedded", None);
        row("restore: until a question is answered, s", rto, "< 48 at 100,000");
        server.end().await
    }

    /// Into a Qdrant double; then questions of a server over it, alone and beside a snapshot of it.
    async fn beside_a_qdrant(&self, documents: usize) -> anyhow::Result<()> {
        let store = Qdrant::start().await?;
        let config = [store.config(), "[records.vector_store]\n".to_owned(), self.vectors.config()].concat();
        self.act(&config, &["restore", "second"]).await?.tell("restore: Qdrant double", None);
        let server = Server::configured(self.server, &config).await?;
        self.ask(&server, 0..WARM_UP, documents).await?;
        let alone = self.ask(&server, WARM_UP..WARM_UP + QUESTIONS, documents).await?;
        let file = self.folder.path().join("rag.toml");
        let archive = self.folder.path().join("beside");
        let mut create = pin!(Act::of(self.server, &file, &archive, &["create", "beside"]));
        let (mut times, mut from) = (Vec::new(), WARM_UP + QUESTIONS);
        let created = loop {
            let one = self.ask(&server, from..from + 1, documents);
            tokio::select! {
                created = &mut create => break created?,
                one = one => times.extend(one?.times_ms),
            }
            from += 1;
        };
        times.sort_by(f64::total_cmp);
        row("a search alone: p50, ms", alone.p50_ms, "");
        row("a search alone: p95, ms", alone.p95_ms, "");
        row("a search beside `create`: p50, ms", load::percentile(&times, 0.50), "");
        row("a search beside `create`: p95, ms", load::percentile(&times, 0.95), "");
        println!("{} searches beside it", times.len());
        created.tell("create beside searches", None);
        server.end().await
    }

    /// One client, no question twice.
    async fn ask(
        &self,
        server: &Server,
        questions: std::ops::Range<usize>,
        documents: usize,
    ) -> anyhow::Result<Asked<Vec<String>>> {
        let questions: Vec<String> = questions.map(|number| self.corpus.question(number % documents)).collect();
        load::ask(&[server.pid()?], &questions, 1, async |question| server.search(question, TOP_K).await).await
    }
}
