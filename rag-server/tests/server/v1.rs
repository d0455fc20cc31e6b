//! The routes below `/v1`: OpenAI's shapes, its errors, and what is refused by name.

use serde_json::{Value, json};

use crate::process::{FREE_PORTS, Home, Server};

const MODEL: &str = "all-MiniLM-L6-v2";
const BACKUP: &str = "# Backup\n\nDaily snapshots are kept for 7 days.\nWeekly snapshots are kept for 5 weeks.\n";

async fn served(home: &Home) -> Server {
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    server
}

async fn post(server: &Server, path: &str, body: Value) -> (u16, Value) {
    let response = server.post(path).json(&body).send().await.unwrap();
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/json");
    (status, response.json().await.unwrap())
}

/// The vector at a place of an answer.
fn vector(answer: &Value, at: usize) -> Vec<f64> {
    let item = &answer["data"][at];
    assert_eq!((&item["object"], &item["index"]), (&json!("embedding"), &json!(at)));
    item["embedding"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Checks an error: its status, its code and the field that it names.
fn refused((status, body): &(u16, Value), expected: u16, code: &str, param: Option<&str>) {
    let error = &body["error"];
    assert_eq!((*status, error["code"].as_str(), error["param"].as_str()), (expected, Some(code), param), "{body}");
    assert!(!error["message"].as_str().unwrap().is_empty() && error["type"].is_string(), "{body}");
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
}

#[tokio::test]
async fn texts_become_vectors_of_length_one_in_their_order_and_in_both_encodings() {
    let home = Home::new();
    let server = served(&home).await;
    let texts = ["how long are backups kept?", "Backups are kept for 30 days.", "Bananas are rich in potassium."];
    let (status, answer) = post(&server, "/v1/embeddings", json!({"model": MODEL, "input": texts})).await;
    assert_eq!((status, &answer["object"], &answer["model"]), (200, &json!("list"), &json!(MODEL)));
    let vectors = [0, 1, 2].map(|at| vector(&answer, at));
    assert!(vectors.iter().all(|vector| vector.len() == 384 && (cosine(vector, vector) - 1.0).abs() < 1e-5));
    assert!(cosine(&vectors[0], &vectors[1]) > cosine(&vectors[0], &vectors[2]) + 0.3);
    let usage = &answer["usage"];
    assert_eq!(usage["prompt_tokens"], usage["total_tokens"]);
    assert!((15..30).contains(&usage["total_tokens"].as_u64().unwrap()), "{usage}");

    let one = json!({"model": MODEL, "input": texts[0], "encoding_format": "base64", "dimensions": 384, "user": "u"});
    let (status, answer) = post(&server, "/v1/embeddings", one).await;
    // 384 floats are 1536 bytes, which are 2048 letters.
    assert_eq!((status, answer["data"][0]["embedding"].as_str().map(str::len)), (200, Some(2048)));
}

#[tokio::test]
async fn what_cannot_be_embedded_is_refused_in_openais_shape() {
    let home = Home::new();
    let server = served(&home).await;
    let long = "word ".repeat(255);
    for (body, status, code, param) in [
        (json!({"input": "a"}), 400, "invalid_value", "model"),
        (json!({"model": "text-embedding-3-small", "input": "a"}), 404, "no_such_model", "model"),
        (json!({"model": MODEL, "input": ""}), 400, "invalid_value", "input"),
        (json!({"model": MODEL, "input": []}), 400, "invalid_value", "input"),
        (json!({"model": MODEL, "input": ["a", ""]}), 400, "invalid_value", "input[1]"),
        (json!({"model": MODEL, "input": ["a", long]}), 400, "invalid_value", "input[1]"),
        (json!({"model": MODEL, "input": vec!["a"; 2049]}), 400, "invalid_value", "input"),
        (json!({"model": MODEL, "input": "x".repeat(100_000)}), 400, "invalid_value", "input"),
        (json!({"model": MODEL, "input": "a", "dimensions": 256}), 400, "invalid_value", "dimensions"),
        (json!({"model": MODEL, "input": "a", "encoding_format": "int8"}), 400, "invalid_value", "encoding_format"),
        (json!({"model": MODEL, "input": [1, 2]}), 400, "invalid_value", "input[0]"),
    ] {
        let answer = post(&server, "/v1/embeddings", body).await;
        refused(&answer, status, code, Some(param));
    }
    let cut = json!({"model": MODEL, "input": [long, "x".repeat(100_000)], "truncate": true});
    let (status, answer) = post(&server, "/v1/embeddings", cut).await;
    assert_eq!((status, &answer["usage"]["total_tokens"]), (200, &json!(508)), "{answer}");
}

#[tokio::test]
async fn errors_that_no_handler_made_have_openais_shape_too() {
    let home = Home::new();
    home.write("keys/api-key.app.current", "reader-key-0123456789");
    let keyed = "[auth]\ncredentials_dir = \"keys\"\n[[auth.api_keys]]\nname = \"app\"\nrole = \"Reader\"\n";
    let server = home.serve(&format!("{FREE_PORTS}{keyed}"));
    server.await_ready().await;
    refused(&post(&server, "/v1/embeddings", json!({})).await, 401, "missing_api_key", None);
    let send = async |method: &str, path: &str, kind: &str, body: &'static str| {
        let request = server.request(method.parse().unwrap(), path).bearer_auth("reader-key-0123456789");
        let response = request.header("content-type", kind).body(body).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    refused(&send("GET", "/v1/nonsense", "application/json", "").await, 404, "no_such_route", None);
    refused(&send("GET", "/v1/embeddings", "application/json", "").await, 405, "method_not_allowed", None);
    refused(&send("POST", "/v1/embeddings", "application/json", "{").await, 400, "bad_request", None);
    refused(&send("POST", "/v1/embeddings", "text/plain", "{}").await, 415, "unsupported_media_type", None);
    refused(&send("GET", "/v1/models/gpt", "application/json", "").await, 404, "no_such_model", None);
    let (status, models) = send("GET", "/v1/models", "application/json", "").await;
    assert_eq!((status, models["data"].as_array().unwrap().len()), (200, 2));
    for model in models["data"].as_array().unwrap() {
        let path = format!("/v1/models/{}", model["id"].as_str().unwrap());
        assert_eq!(send("GET", &path, "application/json", "").await, (200, model.clone()));
    }
}

#[tokio::test]
async fn documents_are_ordered_by_their_nearness_to_the_question() {
    let home = Home::new();
    let server = served(&home).await;
    let documents =
        json!(["Bananas are yellow.", {"text": "Backups are kept for 30 days."}, "Bananas are rich in potassium."]);
    let request = json!({"model": MODEL, "query": "how long are backups kept?", "documents": documents});
    let (status, answer) = post(&server, "/v1/rerank", request.clone()).await;
    assert_eq!(status, 200, "{answer}");
    let results = answer["results"].as_array().unwrap();
    let scores: Vec<f64> = results.iter().map(|result| result["relevance_score"].as_f64().unwrap()).collect();
    assert_eq!((results.len(), &results[0]["index"]), (3, &json!(1)));
    assert!(scores.is_sorted_by(|a, b| a >= b) && scores.iter().all(|score| (0.0..=1.0).contains(score)), "{scores:?}");
    assert!(results[0].get("document").is_none());

    let mut best = request.clone();
    (best["top_n"], best["return_documents"]) = (json!(1), json!(true));
    let (_, answer) = post(&server, "/v1/rerank", best).await;
    assert_eq!(answer["results"].as_array().unwrap().len(), 1);
    assert_eq!(answer["results"][0]["document"], json!({"text": "Backups are kept for 30 days."}));

    for (field, value) in
        [("documents", json!([])), ("top_n", json!(0)), ("query", json!(" ")), ("documents", json!([1]))]
    {
        let mut wrong = request.clone();
        wrong[field] = value.clone();
        let answer = post(&server, "/v1/rerank", wrong).await;
        let param = if value == json!([1]) { "documents[0]" } else { field };
        refused(&answer, 400, "invalid_value", Some(param));
    }
}

#[tokio::test]
async fn a_chat_is_answered_from_the_documents_with_citations_and_refused_without() {
    let home = Home::new();
    let server = served(&home).await;
    server.ingest("ops/backup.md", BACKUP, "").await;
    let ask = |question: &str| {
        let messages = json!([{"role": "system", "content": "be brief"}, {"role": "user", "content": question}]);
        json!({"model": "rag", "messages": messages, "temperature": 0})
    };
    let (status, answer) = post(&server, "/v1/chat/completions", ask("How long are daily snapshots kept?")).await;
    assert_eq!((status, &answer["object"], &answer["model"]), (200, &json!("chat.completion"), &json!("rag")));
    let (choice, usage) = (&answer["choices"][0], &answer["usage"]);
    let message = &choice["message"];
    assert_eq!((&choice["finish_reason"], &message["role"]), (&json!("stop"), &json!("assistant")));
    assert!(message["content"].as_str().unwrap().contains("Daily snapshots are kept for 7 days."), "{answer}");
    assert_eq!(message["ragops"]["status"], "grounded");
    assert_eq!(message["ragops"]["citations"][0]["document"], "ops/backup.md");
    let tokens = |name: &str| usage[name].as_u64().unwrap();
    assert!(tokens("prompt_tokens") > 0 && tokens("completion_tokens") > 0, "{usage}");
    assert_eq!(tokens("total_tokens"), tokens("prompt_tokens") + tokens("completion_tokens"));

    let (status, answer) = post(&server, "/v1/chat/completions", ask("Who won the football cup in 1954?")).await;
    let message = &answer["choices"][0]["message"];
    assert_eq!((status, &message["ragops"]["status"]), (200, &json!("refused")), "{answer}");
    assert_eq!((&message["refusal"], &message["ragops"]["citations"]), (&json!(null), &json!([])));

    let mut tools = ask("How long?");
    tools["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
    refused(&post(&server, "/v1/chat/completions", tools).await, 400, "invalid_value", Some("tools"));
    let unknown = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "a"}]});
    refused(&post(&server, "/v1/chat/completions", unknown).await, 404, "no_such_model", Some("model"));
}

#[tokio::test]
async fn a_streamed_chat_is_the_same_answer_in_pieces() {
    let home = Home::new();
    let server = served(&home).await;
    server.ingest("ops/backup.md", BACKUP, "").await;
    let messages = json!([{"role": "user", "content": "How long are daily snapshots kept?"}]);
    let mut request = json!({"model": "rag", "messages": messages});
    let (_, whole) = post(&server, "/v1/chat/completions", request.clone()).await;
    for include_usage in [false, true] {
        (request["stream"], request["stream_options"]) = (json!(true), json!({"include_usage": include_usage}));
        let response = server.post("/v1/chat/completions").json(&request).send().await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let events = response.text().await.unwrap();
        let mut chunks: Vec<&str> = events.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert_eq!(chunks.pop(), Some("[DONE]"), "{events}");
        let mut chunks: Vec<Value> = chunks.iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect();
        if include_usage {
            let last = chunks.pop().unwrap();
            assert_eq!((&last["choices"], &last["usage"]), (&json!([]), &whole["usage"]));
        }
        // The role, the text and the end: an extractive answer is there at once.
        assert!(chunks.len() >= 3, "{events}");
        let delta = |chunk: &Value| chunk["choices"][0]["delta"].clone();
        let text: String =
            chunks.iter().filter_map(|chunk| delta(chunk)["content"].as_str().map(str::to_owned)).collect();
        let message = &whole["choices"][0]["message"];
        assert_eq!(text, message["content"].as_str().unwrap());
        assert_eq!(delta(&chunks[0])["role"], "assistant");
        let (last, before) = chunks.split_last().unwrap();
        assert_eq!(
            (&last["choices"][0]["finish_reason"], &delta(last)["ragops"]),
            (&json!("stop"), &message["ragops"])
        );
        assert!(before.iter().all(|chunk| chunk["choices"][0]["finish_reason"].is_null()), "{events}");
        assert!(
            chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"] && chunk["object"] == "chat.completion.chunk")
        );
    }
}
