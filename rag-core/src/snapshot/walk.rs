//! Reads the entries of a snapshot in their order and says what they come to; whatever does not fit is refused. Pure.

use super::{
    Manifest,
    part::{Entry, Stored, StoredChunk},
};
use crate::{
    model::{Chunk, DocumentId, DocumentRecord},
    ports::{KEPT, Kind, stands},
};

/// What entries come to.
#[derive(Debug)]
pub(super) enum Step {
    /// A document begins.
    Begins(Box<DocumentRecord>),
    /// The next chunk of it, with its vector.
    Chunk(Box<Chunk>, Vec<f32>),
    /// All its chunks were there: its record stands now.
    Whole(Box<DocumentRecord>, Stored),
    /// It is no part of the snapshot: chunks that came were of a version that went.
    Dropped(Box<DocumentRecord>),
    /// A record of another kind.
    Record(Kind, Stored),
}

/// A document whose chunks are coming.
struct Open {
    document: Box<DocumentRecord>,
    stored: Stored,
    /// The ordinal of the next chunk.
    next: u32,
}

/// What was read so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) documents: u64,
    pub(super) chunks: u64,
    pub(super) records: u64,
}

/// Goes through the entries of all parts.
#[derive(Default)]
pub(super) struct Walk {
    open: Option<Open>,
    last: Option<DocumentId>,
    counts: Counts,
}

impl Walk {
    /// What an entry comes to: at most two steps. What does not fit is told as the end of a sentence.
    pub(super) fn take(&mut self, entry: Entry) -> Result<Vec<Step>, String> {
        match entry {
            Entry::Document(stored) => self.document(stored),
            Entry::Chunk(chunk) => self.chunk(chunk),
            Entry::Dropped => {
                let open = self.open.take().ok_or("drops a document that did not begin")?;
                Ok(vec![Step::Dropped(open.document)])
            }
            Entry::Record(stored) => {
                self.nothing_open()?;
                let kind = KEPT.into_iter().find(|kind| kind.as_str() == stored.kind);
                let kind =
                    kind.ok_or_else(|| format!("holds a record of the kind {:?}, which no snapshot has", stored.kind))?;
                self.counts.records += 1;
                Ok(vec![Step::Record(kind, stored)])
            }
        }
    }

    /// What was read, once everything was.
    pub(super) fn end(&self, manifest: &Manifest) -> Result<(), String> {
        self.nothing_open()?;
        let records = manifest.records.iter().map(|records| records.count).sum();
        let told = Counts { documents: manifest.documents, chunks: manifest.chunks, records };
        if self.counts != told {
            return Err(format!("ends after {:?}, and the manifest tells of {told:?}", self.counts));
        }
        Ok(())
    }

    fn document(&mut self, stored: Stored) -> Result<Vec<Step>, String> {
        // Said again where a part begins within it.
        if self.open.as_ref().is_some_and(|open| open.stored == stored) {
            return Ok(Vec::new());
        }
        self.nothing_open()?;
        let record = crate::ports::Record { id: stored.id.clone(), version: 0, body: stored.body.clone() };
        let is_one = stored.kind == Kind::Document.as_str() && stands(&record);
        let document =
            crate::ingest::document_of(&record).ok().filter(|document| is_one && document.id.key() == stored.id);
        let document =
            Box::new(document.ok_or_else(|| format!("holds the document {:?}, which cannot be read", stored.id))?);
        if self.last.as_ref().is_some_and(|last| *last >= document.id) {
            return Err(format!("holds the document {:?} out of its order", stored.id));
        }
        let begins = Step::Begins(document.clone());
        if document.chunks == 0 {
            return Ok(vec![begins, self.whole(document, stored)]);
        }
        self.open = Some(Open { document, stored, next: 0 });
        Ok(vec![begins])
    }

    fn chunk(&mut self, chunk: StoredChunk) -> Result<Vec<Step>, String> {
        let mut open = self.open.take().ok_or("holds a chunk of no document")?;
        if chunk.ordinal() != open.next {
            return Err(format!(
                "holds chunk {} of the document {:?} in the place of chunk {}",
                chunk.ordinal(),
                open.stored.id,
                open.next
            ));
        }
        let id = &open.document.id;
        let read = chunk.of_document(id, &open.document.version);
        let (chunk, dense) =
            read.ok_or_else(|| format!("holds a vector of the document {:?} that is none", open.stored.id))?;
        let step = Step::Chunk(Box::new(chunk), dense);
        open.next += 1;
        if open.next < open.document.chunks {
            self.open = Some(open);
            return Ok(vec![step]);
        }
        Ok(vec![step, self.whole(open.document, open.stored)])
    }

    fn whole(&mut self, document: Box<DocumentRecord>, stored: Stored) -> Step {
        self.counts.documents += 1;
        self.counts.chunks += u64::from(document.chunks);
        self.last = Some(document.id.clone());
        Step::Whole(document, stored)
    }

    fn nothing_open(&self) -> Result<(), String> {
        match &self.open {
            None => Ok(()),
            Some(open) => Err(format!("goes on before the document {:?} is whole", open.stored.id)),
        }
    }
}
