//! The log: text for a person at a terminal, JSON lines for everything else; its level may change while the process runs.

use std::{
    io::{self, IsTerminal},
    sync::Arc,
};

use tokio::sync::watch;
use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt, Targets},
    fmt, reload,
};

use crate::{
    config::{LiveState, LogFilter},
    spans,
};

/// The variable of the environment that wins over everything else.
const VARIABLE: &str = "RAG_LOG";

/// What libraries say about themselves is no event of ours. Whoever asks for more of one of them gets it: what comes later wins.
const QUIET: &str = "hyper=error,qdrant_edge=error";

/// What a layer of the log or of the traces is.
pub(super) type AnyLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// The log's level, to be changed.
#[derive(Clone)]
pub struct Log {
    filter: reload::Handle<EnvFilter, Registry>,
    level: &'static str,
    is_set_outside: bool,
}

/// What the log is to tell.
#[derive(Debug, PartialEq, Eq)]
enum Chosen<'a> {
    /// What the environment says, and not this that is set.
    Overruled,
    /// What the environment says, and nothing else is set.
    Outside,
    /// What the live settings say.
    Live(&'a str),
    /// What the process began with.
    Beginning,
}

impl Log {
    /// A log that begins at this level, unless the environment says something else, and the layer that writes it.
    pub(super) fn new(level: &'static str) -> (Self, AnyLayer) {
        let outside = EnvFilter::try_from_env(VARIABLE).ok();
        let is_set_outside = outside.is_some();
        let (filter, handle) = reload::Layer::new(outside.unwrap_or_else(|| quiet(level)));
        // Spans of traces alone would hide the request's own, by which each line is told.
        let spans = Targets::new().with_default(Level::TRACE).with_target(spans::TARGET, LevelFilter::OFF);
        let filter = filter.and(spans);
        let log = fmt::layer().with_writer(io::stderr);
        let layer = if io::stderr().is_terminal() {
            log.with_target(false).with_filter(filter).boxed()
        } else {
            log.json().flatten_event(true).with_span_list(false).with_filter(filter).boxed()
        };
        (Self { filter: handle, level, is_set_outside }, layer)
    }

    /// Follows the live settings until they are gone.
    pub async fn follow(self, mut live: watch::Receiver<Arc<LiveState>>) {
        let mut holds = None;
        loop {
            let wanted = live.borrow_and_update().live.log.clone();
            if wanted != holds {
                self.set(wanted.as_ref());
                holds = wanted;
            }
            if live.changed().await.is_err() {
                return;
            }
        }
    }

    fn set(&self, wanted: Option<&LogFilter>) {
        let filter = match chosen(self.is_set_outside, wanted) {
            Chosen::Outside => return,
            Chosen::Overruled => {
                tracing::warn!(
                    "the live setting log is not applied: {VARIABLE} of the environment wins; unset it to change the level while the server runs"
                );
                return;
            }
            Chosen::Live(wanted) => wanted,
            Chosen::Beginning => self.level,
        };
        match self.filter.reload(quiet(filter)) {
            Ok(()) => tracing::info!(log = filter, "the log tells this from now on"),
            Err(error) => tracing::warn!(%error, "the level of the log was not changed"),
        }
    }
}

fn chosen(is_set_outside: bool, wanted: Option<&LogFilter>) -> Chosen<'_> {
    match wanted {
        Some(_) if is_set_outside => Chosen::Overruled,
        None if is_set_outside => Chosen::Outside,
        Some(wanted) => Chosen::Live(wanted.as_str()),
        None => Chosen::Beginning,
    }
}

fn quiet(directives: &str) -> EnvFilter {
    EnvFilter::new(format!("{QUIET},{directives}"))
}

/// A panic is logged by its place alone: its message may quote a document. A closed pipe is no panic but the reader's way to say "enough".
pub(super) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or_default();
        if message.starts_with("failed printing to stdout") && message.contains("Broken pipe") {
            std::process::exit(0);
        }
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "internal error: please report it with this place");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_wins_over_the_live_settings_and_they_over_the_beginning() {
        let debug = LogFilter::try_from("debug".to_owned()).unwrap();
        assert_eq!(chosen(true, Some(&debug)), Chosen::Overruled);
        assert_eq!(chosen(true, None), Chosen::Outside);
        assert_eq!(chosen(false, Some(&debug)), Chosen::Live("debug"));
        assert_eq!(chosen(false, None), Chosen::Beginning);
    }
}
