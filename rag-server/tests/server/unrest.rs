//! Servers whose database, cache and provider of vectors are restarted and stand still at random under mixed load: what was acknowledged is there and whole, no question is answered wrongly, and memory stays flat.
//!
//! `RAGOPS_SOAK_SECONDS` makes it longer, `RAGOPS_SOAK_SEED` repeats a schedule. Postgres and Redis are real; without them there is nothing to do.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rag_server::{
    adapters::postgres::{PostgresRecords, PostgresSettings},
    ports::Records,
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    failures::{Component, DIMENSIONS, How},
    postgres_server::{self, Postgres},
    process::{FREE_PORTS, Home, Server, eventually},
    redis_server::RedisServer,
    shared_store::SharedStore,
    soak::{Addresses, Answered, Dice, Look, MOST_BETWEEN, Moments, Writer, check, ended, setting, start},
};

const REPLICAS: u64 = 2;
const WRITERS: u64 = 2;
/// Together with the soak of servers that are killed it takes a minute.
const SECONDS: u64 = 25;
/// Much more than any call takes here.
const DEADLINE: Duration = Duration::from_secs(30);

/// What the servers need, each to fail by itself.
struct Dependencies {
    postgres: Postgres,
    redis: RedisServer,
    embedder: Component,
}

impl Dependencies {
    /// Restarts one after another, or lets it stand still, until it is time to let all of them live.
    async fn disturb(&mut self, dice: &mut Dice, until: Instant, answered: &mut Answered) {
        let (began, mut clock) = (Instant::now(), Moments::new());
        while Instant::now() < until {
            let moments = 1 + dice.below(20);
            let how = if dice.below(2) == 0 { How::Killed } else { How::StandsStill };
            let which = ["Postgres", "Redis", "the embedder"][dice.below(3) as usize];
            println!("{:6.1} s: {which}: {how:?} for {moments} moments", began.elapsed().as_secs_f32());
            match (which, how) {
                ("Postgres", How::Killed) => self.postgres.leave(),
                ("Postgres", How::StandsStill) => self.postgres.stall(),
                ("Redis", How::Killed) => self.redis.kill(),
                ("Redis", How::StandsStill) => self.redis.stall(),
                (_, how) => self.embedder.fail(how),
            }
            clock.pass(moments).await;
            match (which, how) {
                ("Postgres", How::Killed) => self.postgres.come_back(),
                ("Postgres", How::StandsStill) => self.postgres.go_on(),
                ("Redis", How::Killed) => self.redis.come_back().await,
                ("Redis", How::StandsStill) => self.redis.go_on(),
                (_, how) => self.embedder.come_back(how).await,
            }
            answered.more(dice.below(MOST_BETWEEN)).await;
        }
    }
}

/// How many questions were answered, and how many were refused for want of a dependency.
#[derive(Debug, Default)]
struct Asked {
    answered: u64,
    failed: u64,
}

/// Asks what one document answers, which nobody changes: an answer is right, or it is an error that says so.
async fn ask(address: String, until: Instant, told: watch::Sender<u64>) -> Asked {
    let (client, mut asked) = (reqwest::Client::new(), Asked::default());
    while Instant::now() < until {
        // Some that were asked before, and some that are new.
        let number = if asked.answered % 2 == 0 { 0 } else { asked.answered };
        let question = json!({ "query": format!("How long are daily snapshots kept? {number}") });
        let response = client.post(format!("{address}/query")).json(&question).send().await.unwrap();
        let (status, body) = (response.status(), response.text().await.unwrap());
        match status.as_u16() {
            200 => {
                assert!(body.contains("kept for 7 days"), "{body}");
                asked.answered += 1;
                told.send_modify(|answered| *answered += 1);
            }
            502..=504 => {
                let problem: Value = serde_json::from_str(&body).unwrap();
                assert!(problem["type"].is_string(), "{body}");
                asked.failed += 1;
            }
            _ => panic!("{status}: {body}"),
        }
    }
    asked
}

/// The memory of a server that is really there, in bytes.
async fn resident(server: &Server) -> f64 {
    let text = server.manage("/metrics").send().await.unwrap().text().await.unwrap();
    let found = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    found.unwrap().parse().unwrap()
}

async fn greatest(servers: &[Server]) -> f64 {
    let all = futures::future::join_all(servers.iter().map(resident)).await;
    all.into_iter().fold(0.0, f64::max)
}

/// What the servers are configured with.
fn config(dependencies: &Dependencies, store: &SharedStore, database: &Path) -> String {
    [
        FREE_PORTS.to_owned(),
        "[retrieval]\nmode = \"Lexical\"\nmin_score = 0.0\n".to_owned(),
        "[generation.circuit_breaker]\nfailures = 3\nopen_seconds = 1\nsuccesses = 1\n".to_owned(),
        store.config(),
        format!("[records.postgres]\ndir = {database:?}\nservers = {REPLICAS}\n"),
        format!("[cache.redis]\nurl = {:?}\n", dependencies.redis.url()),
        format!("[embedding.openai]\nbase_url = \"{}/v1\"\nmodel = \"double\"\n", dependencies.embedder.url()),
        format!("dimensions = {DIMENSIONS}\n"),
    ]
    .concat()
}

/// The records, looked at beside the servers.
async fn records(database: &Path) -> Arc<dyn Records> {
    let settings = PostgresSettings {
        dir: database.to_owned(),
        host: None,
        port: None,
        database: None,
        tls: false,
        servers: 1,
        reserved: 0,
        deadline: DEADLINE,
    };
    Arc::new(PostgresRecords::open(settings).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_whose_database_cache_and_embedder_fail_at_random_keep_what_they_acknowledged_in_flat_memory() {
    if let Some(why) = postgres_server::skipped().or_else(RedisServer::missing) {
        eprintln!("skipped, because {why}");
        return;
    }
    let seed = setting("RAGOPS_SOAK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let lasts = Duration::from_secs(setting("RAGOPS_SOAK_SECONDS").unwrap_or(SECONDS));
    println!("RAGOPS_SOAK_SEED={seed} RAGOPS_SOAK_SECONDS={}", lasts.as_secs());
    let (store, folder) = (SharedStore::start().await, tempfile::tempdir().unwrap());
    let (postgres, redis) = (Postgres::start(), RedisServer::start().await);
    postgres.database_in(folder.path()).await;
    let mut dependencies = Dependencies { postgres, redis, embedder: Component::start("embedder").await };
    let config = config(&dependencies, &store, folder.path());
    let (homes, mut servers): (Vec<_>, Vec<_>) = ((0..REPLICAS).map(|_| Home::new()).collect(), Vec::new());
    for home in &homes {
        home.write("config.toml", &config);
        servers.push(tokio::task::block_in_place(|| start(home)));
    }
    for server in &servers {
        server.await_ready().await;
    }
    servers[0].ingest("ops/backup.md", "Daily snapshots are kept for 7 days.", "").await;

    let addresses: Addresses = Arc::new(Mutex::new(servers.iter().map(|server| server.public.clone()).collect()));
    let (began, until) = (Instant::now(), Instant::now() + lasts);
    let (mut answered, told) = Answered::new();
    let writer = |name| Writer::new(name, seed, Arc::clone(&addresses), told.clone());
    let writers: Vec<_> = (0..WRITERS).map(|name| tokio::spawn(writer(name).run(until))).collect();
    let asker = |server: &Server| ask(server.public.clone(), until, told.clone());
    let askers: Vec<_> = servers.iter().map(|server| tokio::spawn(asker(server))).collect();
    drop(told);
    let mut dice = Dice(seed);
    dependencies.disturb(&mut dice, began + lasts / 3, &mut answered).await;
    // The rest is more of the same.
    let early = greatest(&servers).await;
    dependencies.disturb(&mut dice, until, &mut answered).await;
    for asker in askers {
        let asked = asker.await.unwrap();
        println!("{asked:?}");
        assert!(asked.answered > 5, "too little was asked to show anything: {asked:?}");
    }
    let (expected, gone) = ended(writers).await;
    assert!(expected.len() > 1 && gone.len() > 10, "too little was done to show anything");

    let look = Look::at(&store).with_records(records(folder.path()).await);
    eventually("nothing is in work or left over", async || look.is_quiet().await).await;
    let backup = servers[1].request(reqwest::Method::DELETE, "/documents/ops/backup.md").send().await.unwrap();
    assert_eq!(backup.status(), 204, "it was acknowledged before all others");
    eventually("it is gone", async || look.is_quiet().await).await;
    check(&look, &servers, &expected, &gone).await;
    let late = greatest(&servers).await;
    println!("memory: {:.0} MiB early, {:.0} MiB late", early / 1048576.0, late / 1048576.0);
    assert!(late < 1.5 * early, "memory grew from {early} to {late} bytes");
}
