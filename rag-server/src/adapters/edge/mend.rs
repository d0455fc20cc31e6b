//! A folder of the engine that is damaged: what cannot be opened is moved aside under a name with the time, so that the rest can.
//!
//! Guarantees: nothing is removed or changed; nothing is moved because of a disk that is full or may not be written, or for want of memory or open files. One segment goes where the engine says which one it cannot
//! open; the whole epoch, with the pointer to it, where it does not.
//! Caveat: what the engine does not notice is not found: its files have no checksums of the text. What is missing in the end shows when the records are compared with it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{STORE, folder::Folder, shard::Shard};
use crate::ports::{Epoch, StoreError};

/// Folder of an epoch's segments.
const SEGMENTS: &str = "segments";

/// Something that was moved aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedAside {
    /// Where it was.
    pub from: PathBuf,
    /// Where it is.
    pub to: PathBuf,
    /// Why.
    pub cause: String,
}

/// Moves aside what keeps a store from being opened. The folder must not be open.
pub(super) fn mend(path: &Path, stamp: &str) -> Result<Vec<MovedAside>, StoreError> {
    let folder = Folder::take(path)?;
    can_write(path)?;
    let mut moved = Vec::new();
    let mut aside = |from: &Path, to: PathBuf, cause: String| {
        let failed = |e: std::io::Error| StoreError::Failed {
            store: STORE,
            cause: format!("{} cannot be moved aside: {e}", from.display()),
        };
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        fs::rename(from, &to).map_err(failed)?;
        moved.push(MovedAside { from: from.to_owned(), to, cause });
        Ok::<_, StoreError>(())
    };
    let (pointer, pointer_aside) = (folder.pointer(), path.join(format!("active.damaged-{stamp}")));
    let epoch = match folder.active() {
        Err(StoreError::Corrupt { cause, .. }) => {
            aside(&pointer, pointer_aside, cause)?;
            return Ok(moved);
        }
        Err(other) => return Err(other),
        Ok(None) => return Ok(moved),
        Ok(Some(epoch)) => epoch,
    };
    let (of, of_aside) = (folder.epoch(epoch), path.join(format!("e{}.damaged-{stamp}", epoch.0)));
    if !of.is_dir() {
        aside(&pointer, pointer_aside, format!("epoch {}, which it names, is gone", epoch.0))?;
        return Ok(moved);
    }
    while let Some(cause) = damage(&folder, epoch)? {
        let Some(segment) = named_in(&cause, &of.join(SEGMENTS)) else {
            aside(&of, path.join(format!("e{}.damaged-{stamp}-whole", epoch.0)), cause)?;
            aside(&pointer, pointer_aside, format!("epoch {}, which it names, cannot be opened", epoch.0))?;
            return Ok(moved);
        };
        let name = segment.file_name().map(PathBuf::from).unwrap_or_default();
        aside(&segment, of_aside.join(name), cause)?;
    }
    Ok(moved)
}

/// Why an epoch cannot be opened; none where it can.
fn damage(folder: &Folder, epoch: Epoch) -> Result<Option<String>, StoreError> {
    let opened = folder.trim_log(epoch).and_then(|()| Shard::open(&folder.epoch(epoch)));
    match opened {
        Ok(shard) => {
            shard.close();
            Ok(None)
        }
        Err(StoreError::Corrupt { cause, .. }) => Ok(Some(cause)),
        Err(other) => Err(other),
    }
}

/// The segment that a cause names.
fn named_in(cause: &str, segments: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(segments).ok()?;
    let mut folders = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir());
    folders.find(|path| cause.contains(&path.display().to_string()))
}

/// Refuses a folder in which nothing can be written: what looks damaged there may be whole.
fn can_write(path: &Path) -> Result<(), StoreError> {
    /// Enough for a block of any file system.
    const PROBE: usize = 1 << 20;
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(path)?;
        std::io::Write::write_all(&mut file, &vec![0; PROBE])?;
        file.as_file().sync_all()
    };
    write()
        .map_err(|e| StoreError::Failed { store: STORE, cause: format!("{} cannot be written: {e}", path.display()) })
}
