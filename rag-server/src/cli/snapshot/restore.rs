//! `rag-server snapshot restore`.

use std::error::Error;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    Said, named_or_newest,
    report::{self, Changed, Done, Snapshot},
    show,
};
use crate::{
    app::{self, Stores},
    cli::progress,
    config::Config,
    snapshot::{Archived, Name, Plan, Progress},
};

pub(super) async fn restore(
    config: &Config,
    archived: Archived,
    (name, dry_run): (Option<Name>, bool),
    stop: &CancellationToken,
) -> Result<Said, Box<dyn Error>> {
    let name = named_or_newest(&archived, name).await?;
    let stores = app::open_stores(config).await?;
    let done = restore_into(config, &stores, archived, (&name, dry_run), stop).await;
    stores.close().await?;
    done
}

/// Restores, or says what would be done.
async fn restore_into(
    config: &Config,
    stores: &Stores,
    archived: Archived,
    (name, dry_run): (&Name, bool),
    stop: &CancellationToken,
) -> Result<Said, Box<dyn Error>> {
    let began = Timestamp::now();
    let place = archived.archive.place().to_owned();
    let restore = app::restore(&app::open_models(config), stores, archived);
    let plan: Plan = restore.plan(name).await?;
    let before = restore.store.active().await?.map(|epoch| epoch.0);
    let asked = plan.manifest.golden.len();
    let reported = |epoch: Option<u32>, proven: usize| {
        let snapshot = Snapshot::of(&plan.manifest, &place);
        let documents = Changed { added: plan.manifest.documents, ..Changed::default() };
        let seconds = Timestamp::now().duration_since(began).as_secs_f64();
        Done::Restored(report::Restored {
            snapshot,
            epoch: epoch.or(before).unwrap_or_default(),
            previous_epoch: before,
            proven,
            asked,
            documents,
            seconds,
        })
    };
    if dry_run {
        return Ok(Said::done(show::plan(&plan), reported(None, 0)));
    }
    let bar = progress::bar(Some(plan.manifest.documents), "documents");
    let mut tell = |progress: Progress| bar.set_position(progress.documents);
    let restored = restore.run(name, stop, &mut tell).await;
    bar.finish_and_clear();
    let restored = restored?;
    Ok(Said::done(show::restored(&restored), reported(Some(restored.epoch.0), restored.proven)))
}
