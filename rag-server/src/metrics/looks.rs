//! What whoever is on call looks at first: errors, slow questions, parts, what is stored, traces, and the process itself.

use prometheus::{Gauge, GaugeVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, core::Collector};

use super::book::Book;

/// What whoever is on call looks at first.
#[derive(Debug, Clone)]
pub struct Looks {
    /// Requests that were answered with an error, by the kind of it: the last segment of the problem's type.
    pub errors: IntCounterVec,
    /// Questions that took longer than `server.slow_query_seconds`, by outcome.
    pub slow_queries: IntCounterVec,
    /// Spans of traces by what became of them: `sent`, `failed` (the collector did not take them) or `dropped` (the queue was full).
    pub spans: IntCounterVec,
    /// 1 where the last call of a part was answered, 0 where it was not; absent before there was one.
    pub part_up: IntGaugeVec,
    /// Requests that are handled now.
    pub in_flight: IntGauge,
    /// Documents that answers can come from, as they were counted last.
    pub documents: IntGauge,
    /// Chunks of the epoch that is searched, as they were counted last.
    pub chunks: IntGauge,
    /// Segments of the index that is searched.
    pub index_segments: IntGauge,
    /// Vectors that the index finds.
    pub indexed_vectors: IntGauge,
    /// 1 where nothing waits to be optimised, 0 where something does; absent where the store does not tell.
    pub index_optimized: IntGaugeVec,
    /// Seconds until the first certificate of a watched file expires, by the file's name; negative once it did. Absent where there is none.
    pub certificate_expiry: GaugeVec,
    /// Memory of the process that is really there.
    pub resident_bytes: IntGauge,
    /// When the process began, in seconds since 1970.
    pub started: Gauge,
}

impl Looks {
    /// Registers all of them.
    pub(super) fn register(book: &Book) -> prometheus::Result<Self> {
        fn registered<C: Collector + Clone + 'static>(book: &Book, metric: C) -> prometheus::Result<C> {
            book.register(Box::new(metric.clone())).map(|()| metric)
        }
        let counters =
            |name, help, labels: &[&str]| registered(book, IntCounterVec::new(Opts::new(name, help), labels)?);
        let gauge = |name, help| registered(book, IntGauge::new(name, help)?);
        let part_up = Opts::new("rag_part_up", "1 where the last call of a part was answered, 0 where it was not.");
        let optimized = Opts::new("rag_index_optimized", "1 where nothing of the index waits to be optimised.");
        let expiry =
            Opts::new("rag_certificate_expiry_seconds", "Seconds until the first certificate of a file expires.");
        let started = Gauge::new("process_start_time_seconds", "When the process began, in seconds since 1970.")?;
        let looks = Self {
            errors: counters("rag_errors_total", "Requests that were answered with an error, by cause.", &["cause"])?,
            slow_queries: counters(
                "rag_slow_queries_total",
                "Questions that took too long, by outcome.",
                &["outcome"],
            )?,
            spans: counters("rag_trace_spans_total", "Spans of traces by what became of them.", &["outcome"])?,
            part_up: registered(book, IntGaugeVec::new(part_up, &["part"])?)?,
            in_flight: gauge("rag_requests_in_flight", "Requests that are handled now.")?,
            documents: gauge("rag_documents", "Documents that answers can come from, as counted last.")?,
            chunks: gauge("rag_chunks", "Chunks of the epoch that is searched, as counted last.")?,
            index_segments: gauge("rag_index_segments", "Segments of the index that is searched.")?,
            indexed_vectors: gauge("rag_index_vectors", "Vectors that the index finds; the others are compared.")?,
            index_optimized: registered(book, IntGaugeVec::new(optimized, &[])?)?,
            certificate_expiry: registered(book, GaugeVec::new(expiry, &["certificate"])?)?,
            resident_bytes: gauge("process_resident_memory_bytes", "Memory of the process that is really there.")?,
            started: registered(book, started)?,
        };
        for outcome in ["sent", "failed", "dropped"] {
            looks.spans.with_label_values(&[outcome]).reset();
        }
        Ok(looks)
    }
}
