//! Measures a real `rag-server` as a process (`measure quality`, `measure fusions`, `measure answers`, `measure bench`, `measure corpora`, `measure peers`, `measure records`, `measure snapshots`), and the operator on simulated nodes (`measure operator`).

mod answers;
#[path = "../bench/mod.rs"]
mod bench;
mod covid;
mod cranfield;
mod fusions;
mod quality;
mod server;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use self::{
    answers::Answers,
    bench::{corpora::Corpora, peers::Peers, records::Records, snapshots::Snapshots},
    fusions::Fusions,
};

#[derive(Debug, Parser)]
#[command(about = "measures a real rag-server")]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Retrieval quality on judged sets; fails when the default mode ranks worse than promised
    Quality(Paths),
    /// Rules that make one ranking of both legs, side by side over judged sets and manuals
    Fusions(Fusions),
    /// Answers made of sentences of the documents, judged by rule
    Answers(Answers),
    /// Speed and memory, each figure beside its goal
    Bench(Paths),
    /// Whole documentations into one server each, then questions at that size
    Corpora(Corpora),
    /// One table of rag-server and a peer on the same passages and questions
    Peers(Peers),
    /// Records in SQLite, in Qdrant and in Postgres side by side: documents and questions for each second
    Records(Records),
    /// Snapshots of many chunks: seconds, bytes and memory of each act, and questions beside it
    Snapshots(Snapshots),
    /// Memory and latency of the operator at many RagClusters on simulated nodes
    Operator,
}

#[derive(Debug, Args)]
struct Paths {
    /// The program to measure
    #[arg(long)]
    server: PathBuf,
    /// Folder with `cranfield/` and `covid-qa/`
    #[arg(long)]
    data: PathBuf,
    /// A file of COVID-QA to measure instead of the articles in the folder
    #[arg(long, env = "COVID_QA")]
    covid_qa: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().what {
        What::Quality(paths) => quality::run(&paths.server, &paths.data, paths.covid_qa.as_deref()).await,
        What::Fusions(asked) => fusions::run(&asked).await.map(|()| ExitCode::SUCCESS),
        What::Answers(asked) => answers::run(&asked).await.map(|()| ExitCode::SUCCESS),
        What::Bench(paths) => bench::run(&paths.server, &paths.data).await.map(|()| ExitCode::SUCCESS),
        What::Corpora(corpora) => bench::corpora::run(&corpora).await.map(|()| ExitCode::SUCCESS),
        What::Peers(peers) => bench::peers::run(&peers).await.map(|()| ExitCode::SUCCESS),
        What::Records(records) => bench::records::run(&records).await.map(|()| ExitCode::SUCCESS),
        What::Snapshots(snapshots) => bench::snapshots::run(&snapshots).await.map(|()| ExitCode::SUCCESS),
        What::Operator => bench::operator::run().await.map(|()| ExitCode::SUCCESS),
    }
}
