//! Restores over what is served, and drills beside it, by the real program: nobody who asks notices, nothing is left.

use std::{
    fs,
    path::Path,
    process::{Child, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rag_server::{
    app,
    config::Config,
    ports::{Epoch, Kind},
};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    postgres_server::{self, Postgres},
    process::{Call, FREE_PORTS, Home, Server, eventually, problem},
    shared_store::SharedStore,
};

/// In the snapshot, and later.
const NOON: &str = "Soup is served at noon in the canteen of the plant.";
const ONE: &str = "Soup is served at one in the canteen of the plant.";
const QUESTION: &str = "When is soup served in the canteen?";

/// A cluster's stores, and a home from which commands are run over them.
struct Cluster {
    home: Home,
    store: SharedStore,
    config: String,
}

impl Cluster {
    async fn new() -> Self {
        let store = SharedStore::start().await;
        let config = store.config();
        Self { home: Home::new(), store, config }
    }

    fn call(&self, arguments: &[&str]) -> Call {
        let config = self.home.write("cluster.toml", &self.config);
        self.home.command(arguments).args_of(&[Path::new("--config"), &config]).without_embedded_store()
    }

    /// Runs a command to its end, beside what the double has to do meanwhile.
    fn run(&self, arguments: &[&str]) -> Output {
        tokio::task::block_in_place(|| self.call(arguments).command().output().unwrap())
    }

    /// Runs a command that must succeed, and gives what it said.
    fn says(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said
    }

    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn begins(&self, arguments: &[&str]) -> Child {
        self.call(arguments).command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn report(&self) -> Value {
        serde_json::from_slice(&fs::read(self.home.path("report")).unwrap()).unwrap()
    }

    async fn server(&self, home: &Home) -> Server {
        let config = home.write("config.toml", &format!("{FREE_PORTS}{}", self.config));
        let server = Server::start(&home.command(&["serve", "--config"]).args_of(&[&config]).without_embedded_store());
        server.await_ready().await;
        server
    }

    /// Names of the collections that hold vectors.
    async fn epochs(&self) -> Vec<Epoch> {
        let stores = app::open_stores(&Config::from_toml(self.config.as_bytes(), "test").unwrap()).await.unwrap();
        let epochs = stores.vectors.epochs().await.unwrap();
        stores.close().await.unwrap();
        epochs
    }
}

const RESTORE: [&str; 8] = ["snapshot", "restore", "first", "--archive", "archive", "--replace", "--report", "report"];

/// The document of which the answer is, or what the server said instead.
async fn answer(client: &reqwest::Client, server: &str) -> Result<&'static str, String> {
    let asked = client.post(format!("{server}/query")).json(&json!({ "query": QUESTION })).send().await;
    let asked = asked.map_err(|e| e.to_string())?;
    let status = asked.status();
    let said = asked.text().await.map_err(|e| e.to_string())?;
    match (status, said.contains("at noon"), said.contains("at one")) {
        (StatusCode::OK, true, false) => Ok("noon"),
        (StatusCode::OK, false, true) => Ok("one"),
        _ => Err(format!("{status}: {said}")),
    }
}

/// Asks a server until told to stop; gives the answers, each once for as long as it stayed.
fn asking(server: &Server, stop: &Arc<AtomicBool>) -> tokio::task::JoinHandle<Vec<Result<&'static str, String>>> {
    let (url, stop, client) = (server.public.clone(), Arc::clone(stop), reqwest::Client::new());
    tokio::spawn(async move {
        let mut answers = Vec::new();
        while !stop.load(Ordering::SeqCst) {
            answers.push(answer(&client, &url).await);
            answers.dedup();
        }
        answers
    })
}

async fn write(server: &Server) -> reqwest::Response {
    let body = json!({ "documents": [{ "id": "note.md", "text": "The gate is painted green." }] });
    server.post("/ingest").json(&body).send().await.unwrap()
}

async fn takes_writes(server: &Server) -> bool {
    write(server).await.status() == StatusCode::ACCEPTED
}

async fn answers(server: &Server, expected: &str) -> bool {
    answer(&reqwest::Client::new(), &server.public).await.as_deref() == Ok(expected)
}

/// Two servers over one store, with a snapshot of the soup at noon, and the soup at one.
async fn served() -> (Cluster, [Home; 2], [Server; 2]) {
    let (cluster, homes) = (Cluster::new().await, [Home::new(), Home::new()]);
    let servers = [cluster.server(&homes[0]).await, cluster.server(&homes[1]).await];
    servers[0].ingest("menu.md", NOON, "").await;
    servers[0].ingest("kept.md", "Daily snapshots are kept for 7 days.", "").await;
    cluster.says(&["snapshot", "create", "first", "--archive", "archive"]);
    servers[1].ingest("menu.md", ONE, "").await;
    servers[1].ingest("new.md", "The pump is greased monthly.", "").await;
    (cluster, homes, servers)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_question_fails_while_a_restore_replaces_what_two_servers_serve_and_it_can_be_undone() {
    let (cluster, _homes, servers) = served().await;
    let planned = cluster.says(&[&RESTORE[..], &["--dry-run"]].concat());
    assert!(planned.contains("0 documents come back, 1 become what they were, 1 go, 1 are the same"), "{planned}");
    assert!(planned.contains("is not known"), "{planned}");
    let stop = Arc::new(AtomicBool::new(false));
    let asked = servers.each_ref().map(|server| asking(server, &stop));
    let mut restore = cluster.begins(&RESTORE);
    eventually("writes are refused", async || !takes_writes(&servers[0]).await).await;
    let refused = problem(write(&servers[0]).await, 503, "read-only").await;
    assert!(refused["detail"].as_str().unwrap().contains("a snapshot is being restored"), "{refused}");
    eventually("the restore is done", async || restore.try_wait().unwrap().is_some()).await;
    assert!(restore.wait().unwrap().success());
    for server in &servers {
        eventually("the soup is at noon again", async || answers(server, "noon").await).await;
    }
    eventually("writes are taken again", async || takes_writes(&servers[1]).await).await;
    stop.store(true, Ordering::SeqCst);
    for asked in asked {
        // Each server answers from the old state, and from some moment on from the new one.
        assert_eq!(asked.await.unwrap(), [Ok("one"), Ok("noon")]);
    }
    let report = cluster.report();
    assert_eq!(
        (&report["outcome"], &report["epoch"], &report["previous_epoch"]),
        (&json!("done"), &json!(2), &json!(1))
    );
    // What was accepted before the gate was closed on that server is part of the old state.
    let documents = &report["documents"];
    assert_eq!(
        (&documents["added"], &documents["changed"], &documents["unchanged"]),
        (&json!(0), &json!(1), &json!(1))
    );
    assert_eq!(report["snapshot"]["name"], "first");

    let undone = cluster.says(&["snapshot", "revert"]);
    assert!(undone.starts_with("epoch 1 is searched again"), "{undone}");
    for server in &servers {
        eventually("the soup is at one again", async || answers(server, "one").await).await;
    }
    assert_eq!(cluster.epochs().await, [Epoch(1)]);
    let nothing = cluster.fails(&["snapshot", "confirm"]);
    assert!(nothing.contains("no restore stands that could be confirmed"), "{nothing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_killed_opens_the_gate_and_the_next_one_ends_it() {
    let (cluster, _homes, servers) = served().await;
    let mut restore = cluster.begins(&RESTORE);
    eventually("writes are refused", async || !takes_writes(&servers[0]).await).await;
    restore.kill().unwrap();
    restore.wait().unwrap();
    assert!(answers(&servers[0], "one").await && answers(&servers[1], "one").await);
    let held = cluster.fails(&RESTORE);
    assert!(held.contains("another process restores into these stores just now"), "{held}");
    assert_eq!((&cluster.report()["outcome"], &cluster.report()["cause"]), (&json!("failed"), &json!("held")));
    eventually("its right is over", async || takes_writes(&servers[0]).await).await;
    cluster.says(&RESTORE);
    for server in &servers {
        eventually("the soup is at noon again", async || answers(server, "noon").await).await;
    }
    let confirmed = cluster.says(&["snapshot", "confirm"]);
    assert!(confirmed.contains("epoch 1 and its documents are removed"), "{confirmed}");
    assert_eq!(cluster.epochs().await, [Epoch(2)]);
    assert!(answers(&servers[0], "noon").await && answers(&servers[1], "noon").await);
    // A snapshot of what was restored is one like any other, and a server that starts now finds it.
    cluster.says(&["snapshot", "create", "second", "--archive", "archive"]);
    let home = Home::new();
    assert!(answers(&cluster.server(&home).await, "noon").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_beside_a_server_is_measured_and_leaves_nothing_of_itself_or_of_one_that_was_killed() {
    let (cluster, _homes, servers) = served().await;
    let said = cluster.says(&["snapshot", "drill", "--archive", "archive", "--report", "report"]);
    assert!(said.contains("2 documents with 2 chunks are as the snapshot has them"), "{said}");
    let report = cluster.report();
    assert_eq!((&report["outcome"], &report["recall"]), (&json!("done"), &json!(1.0)));
    assert_eq!((&report["asked"], &report["found"], &report["chunks"]), (&json!(2), &json!(2), &json!(2)));
    assert!(report["rto_seconds"].as_f64().unwrap() > 0.0 && report["rpo_seconds"].as_f64().unwrap() > 0.0, "{report}");
    assert_eq!(cluster.epochs().await, [Epoch(1)]);
    assert!(answers(&servers[0], "one").await);
    // As a drill leaves it that was killed.
    let stores = app::open_stores(&Config::from_toml(cluster.config.as_bytes(), "test").unwrap()).await.unwrap();
    let mut built = stores.records.get(Kind::Corpus, "e1").await.unwrap().unwrap().body;
    (built["owner"], built["owner_id"], built["drill"]) = (json!("a drill"), json!("a drill"), json!(true));
    stores.records.put_if_absent(Kind::Corpus, "e2", built).await.unwrap();
    stores.vectors.create_epoch(Epoch(2), 384).await.unwrap();
    let home = Home::new();
    let _server = cluster.server(&home).await;
    eventually("a server removes it", async || stores.vectors.epochs().await.unwrap() == [Epoch(1)]).await;
    eventually("and its mark", async || stores.records.get(Kind::Corpus, "e2").await.unwrap().is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_wiped_comes_back_with_its_records_in_postgres_and_a_restore_replaces_it_there() {
    if let Some(why) = postgres_server::skipped() {
        eprintln!("skipped, because {why}");
        return;
    }
    let postgres = Postgres::start();
    let (before, after) = (postgres.database().await, postgres.database().await);
    let mut cluster = Cluster::new().await;
    let store = cluster.config.clone();
    let records = |dir: &str| format!("[records.postgres]\ndir = {dir:?}\nservers = 4\nreserved_connections = 20\n");
    cluster.config = format!("{store}{}", records(&before.dir().display().to_string()));
    cluster.home.write("docs/menu.md", NOON);
    cluster.home.write("docs/kept.md", "Daily snapshots are kept for 7 days.");
    cluster.says(&["ingest", "docs"]);
    cluster.says(&["snapshot", "create", "first", "--archive", "archive"]);
    // Another store and another database, both empty.
    let wiped = SharedStore::start().await;
    cluster.config = format!("{}{}", wiped.config(), records(&after.dir().display().to_string()));
    cluster.says(&["snapshot", "restore", "--archive", "archive"]);
    assert!(cluster.says(&["query", QUESTION]).contains("noon"));
    cluster.home.write("docs/menu.md", ONE);
    cluster.says(&["ingest", "docs"]);
    assert!(cluster.says(&["query", QUESTION]).contains("at one"));
    cluster.says(&RESTORE);
    assert!(cluster.says(&["query", QUESTION]).contains("noon"));
    cluster.says(&["snapshot", "create", "second", "--archive", "archive"]);
    let parts = |name: &str| {
        let manifest = fs::read_to_string(cluster.home.path(&format!("archive/manifests/{name}.json"))).unwrap();
        serde_json::from_str::<Value>(manifest.lines().next().unwrap()).unwrap()["parts"].clone()
    };
    assert_eq!(parts("first"), parts("second"));
    cluster.says(&["snapshot", "drill", "--archive", "archive"]);
    cluster.store.leave().await;
}

#[test]
fn over_the_embedded_store_a_restore_replaces_and_is_undone_and_a_drill_proves_while_the_server_is_stopped() {
    let home = Home::new();
    let says = |arguments: &[&str]| {
        let output = home.run(arguments);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said
    };
    home.write("docs/menu.md", NOON);
    says(&["ingest", "docs"]);
    says(&["snapshot", "create", "first", "--archive", "archive"]);
    home.write("docs/menu.md", ONE);
    says(&["ingest", "docs"]);
    says(&["snapshot", "drill", "first", "--archive", "archive"]);
    assert!(says(&["query", QUESTION]).contains("at one"));
    says(&RESTORE);
    assert!(says(&["query", QUESTION]).contains("at noon"));
    home.write("docs/extra.md", "The pump is greased monthly.");
    says(&["ingest", "docs/extra.md"]);
    assert!(says(&["query", "How often is the pump greased?"]).contains("monthly"));
    says(&["snapshot", "revert"]);
    assert!(says(&["query", QUESTION]).contains("at one"));
    says(&RESTORE);
    says(&["snapshot", "confirm"]);
    assert!(says(&["query", QUESTION]).contains("at noon"));
    assert_eq!(fs::read_dir(home.path("data")).unwrap().filter(|entry| is_epoch(entry.as_ref().unwrap())).count(), 1);
    let none =
        home.run(&["snapshot", "restore", "--archive", "archive", "--replace", "--before", "2001-01-01T00:00:00Z"]);
    assert!(!none.status.success());
    let none = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(none.contains("no snapshot of the archive that can be read began before 2001-01-01T00:00:00Z"), "{none}");
}

fn is_epoch(entry: &fs::DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with('e') && entry.path().is_dir()
}

#[test]
fn a_drill_without_room_is_skipped_and_never_passes() {
    let id = std::process::Command::new("id").arg("-u").output().unwrap();
    if id.stdout != b"0\n" {
        eprintln!("skipped: it needs root, to mount a small disk");
        return;
    }
    let home = Home::new();
    for n in 0..60 {
        home.write(&format!("docs/valve-{n}.md"), &format!("Valve {n} of the plant opens at {n} bar."));
    }
    assert!(home.run(&["ingest", "docs"]).status.success());
    assert!(home.run(&["snapshot", "create", "first", "--archive", "archive"]).status.success());
    fs::create_dir(home.path("small")).unwrap();
    // Room for the tables of the drill's records, and not for what is to be in them.
    let small = "mount -t tmpfs -o size=256k none small && exec \"$@\"";
    let drill = home.command(&["snapshot", "drill", "--archive", "archive", "--report", "report"]);
    let drill = drill.variable("TMPDIR", "small").under(&["unshare", "--mount", "sh", "-c", small, "sh"]);
    let output = drill.command().output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("is skipped, because there is no room for it"), "{said}");
    let report: Value = serde_json::from_slice(&fs::read(home.path("report")).unwrap()).unwrap();
    assert_eq!((&report["outcome"], &report["cause"]), (&json!("skipped"), &json!("no_room")));
    assert_eq!(report["recall"], Value::Null);
    assert_eq!(fs::read_dir(home.path("data")).unwrap().filter(|entry| is_epoch(entry.as_ref().unwrap())).count(), 1);
}
