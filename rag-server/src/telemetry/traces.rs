//! Traces: which spans there are, and their way to the collector.
//!
//! ```text
//! span ends -> bounded queue, or dropped and counted -> one task sends batches -> collector
//! ```
//!
//! Guarantee: a request never waits for the collector, and a collector that is away costs the spans and one line of the log.

use std::{sync::Arc, time::Duration};

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceId, TracerProvider},
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Sampler, SamplingResult, SdkTracerProvider, ShouldSample, Span, SpanData, SpanProcessor},
};
use prometheus::{IntCounter, IntCounterVec};
use tokio::{
    sync::mpsc::{self, Sender},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::FilterFn};

use super::{
    REQUEST,
    export::{Collector, Exporting, NoCollector},
    log::AnyLayer,
    propagation::{METHOD, ROUTE},
};
use crate::{config::Config, ports::Sight, spans};

/// Spans that may wait for the collector; at about a kilobyte each they hold 8 MB.
const WAITING: usize = 8192;

/// Why no traces can be sent.
#[derive(Debug, thiserror::Error)]
#[error("tracing: {0}")]
pub struct TracesError(#[source] NoCollector);

/// The way to the collector.
pub struct Traces {
    sight: Arc<Sight>,
    stop: CancellationToken,
    sending: JoinHandle<()>,
}

/// Opens the way to the collector that the configuration names, if it names one, and the layer that takes spans. Nothing is called.
pub(super) fn open(config: &Config, spans: &IntCounterVec) -> Result<Option<(Traces, AnyLayer)>, TracesError> {
    let tracing = &config.tracing;
    let Some(endpoint) = &tracing.endpoint else { return Ok(None) };
    let resource = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", "rag-server"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.namespace", config.owner.clone()),
        ])
        .build();
    let collector = Collector::new(endpoint, tracing, resource.clone()).map_err(TracesError)?;
    let (sender, waiting) = mpsc::channel(WAITING);
    let sight = Sight::new("trace collector");
    let counted = |outcome| spans.with_label_values(&[outcome]);
    let exporting =
        Exporting { collector, sight: Arc::clone(&sight), sent: counted("sent"), failed: counted("failed") };
    let queue = Queue { sender, dropped: counted("dropped") };
    let roots = Sampler::ParentBased(Box::new(Requests(Sampler::TraceIdRatioBased(tracing.sample_ratio))));
    let provider =
        SdkTracerProvider::builder().with_resource(resource).with_sampler(roots).with_span_processor(queue).build();
    let stop = CancellationToken::new();
    let sending = tokio::spawn(exporting.run(waiting, stop.clone()));
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("rag-server"))
        // Which file of ours a span is from, and how often it was polled, says nothing to who looks at requests.
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        // A span's parent is the one that it is in, in whichever task.
        .with_context_activation(false);
    let ours = FilterFn::new(|metadata| metadata.is_span() && [REQUEST, spans::TARGET].contains(&metadata.target()));
    let layer = layer.with_filter(ours.with_max_level_hint(LevelFilter::from_level(Level::INFO)));
    Ok(Some((Traces { sight, stop, sending }, layer.boxed())))
}

impl Traces {
    /// What sending saw of the collector.
    pub fn sight(&self) -> &Arc<Sight> {
        &self.sight
    }

    /// Sends what waits, for at most so long.
    pub async fn flush(self, within: Duration) {
        self.stop.cancel();
        let abort = self.sending.abort_handle();
        if tokio::time::timeout(within, self.sending).await.is_err() {
            abort.abort();
            tracing::warn!("the trace collector did not take the last spans in time; they are lost");
        }
    }
}

/// Requests begin traces, and nothing else does: what goes on in the background by itself would be a heap of traces of one call each.
#[derive(Debug, Clone)]
struct Requests(Sampler);

impl ShouldSample for Requests {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let is_request = attributes.iter().any(|attribute| attribute.key.as_str() == ROUTE);
        let sampler = if is_request { &self.0 } else { &Sampler::AlwaysOff };
        sampler.should_sample(parent, trace, name, kind, attributes, links)
    }
}

/// Takes spans that ended.
#[derive(Debug)]
struct Queue {
    sender: Sender<SpanData>,
    dropped: IntCounter,
}

impl SpanProcessor for Queue {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.sender.try_send(named(span)).is_err() {
            self.dropped.inc();
        }
    }

    /// The task that sends does it.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// A request's span, named for what was asked. As fields of the span, its name and its kind would stand in each line of the log.
fn named(mut span: SpanData) -> SpanData {
    let of = |key: &str| span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    if let (Some(method), Some(route)) = (of(METHOD), of(ROUTE)) {
        span.name = format!("{} {}", method.value, route.value).into();
        span.span_kind = SpanKind::Server;
    }
    span
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Span as _, Tracer as _};

    use super::*;

    fn provider(sender: Sender<SpanData>, sampler: Sampler) -> (SdkTracerProvider, IntCounter) {
        let dropped = IntCounter::new("dropped", "counted here alone").unwrap();
        let queue = Queue { sender, dropped: dropped.clone() };
        (SdkTracerProvider::builder().with_sampler(sampler).with_span_processor(queue).build(), dropped)
    }

    #[test]
    fn what_the_queue_has_no_room_for_is_dropped_and_counted_and_nobody_waits() {
        let (sender, waiting) = mpsc::channel(2);
        let (provider, dropped) = provider(sender, Sampler::AlwaysOn);
        for _ in 0..5 {
            provider.tracer("test").start("a span").end();
        }
        assert_eq!((waiting.len(), dropped.get()), (2, 3));
    }

    #[test]
    fn only_a_request_begins_a_trace_and_it_is_named_for_its_route() {
        let (sender, mut waiting) = mpsc::channel(8);
        let (provider, _) = provider(sender, Sampler::ParentBased(Box::new(Requests(Sampler::AlwaysOn))));
        let tracer = provider.tracer("test");
        tracer.start("records count").end();
        let attributes = [KeyValue::new(METHOD, "POST"), KeyValue::new(ROUTE, "/query")];
        tracer.build(tracer.span_builder("request").with_attributes(attributes)).end();
        let span = waiting.try_recv().unwrap();
        assert_eq!((&*span.name, span.span_kind), ("POST /query", SpanKind::Server));
        assert!(waiting.try_recv().is_err());
    }
}
