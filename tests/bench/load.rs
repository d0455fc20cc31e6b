//! Questions to servers, so many at once, and what they cost them.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::MissedTickBehavior;

use super::process;

/// What asking came to.
pub(super) struct Asked<T> {
    pub(super) per_second: f64,
    pub(super) p50_ms: f64,
    pub(super) p95_ms: f64,
    /// The servers' processor time for each question.
    pub(super) cpu_ms: f64,
    /// How long each took, the shortest first.
    pub(super) times_ms: Vec<f64>,
    /// The answers in the order of the questions.
    pub(super) answers: Vec<T>,
}

/// Asks questions in turn, so many at once, of the servers with these process ids.
pub(super) async fn ask<Q, T>(
    pids: &[u32],
    questions: &[Q],
    clients: usize,
    ask: impl AsyncFn(&Q) -> anyhow::Result<T>,
) -> anyhow::Result<Asked<T>> {
    let ask = &ask;
    let used = || pids.iter().map(|pid| process::cpu_seconds(*pid)).sum::<anyhow::Result<f64>>();
    let (began, cpu) = (Instant::now(), used()?);
    let mut answered: Vec<(usize, f64, T)> = stream::iter(questions.iter().enumerate())
        .map(|(place, question)| async move {
            let began = Instant::now();
            let answer = ask(question).await?;
            anyhow::Ok((place, began.elapsed().as_secs_f64() * 1000.0, answer))
        })
        .buffer_unordered(clients)
        .try_collect()
        .await?;
    let (took, used) = (began.elapsed().as_secs_f64(), used()? - cpu);
    answered.sort_by_key(|(place, _, _)| *place);
    let mut times: Vec<f64> = answered.iter().map(|(_, time, _)| *time).collect();
    times.sort_by(f64::total_cmp);
    Ok(Asked {
        per_second: questions.len() as f64 / took,
        p50_ms: percentile(&times, 0.50),
        p95_ms: percentile(&times, 0.95),
        cpu_ms: used * 1000.0 / questions.len() as f64,
        times_ms: times,
        answers: answered.into_iter().map(|(_, _, answer)| answer).collect(),
    })
}

/// Between two probes of a server under load: many more than any kubelet sends, so that few seconds bring enough of them.
const BETWEEN_PROBES: Duration = Duration::from_millis(5);

/// How long each of these probes took while something else was done, in milliseconds, the shortest first.
pub(super) async fn probed<T>(
    meanwhile: impl Future<Output = anyhow::Result<T>>,
    probe: impl AsyncFn() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<f64>> {
    let (mut times, mut pace) = (Vec::new(), tokio::time::interval(BETWEEN_PROBES));
    // What came late is no reason to send several at once.
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let probes = async {
        loop {
            pace.tick().await;
            let began = Instant::now();
            if let Err(error) = probe().await {
                return error;
            }
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
    };
    tokio::select! {
        done = meanwhile => done?,
        error = probes => return Err(error),
    };
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// The value that so many of the sorted values do not exceed.
pub(super) fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// Gives the first core to this process and leaves the second one to the server; false where that cannot be done.
///
/// The goals are those of one core, and a client on the same core would be measured, too.
pub(super) fn pin_client() -> anyhow::Result<bool> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let second_is_there = Command::new("taskset").args(["-c", "1", "true"]).status();
    if cores < 2 || !second_is_there.is_ok_and(|status| status.success()) {
        println!("server and client on all cores: taskset or a second core is missing\n");
        return Ok(false);
    }
    let own = std::process::id().to_string();
    let moved = Command::new("taskset").args(["--all-tasks", "--cpu-list", "--pid", "0", &own]).output();
    ensure!(moved.context("taskset does not start")?.status.success(), "taskset cannot move this process");
    Ok(true)
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
