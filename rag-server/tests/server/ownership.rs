//! Whose a corpus is: two clusters of one name over one store are told apart by their ids.

use reqwest::StatusCode;

use crate::{
    process::{FREE_PORTS, Home, Server, eventually, problem},
    shared_store::SharedStore,
};

/// A server of `team-a/handbook` over a store that others use as well.
fn serve(home: &Home, store: &SharedStore, id: &str) -> Server {
    let owner = format!("owner = \"team-a/handbook\"\nowner_id = {id:?}\n");
    home.serve_over_store(&[owner.as_str(), FREE_PORTS, store.config().as_str()].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_cluster_of_one_name_takes_nothing_stays_up_and_says_whose_the_corpus_is() {
    let (store, homes) = (SharedStore::start().await, [Home::new(), Home::new()]);
    let first = serve(&homes[0], &store, "one");
    first.await_ready().await;
    let mut second = serve(&homes[1], &store, "other");
    let waits = second.await_log("waiting for the corpus");
    let error = waits["error"].as_str().unwrap();
    assert!(error.contains("the id \"one\"") && error.contains("the id \"other\""), "{waits}");
    let said = problem(second.manage("/health/ready").send().await.unwrap(), 503, "not-ready").await;
    let waiting = said["waiting_for"].as_array().unwrap();
    assert!(waiting.contains(&"the corpus (belongs to another cluster)".into()), "{said}");
    let body = serde_json::json!({"documents": [{"id": "a", "text": "Theirs."}]});
    problem(second.post("/ingest").json(&body).send().await.unwrap(), 503, "not-ready").await;
    // It tries again, and has not ended meanwhile.
    second.await_log("waiting for the corpus");
    assert_eq!(second.manage("/health/live").send().await.unwrap().status(), StatusCode::OK);
    drop(first);
    // The corpus is its owner's as before.
    serve(&homes[0], &store, "one").await_ready().await;
    second.terminate();
    assert_eq!(second.await_exit().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_the_corpus_of_somebody_else_does_not_keep_it_from_its_owner() {
    let home = Home::new();
    let of = |owner: &str| format!("owner = {owner:?}\n{FREE_PORTS}");
    home.write("mine.toml", &of("team-a/handbook"));
    let mut mine = Server::start(&home.command(&["serve", "--config", "mine.toml"]));
    mine.await_ready().await;
    mine.ingest("gate.txt", "The gate is opened at six.", "").await;
    mine.terminate();
    assert_eq!(mine.await_exit().await.code(), Some(0));
    let mut other = home.serve(&of("team-b/handbook"));
    other.await_log("waiting for the corpus");
    // It looks again from time to time, which takes a moment.
    let ask = || home.run(&["query", "When is the gate opened?", "--config", "mine.toml"]);
    eventually("the owner may use it", async || tokio::task::block_in_place(ask).status.success()).await;
    // It has not ended meanwhile, whichever it found: the corpus of somebody else, or somebody else at it.
    other.await_log("waiting for the");
    assert_eq!(other.manage("/health/live").send().await.unwrap().status(), StatusCode::OK);
}
