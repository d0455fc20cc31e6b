//! Logs on standard error: text for a person at a terminal, JSON lines for everything else.
//!
//! No log holds a question, a document's text or a key. `RAG_LOG` chooses the levels, such as `debug` or `rag_server=debug,warn`.

use std::io::{self, IsTerminal};

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// What libraries say about themselves is no event of ours.
const QUIET: &str = "hyper=error,qdrant_edge=error";

/// Starts the log at a level such as `info`, unless the environment chooses another. A second start in the same process does nothing.
pub fn start(level: &str) {
    let filter = EnvFilter::try_from_env("RAG_LOG").unwrap_or_else(|_| EnvFilter::new(format!("{level},{QUIET}")));
    let log = fmt::layer().with_writer(io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    let started = if io::stderr().is_terminal() {
        registry.with(log.with_target(false)).try_init()
    } else {
        registry.with(log.json().flatten_event(true).with_span_list(false)).try_init()
    };
    if started.is_ok() {
        log_panics();
    }
}

/// A panic is logged by its place alone: its message may quote a document. A closed pipe is no panic but the reader's way to say "enough".
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or_default();
        if message.starts_with("failed printing to stdout") && message.contains("Broken pipe") {
            std::process::exit(0);
        }
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "internal error: please report it with this place");
    }));
}
