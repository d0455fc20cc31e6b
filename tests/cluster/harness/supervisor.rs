//! The process that owns a cluster. It stops when its standard input ends (whoever asked for the cluster has gone) or on
//! SIGTERM; the kernel ends what it started when it is killed itself. It reports one JSON message per line.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::control_plane::{Place, Plan, first_end, kubeconfig_path};
use crate::parts::Parts;
use crate::process::Process;
use crate::workdir::Workdir;
use crate::{node, simulated};

/// What kind of nodes a cluster has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// Simulated ones.
    ControlPlane,
    /// One real node.
    Node,
}

/// What to start; the supervisor's only argument, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Order {
    /// Which form.
    pub form: Form,
    /// The folder of the Kubernetes programs.
    pub programs: PathBuf,
    /// Image archives to import; real node only.
    pub images: Vec<PathBuf>,
}

/// What the supervisor reports.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// A step has begun.
    Progress(String),
    /// The cluster can be used.
    Ready(Handover),
    /// The cluster cannot start, or a part of it has ended.
    Failed(String),
}

/// How to use the cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Handover {
    /// The cluster's own folder: kubeconfigs, logs, audit log.
    pub folder: PathBuf,
    /// Where the API server answers on this machine.
    pub url: String,
    /// The network of simulated pods, empty on a real node.
    pub pods: String,
}

/// Prints a message for whoever started the supervisor.
///
/// # Errors
/// When nobody reads any more.
pub(crate) fn report(message: &Message) -> Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{}", serde_json::to_string(message)?)?;
    Ok(output.flush()?)
}

/// Runs a cluster until it is asked to stop. Call it on the main thread of a single-threaded runtime: the parts end with
/// the thread that started them.
///
/// Returns false when the cluster could not start or a part of it ended early, which has been reported.
///
/// # Errors
/// When something is left of the cluster, or nobody reads the report.
pub async fn run(order: &Order) -> Result<bool> {
    let workdir = Workdir::create()?;
    let outcome = match order.form {
        Form::ControlPlane => control_plane(order, workdir.path()).await,
        Form::Node => node::outside::run(order, &workdir).await,
    };
    if let Err(error) = &outcome {
        report(&Message::Failed(format!("{error:#}")))?;
    }
    workdir.remove()?;
    Ok(outcome.is_ok())
}

/// The part of a node's supervisor that runs inside the namespaces; the other part starts it.
///
/// Returns false when the node could not start or a part of it ended early, which has been reported.
///
/// # Errors
/// When nobody reads the report.
pub async fn run_inside(task: &node::inside::Task) -> Result<bool> {
    node::inside::run(task).await
}

async fn control_plane(order: &Order, folder: &Path) -> Result<()> {
    let place = Place::claim()?;
    let parts = Parts::at(&order.programs);
    let plan = Plan { parts: &parts, folder, place: &place, form: Form::ControlPlane };
    let mut processes = Vec::new();
    let (address, port) = place.api();
    let handover =
        Handover { folder: folder.to_owned(), url: format!("https://{address}:{port}"), pods: place.pods.clone() };
    let outcome = serve(start_simulated(&plan, handover, &mut processes)).await;
    let outcome = match outcome {
        Ok(Served::Ready) => watch(&mut processes).await,
        Ok(Served::Stopped) => Ok(()),
        Err(error) => Err(error),
    };
    end(processes).await;
    outcome
}

async fn start_simulated(plan: &Plan<'_>, handover: Handover, processes: &mut Vec<Process>) -> Result<()> {
    report(&Message::Progress("starting etcd, the API server, the controller-manager and the scheduler".into()))?;
    plan.start(processes).await?;
    simulated::start(plan, processes).await?;
    report(&Message::Ready(handover))
}

/// How a start came to its end.
pub(crate) enum Served {
    /// The cluster runs.
    Ready,
    /// Somebody asked to stop before it did.
    Stopped,
}

/// Runs a start, unless somebody asks to stop first.
pub(crate) async fn serve(start: impl Future<Output = Result<()>>) -> Result<Served> {
    tokio::select! {
        result = start => result.map(|()| Served::Ready),
        result = stop_requested() => result.map(|()| Served::Stopped),
    }
}

/// Waits until somebody asks to stop; a part that ends before is a failure.
pub(crate) async fn watch(processes: &mut [Process]) -> Result<()> {
    tokio::select! {
        result = stop_requested() => result,
        obituary = first_end(processes) => bail!("{obituary}"),
    }
}

/// Ends all processes, the last started first.
pub(crate) async fn end(mut processes: Vec<Process>) {
    while let Some(mut process) = processes.pop() {
        process.end().await;
    }
}

/// Standard input at its end, SIGTERM or SIGINT.
async fn stop_requested() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut input = tokio::io::stdin();
    let mut ignored = [0_u8; 64];
    loop {
        tokio::select! {
            read = input.read(&mut ignored) => if read.context("cannot read standard input")? == 0 { return Ok(()) },
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

impl Handover {
    /// The admin's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        kubeconfig_path(&self.folder, "admin")
    }
}
