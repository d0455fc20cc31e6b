//! Twenty servers and one vendor: its quota is divided among them, so that it never has to refuse a call.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    process::{FREE_PORTS, Home, PATIENCE, Server, eventually},
    shared_store::SharedStore,
    soak::{Addresses, provider, start},
};

/// As many as a cluster may have without an approval.
const REPLICAS: usize = 20;
const QUOTA: usize = 28;
const MINUTE: Duration = Duration::from_secs(60);
const SELECTION: &str = "Daily snapshots are kept for 7 days. Weekly snapshots are kept for 5 weeks.";
const SAID: &str = "Daily snapshots are kept for 7 days. [1]";

/// A double of a vendor that answers so many calls within any minute, and refuses every one beyond them.
#[derive(Default)]
struct Vendor {
    /// When those were answered that still count.
    answered: VecDeque<Instant>,
    calls: usize,
    refused: usize,
}

impl Vendor {
    /// The vendor, and the part of a configuration that names it.
    async fn start() -> (Arc<Mutex<Self>>, String) {
        let vendor = Arc::<Mutex<Self>>::default();
        let router = Router::new().route("/v1/chat/completions", post(complete)).with_state(Arc::clone(&vendor));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let config = format!(
            "[[generation.providers]]\nname = \"vendor\"\nbase_url = \"http://{address}/v1\"\nmodel = \"double\"\nrequests_per_minute = {QUOTA}\n"
        );
        (vendor, config)
    }

    fn admits(&mut self) -> bool {
        let now = Instant::now();
        self.calls += 1;
        while self.answered.front().is_some_and(|at| now.duration_since(*at) >= MINUTE) {
            self.answered.pop_front();
        }
        if self.answered.len() >= QUOTA {
            self.refused += 1;
            return false;
        }
        self.answered.push_back(now);
        true
    }
}

async fn complete(State(vendor): State<Arc<Mutex<Vendor>>>, _body: Bytes) -> Response {
    if !vendor.lock().unwrap().admits() {
        return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "60")], "{}").into_response();
    }
    let event = |data: Value| format!("data: {data}\n\n");
    let text = event(json!({"choices": [{"index": 0, "delta": {"content": SAID}}]}));
    let end = event(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}));
    ([("content-type", "text/event-stream")], format!("{text}{end}data: [DONE]\n\n")).into_response()
}

/// So many servers over one store, each of them the real program.
async fn servers(count: usize, store: &SharedStore, config: &str) -> (Arc<Vec<Home>>, Vec<Server>) {
    let homes: Arc<Vec<Home>> = Arc::new((0..count).map(|_| Home::new()).collect());
    let config = format!("{FREE_PORTS}{}{}{config}", store.config(), provider().await);
    let mut servers = Vec::new();
    for at in 0..count {
        homes[at].write("config.toml", &config);
        servers.push(started(&homes, at).await);
    }
    (homes, servers)
}

async fn started(homes: &Arc<Vec<Home>>, at: usize) -> Server {
    let homes = Arc::clone(homes);
    let server = tokio::task::spawn_blocking(move || start(&homes[at])).await.unwrap();
    server.await_ready().await;
    server
}

/// A question about a text that comes with it, so that nothing has to be searched.
async fn asked(address: &str, number: usize) -> reqwest::Result<Value> {
    let selection = format!("{SELECTION} This is note {number}.");
    let query = format!("How long are daily snapshots kept, by note {number}?");
    let body = json!({"query": query, "mode": "selection", "selection": {"text": selection}, "explain": true});
    let client = reqwest::Client::new().post(format!("{address}/query")).timeout(PATIENCE);
    client.json(&body).send().await?.error_for_status()?.json().await
}

/// What became of the vendor on the way to an answer.
fn outcome(answer: &Value) -> &str {
    answer["explain"]["generation"]["path"][0]["outcome"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

/// What the questions of all servers came to, by the outcome of the vendor.
type Outcomes = Arc<Mutex<BTreeMap<String, usize>>>;

/// Asks one server after the other question until it is told to stop.
async fn ask(addresses: Addresses, at: usize, outcomes: Outcomes, stop: Arc<AtomicBool>) {
    // The pace of an impatient reader: together they ask for more than ten times of what there is.
    let mut pace = tokio::time::interval(Duration::from_millis(400));
    let mut number = at;
    while !stop.load(Ordering::SeqCst) {
        pace.tick().await;
        let address = addresses.lock().unwrap()[at].clone();
        // A server that is killed answers nothing.
        if let Ok(answer) = asked(&address, number).await {
            *outcomes.lock().unwrap().entry(outcome(&answer).to_owned()).or_default() += 1;
        }
        number += REPLICAS;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_servers_never_make_a_vendor_of_28_a_minute_refuse_a_call_and_use_what_it_allows() {
    let (store, (vendor, config)) = (SharedStore::start().await, Vendor::start().await);
    let (homes, servers) = servers(REPLICAS, &store, &config).await;
    let addresses: Addresses = Arc::new(Mutex::new(servers.iter().map(|server| server.public.clone()).collect()));
    let (outcomes, stop) = (Outcomes::default(), Arc::<AtomicBool>::default());
    let mut servers: Vec<Option<Server>> = servers.into_iter().map(Some).collect();
    let askers: Vec<_> = (0..REPLICAS)
        .map(|at| tokio::spawn(ask(Arc::clone(&addresses), at, Arc::clone(&outcomes), Arc::clone(&stop))))
        .collect();
    let calls = || vendor.lock().unwrap().calls;
    eventually("half of the first minute's calls are made", async || calls() >= QUOTA / 2).await;
    // What they were handed out is lost with them, and those that come in their place know of it.
    for at in [0, 7] {
        drop(servers[at].take());
        let server = started(&homes, at).await;
        addresses.lock().unwrap()[at].clone_from(&server.public);
        servers[at] = Some(server);
    }
    eventually("the first minute's calls are made", async || calls() + 2 >= QUOTA).await;
    eventually("calls of the next minute are made", async || calls() >= QUOTA + QUOTA / 2).await;
    stop.store(true, Ordering::SeqCst);
    for asker in askers {
        asker.await.unwrap();
    }
    let outcomes = outcomes.lock().unwrap().clone();
    println!("{outcomes:?}");
    assert_eq!(vendor.lock().unwrap().refused, 0, "{outcomes:?}");
    let names: Vec<&str> = outcomes.keys().map(String::as_str).collect();
    assert_eq!(names, ["answered", "rate_limit_kept"], "whoever was not answered by it is told why: {outcomes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_records_do_not_answer_the_vendor_of_a_small_quota_is_not_called() {
    let (mut store, (vendor, config)) = (SharedStore::start().await, Vendor::start().await);
    let (_homes, servers) = servers(2, &store, &config).await;
    assert_eq!(outcome(&asked(&servers[0].public, 0).await.unwrap()), "answered");
    store.leave().await;
    for (number, server) in (1..).zip(&servers) {
        let answer = asked(&server.public, number).await.unwrap();
        assert_eq!((outcome(&answer), &answer["written_by"]), ("quota_unknown", &json!("extractive")), "{answer}");
    }
    assert_eq!(vendor.lock().unwrap().calls, 1);
    store.come_back().await;
    let mut number = 10;
    eventually("it is called again", async || {
        number += 1;
        outcome(&asked(&servers[1].public, number).await.unwrap()) == "answered"
    })
    .await;
}
