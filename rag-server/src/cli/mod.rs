//! The command line: one file for each subcommand.
//!
//! Exit codes: 0 done, 1 failed, 2 called wrongly. A failure is one sentence on standard error that begins with `rag-server:`.

pub mod check;
pub mod evaluate;
pub mod ingest;
mod key;
mod keys;
mod printable;
mod progress;
pub mod query;
pub mod read_document;
pub mod reindex;
pub mod serve;
mod server;
pub mod snapshot;
mod this_process;

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};

use crate::{
    config::{Layers, Loaded, Origin, Problem, Problems, Setting},
    outside, telemetry,
};

/// Exit code of a call that makes no sense.
const USAGE: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  rag-server ingest docs/                        read a folder; see docs/documents.md for what is read
  rag-server query \"how long are snapshots kept?\"  ask
  rag-server snapshot create --archive DIR       everything into an archive; `restore` brings it back
  rag-server evaluate                            measure how well each mode of the search finds what it should
  rag-server                                     serve on http://127.0.0.1:8080
  rag-server --config config.toml serve          serve what a file says
  rag-server check config.toml                   is the file right, and what does it come to?
  rag-server keys                                every key of the file, with its default

Every key of the file can also be set by the environment, RAG__RETRIEVAL__TOP_K=8, and by
--set retrieval.top_k=8. Flags win over the environment, and the environment over the file.";

/// Answers questions from your documents, with citations.
///
/// Without a configuration everything runs in this process: the embedding model, the vector store and the records.
#[derive(Debug, Parser)]
#[command(name = "rag-server", version, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    sources: Sources,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer over HTTP (what happens without a subcommand, too)
    Serve(serve::ServeArgs),
    /// Read documents into the index
    Ingest(ingest::IngestArgs),
    /// Ask a question
    Query(query::QueryArgs),
    /// Embed the stored texts with the configured model, and search with it from then on
    Reindex(reindex::ReindexArgs),
    /// Take snapshots of the corpus, prove them, and restore them
    Snapshot(snapshot::SnapshotArgs),
    /// Measure how well each mode of the search finds what it should
    Evaluate(evaluate::EvaluateArgs),
    /// Check a configuration file and print what it comes to
    Check(check::CheckArgs),
    /// Print every key of the configuration, with its values and its default
    Keys,
    /// Read one document for the process that started this one
    #[command(hide = true)]
    ReadDocument(read_document::ReadDocumentArgs),
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Default, Args)]
pub struct Sources {
    /// The configuration file (TOML)
    #[arg(long, global = true, value_name = "FILE", env = "RAG_CONFIG")]
    config: Option<PathBuf>,
    /// Folder of the embedded stores; the same as --set vector_store.embedded.path=DIR
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Set a key of the configuration, such as retrieval.top_k=8; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    // It bounds itself, so that nothing may be started before it: no runtime, no log.
    if let Some(Command::ReadDocument(args)) = &cli.command {
        return read_document::run(args);
    }
    outside::choose_cryptography();
    // A command that ends by itself says on standard output what it did; its log is for trouble. That of a server, and its traces, begin with its configuration.
    if !matches!(cli.command, None | Some(Command::Serve(_))) {
        telemetry::start("warn");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let code = runtime.block_on(run(cli)).unwrap_or_else(|error| failed(&*error));
    // A thread that still computes must not hold the exit up.
    runtime.shutdown_background();
    code
}

async fn run(cli: Cli) -> Result<ExitCode, Box<dyn Error>> {
    let command = cli.command.unwrap_or_else(|| Command::Serve(serve::ServeArgs::default()));
    let sources = match &command {
        Command::Serve(args) => cli.sources.and(args.settings()),
        Command::Check(args) => return Ok(check::run(args, &cli.sources)),
        Command::Keys => return Ok(keys::run()),
        Command::ReadDocument(args) => return Ok(read_document::run(args)),
        Command::Ingest(_) | Command::Query(_) | Command::Reindex(_) | Command::Snapshot(_) | Command::Evaluate(_) => {
            cli.sources.and(Vec::new())
        }
    };
    let loaded = match (sources.load(), &command) {
        (Ok(loaded), _) => loaded,
        (Err(problems), Command::Snapshot(args)) => {
            args.refused(&problems)?;
            return Err(problems.into());
        }
        (Err(problems), _) => return Err(problems.into()),
    };
    Ok(match command {
        Command::Serve(_) => serve::run(&loaded).await?,
        Command::Ingest(args) => ingest::run(args, &loaded.config).await?,
        Command::Query(args) => query::run(args, &loaded.config).await?,
        Command::Reindex(args) => reindex::run(args, &loaded.config).await?,
        Command::Snapshot(args) => snapshot::run(args, &loaded.config).await?,
        Command::Evaluate(args) => evaluate::run(args, &loaded.config).await?,
        Command::Check(_) | Command::Keys | Command::ReadDocument(_) => ExitCode::SUCCESS,
    })
}

/// The sources with what a subcommand's own flags set.
struct AllSources {
    file: Option<PathBuf>,
    settings: Vec<Setting>,
}

impl Sources {
    fn and(self, flags: Vec<Setting>) -> AllSources {
        let mut settings = environment();
        let flag = |flag: &str, key: &str, value: String| Setting {
            origin: Origin::Flag(flag.to_owned()),
            key: key.to_owned(),
            value,
        };
        if let Some(data) = self.data {
            settings.push(flag("--data", "vector_store.embedded.path", data.display().to_string()));
        }
        settings.extend(self.set.into_iter().map(|(key, value)| flag(&format!("--set {key}"), &key, value)));
        settings.extend(flags);
        AllSources { file: self.config, settings }
    }
}

impl AllSources {
    fn load(self) -> Result<Loaded, Problems> {
        let file = self.file.as_deref().map(|path| read(path).map(|bytes| (path.display().to_string(), bytes)));
        let file = file.transpose()?;
        let file = file.as_ref().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        Layers { file, settings: self.settings }.load()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    std::fs::read(path).map_err(|e| Problem {
        origin: Origin::Absent(path.display().to_string()),
        message: format!("the configuration file cannot be read: {e}"),
    })
}

/// What the environment sets. A value that is no text cannot be a setting, and is left to fail as one.
fn environment() -> Vec<Setting> {
    let variables = std::env::vars_os();
    let texts =
        variables.map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
    Setting::from_environment(texts)
}

/// Says why the program failed: one line for each line of the error, then what lies behind it.
fn failed(error: &dyn Error) -> ExitCode {
    for line in sentence(error).lines() {
        eprintln!("rag-server: {line}");
    }
    ExitCode::FAILURE
}

/// An error with its causes, those left out that it quotes already.
fn sentence(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_is_what_happens_without_a_subcommand() {
        assert!(Cli::parse_from(["rag-server"]).command.is_none());
        assert!(Cli::parse_from(["rag-server", "--set", "retrieval.top_k=3"]).command.is_none());
    }

    #[test]
    fn a_flag_before_and_after_the_subcommand_means_the_same() {
        for arguments in [["rag-server", "--data", "/d", "serve"], ["rag-server", "serve", "--data", "/d"]] {
            assert_eq!(Cli::parse_from(arguments).sources.data, Some("/d".into()));
        }
    }
}
