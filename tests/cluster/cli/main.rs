//! Clusters by hand: `up` for a person, `image` for packing, `supervise` for the harness itself.

mod image;
mod up;

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use ragops_tests::supervisor;

/// A real Kubernetes on this machine, for tests and for trying things out.
#[derive(Parser)]
#[command(name = "cluster")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts a cluster, prints how to reach it, and keeps it until Ctrl-C.
    Up(up::Arguments),
    /// Packs files into an image archive.
    Image(image::Arguments),
    /// Owns a cluster; started by `up` and by tests.
    #[command(hide = true)]
    Supervise { order: String },
    /// The part of the supervisor inside a node's namespaces.
    #[command(hide = true)]
    SuperviseNode { task: String },
}

fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
    run(Arguments::parse().command).unwrap_or_else(|error| {
        // For a person: the chain of causes, and no backtrace.
        eprintln!("cluster: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Up(arguments) => return up::run(&arguments),
        Command::Image(arguments) => arguments.run()?,
        Command::Supervise { order } => {
            let order = serde_json::from_str(&order).context("not an order")?;
            return Ok(status(on_this_thread(supervisor::run(&order))?));
        }
        Command::SuperviseNode { task } => {
            let task = serde_json::from_str(&task).context("not a task")?;
            return Ok(status(on_this_thread(supervisor::run_inside(&task))?));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn status(success: bool) -> ExitCode {
    if success { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Parts of a cluster end with the thread that started them, so it must be one that lives as long as the process.
fn on_this_thread<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(work);
    // A read of standard input may still be waiting, and nobody waits for it.
    runtime.shutdown_background();
    outcome
}
