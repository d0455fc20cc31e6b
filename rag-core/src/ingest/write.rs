//! Embeds and stores chunks, and commits their documents: chunks first, then the record, then the purge of what it replaced.
//!
//! Chunks of several documents share a window, so that many small documents are embedded in full batches; the window bounds memory. Between [`Writer::begin`] and [`Writer::end`]
//! (or [`Writer::abort`]) of one document no other may begin.

use std::sync::{Arc, atomic::Ordering};

use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    Ingest, Interrupted,
    chunk::Draft,
    claim::{Claim, standing_of},
    failure::{DocumentReport, FailureReason},
    open::{Open, Plan},
    reuse::Known,
};
use crate::{
    lexical,
    model::{Chunk, ChunkId, ContentHash, DocumentId, Notices, Point},
    ports::{EmbedError, StoreError},
};

/// Chunks that are embedded and stored together.
const WINDOW_CHUNKS: usize = 128;
/// Bytes of text after which a window is full before that.
const WINDOW_BYTES: usize = 512 * 1024;
/// Passages of one call to the embedder; sorted by length before, so that a call holds passages of like length.
const BATCH: usize = 32;
/// What an embedder is asked for that failed on a batch, to see whether it answers at all.
const HARMLESS: &str = "A text that says nothing.";
/// Documents that are committed at the same time.
const COMMITS: usize = 8;
/// Looks at a document that another writer works on, before it is given up for now.
pub(super) const CLAIM_LOOKS: u32 = 240;

struct Waiting {
    chunk: Chunk,
    labels: Arc<[String]>,
    passage: String,
    /// A stored chunk that has the passage's vector.
    known: Option<ChunkId>,
}

/// Writes documents, one after the other.
pub(super) struct Writer<'i> {
    ingest: &'i Ingest,
    open: Option<Open>,
    ended: Vec<Open>,
    window: Vec<Waiting>,
    window_bytes: usize,
    reports: Vec<DocumentReport>,
}

impl<'i> Writer<'i> {
    pub(super) fn new(ingest: &'i Ingest) -> Self {
        Self { ingest, open: None, ended: Vec::new(), window: Vec::new(), window_bytes: 0, reports: Vec::new() }
    }

    /// Whether there is something to say of documents.
    pub(super) fn has_reports(&self) -> bool {
        !self.reports.is_empty()
    }

    /// What became of documents since the last call.
    pub(super) fn reports(&mut self) -> Vec<DocumentReport> {
        std::mem::take(&mut self.reports)
    }

    /// Claims a document; false when nothing has to be written, and the report is there already.
    pub(super) async fn begin(&mut self, plan: Plan) -> Result<bool, Interrupted> {
        // Whether it is a duplicate shows once the document before it is committed.
        if self.ended.iter().any(|ended| ended.plan.content == plan.content) {
            self.flush().await?;
        }
        let version = plan.content.written(uuid::Uuid::new_v4());
        let Some(mut claim) = self.claim(&plan.id, &version).await? else {
            self.reports.push(DocumentReport::failed(plan.id.as_str(), FailureReason::TakenOver));
            return Ok(false);
        };
        let ingest = self.ingest;
        let record = ingest.place(&mut claim).await.map_err(Interrupted::Store)?;
        let before = standing_of(&record).map_err(Interrupted::Store)?;
        if ingest.was_deleted_since(&plan.id, plan.after.as_ref()).await.map_err(Interrupted::Store)? {
            let report = DocumentReport::failed(plan.id.as_str(), FailureReason::Deleted);
            self.settle(claim, report).await.map_err(Interrupted::Store)?;
            return Ok(false);
        }
        let is_whole = match &before {
            Some(standing) => ingest.is_whole(standing).await.map_err(Interrupted::Store)?,
            None => false,
        };
        match &before {
            Some(standing) if is_whole && plan.is_met_by(standing) => {
                let report = DocumentReport::unchanged(standing);
                self.settle(claim, report).await.map_err(Interrupted::Store)?;
                Ok(false)
            }
            Some(standing) if is_whole && plan.changes_metadata_alone(standing) => {
                let open = Open {
                    version: standing.version.clone(),
                    title: Some(standing.title.clone()),
                    chunks: standing.chunks,
                    notices: standing.notices.clone(),
                    labels: plan.labels(Some(&standing.metadata)),
                    ..Open::new(plan, claim, record, before)
                };
                if let Err(interrupted) = ingest.up_to_date().await {
                    ingest.release(open.claim).await.map_err(Interrupted::Store)?;
                    return Err(interrupted);
                }
                let report = ingest.finish(open).await.map_err(Interrupted::Store)?;
                self.reports.push(report);
                Ok(false)
            }
            _ => self.open(Open { version, ..Open::new(plan, claim, record, before) }).await,
        }
    }

    /// Begins to write a document; false when its claim was lost already.
    async fn open(&mut self, mut open: Open) -> Result<bool, Interrupted> {
        let ingest = self.ingest;
        // From here on a claim that is taken over shows in the record, which was read before.
        let is_ours = match &open.before {
            Some(before) => ingest.answer_for(&mut open.claim, &before.version).await,
            None => ingest.confirm(&open.claim).await,
        };
        if !is_ours.map_err(Interrupted::Store)? {
            self.reports.push(DocumentReport::failed(open.plan.id.as_str(), FailureReason::TakenOver));
            return Ok(false);
        }
        open.claim.dirty = true;
        let original = ingest.original(&open.plan.content, &open.plan.id).await.map_err(Interrupted::Store)?;
        let stored: Vec<_> = open.before.iter().chain(&original).collect();
        open.known = ingest.known(&stored).await.map_err(Interrupted::Store)?;
        open.original = original.map(|original| original.id);
        open.labels = open.plan.labels(open.before.as_ref().map(|before| &before.metadata));
        open.title.clone_from(&open.plan.title);
        self.open = Some(open);
        Ok(true)
    }

    /// Takes the next chunk of the open document. `title` is what the text calls itself.
    pub(super) async fn chunk(&mut self, draft: Draft, title: Option<&str>) -> Result<(), Interrupted> {
        let Some(open) = self.open.as_mut().filter(|open| open.failed.is_none()) else { return Ok(()) };
        let title = open.title.get_or_insert_with(|| title.map_or_else(|| file_name(&open.plan.id), str::to_owned));
        let chunk = Chunk {
            id: ChunkId::new(&open.plan.id, &open.version, open.chunks),
            document: open.plan.id.clone(),
            version: open.version.clone(),
            ordinal: open.chunks,
            title: title.clone(),
            headings: draft.headings,
            text: draft.text,
        };
        open.chunks += 1;
        let passage = self.ingest.passage(&chunk);
        let known = open.known.chunk(&passage);
        self.window_bytes += chunk.text.len();
        let labels = Arc::clone(&open.labels);
        self.window.push(Waiting { chunk, labels, passage, known });
        if self.window.len() >= WINDOW_CHUNKS || self.window_bytes >= WINDOW_BYTES {
            self.flush().await?;
        }
        Ok(())
    }

    /// Ends the open document; it is committed with the window that holds its last chunk.
    pub(super) async fn end(&mut self, notices: Notices) -> Result<(), Interrupted> {
        match self.open.take() {
            Some(mut open) => match open.failed.clone() {
                Some(reason) => self.drop_document(open, reason).await,
                None => {
                    (open.known, open.notices) = (Known::default(), notices);
                    self.ended.push(open);
                    Ok(())
                }
            },
            None => Ok(()),
        }
    }

    /// Gives the open document up; what was written of it is purged and the standing version stays.
    pub(super) async fn abort(&mut self, reason: FailureReason) -> Result<(), Interrupted> {
        match self.open.take() {
            Some(open) => self.drop_document(open, reason).await,
            None => Ok(()),
        }
    }

    /// Gives up the open document and those that are not committed yet.
    pub(super) async fn cancel(&mut self) -> Result<(), Interrupted> {
        for open in std::mem::take(&mut self.ended).into_iter().chain(self.open.take()) {
            self.drop_document(open, FailureReason::Cancelled).await?;
        }
        Ok(())
    }

    /// Embeds and stores the window, and commits the documents that it completes.
    pub(super) async fn flush(&mut self) -> Result<(), Interrupted> {
        let window = std::mem::take(&mut self.window);
        self.window_bytes = 0;
        let mut points = self.embed(window).await?;
        let ingest = self.ingest;
        // Embedding takes its time.
        for open in self.ended.iter_mut().chain(&mut self.open) {
            if open.failed.is_none() && !ingest.holds(&open.claim).await.map_err(Interrupted::Store)? {
                open.failed = Some(FailureReason::TakenOver);
            }
            if open.failed.is_some() {
                points.retain(|point| point.chunk.document != open.plan.id);
            }
        }
        if !points.is_empty() {
            ingest.patiently(|| ingest.store.upsert(ingest.epoch, points.clone())).await.map_err(Interrupted::Store)?;
            ingest.written.fetch_add(points.len() as u64, Ordering::Relaxed);
        }
        if !self.ended.is_empty() {
            ingest.up_to_date().await?;
        }
        let (failed, whole): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.ended).into_iter().partition(|open| open.failed.is_some());
        for open in failed {
            let reason = open.failed.clone().unwrap_or(FailureReason::TakenOver);
            self.drop_document(open, reason).await?;
        }
        let reports: Vec<_> = stream::iter(whole.into_iter().map(|open| ingest.finish(open)))
            .buffered(COMMITS)
            .try_collect()
            .await
            .map_err(Interrupted::Store)?;
        if !reports.is_empty() {
            // What was committed in the moment of a change of the epoch is not in the new one, and is not said to be there.
            ingest.up_to_date().await?;
        }
        self.reports.extend(reports);
        Ok(())
    }

    /// Waits for its turn. Everything that this writer claimed and can complete is completed first, so that two writers never wait for each other.
    async fn claim(&mut self, id: &DocumentId, version: &ContentHash) -> Result<Option<Claim>, Interrupted> {
        for look in 0..CLAIM_LOOKS {
            if let Some(claim) = self.ingest.claim(id, Some(version)).await.map_err(Interrupted::Store)? {
                return Ok(Some(claim));
            }
            if look == 0 {
                self.flush().await?;
            }
            tokio::time::sleep(self.ingest.patience.poll).await;
        }
        Ok(None)
    }

    /// Lets go of a document of which nothing was written.
    async fn settle(&mut self, claim: Claim, report: DocumentReport) -> Result<(), StoreError> {
        let released = self.ingest.release(claim).await?;
        let taken_over = || DocumentReport::failed(&report.name, FailureReason::TakenOver);
        self.reports.push(if released { report } else { taken_over() });
        Ok(())
    }

    async fn drop_document(&mut self, open: Open, reason: FailureReason) -> Result<(), Interrupted> {
        self.window.retain(|waiting| waiting.chunk.document != open.plan.id);
        self.window_bytes = self.window.iter().map(|waiting| waiting.chunk.text.len()).sum();
        self.ingest.release(open.claim).await.map_err(Interrupted::Store)?;
        self.reports.push(DocumentReport::failed(open.plan.id.as_str(), reason));
        Ok(())
    }

    /// Vectors for the window: those that are stored already, and new ones.
    async fn embed(&mut self, window: Vec<Waiting>) -> Result<Vec<Point>, Interrupted> {
        let known: Vec<ChunkId> = window.iter().filter_map(|waiting| waiting.known).collect();
        let stored = self.ingest.stored_vectors(&known).await.map_err(Interrupted::Store)?;
        let vector = |waiting: &Waiting| waiting.known.and_then(|chunk| stored.get(&chunk));
        let (reused, mut window): (Vec<_>, Vec<_>) = window.into_iter().partition(|waiting| vector(waiting).is_some());
        let mut points: Vec<Point> = reused
            .into_iter()
            .filter_map(|waiting| vector(&waiting).cloned().map(|dense| point((waiting, dense))))
            .collect();
        window.sort_by_key(|waiting| waiting.passage.len());
        while !window.is_empty() {
            let batch: Vec<_> = window.drain(..BATCH.min(window.len())).collect();
            let texts: Vec<_> = batch.iter().map(|waiting| waiting.passage.clone()).collect();
            self.ingest.embedded.fetch_add(texts.len() as u64, Ordering::Relaxed);
            match self.ingest.vectors(texts).await {
                Ok(vectors) => points.extend(batch.into_iter().zip(vectors).map(point)),
                Err(error) => {
                    points.extend(self.apart(batch, error).await?);
                    window.retain(|waiting| !self.is_given_up(&waiting.chunk.document));
                }
            }
        }
        Ok(points)
    }

    /// Tells a batch that cannot be embedded from an embedder that cannot be used: where it answers for another text, each passage is tried alone and the documents of those that fail are given up; where it
    /// does not, nobody is to blame, and the run is interrupted.
    async fn apart(&mut self, batch: Vec<Waiting>, error: EmbedError) -> Result<Vec<Point>, Interrupted> {
        if !error.may_be_the_texts() {
            return Err(Interrupted::Embed(error));
        }
        self.ingest.vectors(vec![HARMLESS.to_owned()]).await.map_err(Interrupted::Embed)?;
        let (mut points, alone) = (Vec::new(), batch.len() == 1);
        for waiting in batch {
            if self.is_given_up(&waiting.chunk.document) {
                continue;
            }
            let tried = match alone {
                true => Err(error.clone()),
                false => self.ingest.vectors(vec![waiting.passage.clone()]).await,
            };
            match tried {
                Ok(vectors) => points.extend(std::iter::once(waiting).zip(vectors).map(point)),
                Err(error) if error.may_be_the_texts() => self.give_up(&waiting.chunk.document, error),
                Err(error) => return Err(Interrupted::Embed(error)),
            }
        }
        Ok(points)
    }

    fn is_given_up(&self, document: &DocumentId) -> bool {
        let mut open = self.ended.iter().chain(&self.open).filter(|open| open.plan.id == *document);
        open.any(|open| open.failed.is_some())
    }

    fn give_up(&mut self, document: &DocumentId, error: EmbedError) {
        let reason = match error {
            EmbedError::Unavailable { failure, cause, .. } => {
                FailureReason::Provider { cause: format!("{}: {cause}", failure.as_str()), tries: 1 }
            }
            error => FailureReason::Embedding { cause: error.to_string() },
        };
        for open in self.ended.iter_mut().chain(&mut self.open).filter(|open| open.plan.id == *document) {
            open.failed = Some(reason.clone());
        }
    }
}

fn point((waiting, dense): (Waiting, Vec<f32>)) -> Point {
    let Waiting { chunk, labels, .. } = waiting;
    let sparse = lexical::passage(&chunk.title, &chunk.headings, &chunk.text);
    Point { chunk, dense, sparse, labels: labels.to_vec() }
}

/// The last part of a document's name: its title when nothing better is known.
pub(super) fn file_name(id: &DocumentId) -> String {
    id.as_str().rsplit('/').find(|part| !part.is_empty()).unwrap_or(id.as_str()).to_owned()
}

impl Ingest {
    /// Vectors of passages; repeats while the embedder is overloaded.
    async fn vectors(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let mut pause = self.patience.first;
        for _ in 1..self.patience.attempts {
            match self.embedder.embed_passages(texts.clone()).await {
                Err(EmbedError::Overloaded) => tokio::time::sleep(pause).await,
                other => return other,
            }
            pause *= 2;
        }
        self.embedder.embed_passages(texts).await
    }
}
