//! COVID-QA: long articles, and questions with the words that answer them, in the form of SQuAD.

use std::{fs, path::Path};

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::cranfield::Abstract;

/// Characters of a title; a first line that is no title ends there.
const TITLE_CHARS: usize = 200;

/// A question about one article.
pub(crate) struct Question {
    /// Names it; decides to which half it belongs.
    pub(crate) id: u64,
    /// The question.
    pub(crate) text: String,
    /// The article.
    pub(crate) article: String,
    /// Words of the article that answer it, white space collapsed.
    pub(crate) spans: Vec<String>,
}

/// Articles and questions.
pub(crate) struct Covid {
    /// The articles, titled by their first line.
    pub(crate) articles: Vec<Abstract>,
    /// The questions.
    pub(crate) questions: Vec<Question>,
}

#[derive(Deserialize)]
struct Squad {
    data: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    paragraphs: Vec<Paragraph>,
}

#[derive(Deserialize)]
struct Paragraph {
    context: String,
    document_id: u64,
    qas: Vec<Asked>,
}

#[derive(Deserialize)]
struct Asked {
    id: u64,
    question: String,
    answers: Vec<Span>,
}

#[derive(Deserialize)]
struct Span {
    text: String,
}

impl Covid {
    /// Reads a file of the set.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let squad: Squad = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        let (mut articles, mut questions) = (Vec::new(), Vec::new());
        for Paragraph { context, document_id, qas } in squad.data.into_iter().flat_map(|entry| entry.paragraphs) {
            let id = document_id.to_string();
            let title = context.lines().find(|line| !line.trim().is_empty()).map(collapsed).unwrap_or_default();
            questions.extend(qas.into_iter().map(|asked| Question {
                id: asked.id,
                text: collapsed(&asked.question),
                article: id.clone(),
                spans: asked.answers.iter().map(|span| collapsed(&span.text)).collect(),
            }));
            articles.push(Abstract { id, title: title.chars().take(TITLE_CHARS).collect(), text: context });
        }
        ensure!(!articles.is_empty() && !questions.is_empty(), "{} holds no question", path.display());
        Ok(Self { articles, questions })
    }
}

/// The text with every run of white space as one space.
pub(crate) fn collapsed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
