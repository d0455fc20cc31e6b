//! Questions in, answers with citations or refusals out, over HTTP and by the command line.

use serde_json::{Value, json};

use crate::process::{FREE_PORTS, Home, Server};

const BACKUP: &str = "# Backup\n\nEvery night at two the database is saved.\n\n## Retention\n\nDaily snapshots are kept for 7 days.\nWeekly snapshots are kept for 5 weeks.\n";
const ERRORS: &str = "# Error codes\n\nERR_4711 means that the disk is full: free some space and restart the writer.\n\nERR_4712 means that the certificate has expired.\n";
const PUMPS: &str = "# Pumps\n\nA pump is greased every month by the person on duty.\n";

async fn ask(server: &Server, body: Value) -> Value {
    let response = server.post("/query").json(&body).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

async fn with_documents(home: &Home) -> Server {
    let server = home.serve(FREE_PORTS);
    server.await_ready().await;
    for (id, text) in [("ops/backup.md", BACKUP), ("ops/errors.md", ERRORS), ("ops/pumps.md", PUMPS)] {
        server.ingest(id, text, "").await;
    }
    server
}

/// The documents that the answer's text refers to.
fn referred(answer: &Value) -> Vec<&str> {
    let text = answer["answer"].as_str().unwrap();
    let citations = answer["citations"].as_array().unwrap().iter();
    citations
        .filter(|citation| text.contains(&format!("[{}]", citation["ref"])))
        .map(|citation| citation["document"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_question_is_answered_in_every_mode_from_the_document_that_knows_and_refused_where_none_does() {
    let home = Home::new();
    let server = with_documents(&home).await;
    for mode in ["Hybrid", "Dense", "Lexical"] {
        let answer = ask(&server, json!({"query": "How long are daily snapshots kept?", "mode": mode})).await;
        assert_eq!(answer["status"], "grounded", "{mode}: {answer}");
        assert!(
            answer["answer"].as_str().unwrap().contains("Daily snapshots are kept for 7 days."),
            "{mode}: {answer}"
        );
        assert_eq!(referred(&answer)[0], "ops/backup.md", "{mode}: {answer}");
        let cited = answer["citations"][0]["text"].as_str().unwrap();
        assert!(BACKUP.contains(cited), "{mode}: a citation is a piece of its document: {cited}");

        let refused = ask(&server, json!({"query": "Who won the football cup in 1954?", "mode": mode})).await;
        let expected =
            json!({"status": "refused", "answer": "Nothing in these documents answers this.", "citations": []});
        for member in ["status", "answer", "citations"] {
            assert_eq!(refused[member], expected[member], "{mode}: {refused}");
        }
        assert!(refused["searched"].as_u64().unwrap() >= 3, "{mode}: {refused}");
    }
}

#[tokio::test]
async fn forty_sheets_of_one_template_leave_a_place_to_the_exception() {
    let home = Home::new();
    let server = with_documents(&home).await;
    let sheets: Value = serde_json::from_str(include_str!("../cases/suppliers.json")).unwrap();
    for sheet in sheets["documents"].as_array().unwrap() {
        server.ingest(sheet["id"].as_str().unwrap(), sheet["text"].as_str().unwrap(), "").await;
    }
    for mode in ["Hybrid", "Dense", "Lexical"] {
        let answer = ask(&server, json!({"query": "When are invoices paid?", "mode": mode, "top_k": 5})).await;
        let cited: Vec<&str> =
            answer["citations"].as_array().unwrap().iter().map(|cited| cited["document"].as_str().unwrap()).collect();
        assert!(cited[..3].contains(&"policy.md"), "{mode}: {cited:?}");
        let copies = cited.iter().filter(|document| document.starts_with("inv/")).count();
        assert!(copies == 2 || mode == "Lexical", "{mode}: {cited:?}");
    }
}

#[tokio::test]
async fn an_error_code_is_found_as_a_whole_and_an_unknown_one_is_not_guessed() {
    let home = Home::new();
    let server = with_documents(&home).await;
    let answer = ask(&server, json!({"query": "ERR_4711"})).await;
    assert_eq!((&answer["status"], referred(&answer)), (&json!("grounded"), vec!["ops/errors.md"]), "{answer}");
    for unknown in ["zzyzx qwrty ERR_9999 blorb", "zzyzx qwrty ERR_4711 blorb"] {
        let unknown = ask(&server, json!({"query": unknown})).await;
        assert_eq!(unknown["status"], "refused", "{unknown}");
    }
}

#[tokio::test]
async fn an_identifier_in_a_question_lifts_no_refusal_of_what_else_it_asks() {
    let home = Home::new();
    let server = with_documents(&home).await;
    let policy = "# Travel\n\nDuring COVID-19 every business trip needs the approval of the head of department.\n";
    server.ingest("travel.md", policy, "").await;
    for question in [
        "Which club won the football league during COVID-19?",
        "What is the recipe of pancakes in the COVID-19 cookbook?",
        "Welcher Verein gewann die Meisterschaft während COVID-19?",
    ] {
        let refused = ask(&server, json!({"query": question})).await;
        assert_eq!(refused["status"], "refused", "{refused}");
    }
    let answer = ask(&server, json!({"query": "Who approves a business trip during COVID-19?"})).await;
    assert_eq!((&answer["status"], referred(&answer)), (&json!("grounded"), vec!["travel.md"]), "{answer}");
}

#[tokio::test]
async fn a_replaced_or_deleted_text_is_never_cited_again() {
    let home = Home::new();
    let server = with_documents(&home).await;
    let question = json!({"query": "How long are daily snapshots kept?", "top_k": 50});
    server.ingest("ops/backup.md", &BACKUP.replace("for 7 days", "for 9 days"), "").await;
    let answer = ask(&server, question.clone()).await;
    assert!(
        answer["answer"].as_str().unwrap().contains("for 9 days") && !answer.to_string().contains("7 days"),
        "{answer}"
    );

    let deleted = server.request(reqwest::Method::DELETE, "/documents/ops/backup.md").send().await.unwrap();
    assert!(deleted.status().is_success(), "{deleted:?}");
    let answer = ask(&server, question).await;
    assert!(!answer.to_string().contains("ops/backup.md"), "{answer}");
}

#[test]
fn the_command_line_answers_with_sources_and_tells_a_refusal_by_its_exit_code() {
    let home = Home::new();
    for (name, text) in [("backup.md", BACKUP), ("pumps.md", PUMPS)] {
        home.write(&format!("docs/{name}"), text);
    }
    assert!(home.run(&["ingest", "docs"]).status.success());
    let run = |arguments: &[&str]| {
        let output = home.run(arguments);
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = run(&["query", "How long are daily snapshots kept?"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Daily snapshots are kept for 7 days.") && said.contains("\n  [1] backup.md  "), "{said}");

    let (code, said) =
        run(&["query", "--json", "--top-k", "1", "--mode", "dense", "How long are daily snapshots kept?"]);
    let answer: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &answer["status"]), (Some(0), &json!("grounded")));
    assert_eq!(answer["citations"].as_array().unwrap().len(), 1);

    let (code, said) = run(&["query", "Who won the football cup in 1954?"]);
    assert_eq!((code, said.as_str()), (Some(3), "Nothing in these documents answers this.\n"));
    assert_eq!(run(&["query", " "]).0, Some(2));
}
