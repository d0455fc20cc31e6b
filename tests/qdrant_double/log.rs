//! The durable log: one file of framed entries, synced before anything is acknowledged. It owns the storage folder by a
//! file lock. A frame is a length, a checksum and the entry; a torn last frame is cut off, damage before it is an error.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use prost::Message;

use super::mutation::{Entry, Mutation};

/// The log's name in the storage folder.
const FILE: &str = "double.log";
/// Length and checksum before each entry.
const HEADER: usize = 4 + 8;
/// No request is larger than the server's limit; a longer frame is damage.
const MAX_ENTRY: usize = 128 * 1024 * 1024;

/// The open log.
#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    path: PathBuf,
    length: u64,
    failed: bool,
}

impl Log {
    /// Opens the log and hands every entry to `replay`, oldest first.
    pub(crate) fn open(folder: &Path, mut replay: impl FnMut(Mutation)) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(FILE);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(
                    ErrorKind::WouldBlock,
                    format!("{} is in use by another process", path.display()),
                ));
            }
            Err(TryLockError::Error(e)) => return Err(e),
        }
        let size = file.metadata()?.len();
        let mut reader = BufReader::new(&file);
        let mut length = 0;
        while let Some(frame) = read_frame(&mut reader, size - length, length, &path)? {
            length += frame.size;
            if let Some(mutation) = frame.entry.mutation {
                replay(mutation);
            }
        }
        file.set_len(length)?;
        file.sync_all()?;
        File::open(folder)?.sync_all()?;
        let mut log = Self { file, path, length, failed: false };
        log.file.seek(SeekFrom::Start(length))?;
        Ok(log)
    }

    /// Whether writing still works; after one failure nothing more is promised.
    pub(crate) fn is_sound(&self) -> bool {
        !self.failed
    }

    /// Appends a mutation and syncs it to the disk.
    pub(crate) fn append(&mut self, mutation: Mutation) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other(format!("{} failed before; restart the server", self.path.display())));
        }
        let entry = Entry { mutation: Some(mutation) }.encode_to_vec();
        let mut frame = Vec::with_capacity(HEADER + entry.len());
        let size = u32::try_from(entry.len()).map_err(|_| io::Error::other("the entry is larger than a frame"))?;
        frame.extend_from_slice(&size.to_le_bytes());
        frame.extend_from_slice(&checksum(&entry).to_le_bytes());
        frame.extend_from_slice(&entry);
        let written = self.file.write_all(&frame).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => self.length += frame.len() as u64,
            // What reached the disk is unknown, so nothing may be appended behind it.
            Err(_) => self.failed = true,
        }
        written
    }
}

struct Frame {
    entry: Entry,
    size: u64,
}

/// Reads a frame, or none at the end or where the last one is torn.
fn read_frame(reader: &mut impl Read, left: u64, at: u64, path: &Path) -> io::Result<Option<Frame>> {
    let damaged = |what: &str| {
        let what = format!("{} is damaged at byte {at}: {what}", path.display());
        Err(io::Error::new(ErrorKind::InvalidData, what))
    };
    if left < HEADER as u64 {
        return Ok(None);
    }
    let (mut size, mut sum) = ([0; 4], [0; 8]);
    reader.read_exact(&mut size)?;
    reader.read_exact(&mut sum)?;
    let size = u32::from_le_bytes(size) as usize;
    let end = (HEADER + size) as u64;
    if end > left {
        return Ok(None);
    }
    if size > MAX_ENTRY {
        return damaged("the frame is too long");
    }
    let mut bytes = vec![0; size];
    reader.read_exact(&mut bytes)?;
    if checksum(&bytes) != u64::from_le_bytes(sum) {
        return if end == left || size == 0 && only_zeros(reader)? {
            Ok(None)
        } else {
            damaged("the checksum differs")
        };
    }
    match Entry::decode(bytes.as_slice()) {
        Ok(entry) => Ok(Some(Frame { entry, size: end })),
        Err(e) => damaged(&e.to_string()),
    }
}

/// A file that was lengthened before its data arrived ends in zeros; that is a torn end as well.
fn only_zeros(reader: &mut impl Read) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(true),
            count if buffer[..count].iter().any(|byte| *byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

/// FNV-1a, 64 bits: it must catch torn writes, not adversaries.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
