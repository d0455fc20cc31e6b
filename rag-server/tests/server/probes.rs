//! Live at once, ready when everything is there; the description lists what exists.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::process::{FREE_PORTS, Home, problem};

#[tokio::test]
async fn a_server_without_its_store_lives_and_says_what_it_waits_for() {
    let home = Home::new();
    // A port that was free a moment ago: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let store = format!("[vector_store.qdrant]\nurl = \"http://127.0.0.1:{port}\"\ncollection = \"c\"\n");
    let mut server = home.serve_over_store(&format!("{FREE_PORTS}{store}"));
    server.await_log("waiting for the vector store");
    assert_eq!(server.get("/health/live").send().await.unwrap().status(), StatusCode::OK);
    let waits = problem(server.get("/health/ready").send().await.unwrap(), 503, "not-ready").await;
    let waiting = waits["waiting_for"].as_array().unwrap();
    assert!(waiting.contains(&"the vector store (unreachable)".into()), "{waits}");
    assert!(!waiting.iter().any(|part| part == "the embedding model"), "{waits}");
    assert_eq!(server.manage("/health/live").send().await.unwrap().status(), StatusCode::OK);
    let management = problem(server.manage("/health/ready").send().await.unwrap(), 503, "not-ready").await;
    assert_eq!(management["waiting_for"], waits["waiting_for"]);
    let asked = server.post("/query").json(&serde_json::json!({"query": "a"})).send().await.unwrap();
    assert_eq!(asked.headers()["retry-after"], "1");
    problem(asked, 503, "not-ready").await;
    server.terminate();
    assert_eq!(server.await_exit().await.code(), Some(0));
}

/// Every route, by method and path.
const ROUTES: [&str; 36] = [
    "DELETE /admin/blocks",
    "DELETE /admin/cache",
    "DELETE /documents/{id}",
    "DELETE /sessions",
    "DELETE /sessions/{id}",
    "GET /admin/blocks",
    "GET /admin/cache",
    "GET /admin/config",
    "GET /admin/stats",
    "GET /admin/status",
    "GET /documents",
    "GET /documents/{id}",
    "GET /health",
    "GET /health/detailed",
    "GET /health/live",
    "GET /health/ready",
    "GET /jobs/{id}",
    "GET /openapi.json",
    "GET /sessions/{id}",
    "GET /v1/models",
    "GET /v1/models/{id}",
    "POST /admin/blocks",
    "POST /admin/breakers/{provider}/reset",
    "POST /evaluate",
    "POST /feedback",
    "POST /ingest",
    "POST /jobs/{id}/cancel",
    "POST /mcp",
    "POST /prune",
    "POST /query",
    "POST /search",
    "POST /v1/chat/completions",
    "POST /v1/embeddings",
    "POST /v1/rerank",
    "PUT /admin/read-only",
    "PUT /documents/{id}",
];

#[tokio::test]
async fn the_description_lists_every_route_and_every_listed_route_exists() {
    let home = Home::new();
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    let description: Value = server.get("/openapi.json").send().await.unwrap().json().await.unwrap();
    let mut listed = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            listed.push(format!("{} {path}", method.to_uppercase()));
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let found =
                server.request(method, &path.replace("{id}", "x").replace("{provider}", "x")).send().await.unwrap();
            assert_ne!(found.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
            if found.status() == StatusCode::NOT_FOUND {
                let problem: Value = found.json().await.unwrap();
                // Below /v1 a problem is told in another shape.
                let told = problem["type"].as_str().or(problem["error"]["code"].as_str()).unwrap();
                assert!(!told.replace('_', "-").ends_with("no-such-route"), "{path}: {problem}");
            }
        }
    }
    listed.sort();
    assert_eq!(listed, ROUTES);
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(key, member)| match (key.as_str(), member) {
                ("$ref", Value::String(reference)) => found.push(reference.clone()),
                _ => references(member, found),
            }),
            Value::Array(members) => members.iter().for_each(|member| references(member, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    references(&description, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        let pointer = reference.trim_start_matches('#');
        assert!(description.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

#[tokio::test]
async fn an_id_of_the_client_is_returned_and_logged_and_a_strange_one_replaced() {
    let home = Home::new();
    let mut server = home.serve(FREE_PORTS);
    server.await_ready().await;
    let question = "the-question-must-not-be-logged";
    let asked = async |id: &str| {
        let body = serde_json::json!({"query": question});
        let response = server.post("/query").header("x-request-id", id).json(&body).send().await.unwrap();
        response.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    let strange = asked("a b\"c").await;
    assert_ne!(strange, "a b\"c");
    assert_eq!(asked("trace-77").await, "trace-77");
    loop {
        let event = server.await_log("request");
        if event["request_id"] == "trace-77" {
            assert_eq!((&event["route"], &event["status"]), (&"/query".into(), &200.into()), "{event}");
            break;
        }
    }
    assert!(!server.seen.iter().any(|line| line.contains(question)));
}
