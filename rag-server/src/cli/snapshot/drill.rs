//! `rag-server snapshot drill`.

use std::error::Error;

use clap::Args;

use super::{
    Said, closed,
    figures::{Run, Unit},
    report::{self, Cause, Done, Report, Snapshot, Trouble},
};
use crate::{
    app::{self, Drilling, Stores},
    cli::reindex::share,
    config::Config,
    snapshot::{Archived, Drilled, Name, Progress},
};

/// Which snapshot, and what is enough.
#[derive(Debug, Args)]
pub(super) struct DrillArgs {
    /// Its name; that of the newest without it
    pub(super) name: Option<Name>,
    /// The share of the chunks that the snapshot names as proof that must be found, 0 to 1
    #[arg(long, value_name = "SHARE", default_value = "0.95", value_parser = share)]
    pub(super) min_recall: f64,
}

/// Drills the snapshot of this name, of which so much has to be found. Where there is no room for it, nothing is proven and nothing failed: it is skipped.
pub(super) async fn drill(
    config: &Config,
    archived: Archived,
    (name, min_recall): (&Name, f64),
    run: &Run<'_>,
) -> Result<Said, Box<dyn Error>> {
    let place = archived.archive.place().to_owned();
    let error = match opened_and_drilled(config, archived, (name, min_recall), run).await {
        Ok(drilled) => return Ok(Said::done(said(&drilled), Done::Drilled(measured(&drilled, &place)))),
        Err(error) => error,
    };
    match Report::failed(&*error) {
        Report::Failed(trouble) if trouble.cause == Cause::NoRoom => Ok(skipped(name, trouble)),
        _ => Err(error),
    }
}

async fn opened_and_drilled(
    config: &Config,
    archived: Archived,
    what: (&Name, f64),
    run: &Run<'_>,
) -> Result<Drilled, Box<dyn Error>> {
    let stores = app::open_stores(config).await?;
    let drilled = drilled(config, &stores, archived, what, run).await;
    closed(stores, drilled).await
}

async fn drilled(
    config: &Config,
    stores: &Stores,
    archived: Archived,
    (name, min_recall): (&Name, f64),
    run: &Run<'_>,
) -> Result<Drilled, Box<dyn Error>> {
    let manifest = archived.read(name).await?;
    let Drilling { drill, .. } = &app::drill(&app::open_models(config), stores, archived, min_recall).await?;
    let bar = run.bar(Unit::Documents, manifest.documents);
    let mut tell = |progress: Progress| bar.at(progress.documents, None);
    let drilled = drill.run(name, run.stop, &mut tell).await;
    let closed = drill.scratch.close().await;
    let drilled = drilled?;
    closed?;
    Ok(drilled)
}

fn measured(drilled: &Drilled, place: &str) -> report::Drilled {
    let Drilled { manifest, asked, found, rto, rpo } = drilled;
    report::Drilled {
        snapshot: Snapshot::of(manifest, place),
        recall: drilled.recall(),
        asked: *asked,
        found: *found,
        rto_seconds: rto.as_secs_f64(),
        rpo_seconds: rpo.as_secs_f64(),
        documents: manifest.documents,
        chunks: manifest.chunks,
    }
}

fn said(drilled: &Drilled) -> String {
    let Drilled { manifest, asked, found, rto, rpo } = drilled;
    format!(
        "snapshot {} of {:.0} was restored beside what is served, and removed again: {} documents with {} chunks are as the snapshot has them; {found} of {asked} chunks were asked for and found; it took {:.1} s (RTO), and {} s passed since the snapshot began (RPO)",
        manifest.name,
        manifest.began,
        manifest.documents,
        manifest.chunks,
        rto.as_secs_f64(),
        rpo.as_secs(),
    )
}

fn skipped(name: &Name, trouble: Trouble) -> Said {
    let text = format!("the drill of snapshot {name} is skipped, because there is no room for it: {}", trouble.message);
    Said { text, report: Report::Skipped(trouble) }
}
