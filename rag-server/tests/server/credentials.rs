//! Who may do what, with two generations of each key, and keys that change while the server runs.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::process::{FREE_PORTS, Home, Server, eventually, problem};

const READER: &str = "reader-key-0123456789";
pub(crate) const WRITER: &str = "writer-key-0123456789";
const OPERATOR: &str = "operator-key-0123456789";

/// What tells strangers nothing but how to ask, and whether anybody is there.
const OPEN: [&str; 5] = ["/health", "/health/detailed", "/health/live", "/health/ready", "/openapi.json"];

pub(crate) fn keyed(home: &Home) -> String {
    home.write("keys/api-key.reader.current", READER);
    home.write("keys/api-key.writer.current", WRITER);
    home.write("keys/operator.current", OPERATOR);
    format!(
        "{FREE_PORTS}[auth]\ncredentials_dir = \"keys\"\n[[auth.api_keys]]\nname = \"reader\"\nrole = \"Reader\"\n[[auth.api_keys]]\nname = \"writer\"\nrole = \"Writer\"\n"
    )
}

/// Every route that needs a key, with the status that a key of each role gets.
fn routes() -> Vec<(Method, &'static str, u16, u16)> {
    vec![
        (Method::POST, "/query", 422, 422),
        (Method::POST, "/ingest", 403, 422),
        (Method::POST, "/evaluate", 403, 422),
        (Method::GET, "/documents", 200, 200),
        (Method::GET, "/documents/a", 404, 404),
        (Method::DELETE, "/documents/a", 403, 404),
        (Method::GET, "/jobs/a", 404, 404),
    ]
}

async fn ask(server: &Server, method: &Method, path: &str, key: Option<(&str, &str)>) -> reqwest::Response {
    let request = server.request(method.clone(), path).json(&json!({}));
    let request = key.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    request.send().await.unwrap()
}

#[tokio::test]
async fn each_role_opens_its_routes_and_no_other() {
    let home = Home::new();
    let server = home.serve(&keyed(&home));
    server.await_ready().await;
    let operator = format!("Bearer {OPERATOR}");
    for (method, path, reader, writer) in routes() {
        problem(ask(&server, &method, path, None).await, 401, "missing-api-key").await;
        for unknown in ["", "reader-key-012345678", "reader-key-01234567890", "x"] {
            let refused = ask(&server, &method, path, Some(("x-api-key", unknown))).await;
            assert_eq!(refused.headers()["www-authenticate"], "Bearer");
            problem(refused, 401, "unknown-api-key").await;
        }
        // The operator's credential is for the management port alone.
        problem(ask(&server, &method, path, Some(("authorization", &operator))).await, 401, "unknown-api-key").await;
        for (key, expected) in [(READER, reader), (WRITER, writer)] {
            let bearer = format!("Bearer {key}");
            for header in [("x-api-key", key), ("authorization", &*bearer)] {
                let answer = ask(&server, &method, path, Some(header)).await;
                assert_eq!(answer.status().as_u16(), expected, "{method} {path} {key}");
                if expected == 403 {
                    problem(answer, 403, "role-too-low").await;
                }
            }
        }
    }
    for open in OPEN {
        assert_eq!(server.get(open).send().await.unwrap().status(), StatusCode::OK, "{open}");
    }
}

#[tokio::test]
async fn no_route_that_reads_or_writes_is_open_to_a_stranger() {
    let home = Home::new();
    let server = home.serve(&keyed(&home));
    server.await_ready().await;
    let description: Value = server.get("/openapi.json").send().await.unwrap().json().await.unwrap();
    let mut closed = 0;
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys().filter(|_| !OPEN.contains(&path.as_str())) {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let answer = ask(&server, &method, &path.replace("{id}", "x").replace("{provider}", "x"), None).await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {path}");
            closed += 1;
        }
    }
    assert!(closed >= 20, "only {closed} routes were tried");
}

#[tokio::test]
async fn an_id_that_looks_like_a_path_writes_nothing_outside_the_data() {
    let home = Home::new();
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    home.write("bait/secret.md", "The combination of the safe is 4711.");
    let outside = |home: &Home| {
        let entries = std::fs::read_dir(home.dir.path()).unwrap().chain(std::fs::read_dir(home.path("bait")).unwrap());
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    };
    let before = outside(&home);
    let escape = format!("{}/bait/written.md", home.dir.path().display());
    for id in ["../bait/written.md", "..\\..\\written.md", "file:///etc/hostname", &escape, "../bait/secret.md"] {
        server.ingest(id, "The gate is closed at night.", "").await;
    }
    assert_eq!(outside(&home), before);
    let question = json!({"query": "What is the combination of the safe?"});
    let answer: Value = server.post("/query").json(&question).send().await.unwrap().json().await.unwrap();
    assert!(!answer.to_string().contains("4711"), "an id is a name, and no file is read by it: {answer}");
    assert_eq!(std::fs::read_to_string(home.path("bait/secret.md")).unwrap(), "The combination of the safe is 4711.");
}

async fn status(server: &Server, key: &str) -> StatusCode {
    server.get("/documents").header("x-api-key", key).send().await.unwrap().status()
}

#[tokio::test]
async fn keys_rotate_by_a_change_of_files_without_a_restart() {
    let home = Home::new();
    let mut server = home.serve(&keyed(&home));
    server.await_ready().await;
    let next = "reader-key-next-0123456789";
    assert_eq!(
        (status(&server, READER).await, status(&server, next).await),
        (StatusCode::OK, StatusCode::UNAUTHORIZED)
    );

    home.swap("keys/api-key.reader.previous", READER);
    home.swap("keys/api-key.reader.current", next);
    eventually("both generations are accepted", async || status(&server, next).await == StatusCode::OK).await;
    assert_eq!(status(&server, READER).await, StatusCode::OK);
    let metrics = server.manage("/metrics").send().await.unwrap().text().await.unwrap();
    let old = r#"rag_credential_uses_total{credential="api-key.reader",generation="previous"} 1"#;
    assert!(metrics.contains(old), "{metrics}");

    std::fs::remove_file(home.path("keys/api-key.reader.previous")).unwrap();
    eventually("the old one is refused", async || status(&server, READER).await == StatusCode::UNAUTHORIZED).await;

    home.swap("keys/api-key.reader.current", "damaged");
    server.await_log("a credential is not accepted");
    eventually("nothing of before stays", async || status(&server, next).await == StatusCode::UNAUTHORIZED).await;
    assert_eq!(status(&server, WRITER).await, StatusCode::OK, "another client's key is not damaged");
    for key in [READER, WRITER, OPERATOR, next, "damaged"] {
        assert!(!server.seen.iter().any(|line| line.contains(key)), "a key is in the log");
    }
}

#[tokio::test]
async fn read_only_refuses_writes_and_answers_questions() {
    let home = Home::new();
    home.write("live.toml", "");
    let live = home.path("live.toml");
    let server = home.serve(&format!("{FREE_PORTS}[live]\nfile = {live:?}\n"));
    server.await_ready().await;
    server.ingest("a.txt", "Snapshots are kept for seven days.", "").await;
    home.swap("live.toml", "read_only = true\n");
    let delete = async || server.request(Method::DELETE, "/documents/a.txt").send().await.unwrap();
    eventually("writes are refused", async || {
        let body = json!({"documents": [{"id": "b.txt", "text": "b"}]});
        server.post("/ingest").json(&body).send().await.unwrap().status() == StatusCode::SERVICE_UNAVAILABLE
    })
    .await;
    let refused = delete().await;
    assert!(refused.headers().contains_key("retry-after"));
    problem(refused, 503, "read-only").await;
    let asked = server.post("/query").json(&json!({"query": "How long are snapshots kept?"})).send().await.unwrap();
    assert_eq!(asked.status(), StatusCode::OK);
    home.swap("live.toml", "read_only = false\n");
    eventually("writes are taken", async || delete().await.status() != StatusCode::SERVICE_UNAVAILABLE).await;
}

#[tokio::test]
async fn a_request_counts_one_use_of_its_key_whatever_it_asks_for() {
    let home = Home::new();
    let server = home.serve(&keyed(&home));
    server.await_ready().await;
    let uses = async || {
        let metrics = server.manage("/metrics").send().await.unwrap().text().await.unwrap();
        let name = r#"rag_credential_uses_total{credential="api-key.writer",generation="current"} "#;
        metrics.lines().find_map(|line| line.strip_prefix(name)?.parse::<u32>().ok()).unwrap()
    };
    let document = serde_json::json!({"text": "Pumps are greased monthly."});
    for (method, path, body, counted) in [
        ("PUT", "/documents/a.txt", Some(document), 1),
        ("GET", "/documents", None, 2),
        ("DELETE", "/documents/b", None, 3),
    ] {
        let request = server.request(reqwest::Method::from_bytes(method.as_bytes()).unwrap(), path);
        let request = body.iter().fold(request.header("x-api-key", WRITER), |request, body| request.json(body));
        request.send().await.unwrap();
        assert_eq!(uses().await, counted, "{method} {path}");
    }
}
