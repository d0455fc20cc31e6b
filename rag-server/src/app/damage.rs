//! Stores of this machine that are damaged at the start: what cannot be used is moved aside, what can be made anew is, and what is lost is written down and waits for somebody who says that it may be.
//!
//! `damage.json`, in the folder of the vector store, is written before anything is moved and completed afterwards, so that a start which is cut short is taken up by the next. While it stands, nothing is served, unless
//! `accept_loss` names its time: then the documents that lost their text are forgotten, and the file is kept under a name with the time.
//! Only where one process has both stores for itself.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AppError, models, stores};
use crate::{
    adapters::sqlite::SqliteRecords,
    config::Config,
    corpus::{self, BuiltWith},
    ingest::chunk,
    lexical,
    operations::{Operations, RECORDS, VECTOR_STORE},
    ports::{Edition, Editions, Epoch, Kind, Records, StoreError, VectorStore},
    reckoning::{self, Reckoning},
};

/// The file, in the folder of the vector store.
const FILE: &str = "damage.json";
/// The class of the cause, where documents were lost.
pub(super) const DAMAGED: &str = "damaged";

/// What was found, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Damage {
    /// When, as it stands in the names of what was moved aside, and as `accept_loss` names it.
    pub at: String,
    /// Whether all was done that could be.
    pub complete: bool,
    /// Whether somebody has to say that the loss may be.
    pub is_loss: bool,
    /// What was moved aside, from where, to where and why; one sentence each.
    pub moved: Vec<String>,
    /// Records that were taken over from the damaged file; absent where the records were whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_taken_over: Option<u64>,
    /// Documents that have all of their text.
    pub documents: u64,
    /// Of these, those whose records were made anew from their text: without metadata, size, and the time until which they were to be found.
    pub recorded_anew: u64,
    /// Ids of documents that lost text, in front of those of other tenants their tenant.
    pub lost: Vec<String>,
    /// Ids of documents whose text is there, and of which it cannot be told what stood last.
    pub unclear: Vec<String>,
    /// The file that says all this.
    #[serde(skip)]
    pub file: PathBuf,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { at, documents, recorded_anew, .. } = self;
        let lost = self.lost.len() + self.unclear.len();
        let (moved, file) = (self.moved.join("; "), self.file.display());
        let records = self.records_taken_over.map_or_else(String::new, |records| {
            format!(
                " {records} records were taken over; sessions, feedback, jobs that waited and marks of deletions may be missing."
            )
        });
        write!(
            f,
            "the data was damaged ({at}): {moved}. {documents} documents have all of their text ({recorded_anew} of them with a record that was made anew, without metadata), {lost} were lost.{records} {file} names them. Stop the server and put the data back from a copy, or start with accept_loss = {at:?} (--set accept_loss={at}) to go on without what is lost, and ingest it again"
        )
    }
}

/// The stores of this machine.
type Opened = (Arc<dyn VectorStore>, Arc<dyn Records>);

/// What is to be opened.
struct Place<'p> {
    config: &'p Config,
    operations: &'p Operations,
    folder: &'p Path,
    file: &'p Path,
}

/// Opens the stores that this process has for itself, mending what can be.
pub(super) async fn open(
    config: &Config,
    operations: &Operations,
    folder: &Path,
    file: &Path,
) -> Result<Opened, AppError> {
    let place = Place { config, operations, folder, file };
    let standing = read(folder)?;
    let accepted = standing.as_ref().is_some_and(|damage| config.accept_loss.as_deref() == Some(&*damage.at));
    match &standing {
        Some(damage) if damage.complete && damage.is_loss && !accepted => return Err(place.refused(damage)),
        Some(_) | None => {}
    }
    let mut damage = standing.clone().filter(|damage| !damage.complete);
    let vectors = place.vectors(&mut damage).await?;
    let (stored, whole) = place.records(&mut damage).await?;
    let epoch = place.pointed(&*vectors, &*stored).await?;
    let edition = standing_edition(&*stored, epoch).await?;
    let records = Editions::new(Arc::clone(&stored), edition).fixed(edition);
    if accepted && damage.is_none() {
        accept(&place, &*vectors, &*records, epoch).await?;
    }
    let lacks = reckoning::lacking(&*vectors, &*records, epoch).await.map_err(AppError::Records)?;
    let unrecorded = match epoch {
        Some(epoch) => records.get(Kind::Corpus, &epoch.record_id()).await.map_err(AppError::Records)?.is_none(),
        None => false,
    };
    if damage.is_none() && lacks == 0 && !unrecorded {
        return Ok((vectors, stored));
    }
    if damage.is_none() && !unrecorded {
        let Reckoning { lost, elsewhere, .. } =
            reckoning::reckon(&*vectors, &*records, epoch).await.map_err(AppError::Records)?;
        if lost.is_empty() {
            tracing::warn!(
                documents = elsewhere,
                "documents have their text in an epoch that is not searched any more"
            );
            return Ok((vectors, stored));
        }
    }
    let mut damage = damage.unwrap_or_else(|| Damage { at: stamp(), ..Damage::default() });
    if lacks > 0 {
        damage.moved.push(format!("the vector store lacks {lacks} chunks that the records promise, at least"));
    }
    if unrecorded {
        damage.moved.push("the records do not know the vectors that are searched".to_owned());
    }
    place.reckon(&mut damage, (&*vectors, &*records, epoch), (edition, whole && !unrecorded)).await?;
    if !damage.is_loss {
        tracing::error!(%damage, "the data was damaged, and nothing was lost");
        keep(&damage, folder)?;
        return Ok((vectors, stored));
    }
    vectors.close().await.map_err(AppError::VectorStore)?;
    records.close().await.map_err(AppError::Records)?;
    Err(place.refused(&damage))
}

/// The edition that the searched epoch goes with. Where its record is lost, the one that has documents.
async fn standing_edition(records: &dyn Records, epoch: Option<Epoch>) -> Result<Edition, AppError> {
    if let Some(epoch) = epoch
        && let Some(built) = corpus::recorded(records, epoch).await.map_err(AppError::Corpus)?
    {
        return Ok(built.edition);
    }
    let has = async |kind| Ok::<_, AppError>(records.count(kind).await.map_err(AppError::Records)? > 0);
    let is_second = !has(Kind::Document).await? && has(Kind::SecondDocument).await?;
    Ok(if is_second { Edition::Second } else { Edition::First })
}

/// Somebody said that the loss may be.
async fn accept(
    place: &Place<'_>,
    vectors: &dyn VectorStore,
    records: &dyn Records,
    epoch: Option<Epoch>,
) -> Result<(), AppError> {
    let Some(damage) = read(place.folder)? else { return Ok(()) };
    let Reckoning { lost, .. } = reckoning::reckon(vectors, records, epoch).await.map_err(AppError::Records)?;
    reckoning::forget(records, &lost).await.map_err(AppError::Records)?;
    tracing::warn!(
        at = damage.at,
        documents = lost.len(),
        "the loss is accepted; documents that lost their text are forgotten"
    );
    keep(&damage, place.folder)
}

impl Place<'_> {
    /// Nothing is served, and whoever looks at the parts sees why.
    fn refused(&self, damage: &Damage) -> AppError {
        self.operations
            .sight(if damage.records_taken_over.is_some() { RECORDS } else { VECTOR_STORE })
            .failed(DAMAGED, Timestamp::now());
        AppError::Damaged(Box::new(damage.clone()))
    }

    async fn vectors(&self, damage: &mut Option<Damage>) -> Result<Arc<dyn VectorStore>, AppError> {
        let error = match stores::embedded(self.folder).await {
            Err(AppError::VectorStore(error @ (StoreError::Corrupt { .. } | StoreError::Refused { .. }))) => error,
            opened => return opened,
        };
        let stamp = self.begin(damage, VECTOR_STORE, &error)?;
        let moved = stores::mend(self.folder, &stamp).await?;
        if moved.is_empty() {
            return Err(AppError::VectorStore(error));
        }
        self.note(damage, moved)?;
        stores::embedded(self.folder).await
    }

    /// The records, and whether nothing of them may be missing.
    async fn records(&self, damage: &mut Option<Damage>) -> Result<(Arc<dyn Records>, bool), AppError> {
        let found = SqliteRecords::damage(self.file).await.map_err(AppError::Records)?;
        let open = async || SqliteRecords::open_alone(self.file).await.map_err(AppError::Records);
        let Some(cause) = found else { return Ok((Arc::new(open().await?), true)) };
        let error = StoreError::Corrupt { what: self.file.display().to_string(), cause: cause.clone() };
        let stamp = self.begin(damage, RECORDS, &error)?;
        let aside = SqliteRecords::set_aside(self.file, &stamp).map_err(AppError::Records)?;
        self.note(damage, vec![sentence(self.file, &aside, &cause)])?;
        let records = open().await?;
        let salvaged = records.salvage(&aside).await.map_err(AppError::Records)?;
        if let Some(damage) = damage {
            damage.records_taken_over = Some(salvaged.records);
        }
        Ok((Arc::new(records), salvaged.all))
    }

    /// The epoch that is searched. Where the pointer to it is gone and there is one epoch alone, that one.
    async fn pointed(&self, vectors: &dyn VectorStore, records: &dyn Records) -> Result<Option<Epoch>, AppError> {
        if let Some(epoch) = vectors.active().await.map_err(AppError::VectorStore)? {
            return Ok(Some(epoch));
        }
        let epochs = vectors.epochs().await.map_err(AppError::VectorStore)?;
        match epochs[..] {
            [] => Ok(None),
            [epoch] => {
                let documents = records.count(Kind::Document).await.map_err(AppError::Records)?;
                if documents > 0 {
                    tracing::error!(epoch = epoch.0, "nothing said which epoch is searched; it is the only one");
                }
                vectors.activate(epoch).await.map_err(AppError::VectorStore)?;
                Ok(Some(epoch))
            }
            _ => Err(AppError::VectorStore(StoreError::Corrupt {
                what: self.folder.join("active").display().to_string(),
                cause: format!(
                    "it is missing, and there are the epochs {}; write the number of the one to search into it",
                    epochs.iter().map(|epoch| epoch.0.to_string()).collect::<Vec<_>>().join(", ")
                ),
            })),
        }
    }

    /// Compares the stores, makes records anew where records were lost, and writes down what came of it.
    async fn reckon(
        &self,
        damage: &mut Damage,
        (vectors, records, epoch): (&dyn VectorStore, &dyn Records, Option<Epoch>),
        (edition, records_are_whole): (Edition, bool),
    ) -> Result<(), AppError> {
        let mut reckoning = reckoning::reckon(vectors, records, epoch).await.map_err(AppError::Records)?;
        if records_are_whole {
            // What has no record was being written, or was deleted.
            (reckoning.unrecorded, reckoning.unclear) = (Vec::new(), Vec::new());
        }
        if let Some(epoch) = epoch {
            let model = models::identity(self.config);
            let owner = super::owner(self.config);
            let built = BuiltWith {
                owner: owner.name,
                owner_id: owner.id,
                model: model.clone(),
                lexical: lexical::VERSION.to_owned(),
                chunker: chunk::VERSION.to_owned(),
                edition,
                drill: false,
            };
            corpus::record(records, epoch, &built).await.map_err(AppError::Corpus)?;
            let unrecorded = (epoch, &reckoning.unrecorded[..]);
            let made = reckoning::record_anew(vectors, records, unrecorded, Timestamp::now()).await;
            damage.recorded_anew = made.map_err(AppError::Records)?;
        }
        let keys = |ids: &[crate::model::DocumentId]| ids.iter().map(|id| id.key().to_owned()).collect();
        damage.documents = reckoning.whole + damage.recorded_anew;
        (damage.lost, damage.unclear) = (keys(&reckoning.lost), keys(&reckoning.unclear));
        damage.is_loss = !records_are_whole || !damage.lost.is_empty() || !damage.unclear.is_empty();
        damage.complete = true;
        write(damage, self.folder)
    }

    /// Says that something is damaged, before anything is done about it.
    fn begin(&self, damage: &mut Option<Damage>, part: &str, error: &StoreError) -> Result<String, AppError> {
        tracing::error!(part, %error, "damaged data was found; what cannot be used is moved aside");
        self.operations.sight(part).failed(DAMAGED, Timestamp::now());
        let damage = damage.get_or_insert_with(|| Damage { at: stamp(), ..Damage::default() });
        write(damage, self.folder)?;
        Ok(damage.at.clone())
    }

    fn note(&self, damage: &mut Option<Damage>, moved: Vec<String>) -> Result<(), AppError> {
        let Some(damage) = damage else { return Ok(()) };
        damage.moved.extend(moved);
        write(damage, self.folder)
    }
}

/// What was moved aside, in words.
pub(super) fn sentence(from: &Path, to: &Path, cause: &str) -> String {
    format!("{} is now {} ({cause})", from.display(), to.display())
}

fn stamp() -> String {
    Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn read(folder: &Path) -> Result<Option<Damage>, AppError> {
    let file = folder.join(FILE);
    let text = match std::fs::read(&file) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(failed(&file, "read", &e.to_string())),
    };
    let damage: Damage = serde_json::from_slice(&text).map_err(|e| failed(&file, "read", &e.to_string()))?;
    Ok(Some(Damage { file, ..damage }))
}

fn write(damage: &mut Damage, folder: &Path) -> Result<(), AppError> {
    let file = folder.join(FILE);
    let written = || {
        let mut new = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut new, damage)?;
        new.as_file().sync_all()?;
        new.persist(&file).map_err(|e| e.error)
    };
    written().map_err(|e| failed(&file, "written", &e.to_string()))?;
    damage.file = file;
    Ok(())
}

/// Keeps the file under a name with the time.
fn keep(damage: &Damage, folder: &Path) -> Result<(), AppError> {
    let (from, to) = (folder.join(FILE), folder.join(format!("damage-{}.json", damage.at)));
    std::fs::rename(&from, &to).map_err(|e| failed(&from, "kept", &e.to_string()))
}

fn failed(file: &Path, done: &str, cause: &str) -> AppError {
    AppError::VectorStore(StoreError::Failed {
        store: "the embedded vector store",
        cause: format!("{} cannot be {done}: {cause}", file.display()),
    })
}
