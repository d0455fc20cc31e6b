//! `rag-server evaluate`: how well each mode of the search finds what it should, here or on a server.
//!
//! Exit codes: 0 measured, whatever the figures are; 1 failed.

mod remote;
pub(super) mod show;

use std::{
    error::Error,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;

use self::show::Bar;
use crate::{
    app::App,
    cli::{printable, query::mode},
    config::Config,
    evaluate::{
        DEFAULT_K, DEFAULT_SAMPLE, EvaluateError, Evaluation, MAX_K, Questions, page,
        query_set::{self, JudgedQuery, MAX_QUERIES, QuerySet, QuerySetError},
        report::{Report, Settings},
    },
    model::{Mode, Tenant},
};

/// Bytes of a file of questions or judgements; those of BEIR have at most a tenth.
const MAX_FILE_BYTES: u64 = 64 << 20;

const SETS: &str = "\
Questions and judgements are files as BEIR and TREC have them:
  queries   {\"_id\": \"q1\", \"text\": \"how long?\"}       or   q1<TAB>how long?
  qrels     q1<TAB>ops/backup.md<TAB>1 (with a header)  or   q1 0 ops/backup.md 1

Without them headings of the stored documents are asked as questions. What a passage is searched by
includes its headings, so such questions favour the lexical leg: confirm with questions of your own.";

/// Flags of `rag-server evaluate`.
#[derive(Debug, Args)]
#[command(after_help = SETS)]
pub struct EvaluateArgs {
    /// Questions, in a file of BEIR (JSON lines) or TREC (id, tab, question); without it headings are asked
    #[arg(long, value_name = "FILE", requires = "qrels")]
    queries: Option<PathBuf>,
    /// Which documents answer them, in a file of BEIR or TREC
    #[arg(long, value_name = "FILE", requires = "queries")]
    qrels: Option<PathBuf>,
    /// How many headings are asked (200), or how many of the questions (all); the same ones each time, 1 to 1000
    #[arg(long, value_name = "N", value_parser = sample)]
    sample: Option<usize>,
    /// A mode to measure beside the configured one, Hybrid, Dense or Lexical; may be repeated; all without it
    #[arg(long = "mode", value_name = "MODE", value_parser = mode)]
    modes: Vec<Mode>,
    /// Places that recall and MRR look at, 1 to 50
    #[arg(long, value_name = "K", default_value_t = DEFAULT_K, value_parser = places)]
    k: usize,
    /// Print the figures as JSON, those of each question included
    #[arg(long)]
    json: bool,
    /// Also write the report as one HTML page, with plots and the worst questions
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Measure the server at this address instead of the data of this machine
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// File that holds the server's API key; without it RAG_KEY is taken from the environment
    #[arg(long, value_name = "FILE", requires = "server")]
    key_file: Option<PathBuf>,
}

fn sample(text: &str) -> Result<usize, String> {
    within(text, MAX_QUERIES)
}

fn places(text: &str) -> Result<usize, String> {
    within(text, MAX_K)
}

fn within(text: &str, most: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| (1..=most).contains(n));
    number.ok_or_else(|| format!("it must be from 1 to {most}"))
}

/// Why the questions cannot be used.
#[derive(Debug, thiserror::Error)]
enum AskedError {
    #[error("{path} cannot be read: {cause}")]
    Unreadable { path: String, cause: io::Error },
    #[error("{path} has more than {MAX_FILE_BYTES} bytes; keep the questions that are to be measured")]
    TooLarge { path: String },
    #[error(transparent)]
    Set(#[from] QuerySetError),
    #[error("the question {id:?}: {why}")]
    Query { id: String, why: String },
    #[error(
        "{0} questions have relevant documents, and {MAX_QUERIES} are measured at most; --sample {MAX_QUERIES} draws so many"
    )]
    TooMany(usize),
}

/// What is asked.
enum Asked {
    /// These questions.
    Queries(Vec<JudgedQuery>),
    /// So many headings.
    Sample(usize),
}

/// Measures and prints.
pub(super) async fn run(args: EvaluateArgs, config: &Config) -> Result<ExitCode, Box<dyn Error>> {
    let asked = asked(&args)?;
    let report = match &args.server {
        Some(server) => remote::evaluate(server, &args, asked).await?,
        None => local(&args, asked, config).await?,
    };
    if args.json {
        println!("{}", printable::json(&serde_json::to_string_pretty(&report)?));
    } else {
        print!("{}", show::readable(&report));
    }
    if let Some(path) = &args.report {
        let written = std::fs::write(path, page::html(&report)?);
        written.map_err(|e| format!("{} cannot be written: {e}; the figures above stand", path.display()))?;
        eprintln!("the report is in {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// What the arguments name. What of the files is not measured is said.
fn asked(args: &EvaluateArgs) -> Result<Asked, AskedError> {
    let (Some(queries), Some(qrels)) = (&args.queries, &args.qrels) else {
        return Ok(Asked::Sample(args.sample.unwrap_or(DEFAULT_SAMPLE)));
    };
    let QuerySet { queries, unjudged, strange } = QuerySet::read(&read(queries)?, &read(qrels)?)?;
    if unjudged + strange > 0 {
        eprintln!(
            "left out: {unjudged} questions without a relevant document, {strange} judged questions without a text"
        );
    }
    let queries = match args.sample {
        Some(sample) => query_set::drawn(queries, sample),
        None if queries.len() > MAX_QUERIES => return Err(AskedError::TooMany(queries.len())),
        None => queries,
    };
    for query in &queries {
        query_set::check(query).map_err(|why| AskedError::Query { id: query.id.clone(), why })?;
    }
    Ok(Asked::Queries(queries))
}

fn read(path: &Path) -> Result<String, AskedError> {
    let named = || path.display().to_string();
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text));
    match read {
        Err(cause) => Err(AskedError::Unreadable { path: named(), cause }),
        Ok(bytes) if bytes as u64 > MAX_FILE_BYTES => Err(AskedError::TooLarge { path: named() }),
        Ok(_) => Ok(text),
    }
}

async fn local(args: &EvaluateArgs, asked: Asked, config: &Config) -> Result<Report, Box<dyn Error>> {
    let app = App::open(config).await?;
    let report = measured(&app, args, asked, config.retrieval.mode).await;
    // Nothing was written: what closing could say does not concern the figures.
    let _closed = app.close().await;
    Ok(report?)
}

async fn measured(app: &App, args: &EvaluateArgs, asked: Asked, configured: Mode) -> Result<Report, EvaluateError> {
    let questions = match asked {
        Asked::Queries(queries) => Questions::judged(queries, Tenant::default(), &*app.process.stores.records).await?,
        Asked::Sample(sample) => {
            let stores = (&*app.process.stores.vectors, &*app.process.stores.records);
            Questions::known_items(stores, Tenant::default(), sample).await?
        }
    };
    let settings = Settings { configured, modes: modes(args), k: args.k };
    let mut evaluation = Evaluation::new(Arc::clone(&app.uncached), settings, questions);
    let bar = Bar::new();
    while evaluation.step().await? {
        bar.at(evaluation.done(), evaluation.total());
    }
    bar.end();
    Ok(evaluation.report())
}

fn modes(args: &EvaluateArgs) -> Vec<Mode> {
    if args.modes.is_empty() { Mode::ALL.to_vec() } else { args.modes.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_questions_is_bounded_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("queries.jsonl");
        assert!(read(&path).unwrap_err().to_string().contains("queries.jsonl cannot be read"));
        File::create(&path).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("queries.jsonl has more than"));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("UTF-8"));
    }

    #[test]
    fn numbers_are_checked_before_anything_is_opened() {
        assert_eq!((sample("1000"), places("50")), (Ok(1000), Ok(50)));
        for wrong in [sample("0"), sample("1001"), sample("x"), places("0"), places("51")] {
            assert!(wrong.is_err());
        }
    }
}
