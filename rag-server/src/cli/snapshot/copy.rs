//! What is done to snapshots without the stores: some are removed, or copied, or the files that went with one are written.

use std::{error::Error, fs, path::PathBuf};

use tokio_util::sync::CancellationToken;

use super::{
    Said,
    figures::{Run, Unit},
    named_or_newest,
    report::{self, Done, Kept, Snapshot},
    show,
};
use crate::{
    app,
    snapshot::{self, Archived, Name, Progress},
};

pub(super) async fn remove(
    archived: Archived,
    (names, last): (Vec<Name>, bool),
    stop: &CancellationToken,
) -> Result<Said, Box<dyn Error>> {
    let removed = app::remove(archived, last).run(&names, stop).await?;
    let text = show::removed(&names, &removed);
    let names = names.iter().map(Name::to_string).collect();
    let (freed_bytes, left) = (removed.freed_bytes, removed.left);
    Ok(Said::done(text, Done::Removed(report::Removed { removed: names, freed_bytes, left })))
}

pub(super) async fn download(
    archived: Archived,
    (name, folder): (Name, PathBuf),
    run: &Run<'_>,
) -> Result<Said, Box<dyn Error>> {
    let parts = archived.read(&name).await?.all_parts().count() as u64;
    let to = app::new_folder(&folder)?;
    let (bar, mut done) = (run.bar(Unit::Parts, parts), 0);
    let mut tell = |progress: Progress| {
        done += 1;
        bar.at(done, Some(progress.written_bytes));
    };
    let place = to.place().to_owned();
    let downloaded = app::download(archived, to).run(&name, run.stop, &mut tell).await?;
    let snapshot = Snapshot::of(&downloaded.manifest, &place);
    let kept = Kept { snapshot, written_bytes: downloaded.progress.written_bytes, verified: true };
    Ok(Said::done(show::downloaded(&downloaded, &place), Done::Kept(kept)))
}

pub(super) async fn attached(
    archived: &Archived,
    (name, folder): (Option<Name>, PathBuf),
) -> Result<Said, Box<dyn Error>> {
    let name = named_or_newest(archived, name, None).await?;
    let manifest = archived.read(&name).await?;
    let failed = |error| format!("{} cannot be written: {error}", folder.display());
    fs::create_dir_all(&folder).map_err(failed)?;
    for attached in &manifest.attached {
        let content = snapshot::content(archived, &manifest, attached).await?;
        fs::write(folder.join(&attached.file), content).map_err(failed)?;
    }
    let kept = Kept { snapshot: Snapshot::of(&manifest, archived.archive.place()), written_bytes: 0, verified: false };
    Ok(Said::done(show::attached(&manifest, &folder), Done::Kept(kept)))
}
