//! `make eval`: retrieval quality on judged sets, through the real HTTP server with the same settings for every set.
//!
//! Cranfield (short abstracts) and COVID-QA (long articles) are ingested into a server each and asked in every mode; then questions about something else, which should all be refused.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};
use rag_server::evaluate::measures;

use crate::{
    covid::{self, Covid},
    cranfield::Cranfield,
    server::{Answered, Server},
};

/// nDCG@10 that the default mode must reach on Cranfield; below it the run fails.
const NDCG_PROMISED: f64 = 0.43;
/// Wanted share of COVID-QA's questions whose article is among the first five passages of the default mode.
const ARTICLE_GOAL: f64 = 0.88;
/// Wanted share of COVID-QA's questions whose answer stands in one of the first five passages of the default mode.
const SPAN_GOAL: f64 = 0.77;
/// Places that are judged on Cranfield.
const PLACES: usize = 10;
/// Passages asked for on Cranfield: the most that the server gives, so that recall means something.
const TOP_K: usize = 50;
/// Passages of an answer, asked for on COVID-QA.
const PASSAGES: usize = 5;
/// Questions asked at once.
const AT_ONCE: usize = 4;
/// The modes beside the default one.
const MODES: [Option<&str>; 4] = [None, Some("Hybrid"), Some("Dense"), Some("Lexical")];

/// Measures and prints; fails when the default mode finds less than promised.
pub(crate) async fn run(binary: &Path, data: &Path, covid_qa: Option<&Path>) -> anyhow::Result<ExitCode> {
    let ndcg = cranfield(binary, data).await?;
    let (article, span) = covid_qa_set(binary, data, covid_qa).await?;
    println!();
    beside("nDCG@10 on Cranfield", ndcg, NDCG_PROMISED);
    beside("article in five passages on COVID-QA", article, ARTICLE_GOAL);
    beside("answer in five passages on COVID-QA", span, SPAN_GOAL);
    if ndcg < NDCG_PROMISED {
        println!("FAILED: nDCG@10 of the default mode on Cranfield is below {NDCG_PROMISED}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// A figure of the default mode beside its goal.
fn beside(name: &str, found: f64, goal: f64) {
    println!("{name:<40}{found:>8.4}, goal {goal}: {}", if found >= goal { "reached" } else { "short" });
}

/// Measures of one mode on Cranfield.
struct Scores {
    ndcg: f64,
    recall: f64,
    reciprocal_rank: f64,
    refused: usize,
    took: Duration,
}

/// Measures Cranfield; gives nDCG@10 of the default mode.
async fn cranfield(binary: &Path, data: &Path) -> anyhow::Result<f64> {
    let collection = Cranfield::read(&data.join("cranfield"))?;
    let server = Server::start(binary, false, &[]).await?;
    println!("Cranfield: {} abstracts, {} judged questions", collection.abstracts.len(), collection.relevant.len());
    let began = Instant::now();
    server.ingest(&collection.abstracts).await?;
    println!("ingested in {:.1} s", began.elapsed().as_secs_f64());
    println!("calibrated: answered from a relevance of {:.3} on\n", server.calibrated().await?);
    println!("{:<12}{:>8}{:>11}{:>8}{:>9}{:>8}", "mode", "nDCG@10", "recall@50", "MRR", "refused", "s");
    let mut default = 0.0;
    for mode in MODES {
        let scores = asked(&server, &collection, mode).await?;
        let Scores { ndcg, recall, reciprocal_rank, refused, took } = scores;
        let (name, seconds) = (mode.unwrap_or("default"), took.as_secs_f64());
        println!("{name:<12}{ndcg:>8.4}{recall:>11.4}{reciprocal_rank:>8.4}{refused:>9}{seconds:>8.1}");
        if mode.is_none() {
            default = ndcg;
        }
    }
    let strangers = std::fs::read_to_string(data.join("covid-qa/questions.txt"))?;
    let strangers: Vec<&str> = strangers.lines().collect();
    let refused = refusals(&server, &strangers).await?;
    let percent = 100.0 * refused as f64 / strangers.len() as f64;
    println!("\nof {} questions about something else {refused} are refused ({percent:.1} %)", strangers.len());
    Ok(default)
}

async fn asked(server: &Server, collection: &Cranfield, mode: Option<&str>) -> anyhow::Result<Scores> {
    let began = Instant::now();
    let answers: Vec<(usize, Answered)> = stream::iter(collection.relevant.keys())
        .map(|position| async move {
            let answer = server.query(&collection.questions[position - 1], mode, TOP_K).await?;
            anyhow::Ok((*position, answer))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let took = began.elapsed();
    let count = answers.len() as f64;
    let mut scores = Scores { ndcg: 0.0, recall: 0.0, reciprocal_rank: 0.0, refused: 0, took };
    for (position, answer) in answers {
        let relevant = &collection.relevant[&position];
        // A refused question has no ranking and counts as found nothing.
        let ranking = measures::documents(answer.citations.into_iter().map(|citation| citation.document));
        scores.ndcg += measures::ndcg(&ranking, relevant, PLACES) / count;
        scores.recall += measures::recall(&ranking, relevant, TOP_K) / count;
        scores.reciprocal_rank += measures::reciprocal_rank(&ranking, relevant, TOP_K) / count;
        scores.refused += usize::from(answer.status == "refused");
    }
    Ok(scores)
}

async fn refusals(server: &Server, questions: &[&str]) -> anyhow::Result<usize> {
    let statuses: Vec<String> = stream::iter(questions)
        .map(|question| async move { anyhow::Ok(server.query(question, None, PASSAGES).await?.status) })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(statuses.iter().filter(|status| *status == "refused").count())
}

/// What became of one question of COVID-QA.
#[derive(Default)]
struct Found {
    article: bool,
    span: bool,
    refused: bool,
    words: usize,
}

/// Measures COVID-QA; gives the shares of articles and of answers that the default mode found.
async fn covid_qa_set(binary: &Path, data: &Path, file: Option<&Path>) -> anyhow::Result<(f64, f64)> {
    let vendored = data.join("covid-qa/cc-by.json");
    let set = Covid::read(file.unwrap_or(&vendored))?;
    let server = Server::start(binary, false, &[]).await?;
    println!("\nCOVID-QA: {} articles, {} questions", set.articles.len(), set.questions.len());
    let began = Instant::now();
    server.ingest(&set.articles).await?;
    println!("ingested in {:.1} s", began.elapsed().as_secs_f64());
    println!("calibrated: answered from a relevance of {:.3} on\n", server.calibrated().await?);
    println!(
        "{:<12}{:>11}{:>9}{:>20}{:>20}{:>9}{:>8}",
        "mode", "article@5", "span@5", "even ids", "odd ids", "refused", "words"
    );
    let mut default = (0.0, 0.0);
    for mode in MODES {
        let found = asked_of_articles(&server, &set, mode).await?;
        let half = |odd: bool| -> Vec<&Found> {
            found.iter().filter(|(id, _)| (id % 2 == 1) == odd).map(|(_, f)| f).collect()
        };
        let all: Vec<&Found> = found.iter().map(|(_, found)| found).collect();
        let (whole, even, odd) = (shares(&all), shares(&half(false)), shares(&half(true)));
        let refused = all.iter().filter(|found| found.refused).count();
        let words = all.iter().map(|found| found.words).sum::<usize>() / all.len();
        let pair = |(article, span): (f64, f64)| format!("{article:.3} / {span:.3}");
        let name = mode.unwrap_or("default");
        println!(
            "{name:<12}{:>11.4}{:>9.4}{:>20}{:>20}{refused:>9}{words:>8}",
            whole.0,
            whole.1,
            pair(even),
            pair(odd)
        );
        if mode.is_none() {
            default = whole;
        }
    }
    Ok(default)
}

/// Shares of the questions whose article, and whose answer, was found.
fn shares(found: &[&Found]) -> (f64, f64) {
    let share = |count: usize| count as f64 / found.len() as f64;
    (share(found.iter().filter(|found| found.article).count()), share(found.iter().filter(|found| found.span).count()))
}

async fn asked_of_articles(server: &Server, set: &Covid, mode: Option<&str>) -> anyhow::Result<Vec<(u64, Found)>> {
    stream::iter(&set.questions)
        .map(|question| async move {
            let answer = server.query(&question.text, mode, PASSAGES).await?;
            let right: Vec<String> = answer
                .citations
                .iter()
                .filter(|cited| cited.document == question.article)
                .map(|cited| covid::collapsed(&cited.text))
                .collect();
            let found = Found {
                article: !right.is_empty(),
                span: right.iter().any(|text| question.spans.iter().any(|span| text.contains(span.as_str()))),
                refused: answer.status == "refused",
                words: answer.citations.iter().map(|cited| cited.text.split_whitespace().count()).sum(),
            };
            anyhow::Ok((question.id, found))
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}
