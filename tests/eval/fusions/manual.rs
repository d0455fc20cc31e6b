//! A manual as it is measured: a part of its pages, and questions with the pages that answer them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use rag_server::evaluate::query_set::JudgedQuery;
use tempfile::TempDir;

use super::faq;

/// The pages of a FAQ, whose entries become documents.
const FAQ: &str = "faq/";

/// A manual.
pub(super) struct Manual {
    /// What is ingested.
    pages: TempDir,
    /// Questions and the pages that answer them, a line each.
    questions: PathBuf,
    /// Entries of a FAQ: the question, and the document with the rest.
    entries: Vec<(String, String)>,
}

impl Manual {
    /// Copies the pages that `NAME.pages` names.
    pub(super) fn read(lists: &Path, name: &str, folder: &Path) -> anyhow::Result<Self> {
        let pages = tempfile::tempdir()?;
        let wanted = read(&lists.join(format!("{name}.pages")))?;
        let mut entries = Vec::new();
        for page in wanted.lines() {
            let from = folder.join(page);
            if !from.is_file() {
                eprintln!("{name}: this version has no {page}");
                continue;
            }
            if page.starts_with(FAQ) {
                entries
                    .extend(faq::entries(&read(&from)?).into_iter().enumerate().map(|(at, entry)| (page, at, entry)));
                continue;
            }
            let to = pages.path().join(page);
            fs::create_dir_all(to.parent().context("a page is in a folder")?)?;
            fs::copy(&from, &to).with_context(|| format!("{} cannot be copied", from.display()))?;
        }
        let written = entries.into_iter().map(|(page, at, entry)| {
            let name = format!("{}-{at:03}.html", page.trim_end_matches(".html"));
            let to = pages.path().join(&name);
            fs::create_dir_all(to.parent().context("a page is in a folder")?)?;
            fs::write(&to, format!("<title>An entry of the FAQ</title>{}", entry.text))?;
            anyhow::Ok((entry.question, name))
        });
        let entries = written.collect::<anyhow::Result<_>>()?;
        Ok(Self { pages, questions: lists.join(format!("{name}.questions")), entries })
    }

    /// The folder to ingest.
    pub(super) fn folder(&self) -> &Path {
        self.pages.path()
    }

    /// The self-made questions.
    pub(super) fn questions(&self) -> anyhow::Result<Vec<JudgedQuery>> {
        let questions = read(&self.questions)?;
        let judged = questions.lines().map(|line| {
            let (text, pages) = line.split_once('\t').with_context(|| format!("{line:?} names no page"))?;
            judged(text, pages)
        });
        judged.collect()
    }

    /// The questions of the FAQ; none where the manual has none.
    pub(super) fn faq(&self) -> anyhow::Result<Vec<JudgedQuery>> {
        self.entries.iter().map(|(question, document)| judged(question, document)).collect()
    }
}

fn judged(text: &str, pages: &str) -> anyhow::Result<JudgedQuery> {
    let relevant = pages.split(',').map(|page| Ok((page.parse()?, 1))).collect::<anyhow::Result<_>>()?;
    Ok(JudgedQuery { id: text.to_owned(), text: text.to_owned(), relevant })
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}
