//! Which class each route is of, and that what fills one class costs the routes of no other class a thing.

use std::sync::Mutex;

use axum::{Extension, Router, middleware::from_fn_with_state, response::Response, routing::get};
use futures::channel::mpsc;
use utoipa::openapi::OpenApi;

use super::*;
use crate::{
    http::{
        entry::{Entry, class_of},
        guard::guard,
        management_openapi, management_router, public_openapi,
    },
    resilience::{Class, Place},
};

/// Every route that is no probe, with its class; none for what only calls others.
const ROUTES: [(&str, Option<Class>); 38] = [
    ("DELETE /admin/blocks", Some(Class::Admin)),
    ("DELETE /admin/cache", Some(Class::Admin)),
    ("DELETE /documents/{id}", Some(Class::Ingests)),
    ("DELETE /sessions", Some(Class::Records)),
    ("DELETE /sessions/{id}", Some(Class::Records)),
    ("GET /admin/blocks", Some(Class::Admin)),
    ("GET /admin/cache", Some(Class::Admin)),
    ("GET /admin/config", Some(Class::Admin)),
    ("GET /admin/stats", Some(Class::Admin)),
    ("GET /admin/status", Some(Class::Admin)),
    ("GET /documents", Some(Class::Records)),
    ("GET /documents/{id}", Some(Class::Records)),
    ("GET /jobs/{id}", Some(Class::Records)),
    ("GET /ops/snapshot/chunks", Some(Class::Admin)),
    ("GET /ops/snapshot/count", Some(Class::Admin)),
    ("GET /ops/snapshot/record", Some(Class::Admin)),
    ("GET /ops/snapshot/records", Some(Class::Admin)),
    ("GET /ops/snapshot/searched", Some(Class::Admin)),
    ("GET /ops/status", Some(Class::Admin)),
    ("GET /sessions/{id}", Some(Class::Records)),
    ("GET /v1/models", Some(Class::Records)),
    ("GET /v1/models/{id}", Some(Class::Records)),
    ("POST /admin/blocks", Some(Class::Admin)),
    ("POST /admin/breakers/{provider}/reset", Some(Class::Admin)),
    ("POST /evaluate", Some(Class::Records)),
    ("POST /feedback", Some(Class::Records)),
    ("POST /ingest", Some(Class::Ingests)),
    ("POST /jobs/{id}/cancel", Some(Class::Records)),
    ("POST /mcp", None),
    ("POST /ops/deny", Some(Class::Admin)),
    ("POST /prune", Some(Class::Ingests)),
    ("POST /query", Some(Class::Questions)),
    ("POST /search", Some(Class::Questions)),
    ("POST /v1/chat/completions", Some(Class::Questions)),
    ("POST /v1/embeddings", Some(Class::Texts)),
    ("POST /v1/rerank", Some(Class::Texts)),
    ("PUT /admin/read-only", Some(Class::Admin)),
    ("PUT /documents/{id}", Some(Class::Ingests)),
];

/// Takes every place of a class.
fn fill(api: &Api, class: Class) -> Vec<Place> {
    std::iter::from_fn(|| api.admission.enter(class).ok()).collect()
}

async fn send(api: &Api, route: &str, body: Body) -> Response {
    let (method, path) = route.split_once(' ').unwrap();
    let request = Request::builder()
        .method(method)
        .uri(path.replace("{id}", "x").replace("{provider}", "x"))
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)
        .unwrap();
    let mut router = if path.starts_with("/ops") { management_router(api.clone()) } else { public_router(api.clone()) };
    router.call(request).await.unwrap()
}

async fn json_of(response: Response) -> Value {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn is_overloaded(told: &Value) -> bool {
    let kind = told["type"].as_str().or(told["error"]["code"].as_str()).unwrap_or_default();
    kind.rsplit('/').next() == Some("overloaded")
}

#[test]
fn every_route_but_the_probes_has_a_class() {
    let routes = |api: &OpenApi| -> Vec<String> {
        let description = serde_json::to_value(api).unwrap();
        let of = |(path, item): (&String, &Value)| {
            let methods = item.as_object().unwrap().keys().map(|method| method.to_uppercase());
            methods.map(|method| format!("{method} {path}")).collect::<Vec<_>>()
        };
        description["paths"].as_object().unwrap().iter().flat_map(of).collect()
    };
    let mut all = [routes(&public_openapi()), routes(&management_openapi())].concat();
    all.retain(|route| !["/health", "/metrics", "/openapi.json"].iter().any(|probe| route.contains(probe)));
    all.sort();
    assert_eq!(all, ROUTES.map(|(route, _)| route));
    for (route, class) in ROUTES {
        let (method, path) = route.split_once(' ').unwrap();
        assert_eq!(class_of(&method.parse().unwrap(), path), class, "{route}");
    }
}

#[tokio::test]
async fn a_full_class_refuses_its_own_routes_at_once_and_no_others() {
    for full in Class::ALL {
        let mut wrong = Vec::new();
        let bench = bench().ready();
        let places = fill(&bench.api, full);
        for (route, class) in ROUTES {
            let response = send(&bench.api, route, Body::from("{}")).await;
            let (status, headers) = (response.status().as_u16(), response.headers().clone());
            let refused = is_overloaded(&json_of(response).await);
            if refused != (class == Some(full)) {
                wrong.push(format!("{route} while {full:?} is full: status {status}, overloaded {refused}"));
            }
            if refused {
                assert_eq!((status, &headers[header::RETRY_AFTER]), (503, &"1".parse().unwrap()), "{route}");
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let own = ROUTES.iter().filter(|(_, class)| *class == Some(full)).count() as u64;
        let shed = Class::ALL.map(|class| bench.api.metrics.doors.shed.with_label_values(&[class.as_str()]).get());
        assert_eq!(shed, Class::ALL.map(|class| if class == full { own } else { 0 }), "{full:?}");
        for probe in ["GET /health", "GET /health/live", "GET /health/ready"] {
            assert_eq!(send(&bench.api, probe, Body::empty()).await.status(), 200, "{probe} while {full:?} is full");
        }
        drop(places);
        assert_eq!(bench.api.admission.in_flight(), 0, "every place came back");
    }
}

#[tokio::test]
async fn questions_that_hang_keep_no_probe_and_no_other_class_out() {
    let bench =
        bench_with(&Auth::default(), &[("server.request_timeout_seconds", "600"), ("server.places.questions", "2")]);
    let bench = bench.ready();
    let (mut one, mut other) = (Box::pin(bench.query("hang")), Box::pin(bench.query("hang")));
    assert!(futures::poll!(&mut one).is_pending() && futures::poll!(&mut other).is_pending());
    assert_eq!(bench.api.admission.taken(Class::Questions), 2);
    let (status, retry_after, problem) = bench.query("anything").await;
    assert_eq!((status, retry_after.as_deref(), kind(&problem)), (503, Some("1"), "overloaded"));
    for path in ["/health/live", "/health/ready", "/documents"] {
        assert_eq!(bench.ask("GET", path, json!(null)).await.0, 200, "{path}");
    }
    let documents = json!({"documents": [{"id": "a.txt", "text": "a"}]});
    assert_eq!(bench.ask("POST", "/ingest", documents).await.0, 202);
    drop((one, other));
    assert_eq!(bench.query("anything").await.0, 200, "whoever went away left its place");
}

#[tokio::test]
async fn a_client_that_sends_slowly_holds_no_place_and_is_refused_if_there_is_none_when_it_is_done() {
    let bench = bench().ready();
    for (route, begun, rest, class, done) in [
        ("POST /query", r#"{"query": "#, r#""anything"}"#, Class::Questions, 200),
        ("POST /v1/embeddings", r#"{"model": "double", "#, r#""input": "a"}"#, Class::Texts, 200),
        ("PUT /documents/a.txt", r#"{"text": "#, r#""a"}"#, Class::Ingests, 202),
    ] {
        for is_full in [false, true] {
            let (sends, body) = mpsc::unbounded();
            let body = Body::from_stream(body.map(Ok::<_, std::io::Error>));
            sends.unbounded_send(begun).unwrap();
            let mut answered = Box::pin(send(&bench.api, route, body));
            assert!(futures::poll!(&mut answered).is_pending());
            assert_eq!((bench.api.admission.taken(class), bench.api.admission.arriving()), (0, 1), "{route}");
            let places = if is_full { fill(&bench.api, class) } else { Vec::new() };
            sends.unbounded_send(rest).unwrap();
            drop(sends);
            let response = answered.await;
            assert_eq!(response.status().as_u16(), if is_full { 503 } else { done }, "{route}");
            assert_eq!(is_overloaded(&json_of(response).await), is_full, "{route}");
            drop(places);
        }
    }
    assert_eq!((bench.api.admission.in_flight(), bench.api.admission.arriving()), (0, 0));
}

#[tokio::test]
async fn a_stream_holds_a_place_of_its_own_until_its_end_and_none_of_a_question() {
    let bench = bench().ready();
    let ask = async || send(&bench.api, "POST /query", Body::from(r#"{"query": "anything", "stream": true}"#)).await;
    let taken = || [Class::Questions, Class::Streams].map(|class| bench.api.admission.taken(class));
    let stream = ask().await;
    assert_eq!((stream.status().as_u16(), taken()), (200, [0, 1]));
    let places = fill(&bench.api, Class::Streams);
    let refused = ask().await;
    assert_eq!(refused.status(), 503);
    assert!(is_overloaded(&json_of(refused).await));
    assert_eq!(bench.query("anything").await.0, 200, "a whole answer needs no place of a stream");
    drop(places);
    let told = axum::body::to_bytes(stream.into_body(), 1 << 20).await.unwrap();
    assert!(String::from_utf8_lossy(&told).contains("event: answer"));
    assert_eq!(taken(), [0, 0]);
    drop(ask().await);
    assert_eq!(taken(), [0, 0], "whoever goes away gives it back");
}

#[tokio::test]
async fn a_tool_takes_a_place_of_what_it_calls() {
    let bench = bench().ready();
    let call = async |tool: &str, arguments: Value| {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}});
        json_of(send(&bench.api, "POST /mcp", Body::from(call.to_string())).await).await["result"].clone()
    };
    let places = fill(&bench.api, Class::Questions);
    for tool in ["ask", "search"] {
        let told = call(tool, json!({"query": "anything"})).await;
        let words = told["content"][0]["text"].as_str().unwrap();
        assert_eq!(told["isError"], true, "{told}");
        assert!(words.contains("too many questions") && words.contains("again in 1 s"), "{words}");
    }
    assert_ne!(call("list_documents", json!({})).await["isError"], true);
    let documents = json!({"documents": [{"id": "a.txt", "text": "a"}]});
    assert_ne!(call("ingest", documents.clone()).await["isError"], true);
    drop(places);
    assert_ne!(call("ask", json!({"query": "anything"})).await["isError"], true);
    let _places = fill(&bench.api, Class::Ingests);
    assert_eq!(call("ingest", documents).await["isError"], true);
}

#[tokio::test]
async fn the_scraper_sees_each_class_with_its_places() {
    let bench = bench_with(&Auth::default(), &[("server.places.streams", "7")]).ready();
    let _place = bench.api.admission.enter(Class::Streams).unwrap();
    let mut router = management_router(bench.api.clone());
    let request = Request::get("/metrics").header(header::HOST, "localhost").body(Body::empty()).unwrap();
    let response = router.call(request).await.unwrap();
    let text = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let text = String::from_utf8_lossy(&text);
    for line in [
        r#"rag_places{class="streams"} 7"#,
        r#"rag_places_taken{class="streams"} 1"#,
        r#"rag_places{class="questions"} 256"#,
        r#"rag_places_taken{class="admin"} 0"#,
    ] {
        assert!(text.lines().any(|other| other == line), "{line} in:\n{text}");
    }
}

#[tokio::test]
async fn bodies_of_questions_have_room_of_their_own_and_a_refusal_is_counted() {
    let bench = bench().ready();
    let api = &bench.api;
    let _documents = api.admission.body(Bodies::Documents, api.server.max_body_bytes).unwrap();
    assert_eq!(bench.query("anything").await.0, 200);
    let _questions = api.admission.body(Bodies::Questions, api.admission.free(Bodies::Questions)).unwrap();
    let (status, retry_after, problem) = bench.query("anything").await;
    assert_eq!((status, retry_after.as_deref(), kind(&problem)), (503, Some("2"), "overloaded"));
    assert_eq!(api.metrics.doors.shed.with_label_values(&["questions"]).get(), 1);
}

#[tokio::test]
async fn a_place_is_given_back_at_the_end_whoever_still_has_a_copy_of_the_entry() {
    let bench = bench().ready();
    let kept = Arc::<Mutex<Option<Entry>>>::default();
    let keeper = Arc::clone(&kept);
    let keep = async move |Extension(entry): Extension<Entry>| *keeper.lock().unwrap() = Some(entry);
    let router = Router::new().route("/query", get(keep));
    let mut router = router.layer(from_fn_with_state(bench.api.clone(), guard));
    let request = Request::builder().uri("/query").header(header::HOST, "localhost").body(Body::empty()).unwrap();
    assert_eq!(router.call(request).await.unwrap().status(), 200);
    assert!(kept.lock().unwrap().is_some());
    assert_eq!(bench.api.admission.taken(Class::Questions), 0);
}
