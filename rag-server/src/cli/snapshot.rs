//! `rag-server snapshot`: the corpus into an archive, and back.

mod show;

use std::{error::Error, path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::{ingest::stop_on_ctrl_c, progress};
use crate::{
    app::{self, ArchivePlace, Stores},
    config::Config,
    ports::Archive,
    snapshot::{self, Manifest, Name, Plan, Progress, SigningKey, SnapshotError},
};

/// Take snapshots of the corpus, prove them, and restore them.
///
/// A snapshot holds documents with their chunks and vectors, sessions, feedback and what was spent; no secrets. It is the same whichever stores it was taken of, so that one of an embedded store restores into a Qdrant.
/// What an archive has already is not written to it again.
#[derive(Debug, Args)]
pub struct SnapshotArgs {
    /// The folder of the archive; without it, that of [snapshots] in the configuration
    #[arg(long, global = true, value_name = "DIR")]
    archive: Option<PathBuf>,
    #[command(subcommand)]
    command: SnapshotCommand,
}

#[derive(Debug, Subcommand)]
enum SnapshotCommand {
    /// Take one
    Create {
        /// Its name; the time without it
        name: Option<Name>,
    },
    /// Name those that there are, the oldest first
    List,
    /// Read one whole, and say whether it is what it was
    Verify {
        /// Its name; that of the newest without it
        name: Option<Name>,
    },
    /// Fill empty stores from one
    ///
    /// Servers of these stores wait until it is done. One that was cut short goes on when it is started again.
    Restore {
        /// Its name; that of the newest without it
        name: Option<Name>,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

/// Where snapshots are, and what they are signed with.
struct Archived {
    archive: Arc<dyn Archive>,
    key: Option<SigningKey>,
}

/// Runs, and says what it came to.
pub(super) async fn run(args: SnapshotArgs, config: &Config) -> Result<ExitCode, Box<dyn Error>> {
    let place = match args.command {
        SnapshotCommand::Create { .. } => ArchivePlace::New,
        SnapshotCommand::List | SnapshotCommand::Verify { .. } | SnapshotCommand::Restore { .. } => {
            ArchivePlace::Existing
        }
    };
    let archive = app::archive(&config.snapshots, args.archive.as_deref(), &place)?;
    let archived = Archived { archive, key: app::signing_key(&config.snapshots)? };
    match args.command {
        SnapshotCommand::Create { name } => create(config, archived, name).await?,
        SnapshotCommand::List => return list(&archived).await,
        SnapshotCommand::Verify { name } => verify(&archived, name).await?,
        SnapshotCommand::Restore { name, dry_run } => restore(config, archived, (name, dry_run)).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(config: &Config, archived: Archived, name: Option<Name>) -> Result<(), Box<dyn Error>> {
    let name = name.unwrap_or_else(new_name);
    let stores = app::open_stores(config).await?;
    let create = app::create(&stores, archived.archive, archived.key);
    let bar = progress::bar(Some(create.documents().await?), "documents");
    let mut tell = |progress: Progress| {
        bar.set_position(progress.documents);
        bar.set_message(format!("{} written", show::bytes(progress.written_bytes)));
    };
    let created = create.run(name, &stop_on_ctrl_c(), &mut tell).await;
    bar.finish_and_clear();
    stores.close().await?;
    println!("{}", show::created(&created?));
    Ok(())
}

/// A name that no other snapshot has which begins in the same second.
fn new_name() -> Name {
    let [high, low, ..] = uuid::Uuid::new_v4().into_bytes();
    Name::at(Timestamp::now(), u16::from_be_bytes([high, low]))
}

async fn list(archived: &Archived) -> Result<ExitCode, Box<dyn Error>> {
    let names = snapshot::list(&*archived.archive).await?;
    if names.is_empty() {
        println!("{}", SnapshotError::None);
        return Ok(ExitCode::SUCCESS);
    }
    let (mut code, mut rows) = (ExitCode::SUCCESS, Vec::new());
    for name in names {
        match snapshot::read(&*archived.archive, &name, archived.key.as_ref()).await {
            Ok(manifest) => rows.push(show::row(&manifest)),
            Err(error) => {
                rows.push(show::unusable(&name, &error));
                code = ExitCode::FAILURE;
            }
        }
    }
    print!("{}", show::table(&rows));
    Ok(code)
}

async fn verify(archived: &Archived, name: Option<Name>) -> Result<(), Box<dyn Error>> {
    let name = named_or_newest(&*archived.archive, name).await?;
    let manifest = snapshot::read(&*archived.archive, &name, archived.key.as_ref()).await?;
    let bar = progress::bar(Some(manifest.parts.len() as u64), "parts");
    let mut tell = |parts| bar.set_position(parts);
    let stop = stop_on_ctrl_c();
    let verified = snapshot::verify(&*archived.archive, &name, archived.key.as_ref(), &stop, &mut tell).await;
    bar.finish_and_clear();
    println!("{}", show::verified(&verified?, archived.key.is_some()));
    Ok(())
}

async fn restore(
    config: &Config,
    archived: Archived,
    (name, dry_run): (Option<Name>, bool),
) -> Result<(), Box<dyn Error>> {
    let name = named_or_newest(&*archived.archive, name).await?;
    let stores = app::open_stores(config).await?;
    let done = restore_into(config, &stores, archived, (&name, dry_run)).await;
    stores.close().await?;
    println!("{}", done?);
    Ok(())
}

/// Restores, or says what would be done; gives what is to be said of it.
async fn restore_into(
    config: &Config,
    stores: &Stores,
    archived: Archived,
    (name, dry_run): (&Name, bool),
) -> Result<String, Box<dyn Error>> {
    let restore = app::restore(&app::open_models(config), stores, archived.archive, archived.key);
    let plan: Plan = restore.plan(name).await?;
    if dry_run {
        return Ok(show::plan(&plan));
    }
    let Manifest { documents, .. } = plan.manifest;
    let bar = progress::bar(Some(documents), "documents");
    let mut tell = |progress: Progress| bar.set_position(progress.documents);
    let restored = restore.run(name, &stop_on_ctrl_c(), &mut tell).await;
    bar.finish_and_clear();
    Ok(show::restored(&restored?))
}

async fn named_or_newest(archive: &dyn Archive, name: Option<Name>) -> Result<Name, SnapshotError> {
    match name {
        Some(name) => Ok(name),
        None => snapshot::list(archive).await?.pop().ok_or(SnapshotError::None),
    }
}
