//! Takes a snapshot: documents in the order of their keys with their chunks, then the other records, then the manifest.
//!
//! Memory: a part and a window of chunks. A document is asked for again when its chunks go away while they are read, so nothing has to be kept from being purged meanwhile.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    Archived, Attached, AttachedFile, FORMAT, Golden, Manifest, Name, RecordCount, Seal, SnapshotError, commit,
    cursor::Cursor,
    out::Out,
    part::{self, Entry, Stored, StoredChunk},
    underway::{self, Mark},
};
use crate::{
    corpus::{self, CorpusError},
    ingest,
    model::{ChunkId, DocumentRecord},
    ports::{self, Clock, Epoch, KEPT, Kind, MOST_CHUNKS, Record, Source, StoreError},
};

/// Looks at a document that changes while it is read.
const LOOKS: usize = 16;
/// Chunks that prove a restore: with so many, one lost chunk in ten is noticed nine times in ten.
const GOLDEN: usize = 20;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Documents that were read.
    pub documents: u64,
    /// Bytes that were written to an archive; none by a restore.
    pub written_bytes: u64,
    /// Bytes that the archive had already.
    pub kept_bytes: u64,
}

/// A snapshot that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// What it is made of.
    pub manifest: Manifest,
    /// What it cost.
    pub progress: Progress,
    /// Whether it was taken before, for the same, and nothing was done.
    pub was_there: bool,
}

/// The parts of a run.
pub struct Create {
    /// What it is taken of.
    pub source: Arc<dyn Source>,
    /// Where the snapshot goes.
    pub archived: Archived,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Version of the program.
    pub taken_by: String,
    /// For whom it is taken, by an id of theirs, if that matters: what was taken for the same is not taken again.
    pub taken_for: Option<String>,
    /// Files that go with it.
    pub attached: Vec<AttachedFile>,
}

impl Create {
    /// How many documents there are to go through.
    pub async fn documents(&self) -> Result<u64, StoreError> {
        self.source.count(Kind::Document).await
    }

    /// Takes a snapshot of this name, unless there is one that was taken for the same. `told` hears how far it is after each document.
    pub async fn run(
        &self,
        name: Name,
        stop: &CancellationToken,
        told: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Created, SnapshotError> {
        if let Some(manifest) = self.there(&name).await? {
            return Ok(Created { manifest, progress: Progress::default(), was_there: true });
        }
        let mut mark = underway::taking(&self.archived.archive, &self.clock).await?;
        let created = self.marked(name, &mut mark, stop, told).await;
        mark.remove().await;
        created
    }

    /// The snapshot of this name, if it was taken for the same; refused, if for somebody else.
    async fn there(&self, name: &Name) -> Result<Option<Manifest>, SnapshotError> {
        if self.archived.archive.size(&name.object()).await?.is_none() {
            return Ok(None);
        }
        let exists = || SnapshotError::Exists(name.clone());
        let taken_for = self.taken_for.as_ref().ok_or_else(exists)?;
        let manifest = self.archived.read(name).await?;
        if manifest.taken_for.as_ref() == Some(taken_for) { Ok(Some(manifest)) } else { Err(exists()) }
    }

    async fn marked(
        &self,
        name: Name,
        mark: &mut Mark,
        stop: &CancellationToken,
        told: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Created, SnapshotError> {
        let began = self.clock.now();
        let epoch = self.source.active().await?.ok_or(SnapshotError::Empty)?;
        let built_with = self.source.record(Kind::Corpus, &epoch.record_id()).await?;
        let built_with = built_with.ok_or(SnapshotError::Corpus(CorpusError::Unrecorded(epoch)))?;
        let built_with = corpus::read(epoch, built_with.body)?;
        let out = Out::new(&self.archived, mark);
        let mut taking = Taking { create: self, epoch, stop, told, out, seen: Seen::default() };
        taking.documents().await?;
        let records = taking.other_records().await?;
        let parts = taking.out.end().await?;
        let attached = taking.files().await?;
        let Taking { out, seen, .. } = taking;
        let progress = out.progress(seen.documents);
        let manifest = Manifest {
            format: FORMAT,
            name,
            began,
            ended: self.clock.now(),
            last_write: seen.last_write,
            taken_by: self.taken_by.clone(),
            built_with,
            epoch,
            documents: seen.documents,
            chunks: seen.chunks,
            left_out: seen.left_out,
            records,
            parts,
            golden: seen.golden.into_values().map(|chunk| Golden { chunk }).collect(),
            attached,
            taken_for: self.taken_for.clone(),
            seal: Seal::default(),
        };
        if stop.is_cancelled() {
            return Err(SnapshotError::Stopped);
        }
        let (manifest, object) = self.archived.sealed(manifest)?;
        commit(&self.archived.archive, mark, &manifest, object).await?;
        Ok(Created { manifest, progress, was_there: false })
    }
}

/// What was seen so far.
#[derive(Default)]
struct Seen {
    documents: u64,
    chunks: u64,
    left_out: u64,
    last_write: Option<Timestamp>,
    /// The chunks whose hashes are lowest: the same for the same corpus, and spread over all of it.
    golden: BTreeMap<[u8; 32], ChunkId>,
}

impl Seen {
    fn document(&mut self, document: &DocumentRecord) {
        self.documents += 1;
        self.chunks += u64::from(document.chunks);
        self.last_write = self.last_write.max(Some(document.updated_at));
        for ordinal in 0..document.chunks {
            let chunk = ChunkId::new(&document.id, &document.version, ordinal);
            let hash = *blake3::hash(chunk.0.as_bytes()).as_bytes();
            let is_lower = self.golden.last_key_value().is_none_or(|(highest, _)| hash < *highest);
            if self.golden.len() < GOLDEN || is_lower {
                self.golden.insert(hash, chunk);
            }
            if self.golden.len() > GOLDEN {
                self.golden.pop_last();
            }
        }
    }
}

/// What became of a document.
enum Taken {
    /// It is in the snapshot.
    Whole(Box<DocumentRecord>),
    /// It changed while it was read: this is what stands now, if anything does.
    Changed(Option<Record>),
    /// The store has lost some of its chunks.
    Damaged,
}

struct Taking<'t> {
    create: &'t Create,
    epoch: Epoch,
    stop: &'t CancellationToken,
    told: &'t mut (dyn FnMut(Progress) + Send),
    out: Out<'t>,
    seen: Seen,
}

impl Taking<'_> {
    async fn documents(&mut self) -> Result<(), SnapshotError> {
        let create = self.create;
        let mut documents = Cursor::of(&*create.source, Kind::Document);
        while let Some(record) = documents.next().await? {
            if self.stop.is_cancelled() {
                return Err(SnapshotError::Stopped);
            }
            if ports::stands(&record) {
                self.document(record).await?;
                (self.told)(self.out.progress(self.seen.documents));
            }
        }
        Ok(())
    }

    /// Takes a document as it stands, or as it stands by then.
    async fn document(&mut self, record: Record) -> Result<(), SnapshotError> {
        let id = ingest::document_of(&record)?.id;
        let mut standing = Some(record);
        for _ in 0..LOOKS {
            let Some(record) = standing.filter(ports::stands) else { return Ok(()) };
            match self.take(record).await? {
                Taken::Whole(document) => {
                    self.seen.document(&document);
                    return Ok(());
                }
                Taken::Changed(now) => standing = now,
                Taken::Damaged => {
                    tracing::warn!(
                        document = id.as_str(),
                        "left out of the snapshot: the store has lost some of its chunks; ingest it again"
                    );
                    self.seen.left_out += 1;
                    return Ok(());
                }
            }
        }
        Err(SnapshotError::Unsteady(id))
    }

    async fn take(&mut self, record: Record) -> Result<Taken, SnapshotError> {
        let document = ingest::document_of(&record)?;
        let line = Entry::Document(stored(Kind::Document, record));
        let mut begun = false;
        for first in (0..document.chunks).step_by(MOST_CHUNKS as usize) {
            let last = document.chunks.min(first + MOST_CHUNKS);
            let of = (&document.id, &document.version);
            let chunks = self.create.source.chunks(self.epoch, of, first..last).await?;
            if chunks.len() < (last - first) as usize {
                if begun {
                    self.out.push(&Entry::Dropped).await?;
                }
                return self.what_happened(&document).await;
            }
            if !begun {
                self.out.begin(document.id.key(), &line).await?;
                begun = true;
            }
            for chunk in &chunks {
                if self.out.is_full() {
                    self.out.flush().await?;
                    self.out.push(&line).await?;
                }
                self.out.push(&Entry::Chunk(StoredChunk::of(chunk))).await?;
            }
        }
        if !begun {
            self.out.begin(document.id.key(), &line).await?;
        }
        Ok(Taken::Whole(Box::new(document)))
    }

    /// Why chunks of a document are not there.
    async fn what_happened(&self, document: &DocumentRecord) -> Result<Taken, SnapshotError> {
        let now = self.create.source.record(Kind::Document, document.id.key()).await?;
        let version = now.as_ref().filter(|record| ports::stands(record)).map(ingest::document_of).transpose()?;
        let same = version.is_some_and(|now| now.version == document.version);
        Ok(if same { Taken::Damaged } else { Taken::Changed(now) })
    }

    async fn other_records(&mut self) -> Result<Vec<RecordCount>, SnapshotError> {
        let (create, mut counts) = (self.create, Vec::new());
        for kind in KEPT {
            let (mut records, mut count) = (Cursor::of(&*create.source, kind), 0);
            while let Some(record) = records.next().await? {
                if self.stop.is_cancelled() {
                    return Err(SnapshotError::Stopped);
                }
                let id = record.id.clone();
                self.out.begin(&id, &Entry::Record(stored(kind, record))).await?;
                count += 1;
            }
            counts.push(RecordCount { kind: kind.as_str().to_owned(), count });
        }
        Ok(counts)
    }

    async fn files(&mut self) -> Result<Vec<Attached>, SnapshotError> {
        let mut attached = Vec::new();
        for AttachedFile { name, content } in &self.create.attached {
            attached.push(Attached { file: name.clone(), part: self.out.alone(content).await? });
        }
        Ok(attached)
    }
}

fn stored(kind: Kind, Record { id, body, .. }: Record) -> Stored {
    Stored { kind: kind.as_str().to_owned(), id, body: part::sorted(body) }
}
