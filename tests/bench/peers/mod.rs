//! rag-server beside a peer: the same passages, the same questions, the same embedding model, one core for each server in its turn.
//!
//! A question is the heading of a section, which stands in no passage, so it has exactly one right section. Nothing is remembered between questions: our caches are off, and the peer has none.

mod contender;
mod passages;
mod txtai;

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use self::{contender::Contender, passages::KnownItems, txtai::Txtai};
use super::{load, process};
use crate::server::Server;

/// Passages that are ingested.
const PASSAGES: usize = 1000;
/// Passages of an answer.
const TOP_K: usize = 5;
/// Questions that are asked at once in the second round.
const CLIENTS: usize = 8;
/// Questions that are asked before anything is measured.
const WARM_UP: usize = 5;
/// Without caches, so that the second round costs what the first did.
const UNCACHED: [(&str, &str); 1] = [("RAG__CACHE__MAX_BYTES", "0")];

/// Who is measured, and on what.
#[derive(Debug, clap::Args)]
pub(crate) struct Peers {
    /// The program to measure
    #[arg(long)]
    server: PathBuf,
    /// Folder with the Python packages of txtai and its model; without it only the program is measured
    #[arg(long)]
    packages: Option<PathBuf>,
    /// Folder with reStructuredText, from which passages and questions are made
    sources: PathBuf,
}

/// The figures of one contender, in the order of [`ROWS`].
type Figures = [f64; ROWS.len()];

/// What is measured, and our goal.
const ROWS: [(&str, &str); 16] = [
    ("start to first answer, s", "< 1"),
    ("resident memory, idle, MiB", "< 180"),
    ("resident memory after ingestion, MiB", ""),
    ("ingest, passages for each second", ""),
    ("ingest, passages for each CPU second", ">= 30"),
    ("the same again, passages for each second", ">= 20000"),
    ("1 client: questions for each second", ">= 220"),
    ("1 client: p50, ms", ""),
    ("1 client: p95, ms", "< 7"),
    ("1 client: CPU ms for each question", ""),
    ("8 clients: questions for each second", ">= 330"),
    ("8 clients: p50, ms", ""),
    ("8 clients: p95, ms", "< 40"),
    ("8 clients: CPU ms for each question", ""),
    ("resident memory in the end, MiB", ""),
    ("the right section is among the first 5, share", ">= 0.82"),
];

/// Measures and prints one table.
pub(crate) async fn run(peers: &Peers) -> anyhow::Result<()> {
    let pinned = load::pin_client()?;
    let items = KnownItems::read(&peers.sources, PASSAGES)?;
    println!("{} passages, {} questions; top {TOP_K}", items.passages.len(), items.questions.len());
    let mut columns: Vec<(&str, Figures)> = Vec::new();
    let ours = Server::start(&peers.server, pinned, &UNCACHED).await?;
    columns.push(("rag-server", measure(Contender::Ours(ours), &items).await?));
    match &peers.packages {
        None => println!("txtai is not measured: its packages are not there"),
        Some(packages) => {
            for (name, hybrid) in [("txtai", false), ("txtai, hybrid", true)] {
                columns.push((name, measure(contender(packages, pinned, hybrid).await?, &items).await?));
            }
        }
    }
    print!("\n{:<47}", "what");
    columns.iter().for_each(|(name, _)| print!("{name:>15}"));
    println!("   our goal");
    for (row, (what, goal)) in ROWS.iter().enumerate() {
        print!("{what:<47}");
        columns.iter().for_each(|(_, figures)| print!("{:>15.2}", figures[row]));
        println!("   {goal}");
    }
    Ok(())
}

async fn contender(packages: &Path, pinned: bool, hybrid: bool) -> anyhow::Result<Contender> {
    Ok(Contender::Txtai(Txtai::start(packages, pinned, hybrid).await?))
}

async fn measure(contender: Contender, items: &KnownItems) -> anyhow::Result<Figures> {
    eprintln!("  {}", contender.name());
    let pid = contender.pid()?;
    contender.search("is the model loaded?").await?;
    let idle = process::resident_mib(pid)?;
    let count = items.passages.len() as f64;
    let (began, cpu) = (Instant::now(), process::cpu_seconds(pid)?);
    contender.ingest(&items.passages).await?;
    let (took, used) = (began.elapsed().as_secs_f64(), process::cpu_seconds(pid)? - cpu);
    let ingested = process::resident_mib(pid)?;
    let began = Instant::now();
    contender.ingest(&items.passages).await?;
    let again = began.elapsed().as_secs_f64();

    contender.calm().await?;
    for question in items.questions.iter().take(WARM_UP) {
        contender.search(&question.heading).await?;
    }
    let search = async |question: &passages::Question| contender.search(&question.heading).await;
    let alone = load::ask(&[pid], &items.questions, 1, search).await?;
    let together = load::ask(&[pid], &items.questions, CLIENTS, search).await?;
    let right = items.questions.iter().zip(&alone.answers).filter(|(question, found)| items.answers(question, found));
    let right = right.count() as f64 / items.questions.len() as f64;
    Ok([
        contender.start_to_ready().as_secs_f64(),
        idle,
        ingested,
        count / took,
        count / used,
        count / again,
        alone.per_second,
        alone.p50_ms,
        alone.p95_ms,
        alone.cpu_ms,
        together.per_second,
        together.p50_ms,
        together.p95_ms,
        together.cpu_ms,
        process::resident_mib(pid)?,
        right,
    ])
}
