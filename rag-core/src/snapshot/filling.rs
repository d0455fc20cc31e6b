//! Writes what the steps of a snapshot say into an epoch and into records.
//!
//! Flow: the chunks of one or of many documents a window at a time, since each write waits until it is durable; then, for each document that is whole by then, the pair of content and document and the time of its end, then the record, as an ingestion does.
//! Guarantee: whoever repeats it, from the beginning and after a death at any line, comes to the same end.

use tokio_util::sync::CancellationToken;

use super::{
    Archived, Golden, Manifest, Progress, SnapshotError, cursor::Cursor, part::Stored, reading::Reading, walk::Step,
};
use crate::{
    ingest, lexical,
    model::{Chunk, ChunkId, DocumentRecord, Filter, Point},
    ports::{self, Change, Epoch, Hold, Kind, Only, Put, Record, Records, Search, StoreError, VectorStore, update},
};

/// Chunks that are written together, and most documents whose records wait for them.
pub(super) const WINDOW: usize = 64;
/// Hits among which a chunk must find itself: documents may repeat each other, and then several are as near.
const NEAREST: usize = 10;
/// A hit of this cosine is as near as the chunk itself, but for the rounding of stores.
pub(super) const AS_NEAR: f32 = 0.9999;

/// Where a snapshot is put.
#[derive(Clone, Copy)]
pub(super) struct Target<'r> {
    /// Where the chunks go.
    pub(super) store: &'r dyn VectorStore,
    /// Into this epoch.
    pub(super) epoch: Epoch,
    /// Where the records go.
    pub(super) records: &'r dyn Records,
}

/// What of a snapshot is put there.
pub(super) enum What<'r> {
    /// Everything.
    All,
    /// The documents that were not deleted since, and no other record.
    Documents(Erasures<'r>),
}

/// Writes what the steps say.
pub(super) struct Filling<'r> {
    target: Target<'r>,
    what: What<'r>,
    hold: &'r Hold,
    /// Labels of the document whose chunks come.
    labels: Vec<String>,
    /// Chunks that are not written yet.
    window: Vec<Point>,
    /// Documents whose last chunks are among them, or were none: their records come afterwards.
    whole: Vec<(Box<DocumentRecord>, Stored)>,
    /// Whether the document whose chunks come stays deleted.
    withholds: bool,
    /// What is there in the end.
    pub(super) there: There,
}

/// What of a snapshot is to be found where it was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct There {
    pub(super) documents: u64,
    pub(super) chunks: u64,
    /// Documents that stay deleted.
    pub(super) withheld: u64,
    /// Chunks that must find themselves.
    pub(super) golden: Vec<ChunkId>,
}

impl<'r> Filling<'r> {
    pub(super) fn new(target: Target<'r>, what: What<'r>, hold: &'r Hold) -> Self {
        let there = There { documents: 0, chunks: 0, withheld: 0, golden: Vec::new() };
        let (labels, window, whole) = (Vec::new(), Vec::new(), Vec::new());
        Self { target, what, hold, labels, window, whole, withholds: false, there }
    }

    /// Reads all parts of a snapshot and writes what they hold. `told` hears how far it is after each part.
    pub(super) async fn fill(
        &mut self,
        (archived, manifest): (&Archived, &Manifest),
        stop: &CancellationToken,
        told: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<(), SnapshotError> {
        self.there.golden = manifest.golden.iter().map(|Golden { chunk }| *chunk).collect();
        let (mut reading, mut progress) = (Reading::of(archived, manifest, stop), Progress::default());
        while reading.part().await?.is_some() {
            while let Some(step) = reading.step()? {
                progress.documents += u64::from(matches!(step, Step::Whole(..)));
                self.step(step).await?;
            }
            self.flush().await?;
            told(progress);
        }
        Ok(())
    }

    async fn step(&mut self, step: Step) -> Result<(), SnapshotError> {
        match step {
            Step::Begins(document) => {
                self.withholds = match &mut self.what {
                    What::All => false,
                    What::Documents(erasures) => erasures.hold(&document).await?,
                };
                self.labels = Filter::labels(&document.metadata);
                Ok(())
            }
            Step::Chunk(..) if self.withholds => Ok(()),
            Step::Chunk(chunk, dense) => self.chunk(*chunk, dense).await,
            Step::Whole(document, _) if self.withholds => {
                self.there.withheld += 1;
                for ordinal in 0..document.chunks {
                    let gone = ChunkId::new(&document.id, &document.version, ordinal);
                    self.there.golden.retain(|chunk| *chunk != gone);
                }
                self.forget(&document).await
            }
            Step::Whole(document, stored) => {
                self.whole.push((document, stored));
                if self.whole.len() >= WINDOW { self.flush().await } else { Ok(()) }
            }
            Step::Dropped(document) => {
                self.flush().await?;
                Ok(self.target.store.purge(self.target.epoch, &document.id, &document.version).await?)
            }
            Step::Record(kind, Stored { id, body, .. }) => {
                if let What::All = self.what
                    && let Put::Existing(_) = self.target.records.put_if_absent(kind, &id, body).await?
                {
                    tracing::debug!(kind = kind.as_str(), "a record that is there already stays");
                }
                Ok(())
            }
        }
    }

    async fn chunk(&mut self, chunk: Chunk, dense: Vec<f32>) -> Result<(), SnapshotError> {
        let sparse = lexical::passage(&chunk.title, &chunk.headings, &chunk.text);
        self.window.push(Point { chunk, dense, sparse, labels: self.labels.clone() });
        if self.window.len() >= WINDOW { self.flush().await } else { Ok(()) }
    }

    /// Writes what says that a document is there, which all its chunks are.
    async fn document(&mut self, document: &DocumentRecord, stored: Stored) -> Result<(), SnapshotError> {
        let records = self.target.records;
        records.put_if_absent(Kind::Content, &pair(document), serde_json::json!({})).await?;
        if let Some(at) = document.expires_at {
            let entry = ingest::expiry_entry(at, &document.id);
            records.put_if_absent(Kind::Expiry, &entry, serde_json::json!({})).await?;
        }
        let body = stored.body;
        update(records, Kind::Document, &stored.id, |standing| {
            let is_there = standing.is_some_and(|standing| standing.body == body);
            Ok::<_, StoreError>(if is_there { Change::Leave(()) } else { Change::Write(body.clone(), ()) })
        })
        .await?;
        self.there.documents += 1;
        self.there.chunks += u64::from(document.chunks);
        Ok(())
    }

    /// Removes what an earlier run put there of a document that was deleted since.
    async fn forget(&self, document: &DocumentRecord) -> Result<(), SnapshotError> {
        let Target { store, epoch, records } = self.target;
        let removed = |_: Option<&Record>| Ok::<_, StoreError>(Change::Remove(()));
        update(records, Kind::Document, document.id.key(), removed).await?;
        update(records, Kind::Content, &pair(document), removed).await?;
        if let Some(at) = document.expires_at {
            update(records, Kind::Expiry, &ingest::expiry_entry(at, &document.id), removed).await?;
        }
        Ok(store.purge(epoch, &document.id, &document.version).await?)
    }

    /// Writes the chunks that wait, and then the records of the documents that are whole by them.
    async fn flush(&mut self) -> Result<(), SnapshotError> {
        if self.window.is_empty() && self.whole.is_empty() {
            return Ok(());
        }
        // Somebody else may have gone on where this process was suspended.
        if !self.hold.check().await? {
            return Err(SnapshotError::TakenOver);
        }
        if !self.window.is_empty() {
            self.target.store.upsert(self.target.epoch, std::mem::take(&mut self.window)).await?;
        }
        for (document, stored) in std::mem::take(&mut self.whole) {
            self.document(&document, stored).await?;
        }
        Ok(())
    }
}

/// The name of the pair of a content and a document that has it.
fn pair(document: &DocumentRecord) -> String {
    format!("{}{}", ports::content_prefix(document.content()), document.id.key())
}

impl Target<'_> {
    /// How many of these chunks are there and lead to themselves.
    pub(super) async fn found(&self, ids: &[ChunkId]) -> Result<usize, StoreError> {
        let mut found = 0;
        for stored in self.store.embedded(self.epoch, ids).await? {
            let dense = Some(stored.dense);
            let search =
                Search { epoch: Some(self.epoch), dense, lexical: None, limit: NEAREST, only: Only::default() };
            let hits = self.store.search(&search).await?.dense;
            let is_itself = hits.iter().any(|hit| hit.chunk == stored.chunk.id);
            found += usize::from(is_itself || (hits.len() == NEAREST && hits.iter().all(|hit| hit.score.0 > AS_NEAR)));
        }
        Ok(found)
    }

    /// Asks for the chunks that must be there; each must be found.
    pub(super) async fn prove(&self, manifest: &Manifest, golden: &[ChunkId]) -> Result<usize, SnapshotError> {
        let (asked, found) = (golden.len(), self.found(golden).await?);
        if found < asked {
            return Err(SnapshotError::NotFound { name: manifest.name.clone(), missed: asked - found, asked });
        }
        Ok(found)
    }

    /// Whether as much is there as was put there.
    pub(super) async fn count(&self, there: &There) -> Result<(), SnapshotError> {
        let found = (ports::count_documents(self.records).await?, self.store.count(self.epoch).await?);
        if found != (there.documents, there.chunks) {
            let ((documents, chunks), expected) = (found, (there.documents, there.chunks));
            return Err(SnapshotError::Counts { documents, chunks, expected });
        }
        Ok(())
    }
}

/// Which documents of a snapshot were deleted since, asked for in the order of their names.
pub(super) struct Erasures<'r>(Option<Cursor<'r>>);

impl<'r> Erasures<'r> {
    /// Those of which a mark says so.
    pub(super) fn replayed(records: &'r dyn Records) -> Self {
        Self(Some(Cursor::new(records, Kind::Deletion)))
    }

    /// None: what was deleted comes back.
    pub(super) fn forgotten() -> Self {
        Self(None)
    }

    /// Whether a document was deleted after it was written as it stands in the snapshot. One that was written again after its deletion was not.
    pub(super) async fn hold(&mut self, document: &DocumentRecord) -> Result<bool, StoreError> {
        let Some(marks) = &mut self.0 else { return Ok(false) };
        let key = document.id.key();
        while let Some(mark) = marks.peek().await? {
            if mark.id.as_str() > key {
                return Ok(false);
            }
            if mark.id == key {
                return Ok(ingest::deleted_at(mark)? >= document.updated_at);
            }
            marks.take();
        }
        Ok(false)
    }
}
