//! A double of an OpenAI-compatible provider: it answers what it is told to, fails how it is told to, and remembers what it was asked.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::HeaderMap,
    response::Response,
    routing::post,
};
use futures::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::Barrier;

/// What the double does with one call.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Says this, word by word, and how many tokens that took.
    Say(&'static str),
    /// Says this, and that it ends for this reason.
    SayAndEnd(&'static str, &'static str),
    /// Says this, with these headers.
    SayWith(&'static str, Vec<(&'static str, &'static str)>),
    /// Waits until as many calls as the barrier is for are under way, and repeats the `seed`, `temperature` and `max_tokens` that each was asked with.
    Echo(Arc<Barrier>),
    /// Refuses with this status and these headers.
    Fail(u16, Vec<(&'static str, &'static str)>),
    /// Accepts the call and never answers.
    Stall,
    /// Says this and then nothing more, without an end.
    SayAndStall(&'static str),
    /// Says this and closes the connection.
    SayAndCut(&'static str),
    /// Sends something else than an answer.
    Garbage,
}

#[derive(Debug)]
struct Shared {
    script: Mutex<VecDeque<Act>>,
    /// What it does when the script is at its end.
    otherwise: Mutex<Act>,
    asked: Mutex<Vec<(HeaderMap, Value)>>,
    /// Calls whose caller went away before their end.
    left: AtomicUsize,
}

/// The double, listening on loopback for as long as the test runs.
pub(crate) struct FakeProvider {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

/// Counts a call whose caller went away.
struct Watch(Arc<Shared>, bool);

impl Watch {
    /// The call came to its end.
    fn done(&mut self) {
        self.1 = true;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.1 {
            self.0.left.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl FakeProvider {
    pub(crate) async fn start(otherwise: Act) -> Self {
        let shared = Arc::new(Shared {
            script: Mutex::default(),
            otherwise: Mutex::new(otherwise),
            asked: Mutex::default(),
            left: AtomicUsize::new(0),
        });
        let router = Router::new().route("/v1/chat/completions", post(complete)).with_state(Arc::clone(&shared));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared }
    }

    /// What it does with the next calls, one each.
    pub(crate) fn script(&self, acts: impl IntoIterator<Item = Act>) {
        self.shared.script.lock().unwrap().extend(acts);
    }

    /// What it does with every other call.
    pub(crate) fn otherwise(&self, act: Act) {
        *self.shared.otherwise.lock().unwrap() = act;
    }

    /// The headers and bodies of the calls so far.
    pub(crate) fn asked(&self) -> Vec<(HeaderMap, Value)> {
        self.shared.asked.lock().unwrap().clone()
    }

    pub(crate) fn calls(&self) -> usize {
        self.shared.asked.lock().unwrap().len()
    }

    /// Calls whose caller went away before their end.
    pub(crate) fn left(&self) -> usize {
        self.shared.left.load(Ordering::SeqCst)
    }

    /// A table of the configuration.
    pub(crate) fn configured(&self, name: &str, more: &str) -> String {
        format!(
            "[[generation.providers]]\nname = \"{name}\"\nbase_url = \"{}\"\nmodel = \"double\"\n{more}\n",
            self.url
        )
    }
}

async fn complete(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(asked["stream"], true);
    shared.asked.lock().unwrap().push((headers, asked.clone()));
    let act = shared.script.lock().unwrap().pop_front();
    let act = act.unwrap_or_else(|| shared.otherwise.lock().unwrap().clone());
    let watch = Watch(shared, false);
    match act {
        Act::Say(text) => answer(&[], said(text, "stop", watch)),
        Act::SayAndEnd(text, reason) => answer(&[], said(text, reason, watch)),
        Act::SayWith(text, headers) => answer(&headers, said(text, "stop", watch)),
        Act::Echo(all) => {
            all.wait().await;
            let text = format!("{} {} {}", asked["seed"], asked["temperature"], asked["max_tokens"]);
            answer(&[], said(&text, "stop", watch))
        }
        Act::Fail(status, headers) => {
            let mut watch = watch;
            watch.done();
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            let error = json!({"error": {"message": "the key sk-secret-of-the-test is wrong", "code": "told_to_fail"}});
            response.body(Body::from(error.to_string())).unwrap()
        }
        Act::Stall => {
            let _until_the_caller_leaves = watch;
            std::future::pending().await
        }
        Act::SayAndStall(text) => {
            let endless = stream::once(async move {
                let _until_the_caller_leaves = watch;
                std::future::pending().await
            });
            answer(&[], stream::iter(words(text)).map(Ok::<_, Infallible>).chain(endless))
        }
        Act::SayAndCut(text) => {
            let mut watch = watch;
            watch.done();
            answer(&[], cut_off(words(text)))
        }
        Act::Garbage => {
            let mut watch = watch;
            watch.done();
            answer(&[], stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"data: <html>busy</html>\n\n"))]))
        }
    }
}

/// These pieces, and then the connection breaks.
pub(crate) fn cut_off(pieces: Vec<Bytes>) -> impl Stream<Item = std::io::Result<Bytes>> {
    let cut = stream::once(async {
        // What was said must have left first, or nobody hears it: a body that has nothing to give for a moment is flushed.
        tokio::task::yield_now().await;
        Err(std::io::Error::other("told to cut"))
    });
    stream::iter(pieces).map(Ok).chain(cut)
}

/// The events of an answer, its tokens and its end.
fn said(text: &str, reason: &str, mut watch: Watch) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 10}});
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]});
    let end = [event(&end.to_string()), event(&usage.to_string()), event("[DONE]")];
    let mut left = words(text).len() + end.len();
    stream::iter(words(text).into_iter().chain(end)).map(move |event| {
        left -= 1;
        if left == 0 {
            watch.done();
        }
        Ok(event)
    })
}

fn words(text: &str) -> Vec<Bytes> {
    let word = |word: &str| event(&json!({"choices": [{"index": 0, "delta": {"content": word}}]}).to_string());
    text.split_inclusive(' ').map(word).collect()
}

fn event(data: &str) -> Bytes {
    Bytes::from(format!("data: {data}\n\n"))
}

fn answer<E: Into<axum::BoxError>>(
    headers: &[(&str, &str)],
    events: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> Response {
    let mut response = Response::builder().header("content-type", "text/event-stream");
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::from_stream(events)).unwrap()
}
