//! What whoever is on call sees of a running server: slow questions, and a log whose level is changed while it runs.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{
    credentials::keyed,
    process::{Call, FREE_PORTS, Home, Server, eventually},
};

const OPERATOR: &str = "operator-key-0123456789";
const READER: &str = "reader-key-0123456789";
const WRITER: &str = "writer-key-0123456789";

async fn status(server: &Server) -> Value {
    server.manage("/ops/status").bearer_auth(OPERATOR).send().await.unwrap().json().await.unwrap()
}

async fn metric(server: &Server, name: &str) -> Option<String> {
    let metrics = server.manage("/metrics").send().await.unwrap().text().await.unwrap();
    metrics.lines().find_map(|line| line.strip_prefix(name).map(|value| value.trim().to_owned()))
}

#[tokio::test]
async fn a_slow_question_is_logged_counted_and_listed_with_the_times_of_its_stages_and_without_its_text() {
    let home = Home::new();
    let listen = FREE_PORTS.replace("[server]\n", "[server]\nslow_query_seconds = 0\n");
    let mut server = home.serve(&keyed(&home).replace(FREE_PORTS, &listen));
    server.await_ready().await;
    server.ingest("plan.md", "# Zanzibars\n\nDaily zanzibars are kept for 7 days.\n", WRITER).await;
    for id in ["first", "again"] {
        let question = json!({"query": "How long are daily zanzibars kept?"});
        let ask = server.post("/query").header("x-api-key", READER).header("x-request-id", id).json(&question);
        assert!(ask.send().await.unwrap().status().is_success());
        let told = server.await_log("a question was slow");
        assert_eq!((&told["request_id"], &told["outcome"]), (&json!(id), &json!("grounded")), "{told}");
    }
    let listed = status(&server).await;
    let stages = |place: usize| -> Vec<_> {
        let stages = listed["slow_queries"][place]["stages"].as_array().unwrap().iter();
        stages.map(|stage| stage["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (&listed["slow_queries"][0]["request_id"], stages(1)),
        (&json!("again"), ["embed", "search", "rest"].map(str::to_owned).into())
    );
    // The second one was not searched for, and the times of the first are not taken for its own.
    assert_eq!(stages(0), ["rest"]);
    assert_eq!(metric(&server, "rag_slow_queries_total{outcome=\"grounded\"}").await.as_deref(), Some("2"));
    assert!(!listed.to_string().contains("zanzibar"), "{listed}");
    let last = 30;
    for number in 0..last {
        let question = json!({"query": "How long are daily zanzibars kept?"});
        let ask = server.post("/query").header("x-api-key", READER).header("x-request-id", format!("q{number}"));
        ask.json(&question).send().await.unwrap().bytes().await.unwrap();
    }
    eventually("the last one is listed", async || status(&server).await["slow_queries"][0]["request_id"] == "q29")
        .await;
    assert_eq!(status(&server).await["slow_queries"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn errors_are_counted_and_logged_by_a_cause_of_a_closed_set() {
    let home = Home::new();
    let mut server = home.serve(&keyed(&home));
    server.await_ready().await;
    server.get("/documents").send().await.unwrap();
    server.get("/nowhere").send().await.unwrap();
    let mut told = server.await_log("request");
    while told["route"] != "/documents" {
        told = server.await_log("request");
    }
    assert_eq!((&told["cause"], &told["status"]), (&json!("missing-api-key"), &json!(401)), "{told}");
    for (cause, times) in [("missing-api-key", "1"), ("no-such-route", "1"), ("store-unreachable", "0")] {
        let counted = metric(&server, &format!("rag_errors_total{{cause=\"{cause}\"}}")).await;
        assert_eq!(counted.as_deref(), Some(times), "{cause}");
    }
}

#[tokio::test]
async fn every_field_of_a_requests_line_is_on_the_page_for_whoever_is_on_call() {
    let home = Home::new();
    let mut server = home.serve(FREE_PORTS);
    server.await_ready().await;
    server.get("/nowhere").send().await.unwrap();
    let line = server.await_log("request");
    let fields: BTreeSet<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    let page = include_str!("../../../docs/operations.md");
    let table = page.lines().skip_while(|line| *line != "## The log").skip(1).take_while(|line| !line.starts_with('#'));
    let documented: BTreeSet<_> = table.filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(fields, documented, "{line}");
}

/// A server with a live file.
fn with_live_file(home: &Home, live: &str) -> Call {
    let live = home.write("live.toml", live);
    let config = home.write("config.toml", &format!("{FREE_PORTS}[live]\nfile = {live:?}\n"));
    home.command(&["serve", "--config"]).args_of(&[&config])
}

/// The next line about this probe, which is told at the level `debug` alone.
async fn probe_is_told(server: &mut Server) {
    server.get("/health/live").send().await.unwrap();
    while server.await_log("request")["route"] != "/health/live" {}
}

#[tokio::test]
async fn the_level_of_the_log_is_changed_while_the_server_runs_and_nonsense_changes_nothing() {
    let home = Home::new();
    let mut server = Server::start(&with_live_file(&home, ""));
    server.await_ready().await;
    home.swap("live.toml", "log = \"rag_server=debug,warn\"\n");
    assert_eq!(server.await_log("the log tells this from now on")["log"], "rag_server=debug,warn");
    probe_is_told(&mut server).await;
    for nonsense in ["log = \"inof\"\n", "log = 7\n"] {
        home.swap("live.toml", nonsense);
        let refused = server.await_log("live settings stay as they were");
        assert!(refused["message"].as_str().unwrap().contains("log"), "{refused}");
        probe_is_told(&mut server).await;
    }
    home.swap("live.toml", "log = \"off\"\n");
    server.await_log("live settings accepted");
    // Had it not been switched off, it would have told so; this is the next thing that it tells.
    home.swap("live.toml", "");
    assert_eq!(server.await_log("the log tells this from now on")["log"], "info");
}

#[tokio::test]
async fn the_environment_wins_over_the_live_level_and_that_is_said() {
    let home = Home::new();
    let call = with_live_file(&home, "log = \"debug\"\n").variable("RAG_LOG", "info");
    let mut server = Server::start(&call);
    let said = "the live setting log is not applied: RAG_LOG of the environment wins";
    // It may be said before the server listens.
    if !server.seen.iter().any(|line| line.contains(said)) {
        server.await_log(said);
    }
    server.await_ready().await;
    server.get("/health/live").send().await.unwrap();
    server.get("/nowhere").send().await.unwrap();
    while server.await_log("request")["route"] != "unmatched" {}
    assert!(server.seen.iter().all(|line| !line.contains("/health/live")), "{:?}", server.seen);
}
