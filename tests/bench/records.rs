//! Records in SQLite, in Qdrant (the double) and in Postgres, side by side: everything else is the same, the vectors in one Qdrant double of its own for each, and embedding takes next to no time, so that what differs is the records.

use std::{path::PathBuf, time::Instant};

use anyhow::Context;
use futures::future::try_join_all;
use serde::Serialize;

use super::{
    load::{self, Asked},
    process,
    stores::{Postgres, Qdrant},
    vectors::Vectors,
};
use crate::{cranfield::Cranfield, server::Server};

/// Documents of one ingestion: few, because the Qdrant double looks through all that it holds for each listing.
const DOCUMENTS: usize = 200;
/// Questions of a measurement.
const QUESTIONS: usize = 150;
/// Questions that each server is asked before anything is measured.
const WARM_UP: usize = 5;
/// Questions that are asked at once of one server, and of all.
const CLIENTS: usize = 8;
/// Servers that take documents in at once.
const WRITERS: usize = 2;
/// Passages of an answer.
const TOP_K: usize = 5;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Records {
    /// The program to measure
    #[arg(long)]
    server: PathBuf,
    /// Folder with `cranfield/`
    #[arg(long)]
    data: PathBuf,
    /// Servers that share one store in the end
    #[arg(long, env = "RAGOPS_BENCH_REPLICAS", default_value_t = 4)]
    replicas: usize,
}

impl Records {
    /// Servers at the end.
    fn servers(&self) -> usize {
        self.replicas.max(WRITERS)
    }
}

/// The figures of one store, in the order of [`ROWS`].
type Figures = [f64; ROWS.len()];

/// What is measured.
const ROWS: [&str; 13] = [
    "1 server: documents for each second",
    "1 server: CPU ms for each document",
    "the same again, documents for each second",
    "1 server, 1 client: questions for each second",
    "1 server, 1 client: p50, ms",
    "1 server, 1 client: p95, ms",
    "1 server, 8 clients: questions for each second",
    "1 server, 8 clients: p95, ms",
    "1 server, 8 clients: CPU ms for each question",
    "2 servers: documents for each second",
    "all servers, 8 clients: questions for each second",
    "all servers, 8 clients: p95, ms",
    "all servers: CPU ms for each question",
];

/// Where records are.
enum Kept {
    Sqlite(tempfile::TempDir),
    Qdrant,
    Postgres(Postgres),
}

impl Kept {
    fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Qdrant => "Qdrant double",
            Self::Postgres(_) => "Postgres",
        }
    }

    fn config(&self, servers: usize) -> String {
        match self {
            Self::Sqlite(folder) => format!("[records.sqlite]\npath = {:?}\n", folder.path().join("records.sqlite")),
            Self::Qdrant => "[records.vector_store]\n".to_owned(),
            Self::Postgres(postgres) => postgres.config(servers),
        }
    }
}

#[derive(Serialize)]
struct Document {
    id: String,
    text: String,
}

/// Measures and prints one table.
pub(crate) async fn run(records: &Records) -> anyhow::Result<()> {
    let collection = Cranfield::read(&records.data.join("cranfield"))?;
    let mut columns: Vec<(&str, Figures)> = Vec::new();
    let stores =
        [Some(Kept::Sqlite(tempfile::tempdir()?)), Some(Kept::Qdrant), Postgres::start().await?.map(Kept::Postgres)];
    for kept in stores {
        let Some(kept) = kept else {
            println!("Postgres is not measured: it is not installed");
            continue;
        };
        eprintln!("  {}", kept.name());
        columns.push((kept.name(), measure(records, &collection, &kept).await?));
    }
    println!("all servers: {} of one store", records.servers());
    print!("\n{:<52}", "what");
    columns.iter().for_each(|(name, _)| print!("{name:>15}"));
    println!();
    for (row, what) in ROWS.iter().enumerate() {
        print!("{what:<52}");
        columns.iter().for_each(|(_, figures)| print!("{:>15.2}", figures[row]));
        println!();
    }
    Ok(())
}

async fn measure(records: &Records, collection: &Cranfield, kept: &Kept) -> anyhow::Result<Figures> {
    let (vectors, store) = (Vectors::serve().await?, Qdrant::start().await?);
    let config = [store.config(), kept.config(records.servers()), vectors.config()].concat();
    let server = async || Server::configured(&records.server, &config).await;
    let (began, mut servers) = (Instant::now(), vec![server().await?]);
    let said = |what: &str| eprintln!("  {:.0} s: {what}", began.elapsed().as_secs_f64());
    let pid = servers[0].pid()?;
    ask(&servers, &questions(collection, 0, WARM_UP), 1).await?;

    let mine = documents(collection, "one");
    let (began, cpu) = (Instant::now(), process::cpu_seconds(pid)?);
    servers[0].ingest(&mine).await?;
    let (one, cpu) = (began.elapsed().as_secs_f64(), process::cpu_seconds(pid)? - cpu);
    said("the documents of one server are in");
    let began = Instant::now();
    servers[0].ingest(&mine).await?;
    let again = began.elapsed().as_secs_f64();
    let alone = ask(&servers, &questions(collection, 1, QUESTIONS), 1).await?;
    let together = ask(&servers, &questions(collection, 2, QUESTIONS), CLIENTS).await?;

    said("one server was asked");
    while servers.len() < records.servers() {
        servers.push(server().await?);
    }
    ask(&servers, &questions(collection, 3, WARM_UP * servers.len()), CLIENTS).await?;
    said("all servers are there");
    let began = Instant::now();
    let parts: Vec<_> = (0..WRITERS).map(|at| documents(collection, &format!("of-{at}"))).collect();
    try_join_all(servers.iter().zip(&parts).map(|(server, part)| server.ingest(part))).await?;
    let both = began.elapsed().as_secs_f64();
    said("all documents are in");
    let all = ask(&servers, &questions(collection, 4, QUESTIONS), CLIENTS).await?;
    let count = DOCUMENTS as f64;
    Ok([
        count / one,
        cpu * 1000.0 / count,
        count / again,
        alone.per_second,
        alone.p50_ms,
        alone.p95_ms,
        together.per_second,
        together.p95_ms,
        together.cpu_ms,
        WRITERS as f64 * count / both,
        all.per_second,
        all.p95_ms,
        all.cpu_ms,
    ])
}

/// Abstracts under names of their own; the first word makes them differ from those of others, which are not written twice.
fn documents(collection: &Cranfield, folder: &str) -> Vec<Document> {
    let abstracts = collection.abstracts.iter().take(DOCUMENTS);
    abstracts
        .map(|found| Document { id: format!("{folder}/{}", found.id), text: format!("{folder} {}", found.text) })
        .collect()
}

/// Each is another one, so that none is answered from memory.
fn questions(collection: &Cranfield, round: usize, count: usize) -> Vec<String> {
    let asked = collection.questions.iter().cycle().take(count).enumerate();
    asked.map(|(number, question)| format!("{question} {round} {number}")).collect()
}

/// Asks the servers in turn.
async fn ask(servers: &[Server], questions: &[String], clients: usize) -> anyhow::Result<Asked<Vec<String>>> {
    let pids = servers.iter().map(Server::pid).collect::<anyhow::Result<Vec<u32>>>()?;
    let placed: Vec<_> = questions.iter().zip(servers.iter().cycle()).collect();
    load::ask(&pids, &placed, clients, async |(question, server)| server.search(question, TOP_K).await)
        .await
        .context("a question")
}
