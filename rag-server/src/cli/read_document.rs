//! The hidden subcommand that reads one hostile document for its parent; see [`crate::ingest::read_document`].

use std::process::ExitCode;

use clap::Args;

use crate::ingest::{Format, read_document};

/// What to read, and with how much.
#[derive(Debug, Args)]
pub struct ReadDocumentArgs {
    #[arg(value_parser = format)]
    format: Format,
    #[arg(long)]
    memory_mib: u64,
    #[arg(long)]
    cpu_seconds: u64,
}

/// Reads standard input, writes standard output.
pub fn run(args: &ReadDocumentArgs) -> ExitCode {
    match read_document(args.format, args.memory_mib, args.cpu_seconds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn format(name: &str) -> Result<Format, String> {
    Format::of_reader(name).ok_or_else(|| "no format that is read by a process of its own".to_owned())
}
