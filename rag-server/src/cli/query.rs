//! `rag-server query`: ask a question, here or of a server.
//!
//! Exit codes: 0 answered, 3 refused because nothing relevant is stored, 1 failed.

use std::{error::Error, fmt::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    app::App,
    cli::{
        printable,
        server::{AskError, Server},
    },
    config::{Config, Retrieval},
    http::passage::CitationView,
    model::{Answer, AnswerStatus, Mode, Query},
    outside,
};

/// Exit code of a refusal: not a failure, and not an answer either.
const REFUSED: u8 = 3;
/// How long a server may take; its own limit is shorter and says why.
const DEADLINE: Duration = Duration::from_secs(60);
/// Bytes of an answer: fifty passages and their text come to less than a million.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// Characters of a passage that are shown.
const EXCERPT: usize = 240;
/// Lines of a passage that are shown.
const EXCERPT_LINES: usize = 6;

/// Flags of `rag-server query`.
#[derive(Debug, Args)]
pub struct QueryArgs {
    /// The question
    #[arg(value_name = "QUESTION", value_parser = question)]
    query: String,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    /// How many passages may be cited, 1 to 50
    #[arg(long, value_name = "N", value_parser = top_k)]
    top_k: Option<usize>,
    /// Which legs are searched: Hybrid, Dense or Lexical
    #[arg(long, value_parser = mode)]
    mode: Option<Mode>,
    /// Ask the server at this address instead of searching here
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// File that holds the server's API key; without it RAG_KEY is taken from the environment
    #[arg(long, value_name = "FILE", requires = "server")]
    key_file: Option<PathBuf>,
}

fn question(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("the question is empty".to_owned()) } else { Ok(text.to_owned()) }
}

fn top_k(text: &str) -> Result<usize, String> {
    let wanted = text.parse().ok().filter(|n| (1..=Retrieval::MAX_TOP_K).contains(n));
    wanted.ok_or_else(|| format!("it must be from 1 to {}", Retrieval::MAX_TOP_K))
}

pub(super) fn mode(text: &str) -> Result<Mode, String> {
    match text.to_ascii_lowercase().as_str() {
        "hybrid" => Ok(Mode::Hybrid),
        "dense" => Ok(Mode::Dense),
        "lexical" => Ok(Mode::Lexical),
        _ => Err("it must be Hybrid, Dense or Lexical".to_owned()),
    }
}

/// An answer in the shape that `POST /query` has. What is not printed for a reader is kept for `--json`.
#[derive(Debug, Serialize, Deserialize)]
struct Answered {
    status: AnswerStatus,
    answer: String,
    searched: u64,
    citations: Vec<CitationView>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Asks and prints.
pub(super) async fn run(args: QueryArgs, config: &Config) -> Result<ExitCode, Box<dyn Error>> {
    let answered = match &args.server {
        Some(server) => ask(server, &args).await?,
        None => search(&args, config).await?,
    };
    if args.json {
        println!("{}", printable::json(&serde_json::to_string_pretty(&answered)?));
    } else {
        print!("{}", readable(&answered));
    }
    Ok(match answered.status {
        AnswerStatus::Grounded | AnswerStatus::Partial => ExitCode::SUCCESS,
        AnswerStatus::Refused => ExitCode::from(REFUSED),
    })
}

async fn search(args: &QueryArgs, config: &Config) -> Result<Answered, Box<dyn Error>> {
    let app = App::open(config).await?;
    let query = Query {
        text: args.query.clone(),
        mode: args.mode.unwrap_or(config.retrieval.mode),
        top_k: args.top_k.unwrap_or(config.retrieval.top_k),
        ..Query::default()
    };
    let answer = app.answers.answer(&query).await;
    // Nothing was written: what closing could say does not concern the question.
    let _closed = app.close().await;
    Ok(answer?.into())
}

async fn ask(server: &str, args: &QueryArgs) -> Result<Answered, AskError> {
    let server = Server::new(server, args.key_file.as_deref(), reqwest::Client::builder().timeout(DEADLINE))?;
    let mut body = serde_json::json!({ "query": args.query });
    if let Some(top_k) = args.top_k {
        body["top_k"] = top_k.into();
    }
    if let Some(mode) = args.mode {
        body["mode"] = serde_json::json!(mode);
    }
    let response = server.post("/query", &body).await?;
    let bytes = outside::bounded(response, MAX_ANSWER_BYTES).await.map_err(|e| server.unreachable(&e))?;
    serde_json::from_slice(&bytes).map_err(|e| server.not_ours(&e))
}

/// The answer, then the passages that it refers to.
fn readable(answered: &Answered) -> String {
    let mut text = format!("{}\n", printable::lines(&answered.answer));
    let referred = |source: &&CitationView| answered.answer.contains(&format!("[{}]", source.reference));
    for source in answered.citations.iter().filter(referred) {
        let passage = &source.passage;
        let heading = if passage.heading.is_empty() { &passage.title } else { &passage.heading };
        let _infallible = write!(
            text,
            "\n  [{}] {}  {}  (score {:.2})\n{}",
            source.reference,
            printable::line(&passage.document),
            printable::line(heading),
            passage.score,
            excerpt(&passage.text)
        );
    }
    let others = answered.citations.len() - answered.citations.iter().filter(referred).count();
    if others > 0 {
        let _infallible = write!(text, "\n  more passages found: {others} (--json shows them)\n");
    }
    text
}

/// The beginning of a passage, its lines below the line that names it.
fn excerpt(passage: &str) -> String {
    let whole = printable::lines(passage);
    let end = whole.char_indices().nth(EXCERPT).map_or(whole.len(), |(end, _)| end);
    let shown: Vec<&str> = whole[..end].lines().take(EXCERPT_LINES).collect();
    let length = shown.iter().map(|line| line.len() + 1).sum::<usize>();
    let more = if length <= whole.len() { "..." } else { "" };
    format!("      {}{more}\n", shown.join("\n      "))
}

impl From<Answer> for Answered {
    fn from(answer: Answer) -> Self {
        let citations = answer.citations.into_iter().map(CitationView::from).collect();
        Self { status: answer.status, answer: answer.text, searched: answer.searched, citations, rest: Map::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::passage::PassageView;

    fn source(reference: usize, text: &str) -> CitationView {
        let passage = PassageView {
            document: "ops/backup.md".to_owned(),
            title: "Backup".to_owned(),
            heading: "Backup > Retention".to_owned(),
            text: text.to_owned(),
            score: 0.61,
            chunk: "c".to_owned(),
        };
        CitationView { reference, passage }
    }

    fn answered(answer: &str, citations: Vec<CitationView>) -> Answered {
        let (status, answer) = (AnswerStatus::Grounded, answer.to_owned());
        Answered { status, answer, searched: 3, citations, rest: Map::new() }
    }

    #[test]
    fn sources_that_the_answer_refers_to_are_shown_and_the_others_counted() {
        let text = readable(&answered("Kept 7 days. [2]", vec![source(1, "a"), source(2, "Kept\r\n7 days.")]));
        assert_eq!(
            text,
            "Kept 7 days. [2]\n\n  [2] ops/backup.md  Backup > Retention  (score 0.61)\n      Kept\n      7 days.\n\n  more passages found: 1 (--json shows them)\n"
        );
    }

    #[test]
    fn tables_and_code_keep_their_lines() {
        let answer = "Run:\n```\nif x:\n    go\n```\n[1]\n\nZone | Adult\nEast | 44 kr\n[1]";
        let text = readable(&answered(answer, vec![source(1, "Zone | Adult\nNorth | 30 kr\nEast | 44 kr")]));
        assert!(text.starts_with(&format!("{answer}\n\n  [1] ops/backup.md  Backup > Retention")), "{text}");
        assert!(text.contains("\n      Zone | Adult\n      North | 30 kr\n      East | 44 kr\n"), "{text}");
        let long = readable(&answered("x [1]", vec![source(1, &"row\n".repeat(50))]));
        assert!(long.matches("      row").count() == EXCERPT_LINES && long.ends_with("row...\n"), "{long}");
    }

    #[test]
    fn a_document_cannot_command_the_terminal() {
        let text = readable(&answered("\u{1b}[2Jx [1]", vec![source(1, "\u{1b}]0;title\u{7}y")]));
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
    }

    #[test]
    fn a_long_passage_is_cut_between_characters() {
        let text = readable(&answered("[1]", vec![source(1, &"ü".repeat(1_000))]));
        assert!(text.contains("ü...") && text.chars().filter(|c| *c == 'ü').count() == EXCERPT);
    }

    #[test]
    fn flags_are_checked_before_anything_is_opened() {
        assert_eq!(mode("dense"), Ok(Mode::Dense));
        assert!(mode("both").is_err() && top_k("0").is_err() && top_k("51").is_err() && question(" ").is_err());
        assert_eq!(top_k("50"), Ok(50));
    }

    #[test]
    fn nothing_of_a_server_s_answer_is_lost_on_the_way_to_json() {
        let citation = r#"{"ref":1,"document":"d","title":"t","heading":"h","text":"x","score":0.5,"chunk":"c"}"#;
        let body = format!(r#"{{"status":"grounded","answer":"a","searched":1,"citations":[{citation}],"id":"7"}}"#);
        let told: Value = serde_json::from_str(&body).unwrap();
        let answered: Answered = serde_json::from_str(&body).unwrap();
        assert_eq!(serde_json::to_value(answered).unwrap(), told);
    }
}
