//! `rag-server ingest`: files and folders into the index, in this process or over HTTP into a running server.
//!
//! Exit code 0 when every document went well, 1 when one failed or the run was stopped, 2 for a call that makes no sense.

mod remote;
mod show;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::Args;
use tokio_util::sync::CancellationToken;

use self::{
    remote::{Remote, RemoteError},
    show::Show,
};
use crate::{
    app::{App, AppError},
    config::Config,
    ingest::{FailureReason, Interrupted, Source, walk},
    ports::StoreError,
};

/// What was reported when a second Ctrl-C ends the process, as shells have it.
const INTERRUPTED: i32 = 130;

/// Files and folders to ingest.
#[derive(Debug, Args)]
pub struct IngestArgs {
    /// Files (.txt, .md, .html) and folders; a document is named by its path below the folder
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Send the documents to a running server instead of opening its data
    #[arg(long, value_name = "URL", env = "RAG_SERVER")]
    server: Option<reqwest::Url>,
    /// File with the server's API key; without it the environment's RAG_KEY is used
    #[arg(long, value_name = "FILE", requires = "server")]
    key_file: Option<PathBuf>,
}

/// Why the run ended early.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The parts could not be opened.
    #[error(transparent)]
    App(#[from] AppError),
    /// A store or the model failed.
    #[error("ingestion stopped: {0}; what was reported is stored, run it again for the rest")]
    Interrupted(#[from] Interrupted),
    /// A store failed while it was tidied or closed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server could not be asked, or refused.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A thread ended unexpectedly.
    #[error("looking for files ended unexpectedly: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

/// Ingests what the arguments name.
pub async fn run(args: IngestArgs, config: &Config) -> Result<ExitCode, IngestError> {
    let remote = match args.server {
        Some(server) => Some(Remote::new(server, args.key_file.as_deref())?),
        None => None,
    };
    let app = match &remote {
        Some(_) => None,
        None => Some(App::open(config).await?),
    };
    let paths = args.paths;
    let (sources, broken) = tokio::task::spawn_blocking(move || sources(&paths)).await?;
    let mut show = Show::new(sources.len() + broken.len());
    for (name, reason) in broken {
        show.report(&name, Err(reason.to_string()));
    }
    let stop = stop_on_ctrl_c();
    let outcome = match (&remote, &app) {
        (Some(remote), _) => remote.ingest(sources, &stop, &mut show).await.map_err(IngestError::from),
        (None, Some(app)) => local(app, sources, &stop, &mut show).await,
        (None, None) => Ok(()),
    };
    let all_went_well = show.finish(stop.is_cancelled());
    if let Some(app) = app {
        app.close().await?;
    }
    outcome?;
    Ok(if all_went_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn local(app: &App, sources: Vec<Source>, stop: &CancellationToken, show: &mut Show) -> Result<(), IngestError> {
    // An earlier run may have been killed between two writes.
    app.ingest.clean_up().await?;
    let bar = show.bar();
    let ingest = Arc::clone(&app.ingest);
    let ticker = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            bar.set_message(format!("{} chunks", ingest.chunks_written()));
        }
    });
    let ended = app
        .ingest
        .ingest_all(sources, stop, &mut |report| {
            show.report(&report.name, report.result.map_err(|reason| reason.to_string()));
        })
        .await;
    ticker.abort();
    show.chunks(app.ingest.chunks_written());
    Ok(ended?)
}

type Broken = (String, FailureReason);

/// The documents at and below the paths, and what cannot be one. No two documents have the same name.
fn sources(paths: &[PathBuf]) -> (Vec<Source>, Vec<Broken>) {
    let (mut sources, mut broken) = (Vec::new(), Vec::new());
    let mut taken: HashMap<String, &Path> = HashMap::new();
    for path in paths {
        for found in walk(path) {
            let source = match found {
                Ok(source) => source,
                Err(reason) => {
                    broken.push(reason);
                    continue;
                }
            };
            match taken.get(source.id.as_str()) {
                Some(other) => {
                    let by = format!("the one under {}", other.display());
                    broken.push((source.id.as_str().to_owned(), FailureReason::NameTaken { by }));
                }
                None => {
                    taken.insert(source.id.as_str().to_owned(), path);
                    sources.push(source);
                }
            }
        }
    }
    (sources, broken)
}

/// Ends the run after the document in work at the first Ctrl-C, and the process at the second.
fn stop_on_ctrl_c() -> CancellationToken {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_err() {
            return;
        }
        eprintln!("stopping after the document in work; Ctrl-C again ends at once (nothing that was reported is lost)");
        stopped.cancel();
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(INTERRUPTED);
        }
    });
    stop
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_the_order_of_their_names_and_each_name_once() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/two.md", "a.txt", "b/one.html", ".hidden/x.md", "b/picture.png"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "text").unwrap();
        }
        let (found, broken) = sources(&[folder.path().to_owned(), folder.path().join("a.txt")]);
        assert_eq!(found.iter().map(|s| s.id.as_str()).collect::<Vec<_>>(), ["a.txt", "b/one.html", "b/two.md"]);
        let reasons: Vec<_> = broken.iter().map(|(name, reason)| (name.as_str(), reason.class())).collect();
        assert_eq!(reasons, [("b/picture.png", "unknown_type"), ("a.txt", "name_taken")]);
    }

    #[test]
    fn a_path_that_does_not_exist_fails_by_its_name() {
        let (found, broken) = sources(&[PathBuf::from("/nowhere/at-all.md")]);
        assert!(found.is_empty());
        assert_eq!(broken, [("at-all.md".to_owned(), FailureReason::NotFound)]);
    }
}
