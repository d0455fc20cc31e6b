//! `rag-server ingest`: files and folders into the index, in this process or over HTTP into a running server.
//!
//! Exit code 0 when every document went well, 1 when one failed or the run was stopped, 2 for a call that makes no sense.

mod remote;
mod selection;
mod show;

use std::{collections::HashSet, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::Args;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use self::{
    remote::{Remote, RemoteError},
    selection::Selection,
    show::Show,
};
use crate::{
    app::{App, AppError},
    cli::printable,
    config::Config,
    ingest::{DocumentReport, Format, Interrupted, Prune, Source, expiry_of},
    model::{DocumentId, Tenant},
    ports::{GATE, Holds, StoreError, SystemClock},
};

/// Documents that are removed between two looks at what to show.
const PRUNED_AT_ONCE: usize = 200;

/// What was reported when a second Ctrl-C ends the process, as shells have it.
const INTERRUPTED: i32 = 130;

/// Files and folders to ingest.
#[derive(Debug, Args)]
pub struct IngestArgs {
    // The list of formats is not said twice.
    #[arg(required = true, value_name = "PATH", help = paths_help())]
    paths: Vec<PathBuf>,
    /// Put this before the name of each document, such as guide/
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
    /// Until when the documents are found, such as 2027-01-31T18:00:00Z; without it they are kept for good
    #[arg(long, value_name = "TIME", value_parser = expiry_of)]
    expires_at: Option<Timestamp>,
    /// Say what would become of each document, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Then remove the stored documents below --prefix that are no longer there (--prefix '' for all documents)
    #[arg(long)]
    prune: bool,
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
    /// Nobody said which documents may be removed.
    #[error(
        "--prune needs --prefix: it removes every stored document below the prefix that is not in this run; give the folder's documents a prefix of their own, such as --prefix guide/, or say --prefix '' if all stored documents come from these paths"
    )]
    PruneWithoutPrefix,
    /// A restore is at work over the corpus.
    #[error(
        "a snapshot is being restored over this corpus, until {0:.0} unless it takes longer; nothing was written: run it again when that is done"
    )]
    Restoring(Timestamp),
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

fn paths_help() -> String {
    format!("Files ({}) and folders; a document is named by its path below the folder", Format::ends())
}

/// Ingests what the arguments name.
pub async fn run(args: IngestArgs, config: &Config) -> Result<ExitCode, IngestError> {
    if args.prune && args.prefix.is_none() {
        return Err(IngestError::PruneWithoutPrefix);
    }
    let prefix = folder(args.prefix.as_deref().unwrap_or_default());
    let remote = match args.server {
        Some(server) => Some(Remote::new(server, args.key_file.as_deref())?),
        None => None,
    };
    let app = match &remote {
        Some(_) => None,
        None => Some(App::open(config).await?),
    };
    let (paths, below) = (args.paths, prefix.clone());
    let found = tokio::task::spawn_blocking(move || Selection::find(&paths, &below)).await?;
    let mut show = Show::new(found.sources.len() + found.broken.len(), args.dry_run);
    show.passed_over(&found.passed_over);
    for (name, other) in &found.alike {
        let why = format!("it looks like {other}, whose letters are composed in another way; they are two documents");
        show.notice(name, &why);
    }
    for (name, reason) in &found.broken {
        show.report(name, Err(reason.to_string()));
    }
    let stop = stop_on_ctrl_c();
    let (there, unseen) = (found.there(), found.unseen);
    let until = |source: Source| Source { expires_at: args.expires_at, ..source };
    let sources = found.sources.into_iter().map(until).collect();
    let to = match (&remote, &app) {
        (Some(remote), _) => To::Server(remote),
        (None, Some(app)) => To::Stores(app),
        (None, None) => return Ok(ExitCode::SUCCESS),
    };
    let mut outcome = to.ingest(sources, args.dry_run, &stop, &mut show).await;
    let pruning = match (args.prune, unseen) {
        (false, _) => None,
        (true, Some(unseen)) => Some(Err(format!("{unseen}; what could not be looked at may hold documents"))),
        (true, None) if stop.is_cancelled() || outcome.is_err() => Some(Err("the run was not completed".to_owned())),
        (true, None) if there.is_empty() => Some(Err("there is not one document at these paths".to_owned())),
        (true, None) => Some(Ok(())),
    };
    if let Some(Ok(())) = pruning {
        outcome = to.prune(&prefix, &there, args.dry_run, &mut show).await;
    }
    let all_went_well = show.finish(stop.is_cancelled());
    if let Some(app) = &app {
        app.close().await?;
    }
    outcome?;
    if let Some(Err(why)) = pruning {
        eprintln!("rag-server: nothing is removed: {}", printable::line(&why));
        return Ok(ExitCode::FAILURE);
    }
    Ok(if all_went_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A prefix is a folder: `guide` means `guide/`.
fn folder(prefix: &str) -> String {
    let whole = prefix.is_empty() || prefix.ends_with('/');
    if whole { prefix.to_owned() } else { format!("{prefix}/") }
}

/// Where documents go.
enum To<'t> {
    Stores(&'t App),
    Server(&'t Remote),
}

impl To<'_> {
    async fn ingest(
        &self,
        sources: Vec<Source>,
        dry_run: bool,
        stop: &CancellationToken,
        show: &mut Show,
    ) -> Result<(), IngestError> {
        match self {
            Self::Server(remote) => Ok(remote.ingest(sources, dry_run, stop, show).await?),
            Self::Stores(app) if dry_run => {
                let report = &mut |report: DocumentReport| show_document(report, show);
                Ok(app.ingest.preview_all(sources, stop, report).await?)
            }
            Self::Stores(app) => local(app, sources, stop, show).await,
        }
    }

    async fn prune(
        &self,
        prefix: &str,
        there: &HashSet<DocumentId>,
        dry_run: bool,
        show: &mut Show,
    ) -> Result<(), IngestError> {
        let (tenant, mut after) = (Tenant::default(), None::<String>);
        loop {
            let prune = Prune { tenant: &tenant, prefix, keep: there, dry_run };
            let pruned = match self {
                Self::Stores(app) => app.ingest.prune(prune, after.as_deref(), PRUNED_AT_ONCE).await?,
                Self::Server(remote) => remote.prune(prune, after.as_deref()).await?,
            };
            pruned.removed.iter().for_each(|id| show.removed(id));
            match pruned.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }
}

fn show_document(report: DocumentReport, show: &mut Show) {
    show.report(&report.name, report.result.map_err(|reason| reason.to_string()));
    report.notices.iter().for_each(|notice| show.notice(&report.name, &notice.to_string()));
}

async fn local(app: &App, sources: Vec<Source>, stop: &CancellationToken, show: &mut Show) -> Result<(), IngestError> {
    let (kind, gate) = GATE;
    if let Some(holder) = Holds::new(Arc::clone(&app.records), Arc::new(SystemClock)).holder(kind, gate).await? {
        return Err(IngestError::Restoring(holder.until));
    }
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
    let ended = app.ingest.ingest_all(sources, stop, &mut |report| show_document(report, show)).await;
    ticker.abort();
    if let Err(error) = app.retrieve.calibrate().await {
        tracing::warn!(%error, "the threshold of a refusal was not calibrated; the server does it when it runs");
    }
    show.chunks(app.ingest.chunks_written(), app.ingest.chunks_embedded());
    Ok(ended?)
}

/// Ends the run after the document in work at the first Ctrl-C, and the process at the second.
pub(super) fn stop_on_ctrl_c() -> CancellationToken {
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
