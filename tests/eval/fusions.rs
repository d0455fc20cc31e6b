//! `measure fusions`: one table of the rules by which the legs of the search can become one ranking, over judged sets and manuals.
//!
//! Documents are ingested by the real program; then its stores are opened here, and the same questions are searched by each rule without the threshold of a refusal.

mod faq;
mod manual;

use std::{path::PathBuf, sync::Arc};

use anyhow::Context;
use rag_server::{
    app::App,
    config::Config,
    evaluate::{
        DEFAULT_K, Evaluation, Questions,
        bootstrap::{Interval, intervals},
        query_set::JudgedQuery,
        report::Settings as Asked,
    },
    model::{Mode, Tenant},
    retrieve::{MinScore, Retrieve, Settings, fuse::Fusion},
};
use tempfile::TempDir;

use self::manual::Manual;
use crate::{covid::Covid, cranfield::Cranfield, server::Server};

/// Headings that are asked of a manual.
const HEADINGS: usize = 200;
/// What every rule is measured against: the better of these two.
const PLAIN: [Fusion; 2] = [Fusion::RECIPROCAL, Fusion::Convex { dense_weight: 0.5 }];

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Fusions {
    /// The program that ingests
    #[arg(long)]
    server: PathBuf,
    /// Folder with `cranfield/`, `covid-qa/` and `manuals/`
    #[arg(long)]
    data: PathBuf,
    /// A manual and the folder of its pages, such as linux=/tmp/linux-doc/pages; may be repeated
    #[arg(long = "manual", value_name = "NAME=FOLDER")]
    manuals: Vec<String>,
}

/// Measures and prints.
pub(crate) async fn run(fusions: &Fusions) -> anyhow::Result<()> {
    println!(
        "nDCG@10 of documents, with 95 % of the paired bootstrap; \"gain\" is beyond the better of ranks and halves"
    );
    println!(
        "{:<28}{:>6}{:>8}{:>8}{:>8}{:>8}{:>24}{:>26}",
        "set", "asked", "dense", "lexical", "ranks", "halves", "now", "gain"
    );
    cranfield(fusions).await?;
    covid_qa(fusions).await?;
    for manual in &fusions.manuals {
        let (name, folder) = manual.split_once('=').context("a manual is NAME=FOLDER")?;
        let manual = Manual::read(&fusions.data.join("manuals"), name, folder.as_ref())?;
        let server = Server::start(&fusions.server, false, &[]).await?;
        server.ingest_folder(&fusions.server, manual.folder()).await?;
        let stored = Stored::open(server).await?;
        stored.print(&format!("{name}, headings"), stored.headings().await?).await?;
        stored.print(&format!("{name}, questions"), stored.judged(manual.questions()?).await?).await?;
        let entries = manual.faq()?;
        if !entries.is_empty() {
            stored.print(&format!("{name}, FAQ"), stored.judged(entries).await?).await?;
        }
    }
    Ok(())
}

async fn cranfield(fusions: &Fusions) -> anyhow::Result<()> {
    let set = Cranfield::read(&fusions.data.join("cranfield"))?;
    let server = Server::start(&fusions.server, false, &[]).await?;
    server.ingest(&set.abstracts).await?;
    let stored = Stored::open(server).await?;
    let mut queries = Vec::new();
    for (position, relevant) in &set.relevant {
        let relevant = relevant.iter().map(|(id, grade)| Ok((id.parse()?, *grade))).collect::<anyhow::Result<_>>()?;
        queries.push(JudgedQuery { id: position.to_string(), text: set.questions[position - 1].clone(), relevant });
    }
    stored.print("Cranfield", stored.judged(queries).await?).await
}

async fn covid_qa(fusions: &Fusions) -> anyhow::Result<()> {
    let set = Covid::read(&fusions.data.join("covid-qa/cc-by.json"))?;
    let server = Server::start(&fusions.server, false, &[]).await?;
    server.ingest(&set.articles).await?;
    let stored = Stored::open(server).await?;
    let mut queries = Vec::new();
    for question in set.questions {
        let relevant = [(question.article.parse()?, 1)].into();
        queries.push(JudgedQuery { id: question.id.to_string(), text: question.text, relevant });
    }
    stored.print("COVID-QA", stored.judged(queries).await?).await
}

/// A collection that a server has written, opened by this process.
struct Stored {
    app: App,
    _data: TempDir,
}

impl Stored {
    async fn open(server: Server) -> anyhow::Result<Self> {
        let data = server.stop().await?;
        let path = toml::Value::String(data.path().display().to_string());
        let config = Config::from_toml(format!("vector_store.embedded.path = {path}").as_bytes(), "the measurement")?;
        Ok(Self { app: App::open(&config).await?, _data: data })
    }

    async fn judged(&self, queries: Vec<JudgedQuery>) -> anyhow::Result<Questions> {
        Ok(Questions::judged(queries, Tenant::default(), &*self.app.process.stores.records).await?)
    }

    async fn headings(&self) -> anyhow::Result<Questions> {
        let stores = (&*self.app.process.stores.vectors, &*self.app.process.stores.records);
        Ok(Questions::known_items(stores, Tenant::default(), HEADINGS).await?)
    }

    /// A row of the table.
    async fn print(&self, name: &str, questions: Questions) -> anyhow::Result<()> {
        let now = self.ndcg(&questions, Fusion::CONFIDENT, &[Mode::Hybrid, Mode::Dense, Mode::Lexical]).await?;
        let ranks = self.ndcg(&questions, PLAIN[0], &[Mode::Hybrid]).await?;
        let halves = self.ndcg(&questions, PLAIN[1], &[Mode::Hybrid]).await?;
        let [now, dense, lexical]: [Vec<f64>; 3] =
            now.try_into().map_err(|_| anyhow::anyhow!("a mode was not measured"))?;
        let plain = intervals(&[ranks[0].clone(), halves[0].clone()]);
        let better = if plain[0].mean >= plain[1].mean { &ranks[0] } else { &halves[0] };
        let gain: Vec<f64> = now.iter().zip(better).map(|(now, plain)| now - plain).collect();
        let asked = now.len();
        let [dense, lexical, now, gain]: [Interval; 4] =
            intervals(&[dense, lexical, now, gain]).try_into().map_err(|_| anyhow::anyhow!("a series is missing"))?;
        let whole = |found: Interval| format!("{:.3} ({:.3} to {:.3})", found.mean, found.low, found.high);
        let signed = |found: Interval| format!("{:+.3} ({:+.3} to {:+.3})", found.mean, found.low, found.high);
        let (ranks, halves) = (plain[0].mean, plain[1].mean);
        println!(
            "{name:<28}{asked:>6}{:>8.3}{:>8.3}{ranks:>8.3}{halves:>8.3}{:>24}{:>26}",
            dense.mean,
            lexical.mean,
            whole(now),
            signed(gain)
        );
        Ok(())
    }

    /// nDCG@10 of each question by this rule, a series for each mode.
    async fn ndcg(&self, questions: &Questions, fusion: Fusion, modes: &[Mode]) -> anyhow::Result<Vec<Vec<f64>>> {
        let stores = &self.app.process.stores;
        let settings = Settings { fusion, min_score: MinScore::Fixed(f32::NEG_INFINITY), ..Settings::default() };
        let (vectors, records) = (Arc::clone(&stores.vectors), Arc::clone(&stores.records));
        let retrieve = Retrieve::new(vectors, records, Arc::clone(&self.app.embedder), settings);
        let asked = Asked { configured: modes[0], modes: modes.to_vec(), k: DEFAULT_K };
        let mut evaluation = Evaluation::new(Arc::new(retrieve.of_epoch(self.app.epoch)), asked, questions.clone());
        while evaluation.step().await? {}
        let measured = evaluation.report().per_query;
        Ok((0..modes.len()).map(|at| measured.iter().map(|query| query.modes[at].ndcg).collect()).collect())
    }
}
