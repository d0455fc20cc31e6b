//! What is decided on one replica holds on all: two real processes over one store.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    fake_provider::{Act, FakeProvider},
    process::{FREE_PORTS, Home, Server, eventually, problem},
    shared_store::SharedStore,
};

const READER: &str = "reader-key-0123456789";
const WRITER: &str = "writer-key-0123456789";
const ADMIN: &str = "admin-key-0123456789";
const OPERATOR: &str = "operator-key-0123456789";
const QUESTION: &str = "How long are daily snapshots kept?";

/// Three clients and the operator.
fn keyed(home: &Home) -> String {
    let mut config = format!("{FREE_PORTS}[auth]\ncredentials_dir = \"keys\"\n");
    for (name, role, key) in [("reader", "Reader", READER), ("writer", "Writer", WRITER), ("admin", "Admin", ADMIN)] {
        home.write(&format!("keys/api-key.{name}.current"), key);
        config.push_str(&format!("[[auth.api_keys]]\nname = \"{name}\"\nrole = \"{role}\"\n"));
    }
    home.write("keys/operator.current", OPERATOR);
    config
}

/// A replica over the store, with these further settings.
fn replica(home: &Home, store: &SharedStore, more: &str) -> Server {
    home.serve_over_store(&[keyed(home), store.config(), more.to_owned()].concat())
}

async fn ask(server: &Server, method: Method, path: &str, key: &str, body: Value) -> reqwest::Response {
    server.request(method, path).header("x-api-key", key).json(&body).send().await.unwrap()
}

async fn status_of(server: &Server, key: &str) -> StatusCode {
    ask(server, Method::GET, "/documents", key, json!(null)).await.status()
}

/// What an administrator decides; it must be possible.
async fn decide(server: &Server, method: Method, path: &str, body: Value) -> Value {
    let answer = ask(server, method, path, ADMIN, body).await;
    let status = answer.status();
    let told: Value = answer.json().await.unwrap();
    assert!(status.is_success(), "{path}: {told}");
    told
}

async fn shown(server: &Server, path: &str) -> Value {
    decide(server, Method::GET, path, json!(null)).await
}

/// Has the operator deny a key.
async fn deny(server: &Server, fingerprint: &str) -> reqwest::Response {
    let request = reqwest::Client::new().post(format!("{}/ops/deny", server.management)).bearer_auth(OPERATOR);
    request.json(&json!({"fingerprint": fingerprint})).send().await.unwrap()
}

fn fingerprint(key: &str) -> String {
    hex::encode(Sha256::digest(key))[..12].to_owned()
}

async fn writes(server: &Server) -> StatusCode {
    let body = json!({"documents": [{"id": "a.txt", "text": "A pump is greased every month."}]});
    ask(server, Method::POST, "/ingest", WRITER, body).await.status()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_a_denied_key_and_read_only_hold_on_every_replica_and_on_one_that_starts_later() {
    let (store, homes) = (SharedStore::start().await, [Home::new(), Home::new(), Home::new()]);
    let [here, there] = [0, 1].map(|at| replica(&homes[at], &store, ""));
    for server in [&here, &there] {
        server.await_ready().await;
        assert_eq!(status_of(server, READER).await, StatusCode::OK);
    }
    let block = json!({"client": "reader", "reason": "it asks without end"});
    let blocked = decide(&here, Method::POST, "/admin/blocks", block).await;
    assert_eq!((&blocked["subject"], &blocked["known"]), (&json!("api-key.reader"), &json!(true)), "{blocked}");
    let refused = ask(&here, Method::GET, "/documents", READER, json!(null)).await;
    let told = problem(refused, 403, "blocked").await;
    assert!(told["detail"].as_str().unwrap().contains("it asks without end"), "{told}");
    eventually("the other refuses it, too", async || status_of(&there, READER).await == StatusCode::FORBIDDEN).await;
    assert_eq!(shown(&there, "/admin/blocks").await["blocks"][0]["by"], "api-key.admin");

    assert_eq!(decide(&there, Method::PUT, "/admin/read-only", json!({"read_only": true})).await["read_only"], true);
    assert_eq!(writes(&there).await, StatusCode::SERVICE_UNAVAILABLE);
    eventually("no writes there either", async || writes(&here).await == StatusCode::SERVICE_UNAVAILABLE).await;

    let answer: Value = deny(&here, &fingerprint(WRITER)).await.json().await.unwrap();
    problem(ask(&here, Method::GET, "/documents", WRITER, json!(null)).await, 401, "denied-api-key").await;
    let confirmed = async |server: &Server| {
        let status: Value =
            server.manage("/ops/status").bearer_auth(OPERATOR).send().await.unwrap().json().await.unwrap();
        let denied = status["fleet"]["denied"].as_array().unwrap().contains(&answer["fingerprint"]);
        let accepted = status["credentials"].as_array().unwrap().iter();
        let accepts = accepted.map(|one| &one["fingerprint"]).any(|one| *one == answer["fingerprint"]);
        let is_there = status["fleet"]["revision"].as_u64() >= answer["revision"].as_u64();
        denied && is_there && !accepts
    };
    for server in [&here, &there] {
        eventually("it confirms the denial", async || confirmed(server).await).await;
        assert_eq!(status_of(server, WRITER).await, StatusCode::UNAUTHORIZED);
    }

    let late = replica(&homes[2], &store, "");
    late.await_ready().await;
    assert_eq!(status_of(&late, READER).await, StatusCode::FORBIDDEN, "before anybody was let in");
    assert_eq!(status_of(&late, WRITER).await, StatusCode::UNAUTHORIZED);
    assert_eq!(shown(&late, "/admin/status").await["read_only"], true);

    decide(&there, Method::DELETE, "/admin/blocks?client=reader", json!(null)).await;
    eventually("it is let in again", async || status_of(&here, READER).await == StatusCode::OK).await;
    let again = ask(&there, Method::DELETE, "/admin/blocks?client=reader", ADMIN, json!(null)).await;
    problem(again, 404, "no-such-block").await;
}

async fn answer(server: &Server) -> Value {
    let body = json!({"query": QUESTION});
    let answer: Value = ask(server, Method::POST, "/query", READER, body).await.json().await.unwrap();
    assert_eq!(answer["status"], "grounded", "{answer}");
    answer
}

/// Questions to each cache that it did not have the answer to: vectors, passages, answers.
async fn missed(server: &Server) -> [u64; 3] {
    let stats = shown(server, "/admin/stats").await;
    let missed = |cache: &Value| cache["requests"].as_u64().unwrap() - cache["hits"].as_u64().unwrap();
    [0, 1, 2].map(|at| missed(&stats["caches"][at]))
}

/// Which of the caches did not have what a question asks them for.
async fn misses(server: &Server) -> [bool; 3] {
    let before = missed(server).await;
    answer(server).await;
    let after = missed(server).await;
    [0, 1, 2].map(|at| after[at] > before[at])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_is_cleared_on_one_replica_is_void_on_the_other_and_sessions_stay() {
    let (store, homes) = (SharedStore::start().await, [Home::new(), Home::new()]);
    let [here, there] = [0, 1].map(|at| replica(&homes[at], &store, ""));
    for server in [&here, &there] {
        server.await_ready().await;
    }
    here.ingest("plan.md", "# Backup\n\nDaily snapshots are kept for 7 days.\n", WRITER).await;
    let turn = json!({"query": QUESTION, "session": "s"});
    assert!(ask(&there, Method::POST, "/query", READER, turn).await.status().is_success());
    answer(&there).await;
    assert_eq!(misses(&there).await, [false; 3], "everything is remembered");
    let cleared = decide(&here, Method::DELETE, "/admin/cache", json!(null)).await;
    assert_eq!(cleared["kinds"], json!(["embedding", "retrieval", "response"]), "{cleared}");
    eventually("the other knows", async || {
        shown(&there, "/admin/status").await["fleet"]["revision"] == cleared["revision"]
    })
    .await;
    assert_eq!(misses(&there).await, [true; 3], "something was taken from memory that had been cleared");
    let session = ask(&there, Method::GET, "/sessions/s", READER, json!(null)).await;
    assert_eq!(session.json::<Value>().await.unwrap()["turns"].as_array().unwrap().len(), 1);

    // One kind alone, of one tenant.
    assert_eq!(misses(&there).await, [false; 3]);
    let cleared = decide(&there, Method::DELETE, "/admin/cache?kind=retrieval&tenant=", json!(null)).await;
    assert_eq!((&cleared["kinds"], &cleared["tenant"]), (&json!(["retrieval"]), &json!("")), "{cleared}");
    assert_eq!(misses(&there).await, [false, true, false]);
    for wrong in ["kind=session", "kind=embedding&tenant=acme", "tenant=NO", "tennant=acme"] {
        let refused = ask(&there, Method::DELETE, &format!("/admin/cache?{wrong}"), ADMIN, json!(null)).await;
        assert!(refused.status().is_client_error(), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_records_are_away_what_was_decided_holds_on_and_nothing_new_is_acknowledged() {
    let (mut store, homes) = (SharedStore::start().await, [Home::new(), Home::new()]);
    let [here, there] = [0, 1].map(|at| replica(&homes[at], &store, ""));
    for server in [&here, &there] {
        server.await_ready().await;
    }
    let block = json!({"client": "reader", "reason": "it asks without end"});
    decide(&here, Method::POST, "/admin/blocks", block).await;
    assert!(deny(&here, &fingerprint(WRITER)).await.status().is_success());
    eventually("the other knows", async || status_of(&there, WRITER).await == StatusCode::UNAUTHORIZED).await;
    store.leave().await;
    for server in [&here, &there] {
        eventually("it says that it cannot follow", async || {
            !shown(server, "/admin/status").await["fleet"]["problem"].is_null()
        })
        .await;
        assert_eq!(status_of(server, READER).await, StatusCode::FORBIDDEN);
        assert_eq!(status_of(server, WRITER).await, StatusCode::UNAUTHORIZED);
        let refused = ask(server, Method::DELETE, "/admin/blocks?client=reader", ADMIN, json!(null)).await;
        problem(refused, 503, "store-unreachable").await;
        assert_eq!(shown(server, "/admin/blocks").await["blocks"][0]["subject"], "api-key.reader");
        let health = shown(server, "/health/detailed").await;
        let parts = health["parts"].as_array().unwrap();
        let fleet = parts.iter().find(|part| part["name"] == "fleet state").unwrap();
        assert!(fleet["status"] != "ok" && !fleet["last_error"]["class"].is_null(), "{health}");
    }
    store.come_back().await;
    decide_again(&there).await;
    eventually("the first follows again", async || status_of(&here, READER).await == StatusCode::OK).await;
    eventually("and says so", async || shown(&here, "/admin/status").await["fleet"]["problem"].is_null()).await;
}

/// Lifts the block as soon as the records answer.
async fn decide_again(server: &Server) {
    eventually("the records answer", async || {
        ask(server, Method::DELETE, "/admin/blocks?client=reader", ADMIN, json!(null)).await.status().is_success()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_live_file_sets_wins_and_the_answer_says_so() {
    let (store, home) = (SharedStore::start().await, Home::new());
    let live = home.write("live.toml", "read_only = true\n");
    let server = replica(&home, &store, &format!("[live]\nfile = {live:?}\n"));
    server.await_ready().await;
    let told = decide(&server, Method::PUT, "/admin/read-only", json!({"read_only": false})).await;
    assert_eq!((&told["read_only"], &told["live_file"]), (&json!(true), &json!(true)), "{told}");
    assert!(told["notice"].as_str().unwrap().contains("the live file"), "{told}");
    assert_eq!(writes(&server).await, StatusCode::SERVICE_UNAVAILABLE);
    home.swap("live.toml", "read_only = false\n");
    eventually("writes are taken", async || writes(&server).await == StatusCode::ACCEPTED).await;
    let told = decide(&server, Method::PUT, "/admin/read-only", json!({"read_only": true})).await;
    assert_eq!((&told["read_only"], &told["live_file"], &told["notice"]), (&json!(true), &json!(false), &json!(null)));
    assert_eq!(writes(&server).await, StatusCode::SERVICE_UNAVAILABLE);
}

async fn breaker(server: &Server) -> String {
    shown(server, "/admin/status").await["breakers"][0]["state"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_breaker_that_is_reset_on_one_replica_is_closed_on_both() {
    let (store, homes) = (SharedStore::start().await, [Home::new(), Home::new()]);
    let provider = FakeProvider::start(Act::Fail(500, Vec::new())).await;
    // Longer than anybody waits here.
    let more = format!("{}[generation.circuit_breaker]\nopen_seconds = 3600\n", provider.configured("double", ""));
    let [here, there] = [0, 1].map(|at| replica(&homes[at], &store, &more));
    for server in [&here, &there] {
        server.await_ready().await;
    }
    here.ingest("plan.md", "# Backup\n\nDaily snapshots are kept for 7 days.\n", WRITER).await;
    for server in [&here, &there] {
        eventually("its breaker opens", async || {
            answer(server).await;
            breaker(server).await == "open"
        })
        .await;
    }
    let reset = decide(&here, Method::POST, "/admin/breakers/double/reset", json!(null)).await;
    assert_eq!((&reset["provider"], &reset["state"]), (&json!("double"), &json!("closed")), "{reset}");
    eventually("the other's is closed, too", async || breaker(&there).await == "closed").await;
    let unknown = ask(&here, Method::POST, "/admin/breakers/nobody/reset", ADMIN, json!(null)).await;
    let told = problem(unknown, 404, "no-such-provider").await;
    assert!(told["detail"].as_str().unwrap().contains("double"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_administrators_see_names_files_and_fingerprints_and_never_a_secret() {
    let (store, home) = (SharedStore::start().await, Home::new());
    home.write("provider.key", "a-secret-of-the-provider");
    let provider = FakeProvider::start(Act::Say("Daily snapshots are kept for 7 days. [1]")).await;
    let settings = format!("api_key_file = {:?}\n", home.path("provider.key"));
    let server = replica(&home, &store, &provider.configured("double", &settings));
    server.await_ready().await;
    server.ingest("plan.md", "# Backup\n\nDaily snapshots are kept for 7 days.\n", WRITER).await;
    answer(&server).await;
    let config = shown(&server, "/admin/config").await;
    assert_eq!(config["config"]["vector_store"]["qdrant"]["collection"], "handbook", "{config}");
    assert!(config.to_string().contains("provider.key"), "{config}");
    assert_eq!(config["credentials"][0]["fingerprint"], fingerprint(READER));
    let stats = shown(&server, "/admin/stats").await;
    assert_eq!(stats["providers"][0]["calls"], json!([{"outcome": "answered", "calls": 1}]), "{stats}");
    let asked = &stats["questions"];
    assert_eq!(asked["grounded"].as_u64().unwrap() + asked["partial"].as_u64().unwrap(), 1, "{stats}");
    let mut everything = vec![config, stats];
    for path in ["/admin/status", "/admin/cache", "/admin/blocks", "/health/detailed"] {
        everything.push(shown(&server, path).await);
    }
    for answer in &everything {
        for secret in ["a-secret-of-the-provider", READER, WRITER, ADMIN, OPERATOR] {
            assert!(!answer.to_string().contains(secret), "{answer}");
        }
    }
    let description = server.get("/openapi.json").send().await.unwrap().json::<Value>().await.unwrap();
    for path in ["/admin/read-only", "/admin/breakers/{provider}/reset", "/admin/blocks", "/health/detailed"] {
        assert!(description["paths"][path].is_object(), "{path} is not described");
    }
}

/// The part of this name of a detailed health.
fn part<'h>(health: &'h Value, name: &str) -> &'h Value {
    health["parts"].as_array().unwrap().iter().find(|part| part["name"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_see_the_states_of_the_parts_and_those_with_a_key_how_they_are() {
    let (store, home) = (SharedStore::start().await, Home::new());
    let server = replica(&home, &store, "");
    server.await_ready().await;
    let strangers = async |path: &str| server.get(path).send().await.unwrap().json::<Value>().await.unwrap();
    for path in ["/health/detailed", "/health?detailed=true"] {
        let health = strangers(path).await;
        assert_eq!(*part(&health, "vector store"), json!({"name": "vector store", "status": "ok"}), "{health}");
        let health = ask(&server, Method::GET, path, READER, json!(null)).await.text().await.unwrap();
        assert!(!health.contains("127.0.0.1"), "an address is shown: {health}");
        let health: Value = serde_json::from_str(&health).unwrap();
        let store = part(&health, "vector store");
        assert_eq!(store["address"], "loopback", "{store}");
        assert!(store["latency_millis"].is_f64() && store["since"].is_string(), "{store}");
        assert!(part(&health, "embedding model")["address"].is_null(), "it is part of the process");
        let refused = ask(&server, Method::GET, path, "a-key-that-nobody-gave-out", json!(null)).await;
        problem(refused, 401, "unknown-api-key").await;
    }
    assert!(strangers("/health").await["parts"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_locks_out_himself_or_blocks_without_saying_whom_and_why() {
    let (store, home) = (SharedStore::start().await, Home::new());
    let server = replica(&home, &store, "");
    server.await_ready().await;
    for wrong in [
        json!({"client": "admin", "reason": "myself"}),
        json!({"client": "reader", "reason": ""}),
        json!({"client": "reader", "reason": "r".repeat(257)}),
        json!({"client": "reader", "reason": "late", "until": "2020-01-01T00:00:00Z"}),
        json!({"reason": "nobody"}),
        json!({"client": "reader", "subject": "api-key.reader", "reason": "both"}),
    ] {
        problem(ask(&server, Method::POST, "/admin/blocks", ADMIN, wrong).await, 422, "invalid-value").await;
    }
    for wrong in ["", "0123456789AB", "0123456789", &fingerprint(OPERATOR)] {
        problem(deny(&server, wrong).await, 422, "invalid-value").await;
    }
    assert_eq!(shown(&server, "/admin/status").await["fleet"]["revision"], 0);
    let known = decide(&server, Method::POST, "/admin/blocks", json!({"client": "raeder", "reason": "typo"})).await;
    assert_eq!(known["known"], false, "{known}");
}
