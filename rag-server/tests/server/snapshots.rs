//! What was taken comes back: from a folder, into empty stores of the same and of the other kind, whatever was cut short.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};

use crate::{
    process::{FREE_PORTS, Home, Server, eventually},
    shared_store::SharedStore,
};

const DOCUMENTS: [(&str, &str); 3] = [
    ("docs/backup.md", "# Backup\n\nDaily snapshots are kept for 7 days.\n"),
    ("docs/menu.txt", "Soup is served at noon in the canteen of the plant.\n"),
    ("docs/plans.csv", "plan,price\nSmall,7 USD\nLarge,19 USD\n"),
];

/// Runs the program, which must succeed, and gives what it said.
fn says(home: &Home, arguments: &[&str]) -> String {
    let output = home.run(arguments);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Runs the program, which must fail, and gives why.
fn fails(home: &Home, arguments: &[&str]) -> String {
    let output = home.run(arguments);
    assert!(!output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn furnished() -> Home {
    let home = Home::new();
    for (name, text) in DOCUMENTS {
        home.write(name, text);
    }
    says(&home, &["ingest", "docs"]);
    home
}

const ANSWERS: [(&str, &str); 2] = [("How long are daily snapshots kept?", "7 days"), ("When is soup served?", "noon")];

fn answers(home: &Home) {
    for (question, answer) in ANSWERS {
        let said = says(home, &["query", question]);
        assert!(said.contains(answer), "{said}");
    }
}

/// The parts that the manifest of a snapshot names.
fn parts(home: &Home, name: &str) -> Vec<Value> {
    let manifest = fs::read_to_string(home.path(&format!("archive/manifests/{name}.json"))).unwrap();
    let manifest: Value = serde_json::from_str(manifest.lines().next().unwrap()).unwrap();
    manifest["parts"].as_array().unwrap().clone()
}

#[test]
fn what_was_wiped_comes_back_from_a_folder_and_a_second_snapshot_of_it_writes_nothing() {
    let home = furnished();
    let taken = says(&home, &["snapshot", "create", "first", "--archive", "archive"]);
    assert!(taken.starts_with("snapshot first: 3 documents"), "{taken}");
    assert!(says(&home, &["snapshot", "list", "--archive", "archive"]).contains("\nfirst "));
    let refused = fails(&home, &["snapshot", "restore", "--archive", "archive"]);
    assert!(refused.contains("the stores hold 3 documents"), "{refused}");
    fs::remove_dir_all(home.path("data")).unwrap();
    let planned = says(&home, &["snapshot", "restore", "--archive", "archive", "--dry-run"]);
    assert!(planned.starts_with("would restore snapshot first"), "{planned}");
    let restored = says(&home, &["snapshot", "restore", "--archive", "archive"]);
    assert!(restored.contains("epoch 1 is searched now"), "{restored}");
    answers(&home);
    let again = says(&home, &["snapshot", "create", "second", "--archive", "archive"]);
    assert!(again.contains("; 0 B written"), "{again}");
    assert_eq!(parts(&home, "first"), parts(&home, "second"));
    let verified = says(&home, &["snapshot", "verify", "second", "--archive", "archive"]);
    assert!(verified.starts_with("snapshot second is whole: 3 documents"), "{verified}");
}

/// Whoever has only the archive finds there what to name.
#[test]
fn who_names_a_snapshot_that_is_not_there_is_told_which_are() {
    let home = furnished();
    for number in 1..=6 {
        says(&home, &["snapshot", "create", &format!("kept-{number}"), "--archive", "archive"]);
    }
    fs::write(home.path("archive/manifests/kept-6.json"), "nothing that anybody could read").unwrap();
    fs::remove_dir_all(home.path("data")).unwrap();
    for command in ["restore", "verify", "drill"] {
        let arguments = ["snapshot", command, "mine", "--archive", "archive", "--report", "report.json"];
        let said = fails(&home, &arguments);
        let place = said.contains("archive has no snapshot mine; it has 6, the newest: kept-5 of 2");
        assert!(place, "{command}: {said}");
        assert!(said.contains(", kept-1 of 2") && !said.contains("kept-6"), "{command}: {said}");
        let report: Value = serde_json::from_slice(&fs::read(home.path("report.json")).unwrap()).unwrap();
        assert_eq!((&report["outcome"], &report["cause"]), (&json!("failed"), &json!("none")), "{command}");
        assert!(report["message"].as_str().unwrap().contains("kept-5 of 2"), "{report}");
    }
    for number in 1..=6 {
        fs::remove_file(home.path(&format!("archive/manifests/kept-{number}.json"))).unwrap();
    }
    let said = fails(&home, &["snapshot", "verify", "mine", "--archive", "archive"]);
    assert!(said.contains("archive has no snapshot mine, and no other"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_the_embedded_store_restores_into_a_qdrant_and_back() {
    let (home, shared) = (furnished(), SharedStore::start().await);
    says(&home, &["snapshot", "create", "first", "--archive", "archive"]);
    let config = home.write("shared.toml", &shared.config());
    let over = |arguments: &[&str]| {
        let output = home.command(arguments).args_of(&[Path::new("--config"), &config]).without_embedded_store();
        let output = output.command().output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    };
    tokio::task::block_in_place(|| {
        over(&["snapshot", "restore", "--archive", "archive"]);
        over(&["snapshot", "create", "shared", "--archive", "archive"]);
        assert!(over(&["query", ANSWERS[0].0]).contains(ANSWERS[0].1));
        assert_eq!(parts(&home, "first"), parts(&home, "shared"));
        fs::remove_dir_all(home.path("data")).unwrap();
        says(&home, &["snapshot", "restore", "shared", "--archive", "archive"]);
        answers(&home);
        says(&home, &["snapshot", "create", "back", "--archive", "archive"]);
        assert_eq!(parts(&home, "first"), parts(&home, "back"));
    });
}

#[tokio::test]
async fn a_server_waits_while_the_half_of_a_restore_is_there_and_serves_when_all_of_it_is() {
    let home = furnished();
    says(&home, &["snapshot", "create", "first", "--archive", "archive"]);
    fs::remove_dir_all(home.path("data")).unwrap();
    // A damaged part ends it in the midst.
    let part = fs::read_dir(home.path("archive/parts")).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(&part).unwrap();
    fs::write(&part, whole.iter().rev().copied().collect::<Vec<u8>>()).unwrap();
    let refused = fails(&home, &["snapshot", "restore", "--archive", "archive"]);
    assert!(refused.contains("snapshot first is damaged: its part"), "{refused}");
    let mut server = home.serve(FREE_PORTS);
    let waiting = server.await_log("waiting for");
    assert_eq!(waiting["cause"], "restore_not_done", "{waiting}");
    assert!(waiting["error"].as_str().unwrap().contains("run `rag-server snapshot restore first` again"), "{waiting}");
    fs::write(&part, whole).unwrap();
    // It takes the stores for a moment at each look.
    eventually("the restore goes on", async || {
        let output = home.run(&["snapshot", "restore", "--archive", "archive"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() || said.contains("in use by another process"), "{said}");
        output.status.success()
    })
    .await;
    server.await_ready().await;
    let found = ask(&server, ANSWERS[0].0).await;
    assert!(found.contains(ANSWERS[0].1), "{found}");
}

async fn ask(server: &Server, question: &str) -> String {
    let asked = server.post("/query").json(&serde_json::json!({ "query": question })).send().await.unwrap();
    asked.text().await.unwrap()
}

#[test]
fn a_manifest_is_signed_where_a_key_is_named_and_no_word_of_it_is_said() {
    let home = furnished();
    home.write("signing", "a-secret-of-the-archive-0123456789");
    home.write("other", "another-secret-0123456789");
    let signed = ["--set", "snapshots.folder.path=archive", "--set", "snapshots.signing_key_file=signing"];
    let with = |arguments: &[&'static str], set: &[&'static str]| [arguments, set].concat();
    let said = says(&home, &with(&["snapshot", "create", "first"], &signed));
    assert!(says(&home, &with(&["snapshot", "verify"], &signed)).contains("is whole, signed"));
    let other = ["--set", "snapshots.folder.path=archive", "--set", "snapshots.signing_key_file=other"];
    let refused = fails(&home, &with(&["snapshot", "verify"], &other));
    assert!(refused.contains("the signature of snapshot first does not fit"), "{refused}");
    let listed = home.run(&with(&["snapshot", "list"], &other));
    assert!(!listed.status.success());
    let listed = String::from_utf8(listed.stdout).unwrap();
    let words: BTreeSet<&str> = ["a-secret-of-the-archive", "another-secret"].into();
    assert!(words.iter().all(|word| !format!("{said}{refused}{listed}").contains(word)), "{listed}");
    assert!(listed.contains("first") && listed.contains("does not fit"), "{listed}");
}

#[test]
fn commands_that_cannot_be_done_say_what_to_do() {
    let home = furnished();
    let nowhere = fails(&home, &["snapshot", "list"]);
    assert!(nowhere.contains("no archive is named: give --archive DIR"), "{nowhere}");
    let missing = fails(&home, &["snapshot", "list", "--archive", "gone"]);
    assert!(missing.contains("there is no archive at gone"), "{missing}");
    fs::create_dir(home.path("empty")).unwrap();
    assert!(says(&home, &["snapshot", "list", "--archive", "empty"]).contains("has no snapshot yet"));
    assert!(fails(&home, &["snapshot", "verify", "--archive", "empty"]).contains("has no snapshot yet"));
    assert!(fails(&home, &["snapshot", "create", "../up", "--archive", "a"]).contains("a snapshot's name has"));
}
