//! Answers made of what stands in the documents, judged by the rules of `answers/README.md`: over this project's `docs/`, and over pages of Python's and the kernel's documentation where they are at hand.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    covid::collapsed,
    server::{Answered, Server},
};

/// Characters of an answer that somebody reads.
const LONGEST: usize = 900;
/// Passages of an answer: the default.
const PASSAGES: usize = 5;
/// How an answer begins that says what was not found.
const NOT_FOUND: &str = "No passage that was found names";

/// What to measure, and where the pages of each corpus lie, as far as they are at hand.
#[derive(Debug, clap::Args)]
pub(crate) struct Answers {
    /// The program to measure
    #[arg(long)]
    server: PathBuf,
    /// Folder with `answers/`
    #[arg(long)]
    data: PathBuf,
    /// This project's documentation
    #[arg(long)]
    own: PathBuf,
    /// Pages of Python's documentation; without them answers over it are not measured
    #[arg(long)]
    python: Option<PathBuf>,
    /// Pages of the kernel's documentation; without them answers over it are not measured
    #[arg(long)]
    kernel: Option<PathBuf>,
}

/// A question as it is judged.
#[derive(Debug, Deserialize)]
struct Question {
    id: String,
    corpus: String,
    question: String,
    /// Parts that an answer must hold, each with alternatives between bars; none where no page answers.
    holds: Vec<String>,
}

impl Question {
    /// Whether it was looked at while the choice of sentences was tuned.
    fn is_tuned(&self) -> bool {
        self.id.ends_with(['1', '3', '5', '7', '9'])
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judged {
    Good,
    Fair,
    Bad,
}

/// A page as it is ingested.
#[derive(Serialize)]
struct Document {
    id: String,
    text: String,
}

/// Measures each corpus that is at hand, and prints a line for each half.
pub(crate) async fn run(asked: &Answers) -> anyhow::Result<()> {
    let folder = asked.data.join("answers");
    let questions = questions(&folder.join("questions.jsonl"))?;
    println!("\nAnswers of sentences: {} questions, judged by rule", questions.len());
    println!("{:<24}{:>10}{:>8}{:>8}{:>8}", "corpus, half", "questions", "good", "fair", "bad");
    for (corpus, pages) in
        [("own", Some(&asked.own)), ("python", asked.python.as_ref()), ("kernel", asked.kernel.as_ref())]
    {
        let Some(pages) = pages else {
            println!("{corpus:<24}not measured: its pages are not at hand");
            continue;
        };
        let documents = if corpus == "own" { markdown(pages)? } else { listed(&folder, corpus, pages)? };
        let server = Server::start(&asked.server, false, &[]).await?;
        server.ingest(&documents).await?;
        server.calibrated().await?;
        let mut judged = BTreeMap::<bool, Vec<Judged>>::new();
        for question in questions.iter().filter(|question| question.corpus == corpus) {
            let answer = server.query(&question.question, None, PASSAGES).await?;
            judged.entry(question.is_tuned()).or_default().push(judge(&question.holds, &answer));
        }
        for (tuned, judged) in judged {
            let share = |wanted: Judged| judged.iter().filter(|judged| **judged == wanted).count();
            let name = format!("{corpus}, {}", if tuned { "tuned" } else { "unseen" });
            let (good, fair, bad) = (share(Judged::Good), share(Judged::Fair), share(Judged::Bad));
            println!("{name:<24}{:>10}{good:>8}{fair:>8}{bad:>8}", judged.len());
        }
    }
    Ok(())
}

fn questions(path: &Path) -> anyhow::Result<Vec<Question>> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

/// The Markdown files of a folder.
fn markdown(folder: &Path) -> anyhow::Result<Vec<Document>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|end| end == "md"));
    paths.sort();
    ensure!(!paths.is_empty(), "{} holds no Markdown", folder.display());
    paths.iter().map(|path| document(folder, path)).collect()
}

/// The pages of a corpus that `pages.txt` lists.
fn listed(data: &Path, corpus: &str, folder: &Path) -> anyhow::Result<Vec<Document>> {
    let list = fs::read_to_string(data.join("pages.txt"))?;
    let pages = list.lines().filter_map(|line| line.split_once(' ')).filter(|(of, _)| *of == corpus);
    pages.map(|(_, page)| document(folder, &folder.join(page))).collect()
}

fn document(folder: &Path, path: &Path) -> anyhow::Result<Document> {
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let id = path.strip_prefix(folder)?.to_str().context("a name that is no text")?.to_owned();
    Ok(Document { id, text })
}

/// The judgement of an answer to a question that must hold these parts.
fn judge(holds: &[String], answered: &Answered) -> Judged {
    let Answered { status, answer, .. } = answered;
    let refused = status == "refused";
    if holds.is_empty() {
        let told = status == "partial" && answer.starts_with(NOT_FOUND);
        return if refused || told { Judged::Good } else { Judged::Bad };
    }
    let text = bare(answer);
    let held = holds.iter().filter(|part| part.split('|').any(|words| text.contains(bare(words).trim()))).count();
    let readable = answer.chars().count() <= LONGEST;
    match held {
        _ if held == holds.len() && readable && !refused => Judged::Good,
        0 if status == "grounded" => Judged::Bad,
        _ => Judged::Fair,
    }
}

/// Small letters without references, marks of gaps, backticks and stars, white space collapsed.
fn bare(text: &str) -> String {
    let mut parts = text.split('[');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(']') {
            Some((number, rest)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => {
                plain.push_str(rest);
            }
            _ => plain.push_str(&format!("[{part}")),
        }
    }
    collapsed(&plain.replace('…', " ").replace(['`', '*'], "").to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: &str, answer: &str) -> Answered {
        Answered { status: status.to_owned(), answer: answer.to_owned(), searched: 1, citations: Vec::new() }
    }

    #[test]
    fn an_answer_is_judged_by_the_rules_that_are_written_down() {
        let parts = ["7 days|a week".to_owned(), "bucket".to_owned()];
        let long = format!("7 days in the bucket {}", "x".repeat(LONGEST));
        for (status, answer, expected) in [
            ("grounded", "Kept for **7\ndays** … in the `bucket`. [1]", Judged::Good),
            ("partial", "Kept A WEEK [1] in a bucket.", Judged::Good),
            ("grounded", "Kept for 7 [1] days.", Judged::Fair),
            ("grounded", long.as_str(), Judged::Fair),
            ("refused", "Nothing in these documents answers this.", Judged::Fair),
            ("partial", "Something else.", Judged::Fair),
            ("grounded", "Something else.", Judged::Bad),
        ] {
            assert_eq!(judge(&parts, &answered(status, answer)), expected, "{answer}");
        }
        for (status, answer, expected) in [
            ("refused", "Nothing in these documents answers this.", Judged::Good),
            ("partial", "No passage that was found names \"SAML\".\n\nKeys are minted. [1]", Judged::Good),
            ("partial", "Keys are minted.", Judged::Bad),
            ("grounded", "Keys are minted. [1]", Judged::Bad),
        ] {
            assert_eq!(judge(&[], &answered(status, answer)), expected, "{answer}");
        }
    }
}
