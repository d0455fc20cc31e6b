//! The folder of an embedded store: who holds it, which epochs it has, and which one is active.
//!
//! ```text
//! lock      held by the one process that uses the folder
//! active    the number of the active epoch; replaced in one step
//! e1 e2 ..  one engine shard for each epoch; `e1.new` while it is being made, `e1.gone` while it is being removed
//! ```

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::STORE;
use crate::{
    adapters::lock::{Company, Lock},
    ports::{Epoch, StoreError},
};

const LOCK: &str = "lock";
const ACTIVE: &str = "active";

/// Folder of the engine's write-ahead log, inside an epoch.
const WAL: &str = "wal";

/// A folder that this process holds, until it is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: Lock,
}

impl Folder {
    /// Takes the folder, making it if need be; refused while another process holds it.
    pub(super) fn take(path: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(path).map_err(|e| failed(path, "cannot be made", &e))?;
        let file = path.join(LOCK);
        let lock = Lock::take(&file, Company::None).map_err(|e| failed(&file, "cannot be locked", &e))?;
        let lock = lock.ok_or_else(|| StoreError::InUse { path: path.display().to_string() })?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Removes what a crash left half made or half removed.
    pub(super) fn sweep(&self) -> Result<(), StoreError> {
        let entries = fs::read_dir(&self.path).map_err(|e| failed(&self.path, "cannot be read", &e))?;
        for entry in entries {
            let path = entry.map_err(|e| failed(&self.path, "cannot be read", &e))?.path();
            if path.extension().is_some_and(|extension| extension == "new" || extension == "gone") && path.is_dir() {
                fs::remove_dir_all(&path).map_err(|e| failed(&path, "cannot be removed", &e))?;
            }
        }
        Ok(())
    }

    /// Where an epoch lies, whether it exists or not.
    pub(super) fn epoch(&self, epoch: Epoch) -> PathBuf {
        epoch_in(&self.path, epoch)
    }

    /// Where an epoch is made before it gets its name.
    pub(super) fn unfinished(&self, epoch: Epoch) -> PathBuf {
        self.path.join(format!("e{}.new", epoch.0))
    }

    /// Gives a finished epoch its name.
    pub(super) fn finish(&self, epoch: Epoch) -> Result<(), StoreError> {
        let (from, to) = (self.unfinished(epoch), self.epoch(epoch));
        fs::rename(&from, &to).map_err(|e| failed(&to, "cannot be made", &e))?;
        sync(&self.path)
    }

    /// The finished epochs, in any order.
    pub(super) fn epochs(&self) -> Result<Vec<Epoch>, StoreError> {
        let entries = fs::read_dir(&self.path).map_err(|e| failed(&self.path, "cannot be read", &e))?;
        let mut epochs = Vec::new();
        for entry in entries {
            let name = entry.map_err(|e| failed(&self.path, "cannot be read", &e))?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix('e')?.parse().ok());
            epochs.extend(number.map(Epoch));
        }
        Ok(epochs)
    }

    /// Removes an epoch that is not open, if it exists. Its name goes first and in one step, so that no half of it is ever opened.
    pub(super) fn remove(&self, epoch: Epoch) -> Result<(), StoreError> {
        let (from, to) = (self.epoch(epoch), self.path.join(format!("e{}.gone", epoch.0)));
        match fs::rename(&from, &to) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed.map_err(|e| failed(&from, "cannot be removed", &e))?,
        }
        sync(&self.path)?;
        fs::remove_dir_all(&to).map_err(|e| failed(&to, "cannot be removed", &e))
    }

    /// Where the number of the active epoch stands.
    pub(super) fn pointer(&self) -> PathBuf {
        self.path.join(ACTIVE)
    }

    /// The active epoch.
    pub(super) fn active(&self) -> Result<Option<Epoch>, StoreError> {
        let path = self.path.join(ACTIVE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(&path, "cannot be read", &e)),
        };
        text.trim().parse().map(|number| Some(Epoch(number))).map_err(|_| StoreError::Corrupt {
            what: path.display().to_string(),
            cause: format!("it should hold the number of an epoch and holds {text:?}"),
        })
    }

    /// Replaces the pointer to the active epoch, in one step that a power loss does not take back.
    pub(super) fn activate(&self, epoch: Epoch) -> Result<(), StoreError> {
        let path = self.path.join(ACTIVE);
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(&self.path)?;
            writeln!(file, "{}", epoch.0)?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|e| e.error)
        };
        write().map_err(|e| failed(&path, "cannot be written", &e))?;
        sync(&self.path)
    }

    /// Removes parts of an epoch's write-ahead log that are no longer needed; the epoch must not be open.
    ///
    /// The engine neither reads its log nor shortens it. Its last closed part must stay: the numbers of new writes go on from there, and a point never takes a write with a smaller number than its last one.
    pub(super) fn trim_log(&self, epoch: Epoch) -> Result<(), StoreError> {
        for path in self.closed_logs(epoch)?.iter().rev().skip(1) {
            fs::remove_file(path).map_err(|e| failed(path, "cannot be removed", &e))?;
        }
        Ok(())
    }

    /// Closed parts of an epoch's write-ahead log, oldest first.
    pub(super) fn closed_logs(&self, epoch: Epoch) -> Result<Vec<PathBuf>, StoreError> {
        let wal = self.epoch(epoch).join(WAL);
        let mut closed: Vec<(u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&wal).map_err(|e| failed(&wal, "cannot be read", &e))? {
            let entry = entry.map_err(|e| failed(&wal, "cannot be read", &e))?;
            let name = entry.file_name();
            let start = name.to_str().and_then(|name| name.strip_prefix("closed-")).and_then(|n| n.parse().ok());
            closed.extend(start.map(|start| (start, entry.path())));
        }
        closed.sort_unstable();
        Ok(closed.into_iter().map(|(_, path)| path).collect())
    }
}

/// Where an epoch of the store at `path` lies.
pub(super) fn epoch_in(path: &Path, epoch: Epoch) -> PathBuf {
    path.join(format!("e{}", epoch.0))
}

/// Makes the names in a folder durable.
fn sync(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|file| file.sync_all()).map_err(|e| failed(folder, "cannot be flushed", &e))
}

fn failed(path: &Path, what: &str, error: &io::Error) -> StoreError {
    StoreError::Failed { store: STORE, cause: format!("{} {what}: {error}", path.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_holder_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let first = Folder::take(root.path()).unwrap();
        assert!(matches!(Folder::take(root.path()), Err(StoreError::InUse { .. })));
        drop(first);
        Folder::take(root.path()).unwrap();
    }

    #[test]
    fn the_pointer_to_the_active_epoch_survives_and_a_damaged_one_is_named() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::take(root.path()).unwrap();
        assert_eq!(folder.active(), Ok(None));
        folder.activate(Epoch(7)).unwrap();
        assert_eq!(folder.active(), Ok(Some(Epoch(7))));
        fs::write(root.path().join(ACTIVE), "seven").unwrap();
        assert!(matches!(folder.active(), Err(StoreError::Corrupt { .. })));
    }

    #[test]
    fn the_last_closed_part_of_a_log_stays() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::take(root.path()).unwrap();
        let wal = folder.epoch(Epoch(1)).join(WAL);
        fs::create_dir_all(&wal).unwrap();
        for name in ["closed-9", "closed-100", "closed-20", "open-4"] {
            fs::write(wal.join(name), "").unwrap();
        }
        folder.trim_log(Epoch(1)).unwrap();
        let mut left: Vec<_> = fs::read_dir(&wal).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["closed-100", "open-4"]);
    }

    #[test]
    fn what_a_crash_left_half_made_or_half_removed_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::take(root.path()).unwrap();
        fs::create_dir(folder.unfinished(Epoch(1))).unwrap();
        fs::create_dir(folder.epoch(Epoch(2))).unwrap();
        fs::create_dir(root.path().join("e3.gone")).unwrap();
        folder.sweep().unwrap();
        assert!(!folder.unfinished(Epoch(1)).exists() && folder.epoch(Epoch(2)).exists());
        assert!(!root.path().join("e3.gone").exists());
    }

    #[test]
    fn only_finished_epochs_are_listed_and_a_removed_one_is_none() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::take(root.path()).unwrap();
        folder.activate(Epoch(2)).unwrap();
        fs::create_dir(folder.unfinished(Epoch(1))).unwrap();
        fs::create_dir(folder.epoch(Epoch(2))).unwrap();
        fs::create_dir(folder.epoch(Epoch(3))).unwrap();
        folder.remove(Epoch(3)).unwrap();
        folder.remove(Epoch(3)).unwrap();
        assert_eq!(folder.epochs(), Ok(vec![Epoch(2)]));
    }
}
