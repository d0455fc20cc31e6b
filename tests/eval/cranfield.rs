//! The Cranfield collection as it is vendored: abstracts, questions, judgements.
//!
//! The abstracts are blocks one after the other, not one XML document. The judgements name a question by its position, not by the number that stands beside it.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, ensure};
use rag_server::evaluate::measures::Judgements;
use serde::Serialize;

/// An abstract.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Abstract {
    /// Its number.
    pub(crate) id: String,
    /// Its title, on one line.
    pub(crate) title: String,
    /// Its text, which begins with the title once more.
    pub(crate) text: String,
}

/// The collection.
pub(crate) struct Cranfield {
    /// The abstracts that have a text.
    pub(crate) abstracts: Vec<Abstract>,
    /// Questions in the order of the file.
    pub questions: Vec<String>,
    /// Relevant abstracts, all as good as each other, by the question's position, from 1.
    pub relevant: BTreeMap<usize, Judgements<String>>,
}

impl Cranfield {
    /// Reads the collection from its folder and counts it.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        let text = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))
        };
        let abstracts: Vec<_> =
            elements(&text("cran.all.1400.xml")?, "doc").into_iter().filter_map(abstract_of).collect();
        let questions: Vec<_> =
            elements(&text("cran.qry.xml")?, "title").into_iter().map(|title| title.trim().to_owned()).collect();
        let mut relevant = BTreeMap::<usize, Judgements<String>>::new();
        for line in text("cranqrel.trec.txt")?.lines() {
            let fields: Vec<_> = line.split_whitespace().collect();
            ensure!(fields.len() == 4, "a judgement has four fields, not {line:?}");
            if fields[3].parse::<i32>()? > 0 {
                relevant.entry(fields[0].parse()?).or_default().insert(fields[2].to_owned(), 1);
            }
        }
        ensure!(abstracts.len() == 1400 && questions.len() == 225, "the collection is not whole");
        let abstracts = abstracts.into_iter().filter(|found| !found.text.is_empty()).collect();
        Ok(Self { abstracts, questions, relevant })
    }
}

fn abstract_of(block: &str) -> Option<Abstract> {
    let title = first(block, "title")?.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(Abstract { id: first(block, "docno")?, title, text: first(block, "text")? })
}

fn elements<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    text.split(open.as_str())
        .skip(1)
        .filter_map(|rest| rest.split_once(close.as_str()))
        .map(|(inner, _)| inner)
        .collect()
}

fn first(text: &str, name: &str) -> Option<String> {
    elements(text, name).first().map(|inner| inner.trim().to_owned())
}
