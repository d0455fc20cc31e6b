//! `make bench`: speed and memory of a real rag-server, each figure beside its goal or beside a peer's. Tables, and no verdict: a busy machine is no defect.
//!
//! The server is pinned to one core where `taskset` is there and the machine has two, so that the figures are those of one core, as the goals are.

pub(crate) mod corpora;
mod files;
mod load;
pub(crate) mod operator;
pub(crate) mod peers;
mod process;
pub(crate) mod records;
pub(crate) mod snapshots;
mod stores;
mod vectors;

use std::{path::Path, time::Instant};

use anyhow::Context;

use crate::{
    bench::load::{Asked, ask, percentile, pin_client, probed},
    cranfield::Cranfield,
    server::{Answered, Server},
};

/// Documents that are ingested; bounded, so that a run takes a minute or two.
const DOCUMENTS: usize = 1000;
/// Questions of a measurement.
const QUESTIONS: usize = 1000;
/// Questions that are asked before anything is measured.
const WARM_UP: usize = 50;
/// Questions that a server answers at once, by its defaults.
const FULL: usize = 256;
/// Passages of an answer.
const TOP_K: usize = 5;

/// Measures one server on the Cranfield abstracts, and prints.
pub(crate) async fn run(binary: &Path, data: &Path) -> anyhow::Result<()> {
    let collection = Cranfield::read(&data.join("cranfield"))?;
    let documents = &collection.abstracts[..DOCUMENTS];
    let pinned = pin_client()?;
    let [what, measured, goal] = ["what", "measured", "goal"];
    println!("{what:<44}{measured:>12}   {goal}");

    let server = Server::start(binary, pinned, &[]).await?;
    let pid = server.pid()?;
    row("start to ready, s", server.start_to_ready.as_secs_f64(), "< 1");
    server.query("is the model loaded?", None, TOP_K).await?;
    row("resident memory with the model, idle, MiB", process::resident_mib(pid)?, "< 180");

    let (began, cpu) = (Instant::now(), process::cpu_seconds(pid)?);
    server.ingest(documents).await?;
    let (took, used) = (began.elapsed().as_secs_f64(), process::cpu_seconds(pid)? - cpu);
    let passages = searched(&server, &collection).await?;
    row("ingest, passages for each CPU second", passages / used, ">= 30");
    row("ingest, passages for each second", passages / took, "");

    let began = Instant::now();
    server.ingest(documents).await?;
    row("the same again, documents for each second", DOCUMENTS as f64 / began.elapsed().as_secs_f64(), ">= 20000");

    // Found beside the questions, it would be measured with them.
    server.calibrated().await?;
    // Each question is another one, so that none is answered from memory.
    let questions = |from: usize, count: usize| -> Vec<String> {
        let numbered = collection.questions.iter().cycle().zip(from..).take(count);
        numbered.map(|(question, number)| format!("{question} {number}")).collect()
    };
    query(&server, &questions(0, WARM_UP), 1).await?;
    // The goals of searches are those of the part "peers", whose questions they were set for.
    for clients in [1, 8] {
        let asked = query(&server, &questions(clients * QUESTIONS, QUESTIONS), clients).await?;
        let figures = [asked.per_second, asked.p50_ms, asked.p95_ms, asked.cpu_ms];
        let names = ["questions for each second", "p50, ms", "p95, ms", "CPU ms for each question"];
        for (name, figure) in names.iter().zip(figures) {
            row(&format!("{clients} client{}: {name}", if clients == 1 { "" } else { "s" }), figure, "");
        }
    }
    // As many as a server answers at once.
    let asked = questions(100 * QUESTIONS, QUESTIONS);
    let full = query(&server, &asked, FULL);
    let probes = probed(full, async || server.live().await).await?;
    row(&format!("{FULL} clients: p99 of /health/live, ms"), percentile(&probes, 0.99), "< 50");
    let known = vec!["what is the boundary layer?".to_owned(); QUESTIONS];
    let asked = query(&server, &known, 8).await?;
    row("8 clients, a known question: for each second", asked.per_second, ">= 5000");
    row("resident memory afterwards, MiB", process::resident_mib(pid)?, "");
    Ok(())
}

fn row(what: &str, measured: f64, goal: &str) {
    println!("{what:<44}{measured:>12.2}   {goal}");
}

/// How many passages the server searches.
async fn searched(server: &Server, collection: &Cranfield) -> anyhow::Result<f64> {
    let question = collection.questions.first().context("the collection has no questions")?;
    Ok(server.query(question, None, 1).await?.searched as f64)
}

/// Asks for answers, so many at once.
async fn query(server: &Server, questions: &[String], clients: usize) -> anyhow::Result<Asked<Answered>> {
    ask(&[server.pid()?], questions, clients, async |question: &String| server.query(question, None, TOP_K).await).await
}
