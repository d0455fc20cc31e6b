//! `rag-server snapshot`: the corpus into an archive, and back.

mod drill;
mod report;
mod restore;
mod show;

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use report::{Done, Report};
use tokio_util::sync::CancellationToken;

use super::progress;
use crate::{
    app::{self, ArchivePlace, SnapshotSetupError},
    config::Config,
    ports::Archive,
    shutdown,
    snapshot::{self, Archived, Name, Progress, SnapshotError},
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
    /// Write what it came to, as one JSON object, to this file; of `restore` and `drill`
    #[arg(long, global = true, value_name = "FILE")]
    report: Option<PathBuf>,
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
    /// Fill empty stores from one, or put it in the place of what is there
    ///
    /// Servers of empty stores wait until it is done. One that was cut short goes on when it is started again.
    Restore(restore::RestoreArgs),
    /// Take what `restore --replace` restored for good, and remove what was there before
    Confirm,
    /// Go back to what was there before `restore --replace`
    ///
    /// What was written since the restore goes. A restore that was not done is given up.
    Revert,
    /// Prove one by restoring it beside what is served, measured, and removed again
    ///
    /// It needs room for the vectors once more in the vector store, and for the other records on this machine. The embedded store belongs to one process: stop the server first.
    Drill(drill::DrillArgs),
}

/// What a command came to, for people and for whoever started it as a Job.
struct Said {
    text: String,
    report: Report,
}

impl Said {
    fn done(text: String, done: Done) -> Self {
        Self { text, report: Report::Done(done) }
    }
}

/// Runs, and says what it came to.
pub(super) async fn run(args: SnapshotArgs, config: &Config) -> Result<ExitCode, Box<dyn Error>> {
    let place = match args.command {
        SnapshotCommand::Create { .. } => ArchivePlace::New,
        _ => ArchivePlace::Existing,
    };
    let stop = shutdown::on_signals()?.asked;
    let report = args.report.clone();
    let archived = archived(config, args.archive.as_deref(), &place);
    let said = match (args.command, archived) {
        // What they need is in the stores.
        (SnapshotCommand::Confirm, _) => return done(restore::confirm(config).await),
        (SnapshotCommand::Revert, _) => return done(restore::revert(config, &stop).await),
        (SnapshotCommand::Restore(args), Ok(archived)) => restore::restore(config, archived, args, &stop).await,
        (SnapshotCommand::Drill(args), Ok(archived)) => drill::drill(config, archived, args, &stop).await,
        (SnapshotCommand::Restore(_) | SnapshotCommand::Drill(_), Err(error)) => Err(error.into()),
        (command, archived) => return other(command, config, archived?, &stop).await,
    };
    match said {
        Ok(Said { text, report: came_to }) => {
            println!("{text}");
            reported(report.as_deref(), &came_to)?;
            Ok(if came_to.succeeded() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Err(error) => {
            reported(report.as_deref(), &Report::failed(&*error))?;
            Err(error)
        }
    }
}

fn done(said: Result<String, Box<dyn Error>>) -> Result<ExitCode, Box<dyn Error>> {
    println!("{}", said?);
    Ok(ExitCode::SUCCESS)
}

fn archived(config: &Config, folder: Option<&Path>, place: &ArchivePlace) -> Result<Archived, SnapshotSetupError> {
    let archive = app::archive(&config.snapshots, folder, place)?;
    Ok(Archived { archive, key: app::signing_key(&config.snapshots)? })
}

fn reported(file: Option<&Path>, report: &Report) -> Result<(), Box<dyn Error>> {
    let Some(file) = file else { return Ok(()) };
    report.write(file).map_err(|e| format!("the report {} cannot be written: {e}", file.display()).into())
}

/// The commands that report nothing.
async fn other(
    command: SnapshotCommand,
    config: &Config,
    archived: Archived,
    stop: &CancellationToken,
) -> Result<ExitCode, Box<dyn Error>> {
    match command {
        SnapshotCommand::Create { name } => create(config, archived, name, stop).await?,
        SnapshotCommand::List => return list(&archived).await,
        SnapshotCommand::Verify { name } => verify(&archived, name, stop).await?,
        // These are dealt with by whoever calls.
        SnapshotCommand::Confirm
        | SnapshotCommand::Revert
        | SnapshotCommand::Restore(_)
        | SnapshotCommand::Drill(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(
    config: &Config,
    archived: Archived,
    name: Option<Name>,
    stop: &CancellationToken,
) -> Result<(), Box<dyn Error>> {
    let name = name.unwrap_or_else(new_name);
    let stores = app::open_stores(config).await?;
    let create = app::create(&stores, archived.archive, archived.key);
    let bar = progress::bar(Some(create.documents().await?), "documents");
    let mut tell = |progress: Progress| {
        bar.set_position(progress.documents);
        bar.set_message(format!("{} written", show::bytes(progress.written_bytes)));
    };
    let created = create.run(name, stop, &mut tell).await;
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

async fn verify(archived: &Archived, name: Option<Name>, stop: &CancellationToken) -> Result<(), Box<dyn Error>> {
    let name = named_or_newest(&*archived.archive, name).await?;
    let manifest = snapshot::read(&*archived.archive, &name, archived.key.as_ref()).await?;
    let bar = progress::bar(Some(manifest.parts.len() as u64), "parts");
    let mut tell = |parts| bar.set_position(parts);
    let verified = snapshot::verify(&*archived.archive, &name, archived.key.as_ref(), stop, &mut tell).await;
    bar.finish_and_clear();
    println!("{}", show::verified(&verified?, archived.key.is_some()));
    Ok(())
}

async fn named_or_newest(archive: &dyn Archive, name: Option<Name>) -> Result<Name, SnapshotError> {
    match name {
        Some(name) => Ok(name),
        None => snapshot::list(archive).await?.pop().ok_or(SnapshotError::None),
    }
}
