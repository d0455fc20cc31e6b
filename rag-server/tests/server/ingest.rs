//! Documents in, by the command line and over HTTP: each fails alone, nothing that was acknowledged is lost, and the text survives byte for byte.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead as _, BufReader},
    os::unix::fs::{PermissionsExt as _, symlink},
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::StatusCode,
    routing,
};
use serde_json::{Value, json};

use crate::{
    fake_provider::cut_off,
    process::{FREE_PORTS, Home, Server, eventually},
};

/// What a run said of each document: the first word of its line by the document's name.
fn outcomes(output: &Output) -> BTreeMap<String, String> {
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    let lines = said.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let outcome = words.next().filter(|word| !word.starts_with(char::is_numeric))?;
        Some((words.next()?.to_owned(), outcome.to_owned()))
    });
    lines.collect()
}

/// Files that together take longer to embed than it takes to kill a process.
fn many_files(home: &Home) -> usize {
    for number in 0..400 {
        let text =
            format!("# Pump {number}\n\nThe pump number {number} is checked by the person on duty every month.\n");
        home.write(&format!("docs/{:02}/{number}.md", number % 20), &text);
    }
    400
}

#[test]
fn each_broken_file_of_a_folder_fails_alone_by_name_and_reason() {
    let home = Home::new();
    home.write("docs/good.md", "# Good\n\nThis one is fine.\n");
    home.write("docs/empty.txt", "");
    fs::write(home.path("docs/latin.txt"), b"caf\xe9 au lait").unwrap();
    fs::write(home.path("docs/image.md"), b"\x89PNG\r\n\x1a\n\0\0").unwrap();
    let secret = home.write("docs/secret.md", "# Secret\n");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    fs::create_dir(home.path("docs/deep")).unwrap();
    symlink(home.path("docs"), home.path("docs/deep/loop")).unwrap();
    let call = home.command(&["ingest", "docs"]).command();
    let privileged = fs::read(&secret).is_ok();
    let output = if privileged {
        // The superuser reads everything, unless that privilege is given up.
        let mut limited = Command::new("setpriv");
        limited.args(["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]);
        limited.arg(call.get_program()).args(call.get_args()).current_dir(home.dir.path()).env_clear();
        limited.envs(call.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("PATH", "/usr/bin:/bin");
        limited.output().unwrap()
    } else {
        home.run(&["ingest", "docs"])
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let wanted = [
        "created    good.md",
        "failed     empty.txt  empty: there is no text in it",
        "failed     latin.txt  invalid UTF-8 at byte 3; save it as UTF-8",
        "failed     image.md  binary: it begins like a PNG image",
        "failed     secret.md  no permission to read it; change its mode or owner",
        "failed     deep/loop  symlink loop: it leads back to ",
        "6 files: 1 created, 5 failed in ",
    ];
    for line in wanted {
        assert!(said.lines().any(|said| said.starts_with(line)), "no {line:?} in:\n{said}");
    }
}

#[test]
fn a_kill_in_the_middle_of_an_ingest_loses_no_acknowledged_document_and_a_second_run_completes() {
    let home = Home::new();
    let files = many_files(&home);
    let mut child = home.command(&["ingest", "docs"]).command().stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().expect("it acknowledges documents").unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let acknowledged: BTreeSet<_> = std::iter::once(first)
        .chain(lines.map_while(Result::ok))
        .filter_map(|line| Some(line.strip_prefix("created")?.trim().to_owned()))
        .collect();
    assert!(!acknowledged.is_empty() && acknowledged.len() < files, "it was killed in the middle");

    let second = home.run(&["ingest", "docs"]);
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    let outcomes_of_second = outcomes(&second);
    assert_eq!(outcomes_of_second.len(), files);
    for name in &acknowledged {
        assert_eq!(outcomes_of_second[name], "unchanged", "{name} was acknowledged");
    }
    let third = outcomes(&home.run(&["ingest", "docs"]));
    assert!(third.len() == files && third.values().all(|outcome| outcome == "unchanged"), "{third:?}");
}

#[tokio::test]
async fn a_job_survives_the_kill_of_its_server() {
    let home = Home::new();
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    let text = |n: usize| format!("# Pump {n}\n\nThe pump number {n} is checked by the person on duty every month.\n");
    let documents: Vec<_> = (0..400).map(|n| json!({"id": format!("{n}.md"), "text": text(n)})).collect();
    let accepted = server.post("/ingest").json(&json!({ "documents": documents })).send().await.unwrap();
    assert_eq!(accepted.status(), 202);
    let path = accepted.headers()["location"].to_str().unwrap().to_owned();
    eventually("the job is under way", async || job(&server, &path).await["chunks_done"] != 0).await;
    let halfway = job(&server, &path).await;
    drop(server);
    assert_eq!(halfway["state"], "running", "it was killed in the middle");

    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    eventually("the job is done", async || job(&server, &path).await["state"] == "done").await;
    let done = job(&server, &path).await;
    let states: BTreeSet<_> =
        done["documents"].as_array().unwrap().iter().map(|d| d["state"].as_str().unwrap()).collect();
    assert_eq!(states, BTreeSet::from(["done"]));
    let listed: Value = server.get("/documents?limit=1000").send().await.unwrap().json().await.unwrap();
    assert_eq!(listed["documents"].as_array().unwrap().len(), 400);
}

#[tokio::test]
async fn a_killed_server_loses_no_acknowledged_document() {
    let home = Home::new();
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    let word = |n: usize| ["pump", "gate", "crane", "ferry", "kiln"][n];
    for n in 0..5 {
        // It returns when the job is done, and the server has no moment to put anything away.
        server.ingest(&format!("{n}.md"), &format!("The {} is greased on day {n} of a month.", word(n)), "").await;
    }
    drop(server);

    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    for n in 0..5 {
        let question = json!({"query": format!("When is the {} greased?", word(n))});
        let answer: Value = server.post("/query").json(&question).send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["citations"][0]["document"], format!("{n}.md"), "{answer}");
    }
}

async fn job(server: &Server, path: &str) -> Value {
    server.get(path).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn the_command_line_sends_documents_to_a_running_server_and_a_citation_shows_them_byte_for_byte() {
    let home = Home::new();
    let text = "# Aufbewahrung · 保存期間\r\n\r\n| class | kept |\r\n|---|---|\r\n| daily | 7 days |\r\n\r\n\
                Snapshots der Größe „groß“ are kept for\t7 days. 👩‍👩‍👧 e\u{301}\r\n";
    fs::create_dir(home.path("docs")).unwrap();
    fs::write(home.path("docs/keep.md"), text).unwrap();
    home.write("docs/empty.md", "");
    home.write("key", "a-key-of-a-writer-0123456789abcdef\n");
    let credentials = home.path("credentials");
    home.write("credentials/api-key.default.current", "a-key-of-a-writer-0123456789abcdef");
    let config = format!(
        "{FREE_PORTS}[auth]\ncredentials_dir = {credentials:?}\n[[auth.api_keys]]\nname = \"default\"\nrole = \"Writer\"\n"
    );
    let server = home.serve(&config);
    server.await_ready().await;
    let send = |key: &str| home.run(&["ingest", "docs", "--server", &server.public, "--key-file", key]);

    let first = send("key");
    assert_eq!(first.status.code(), Some(1), "one of them is empty: {}", String::from_utf8_lossy(&first.stderr));
    let wanted =
        BTreeMap::from([("empty.md", "failed"), ("keep.md", "created")].map(|(n, o)| (n.to_owned(), o.to_owned())));
    assert_eq!(outcomes(&first), wanted);
    assert_eq!(outcomes(&send("key"))["keep.md"], "unchanged");

    let question = json!({"query": "How long are snapshots kept?"});
    let key = "a-key-of-a-writer-0123456789abcdef";
    let answer = server.post("/query").header("x-api-key", key).json(&question).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["citations"][0]["document"], "keep.md", "{answer}");
    assert_eq!(answer["citations"][0]["text"], text.trim_end());

    home.write("wrong", "another-key-0123456789abcdef012345");
    let refused = send("wrong");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1));
    assert!(said.contains("answered 401") && !said.contains("another-key"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_asked_for_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&asked);
    let ingest = move || {
        let calls = seen.fetch_add(1, Ordering::SeqCst);
        async move {
            let body = match calls {
                0 => Body::from_stream(cut_off(vec![Bytes::from_static(b"{\"job\"")])),
                _ => Body::from(r#"{"job": "j"}"#),
            };
            (StatusCode::ACCEPTED, body)
        }
    };
    let done = json!({
        "state": "done", "chunks_total": 1, "chunks_done": 1, "eta_seconds": null,
        "documents": [{"id": "a.md", "state": "done", "outcome": "created"}],
    });
    let router = Router::new()
        .route("/ingest", routing::post(ingest))
        .route("/jobs/j", routing::get(move || std::future::ready(axum::Json(done.clone()))));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let home = Home::new();
    home.write("docs/a.md", "# Pumps\n");
    let output = tokio::task::spawn_blocking(move || home.run(&["ingest", "docs", "--server", &url])).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(outcomes(&output)["a.md"], "created");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[test]
fn a_call_that_makes_no_sense_ends_with_2_and_a_missing_path_with_1() {
    let home = Home::new();
    assert_eq!(home.run(&["ingest"]).status.code(), Some(2));
    assert_eq!(home.run(&["ingest", ".", "--key-file", "x"]).status.code(), Some(2));
    let missing = home.run(&["ingest", "nowhere.md"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stdout).contains("failed     nowhere.md  no such file or folder"));
    fs::create_dir(home.path("empty")).unwrap();
    let nothing = home.run(&["ingest", "empty", "--server", "http://127.0.0.1:1"]);
    assert_eq!(nothing.status.code(), Some(0), "there is nothing to send");
    home.write("docs/a.md", "text");
    let away = home.run(&["ingest", "docs", "--server", "http://127.0.0.1:1"]);
    assert_eq!(away.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&away.stderr).contains("http://127.0.0.1:1/ cannot be reached"));
}

#[test]
fn ctrl_c_ends_a_run_cleanly_and_what_it_reported_stands() {
    let home = Home::new();
    let files = many_files(&home);
    let mut child = home.command(&["ingest", "docs"]).command().stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().expect("it acknowledges documents").unwrap();
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let rest: Vec<_> = std::iter::once(first).chain(lines.map_while(Result::ok)).collect();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(rest.iter().any(|line| line.ends_with("run it again for the rest")), "{rest:#?}");
    let created = rest.iter().filter(|line| line.starts_with("created")).count();
    assert!(created < files, "it was stopped in the middle");
    let second = outcomes(&home.run(&["ingest", "docs"]));
    assert_eq!(second.values().filter(|outcome| *outcome == "unchanged").count(), created);
    assert_eq!(second.len(), files);
}
