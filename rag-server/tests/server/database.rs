//! Servers whose records are in a real Postgres; skipped where Postgres is not installed.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    credentials::keyed,
    postgres_server::{self, Database, MAX_CONNECTIONS, Postgres},
    process::{Home, Server, eventually},
    shared_store::SharedStore,
};

const OPERATOR: &str = "operator-key-0123456789";
const WRITER: &str = "writer-key-0123456789";

fn serve(home: &Home, store: &SharedStore, database: &Database<'_>) -> Server {
    let records = format!("[records.postgres]\ndir = {:?}\nservers = 4\nreserved_connections = 20\n", database.dir());
    home.serve_over_store(&[keyed(home), store.config(), records].concat())
}

/// Sends a document; tells the path of its job if it was accepted.
async fn send(server: &Server, n: usize) -> Option<String> {
    let body = json!({"documents": [{"id": format!("d{n}"), "text": format!("Error code PX-{} means that pump {n} is dry.", 4700 + n)}]});
    let sent = server.post("/ingest").header("x-api-key", WRITER).json(&body).send().await.unwrap();
    match sent.status() {
        StatusCode::ACCEPTED => Some(sent.headers()["location"].to_str().unwrap().to_owned()),
        status => {
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
            None
        }
    }
}

async fn get(server: &Server, path: &str) -> Value {
    server.get(path).header("x-api-key", WRITER).send().await.unwrap().json().await.unwrap()
}

async fn found(server: &Server, question: &str) -> Option<String> {
    let body = json!({"query": question});
    let answer = server.post("/query").header("x-api-key", WRITER).json(&body).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    answer["citations"][0]["document"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_restarted_in_the_middle_loses_nothing_that_was_acknowledged() {
    if let Some(why) = postgres_server::skipped() {
        eprintln!("skipped, because {why}");
        return;
    }
    let (postgres, store, homes) = (Postgres::start(), SharedStore::start().await, [Home::new(), Home::new()]);
    let database = postgres.database().await;
    // Both find a database without tables.
    let servers = homes.each_ref().map(|home| serve(home, &store, &database));
    for server in &servers {
        server.await_ready().await;
    }
    let mut accepted = Vec::new();
    for n in 0..30 {
        match n {
            10 => postgres.leave(),
            12 => postgres.come_back(),
            20 => {
                postgres.leave();
                postgres.come_back();
            }
            _ => {}
        }
        // What was refused while the database was away is not there later; what was accepted is.
        accepted.extend(send(&servers[n % 2], n).await.map(|job| (n, job)));
    }
    assert!(accepted.len() >= 20, "{accepted:?}");
    for (n, job) in &accepted {
        eventually("the job is done", async || {
            let job = get(&servers[(n + 1) % 2], job).await;
            assert_ne!(job["state"], "failed", "{job}");
            job["state"] == "done"
        })
        .await;
    }
    for server in &servers {
        for (n, _) in &accepted {
            let document = get(server, &format!("/documents/d{n}")).await;
            assert_eq!(document["id"], format!("d{n}"), "{document}");
        }
        let (last, _) = accepted.last().unwrap();
        let question = format!("What does error code PX-{} mean?", 4700 + last);
        assert_eq!(found(server, &question).await, Some(format!("d{last}")));
    }
    what_is_said_of_the_connections(&servers[0]).await;
    for mut server in servers {
        server.terminate();
        assert!(server.await_exit().await.success());
        let log = server.seen.join("\n");
        assert!(!log.contains(postgres_server::PASSWORD) && !log.contains("panicked"), "{log}");
    }
    eventually("a server that ended leaves no connection", async || database.sessions("true").await == 0).await;
}

async fn what_is_said_of_the_connections(server: &Server) {
    let status = server.manage("/ops/status").bearer_auth(OPERATOR).send().await.unwrap();
    let said: Value = status.json().await.unwrap();
    let limit = MAX_CONNECTIONS - 3 - 20;
    let database = &said["database"];
    assert_eq!((&database["limit"], &database["servers"], &database["most"]), (&json!(limit), &json!(4), &json!(20)));
    assert!((1..=20).contains(&database["open"].as_u64().unwrap()), "{database}");
    assert!(!said.to_string().contains(postgres_server::PASSWORD), "{said}");
    let metrics = server.manage("/metrics").send().await.unwrap().text().await.unwrap();
    let open = metrics.lines().find_map(|line| line.strip_prefix("rag_db_connections "));
    assert!(open.is_some_and(|open| (1..=20).contains(&open.parse::<u64>().unwrap())), "{open:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_waits_for_a_database_that_is_away_and_says_what_it_waits_for() {
    if let Some(why) = postgres_server::skipped() {
        eprintln!("skipped, because {why}");
        return;
    }
    let (postgres, store, home) = (Postgres::start(), SharedStore::start().await, Home::new());
    let database = postgres.database().await;
    postgres.leave();
    let mut server = serve(&home, &store, &database);
    let waiting = server.await_log("waiting for");
    assert_eq!(waiting["cause"], "unreachable", "{waiting}");
    let ready: Value = server.get("/health/ready").send().await.unwrap().json().await.unwrap();
    assert!(ready.to_string().contains("records"), "{ready}");
    postgres.come_back();
    server.await_ready().await;
}
