//! The spans of a trace below that of its request: stages of the flows, and calls of the parts.
//!
//! They have a target of their own. The log never shows them, so that each of its lines is told with its request, and they cost nothing where no traces are sent.
//! Guarantee: a span holds names of stages, parts and operations and classes of failures; nothing of a question, a document or a key.

use tracing::{Span, field::Empty, info_span};

/// The target of these spans, and of nothing else.
pub const TARGET: &str = "rag_span";

/// A stage of a flow.
pub fn stage(name: &'static str) -> Span {
    info_span!(target: TARGET, "stage", otel.name = name)
}

/// A call of a part; see [`failed`] for one that fails.
pub fn call(part: &str, operation: &'static str) -> Span {
    info_span!(
        target: TARGET,
        "call",
        otel.name = format!("{part} {operation}"),
        otel.status_code = Empty,
        part,
        operation,
        cause = Empty
    )
}

/// The call of this span failed, for a reason of this class.
pub fn failed(span: &Span, cause: &str) {
    span.record("otel.status_code", "ERROR").record("cause", cause);
}
