//! The test's handle on a cluster: starts a supervisor, hands out clients, and ends the cluster when dropped.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::audit::AuditLog;
use crate::kubeconfig::Access;
use crate::parts::Parts;
use crate::supervisor::{Form, Handover, Message, Order};
use crate::wait::seen_within;

/// From nothing to ready takes seconds; two cores that also build need more.
const READY_WITHIN: Duration = Duration::from_secs(180);
/// The end is a few kills and the removal of a folder.
const ENDED_WITHIN: Duration = Duration::from_secs(30);

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    handover: Handover,
    authority: String,
    token: String,
    parts: Parts,
    supervisor: Child,
    /// Closing it asks the supervisor to stop.
    input: Option<ChildStdin>,
    messages: Mutex<Receiver<Message>>,
}

impl Cluster {
    /// Starts a control plane with three simulated nodes.
    ///
    /// # Errors
    /// With the end of the log of the part that failed.
    pub async fn control_plane(parts: &Parts) -> Result<Self> {
        let parts = parts.clone();
        tokio::task::spawn_blocking(move || Self::start(&parts, Form::ControlPlane, &[], |_| ())).await?
    }

    /// Starts a real node and imports image archives.
    ///
    /// # Errors
    /// With the end of the log of the part that failed.
    pub async fn node(parts: &Parts, images: &[PathBuf]) -> Result<Self> {
        let (parts, images) = (parts.clone(), images.to_vec());
        tokio::task::spawn_blocking(move || Self::start(&parts, Form::Node, &images, |_| ())).await?
    }

    /// Starts either form and calls `progress` for each step.
    ///
    /// # Errors
    /// With the end of the log of the part that failed.
    pub fn start(parts: &Parts, form: Form, images: &[PathBuf], progress: impl Fn(&str)) -> Result<Self> {
        let order = Order { form, programs: parts.folder().to_owned(), images: images.to_vec() };
        let program = sibling("cluster")?;
        let mut supervisor = Command::new(&program)
            .arg("supervise")
            .arg(serde_json::to_string(&order)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A Ctrl-C of the terminal must not reach it before this process has ended what uses the cluster.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start the supervisor {}", program.display()))?;
        let input = supervisor.stdin.take();
        let output = supervisor.stdout.take().context("the supervisor has no standard output")?;
        let (sender, messages) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::io::Result::ok) {
                let message = serde_json::from_str(&line).unwrap_or(Message::Progress(line));
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        // From here on a failure drops the guard, which ends the supervisor.
        let mut starting = Starting { supervisor: Some(supervisor), input };
        let handover = starting.handover(&messages, progress)?;
        let (token, authority) = (admin_token(&handover)?, std::fs::read_to_string(handover.folder.join("ca.crt"))?);
        let supervisor = starting.supervisor.take().context("the supervisor has gone")?;
        let input = starting.input.take();
        Ok(Self { handover, authority, token, parts: parts.clone(), supervisor, input, messages: Mutex::new(messages) })
    }

    /// The cluster's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.handover.folder
    }

    /// Where the API server answers.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.handover.url
    }

    /// The programs that the cluster was started from.
    #[must_use]
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// The process that owns the cluster.
    #[must_use]
    pub fn supervisor(&self) -> u32 {
        self.supervisor.id()
    }

    /// The network of this cluster's simulated pods.
    #[must_use]
    pub fn pod_network(&self) -> &str {
        &self.handover.pods
    }

    /// PEM of the authority behind the API server's certificate.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The admin's kubeconfig file.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.handover.kubeconfig()
    }

    /// A client of the admin. Clients belong to the runtime that made them: make one for each test.
    ///
    /// # Errors
    /// When the client cannot be built.
    pub async fn client(&self) -> Result<Client> {
        self.connect(&self.access(None)).await
    }

    /// A client of the admin that hands on every answer. The usual one asks again, for minutes, when it is told to come later; a
    /// test of that very answer wants to see it.
    ///
    /// # Errors
    /// When the client cannot be built.
    pub async fn client_that_asks_once(&self) -> Result<Client> {
        let kubeconfig = self.access(None).parsed()?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        config.default_retry = false;
        Ok(Client::try_from(config)?)
    }

    /// A client that acts as any user in any groups; the audit log and admission see that user.
    ///
    /// # Errors
    /// When the client cannot be built.
    pub async fn client_as(&self, user: &str, groups: &[&str]) -> Result<Client> {
        let mut all = vec!["system:authenticated"];
        all.extend(groups);
        self.connect(&self.access(Some((user, &all)))).await
    }

    /// A client of the admin through a plain-text proxy.
    ///
    /// # Errors
    /// When the client cannot be built.
    pub async fn client_at(&self, url: &str) -> Result<Client> {
        self.connect(&Access { url, authority: None, token: &self.token, acting: None }).await
    }

    /// Writes a kubeconfig for a bearer token, directly or through a plain-text proxy at `url`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn kubeconfig_for(&self, name: &str, token: &str, url: Option<&str>) -> Result<PathBuf> {
        let authority = url.is_none().then_some(self.authority.as_str());
        let access = Access { url: url.unwrap_or(&self.handover.url), authority, token, acting: None };
        let path = self.folder().join(format!("{name}.kubeconfig"));
        access.write(&path)?;
        Ok(path)
    }

    /// Writes a kubeconfig that acts as any user in any groups.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn kubeconfig_as(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        let path = self.folder().join(format!("as-{}.kubeconfig", user.replace([':', '/'], "-")));
        let mut all = vec!["system:authenticated"];
        all.extend(groups);
        self.access(Some((user, &all))).write(&path)?;
        Ok(path)
    }

    /// What the API server has recorded.
    #[must_use]
    pub fn audit(&self) -> AuditLog {
        AuditLog::new(self.folder().join("audit.log"))
    }

    /// A `kubectl` of the cluster's own version, as the admin.
    #[must_use]
    pub fn kubectl(&self) -> Command {
        let mut command = Command::new(self.parts.program("kubectl"));
        command.arg("--kubeconfig").arg(self.kubeconfig()).env("HOME", self.folder());
        command
    }

    /// Why the cluster cannot be used any more, if so.
    #[must_use]
    pub fn failed(&self) -> Option<String> {
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match messages.try_recv() {
                Ok(Message::Failed(reason)) => return Some(reason),
                Ok(Message::Progress(_) | Message::Ready(_)) => {}
                Err(TryRecvError::Empty) => return None,
                Err(TryRecvError::Disconnected) => return Some("the cluster's supervisor has gone".into()),
            }
        }
    }

    /// Ends the cluster and waits until nothing is left of it.
    ///
    /// # Errors
    /// When the supervisor reports a failure, or does not end.
    pub async fn stop(mut self) -> Result<()> {
        tokio::task::spawn_blocking(move || self.end()).await?
    }

    fn end(&mut self) -> Result<()> {
        drop(self.input.take());
        match seen_within(ENDED_WITHIN, || self.supervisor.try_wait().transpose()).transpose()? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("the cluster's supervisor failed ({status})"),
            None => {
                self.supervisor.kill()?;
                bail!("the cluster's supervisor did not end within {ENDED_WITHIN:?}")
            }
        }
    }

    fn access<'a>(&'a self, acting: Option<(&'a str, &'a [&'a str])>) -> Access<'a> {
        Access { url: &self.handover.url, authority: Some(&self.authority), token: &self.token, acting }
    }

    async fn connect(&self, access: &Access<'_>) -> Result<Client> {
        client(access.parsed()?).await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.input.is_some()
            && let Err(error) = self.end()
        {
            tracing::warn!("{error:#}");
        }
    }
}

/// A supervisor whose cluster is not ready yet.
struct Starting {
    supervisor: Option<Child>,
    input: Option<ChildStdin>,
}

impl Starting {
    fn handover(&mut self, messages: &Receiver<Message>, progress: impl Fn(&str)) -> Result<Handover> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match messages.recv_timeout(left).context("the cluster did not become ready, or its supervisor has gone")? {
                Message::Progress(step) => progress(&step),
                Message::Ready(handover) => return Ok(handover),
                Message::Failed(reason) => bail!("{reason}"),
            }
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        drop(self.input.take());
        if let Some(mut supervisor) = self.supervisor.take() {
            let _ = supervisor.wait();
        }
    }
}

/// A client from a parsed kubeconfig.
pub(crate) async fn client(kubeconfig: Kubeconfig) -> Result<Client> {
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

fn admin_token(handover: &Handover) -> Result<String> {
    let file = std::fs::read_to_string(handover.kubeconfig())?;
    let document: serde_json::Value = serde_json::from_str(&file)?;
    let token = document.pointer("/users/0/user/token").and_then(serde_json::Value::as_str);
    Ok(token.context("the admin's kubeconfig holds no token")?.to_owned())
}

/// A program of this package beside this executable, or one folder up from a test's.
pub(crate) fn sibling(name: &str) -> Result<PathBuf> {
    let me = std::env::current_exe()?;
    let folder = me.parent().context("this executable lies in no folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    let program = folder.join(name);
    if !program.is_file() {
        bail!("{} is missing; run `cargo build --workspace --bins`", program.display());
    }
    Ok(program)
}
