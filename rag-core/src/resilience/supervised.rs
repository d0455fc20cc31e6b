//! A task that is begun again when it breaks down, and whose state can be seen.

use std::time::{Duration, Instant};

use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// Pause before a task that broke down begins again; it doubles each time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A task that lived for so long is not said to break down again and again.
const SOUND: Duration = Duration::from_secs(60);

/// How a supervised task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TaskState {
    /// It was not begun, or was told to end.
    #[default]
    Idle,
    /// It runs.
    Up,
    /// It broke down and begins again in a while.
    Down {
        /// How often in a row.
        times: u32,
    },
}

impl TaskState {
    /// Whether it runs.
    pub fn is_up(self) -> bool {
        self == Self::Up
    }
}

/// Keeps a task running until `stop`, and then until it has ended. `begin` makes the task; it has to end by itself when `stop` is cancelled, and not before.
pub async fn supervise<F>(
    name: &'static str,
    stop: CancellationToken,
    state: watch::Sender<TaskState>,
    begin: impl Fn() -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut times = 0_u32;
    while !stop.is_cancelled() {
        let began = Instant::now();
        state.send_replace(TaskState::Up);
        // Its own task, so that a panic ends there; a set, so that it goes when this future does.
        let mut task = JoinSet::new();
        task.spawn(begin());
        let ended = task.join_next().await;
        if stop.is_cancelled() {
            break;
        }
        times = if began.elapsed() >= SOUND { 1 } else { times.saturating_add(1) };
        state.send_replace(TaskState::Down { times });
        let error = ended.and_then(Result::err).map(|error| error.to_string());
        tracing::error!(task = name, error, times, "a task broke down; it begins again");
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(times - 1)).min(LONGEST_PAUSE);
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    state.send_replace(TaskState::Idle);
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_seen_to_be_down_and_begins_again() {
        let (stop, state, begun) = (CancellationToken::new(), watch::Sender::default(), Arc::new(AtomicU32::new(0)));
        let mut seen = state.subscribe();
        let supervisor = tokio::spawn({
            let (stop, begun, inner) = (stop.clone(), Arc::clone(&begun), stop.clone());
            async move {
                let task = move || {
                    let (stop, number) = (inner.clone(), begun.fetch_add(1, Ordering::SeqCst));
                    async move {
                        assert!(number >= 2, "it breaks down twice");
                        stop.cancelled().await;
                    }
                };
                supervise("a test", stop, state, task).await;
            }
        });
        // What runs for a moment only, before it breaks down again, may not be seen.
        for times in 1..=2 {
            seen.wait_for(|state| *state == TaskState::Down { times }).await.unwrap();
        }
        seen.wait_for(|state| state.is_up()).await.unwrap();
        stop.cancel();
        supervisor.await.unwrap();
        assert_eq!(*seen.borrow(), TaskState::Idle, "it was told to end");
        assert_eq!(begun.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_task_that_returns_without_being_told_has_broken_down_too() {
        let (stop, state) = (CancellationToken::new(), watch::Sender::default());
        let mut seen = state.subscribe();
        let supervisor = tokio::spawn(supervise("a test", stop.clone(), state, || std::future::ready(())));
        seen.wait_for(|state| *state == TaskState::Down { times: 2 }).await.unwrap();
        stop.cancel();
        supervisor.await.unwrap();
    }
}
