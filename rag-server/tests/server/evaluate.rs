//! How well the search finds what it should, measured over HTTP and by the command line, beside figures that were computed by hand.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    credentials::keyed,
    process::{FREE_PORTS, Home, Server, problem},
};

const DOCUMENTS: [(&str, &str); 3] = [
    (
        "ops/backup.md",
        "# Saving the database\n\nEvery night at two it is saved.\n\n## How long snapshots are kept\n\nDaily snapshots are kept for 7 days.\n",
    ),
    (
        "ops/pumps.md",
        "# Care of pumps\n\nA pump is greased every month by the person on duty.\n\n## Overview\n\nThere are nine pumps.\n",
    ),
    (
        "ops/canteen.md",
        "# Opening hours\n\nThe canteen opens at noon.\n\n## Care of pumps\n\nThe pump of the coffee machine is greased by the cook.\n",
    ),
];

/// What is asked, and what each question is worth by hand: nDCG@10, recall@10, reciprocal rank, success@5.
fn judged() -> Value {
    json!([
        // The right document stands in front: 1, 1, 1, 1.
        {"id": "kept", "text": "How long are daily snapshots kept?", "relevant": ["ops/backup.md"]},
        // Refused, so that nothing is found: 0, 0, 0, 0.
        {"id": "cup", "text": "Who won the football cup in 1954?", "relevant": ["ops/pumps.md"]},
        // One of two stands in front, the other is not stored: 1 / (1 + 1 / log2(3)) = 0.61315, 0.5, 1, 1.
        {"id": "half", "text": "When does the canteen open?", "relevant": {"ops/canteen.md": 1, "ops/menu.md": 1, "ops/pumps.md": 0}}
    ])
}

const NDCG: f64 = (1.0 + 0.0 + 0.613_147) / 3.0;
const MODES: [&str; 3] = ["Hybrid", "Dense", "Lexical"];

async fn with_documents(home: &Home, config: &str, key: &str) -> Server {
    let server = home.serve(config);
    server.await_ready().await;
    for (id, text) in DOCUMENTS {
        server.ingest(id, text, key).await;
    }
    server
}

fn is_close(found: &Value, expected: f64) -> bool {
    (found.as_f64().unwrap() - expected).abs() < 1e-5
}

fn check(report: &Value) {
    assert_eq!((&report["queries"], &report["k"], &report["origin"]), (&json!(3), &json!(10), &json!("judged")));
    assert_eq!(report["unknown"], json!({"count": 1, "documents": ["ops/menu.md"]}));
    let modes = report["modes"].as_array().unwrap();
    assert_eq!(modes.iter().map(|mode| mode["mode"].as_str().unwrap()).collect::<Vec<_>>(), MODES);
    for mode in modes {
        assert!(is_close(&mode["ndcg"]["mean"], NDCG), "{mode}");
        assert!(is_close(&mode["recall"], 0.5) && is_close(&mode["mrr"], 2.0 / 3.0), "{mode}");
        assert!(is_close(&mode["success_at_5"], 2.0 / 3.0) && mode["refused"] == 1, "{mode}");
        assert!(mode["p50_millis"].as_f64() > Some(0.0) && mode["p95_millis"].as_f64() >= mode["p50_millis"].as_f64());
    }
    assert!(modes[0].get("difference").is_none(), "{}", modes[0]);
    assert_eq!(modes[1]["difference"], json!({"mean": 0.0, "low": 0.0, "high": 0.0}));
    assert_eq!(
        (&report["recommendation"]["mode"], &report["recommendation"]["change"]),
        (&json!("Hybrid"), &json!(false))
    );
}

/// Everything but the times.
fn timeless(mut report: Value) -> Value {
    for mode in report["modes"].as_array_mut().unwrap() {
        mode["p50_millis"].take();
        mode["p95_millis"].take();
    }
    for query in report["per_query"].as_array_mut().unwrap() {
        query["modes"].as_array_mut().unwrap().iter_mut().for_each(|mode| drop(mode["millis"].take()));
    }
    report
}

#[tokio::test]
async fn the_figures_are_those_computed_by_hand_over_http_and_by_the_command_line() {
    let home = Home::new();
    let server = with_documents(&home, FREE_PORTS, "").await;
    let metrics = async || server.manage("/metrics").send().await.unwrap().text().await.unwrap();
    assert!(!metrics().await.contains("rag_query_accuracy"), "nothing was measured yet");

    let answer = server.post("/evaluate").json(&json!({"queries": judged()})).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let report: Value = answer.json().await.unwrap();
    check(&report);
    let measured = metrics().await;
    for mode in MODES {
        assert!(measured.contains(&format!("rag_query_accuracy{{mode=\"{mode}\"}} 0.5377")), "{measured}");
    }

    home.write("queries.jsonl", &beir());
    home.write("qrels.txt", "kept 0 ops/backup.md 1\ncup 0 ops/pumps.md 1\nhalf 0 ops/canteen.md 1\nhalf 0 ops/menu.md 1\nhalf 0 ops/pumps.md 0\n");
    let sets = ["--queries", "queries.jsonl", "--qrels", "qrels.txt"];
    let remote = home.run(&[&["evaluate", "--json", "--server", &server.public], &sets[..]].concat());
    assert!(remote.status.success(), "{}", String::from_utf8_lossy(&remote.stderr));
    let told: Value = serde_json::from_slice(&remote.stdout).unwrap();
    assert_eq!(timeless(told), timeless(report));
}

fn beir() -> String {
    let line = |query: &Value| json!({"_id": query["id"], "text": query["text"]}).to_string();
    judged().as_array().unwrap().iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_folder_is_measured_in_place_and_a_hostile_question_stays_text_in_the_report() {
    let home = Home::new();
    for (id, text) in DOCUMENTS {
        home.write(&format!("docs/{id}"), text);
    }
    assert!(home.run(&["ingest", "docs"]).status.success());
    let hostile = "<script>alert(1)</script> \u{1b}[2J \u{202e}";
    home.write("topics.txt", &format!("kept\tHow long are daily snapshots kept?\nhostile\t{hostile}\n"));
    home.write(
        "qrels.tsv",
        "query-id\tcorpus-id\tscore\nkept\tops/backup.md\t1\nhostile\tops/pumps.md\t1\nhostile\tops/\u{202e}no.md\t1\n",
    );
    let sets = ["evaluate", "--queries", "topics.txt", "--qrels", "qrels.tsv", "--report", "report.html"];
    let output = home.run(&sets);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.starts_with("mode ") && said.contains("Hybrid (configured)"), "{said}");
    assert!(said.trim_end().lines().last().unwrap().starts_with("2 questions: keep Hybrid"), "{said}");
    assert!(said.contains("not stored count as not found (1)") && !said.contains(['\u{1b}', '\u{202e}']), "{said:?}");
    let page = std::fs::read_to_string(home.path("report.html")).unwrap();
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");

    // Of six headings two are the same, and one is a single word.
    let output = home.run(&["evaluate", "--json", "--mode", "lexical"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let items = json!({"documents": 3, "documents_read": 3, "headings": 5, "repeated": 1, "unusable": 1});
    assert_eq!(report["origin"], json!({"known_items": items}), "{report}");
    let asked: Vec<&str> =
        report["per_query"].as_array().unwrap().iter().map(|q| q["text"].as_str().unwrap()).collect();
    assert_eq!(asked, ["How long snapshots are kept", "Opening hours", "Saving the database"]);
    assert_eq!(report["modes"].as_array().unwrap().len(), 2, "the configured mode is always measured: {report}");
}

#[tokio::test]
async fn what_cannot_be_measured_is_refused_with_the_limit_or_the_name() {
    let home = Home::new();
    let server = with_documents(&home, &keyed(&home), "writer-key-0123456789").await;
    let evaluate = async |body: &Value| {
        server.post("/evaluate").header("x-api-key", "writer-key-0123456789").json(body).send().await.unwrap()
    };
    let query = |relevant: &str| json!({"text": "why?", "relevant": [relevant]});
    let many: Vec<Value> = (0..1001).map(|_| query("ops/pumps.md")).collect();
    for (body, expected) in [
        (json!({"queries": many}), "queries: 1001 in one request; send 1 to 1000"),
        (
            json!({"queries": [query("ops/nothing.md")]}),
            "none of the 1 relevant documents is stored, such as \"ops/nothing.md\"",
        ),
        (json!({"sample": 5000}), "sample: 5000; it must be from 1 to 1000"),
    ] {
        let refused = problem(evaluate(&body).await, 422, "invalid-value").await;
        assert!(refused["detail"].as_str().unwrap().contains(expected), "{refused}");
    }
    let body = json!({"sample": 5});
    let reader =
        server.post("/evaluate").header("x-api-key", "reader-key-0123456789").json(&body).send().await.unwrap();
    problem(reader, 403, "role-too-low").await;
    assert_eq!(evaluate(&body).await.status(), StatusCode::OK);

    home.write("queries.tsv", "q\twhy?\n");
    home.write("qrels.tsv", "q\tops/nothing.md\t1\n");
    home.write("key", "writer-key-0123456789");
    let set = [
        "evaluate",
        "--queries",
        "queries.tsv",
        "--qrels",
        "qrels.tsv",
        "--server",
        &server.public,
        "--key-file",
        "key",
    ];
    let output = home.run(&set);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("answered 422: none of the 1 relevant documents is stored"), "{said}");
}
