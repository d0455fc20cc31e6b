//! A snapshot of the embedded store while its server has it open and answers.

use std::{fs, process::Output};

use serde_json::{Value, json};

use crate::{
    credentials,
    process::{Call, FREE_PORTS, Home, Server},
    shared_store::SharedStore,
};

/// The command, with the configuration that the server runs with.
fn command(home: &Home, name: &str, more: &[&str]) -> Call {
    let config = home.path("config.toml");
    let arguments = [&["snapshot", "create", name, "--archive", "archive", "--report", "report.json"], more].concat();
    home.command(&arguments).args_of(&["--config".as_ref(), &config])
}

/// Runs it to its end.
fn create(home: &Home, name: &str, more: &[&str]) -> Output {
    command(home, name, more).command().output().unwrap()
}

/// What it said, and what it came to.
fn came_to(home: &Home, output: &Output) -> (String, Value) {
    let said = [&output.stdout[..], &output.stderr].concat();
    let report = serde_json::from_slice(&fs::read(home.path("report.json")).unwrap()).unwrap();
    (String::from_utf8_lossy(&said).into_owned(), report)
}

/// The manifest of a snapshot without what no two have alike.
fn manifest(home: &Home, name: &str) -> Value {
    let manifest = fs::read_to_string(home.path(&format!("archive/manifests/{name}.json"))).unwrap();
    let mut manifest: Value = serde_json::from_str(manifest.lines().next().unwrap()).unwrap();
    for own in ["name", "began", "ended"] {
        assert!(manifest.as_object_mut().unwrap().remove(own).is_some(), "{own}");
    }
    manifest
}

/// More documents than a page has, one with more chunks than are asked for at once, and a session.
async fn furnish(server: &Server, key: &str) {
    for number in 0..20 {
        server
            .ingest(&format!("notes/{number}.md"), &format!("Note {number}: the pump is greased monthly."), key)
            .await;
    }
    let long: String =
        (0..100).map(|n| format!("# Chapter {n}\n\n{}\n\n", "Soap keeps the boiler. ".repeat(12))).collect();
    server.ingest("Bücher/long & wide.md", &long, key).await;
    let question = json!({ "query": "How often is the pump greased?", "session": "s-1" });
    let asked = server.post("/query").header("x-api-key", key).json(&question).send().await.unwrap();
    assert_eq!(asked.status(), 200, "{}", asked.text().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_a_running_server_is_that_of_its_stores_and_only_the_operators_key_opens_them() {
    let home = Home::new();
    let mut server = home.serve(&credentials::keyed(&home));
    server.await_ready().await;
    furnish(&server, credentials::WRITER).await;

    let taken = tokio::task::block_in_place(|| create(&home, "lent", &["--verify", "--server", &server.management]));
    let (said, report) = came_to(&home, &taken);
    assert!(taken.status.success(), "{said}");
    assert_eq!((&report["outcome"], &report["verified"]), (&json!("done"), &json!(true)), "{report}");
    assert!(said.contains("snapshot lent: 21 documents"), "{said}");

    home.write("other/operator.current", "not-the-key-of-the-operator");
    let other = ["--set", "auth.credentials_dir=other", "--server", &server.management];
    let public = ["--server", &server.public];
    for (more, cause, says) in
        [(&other[..], "auth_failed", "refused the credential"), (&public[..], "failed", "name its management port")]
    {
        let refused = tokio::task::block_in_place(|| create(&home, "refused", more));
        let (said, report) = came_to(&home, &refused);
        assert_eq!((&report["outcome"], &report["cause"]), (&json!("failed"), &json!(cause)), "{report}");
        assert!(said.contains(says) && !said.contains("operator-key"), "{said}");
    }

    let nowhere = tokio::task::block_in_place(|| {
        command(&home, "nowhere", &["--server", "127.0.0.1:9090"]).command().output().unwrap()
    });
    let said = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert!(!nowhere.status.success() && said.contains("write it with its scheme"), "{said}");

    server.terminate();
    server.await_log("stopped");
    // Who reads everything is seen to, once, and not for each document.
    let told =
        |route: &str| server.seen.iter().filter(|line| line.contains(&format!("\"/ops/snapshot/{route}\""))).count();
    assert_eq!((told("searched"), told("records"), told("chunks")), (1, 0, 0));
    server.await_exit().await;
    let direct = create(&home, "direct", &[]);
    let (said, _) = came_to(&home, &direct);
    assert!(direct.status.success() && said.contains("; 0 B written"), "{said}");
    assert_eq!(manifest(&home, "lent"), manifest(&home, "direct"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_keys_lends_to_its_own_machine_and_one_over_a_shared_store_says_that_nobody_has_to_ask() {
    let home = Home::new();
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    server.ingest("a.md", "Soup is served at noon.", "").await;
    let refused = tokio::task::block_in_place(|| create(&home, "direct", &[]));
    let (said, report) = came_to(&home, &refused);
    assert!(said.contains("in use by another process; stop it, or ask it over HTTP with --server"), "{said}");
    assert_eq!(report["outcome"], "failed", "{report}");
    let taken = tokio::task::block_in_place(|| create(&home, "lent", &["--server", &server.management]));
    assert!(taken.status.success(), "{}", came_to(&home, &taken).0);

    let (shared, home) = (SharedStore::start().await, Home::new());
    let server = home.serve_over_store(&format!("{FREE_PORTS}{}", shared.config()));
    server.await_ready().await;
    let refused = command(&home, "lent", &["--server", &server.management]).without_embedded_store();
    let refused = tokio::task::block_in_place(|| refused.command().output().unwrap());
    let (said, _) = came_to(&home, &refused);
    assert!(!refused.status.success() && said.contains("take the snapshot without --server"), "{said}");
}
