//! `rag-server snapshot restore`, `confirm` and `revert`.

use std::{error::Error, time::Instant};

use clap::Args;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    Said, closed,
    figures::{Bar, Run, Unit},
    report::{self, Done, Settled, Snapshot},
    show,
};
use crate::{
    app::{self, Stores},
    cli::this_process::this_process,
    config::Config,
    ports::Epoch,
    snapshot::{Archived, Difference, Manifest, Name, Plan, Planned, Progress, Replace, Replaced, Undone},
};

/// Which snapshot, and how.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// Its name; that of the newest without it
    pub(super) name: Option<Name>,
    /// The newest of those that began before this time, such as 2027-01-31T18:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "name")]
    pub(super) before: Option<Timestamp>,
    /// Put it in the place of the documents that are there, while servers answer questions
    ///
    /// Writes are refused meanwhile. What was there is kept until `snapshot confirm`; `snapshot revert` brings it back. Documents that were deleted since the snapshot stay deleted.
    #[arg(long)]
    replace: bool,
    /// Bring documents back, too, that were deleted since the snapshot
    #[arg(long, requires = "replace")]
    with_deleted: bool,
    /// For whom, by an id: one that was restored for the same, and is still searched, is not restored again
    #[arg(long, value_name = "ID", requires = "replace")]
    restored_for: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(super) dry_run: bool,
}

/// Restores the snapshot of this name, or says what would be done.
pub(super) async fn restore(
    config: &Config,
    archived: Archived,
    what: (&Name, &RestoreArgs),
    run: &Run<'_>,
) -> Result<Said, Box<dyn Error>> {
    let stores = app::open_stores(config).await?;
    let done = restored(config, &stores, archived, what, run).await;
    closed(stores, done).await
}

async fn restored(
    config: &Config,
    stores: &Stores,
    archived: Archived,
    (name, args): (&Name, &RestoreArgs),
    run: &Run<'_>,
) -> Result<Said, Box<dyn Error>> {
    let active = stores.vectors.active().await?;
    match active.filter(|_| args.replace) {
        Some(active) => replace(config, stores, archived, (name, args, active), run).await,
        // Nothing is served that could be replaced, or nothing is to be.
        None => fill(config, stores, archived, (name, args.dry_run, active), run).await,
    }
}

/// Fills empty stores.
async fn fill(
    config: &Config,
    stores: &Stores,
    archived: Archived,
    (name, dry_run, before): (&Name, bool, Option<Epoch>),
    run: &Run<'_>,
) -> Result<Said, Box<dyn Error>> {
    let began = Instant::now();
    let place = archived.archive.place().to_owned();
    let restore = app::restore(&app::open_models(config), stores, archived);
    let plan: Plan = restore.plan(name).await?;
    let reported = |epoch: Option<Epoch>, proven: usize| {
        Done::Restored(report::Restored {
            snapshot: Snapshot::of(&plan.manifest, &place),
            epoch: epoch.or(before).map_or(0, number),
            previous_epoch: before.map(number),
            proven,
            asked: proven,
            documents: Difference { added: plan.manifest.documents, ..Difference::default() },
            seconds: began.elapsed().as_secs_f64(),
        })
    };
    if dry_run {
        return Ok(Said::done(show::plan(&plan), reported(None, 0)));
    }
    let restored = {
        let mut tell = told(run.bar(Unit::Documents, plan.manifest.documents));
        restore.run(name, run.stop, &mut tell).await?
    };
    Ok(Said::done(show::restored(&restored), reported(Some(restored.epoch), restored.proven)))
}

/// Restores over what is served.
async fn replace(
    config: &Config,
    stores: &Stores,
    archived: Archived,
    (name, args, active): (&Name, &RestoreArgs, Epoch),
    run: &Run<'_>,
) -> Result<Said, Box<dyn Error>> {
    let (began, by) = (Instant::now(), this_process("snapshot restore"));
    let place = archived.archive.place().to_owned();
    let manifest = archived.read(name).await?;
    let (with_deleted, restored_for) = (args.with_deleted, args.restored_for.clone());
    let replace = Replace { with_deleted, restored_for, ..app::replace(&app::open_models(config), stores, by) };
    let report = |manifest: &Manifest, documents: Difference, epochs: (Epoch, Option<Epoch>), proven| {
        Done::Restored(report::Restored {
            snapshot: Snapshot::of(manifest, &place),
            epoch: number(epochs.0),
            previous_epoch: epochs.1.map(number),
            proven,
            asked: proven,
            documents,
            seconds: began.elapsed().as_secs_f64(),
        })
    };
    if args.dry_run {
        let planned = replace.plan(&archived, name, run.stop).await?;
        let done = report(&planned.manifest, planned.difference, (active, None), 0);
        return Ok(Said::done(would(&planned), done));
    }
    let replaced = {
        let mut tell = told(run.bar(Unit::Documents, manifest.documents));
        replace.run(&archived, name, run.stop, &mut tell).await?
    };
    let epochs = (replaced.epoch, replaced.previous);
    let done = report(&replaced.manifest, replaced.difference, epochs, replaced.proven);
    Ok(Said::done(did(&replaced), done))
}

/// Takes what was restored for good.
pub(super) async fn confirm(config: &Config) -> Result<Said, Box<dyn Error>> {
    let stores = app::open_stores(config).await?;
    let by = this_process("snapshot confirm");
    let confirmed = app::replace(&app::open_models(config), &stores, by).confirm().await;
    let confirmed = closed(stores, confirmed).await?;
    let text = format!("the restore is confirmed: epoch {} and its documents are removed", confirmed.0);
    Ok(Said::done(text, Done::Settled(Settled {})))
}

/// Goes back to what stood before the restore.
pub(super) async fn revert(config: &Config, stop: &CancellationToken) -> Result<Said, Box<dyn Error>> {
    let stores = app::open_stores(config).await?;
    let by = this_process("snapshot revert");
    let undone = app::replace(&app::open_models(config), &stores, by).undo(stop).await;
    let text = match closed(stores, undone).await? {
        Undone::Back(epoch) => format!(
            "epoch {} is searched again, as it was before the restore; what was written since the restore is removed",
            epoch.0
        ),
        Undone::Abandoned => "nothing of the restore is left; what is searched is what stood before it".to_owned(),
    };
    Ok(Said::done(text, Done::Settled(Settled {})))
}

/// Shows it on a bar.
fn told(bar: Bar) -> impl FnMut(Progress) + Send {
    move |progress: Progress| bar.at(progress.documents, None)
}

fn number(epoch: Epoch) -> u64 {
    epoch.0.into()
}

/// What would be done.
fn would(Planned { manifest, difference, withheld, takes }: &Planned) -> String {
    let takes = match takes {
        Some(takes) => format!("as fast as the last restore here it takes {} s", takes.as_secs_f64().ceil()),
        None => "how long it takes is not known, since none was measured here yet".to_owned(),
    };
    format!(
        "would put snapshot {} of {:.0} in the place of what is there: {}; {} to read; {takes}{}. Nothing was changed",
        manifest.name,
        manifest.began,
        documents(difference),
        show::bytes(manifest.bytes()),
        deleted(*withheld, "would stay deleted"),
    )
}

/// What was done.
fn did(replaced: &Replaced) -> String {
    let Replaced { manifest, epoch, previous, proven, difference, withheld, took: _ } = replaced;
    format!(
        "snapshot {} of {:.0} is restored: {}; {proven} of its chunks were asked for and found{}; epoch {} is searched now. {}",
        manifest.name,
        manifest.began,
        documents(difference),
        deleted(*withheld, "stay deleted"),
        epoch.0,
        kept(*previous),
    )
}

/// What became of what was searched before.
fn kept(previous: Option<Epoch>) -> String {
    match previous {
        Some(Epoch(previous)) => format!(
            "Epoch {previous} is kept: `rag-server snapshot revert` goes back to it, `rag-server snapshot confirm` removes it"
        ),
        None => "It was confirmed since: what was searched before is gone".to_owned(),
    }
}

fn documents(Difference { added, changed, removed, unchanged }: &Difference) -> String {
    format!("{added} documents come back, {changed} become what they were, {removed} go, {unchanged} are the same")
}

/// What is said of documents that were deleted since, in the midst of a sentence.
fn deleted(withheld: u64, stay: &str) -> String {
    match withheld {
        0 => String::new(),
        some => format!("; {some} that were deleted since the snapshot {stay} (--with-deleted brings them back)"),
    }
}
