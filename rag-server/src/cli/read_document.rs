//! The hidden subcommand that reads one hostile document for its parent; see [`crate::ingest::read_document`].

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::ingest::{Format, read_document};

/// What to read, and with how much.
#[derive(Debug, Args)]
pub struct ReadDocumentArgs {
    format: BinaryFormat,
    #[arg(long)]
    memory_mib: u64,
    #[arg(long)]
    cpu_seconds: u64,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BinaryFormat {
    Docx,
    Pdf,
}

/// Reads standard input, writes standard output.
pub fn run(args: &ReadDocumentArgs) -> ExitCode {
    let format = match args.format {
        BinaryFormat::Docx => Format::Docx,
        BinaryFormat::Pdf => Format::Pdf,
    };
    match read_document(format, args.memory_mib, args.cpu_seconds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
