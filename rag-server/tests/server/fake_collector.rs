//! A double of a collector of OTLP over HTTP: it takes spans, or refuses them, and remembers every byte that it was sent.
//!
//! What it reads of the protocol (`opentelemetry.proto.collector.trace.v1`) is written down here, field by field.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU16, Ordering},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
}

/// A span.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(crate) name: String,
    /// 1 internal, 2 server, 3 client.
    #[prost(int32, tag = "6")]
    pub(crate) kind: i32,
    #[prost(fixed64, tag = "7")]
    pub(crate) start: u64,
    #[prost(fixed64, tag = "8")]
    pub(crate) end: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    /// 0 unset, 1 fine, 2 an error.
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
    #[prost(int64, optional, tag = "3")]
    number: Option<i64>,
}

impl Span {
    pub(crate) fn trace(&self) -> String {
        hex::encode(&self.trace_id)
    }

    pub(crate) fn id(&self) -> String {
        hex::encode(&self.span_id)
    }

    pub(crate) fn parent(&self) -> String {
        hex::encode(&self.parent_span_id)
    }

    /// An attribute, as text; empty without it.
    pub(crate) fn attribute(&self, key: &str) -> String {
        value(&self.attributes, key)
    }

    pub(crate) fn is_error(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.code == 2)
    }
}

fn value(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key).and_then(|found| found.value.clone());
    let text = found.map(|value| value.text.or_else(|| value.number.map(|number| number.to_string())));
    text.flatten().unwrap_or_default()
}

#[derive(Debug)]
struct Shared {
    status: AtomicU16,
    taken: Mutex<Vec<(HeaderMap, Bytes)>>,
}

/// The double, listening on loopback for as long as the test runs.
pub(crate) struct FakeCollector {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

impl FakeCollector {
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared { status: AtomicU16::new(200), taken: Mutex::default() });
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared }
    }

    /// Answers with this status from now on.
    pub(crate) fn answer(&self, status: u16) {
        self.shared.status.store(status, Ordering::SeqCst);
    }

    /// Everything that it was sent, refused or not.
    pub(crate) fn sent(&self) -> Vec<(HeaderMap, Bytes)> {
        self.shared.taken.lock().unwrap().clone()
    }

    /// The spans that it was sent.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let exports = self.sent().into_iter().map(|(_, body)| Export::decode(body).unwrap());
        let resources = exports.flat_map(|export| export.resources);
        let scopes = resources.flat_map(|resource| {
            let of = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
            assert_eq!(value(&of, "service.name"), "rag-server");
            resource.scopes
        });
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// The span of the request with this id, once it was sent.
    pub(crate) fn request(&self, id: &str) -> Option<Span> {
        self.spans().into_iter().find(|span| span.attribute("request_id") == id)
    }

    /// The spans of one trace.
    pub(crate) fn trace(&self, trace: &str) -> Vec<Span> {
        self.spans().into_iter().filter(|span| span.trace() == trace).collect()
    }
}

async fn take(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    shared.taken.lock().unwrap().push((headers, body));
    StatusCode::from_u16(shared.status.load(Ordering::SeqCst)).unwrap()
}
