//! Takes a snapshot: documents in the order of their keys with their chunks, then the other records, then the manifest.
//!
//! Memory: a part and a window of chunks. A document is asked for again when its chunks go away while they are read, so nothing has to be kept from being purged meanwhile.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{
    FORMAT, Golden, KEPT, Manifest, Name, PartRef, RecordCount, SigningKey, SnapshotError, packing,
    part::{self, Entry, Filling, Stored, StoredChunk},
};
use crate::{
    corpus::{self, CorpusError},
    ingest,
    model::{ChunkId, DocumentRecord, Embedded},
    ports::{self, Archive, Clock, Epoch, Kind, Record, Records, StoreError, VectorStore},
};

/// Records that are listed together.
const PAGE: usize = 256;
/// Chunks that are read together; it bounds the memory beside the part.
const WINDOW: u32 = 64;
/// Looks at a document that changes while it is read.
const LOOKS: usize = 16;
/// Chunks that prove a restore: with so many, one lost chunk in ten is noticed nine times in ten.
const GOLDEN: usize = 20;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Documents that were read.
    pub documents: u64,
    /// Bytes that were written to the archive.
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
}

/// The parts of a run.
pub struct Create {
    /// Where the chunks are.
    pub store: Arc<dyn VectorStore>,
    /// Where the records are.
    pub records: Arc<dyn Records>,
    /// Where the snapshot goes.
    pub archive: Arc<dyn Archive>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Signs the manifest, if it is to be signed.
    pub key: Option<SigningKey>,
    /// Version of the program.
    pub taken_by: String,
}

impl Create {
    /// How many documents there are to go through.
    pub async fn documents(&self) -> Result<u64, StoreError> {
        self.records.count(Kind::Document).await
    }

    /// Takes a snapshot of this name. `told` hears how far it is after each document.
    pub async fn run(
        &self,
        name: Name,
        stop: &CancellationToken,
        told: &mut (dyn FnMut(Progress) + Send),
    ) -> Result<Created, SnapshotError> {
        let began = self.clock.now();
        if self.archive.size(&name.object()).await?.is_some() {
            return Err(SnapshotError::Exists(name));
        }
        let epoch = self.store.active().await?.ok_or(SnapshotError::Empty)?;
        let built_with = corpus::recorded(&*self.records, epoch).await?;
        let built_with = built_with.ok_or(SnapshotError::Corpus(CorpusError::Unrecorded(epoch)))?;
        let mut taking =
            Taking { create: self, epoch, stop, told, out: Out::new(&*self.archive), seen: Seen::default() };
        taking.documents().await?;
        let records = taking.other_records().await?;
        let Taking { out, seen, .. } = taking;
        let (parts, progress) = out.end(seen.documents).await?;
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
        };
        let written = manifest.written(self.key.as_ref())?;
        if !self.archive.put_if_absent(&manifest.name.object(), written).await? {
            return Err(SnapshotError::Exists(manifest.name));
        }
        Ok(Created { manifest, progress })
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
        let mut after: Option<String> = None;
        loop {
            let page = self.create.records.list(Kind::Document, "", after.as_deref(), PAGE).await?;
            for record in page.records.into_iter().filter(ports::stands) {
                if self.stop.is_cancelled() {
                    return Err(SnapshotError::Stopped);
                }
                self.document(record).await?;
                (self.told)(self.out.progress(self.seen.documents));
            }
            after = match page.next {
                Some(next) => Some(next),
                None => return Ok(()),
            };
        }
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
        for first in (0..document.chunks).step_by(WINDOW as usize) {
            let last = document.chunks.min(first + WINDOW);
            let chunks = self.window(&document, first..last).await?;
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

    /// Those of a document's chunks that are there, in their order.
    async fn window(
        &self,
        document: &DocumentRecord,
        ordinals: std::ops::Range<u32>,
    ) -> Result<Vec<Embedded>, StoreError> {
        let ids: Vec<_> = ordinals.map(|ordinal| ChunkId::new(&document.id, &document.version, ordinal)).collect();
        let mut chunks = self.create.store.embedded(self.epoch, &ids).await?;
        chunks.sort_unstable_by_key(|embedded| embedded.chunk.ordinal);
        Ok(chunks)
    }

    /// Why chunks of a document are not there.
    async fn what_happened(&self, document: &DocumentRecord) -> Result<Taken, SnapshotError> {
        let now = self.create.records.get(Kind::Document, document.id.key()).await?;
        let version = now.as_ref().filter(|record| ports::stands(record)).map(ingest::document_of).transpose()?;
        let same = version.is_some_and(|now| now.version == document.version);
        Ok(if same { Taken::Damaged } else { Taken::Changed(now) })
    }

    async fn other_records(&mut self) -> Result<Vec<RecordCount>, SnapshotError> {
        let mut counts = Vec::new();
        for kind in KEPT {
            let (mut after, mut count) = (None::<String>, 0);
            loop {
                let page = self.create.records.list(kind, "", after.as_deref(), PAGE).await?;
                for record in page.records {
                    let id = record.id.clone();
                    self.out.begin(&id, &Entry::Record(stored(kind, record))).await?;
                    count += 1;
                }
                if self.stop.is_cancelled() {
                    return Err(SnapshotError::Stopped);
                }
                after = match page.next {
                    Some(next) => Some(next),
                    None => break,
                };
            }
            counts.push(RecordCount { kind: kind.as_str().to_owned(), count });
        }
        Ok(counts)
    }
}

fn stored(kind: Kind, Record { id, body, .. }: Record) -> Stored {
    Stored { kind: kind.as_str().to_owned(), id, body: part::sorted(body) }
}

/// Where parts go.
struct Out<'a> {
    archive: &'a dyn Archive,
    filling: Filling,
    parts: Vec<PartRef>,
    written_bytes: u64,
    kept_bytes: u64,
}

impl<'a> Out<'a> {
    fn new(archive: &'a dyn Archive) -> Self {
        Self { archive, filling: Filling::default(), parts: Vec::new(), written_bytes: 0, kept_bytes: 0 }
    }

    fn progress(&self, documents: u64) -> Progress {
        Progress { documents, written_bytes: self.written_bytes, kept_bytes: self.kept_bytes }
    }

    fn is_full(&self) -> bool {
        packing::is_full(self.filling.len())
    }

    /// The first entry of what has this name, in a new part where one ends before it.
    async fn begin(&mut self, name: &str, entry: &Entry) -> Result<(), SnapshotError> {
        if packing::ends_before(self.filling.len(), name) {
            self.flush().await?;
        }
        self.push(entry).await
    }

    async fn push(&mut self, entry: &Entry) -> Result<(), SnapshotError> {
        self.filling.push(entry).map_err(|e| unwritable(&e))
    }

    /// Ends the part, and writes it unless the archive has it.
    async fn flush(&mut self) -> Result<(), SnapshotError> {
        if self.filling.is_empty() {
            return Ok(());
        }
        let filling = std::mem::take(&mut self.filling);
        let (object, unpacked_bytes) = filling.pack().map_err(|e| unwritable(&e))?;
        let (sha256, bytes) = (part::sha256(&object), object.len() as u64);
        let name = part::object_name(&sha256);
        match self.archive.size(&name).await? {
            None if self.archive.put_if_absent(&name, object).await? => self.written_bytes += bytes,
            None => self.kept_bytes += bytes,
            Some(size) if size == bytes => self.kept_bytes += bytes,
            Some(_) => return Err(SnapshotError::Spoiled(name)),
        }
        self.parts.push(PartRef { sha256, bytes, unpacked_bytes });
        Ok(())
    }

    async fn end(mut self, documents: u64) -> Result<(Vec<PartRef>, Progress), SnapshotError> {
        self.flush().await?;
        let progress = self.progress(documents);
        Ok((self.parts, progress))
    }
}

fn unwritable(error: &dyn std::error::Error) -> SnapshotError {
    let cause = format!("a part cannot be written: {error}");
    StoreError::Failed { store: "the snapshot", cause }.into()
}
