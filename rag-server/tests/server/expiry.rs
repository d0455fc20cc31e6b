//! Documents that are found until a time.

use jiff::{SignedDuration, Timestamp};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::process::{FREE_PORTS, Home, Server, eventually, problem};

const OFFER: &str = "The canteen offers soup for one euro.";

async fn finds(server: &Server) -> bool {
    let body = json!({"query": "What does the canteen offer?"});
    let found: Value = server.post("/search").json(&body).send().await.unwrap().json().await.unwrap();
    !found["passages"].as_array().unwrap().is_empty()
}

async fn sent(server: &Server, body: Value) -> Value {
    let accepted = server.post("/ingest").json(&body).send().await.unwrap();
    assert_eq!(accepted.status(), StatusCode::ACCEPTED, "{body}");
    let job = accepted.headers()["location"].to_str().unwrap().to_owned();
    let mut ended = Value::Null;
    eventually("the job ends", async || {
        ended = server.get(&job).send().await.unwrap().json().await.unwrap();
        ended["finished_at"].is_string()
    })
    .await;
    ended
}

#[tokio::test]
async fn a_document_is_found_until_its_time_then_by_no_search_and_soon_it_is_gone_and_counted() {
    let home = Home::new();
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    server.ingest("offer.md", OFFER, "").await;
    assert!(finds(&server).await && finds(&server).await, "also from the cache");
    let until = Timestamp::now().checked_add(SignedDuration::from_secs(2)).unwrap();
    let job = sent(&server, json!({"documents": [{"id": "offer.md", "text": OFFER, "expires_at": until}]})).await;
    assert_eq!(job["documents"][0]["outcome"], "metadata_only", "{job}");
    eventually("its time is over", async || Timestamp::now() >= until).await;
    assert!(!finds(&server).await);
    let answer: Value = server
        .post("/query")
        .json(&json!({"query": "What does the canteen offer?"}))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(answer["status"], "refused", "{answer}");
    eventually("it is removed", async || {
        server.get("/documents/offer.md").send().await.unwrap().status() == StatusCode::NOT_FOUND
    })
    .await;
    let metrics = async || server.manage("/metrics").send().await.unwrap().text().await.unwrap();
    let counted = "rag_retention_removed_total{kind=\"document\"} 1";
    eventually("it is counted", async || metrics().await.contains(counted)).await;
    let metrics = metrics().await;
    assert!(metrics.contains("rag_retention_removed_total{kind=\"session\"} 0"), "{metrics}");
}

#[tokio::test]
async fn a_time_is_shown_changed_and_taken_away_again_and_one_that_is_none_is_refused_by_its_place() {
    let home = Home::new();
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    let document = |at: Value| json!({"documents": [{"id": "a.md", "text": OFFER, "expires_at": at}]});
    let (first, second) = ("2100-01-31T19:00:00+01:00", "2100-02-01T00:00:00Z");
    for (at, outcome, shown) in [
        (json!(first), "created", json!("2100-01-31T18:00:00Z")),
        (json!(second), "metadata_only", json!(second)),
        (json!(second), "unchanged", json!(second)),
        (Value::Null, "metadata_only", Value::Null),
    ] {
        let job = sent(&server, document(at.clone())).await;
        assert_eq!(job["documents"][0]["outcome"], outcome, "{at}: {job}");
        let page: Value = server.get("/documents").send().await.unwrap().json().await.unwrap();
        assert_eq!(page["documents"][0]["expires_at"], shown, "{page}");
    }
    for wrong in ["tomorrow", "2100-01-31", "2100-01-31T19:00:00"] {
        let refused = server.post("/ingest").json(&document(json!(wrong))).send().await.unwrap();
        let told = problem(refused, 422, "invalid-value").await;
        assert!(told["detail"].as_str().unwrap().starts_with("documents[0].expires_at: "), "{told}");
    }
    let past = sent(&server, document(json!("2001-01-01T00:00:00Z"))).await;
    let error = past["documents"][0]["error"].as_str().unwrap();
    assert!(error.contains("2001-01-01T00:00:00Z, which is over"), "{past}");
    assert!(finds(&server).await, "what stood still stands");
}

#[tokio::test]
async fn the_command_line_says_until_when_documents_are_found_here_and_at_a_server() {
    let home = Home::new();
    home.write("docs/a.md", OFFER);
    let until = "2100-02-01T00:00:00Z";
    let wrong = home.run(&["ingest", "docs", "--expires-at", "tomorrow"]);
    assert!(wrong.status.code() == Some(2) && String::from_utf8_lossy(&wrong.stderr).contains("2027-01-31T18:00:00Z"));
    assert!(home.run(&["ingest", "docs", "--expires-at", until]).status.success());
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    let shown = async |id: &str| {
        let document: Value = server.get(&format!("/documents/{id}")).send().await.unwrap().json().await.unwrap();
        document["expires_at"].clone()
    };
    assert_eq!(shown("a.md").await, until);
    let url = server.public.clone();
    let run = |arguments: &[&str]| home.run(&[&["ingest", "docs", "--server", &url], arguments].concat());
    assert!(run(&["--prefix", "far/", "--expires-at", until]).status.success());
    assert_eq!(shown("far/a.md").await, until);
    assert!(run(&["--prefix", "far/"]).status.success());
    assert_eq!(shown("far/a.md").await, Value::Null);
}
