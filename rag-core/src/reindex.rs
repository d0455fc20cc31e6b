//! Builds an epoch of the corpus for the configured embedding model, from the texts that are stored, and makes it the searched one.
//!
//! Flow: documents -> chunks of the active epoch -> embed what the new epoch lacks -> store -> look again -> judge -> look again -> activate.
//! Guarantees: until the activation nothing that is searched changes; a run that was cut short is taken up again by the next; the old epoch stays, so that going back is the same
//! command with the old configuration, which embeds only what came since. A document that changes meanwhile is taken in its new version.
//! A version's chunks are brought over once they are committed, and again looked at after they were written: what was replaced or deleted meanwhile is removed again, here or by the sweep of what no record holds.
//! Caveats: whoever still writes to the old epoch after the last look is missed until somebody catches up: a server that changes over does, the command line asks for servers that are
//! read-only or stopped.

mod held;

use std::{collections::HashSet, pin::pin, sync::Arc};

use futures::{Stream, TryStreamExt as _, stream};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::{
    corpus::{self, BuiltWith, CorpusError, Owner},
    ingest::passage,
    lexical,
    model::{Chunk, ChunkId, DocumentId, DocumentRecord, Filter, Point},
    ports::{self, EmbedError, Embedder, Epoch, Hold, Kind, ModelIdentity, Records, StoreError, VectorStore},
};

pub use held::hold;

/// Looks at all documents before an epoch is judged, and again before it is activated.
const LOOKS: usize = 2;
/// Documents that are listed together.
const PAGE: usize = 256;
/// Chunks that are read, embedded and written together; it bounds the memory.
const WINDOW: u32 = 64;

/// What a run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reindexed {
    /// The active epoch fits the configuration already.
    Fits(Epoch),
    /// This epoch is searched now.
    Activated {
        /// The epoch that was searched before.
        from: Epoch,
        /// The one that is searched now.
        to: Epoch,
        /// Chunks that were embedded for it.
        embedded: u64,
    },
    /// The epoch is complete and was judged not good enough; it is kept, and nothing that is searched changed.
    Rejected {
        /// The epoch that is searched.
        from: Epoch,
        /// The one that is not.
        to: Epoch,
    },
    /// It was stopped; what was done is kept for the next run.
    Stopped,
}

/// Why a run ended early. What was done is kept for the next one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReindexError {
    /// Nothing was ever ingested here.
    #[error("there is nothing to reindex: the vector store has no active epoch; ingest documents first")]
    Empty,
    /// The corpus is somebody else's, or its record is damaged.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// A store did not do what it was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another process works on it.
    #[error(
        "{by} changes the searched epoch just now, and has the sole right to until {until:.0}, which it prolongs while it works; wait until it is done, or stop it and run this again after that time"
    )]
    Held {
        /// What it says that it is.
        by: String,
        /// When its right ends, unless it prolongs it.
        until: Timestamp,
    },
    /// Another process goes on with the work.
    #[error("this process was silent for so long that another one may go on with the change of the searched epoch")]
    TakenOver,
    /// The model did not embed a document's passages.
    #[error("the document {}: {error}", .document.as_str())]
    Embed {
        /// Which one.
        document: DocumentId,
        /// Why.
        error: EmbedError,
    },
}

/// What there is to do.
enum Begun {
    /// Nothing: this epoch fits.
    Fits(Epoch),
    /// An epoch lacks chunks of another.
    Fills(Way),
}

/// From which epoch chunks come, and to which they go.
#[derive(Debug, Clone, Copy)]
struct Way {
    from: Epoch,
    to: Epoch,
}

/// The parts of a run.
pub struct Reindex {
    store: Arc<dyn VectorStore>,
    records: Arc<dyn Records>,
    embedder: Arc<dyn Embedder>,
    owner: Owner,
    hold: Option<Arc<Hold>>,
}

impl Reindex {
    /// A run for the corpus of `owner`, with the model of this embedder.
    pub fn new(
        store: Arc<dyn VectorStore>,
        records: Arc<dyn Records>,
        embedder: Arc<dyn Embedder>,
        owner: Owner,
    ) -> Self {
        Self { store, records, embedder, owner, hold: None }
    }

    /// A run that goes on only while this is held.
    #[must_use]
    pub fn under(self, hold: Arc<Hold>) -> Self {
        Self { hold: Some(hold), ..self }
    }

    /// The model that it embeds with.
    pub fn model(&self) -> &ModelIdentity {
        self.embedder.model()
    }

    /// How many documents there are to go through.
    pub async fn documents(&self) -> Result<u64, StoreError> {
        self.records.count(Kind::Document).await
    }

    /// Runs to the end, or until it is stopped. `done` is told of each document, and how many of its chunks were embedded; `judge` says of the complete epoch whether it is good enough.
    pub async fn run<E: From<ReindexError>>(
        &self,
        stop: &CancellationToken,
        mut done: impl FnMut(&DocumentRecord, u64) + Send,
        judge: impl AsyncFnOnce(Epoch) -> Result<bool, E>,
    ) -> Result<Reindexed, E> {
        let way = match self.begin().await? {
            Begun::Fits(epoch) => return Ok(Reindexed::Fits(epoch)),
            Begun::Fills(way) => way,
        };
        let Some(embedded) = self.fill(way, stop, &mut done).await? else { return Ok(Reindexed::Stopped) };
        let is_good_enough = tokio::select! {
            judged = judge(way.to) => judged?,
            () = stop.cancelled() => return Ok(Reindexed::Stopped),
        };
        if !is_good_enough {
            return Ok(Reindexed::Rejected { from: way.from, to: way.to });
        }
        // Judging takes its time, and documents may have come meanwhile.
        let Some(since) = self.fill(way, stop, &mut done).await? else { return Ok(Reindexed::Stopped) };
        self.confirm_hold().await?;
        self.store.activate(way.to).await.map_err(ReindexError::from)?;
        Ok(Reindexed::Activated { from: way.from, to: way.to, embedded: embedded + since })
    }

    /// Brings into the searched epoch, `to`, what another server wrote to that of the `previous` model in the moment of the change. Tells how many chunks it lacked.
    pub async fn catch_up(
        &self,
        previous: &ModelIdentity,
        to: Epoch,
        stop: &CancellationToken,
    ) -> Result<u64, ReindexError> {
        let Some(from) = self.newest_of(previous, to).await? else { return Ok(0) };
        let (way, mut brought) = (Way { from, to }, 0);
        let mut documents = pin!(self.all());
        while let Some(document) = documents.try_next().await? {
            if stop.is_cancelled() {
                break;
            }
            brought += self.document(way, document).await?;
        }
        Ok(brought)
    }

    /// The newest epoch of a model that holds the same documents, the searched one excepted.
    async fn newest_of(&self, model: &ModelIdentity, searched: Epoch) -> Result<Option<Epoch>, ReindexError> {
        let mut newest = None;
        let siblings = ports::siblings(&*self.store, &*self.records, searched).await?;
        for epoch in siblings.into_iter().filter(|epoch| *epoch != searched) {
            let found = corpus::recorded(&*self.records, epoch).await?;
            if found.is_some_and(|found| found.model == *model && corpus::owned(&found, &self.owner).is_ok()) {
                newest = Some(epoch);
            }
        }
        Ok(newest)
    }

    /// Makes the epoch to fill, if one is needed.
    async fn begin(&self) -> Result<Begun, ReindexError> {
        let from = self.store.active().await?.ok_or(ReindexError::Empty)?;
        let standing = corpus::adopt(&*self.records, from, &self.owner).await?;
        // The texts stay as they were cut, and the corpus whose it is: a run that knows no id takes none away.
        let here = corpus::built_with(&*self.embedder, &standing.owner());
        let here = BuiltWith { chunker: standing.chunker.clone(), edition: standing.edition, ..here };
        if standing == here {
            return Ok(Begun::Fits(from));
        }
        let to = self.target(from, &here).await?;
        self.store.create_epoch(to, here.model.dimension).await?;
        Ok(Begun::Fills(Way { from, to }))
    }

    /// Looks until the new epoch lacks nothing, and no more than twice: while documents keep coming, it always lacks some. Tells how many chunks it lacked; none when it was stopped.
    async fn fill(
        &self,
        way: Way,
        stop: &CancellationToken,
        done: &mut (impl FnMut(&DocumentRecord, u64) + Send),
    ) -> Result<Option<u64>, ReindexError> {
        let mut embedded = 0;
        for _ in 0..LOOKS {
            let mut lacking = 0;
            let mut documents = pin!(self.all());
            while let Some(document) = documents.try_next().await? {
                if stop.is_cancelled() {
                    return Ok(None);
                }
                let embedded = self.document(way, document.clone()).await?;
                done(&document, embedded);
                lacking += embedded;
            }
            embedded += lacking;
            if lacking == 0 {
                break;
            }
        }
        Ok(Some(embedded))
    }

    /// The epoch to fill: one that was built like this before, or the next free number, which is recorded before anything is written to it.
    async fn target(&self, from: Epoch, here: &BuiltWith) -> Result<Epoch, ReindexError> {
        let mut number = 1;
        loop {
            let epoch = Epoch(number);
            if epoch != from && corpus::record(&*self.records, epoch, here).await?.is_like(here) {
                corpus::adopt(&*self.records, epoch, &here.owner()).await?;
                return Ok(epoch);
            }
            number += 1;
        }
    }

    /// Every document, a page at a time.
    fn all(&self) -> impl Stream<Item = Result<DocumentRecord, ReindexError>> {
        let page = async |after: Option<Option<String>>| {
            let Some(after) = after else { return Ok::<_, ReindexError>(None) };
            let page = self.records.list(Kind::Document, "", after.as_deref(), PAGE).await?;
            let standing = page.records.into_iter().filter(ports::stands);
            let documents = standing.map(|record| Ok(crate::ingest::document_of(&record)?));
            Ok(Some((stream::iter(documents), page.next.map(Some))))
        };
        stream::try_unfold(Some(None), page).try_flatten()
    }

    /// Brings a document over as it stands. What was replaced or deleted while it was brought is removed again: whoever did that purged too early to find it.
    async fn document(&self, way: Way, mut document: DocumentRecord) -> Result<u64, ReindexError> {
        let mut embedded = 0;
        loop {
            embedded += self.bring(way, &document).await?;
            let record = self.records.get(Kind::Document, document.id.key()).await?.filter(ports::stands);
            let now = record.as_ref().map(crate::ingest::document_of).transpose()?;
            if now.as_ref() == Some(&document) {
                return Ok(embedded);
            }
            if now.as_ref().is_none_or(|now| now.version != document.version) {
                self.store.purge(way.to, &document.id, &document.version).await?;
            }
            let Some(now) = now else { return Ok(embedded) };
            document = now;
        }
    }

    /// Asks the records themselves: whoever was suspended may trust its own clock no more, and what follows changes what everybody
    /// searches.
    async fn confirm_hold(&self) -> Result<(), ReindexError> {
        let Some(hold) = &self.hold else { return Ok(()) };
        if hold.confirm().await? { Ok(()) } else { Err(ReindexError::TakenOver) }
    }

    /// Ends the run of a replica that was silent for so long that another one goes on with its work.
    async fn still_held(&self) -> Result<(), ReindexError> {
        let Some(hold) = &self.hold else { return Ok(()) };
        if hold.check().await? { Ok(()) } else { Err(ReindexError::TakenOver) }
    }

    /// Brings the chunks of a document's version over that the new epoch lacks, and its labels. Tells how many chunks it lacked.
    async fn bring(&self, way: Way, document: &DocumentRecord) -> Result<u64, ReindexError> {
        let labels = Filter::labels(&document.metadata);
        let (mut embedded, mut relabel) = (0, false);
        for ids in windows(document) {
            // The metadata of a document may have changed since its chunks were brought over.
            let (lacking, outdated) = self.missing(way.to, &ids, &labels).await?;
            relabel |= outdated;
            if !lacking.is_empty() {
                embedded += self.embed(way, document, &lacking, &labels).await?;
            }
        }
        if relabel {
            self.store.relabel(way.to, &document.id, &labels).await?;
        }
        Ok(embedded)
    }

    /// Those of the chunks that an epoch lacks, and whether one that it has is labelled otherwise.
    async fn missing(
        &self,
        epoch: Epoch,
        ids: &[ChunkId],
        labels: &[String],
    ) -> Result<(Vec<ChunkId>, bool), ReindexError> {
        let there = self.store.embedded(epoch, ids).await?;
        let outdated = there.iter().any(|stored| stored.labels != labels);
        let there: HashSet<ChunkId> = there.into_iter().map(|stored| stored.chunk.id).collect();
        Ok((ids.iter().copied().filter(|id| !there.contains(id)).collect(), outdated))
    }

    /// Embeds the texts of these chunks and stores them.
    async fn embed(
        &self,
        way: Way,
        document: &DocumentRecord,
        lacking: &[ChunkId],
        labels: &[String],
    ) -> Result<u64, ReindexError> {
        let chunks = self.store.chunks(Some(way.from), lacking).await?;
        let passages = chunks.iter().map(|chunk| self.passage(chunk)).collect();
        let vectors = self.embedder.embed_passages(passages).await;
        let vectors = vectors.map_err(|error| ReindexError::Embed { document: document.id.clone(), error })?;
        let point = |(chunk, dense): (Chunk, Vec<f32>)| {
            let sparse = lexical::passage(&chunk.title, &chunk.headings, &chunk.text);
            Point { chunk, dense, sparse, labels: labels.to_vec() }
        };
        let points: Vec<_> = chunks.into_iter().zip(vectors).map(point).collect();
        let embedded = points.len() as u64;
        self.still_held().await?;
        self.store.upsert(way.to, points).await?;
        Ok(embedded)
    }

    fn passage(&self, chunk: &Chunk) -> String {
        let count = |text: &str| self.embedder.count_tokens(text);
        passage(&chunk.title, &chunk.headings, &chunk.text, self.embedder.max_tokens(), &count)
    }
}

/// The chunks of a document's version, as many at a time as are worked on together.
fn windows(document: &DocumentRecord) -> impl Iterator<Item = Vec<ChunkId>> {
    let firsts = (0..document.chunks).step_by(WINDOW as usize);
    firsts.map(move |first| {
        let last = document.chunks.min(first + WINDOW);
        (first..last).map(|ordinal| ChunkId::new(&document.id, &document.version, ordinal)).collect()
    })
}

#[cfg(test)]
mod tests;
