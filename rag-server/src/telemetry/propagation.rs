//! The place of a request in a trace: taken from its client, told as it goes on, and passed on to the services that are called for it, as W3C Trace Context has it.
//!
//! Without a way to a collector all of this does nothing.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator},
    trace::Status,
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The route's template. A request that has it is traced, and its span is named for it.
pub(super) const ROUTE: &str = "http.route";

/// The method.
pub(super) const METHOD: &str = "http.request.method";

/// The request of this span is one to be traced. It goes on with the trace of its client, where the client has one.
pub fn begin(span: &Span, headers: &HeaderMap, method: &str, route: &str) {
    let client = TraceContextPropagator::new().extract_with_context(&Context::new(), &Received(headers));
    // The first that is asked of the span: it can be given a parent as long as it has not begun, and where nobody takes spans this is told.
    if span.set_parent(client).is_err() {
        return;
    }
    span.set_attribute(METHOD, method.to_owned());
    span.set_attribute(ROUTE, route.to_owned());
}

/// The request of this span ended with this status, and where that is an error, for this cause.
pub fn end(span: &Span, status: u16, cause: Option<&'static str>) {
    span.set_attribute("http.response.status_code", i64::from(status));
    if let Some(cause) = cause {
        span.set_attribute("error.type", cause);
    }
    if status >= 500 {
        span.set_status(Status::error(cause.unwrap_or("failed")));
    }
}

/// Adds the place in the trace to what is sent from within the current span.
pub fn pass_on(headers: &mut HeaderMap) {
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut Sent(headers));
}

struct Received<'a>(&'a HeaderMap);

impl Extractor for Received<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Sent<'a>(&'a mut HeaderMap);

impl Injector for Sent<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}
