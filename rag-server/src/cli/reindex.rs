//! `rag-server reindex`: the stored texts, embedded with the configured model.

use std::{error::Error, process::ExitCode, sync::Arc};

use clap::Args;
use indicatif::ProgressBar;
use tokio_util::sync::CancellationToken;

use super::{evaluate::show, ingest::stop_on_ctrl_c, printable, progress, this_process::this_process};
use crate::{
    app::{self, Stores, Trial},
    config::Config,
    model::DocumentRecord,
    ports::{Epoch, Holds, SystemClock},
    reindex::{self, Reindex, ReindexError, Reindexed},
};

/// Embed the stored texts with the configured model, and search with it from then on.
///
/// For a new embedding model, or an index that an older version of rag-server built: configure the new model, stop the servers or make them read-only, and run this. Nothing that is searched changes
/// until it is complete and measured with headings of the documents; a run that was stopped is taken up again by the next. The old vectors stay: to go back, configure the old model and run it again.
#[derive(Debug, Args)]
pub struct ReindexArgs {
    /// Search with it only if this share of the headings is found among the first five documents, 0 to 1; without it, always
    #[arg(long, value_name = "SHARE", value_parser = share)]
    least: Option<f64>,
}

/// A share on the command line.
pub(super) fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "it must be from 0 to 1".to_owned())
}

/// Runs, and says what it came to.
pub(super) async fn run(args: ReindexArgs, config: &Config) -> Result<ExitCode, Box<dyn Error>> {
    let stores = app::open_stores(config).await?;
    let done = alone(args.least, config, &stores).await;
    stores.close().await?;
    let (said, code) = match done? {
        Reindexed::Fits(epoch) => {
            (format!("epoch {} fits the configured model; nothing is to be done", epoch.0), ExitCode::SUCCESS)
        }
        Reindexed::Activated { from, to, embedded } => {
            let kept = format!("epoch {} stays for going back", from.0);
            (format!("epoch {} is searched now: {embedded} chunks embedded; {kept}", to.0), ExitCode::SUCCESS)
        }
        Reindexed::Rejected { from, to } => {
            let kept = format!("epoch {} is built and kept, and epoch {} is searched as before", to.0, from.0);
            (
                format!("{kept}: run it again with a lower --least or without it, or configure the old model again"),
                ExitCode::FAILURE,
            )
        }
        Reindexed::Stopped => {
            ("stopped; run it again to go on, nothing that is searched has changed".to_owned(), ExitCode::FAILURE)
        }
    };
    println!("{said}");
    Ok(code)
}

/// Works as long as no other process changes the searched epoch, and lets others do so afterwards.
async fn alone(least: Option<f64>, config: &Config, stores: &Stores) -> Result<Reindexed, Box<dyn Error>> {
    let models = app::open_models(config);
    let (reindex, trial) = app::reindex(&models, stores).await?;
    let holds = Holds::new(Arc::clone(&stores.records), Arc::new(SystemClock));
    let hold = Arc::new(reindex::hold(&holds, &this_process("reindex")).await?);
    let stop = stop_on_ctrl_c();
    let done = tokio::select! {
        done = work((reindex.under(Arc::clone(&hold)), trial), least, &stop) => done,
        () = hold.lost() => Err(ReindexError::TakenOver.into()),
    };
    models.keep_costs().await;
    if let Err(error) = hold.give_back().await {
        tracing::warn!(%error, "the change of the epoch was not given back; others wait until its time is over");
    }
    done
}

/// Runs, and says how far it is.
async fn work(
    (reindex, trial): (Reindex, Trial),
    least: Option<f64>,
    stop: &CancellationToken,
) -> Result<Reindexed, Box<dyn Error>> {
    // Everything is looked at three times: the later looks find what changed during the first, and while it was measured.
    let bar = progress::bar(Some(reindex.documents().await?.saturating_mul(3)), "documents");
    let mut embedded = 0;
    let tell = |document: &DocumentRecord, chunks| {
        embedded += chunks;
        bar.inc(1);
        bar.set_message(format!("{embedded} chunks  {}", printable::line(document.id.as_str())));
    };
    let judge = async |epoch| is_good_enough((trial, epoch), least, &bar).await;
    let done = reindex.run(stop, tell, judge).await;
    bar.finish_and_clear();
    done
}

/// Measures an epoch and prints what was found, or why nothing was.
async fn is_good_enough(
    (trial, epoch): (Trial, Epoch),
    least: Option<f64>,
    bar: &ProgressBar,
) -> Result<bool, Box<dyn Error>> {
    bar.set_message("the new epoch is measured");
    let told = |done, total| bar.set_message(format!("measured with {done} of {total} headings"));
    let verdict = trial.of(epoch, least, told).await?;
    bar.suspend(|| match &verdict.measured {
        Ok(report) => println!("epoch {}, before it is searched:\n\n{}", epoch.0, show::readable(report)),
        Err(why) => eprintln!("epoch {} is not measured: {why}", epoch.0),
    });
    Ok(verdict.is_good_enough)
}
