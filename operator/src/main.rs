//! The ragops operator as a program.

use std::process::ExitCode;

use clap::Parser;
use ragops_operator::cli::{Cli, Command};
use ragops_operator::{api, run, telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Crd => api::schema::yaml().map(|yaml| print!("{yaml}")).map_err(|error| error.to_string()),
        Command::Run(args) => match telemetry::start(&args.log, args.log_format) {
            Ok(()) => run::run(*args).await.map_err(|error| error.to_string()),
            Err(error) => Err(format!("--log {}: {error}; try: info,ragops_operator=debug", args.log)),
        },
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ragops-operator: {error}");
            ExitCode::FAILURE
        }
    }
}
