//! A real language model, small enough for any machine, writes a streamed answer: SmolLM2 served by llama.cpp on loopback.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    generation::{events, text_of},
    process::{FREE_PORTS, Home},
};

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/llm").join(name)
}

/// The folder with the model and what serves it, or why it cannot be had.
fn fetched() -> Result<PathBuf, String> {
    let output = Command::new("bash").arg(script("fetch.sh")).output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    match output.status.code() {
        Some(0) => Ok(said(&output.stdout).into()),
        Some(3) => Err(said(&output.stderr).replace('\n', " ")),
        _ => panic!("{}", said(&output.stderr)),
    }
}

/// The model, served for as long as this lives.
struct Model {
    child: Child,
    url: String,
}

impl Model {
    fn serve(folder: &Path) -> Self {
        let mut child = Command::new("python3")
            .arg(script("serve.py"))
            .arg(folder.join("model.gguf"))
            .env("PYTHONPATH", folder.join("engine"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
        Self { child, url: url.expect("the model is served") }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

#[tokio::test]
async fn a_real_language_model_answers_with_a_citation_and_as_a_stream() {
    let folder = match fetched() {
        Ok(folder) => folder,
        Err(why) => {
            eprintln!("skipped, because {why}: a_real_language_model_answers_with_a_citation_and_as_a_stream");
            return;
        }
    };
    let (model, home) = (Model::serve(&folder), Home::new());
    // A busy machine reads a prompt at a few tokens a second.
    let config = format!(
        "{FREE_PORTS}request_timeout_seconds = 600\n[generation]\nfallback = \"None\"\n[[generation.providers]]\nname = \"smollm2\"\nbase_url = \"{}/v1\"\nmodel = \"smollm2\"\nmax_tokens = 24\ntimeout_seconds = 600\n",
        model.url
    );
    let server = home.serve(&config);
    server.await_ready().await;
    let text = "# Backup\n\nDaily snapshots are kept for 7 days.\nWeekly snapshots are kept for 5 weeks.\n";
    server.ingest("ops/backup.md", text, "").await;
    let body =
        json!({"query": "How long are daily snapshots kept?", "stream": true, "explain": true, "temperature": 0});
    let request = server.post("/query").timeout(std::time::Duration::from_secs(610));
    let response = request.json(&body).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let events = events(&response.text().await.unwrap());
    let names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    let (first, texts, last) = (names[0], &names[1..names.len() - 1], names[names.len() - 1]);
    assert!(first == "citations" && last == "answer" && texts.len() > 3, "{events:?}");
    assert!(texts.iter().all(|name| *name == "text"), "{events:?}");
    let answer = &events[events.len() - 1].1;
    assert_eq!((&answer["written_by"], &answer["answer"]), (&json!("smollm2"), &json!(text_of(&events))));
    assert!(text_of(&events).contains("7 days"), "{answer}");
    let supported: Vec<&Value> =
        answer["sentences"].as_array().unwrap().iter().filter(|sentence| sentence["supported"] == true).collect();
    assert!(supported.iter().any(|sentence| sentence["refs"] == json!([1])), "{answer}");
    assert_eq!(answer["citations"][0]["document"], "ops/backup.md");
    let usage = &answer["explain"]["generation"]["usage"];
    assert!(usage["prompt_tokens"].as_u64().unwrap() > 50 && usage["completion_tokens"].as_u64().unwrap() > 3);
    assert_eq!(usage["estimated"], false, "the tokens are those that the model counted: {answer}");
}
