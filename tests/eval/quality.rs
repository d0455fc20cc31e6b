//! `make eval`: retrieval quality on judged sets, through the real HTTP server.
//!
//! Ingests Cranfield, asks its questions in every mode and measures the rankings by its judgements; then asks questions about something else, which should all be refused.

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    cranfield::Cranfield,
    measures,
    server::{Answered, Server},
};

/// What the default mode must reach.
const NDCG_PROMISED: f64 = 0.42;
/// Places that are judged.
const PLACES: usize = 10;
/// Passages asked for: the most that the server gives, so that recall means something.
const TOP_K: usize = 50;
/// Questions asked at once.
const AT_ONCE: usize = 4;

/// Measures of one mode.
struct Scores {
    ndcg: f64,
    recall: f64,
    reciprocal_rank: f64,
    refused: usize,
    took: Duration,
}

/// Measures and prints; fails when the default mode ranks worse than promised.
pub(crate) async fn run(binary: &Path, data: &Path) -> anyhow::Result<ExitCode> {
    let collection = Cranfield::read(&data.join("cranfield"))?;
    let server = Server::start(binary, false).await?;
    println!("Cranfield: {} abstracts, {} judged questions", collection.abstracts.len(), collection.relevant.len());
    let began = Instant::now();
    server.ingest(&collection.abstracts).await?;
    println!("ingested in {:.1} s\n", began.elapsed().as_secs_f64());

    println!("{:<18}{:>8}{:>11}{:>8}{:>9}{:>8}", "mode", "nDCG@10", "recall@50", "MRR", "refused", "s");
    let default = asked(&server, &collection, None).await?;
    print_scores("default", &default);
    for mode in ["Hybrid", "Dense", "Lexical"] {
        print_scores(mode, &asked(&server, &collection, Some(mode)).await?);
    }

    let strangers = std::fs::read_to_string(data.join("covid-qa/questions.txt"))?;
    let strangers: Vec<&str> = strangers.lines().collect();
    let refused = refusals(&server, &strangers).await?;
    let percent = 100.0 * refused as f64 / strangers.len() as f64;
    println!(
        "\nCOVID-QA: {refused} of {} questions about something else are refused ({percent:.1} %)",
        strangers.len()
    );

    if default.ndcg < NDCG_PROMISED {
        println!("\nFAILED: nDCG@10 of the default mode is {:.4}, promised is {NDCG_PROMISED}", default.ndcg);
        return Ok(ExitCode::FAILURE);
    }
    println!("\nnDCG@10 of the default mode is {:.4}, promised is {NDCG_PROMISED}", default.ndcg);
    Ok(ExitCode::SUCCESS)
}

fn print_scores(name: &str, scores: &Scores) {
    println!(
        "{name:<18}{:>8.4}{:>11.4}{:>8.4}{:>9}{:>8.1}",
        scores.ndcg,
        scores.recall,
        scores.reciprocal_rank,
        scores.refused,
        scores.took.as_secs_f64()
    );
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
        scores.reciprocal_rank += measures::reciprocal_rank(&ranking, relevant) / count;
        scores.refused += usize::from(answer.status == "refused");
    }
    Ok(scores)
}

async fn refusals(server: &Server, questions: &[&str]) -> anyhow::Result<usize> {
    let statuses: Vec<String> = stream::iter(questions)
        .map(|question| async move { anyhow::Ok(server.query(question, None, 5).await?.status) })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(statuses.iter().filter(|status| *status == "refused").count())
}
