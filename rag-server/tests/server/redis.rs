//! A Redis that replicas share: what one computed the other finds, nothing stale comes from it, and nobody notices when it goes.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use serde_json::{Value, json};

use crate::{
    certificates,
    process::{FREE_PORTS, Home, Server, eventually},
    redis_server::RedisServer,
    shared_store::SharedStore,
};

const QUESTION: &str = "How long are daily snapshots kept?";

fn plan(days: u32) -> String {
    format!("# Backup\n\nDaily snapshots are kept for {days} days.\n")
}

/// The part of a configuration that names it. What is slow on a busy machine is none of these tests' matter.
fn config(redis: &RedisServer) -> String {
    format!("[cache.redis]\nurl = {:?}\nbudget_millis = 1000\n", redis.url())
}

fn is_skipped() -> bool {
    let missing = RedisServer::missing();
    if let Some(why) = &missing {
        eprintln!("skipped, because {why}");
    }
    missing.is_some()
}

async fn ask(server: &Server, question: &str) -> Value {
    let response = server.post("/query").json(&json!({"query": question})).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

async fn metric(server: &Server, name: &str) -> u64 {
    let text = server.manage("/metrics").send().await.unwrap().text().await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name}:\n{text}")).parse().unwrap()
}

async fn outcomes(server: &Server, command: &str, outcome: &str) -> u64 {
    metric(server, &format!("rag_redis_requests_total{{command={command:?},outcome={outcome:?}}}")).await
}

/// Asks what nobody else asks, until Redis answers.
async fn await_connection(server: &Server) {
    let mut number = 0;
    eventually("it has its connection", async || {
        number += 1;
        ask(server, &format!("Is number {number} of {} known?", server.public)).await;
        outcomes(server, "get", "absent").await > 0
    })
    .await;
}

/// What the detailed health says of the cache.
async fn cache_status(server: &Server) -> String {
    let health: Value = server.get("/health?detailed=true").send().await.unwrap().json().await.unwrap();
    let parts = health["parts"].as_array().unwrap();
    let cache = parts.iter().find(|part| part["name"] == "cache").unwrap_or_else(|| panic!("{health}"));
    cache["status"].as_str().unwrap().to_owned()
}

async fn entries(redis: &RedisServer, kind: &str) -> usize {
    redis.names().await.iter().filter(|name| name.contains(&format!(":{kind}:"))).count()
}

/// Two replicas over one store and one Redis, both connected.
async fn replicas(store: &SharedStore, redis: &RedisServer) -> ([Home; 2], [Server; 2]) {
    let config = format!("{FREE_PORTS}{}{}", store.config(), config(redis));
    let homes = [Home::new(), Home::new()];
    let servers = homes.each_ref().map(|home| home.serve_over_store(&config));
    for server in &servers {
        server.await_ready().await;
        await_connection(server).await;
    }
    (homes, servers)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_one_replica_is_given_by_the_other_until_a_document_changes_through_either() {
    if is_skipped() {
        return;
    }
    let (store, redis) = (SharedStore::start().await, RedisServer::start().await);
    let (_homes, servers) = replicas(&store, &redis).await;
    for round in 0..4_usize {
        let (writer, other) = (&servers[round % 2], &servers[(round + 1) % 2]);
        let days = 7 + u32::try_from(round).unwrap();
        writer.ingest("plan.md", &plan(days), "").await;
        let before = (entries(&redis, "retrieval").await, entries(&redis, "response").await);
        let first = ask(writer, QUESTION).await;
        assert!(first["answer"].as_str().unwrap().contains(&format!("for {days} days")), "round {round}: {first}");
        eventually("it is in Redis", async || {
            entries(&redis, "retrieval").await > before.0 && entries(&redis, "response").await > before.1
        })
        .await;
        let found = outcomes(other, "get", "found").await;
        let shared = ask(other, QUESTION).await;
        assert!(outcomes(other, "get", "found").await >= found + 2, "it was searched and written again");
        for member in ["status", "answer", "citations", "searched"] {
            assert_eq!(shared[member], first[member]);
        }
    }
    let deleted = servers[0].request(reqwest::Method::DELETE, "/documents/plan.md").send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    for server in &servers {
        assert_eq!(ask(server, QUESTION).await["status"], "refused");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_count_of_changes_begins_anew_takes_nothing_of_its_last_run_from_redis() {
    if is_skipped() {
        return;
    }
    let (redis, home) = (RedisServer::start().await, Home::new());
    let config = format!("{FREE_PORTS}{}", config(&redis));
    for days in [7, 9] {
        let mut server = home.serve(&config);
        server.await_ready().await;
        await_connection(&server).await;
        // One change in each run: by its number alone, the second run stands where the first one stood.
        server.ingest("plan.md", &plan(days), "").await;
        let before = entries(&redis, "retrieval").await;
        let answer = ask(&server, QUESTION).await.to_string();
        assert!(answer.contains(&format!("for {days} days")), "{answer}");
        eventually("it is in Redis", async || entries(&redis, "retrieval").await > before).await;
        server.terminate();
        server.await_exit().await;
    }
}

/// Asks until it is told to stop, and counts; each question must be answered.
async fn asks_on(address: String, stop: Arc<AtomicBool>, asked: Arc<AtomicU64>) {
    let client = reqwest::Client::new();
    let mut number = 0;
    while !stop.load(Ordering::SeqCst) {
        number += 1;
        // Some that were asked before, and some that are new.
        let question = format!("{QUESTION} {}", if number % 2 == 0 { 0 } else { number });
        let request = client.post(format!("{address}/query")).json(&json!({"query": question}));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let answer: Value = response.json().await.unwrap();
        assert!(answer["answer"].as_str().unwrap().contains("for 7 days"), "{answer}");
        asked.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_is_killed_stalled_and_back_under_load_costs_no_question() {
    if is_skipped() {
        return;
    }
    let (store, mut redis) = (SharedStore::start().await, RedisServer::start().await);
    let (_homes, mut servers) = replicas(&store, &redis).await;
    servers[0].ingest("plan.md", &plan(7), "").await;
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let load = (0..4_usize)
        .map(|asker| tokio::spawn(asks_on(servers[asker % 2].public.clone(), Arc::clone(&stop), Arc::clone(&asked))));
    let load: Vec<_> = load.collect();
    let some_more = async || {
        let before = asked.load(Ordering::SeqCst);
        eventually("questions are answered", async || asked.load(Ordering::SeqCst) >= before + 50).await;
    };
    let await_status = async |server: &Server, status: &str| {
        eventually(status, async || cache_status(server).await == status).await;
    };
    some_more().await;
    redis.kill();
    for server in &servers {
        await_status(server, "unreachable").await;
    }
    some_more().await;
    redis.come_back().await;
    for server in &servers {
        await_status(server, "ok").await;
    }
    redis.stall();
    for server in &servers {
        await_status(server, "timeout").await;
    }
    some_more().await;
    redis.go_on();
    for server in &servers {
        await_status(server, "ok").await;
    }
    some_more().await;
    stop.store(true, Ordering::SeqCst);
    for asker in load {
        asker.await.unwrap();
    }
    for server in &mut servers {
        for _ in 0..2 {
            server.await_log("answers again");
        }
        let said = |cause: &str| {
            let of_cause = |line: &&String| line.contains("the cache in Redis cannot be used") && line.contains(cause);
            server.seen.iter().filter(of_cause).count()
        };
        assert_eq!((said("\"cause\":\"unreachable\""), said("\"cause\":\"timeout\"")), (1, 1), "{:?}", server.seen);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_redis_refuses_is_said_and_not_shown_and_the_next_one_needs_no_restart() {
    if is_skipped() {
        return;
    }
    let redis = RedisServer::start_with(&["--requirepass", "right-password-4711"]).await;
    let home = Home::new();
    let password = home.write("password", "wrong-password-4711\n");
    let config = format!("{FREE_PORTS}{}password_file = {password:?}\n", config(&redis));
    let mut server = home.serve(&config);
    server.await_ready().await;
    server.ingest("plan.md", &plan(7), "").await;
    eventually("it is refused", async || {
        ask(&server, QUESTION).await;
        cache_status(&server).await == "auth_failed"
    })
    .await;
    let said = server.await_log("the cache in Redis cannot be used");
    assert!(said["message"].as_str().unwrap().contains("cache.redis.password_file"), "{said}");
    home.swap("password", "right-password-4711\n");
    eventually("it is taken", async || {
        assert_eq!(ask(&server, QUESTION).await["status"], "grounded");
        ask(&server, &format!("Is {} known?", outcomes(&server, "get", "left_alone").await)).await;
        cache_status(&server).await == "ok"
    })
    .await;
    server.await_log("answers again");
    assert!(!server.seen.iter().any(|line| line.contains("-password-4711")), "{:?}", server.seen);
    let breaker = metric(&server, "rag_circuit_breaker_state{provider=\"redis_cache\"}").await;
    assert_eq!(breaker, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_whose_certificate_is_not_trusted_is_said_once_and_costs_no_question_and_is_used_once_it_is() {
    if is_skipped() {
        return;
    }
    let (home, folder) = (Home::new(), tempfile::tempdir().unwrap());
    for authority in ["ca", "foreign"] {
        certificates::authority(folder.path(), authority, certificates::DAYS);
    }
    certificates::signed(folder.path(), "ca", "localhost", certificates::DAYS);
    let redis = RedisServer::start_tls(folder.path()).await;
    let certificate = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let ca_file = home.write("trusted.crt", &certificate("foreign.crt"));
    let url = redis.tls_url("localhost");
    let config = format!("{FREE_PORTS}[cache.redis]\nurl = {url:?}\nca_file = {ca_file:?}\nbudget_millis = 1000\n");
    let mut server = home.serve(&config);
    server.await_ready().await;
    server.ingest("plan.md", &plan(7), "").await;
    let mut number = 0;
    let mut ask_until = async |status: &str| {
        eventually(status, async || {
            number += 1;
            let answer = ask(&server, &format!("{QUESTION} {number}")).await;
            assert!(answer["answer"].as_str().unwrap().contains("for 7 days"), "{answer}");
            cache_status(&server).await == status
        })
        .await;
    };
    ask_until("tls").await;
    let mut again = 0;
    eventually("it was tried again and again, and left alone", async || {
        again += 1;
        ask(&server, &format!("{QUESTION} Again, {again}?")).await;
        let opened = "rag_circuit_breaker_transitions_total{provider=\"redis_cache\",to=\"open\"}";
        server.manage("/metrics").send().await.unwrap().text().await.unwrap().contains(opened)
    })
    .await;
    home.swap("trusted.crt", &certificate("ca.crt"));
    ask_until("ok").await;
    server.await_log("answers again");
    let said = |line: &&String| line.contains("the cache in Redis cannot be used");
    let said: Vec<_> = server.seen.iter().filter(said).collect();
    assert!(
        said.len() == 1 && said[0].contains("invalid peer certificate") && said[0].contains("cache.redis.ca_file"),
        "{said:?}"
    );
}
