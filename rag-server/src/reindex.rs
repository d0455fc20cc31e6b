//! Builds an epoch of the corpus for the configured embedding model, from the texts that are stored, and makes it the searched one.
//!
//! Flow: documents -> chunks of the active epoch -> embed what the new epoch lacks -> store -> look again until nothing is lacking -> judge -> look again -> activate.
//! Guarantees: until the activation nothing that is searched changes; a run that was cut short is taken up again by the next; the old epoch stays, so that going back is the same
//! command with the old configuration, which embeds only what came since. A document that changes meanwhile is taken in its new version.
//! Caveats: whoever still writes to the old epoch after the last look is missed until somebody catches up: a server that changes over does, the command line asks for servers that are
//! read-only or stopped. Chunks of documents that were deleted between two activations stay in an old epoch, where nothing shows them.

use std::{collections::HashSet, sync::Arc};

use tokio_util::sync::CancellationToken;

use crate::{
    corpus::{self, BuiltWith, CorpusError},
    ingest::passage,
    lexical,
    model::{Chunk, ChunkId, DocumentRecord, Filter, Point},
    ports::{EmbedError, Embedder, Epoch, Kind, ModelIdentity, Records, StoreError, VectorStore},
};

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
    /// The model did not embed a passage.
    #[error(transparent)]
    Embed(#[from] EmbedError),
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

/// What a window of chunks came to.
struct Brought {
    /// Chunks that the new epoch lacked.
    embedded: u64,
    /// Whether chunks that it had are labelled with what their document's metadata were before.
    outdated: bool,
}

/// The parts of a run.
pub struct Reindex {
    store: Arc<dyn VectorStore>,
    records: Arc<dyn Records>,
    embedder: Arc<dyn Embedder>,
    owner: String,
}

impl Reindex {
    /// A run for the corpus of `owner`, with the model of this embedder.
    pub fn new(
        store: Arc<dyn VectorStore>,
        records: Arc<dyn Records>,
        embedder: Arc<dyn Embedder>,
        owner: String,
    ) -> Self {
        Self { store, records, embedder, owner }
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
        self.store.activate(way.to).await.map_err(ReindexError::from)?;
        Ok(Reindexed::Activated { from: way.from, to: way.to, embedded: embedded + since })
    }

    /// Brings into the searched epoch what another server wrote to that of the `previous` model in the moment of the change. Tells how many chunks it lacked.
    pub async fn catch_up(&self, previous: &ModelIdentity, stop: &CancellationToken) -> Result<u64, ReindexError> {
        let to = self.store.active().await?.ok_or(ReindexError::Empty)?;
        let Some(from) = self.newest_of(previous, to).await? else { return Ok(0) };
        Ok(self.fill(Way { from, to }, stop, &mut |_, _| {}).await?.unwrap_or(0))
    }

    /// The newest epoch of a model, the searched one excepted.
    async fn newest_of(&self, model: &ModelIdentity, searched: Epoch) -> Result<Option<Epoch>, ReindexError> {
        let (mut epoch, mut newest) = (Epoch(1), None);
        while let Some(found) = corpus::recorded(&*self.records, epoch).await? {
            if epoch != searched && found.model == *model && found.owner == self.owner {
                newest = Some(epoch);
            }
            epoch = Epoch(epoch.0 + 1);
        }
        Ok(newest)
    }

    /// Makes the epoch to fill, if one is needed.
    async fn begin(&self) -> Result<Begun, ReindexError> {
        let from = self.store.active().await?.ok_or(ReindexError::Empty)?;
        let standing = corpus::recorded(&*self.records, from).await?.ok_or(CorpusError::Unrecorded(from))?;
        corpus::owned(&standing, &self.owner)?;
        // The texts stay as they were cut.
        let here = BuiltWith { chunker: standing.chunker.clone(), ..corpus::built_with(&*self.embedder, &self.owner) };
        if standing == here {
            return Ok(Begun::Fits(from));
        }
        let to = self.target(from, &here).await?;
        self.store.create_epoch(to, here.model.dimension).await?;
        Ok(Begun::Fills(Way { from, to }))
    }

    /// Looks until the new epoch lacks nothing. Tells how many chunks it lacked; none when it was stopped.
    async fn fill(
        &self,
        way: Way,
        stop: &CancellationToken,
        done: &mut (impl FnMut(&DocumentRecord, u64) + Send),
    ) -> Result<Option<u64>, ReindexError> {
        let mut embedded = 0;
        loop {
            match self.pass(way, stop, done).await? {
                None => return Ok(None),
                Some(0) => return Ok(Some(embedded)),
                Some(lacking) => embedded += lacking,
            }
        }
    }

    /// The epoch to fill: one that was built like this before, or the next free number, which is recorded before anything is written to it.
    async fn target(&self, from: Epoch, here: &BuiltWith) -> Result<Epoch, ReindexError> {
        let mut number = 1;
        loop {
            let epoch = Epoch(number);
            if epoch != from && corpus::record(&*self.records, epoch, here).await? == *here {
                return Ok(epoch);
            }
            number += 1;
        }
    }

    /// Goes through all documents once. Tells how many chunks the new epoch lacked; none when it was stopped.
    async fn pass(
        &self,
        way: Way,
        stop: &CancellationToken,
        done: &mut (impl FnMut(&DocumentRecord, u64) + Send),
    ) -> Result<Option<u64>, ReindexError> {
        let (mut after, mut lacking) = (None::<String>, 0);
        loop {
            let page = self.records.list(Kind::Document, "", after.as_deref(), PAGE).await?;
            for record in &page.records {
                if stop.is_cancelled() {
                    return Ok(None);
                }
                let document = crate::ingest::document_of(record)?;
                let embedded = self.document(way, &document).await?;
                done(&document, embedded);
                lacking += embedded;
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(Some(lacking)),
            }
        }
    }

    /// Brings the chunks of a document's version over that the new epoch lacks.
    async fn document(&self, way: Way, document: &DocumentRecord) -> Result<u64, ReindexError> {
        let labels = Filter::labels(&document.metadata);
        let (mut first, mut embedded, mut outdated) = (0, 0, false);
        while first < document.chunks {
            let last = document.chunks.min(first + WINDOW);
            let ids: Vec<_> =
                (first..last).map(|ordinal| ChunkId::new(&document.id, &document.version, ordinal)).collect();
            let brought = self.window(way, &ids, &labels).await?;
            embedded += brought.embedded;
            outdated |= brought.outdated;
            first = last;
        }
        if outdated {
            self.store.relabel(way.to, &document.id, &labels).await?;
        }
        if embedded > 0 {
            self.store.purge(way.to, &document.id, Some(&document.version)).await?;
        }
        Ok(embedded)
    }

    async fn window(&self, way: Way, ids: &[ChunkId], labels: &[String]) -> Result<Brought, ReindexError> {
        let there = self.store.embedded(way.to, ids).await?;
        // The metadata of a document may have changed since its chunks were brought over.
        let outdated = there.iter().any(|stored| stored.labels != labels);
        let there: HashSet<ChunkId> = there.into_iter().map(|stored| stored.chunk.id).collect();
        let lacking: Vec<_> = ids.iter().copied().filter(|id| !there.contains(id)).collect();
        if lacking.is_empty() {
            return Ok(Brought { embedded: 0, outdated });
        }
        let chunks: Vec<Chunk> =
            self.store.embedded(way.from, &lacking).await?.into_iter().map(|stored| stored.chunk).collect();
        let vectors = self.embedder.embed_passages(chunks.iter().map(|chunk| self.passage(chunk)).collect()).await?;
        let point = |(chunk, dense): (Chunk, Vec<f32>)| {
            let sparse = lexical::passage(&chunk.title, &chunk.headings, &chunk.text);
            Point { chunk, dense, sparse, labels: labels.to_vec() }
        };
        let points: Vec<_> = chunks.into_iter().zip(vectors).map(point).collect();
        let embedded = points.len() as u64;
        self.store.upsert(way.to, points).await?;
        Ok(Brought { embedded, outdated })
    }

    fn passage(&self, chunk: &Chunk) -> String {
        let count = |text: &str| self.embedder.count_tokens(text);
        passage(&chunk.title, &chunk.headings, &chunk.text, self.embedder.max_tokens(), &count)
    }
}

#[cfg(test)]
mod tests;
