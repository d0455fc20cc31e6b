//! Tenants of one server: no route shows one of them, or changes for it, what belongs to another; and filters by metadata.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use crate::process::{FREE_PORTS, Home, Server, eventually, problem};

/// Names of keys, their tenants as they are configured, and what each one's document says.
const TENANTS: [(&str, &str, &str); 3] = [
    ("acme", "tenant = \"acme\"", "The boiler of acme is serviced every seven weeks."),
    ("beta", "tenant = \"beta\"", "The boiler of beta is serviced every nine months."),
    ("plain", "", "The boiler of nobody is serviced every ten years."),
];
const QUESTION: &str = "How often is the boiler serviced?";

fn key(name: &str) -> String {
    format!("key-of-{name}-0123456789")
}

/// A server on which each tenant has stored a document under the same name.
async fn shared(home: &Home) -> Server {
    let mut keys = String::new();
    for (name, tenant, _) in TENANTS {
        home.write(&format!("credentials/api-key.{name}.current"), &key(name));
        keys.push_str(&format!("[[auth.api_keys]]\nname = \"{name}\"\nrole = \"Writer\"\n{tenant}\n"));
    }
    let folder = home.path("credentials").display().to_string();
    let server = home.serve(&format!("{FREE_PORTS}[auth]\ncredentials_dir = {folder:?}\n{keys}"));
    server.await_ready().await;
    for (name, _, text) in TENANTS {
        server.ingest("ops/boiler.md", text, &key(name)).await;
    }
    server
}

async fn call(server: &Server, name: &str, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let request = server.request(method, path).header("x-api-key", key(name));
    let request = body.into_iter().fold(request, |request, body| request.json(&body));
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

#[tokio::test]
async fn no_answer_of_any_route_holds_a_word_of_another_tenant() {
    let home = Home::new();
    let server = shared(&home).await;
    let chat = json!({"model": "rag", "messages": [{"role": "user", "content": QUESTION}]});
    let mcp = |tool: &str, arguments: Value| json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}});
    let judged = json!({"queries": [{"text": QUESTION, "relevant": ["ops/boiler.md"]}], "modes": ["Hybrid"]});
    for (name, _, text) in TENANTS {
        for (method, path, body, holds) in [
            ("POST", "/evaluate", Some(judged.clone()), r#""ndcg":{"mean":1.0,"low":1.0,"high":1.0}"#),
            ("POST", "/evaluate", Some(json!({"sample": 5})), "only one document is stored"),
            ("POST", "/query", Some(json!({"query": QUESTION, "explain": true})), text),
            ("POST", "/search", Some(json!({"query": QUESTION, "top_k": 50})), text),
            ("POST", "/v1/chat/completions", Some(chat.clone()), text),
            ("GET", "/documents", None, "ops/boiler.md"),
            ("GET", "/documents/ops/boiler.md?passages=true", None, text),
            ("POST", "/mcp", Some(mcp("fetch_document", json!({"id": "ops/boiler.md"}))), text),
            ("POST", "/mcp", Some(mcp("search", json!({"query": QUESTION}))), text),
            ("POST", "/mcp", Some(mcp("list_documents", json!({}))), "ops/boiler.md"),
        ] {
            let accept = "application/json, text/event-stream";
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let request = server.request(method, path).header("x-api-key", key(name)).header("accept", accept);
            let request = body.into_iter().fold(request, |request, body| request.json(&body));
            let response = request.send().await.unwrap();
            let (status, answer) = (response.status(), response.text().await.unwrap());
            assert!(
                (status.is_success() || path == "/evaluate") && answer.contains(holds),
                "{name} {path}: {status} {answer}"
            );
            for (other, _, foreign) in TENANTS.iter().filter(|(other, _, _)| *other != name) {
                let leaked = answer.contains(foreign) || answer.contains(&format!("of {other} is"));
                assert!(
                    !leaked && !answer.contains('\u{1f}') && !answer.contains("\\u001f"),
                    "{name} {path}: {answer}"
                );
            }
        }
        let (_, page) = call(&server, name, "GET", "/documents", None).await;
        assert_eq!(page["documents"].as_array().unwrap().len(), 1, "{page}");
    }
}

#[tokio::test]
async fn a_tenant_can_neither_change_nor_follow_what_another_has() {
    let home = Home::new();
    let server = shared(&home).await;
    let document = json!({"id": "secret.md", "text": "The valve of acme is blue."});
    let (status, accepted) = call(&server, "acme", "POST", "/ingest", Some(json!({"documents": [document]}))).await;
    assert_eq!(status, 202, "{accepted}");
    let job = format!("/jobs/{}", accepted["job"].as_str().unwrap());
    eventually("the job has ended", async || {
        call(&server, "acme", "GET", &job, None).await.1["finished_at"] != Value::Null
    })
    .await;
    for other in ["beta", "plain"] {
        let send = async |method: &str, path: &str| {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            server.request(method, path).header("x-api-key", key(other)).send().await.unwrap()
        };
        problem(send("GET", &job).await, 404, "no-such-job").await;
        problem(send("POST", &format!("{job}/cancel")).await, 404, "no-such-job").await;
        problem(send("GET", "/documents/secret.md").await, 404, "no-such-document").await;
        problem(send("DELETE", "/documents/secret.md").await, 404, "no-such-document").await;
        let everything = json!({"prefix": "", "keep": ["ops/boiler.md"]});
        let (status, pruned) = call(&server, other, "POST", "/prune", Some(everything)).await;
        assert_eq!((status, &pruned["removed"]), (200, &json!([])), "{pruned}");
        assert_eq!(call(&server, other, "DELETE", "/documents/ops/boiler.md", None).await.0, 204);
    }
    let judged = json!({"queries": [{"text": "Which colour is the valve?", "relevant": ["secret.md"]}]});
    let (status, report) = call(&server, "acme", "POST", "/evaluate", Some(judged.clone())).await;
    assert_eq!((status, &report["queries"]), (200, &json!(1)), "{report}");
    for (other, body, told) in [
        ("beta", judged, "none of the 1 relevant documents is stored"),
        ("acme", json!({"sample": 10}), "no heading of the 2 stored documents"),
    ] {
        let (status, refused) = call(&server, other, "POST", "/evaluate", Some(body)).await;
        assert!(status == 422 && refused["detail"].as_str().unwrap().contains(told), "{other}: {status} {refused}");
    }
    let (_, page) = call(&server, "acme", "GET", "/documents", None).await;
    let names: Vec<_> = page["documents"].as_array().unwrap().iter().map(|document| &document["id"]).collect();
    assert_eq!(names, ["ops/boiler.md", "secret.md"]);
}

#[tokio::test]
async fn a_filter_by_metadata_finds_the_documents_that_have_it_and_follows_a_change() {
    let home = Home::new();
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    let store = async |lang: &str, id: &str| {
        let metadata = BTreeMap::from([("lang", lang), ("team", "ops")]);
        let document = json!({"id": id, "text": format!("The boiler {id} is serviced weekly."), "metadata": metadata});
        let body = json!({"documents": [document]});
        let response = server.post("/ingest").json(&body).send().await.unwrap();
        let status = response.status();
        let accepted: Value = response.json().await.unwrap();
        assert_eq!(status, 202, "{accepted}");
        let job = format!("/jobs/{}", accepted["job"].as_str().unwrap());
        eventually("the job has ended", async || {
            let job: Value = server.get(&job).send().await.unwrap().json().await.unwrap();
            job["finished_at"] != Value::Null
        })
        .await;
    };
    let found = async |filter: Value| {
        let body = json!({"query": QUESTION, "filter": filter});
        let answer: Value = server.post("/search").json(&body).send().await.unwrap().json().await.unwrap();
        let passages = answer["passages"].as_array().unwrap_or_else(|| panic!("{answer}"));
        let mut names: Vec<_> = passages.iter().map(|hit| hit["document"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    store("en", "a").await;
    store("de", "b").await;
    assert_eq!(found(json!({})).await, ["a", "b"]);
    assert_eq!(found(json!({"lang": "en"})).await, ["a"]);
    assert_eq!(found(json!({"lang": ["en", "de"], "team": "ops"})).await, ["a", "b"]);
    assert_eq!(found(json!({"lang": "fr"})).await, [""; 0]);
    store("en", "b").await;
    assert_eq!(found(json!({"lang": "en"})).await, ["a", "b"]);
    let wrong = json!({"query": QUESTION, "filter": {"lang": []}});
    problem(server.post("/query").json(&wrong).send().await.unwrap(), 422, "invalid-value").await;
}

#[tokio::test]
async fn clients_that_choose_the_same_idempotency_key_never_meet() {
    let home = Home::new();
    let server = shared(&home).await;
    let send = async |name: &str, text: &str| -> Value {
        let body = json!({"documents": [{"id": "note.md", "text": text}]});
        let request = server.post("/ingest").header("x-api-key", key(name)).header("idempotency-key", "k-1");
        let response = request.json(&body).send().await.unwrap();
        assert_eq!(response.status(), 202, "{name}");
        response.json().await.unwrap()
    };
    let (acme, beta, plain) = (send("acme", "one").await, send("beta", "two").await, send("plain", "one").await);
    assert!(acme["job"] != beta["job"] && acme["job"] != plain["job"] && beta["job"] != plain["job"]);
    assert_eq!(send("acme", "one").await, acme, "its own request it gets again");
}
