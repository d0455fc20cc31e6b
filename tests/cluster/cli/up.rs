//! `cluster up`: a cluster for a person or a script, from the first progress line to a clean end.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};
use std::time::Instant;

use anyhow::{Context, Result};
use ragops_tests::supervisor::Form;
use ragops_tests::{Cluster, availability};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// What to start.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// One real node (root on Linux) instead of simulated ones
    #[arg(long)]
    node: bool,
    /// Image archives to import into the real node
    #[arg(long, value_delimiter = ',', requires = "node")]
    images: Vec<PathBuf>,
    /// Runs this command with KUBECONFIG and PATH set, ends the cluster with it, and returns its status
    #[arg(long, num_args = 1.., value_terminator = ";", allow_hyphen_values = true)]
    exec: Vec<OsString>,
}

/// Exit status of a machine that lacks something, so that a script can tell it from a failure.
const UNAVAILABLE: u8 = 3;

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let (form, parts) = if arguments.node {
        (Form::Node, availability::node())
    } else {
        (Form::ControlPlane, availability::control_plane())
    };
    let parts = match parts {
        Ok(parts) => parts,
        Err(reason) => {
            eprintln!("cluster: {reason}");
            return Ok(ExitCode::from(UNAVAILABLE));
        }
    };
    let images = arguments.images.iter().map(|path| path.canonicalize().with_context(|| path.display().to_string()));
    let images = images.collect::<Result<Vec<_>>>()?;
    let started = Instant::now();
    let cluster = Cluster::start(&parts, form, &images, |step| {
        eprintln!("cluster: {:5.1} s  {step}", started.elapsed().as_secs_f64());
    })?;
    eprintln!("cluster: {:5.1} s  ready; logs in {}", started.elapsed().as_secs_f64(), cluster.folder().display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(stay(arguments, &cluster));
    runtime.block_on(cluster.stop())?;
    eprintln!("cluster: stopped, nothing is left");
    outcome
}

async fn stay(arguments: &Arguments, cluster: &Cluster) -> Result<ExitCode> {
    let mut path = OsString::from(cluster.parts().folder());
    if let Some(old) = std::env::var_os("PATH") {
        path.push(":");
        path.push(old);
    }
    if let Some((program, rest)) = arguments.exec.split_first() {
        let mut command = Command::new(program);
        let status = execute(command.args(rest).env("KUBECONFIG", cluster.kubeconfig()).env("PATH", path)).await?;
        return Ok(ExitCode::from(u8::try_from(status.code().unwrap_or(1))?));
    }
    println!("export KUBECONFIG={}", cluster.kubeconfig().display());
    println!("export PATH={}:$PATH", cluster.parts().folder().display());
    eprintln!("cluster: Ctrl-C ends it");
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut alive = tokio::time::interval(std::time::Duration::from_millis(500));
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
            _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
            _ = alive.tick() => if let Some(reason) = cluster.failed() {
                eprintln!("cluster: {reason}");
                return Ok(ExitCode::FAILURE);
            },
        }
    }
}

/// A signal reaches the command through the terminal's process group; this process stays to clean up after it.
async fn execute(command: &mut Command) -> Result<ExitStatus> {
    let mut child = command.kill_on_drop(true).spawn().context("cannot run the command")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        status = child.wait() => return Ok(status?),
        _ = terminate.recv() => child.kill().await?,
        _ = interrupt.recv() => {}
    }
    Ok(child.wait().await?)
}
