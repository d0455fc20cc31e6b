//! `rag-server check FILE`: is the configuration right, and what does it come to?

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;

use super::{Sources, USAGE, failed, read};
use crate::config::Layers;

/// Check a configuration file and print what it comes to.
///
/// Exit code 0: it is accepted; 1: it is refused, every problem with its line; 2: there is no such file.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The configuration file; that of --config without it
    file: Option<PathBuf>,
}

/// Checks, and prints to standard output.
pub(super) fn run(args: &CheckArgs, sources: &Sources) -> ExitCode {
    let mut sources = sources.clone();
    sources.config = args.file.clone().or(sources.config);
    let name = sources.config.as_ref().map_or("the defaults".to_owned(), |path| path.display().to_string());
    let bytes = match sources.config.as_deref().map(read).transpose() {
        Ok(bytes) => bytes,
        Err(problem) => {
            eprintln!("rag-server: {problem}");
            return USAGE.into();
        }
    };
    let file = bytes.as_ref().map(|bytes| (name.as_str(), bytes.as_slice()));
    let loaded = match (Layers { file, settings: sources.and(Vec::new()).settings }).load() {
        Ok(loaded) => loaded,
        Err(problems) => return failed(&problems),
    };
    let effective = match loaded.config.to_toml() {
        Ok(effective) => effective,
        Err(error) => return failed(&error),
    };
    // Whoever closes the pipe has read enough.
    let _closed = print(&name, &loaded.sha256, &effective);
    ExitCode::SUCCESS
}

fn print(name: &str, sha256: &str, effective: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "# {name}: OK (sha256 {sha256}); the effective configuration:\n{effective}")?;
    out.flush()
}
