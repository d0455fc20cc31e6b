//! What is seen of the process from outside: its log on standard error, and traces for a collector of OTLP.
//!
//! No log line and no span holds a question, a document's text or a key. `RAG_LOG` chooses the levels of the log, such as `debug` or `rag_server=debug,warn`.

mod export;
mod log;
pub mod propagation;
mod traces;

use prometheus::IntCounterVec;
use tracing_subscriber::prelude::*;

pub use self::{
    log::Log,
    traces::{Traces, TracesError},
};
use crate::config::Config;

/// The target of a request's own span, which the log and the traces both see.
pub const REQUEST: &str = "rag_server::request";

/// Log and traces of a process that serves.
pub struct Telemetry {
    /// The log, whose level may change.
    pub log: Log,
    /// The way to the collector; none where none is configured.
    pub traces: Option<Traces>,
}

/// Starts the log of a command at a level such as `warn`, unless the environment chooses another. A second start in the same process does nothing.
pub fn start(level: &'static str) {
    let (_, log) = Log::new(level);
    if tracing_subscriber::registry().with(log).try_init().is_ok() {
        log::log_panics();
    }
}

impl Telemetry {
    /// Starts log and traces of a server. `spans` counts spans by what became of them: `sent`, `failed` or `dropped`.
    pub fn start(config: &Config, spans: &IntCounterVec) -> Result<Self, TracesError> {
        let (log, told) = Log::new("info");
        let traces = traces::open(config, spans)?;
        let (traces, layer) = traces.map_or((None, None), |(traces, layer)| (Some(traces), Some(layer)));
        let layers: Vec<_> = std::iter::once(told).chain(layer).collect();
        if tracing_subscriber::registry().with(layers).try_init().is_ok() {
            log::log_panics();
        }
        Ok(Self { log, traces })
    }
}
