//! `make bench`: speed and memory of a real rag-server, each figure beside its goal. A table, and no verdict: a busy machine is no defect.
//!
//! The server is pinned to one core where `taskset` is there and the machine has two, so that the figures are those of one core, as the goals are.

pub(crate) mod operator;
mod process;

use std::{path::Path, time::Instant};

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};

use crate::{cranfield::Cranfield, server::Server};

/// Documents that are ingested; bounded, so that a run takes a minute or two.
const DOCUMENTS: usize = 1000;
/// Questions of a measurement.
const QUESTIONS: usize = 1000;
/// Questions that are asked before anything is measured.
const WARM_UP: usize = 50;
/// Passages of an answer.
const TOP_K: usize = 5;

/// What asking came to.
struct Asked {
    per_second: f64,
    p50_ms: f64,
    p95_ms: f64,
    cpu_ms: f64,
}

/// Measures and prints.
pub(crate) async fn run(binary: &Path, data: &Path) -> anyhow::Result<()> {
    let collection = Cranfield::read(&data.join("cranfield"))?;
    let documents = &collection.abstracts[..DOCUMENTS];
    let pinned = is_pinnable();
    println!(
        "{}",
        if pinned { "server on one core" } else { "server on all cores: taskset or a second core is missing" }
    );
    let [what, measured, goal] = ["what", "measured", "goal"];
    println!("{what:<44}{measured:>12}   {goal}");

    let server = Server::start(binary, pinned).await?;
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

    // Each question is another one, so that none is answered from memory.
    let questions = |from: usize, count: usize| -> Vec<String> {
        let numbered = collection.questions.iter().cycle().zip(from..).take(count);
        numbered.map(|(question, number)| format!("{question} {number}")).collect()
    };
    ask(&server, pid, &questions(0, WARM_UP), 1).await?;
    for (clients, goals) in [(1, [">= 220", "", "< 7", ""]), (8, [">= 330", "", "< 40", ""])] {
        let asked = ask(&server, pid, &questions(clients * QUESTIONS, QUESTIONS), clients).await?;
        let figures = [asked.per_second, asked.p50_ms, asked.p95_ms, asked.cpu_ms];
        let names = ["questions for each second", "p50, ms", "p95, ms", "CPU ms for each question"];
        for ((name, figure), goal) in names.iter().zip(figures).zip(goals) {
            row(&format!("{clients} client{}: {name}", if clients == 1 { "" } else { "s" }), figure, goal);
        }
    }
    let known = vec!["what is the boundary layer?".to_owned(); QUESTIONS];
    let asked = ask(&server, pid, &known, 8).await?;
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

/// Asks questions in turn, so many at once.
async fn ask(server: &Server, pid: u32, questions: &[String], clients: usize) -> anyhow::Result<Asked> {
    let count = questions.len();
    let (began, cpu) = (Instant::now(), process::cpu_seconds(pid)?);
    let mut times: Vec<f64> = stream::iter(questions)
        .map(|question| async move {
            let began = Instant::now();
            server.query(question, None, TOP_K).await?;
            anyhow::Ok(began.elapsed().as_secs_f64() * 1000.0)
        })
        .buffer_unordered(clients)
        .try_collect()
        .await?;
    let (took, used) = (began.elapsed().as_secs_f64(), process::cpu_seconds(pid)? - cpu);
    times.sort_by(f64::total_cmp);
    Ok(Asked {
        per_second: count as f64 / took,
        p50_ms: percentile(&times, 0.50),
        p95_ms: percentile(&times, 0.95),
        cpu_ms: used * 1000.0 / count as f64,
    })
}

/// The value that so many of the sorted values do not exceed.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

fn is_pinnable() -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let pinned = std::process::Command::new("taskset").args(["-c", "1", "true"]).status();
    cores > 1 && pinned.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let times: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!((percentile(&times, 0.50), percentile(&times, 0.95)), (50.0, 95.0));
        assert_eq!(percentile(&[7.0], 0.95), 7.0);
        assert!(percentile(&[], 0.5).is_nan());
    }
}
