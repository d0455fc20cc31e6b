//! What is to be ingested: a named document in a file or in memory.

use std::{
    collections::BTreeMap,
    io::Read,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use encoding_rs::UTF_8;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{failure::FailureReason, parse::Format};
use crate::model::DocumentId;

/// Bytes that title and metadata of a document may have together; they stand in its record and in each citation.
pub const MAX_METADATA_BYTES: usize = 16 * 1024;

/// Where the bytes of a document are.
#[derive(Debug, Clone)]
pub enum Content {
    /// In a file, which is read in pieces and twice: once for its hash, once for its text.
    File(PathBuf),
    /// In memory.
    Bytes(Arc<[u8]>),
    /// On its way, for one reader.
    Arriving(Arriving),
    /// Of this size, made while it is read.
    #[cfg(test)]
    Generated(u64, fn() -> Box<dyn Read + Send>),
}

/// Bytes that somebody sends while they are read, so that they never stand in memory whole.
#[derive(Debug, Clone)]
pub struct Arriving {
    bytes: u64,
    pieces: Arc<Mutex<mpsc::Receiver<Vec<u8>>>>,
}

impl Arriving {
    /// So many bytes, and where to send them; they end when that is dropped.
    pub(super) fn new(bytes: u64) -> (mpsc::Sender<Vec<u8>>, Self) {
        let (send, receive) = mpsc::channel(1);
        (send, Self { bytes, pieces: Arc::new(Mutex::new(receive)) })
    }
}

/// Reads what arrives; only on a thread that may wait.
struct Arrived<'a> {
    from: &'a Arriving,
    piece: std::io::Cursor<Vec<u8>>,
}

impl Read for Arrived<'_> {
    fn read(&mut self, room: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let read = self.piece.read(room)?;
            if read > 0 || room.is_empty() {
                return Ok(read);
            }
            let next = self.from.pieces.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
            let Some(next) = next else { return Ok(0) };
            self.piece = std::io::Cursor::new(next);
        }
    }
}

/// A document to ingest.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its stable name.
    pub id: DocumentId,
    /// Its bytes.
    pub content: Content,
    /// How it is written.
    pub format: Format,
    /// The encoding that its sender names, where it is text.
    pub charset: Option<String>,
    /// Its title, where the sender knows better than the text; none keeps the one that stands.
    pub title: Option<String>,
    /// What the sender says about it; none keeps what stands.
    pub metadata: Option<BTreeMap<String, String>>,
    /// From when on it is found no more; none: it is kept for good, also where a time stood before.
    pub expires_at: Option<Timestamp>,
}

impl Source {
    /// A file under a name whose extension tells the format.
    pub fn file(id: DocumentId, path: PathBuf) -> Result<Self, FailureReason> {
        let format = Format::of_name(id.as_str())?;
        Ok(Self::of(id, Content::File(path), format))
    }

    /// A text in memory.
    pub fn text(id: DocumentId, format: Format, text: &str) -> Self {
        // Whatever it says of itself, it was decoded already.
        let charset = Some(UTF_8.name().to_owned());
        Self { charset, ..Self::of(id, Content::Bytes(text.as_bytes().into()), format) }
    }

    /// Bytes in memory.
    pub fn bytes(id: DocumentId, format: Format, bytes: Vec<u8>) -> Self {
        Self::of(id, Content::Bytes(bytes.into()), format)
    }

    /// A document of which nothing more is said.
    pub(super) fn of(id: DocumentId, content: Content, format: Format) -> Self {
        Self { id, content, format, charset: None, title: None, metadata: None, expires_at: None }
    }

    /// Refuses a title and metadata that are too large to stand in a record.
    pub(super) fn check(&self) -> Result<(), FailureReason> {
        let metadata = self.metadata.iter().flatten().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        let bytes = metadata + self.title.as_deref().map_or(0, str::len);
        if bytes > MAX_METADATA_BYTES {
            return Err(FailureReason::MetadataTooLarge { bytes, limit: MAX_METADATA_BYTES });
        }
        Ok(())
    }
}

impl Content {
    /// Opens it for reading from the start.
    pub(super) fn open(&self) -> Result<Box<dyn Read + Send + '_>, FailureReason> {
        match self {
            Self::Bytes(bytes) => Ok(Box::new(&bytes[..])),
            Self::Arriving(from) => Ok(Box::new(Arrived { from, piece: std::io::Cursor::default() })),
            #[cfg(test)]
            Self::Generated(_, make) => Ok(make()),
            Self::File(path) => {
                // A pipe would block the open, a device never end.
                let metadata = std::fs::metadata(path).map_err(|e| FailureReason::of_io(&e))?;
                if !metadata.is_file() {
                    return Err(FailureReason::NotAFile);
                }
                Ok(Box::new(std::fs::File::open(path).map_err(|e| FailureReason::of_io(&e))?))
            }
        }
    }

    /// Its size in bytes.
    pub(super) fn len(&self) -> Result<u64, FailureReason> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.len() as u64),
            Self::Arriving(from) => Ok(from.bytes),
            #[cfg(test)]
            Self::Generated(bytes, _) => Ok(*bytes),
            Self::File(path) => Ok(std::fs::metadata(path).map_err(|e| FailureReason::of_io(&e))?.len()),
        }
    }
}
