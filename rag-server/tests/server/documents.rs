//! Documents as files, under keys and below prefixes: what clients send, and what folders lose.

use std::{
    fs,
    path::Path,
    process::Output,
    time::{Duration, Instant},
};

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::{
    hostile::pdf,
    process::{FREE_PORTS, Home, Server, eventually, problem},
};

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../rag-core/tests/fixtures").join(name)).unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The form that `curl -F` sends: text fields, then files by name.
async fn form(server: &Server, fields: &[(&str, &str)], files: &[(&str, &[u8])]) -> Response {
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend_from_slice(
            format!("--limit\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").as_bytes(),
        );
    }
    for (name, bytes) in files {
        let head = format!(
            "--limit\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--limit--\r\n");
    server
        .post("/ingest")
        .header("content-type", "multipart/form-data; boundary=limit")
        .body(body)
        .send()
        .await
        .unwrap()
}

/// The job of an answer, when it has ended.
pub(crate) async fn ended(server: &Server, accepted: Response) -> Value {
    assert_eq!(accepted.status(), 202);
    let path = accepted.headers()["location"].to_str().unwrap().to_owned();
    let mut job = Value::Null;
    eventually("the job has ended", async || {
        job = server.get(&path).send().await.unwrap().json().await.unwrap();
        job["finished_at"] != Value::Null
    })
    .await;
    job
}

async fn documents(server: &Server, query: &str) -> Vec<String> {
    let page: Value = server.get(&format!("/documents?limit=1000{query}")).send().await.unwrap().json().await.unwrap();
    page["documents"].as_array().unwrap().iter().map(|document| document["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_charset_of_a_content_type_decides_how_bytes_are_read_and_it_is_said() {
    let home = Home::new();
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    let (windows, wanted) = (b"\xca\xeb\xfe\xf7\xe8 \xf3 \xe2\xe0\xf5\xf2\xb8\xf0\xe0.".to_vec(), "Ключи у вахтёра.");
    let put =
        server.request(Method::PUT, "/documents/keys.txt").header("content-type", "text/plain; charset=windows-1251");
    let job = ended(&server, put.body(windows).send().await.unwrap()).await;
    let notice = json!({"kind": "decoded", "message": "read as windows-1251, as it says"});
    assert_eq!(job["documents"][0]["notices"], json!([notice]), "{job}");
    let stored: Value = server.get("/documents/keys.txt?passages=true").send().await.unwrap().json().await.unwrap();
    assert!(stored.to_string().contains(wanted), "{stored}");
}

#[tokio::test]
async fn files_of_a_form_become_documents_by_their_names_and_each_fails_alone() {
    let home = Home::new();
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    let files = [
        ("a.docx", fixture("pandoc.docx")),
        ("b.pdf", fixture("libreoffice.pdf")),
        ("notes.md", b"# Notes\n\nThe canteen opens at noon.".to_vec()),
        ("rows.csv", b"model,pressure\nX200,3 bar\n".to_vec()),
        ("broken.pdf", b"%PDF-1.7 and nothing else".to_vec()),
    ];
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    let fields = [("prefix", "sent/"), ("metadata", "{\"team\": \"a\"}")];
    let job = ended(&server, form(&server, &fields, &files).await).await;
    let states: Vec<_> = job["documents"].as_array().unwrap().iter().map(|d| d["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["done", "done", "done", "done", "failed"], "{job}");
    assert!(job["documents"][4]["error"].as_str().unwrap().contains("PDF document cannot be read"), "{job}");
    assert_eq!(
        documents(&server, "&prefix=sent/").await,
        ["sent/a.docx", "sent/b.pdf", "sent/notes.md", "sent/rows.csv"]
    );
    let document: Value = server.get("/documents/sent/a.docx").send().await.unwrap().json().await.unwrap();
    assert_eq!((&document["title"], &document["metadata"]["team"]), (&json!("Pump Handbook"), &json!("a")));
    let question = json!({"query": "What does error code PX-4711 mean?"});
    let answer: Value = server.post("/query").json(&question).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["status"], "grounded", "{answer}");
    assert!(answer["citations"].to_string().contains("the inlet is dry"), "{answer}");
}

#[tokio::test]
async fn a_form_that_makes_no_sense_is_told_what_is_wrong_with_it() {
    let home = Home::new();
    let server = home.serve(&format!("{FREE_PORTS}max_body_bytes = 200000\n"));
    server.await_ready().await;
    let file: (&str, &[u8]) = ("a.md", b"a");
    problem(form(&server, &[], &[]).await, 422, "invalid-value").await;
    problem(form(&server, &[("dry_run", "yes")], &[file]).await, 422, "invalid-value").await;
    problem(form(&server, &[("metadata", "[]")], &[file]).await, 422, "invalid-value").await;
    let unknown = problem(form(&server, &[("dryrun", "true")], &[file]).await, 422, "invalid-value").await;
    assert!(unknown["detail"].as_str().unwrap().starts_with("dryrun: no such field"), "{unknown}");
    problem(form(&server, &[], &[("a.md", &[b'a'; 300_000])]).await, 413, "body-too-large").await;
    let broken = server.post("/ingest").header("content-type", "multipart/form-data; boundary=x").body("--x\r\nno end");
    problem(broken.send().await.unwrap(), 400, "bad-request").await;
    let without = server.post("/ingest").header("content-type", "multipart/form-data").body("x");
    problem(without.send().await.unwrap(), 400, "bad-request").await;
    let text = json!({"documents": [{"id": "a", "text": "x", "format": "pdf"}]});
    problem(server.post("/ingest").json(&text).send().await.unwrap(), 422, "invalid-value").await;
    assert_eq!(documents(&server, "").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_request_that_is_sent_again_under_its_key_gets_its_first_answer_also_from_a_restarted_server() {
    let home = Home::new();
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    let send = async |server: &Server, key: &str, text: &str| {
        let body = json!({"documents": [{"id": "a.md", "text": text}]});
        server.post("/ingest").header("idempotency-key", key).json(&body).send().await.unwrap()
    };
    let first: Value = send(&server, "k-1", "one").await.json().await.unwrap();
    drop(server);
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    let again: Value = send(&server, "k-1", "one").await.json().await.unwrap();
    assert_eq!(first, again);
    let other = problem(send(&server, "k-1", "two").await, 422, "idempotency-key-reused").await;
    assert!(other["detail"].as_str().unwrap().contains(first["job"].as_str().unwrap()), "{other}");
    problem(send(&server, "no blanks", "one").await, 400, "bad-request").await;
}

#[tokio::test]
async fn a_document_is_written_in_place_by_its_path_as_bytes_or_as_json() {
    let home = Home::new();
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    let put = |path: &str| server.request(Method::PUT, path);
    let job = ended(&server, put("/documents/a/b.pdf").body(fixture("libreoffice.pdf")).send().await.unwrap()).await;
    assert_eq!(job["documents"][0]["outcome"], "created", "{job}");
    let described = json!({"text": "# Lunch\n\nAt noon.", "format": "markdown", "metadata": {"by": "me"}});
    let job = ended(&server, put("/documents/lunch").json(&described).send().await.unwrap()).await;
    assert_eq!(job["documents"][0]["outcome"], "created", "{job}");
    let html = put("/documents/lunch").header("content-type", "text/html").body("<h1>Dinner</h1><p>At six.</p>");
    let job = ended(&server, html.send().await.unwrap()).await;
    assert_eq!(job["documents"][0]["outcome"], "updated", "{job}");
    let document: Value = server.get("/documents/lunch").send().await.unwrap().json().await.unwrap();
    assert_eq!((&document["title"], &document["metadata"]["by"]), (&json!("Dinner"), &json!("me")), "metadata stays");
    let deleted = server.request(Method::DELETE, "/documents/lunch").send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    assert_eq!(documents(&server, "").await, ["a/b.pdf"]);
}

#[tokio::test]
async fn a_job_can_be_cancelled_and_a_dry_run_writes_nothing() {
    let home = Home::new();
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    let many: Vec<_> = (0..400)
        .map(|n| json!({"id": format!("{n}.md"), "text": format!("# Pump {n}\n\nThe pump number {n} is checked every month.\n")}))
        .collect();
    let dry = json!({"documents": &many[..2], "dry_run": true});
    let preview = server.post("/ingest").json(&dry).send().await.unwrap();
    assert_eq!(preview.status(), 200);
    let preview: Value = preview.json().await.unwrap();
    assert_eq!(preview["documents"][1], json!({"id": "1.md", "outcome": "created", "chunks": 1}));
    assert_eq!(documents(&server, "").await, Vec::<String>::new());

    let accepted = server.post("/ingest").json(&json!({"documents": many})).send().await.unwrap();
    let path = accepted.headers()["location"].to_str().unwrap().to_owned();
    let cancelled: Value = server.post(&format!("{path}/cancel")).send().await.unwrap().json().await.unwrap();
    assert_eq!(cancelled["state"], "cancelled", "{cancelled}");
    let states = |job: &Value, state: &str| {
        job["documents"].as_array().unwrap().iter().filter(|document| document["state"] == state).count()
    };
    eventually("what is stored is what the job says", async || {
        let job: Value = server.get(&path).send().await.unwrap().json().await.unwrap();
        assert_eq!(job["state"], "cancelled");
        states(&job, "done") == documents(&server, "").await.len() && states(&job, "done") < 400
    })
    .await;
    problem(server.post("/jobs/1/cancel").send().await.unwrap(), 404, "no-such-job").await;
}

#[test]
fn the_command_line_prunes_only_when_asked_and_only_below_its_prefix() {
    let home = Home::new();
    for name in ["docs/a.md", "docs/b.md", "other/c.md"] {
        home.write(name, &format!("# {name}\n\nText of {name}.\n"));
    }
    let run = |arguments: &[&str]| {
        let output = home.run(arguments);
        (output.status.code(), said(&output))
    };
    let (code, text) = run(&["ingest", "docs", "--prefix", "guide"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(run(&["ingest", "other"]).0, Some(0));
    fs::remove_file(home.path("docs/b.md")).unwrap();

    assert!(!run(&["ingest", "docs", "--prefix", "guide"]).1.contains("removed"), "nothing is removed unasked");
    let (code, text) = run(&["ingest", "docs", "--prune"]);
    assert!(code == Some(1) && text.contains("--prune needs --prefix"), "{text}");
    let (code, text) = run(&["ingest", "docs", "--prefix", "guide", "--prune", "--dry-run"]);
    assert!(code == Some(0) && text.contains("removed    guide/b.md") && text.contains("nothing is written"), "{text}");
    std::os::unix::fs::symlink(home.path("docs"), home.path("docs/loop")).unwrap();
    let (code, text) = run(&["ingest", "docs", "--prefix", "guide", "--prune"]);
    assert!(code == Some(1) && text.contains("nothing is removed: guide/loop: symlink loop"), "{text}");
    fs::remove_file(home.path("docs/loop")).unwrap();
    let (code, text) = run(&["ingest", "gone", "--prefix", "guide", "--prune"]);
    assert!(code == Some(1) && text.contains("nothing is removed"), "{text}");
    let (code, text) = run(&["ingest", "docs", "--prefix", "guide", "--prune"]);
    assert!(code == Some(0) && text.contains("removed    guide/b.md") && text.contains("1 removed"), "{text}");
    let (_, text) = run(&["ingest", "docs", "--prefix", "guide", "--prune"]);
    assert!(!text.contains("removed"), "{text}");
    let (_, text) = run(&["ingest", "other"]);
    assert!(text.contains("unchanged  c.md"), "what has another name stays: {text}");
}

#[test]
fn the_command_line_passes_over_what_is_nobodys_document_and_says_how_many() {
    let home = Home::new();
    home.write("docs/plan.md", "# Plan\n\nThe boiler is checked in May.\n");
    // What Word leaves beside a document that is open: 162 bytes, and no DOCX.
    home.write("docs/~$ndbook.docx", &"\u{1}".repeat(162));
    home.write("docs/node_modules/left-pad/README.md", "# left-pad\n");
    home.write("docs/.git/HEAD", "ref: refs/heads/main\n");
    let run = |arguments: &[&str]| {
        let output = home.run(arguments);
        (output.status.code(), said(&output))
    };
    let (code, text) = run(&["ingest", "docs"]);
    assert_eq!(code, Some(0), "{text}");
    let line = "passed over: 1 hidden, 1 lock file of open documents, 1 folder of packages; to ingest one all the same";
    assert!(text.contains(line) && text.contains("1 file: 1 created"), "{text}");
    // What is named itself is meant.
    let (code, text) = run(&["ingest", "docs/node_modules"]);
    assert!(code == Some(0) && text.contains("created    left-pad/README.md"), "{text}");
}

#[tokio::test]
async fn the_command_line_sends_files_of_every_format_to_a_server_and_prunes_there() {
    let home = Home::new();
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    fs::create_dir(home.path("docs")).unwrap();
    for name in ["pandoc.docx", "libreoffice.pdf"] {
        fs::write(home.path(&format!("docs/{name}")), fixture(name)).unwrap();
    }
    let odd = "a \"quoted\" name; filename=x.docx";
    fs::write(home.path(&format!("docs/{odd}")), fixture("libreoffice.docx")).unwrap();
    home.write("docs/a.md", "# A\n\nOne.");
    home.write("docs/copy/a.md", "# A\n\nOne.");
    let send = |more: &[&str]| {
        let arguments = ["ingest", "docs", "--server", &server.public, "--prefix", "d"];
        said(&home.run(&[&arguments[..], more].concat()))
    };
    let dry = send(&["--dry-run"]);
    for line in [
        "created    d/pandoc.docx",
        "created    d/libreoffice.pdf",
        "created    d/a.md",
        &format!("created    d/{odd}"),
        "duplicate  d/copy/a.md  of d/a.md",
    ] {
        assert!(dry.contains(line), "{line:?} in {dry}");
    }
    assert_eq!(documents(&server, "").await, Vec::<String>::new());
    let sent = send(&[]);
    assert!(sent.contains("duplicate  d/copy/a.md  of d/a.md") && sent.contains("1 duplicate of d/a.md"), "{sent}");
    fs::remove_file(home.path("docs/a.md")).unwrap();
    let pruned = send(&["--prune"]);
    assert!(pruned.contains("removed    d/a.md") && pruned.contains("unchanged  d/pandoc.docx"), "{pruned}");
    let odd = format!("d/{odd}");
    assert_eq!(documents(&server, "").await, [&odd, "d/copy/a.md", "d/libreoffice.pdf", "d/pandoc.docx"]);
    let bad = server.post("/prune").json(&json!({"prefix": "d", "keep": ["d/x"]})).send().await.unwrap();
    problem(bad, 422, "invalid-value").await;
    let bad = server.post("/prune").json(&json!({"prefix": "d/", "keep": []})).send().await.unwrap();
    problem(bad, 422, "invalid-value").await;
}

#[test]
fn no_document_commands_the_terminal() {
    let home = Home::new();
    let hostile = "# Pump \u{1b}]0;owned\u{7}\n\nThe pump\u{1b}[31m is \u{202e}checked\u{9b}1m every month by hand.\n";
    home.write("docs/a\u{202e}b.md", hostile);
    let outputs = [
        home.run(&["ingest", "docs"]),
        home.run(&["query", "How often is the pump checked?"]),
        home.run(&["query", "--json", "How often is the pump checked?"]),
    ];
    for output in outputs {
        let shown = said(&output);
        let obeyed = |c: &char| (c.is_control() && *c != '\n') || matches!(c, '\u{202a}'..='\u{202e}');
        assert_eq!(shown.chars().find(obeyed), None, "{shown:?}");
    }
}

/// A PDF document of so many pages that take long to read and say nothing, and of a last one that says something.
fn slow_pdf(pages: usize, says: &str) -> Vec<u8> {
    let kids: String = (0..=pages).map(|page| format!("{} 0 R ", page + 6)).collect();
    let inherited = "/MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >>";
    let stream = |content: &str| format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len());
    let page = |content: u32| format!("<< /Type /Page /Parent 2 0 R /Contents {content} 0 R >>");
    let head = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!("<< /Type /Pages /Kids [{kids}] /Count {} {inherited} >>", pages + 1),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>".to_owned(),
        stream(&"0 0 m n\n".repeat(20_000)),
        stream(&format!("BT /F1 12 Tf 72 700 Td ({says}) Tj ET")),
    ];
    pdf(head.into_iter().chain((0..pages).map(|_| page(4))).chain([page(5)]))
}

#[tokio::test]
async fn a_document_that_takes_longer_to_read_than_a_request_may_is_accepted_and_found_later() {
    let home = Home::new();
    let server = home.serve(&format!("{FREE_PORTS}request_timeout_seconds = 2\n"));
    server.await_ready().await;
    // Machines differ: as many pages as it takes.
    let mut pages = 25;
    loop {
        let document = slow_pdf(pages, &format!("A pump with {pages} valves is greased with graphite."));
        let put = server.request(Method::PUT, "/documents/slow.pdf").header("content-type", "application/pdf");
        let sent = Instant::now();
        let accepted = put.body(document).send().await.unwrap();
        let answered = sent.elapsed();
        let job = ended(&server, accepted).await;
        assert_eq!(job["state"], "done", "{job}");
        if sent.elapsed() - answered > Duration::from_secs(3) {
            break;
        }
        pages *= 2;
    }
    let question = json!({"query": "What is a pump greased with?"});
    eventually("it is found", async || {
        let found: Value = server.post("/search").json(&question).send().await.unwrap().json().await.unwrap();
        found["passages"].to_string().contains(&format!("{pages} valves is greased with graphite"))
    })
    .await;
}
