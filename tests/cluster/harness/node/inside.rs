//! The half of the supervisor that runs inside the namespaces and starts everything there.

use std::path::PathBuf;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;

use super::{ADDRESS, API_SOCKET, addons, kubelet, runtime, sandbox, volumes};
use crate::control_plane::{Place, Plan};
use crate::forward;
use crate::parts::Parts;
use crate::process::Process;
use crate::supervisor::{Form, Handover, Message, Served, end, report, serve, watch};

/// What to start, decided outside.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// The cluster's folder.
    pub folder: PathBuf,
    /// The folder of the Kubernetes programs.
    pub programs: PathBuf,
    /// The control group below which pods run.
    pub cgroup: String,
    /// Image archives to import, the pause image first.
    pub images: Vec<PathBuf>,
}

/// Runs the node until its input ends. Call it on the main thread of a single-threaded runtime.
pub(crate) async fn run(task: &Task) -> Result<bool> {
    let mut processes = Vec::new();
    let outcome = match serve(start(task, &mut processes)).await {
        Ok(Served::Ready) => watch(&mut processes).await,
        Ok(Served::Stopped) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = &outcome {
        report(&Message::Failed(format!("{error:#}")))?;
    }
    end(processes).await;
    Ok(outcome.is_ok())
}

async fn start(task: &Task, processes: &mut Vec<Process>) -> Result<()> {
    let folder = task.folder.as_path();
    sandbox::prepare(folder)?;
    let place = Place::namespace(ADDRESS);
    let parts = Parts::at(&task.programs);
    let plan = Plan { parts: &parts, folder, place: &place, form: Form::Node };

    report(&Message::Progress("starting etcd, the API server, the controller-manager and the scheduler".into()))?;
    processes.push(runtime::start(folder)?);
    plan.start(processes).await?;
    let socket = UnixListener::bind(folder.join(API_SOCKET))?;
    tokio::spawn(forward::socket_to_tcp(socket, place.api().into()));

    report(&Message::Progress(format!("importing {} images", task.images.len())))?;
    runtime::import(folder, &task.images).await?;
    report(&Message::Progress("starting kubelet, kube-proxy, cluster DNS and resource metrics".into()))?;
    kubelet::start(&plan, &task.cgroup, processes)?;
    addons::start(&plan, processes).await?;
    tokio::spawn(volumes::provision(plan.client().await?, folder.join("volumes")));
    kubelet::ready(&plan, processes).await?;
    addons::resolving(processes).await?;
    let (address, port) = place.api();
    let url = format!("https://{address}:{port}");
    report(&Message::Ready(Handover { folder: folder.to_owned(), url, pods: String::new() }))
}
