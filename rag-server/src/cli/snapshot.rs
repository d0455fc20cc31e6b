//! `rag-server snapshot`: the corpus into an archive, and back.

mod absent;
mod copy;
mod drill;
mod evidence;
pub mod figures;
mod report;
mod restore;
mod show;

use std::{
    error::Error,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::{Args, Subcommand};
use figures::{Figures, Run, Unit};
use jiff::Timestamp;
use report::{Done, Kept, Listed, MOST_LISTED, Report, Snapshot, Trouble};

use crate::{
    app::{self, ArchivePlace, SnapshotSetupError, Stores},
    config::Config,
    ports::Source,
    shutdown,
    snapshot::{self, Act, Archived, Created, Manifest, Name, Progress, SnapshotError},
};

/// How long a command that was told to stop may take until it has: what it waits for then is given up, as if it had been killed.
const GRACE: Duration = Duration::from_secs(5);

/// Take snapshots of the corpus, prove them, and restore them.
///
/// A snapshot holds documents with their chunks and vectors, sessions, feedback and what was spent; no secrets. It is the same whichever stores it was taken of, so that one of an embedded store restores into a Qdrant.
/// What an archive has already is not written to it again.
#[derive(Debug, Args)]
pub struct SnapshotArgs {
    /// The folder of the archive; without it, that of [snapshots] in the configuration
    #[arg(long, global = true, value_name = "DIR")]
    archive: Option<PathBuf>,
    /// Write what it came to, as one JSON object, to this file
    #[arg(long, global = true, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Answer GET /progress at this address while it runs: how far it is, in JSON
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    progress: Option<SocketAddr>,
    /// Who asks for it, for the evidence that is left in the archive
    #[arg(long, global = true, value_name = "WHO")]
    asked_by: Option<String>,
    #[command(subcommand)]
    command: SnapshotCommand,
}

#[derive(Debug, Subcommand)]
enum SnapshotCommand {
    /// Take one
    Create {
        /// Its name; the time without it
        name: Option<Name>,
        /// For whom, by an id: one that was taken for the same under this name is not taken again
        #[arg(long, value_name = "ID")]
        taken_for: Option<String>,
        /// Read it back then
        #[arg(long)]
        verify: bool,
        /// Have a running server read its embedded store for it, which nobody else can open: the address of its management port, such as http://127.0.0.1:9090
        ///
        /// Where the configuration has API keys, the operator's key is shown, which is operator.current among the credentials.
        #[arg(long, value_name = "URL", value_parser = address)]
        server: Option<String>,
    },
    /// Name those that there are, the oldest first
    List,
    /// Read one whole, and say whether it is what it was
    Verify {
        /// Its name; that of the newest without it
        name: Option<Name>,
    },
    /// Remove some, and the parts that no other one needs
    Remove {
        /// Their names
        #[arg(required = true)]
        names: Vec<Name>,
        /// Even if none is left then
        #[arg(long)]
        last: bool,
    },
    /// Copy one into a folder, which is an archive then
    ///
    /// Every part is checked. One that was cut short goes on when it is started again.
    Download {
        /// Its name
        name: Name,
        /// The folder
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Write the files that went with one into a folder
    Attached {
        /// Its name; that of the newest without it
        name: Option<Name>,
        /// The folder
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
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
    /// Name what was found out about snapshots, the newest first
    ///
    /// Each verification, drill and restore leaves it in the archive, where it outlives the snapshot.
    Evidence(evidence::EvidenceArgs),
}

/// The address of a server, as it is written.
fn address(text: &str) -> Result<String, String> {
    match reqwest::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(text.to_owned()),
        _ => Err("write it with its scheme, such as http://127.0.0.1:9090".to_owned()),
    }
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

impl SnapshotArgs {
    /// Reports what kept the command from being run at all.
    pub(super) fn refused(&self, error: &(dyn Error + 'static)) -> Result<(), Box<dyn Error>> {
        reported(self.report.as_deref(), Report::failed(error))
    }
}

/// Runs, and says what it came to.
pub(super) async fn run(args: SnapshotArgs, config: &Config) -> Result<ExitCode, Box<dyn Error>> {
    let stop = shutdown::on_signals()?;
    let SnapshotArgs { archive, report, progress, asked_by, command } = args;
    let run = Run { stop: &stop.asked, figures: Figures::default(), asked_by };
    let answers = progress.map(|address| tokio::spawn(run.figures.clone().answer_at(address)));
    let ended = tokio::select! {
        ended = act(command, config, archive.as_deref(), &run) => ended,
        () = given_up(&stop) => Err(SnapshotError::Stopped.into()),
    };
    answers.iter().for_each(tokio::task::JoinHandle::abort);
    match ended {
        Ok(Said { text, report: came_to }) => {
            println!("{}", text.trim_end());
            let code = if came_to.succeeded() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
            reported(report.as_deref(), came_to)?;
            Ok(code)
        }
        Err(error) => {
            let archived = || app::archived(&config.snapshots, archive.as_deref(), ArchivePlace::Existing, &stop.asked);
            let error = absent::with_what_is_there(error, || archived().ok()).await;
            reported(report.as_deref(), Report::failed(&*error))?;
            Err(error)
        }
    }
}

/// When there is no more waiting for a command that was told to stop.
async fn given_up(stop: &shutdown::Stop) {
    stop.asked.cancelled().await;
    tokio::select! {
        () = tokio::time::sleep(GRACE) => {}
        () = stop.hurried.cancelled() => {}
    }
}

fn reported(file: Option<&Path>, report: Report) -> Result<(), Box<dyn Error>> {
    let Some(file) = file else { return Ok(()) };
    report.write(file).map_err(|e| format!("the report {} cannot be written: {e}", file.display()).into())
}

async fn act(
    command: SnapshotCommand,
    config: &Config,
    folder: Option<&Path>,
    run: &Run<'_>,
) -> Result<Said, Box<dyn Error>> {
    let place = match command {
        SnapshotCommand::Create { .. } => ArchivePlace::New,
        _ => ArchivePlace::Existing,
    };
    let archived = || app::archived(&config.snapshots, folder, place, run.stop);
    match command {
        SnapshotCommand::Create { name, taken_for, verify, server } => {
            let archived = archived()?;
            if folder.is_none() && config.snapshots.s3.is_some() && config.snapshots.encryption.is_none() {
                tracing::warn!(
                    place = archived.archive.place(),
                    "the snapshot is not encrypted: whoever may read the bucket may read the documents; set snapshots.encryption"
                );
            }
            let name = name.unwrap_or_else(new_name);
            let wanted = Wanted { name: name.clone(), taken_for, verify, server };
            let ended = create(config, archived.clone(), wanted, run).await;
            evidence::left(&archived, (Act::Verify, &name), run, ended).await
        }
        SnapshotCommand::List => list(&archived()?).await,
        SnapshotCommand::Verify { name } => {
            let archived = archived()?;
            let name = named_or_newest(&archived, name, None).await?;
            let ended = verify(&archived, &name, run).await;
            evidence::left(&archived, (Act::Verify, &name), run, ended).await
        }
        SnapshotCommand::Remove { names, last } => copy::remove(archived()?, (names, last), run.stop).await,
        SnapshotCommand::Download { name, to } => copy::download(archived()?, (name, to), run).await,
        SnapshotCommand::Attached { name, to } => copy::attached(&archived()?, (name, to)).await,
        SnapshotCommand::Restore(args) => {
            let archived = archived()?;
            let name = named_or_newest(&archived, args.name.clone(), args.before).await?;
            let ended = restore::restore(config, archived.clone(), (&name, &args), run).await;
            // What would be done says nothing about the snapshot.
            if args.dry_run { ended } else { evidence::left(&archived, (Act::Restore, &name), run, ended).await }
        }
        SnapshotCommand::Drill(args) => {
            let archived = archived()?;
            let name = named_or_newest(&archived, args.name, None).await?;
            let ended = drill::drill(config, archived.clone(), (&name, args.min_recall), run).await;
            evidence::left(&archived, (Act::Drill, &name), run, ended).await
        }
        SnapshotCommand::Evidence(args) => evidence::evidence(&archived()?, args).await,
        SnapshotCommand::Confirm => restore::confirm(config).await,
        SnapshotCommand::Revert => restore::revert(config, run.stop).await,
    }
}

/// The snapshot that is to be taken.
struct Wanted {
    name: Name,
    taken_for: Option<String>,
    /// Whether it is read back.
    verify: bool,
    /// The server that reads its stores for it; without one they are opened here.
    server: Option<String>,
}

async fn create(config: &Config, archived: Archived, wanted: Wanted, run: &Run<'_>) -> Result<Said, Box<dyn Error>> {
    let verify = wanted.verify;
    if verify && !archived.encryption.reads_what_it_writes() {
        return Err(SnapshotSetupError::NoIdentity.into());
    }
    let created = match &wanted.server {
        Some(server) => {
            let lent = Arc::new(app::lent(config, server)?);
            taken(config, lent, &archived, wanted, run).await?
        }
        None => {
            let stores = app::open_stores(config).await?;
            let created = taken(config, Arc::new(stores.source()), &archived, wanted, run).await;
            closed(stores, created).await?
        }
    };
    let mut text = show::created(&created);
    if verify {
        let read = read_whole(&archived, &created.manifest, run).await?;
        text = format!("{text}\n{}", show::verified(&read));
    }
    let snapshot = Snapshot::of(&created.manifest, archived.archive.place());
    let kept = Kept { snapshot, written_bytes: created.progress.written_bytes, verified: verify };
    Ok(Said::done(text, Done::Kept(kept)))
}

async fn taken(
    config: &Config,
    source: Arc<dyn Source>,
    archived: &Archived,
    Wanted { name, taken_for, .. }: Wanted,
    run: &Run<'_>,
) -> Result<Created, Box<dyn Error>> {
    let create = app::create(&config.snapshots, source, archived.clone(), taken_for)?;
    let bar = run.bar(Unit::Documents, create.documents().await?);
    let mut tell = |progress: Progress| bar.at(progress.documents, Some(progress.written_bytes));
    Ok(create.run(name, run.stop, &mut tell).await?)
}

/// A name that no other snapshot has which begins in the same second.
fn new_name() -> Name {
    let [high, low, ..] = uuid::Uuid::new_v4().into_bytes();
    Name::at(Timestamp::now(), u16::from_be_bytes([high, low]))
}

async fn list(archived: &Archived) -> Result<Said, Box<dyn Error>> {
    let names = snapshot::list(&*archived.archive).await?;
    let total = names.len();
    let (mut rows, mut found, mut trouble) = (Vec::new(), Vec::new(), None);
    for name in names {
        match archived.outline(&name).await {
            Ok(outline) => {
                rows.push(show::row(&outline));
                let documents = outline.manifest.map(|manifest| manifest.documents);
                let (name, began, bytes) = (name.to_string(), outline.began, outline.bytes);
                found.push(report::Entry { name, began, documents, bytes });
            }
            Err(error) => {
                rows.push(show::unusable(&name, &error));
                trouble = trouble.or(Some(error));
            }
        }
    }
    let text = if rows.is_empty() { SnapshotError::None.to_string() } else { show::table(&rows) };
    // Names need not be times, and the newest are those that began last.
    found.sort_by_key(|entry| entry.began);
    let listed = Listed { snapshots: found.split_off(found.len().saturating_sub(MOST_LISTED)), total };
    let report = match trouble.map(|error| Report::failed(&error)) {
        Some(Report::Failed(trouble)) => Report::Failed(Trouble { listed: Some(listed), ..trouble }),
        Some(other) => other,
        None => Report::Done(Done::Listed(listed)),
    };
    Ok(Said { text, report })
}

async fn verify(archived: &Archived, name: &Name, run: &Run<'_>) -> Result<Said, Box<dyn Error>> {
    let manifest = archived.read(name).await?;
    let verified = read_whole(archived, &manifest, run).await?;
    let snapshot = Snapshot::of(&verified.manifest, archived.archive.place());
    let kept = Kept { snapshot, written_bytes: 0, verified: true };
    Ok(Said::done(show::verified(&verified), Done::Kept(kept)))
}

async fn read_whole(
    archived: &Archived,
    manifest: &Manifest,
    run: &Run<'_>,
) -> Result<snapshot::Verified, SnapshotError> {
    let bar = run.bar(Unit::Parts, manifest.all_parts().count() as u64);
    let mut tell = |parts| bar.at(parts, None);
    snapshot::verify(archived, &manifest.name, run.stop, &mut tell).await
}

/// The snapshot of this name; without one the newest, or the newest of those that began before a time.
async fn named_or_newest(
    archived: &Archived,
    name: Option<Name>,
    before: Option<Timestamp>,
) -> Result<Name, SnapshotError> {
    match name {
        Some(name) => Ok(name),
        None => snapshot::newest(archived, before).await,
    }
}

/// Closes stores whatever was done with them. What went wrong before is what is told.
async fn closed<T>(stores: Stores, done: Result<T, impl Into<Box<dyn Error>>>) -> Result<T, Box<dyn Error>> {
    let closed = stores.close().await;
    let done = done.map_err(Into::into)?;
    closed?;
    Ok(done)
}
