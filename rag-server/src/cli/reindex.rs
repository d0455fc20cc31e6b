//! `rag-server reindex`: the stored texts, embedded with the configured model.

use std::{error::Error, process::ExitCode};

use clap::Args;

use super::{ingest::stop_on_ctrl_c, printable, progress};
use crate::{app, config::Config, reindex::Reindexed};

/// Embed the stored texts with the configured model, and search with it from then on.
///
/// For a new embedding model, or an index that an older version of rag-server built: configure the new model, stop the servers or make them read-only, and run this. Nothing that is searched changes
/// until it is complete; a run that was stopped is taken up again by the next. The old vectors stay: to go back, configure the old model and run it again.
#[derive(Debug, Args)]
pub struct ReindexArgs {}

/// Runs, and says how far it is.
pub(super) async fn run(_args: ReindexArgs, config: &Config) -> Result<ExitCode, Box<dyn Error>> {
    let reindex = app::reindex(config).await?;
    // Everything is looked at twice: the second look finds what changed during the first.
    let bar = progress::bar(Some(reindex.documents().await?.saturating_mul(2)), "documents");
    let mut embedded = 0;
    let done = reindex
        .run(&stop_on_ctrl_c(), |document, chunks| {
            embedded += chunks;
            bar.inc(1);
            bar.set_message(format!("{embedded} chunks  {}", printable::line(document.id.as_str())));
        })
        .await;
    bar.finish_and_clear();
    reindex.close().await?;
    let (said, code) = match done? {
        Reindexed::Fits(epoch) => {
            (format!("epoch {} fits the configured model; nothing is to be done", epoch.0), ExitCode::SUCCESS)
        }
        Reindexed::Activated { from, to, embedded } => {
            let kept = format!("epoch {} stays for going back", from.0);
            (format!("epoch {} is searched now: {embedded} chunks embedded; {kept}", to.0), ExitCode::SUCCESS)
        }
        Reindexed::Stopped => {
            ("stopped; run it again to go on, nothing that is searched has changed".to_owned(), ExitCode::FAILURE)
        }
    };
    println!("{said}");
    Ok(code)
}
