//! How the process is asked to stop: SIGTERM or Ctrl-C begins the stop, a second one hurries it, a third one ends the process at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code after a second signal: 128 + SIGINT, as shells have it.
pub const INTERRUPTED: u8 = 130;

/// What was asked so far.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// To stop, and to finish what is in flight.
    pub asked: CancellationToken,
    /// To wait for nothing any more.
    pub hurried: CancellationToken,
}

/// Listens for the signals from now on.
pub fn on_signals() -> io::Result<Stop> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = Stop::default();
    let Stop { asked, hurried } = stop.clone();
    tokio::spawn(async move {
        let first = either(&mut terminate, &mut interrupt).await;
        tracing::info!(signal = first, "stopping: finishing what is in flight; a second signal cuts it off");
        asked.cancel();
        let second = either(&mut terminate, &mut interrupt).await;
        tracing::warn!(signal = second, "hurried by a second signal; a third one ends at once");
        hurried.cancel();
        let third = either(&mut terminate, &mut interrupt).await;
        tracing::warn!(signal = third, "ended by a third signal");
        std::process::exit(INTERRUPTED.into());
    });
    Ok(stop)
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
