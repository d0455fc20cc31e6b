//! The ragops operator as a program.

use std::process::ExitCode;

use clap::Parser;
use ragops_operator::cli::{Cli, Command, RunArgs};
use ragops_operator::{api, run, telemetry};

/// A pass holds dozens of Kubernetes objects by value; without optimisation its frames outgrow the usual 2 MiB of a worker.
const WORKER_STACK_BYTES: usize = 16 * 1024 * 1024;

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Crd => api::schema::yaml().map(|yaml| print!("{yaml}")).map_err(|error| error.to_string()),
        Command::Run(args) => start(*args),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ragops-operator: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(args: RunArgs) -> Result<(), String> {
    telemetry::start(&args.log, args.log_format)
        .map_err(|error| format!("--log {}: {error}; try: info,ragops_operator=debug", args.log))?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().thread_stack_size(WORKER_STACK_BYTES).build();
    let runtime = runtime.map_err(|error| format!("the runtime cannot be started: {error}"))?;
    runtime.block_on(run::run(args)).map_err(|error| error.to_string())
}
