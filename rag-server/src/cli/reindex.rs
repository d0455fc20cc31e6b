//! `rag-server reindex`: the stored texts, embedded with the configured model.

use std::{error::Error, io::IsTerminal, process::ExitCode};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{ingest::stop_on_ctrl_c, printable};
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
    let bar = bar(reindex.documents().await?);
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

fn bar(documents: u64) -> ProgressBar {
    let terminal = std::io::stderr().is_terminal();
    let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    // Everything is looked at twice: the second look finds what changed during the first.
    let bar = ProgressBar::with_draw_target(Some(documents.saturating_mul(2)), target);
    match ProgressStyle::with_template("{pos}/{len} documents  {bar:30}  {percent} %  {msg}  {eta} left") {
        Ok(style) => bar.with_style(style.progress_chars("━━╌")),
        Err(_) => bar,
    }
}
