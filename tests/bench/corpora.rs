//! Whole documentations as somebody would ingest them: `rag-server ingest FOLDER` into a running server, then questions at that size.
//!
//! A question is a page's title, so it is known which page it asks for.

mod outcomes;
mod part;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use self::outcomes::Outcomes;
use super::{TOP_K, files, load, process, row};
use crate::server::{Listed, Server};

/// Pages whose title is asked for.
const QUESTIONS: usize = 300;
/// Chunks of a collection that surely has a threshold of its own.
const CALIBRATED: u64 = 1000;
/// How often the progress is said.
const SAID_EACH: Duration = Duration::from_secs(20);

/// What to ingest.
#[derive(Debug, clap::Args)]
pub(crate) struct Corpora {
    /// The program to measure
    #[arg(long)]
    server: PathBuf,
    /// At most so many files of each folder, spread over the whole of it
    #[arg(long, env = "RAGOPS_BENCH_DOCUMENTS")]
    documents: Option<usize>,
    /// Folders of documents; the last two parts of a path name it in the table
    #[arg(required = true)]
    folders: Vec<PathBuf>,
}

/// Measures and prints.
pub(crate) async fn run(corpora: &Corpora) -> anyhow::Result<()> {
    let pinned = load::pin_client()?;
    for folder in &corpora.folders {
        let folder = folder.canonicalize().with_context(|| format!("{} is not there", folder.display()))?;
        let name: PathBuf = folder.components().skip(folder.components().count().saturating_sub(2)).collect();
        println!("{}", name.display());
        match corpora.documents {
            None => measure(&corpora.server, pinned, &folder).await?,
            Some(limit) => {
                let part = part::of(&folder, limit)?;
                println!("only {limit} of its files, as RAGOPS_BENCH_DOCUMENTS says");
                measure(&corpora.server, pinned, part.path()).await?;
            }
        }
        println!();
    }
    Ok(())
}

async fn measure(binary: &Path, pinned: bool, folder: &Path) -> anyhow::Result<()> {
    let server = Server::start(binary, pinned, &[]).await?;
    let pid = server.pid()?;
    let files = files::below(folder)?.len();
    let (began, cpu) = (Instant::now(), process::cpu_seconds(pid)?);
    let outcomes = ingest(binary, folder, &server, files).await?;
    let (took, used) = (began.elapsed().as_secs_f64(), process::cpu_seconds(pid)? - cpu);
    let documents = server.documents().await?;
    let passages = documents.iter().map(|document| document.chunks).sum::<u64>() as f64;
    row("documents stored", documents.len() as f64, "");
    row("passages", passages, "");
    row("seconds", took, "");
    row("passages for each second", passages / took, "");
    row("CPU seconds", used, "");
    row("passages for each CPU second", passages / used, ">= 30");
    row("peak resident memory, MiB", process::peak_resident_mib(pid)?, "");
    let began = Instant::now();
    let again = ingest(binary, folder, &server, files).await?;
    ensure!(again.created == 0, "{} documents were created twice", again.created);
    row("the same again, documents for each second", documents.len() as f64 / began.elapsed().as_secs_f64(), "");
    ask(&server, pid, &documents).await?;
    println!("{outcomes}");
    Ok(())
}

/// Runs the command line as a user does, and reads what it says of each document.
async fn ingest(binary: &Path, folder: &Path, server: &Server, files: usize) -> anyhow::Result<Outcomes> {
    let mut command = Command::new(binary)
        .arg("ingest")
        .arg(folder)
        .args(["--server", server.address()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // On a terminal it draws a bar instead of naming each document.
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let stderr = BufReader::new(command.stderr.take().context("no standard error")?);
    let errors = tokio::spawn(async move {
        let mut lines = stderr.lines();
        while let Ok(Some(line)) = lines.next_line().await {
            eprintln!("  {line}");
        }
    });
    let mut lines = BufReader::new(command.stdout.take().context("no standard output")?).lines();
    let (mut outcomes, began, mut said) = (Outcomes::default(), Instant::now(), Instant::now());
    while let Some(line) = lines.next_line().await? {
        outcomes.take(&line);
        if said.elapsed() >= SAID_EACH {
            said = Instant::now();
            eprintln!("  {} of {files} files after {:.0} s", outcomes.files(), began.elapsed().as_secs_f64());
        }
    }
    let status = command.wait().await?;
    errors.await?;
    // 1 says that a document failed, as some pictures always do; which ones is told.
    ensure!(
        matches!(status.code(), Some(0 | 1)) && outcomes.files() == files,
        "ingest ended with {status} after {} of {files} files",
        outcomes.files()
    );
    Ok(outcomes)
}

/// Asks for pages by their titles.
async fn ask(server: &Server, pid: u32, documents: &[Listed]) -> anyhow::Result<()> {
    if documents.iter().map(|document| document.chunks).sum::<u64>() >= CALIBRATED {
        // Found beside the questions, the threshold would be measured with them.
        server.calibrated().await?;
    }
    let step = documents.len().div_ceil(QUESTIONS).max(1);
    let pages: Vec<&Listed> = documents.iter().step_by(step).collect();
    ensure!(!pages.is_empty(), "nothing was stored");
    server.search("is the model loaded?", TOP_K).await?;
    // Sphinx puts the name of the whole behind the name of the page.
    let title = |page: &Listed| page.title.split(" \u{2014} ").next().unwrap_or_default().to_owned();
    let asked = load::ask(&[pid], &pages, 1, async |page: &&Listed| server.search(&title(page), TOP_K).await).await?;
    let found = asked.answers.iter().zip(&pages).filter(|(found, page)| found.contains(&page.id)).count();
    row("a search by a page's title: p50, ms", asked.p50_ms, "");
    row("a search by a page's title: p95, ms", asked.p95_ms, "");
    row("a search by a page's title: CPU ms", asked.cpu_ms, "");
    row("the page is among the first 5, share", found as f64 / pages.len() as f64, "");
    Ok(())
}
