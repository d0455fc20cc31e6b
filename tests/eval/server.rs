//! A real `rag-server` as a process with a data folder of its own, asked over HTTP like any client would.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::cranfield::Abstract;

/// How long the server may take to be ready, and a job to end.
const PATIENCE: Duration = Duration::from_secs(1800);
/// Documents of one request.
const BATCH: usize = 1000;
/// Between two looks at a condition, at first; each look doubles it, because looking costs the server time that is measured.
const FIRST_LOOK: Duration = Duration::from_millis(2);
/// Between two looks in the end.
const LAST_LOOK: Duration = Duration::from_millis(500);

/// A running server; it ends with this value.
pub(crate) struct Server {
    process: Child,
    _data: TempDir,
    address: String,
    client: reqwest::Client,
    /// From the start of the process to the first `200` of `/health/ready`.
    pub start_to_ready: Duration,
}

/// What `/query` answers, as far as it is measured.
#[derive(Debug, Deserialize)]
pub(crate) struct Answered {
    /// `grounded`, `partial` or `refused`.
    pub status: String,
    /// How many passages were searched.
    pub searched: u64,
    /// The passages, best first.
    pub citations: Vec<Cited>,
}

/// A passage of an answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Cited {
    /// Its document.
    pub document: String,
    /// Its text.
    pub text: String,
}

impl Server {
    /// Starts the program with an empty data folder on free ports of loopback, and waits until it is ready; `pinned` to the second core.
    pub(crate) async fn start(binary: &Path, pinned: bool) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let began = Instant::now();
        let mut command = if pinned { Command::new("taskset") } else { Command::new(binary) };
        if pinned {
            command.args(["-c", "1"]).arg(binary);
        }
        let mut process = command
            .args(["serve", "--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0", "--data"])
            .arg(data.path())
            .env("RAG_LOG", "info")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start", binary.display()))?;
        let stderr = process.stderr.take().context("the server has no standard error")?;
        let address = listening(stderr).await?;
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let mut server = Self { process, _data: data, address, client, start_to_ready: Duration::ZERO };
        server.until_ready(began).await?;
        Ok(server)
    }

    /// The process id.
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.process.id().context("the server has ended")
    }

    async fn until_ready(&mut self, began: Instant) -> anyhow::Result<()> {
        while began.elapsed() < PATIENCE {
            if let Some(status) = self.process.try_wait()? {
                bail!("the server ended with {status} before it was ready");
            }
            let ready = self.client.get(format!("{}/health/ready", self.address)).send().await;
            if ready.is_ok_and(|response| response.status().is_success()) {
                self.start_to_ready = began.elapsed();
                return Ok(());
            }
            tokio::time::sleep(FIRST_LOOK).await;
        }
        bail!("the server was not ready within {} s", PATIENCE.as_secs())
    }

    /// Ingests documents and waits until the job is done. Every document must succeed.
    pub(crate) async fn ingest(&self, documents: &[Abstract]) -> anyhow::Result<()> {
        for batch in documents.chunks(BATCH) {
            let batch: Vec<_> = batch
                .iter()
                .map(|Abstract { id, title, text }| json!({ "id": id, "title": title, "text": text }))
                .collect();
            let accepted = self.post("/ingest", &json!({ "documents": batch })).await?;
            let job = accepted["job"].as_str().context("the answer names no job")?;
            self.until_done(job).await?;
        }
        Ok(())
    }

    async fn until_done(&self, job: &str) -> anyhow::Result<()> {
        let (began, mut look) = (Instant::now(), FIRST_LOOK);
        while began.elapsed() < PATIENCE {
            let job: Value = self.client.get(format!("{}/jobs/{job}", self.address)).send().await?.json().await?;
            let documents = job["documents"].as_array().context("a job without documents")?;
            let failed = documents.iter().find(|document| document["state"] == "failed");
            ensure!(failed.is_none(), "a document failed: {failed:?}");
            if documents.iter().all(|document| document["state"] == "done") {
                return Ok(());
            }
            tokio::time::sleep(look).await;
            look = (look * 2).min(LAST_LOOK);
        }
        bail!("the job {job} did not end within {} s", PATIENCE.as_secs())
    }

    /// Asks a question; without a mode in the server's default one.
    pub(crate) async fn query(&self, question: &str, mode: Option<&str>, top_k: usize) -> anyhow::Result<Answered> {
        let mut body = json!({ "query": question, "top_k": top_k });
        if let Some(mode) = mode {
            body["mode"] = mode.into();
        }
        Ok(serde_json::from_value(self.post("/query", &body).await?)?)
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let response = self.client.post(format!("{}{path}", self.address)).json(body).send().await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "{path} answered {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }
}

/// Reads the log until it says where the server listens; the rest is read and dropped, so that the server never waits for a full pipe.
async fn listening(stderr: tokio::process::ChildStderr) -> anyhow::Result<String> {
    let mut lines = BufReader::new(stderr).lines();
    let mut said = Vec::new();
    while let Some(line) = lines.next_line().await? {
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        if let Some(address) = event["listen"].as_str() {
            let address = format!("http://{address}");
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok(address);
        }
        said.push(line);
    }
    bail!("the server ended before it listened:\n{}", said.join("\n"))
}
