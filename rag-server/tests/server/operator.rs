//! What the operator asks: `/ops/status` needs its credential and tells the exact bytes that were accepted.

use reqwest::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    credentials::keyed,
    process::{Home, Server, eventually, problem},
    shared_store::SharedStore,
};

const OPERATOR: &str = "operator-key-0123456789";

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

async fn status(server: &Server) -> Value {
    server.manage("/ops/status").bearer_auth(OPERATOR).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn the_status_needs_the_operators_credential() {
    let home = Home::new();
    let server = home.serve(&keyed(&home));
    problem(server.manage("/ops/status").send().await.unwrap(), 401, "missing-api-key").await;
    for key in ["writer-key-0123456789", "operator-key-012345678"] {
        let refused = server.manage("/ops/status").bearer_auth(key).send().await.unwrap();
        problem(refused, 401, "unknown-api-key").await;
    }
    assert_eq!(server.manage("/ops/status").bearer_auth(OPERATOR).send().await.unwrap().status(), StatusCode::OK);
    // It is no route of the public port.
    problem(server.get("/ops/status").bearer_auth(OPERATOR).send().await.unwrap(), 404, "no-such-route").await;
    problem(server.get("/metrics").send().await.unwrap(), 404, "no-such-route").await;
}

/// Takes what no two servers have in common, once it was looked at.
fn take_what_differs(status: &mut Value) {
    assert_eq!(status.as_object_mut().unwrap().remove("slow_queries"), Some(json!([])), "nobody asked a question");
    let mut taken = |field: &str| status[field].take();
    let (boot, started, in_flight) = (taken("boot_id"), taken("started_at"), taken("in_flight"));
    assert!(in_flight.as_u64().unwrap() <= 1, "nobody asks but this test: {in_flight}");
    assert!(boot.as_str().unwrap().parse::<uuid::Uuid>().is_ok(), "{boot}");
    assert!(started.as_str().unwrap().parse::<jiff::Timestamp>().unwrap() <= jiff::Timestamp::now(), "{started}");
    let time = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let now = jiff::Timestamp::now();
    for at in [taken("counted_at"), taken("chunks_counted_at")] {
        assert!((time(&started)..=now).contains(&time(&at)), "{at}");
    }
    let (counters, memory) = (taken("counters"), taken("memory"));
    let mut fleet = status.as_object_mut().unwrap().remove("fleet").unwrap();
    let seen = fleet["seen_at"].take();
    assert!((time(&started)..=now).contains(&time(&seen)), "{seen}");
    let nothing =
        json!({"revision": 0, "seen_at": null, "problem": null, "read_only": false, "blocks": 0, "denied": []});
    assert_eq!(fleet, nothing, "nobody decided anything");
    let classes = counters["requests"].as_array().unwrap();
    let management = classes.iter().find(|class| class["class"] == "management").unwrap();
    assert!(management["requests"].as_u64().unwrap() > 0 && management["errors"] == 0, "{counters}");
    let questions = json!({"grounded": 0, "partial": 0, "refused": 0, "failed": 0, "abandoned": 0});
    assert_eq!((&counters["questions"], &counters["cost"]), (&questions, &json!([])));
    let bytes = |name: &str| memory[name].as_u64().unwrap();
    assert!(bytes("peak_resident_bytes") >= bytes("resident_bytes") && bytes("resident_bytes") > 1 << 20, "{memory}");
    let (uses, last) = (status["credentials"][2]["uses"].take(), status["credentials"][2]["last_used_at"].take());
    assert!(uses.as_u64().unwrap() > 0 && (time(&started)..=now).contains(&time(&last)), "the operator itself asked");
    status["credentials"][2]["uses"] = json!(1);
}

/// Waits until everything was counted once.
async fn counted(server: &Server) {
    eventually("everything was counted once", async || {
        let status = status(server).await;
        !status["counted_at"].is_null() && !status["chunks_counted_at"].is_null()
    })
    .await;
}

#[tokio::test]
async fn the_status_tells_the_hash_of_the_exact_bytes_and_the_accepted_credentials() {
    let home = Home::new();
    let live = home.write("live.toml", "read_only = true # for the move\n");
    let config = format!("# a comment counts, too\n{}[live]\nfile = {live:?}\n", keyed(&home));
    let server = home.serve(&config);
    server.await_ready().await;
    counted(&server).await;
    let mut status = status(&server).await;
    let accepted = |name: &str, key: &str, uses: u64| {
        let fingerprint = &sha256(key)[..12];
        json!({"name": name, "generation": "current", "fingerprint": fingerprint, "uses": uses, "last_used_at": null})
    };
    take_what_differs(&mut status);
    for part in status["parts"].as_array_mut().unwrap() {
        part["since"].take();
    }
    let part = |name: &str| json!({"name": name, "reachable": true, "since": null, "cause": null});
    assert_eq!(
        status,
        json!({
            "status_version": 2,
            "version": env!("CARGO_PKG_VERSION"),
            "config_sha256": sha256(&config),
            "live_sha256": sha256("read_only = true # for the move\n"),
            "ready": true,
            "waiting_for": [],
            "read_only": true,
            "documents": 0,
            "credentials": [
                accepted("api-key.reader", "reader-key-0123456789", 0),
                accepted("api-key.writer", "writer-key-0123456789", 0),
                accepted("operator", OPERATOR, 1),
            ],
            "moving": null,
            "boot_id": null, "started_at": null,
            "parts": [
                part("live settings"),
                {"name": "embedding model", "reachable": null, "since": null, "cause": null},
                part("vector store"),
                part("records"),
                part("fleet state"),
                part("jobs"),
            ],
            "breakers": [],
            "in_flight": null,
            "queue": 0,
            "jobs": "working",
            "epoch": 1,
            "corpus_version": 0,
            "cache": {"entries": 0, "bytes": 0},
            "counted_at": null,
            "chunks": 0,
            "chunks_counted_at": null,
            "counters": null,
            "memory": null,
            "database": null,
            "certificates": [],
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_goes_away_after_the_start_is_seen_and_so_is_its_return() {
    let (home, mut store) = (Home::new(), SharedStore::start().await);
    let server = home.serve_over_store(&[keyed(&home), store.config()].concat());
    server.await_ready().await;
    let seen = async |reachable: bool| {
        let status = status(&server).await;
        assert_eq!(status["ready"], true, "{status}");
        let parts = status["parts"].as_array().unwrap().iter();
        let stores = parts.filter(|part| part["name"] == "vector store" || part["name"] == "records");
        stores.filter(|part| part["reachable"] == reachable && part["cause"].is_null() == reachable).count() == 2
    };
    eventually("both stores are there", async || seen(true).await).await;
    store.leave().await;
    eventually("both stores are away", async || seen(false).await).await;
    let health = server.get("/health?detailed=true").header("x-api-key", "reader-key-0123456789");
    let health = health.send().await.unwrap().text().await.unwrap();
    assert!(!health.contains("127.0.0.1"), "an address is shown to a reader: {health}");
    let health: Value = serde_json::from_str(&health).unwrap();
    assert_eq!(health["status"], "serving");
    let is_away = |part: &Value| part["name"] == "vector store" && part["status"] != "ok";
    assert!(health["parts"].as_array().unwrap().iter().any(is_away), "{health}");
    store.come_back().await;
    eventually("both stores are there again", async || seen(true).await).await;
}

#[tokio::test]
async fn metrics_need_no_credential_and_have_a_closed_set_of_labels() {
    let home = Home::new();
    let server = home.serve(&keyed(&home));
    server.await_ready().await;
    let key = "writer-key-0123456789";
    server.ingest("a/b.txt", "Snapshots are kept for seven days.", key).await;
    for path in ["/documents/a/b.txt", "/documents/x%2Fy", "/nowhere/1", "/nowhere/2"] {
        server.get(path).header("x-api-key", key).send().await.unwrap();
    }
    let metrics = server.manage("/metrics").send().await.unwrap().text().await.unwrap();
    for line in [
        r#"http_requests_total{route="/documents/{id}",status="200"} 1"#,
        r#"http_requests_total{route="/documents/{id}",status="404"} 1"#,
        r#"http_requests_total{route="unmatched",status="404"} 2"#,
        r#"rag_ingest_documents_total{outcome="created"} 1"#,
        r#"rag_query_outcome_total{outcome="grounded"} 0"#,
        r#"rag_credential_uses_total{credential="operator",generation="previous"} 0"#,
        "rag_ready 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is missing:\n{metrics}");
    }
    assert!(!metrics.contains("nowhere") && !metrics.contains("b.txt"), "{metrics}");
}
