//! A real `rag-server` as a process with a data folder of its own, asked over HTTP like any client would.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use ragops_tests::{Pace, until_at};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// How long the server may take to be ready, and a job to end.
const PATIENCE: Duration = Duration::from_secs(1800);
/// Documents of one request.
const BATCH: usize = 1000;
/// Documents of one page of the list.
const LISTED: usize = 1000;
/// Where a moment is measured.
const OFTEN: Pace = Pace { first: Duration::from_millis(2), longest: Duration::from_millis(2) };
/// Looking at a job costs the server time that is measured.
const LESS_AND_LESS: Pace = Pace { first: Duration::from_millis(2), longest: Duration::from_millis(500) };

/// A running server; it ends with this value.
pub(crate) struct Server {
    process: Child,
    data: TempDir,
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
    /// The text.
    pub answer: String,
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

/// A stored document, as far as it is measured.
#[derive(Debug, Deserialize)]
pub(crate) struct Listed {
    /// Its id.
    pub(crate) id: String,
    /// Its title.
    pub(crate) title: String,
    /// How many chunks it has.
    pub(crate) chunks: u64,
}

#[derive(Debug, Deserialize)]
struct Page {
    documents: Vec<Listed>,
    next: Option<String>,
}

impl Server {
    /// Starts the program with an empty data folder on free ports of loopback, and waits until it is ready; `pinned` to the second core, with these variables in its environment.
    pub(crate) async fn start(binary: &Path, pinned: bool, variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let mut command = if pinned { Command::new("taskset") } else { Command::new(binary) };
        if pinned {
            command.args(["-c", "1"]).arg(binary);
        }
        command.arg("serve").arg("--data").arg(data.path()).envs(variables.iter().copied());
        Self::launch(command, data).await
    }

    /// Starts the program with this configuration on free ports of loopback and on all cores, and waits until it is ready.
    pub(crate) async fn configured(binary: &Path, config: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("rag.toml");
        std::fs::write(&file, config)?;
        let mut command = Command::new(binary);
        command.arg("serve").arg("--config").arg(file);
        Self::launch(command, folder).await
    }

    async fn launch(mut command: Command, data: TempDir) -> anyhow::Result<Self> {
        let began = Instant::now();
        let mut process = command
            .args(["--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0"])
            .env("RAG_LOG", "info")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("it does not start: {command:?}"))?;
        let stderr = process.stderr.take().context("the server has no standard error")?;
        let address = listening(stderr).await?;
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let mut server = Self { process, data, address, client, start_to_ready: Duration::ZERO };
        server.until_ready(began).await?;
        Ok(server)
    }

    /// Where it listens, as a URL without a path.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The process id.
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.process.id().context("the server has ended")
    }

    async fn until_ready(&mut self, began: Instant) -> anyhow::Result<()> {
        let (client, url) = (&self.client, format!("{}/health/ready", self.address));
        let ready = until_at(OFTEN, "the server is ready", PATIENCE, || async {
            Ok(client.get(&url).send().await?.status().is_success().then_some(()))
        });
        let ended = self.process.wait();
        tokio::select! {
            ready = ready => ready?,
            status = ended => bail!("the server ended with {} before it was ready", status?),
        }
        self.start_to_ready = began.elapsed();
        Ok(())
    }

    /// Ingests documents and waits until the job is done. Every document must succeed.
    pub(crate) async fn ingest<D: Serialize>(&self, documents: &[D]) -> anyhow::Result<()> {
        for batch in documents.chunks(BATCH) {
            let accepted = self.post("/ingest", &json!({ "documents": batch })).await?;
            let job = accepted["job"].as_str().context("the answer names no job")?;
            self.until_done(job).await?;
        }
        Ok(())
    }

    /// Ingests the files below a folder by the command line, as a user does. Every document must succeed.
    pub(crate) async fn ingest_folder(&self, binary: &Path, folder: &Path) -> anyhow::Result<()> {
        let mut command = Command::new(binary);
        command.arg("ingest").arg(folder).args(["--server", &self.address]).stdout(Stdio::null());
        let status = command.status().await?;
        ensure!(status.success(), "{} was not ingested: {status}", folder.display());
        Ok(())
    }

    /// Ends the process, and leaves what it stored.
    pub(crate) async fn stop(mut self) -> anyhow::Result<TempDir> {
        self.process.kill().await?;
        Ok(self.data)
    }

    /// Asks the process to end, and waits until it has done what it had begun.
    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        let told = Command::new("kill").arg(self.pid()?.to_string()).status().await?;
        ensure!(told.success(), "the server cannot be told to end");
        let status = self.process.wait().await?;
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }

    async fn until_done(&self, job: &str) -> anyhow::Result<()> {
        let url = format!("{}/jobs/{job}", self.address);
        let job: Value = until_at(LESS_AND_LESS, "the job has ended", PATIENCE, || async {
            let job: Value = self.client.get(&url).send().await?.json().await?;
            let documents = job["documents"].as_array().context("a job without documents")?;
            let is_open = documents.iter().any(|document| document["state"] == "queued");
            Ok((!is_open).then_some(job))
        })
        .await?;
        let failed = job["documents"].as_array().into_iter().flatten().find(|document| document["state"] != "done");
        ensure!(failed.is_none(), "a document failed: {failed:?}");
        Ok(())
    }

    /// Waits until the server has found the threshold of this collection, and tells it.
    pub(crate) async fn calibrated(&self) -> anyhow::Result<f64> {
        let body = json!({ "query": "How long are they kept?", "explain": true });
        let start = json!(0.40_f32);
        until_at(LESS_AND_LESS, "the threshold of a refusal is calibrated", PATIENCE, || async {
            let explained = self.post("/query", &body).await?;
            let min_score = &explained["explain"]["search"]["min_score"];
            Ok(min_score.as_f64().filter(|_| *min_score != start))
        })
        .await
    }

    /// Asks whether the process lives.
    pub(crate) async fn live(&self) -> anyhow::Result<()> {
        self.client.get(format!("{}/health/live", self.address)).send().await?.error_for_status()?;
        Ok(())
    }

    /// Asks a question; without a mode in the server's default one.
    pub(crate) async fn query(&self, question: &str, mode: Option<&str>, top_k: usize) -> anyhow::Result<Answered> {
        let mut body = json!({ "query": question, "top_k": top_k });
        if let Some(mode) = mode {
            body["mode"] = mode.into();
        }
        Ok(serde_json::from_value(self.post("/query", &body).await?)?)
    }

    /// The documents of the passages that are nearest to a question, best first, without an answer.
    pub(crate) async fn search(&self, question: &str, top_k: usize) -> anyhow::Result<Vec<String>> {
        let found = self.post("/search", &json!({ "query": question, "top_k": top_k })).await?;
        let passages = found["passages"].as_array().context("the answer has no passages")?;
        let document = |passage: &Value| passage["document"].as_str().map(str::to_owned);
        passages.iter().map(document).collect::<Option<_>>().context("a passage has no document")
    }

    /// Ids and titles of all documents, in the order of their ids.
    pub(crate) async fn documents(&self) -> anyhow::Result<Vec<Listed>> {
        let (mut documents, mut after) = (Vec::new(), None::<String>);
        loop {
            let limit = ("limit", LISTED.to_string());
            let parameters = std::iter::once(limit).chain(after.map(|after| ("after", after)));
            let url = reqwest::Url::parse_with_params(&format!("{}/documents", self.address), parameters)?;
            let page: Page = self.client.get(url).send().await?.error_for_status()?.json().await?;
            documents.extend(page.documents);
            if page.next.is_none() {
                return Ok(documents);
            }
            after = page.next;
        }
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
