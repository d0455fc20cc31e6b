//! The embedded vector store: the Qdrant engine in this process, for one process at a time.
//!
//! Guarantees: a write is flushed to the disk before it is acknowledged, many writes sharing one flush; searches see every acknowledged write.
//! Assumption: the engine's log is never replayed, so only a flush makes a write durable (see [`writer`]).
//! Caveat: writes wait while the store is optimised, for seconds, or half a minute in a large one; searches do not.

mod filter;
mod folder;
mod mend;
mod shard;
mod writer;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    thread,
};

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

use self::{
    folder::Folder,
    shard::Shard,
    writer::{Change, Command, Done, Writer},
};
use crate::{
    model::{Chunk, ChunkId, ContentHash, DocumentId, Embedded, Legs, Point},
    ports::{Epoch, Index, Scan, Search, StoreError, VectorStore},
};

pub use self::mend::MovedAside;

const STORE: &str = "the embedded vector store";

/// Commands that may wait for the writer; more callers wait to be let in.
const WAITING: usize = 128;

/// An embedded store. Another process may open its folder after [`VectorStore::close`].
pub struct EdgeStore {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

/// What the writer and the searches share. None after closing.
struct Shared(RwLock<Option<Open>>);

struct Open {
    folder: Folder,
    active: Option<Epoch>,
    shards: BTreeMap<Epoch, Shard>,
}

impl EdgeStore {
    /// Opens the store in a folder, or makes it. Refused while another process has it open.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let path = path.to_owned();
        let shared = Arc::new(blocking(move || Shared::open(&path)).await?);
        let (commands, receiver) = mpsc::channel(WAITING);
        let writer = Arc::clone(&shared);
        thread::Builder::new()
            .name("vector-writer".to_owned())
            .spawn(move || Writer::run(&writer, receiver))
            .map_err(|e| failed(e.to_string()))?;
        Ok(Self { shared, commands })
    }

    /// Moves aside, under names that end with `stamp`, what keeps the store in a folder from being opened.
    pub async fn mend(path: &Path, stamp: &str) -> Result<Vec<MovedAside>, StoreError> {
        let (path, stamp) = (path.to_owned(), stamp.to_owned());
        blocking(move || mend::mend(&path, &stamp)).await
    }

    /// Where the files of an epoch are, for whoever reads them ahead.
    pub fn folder_of(path: &Path, epoch: Epoch) -> PathBuf {
        folder::epoch_in(path, epoch)
    }

    async fn ask(&self, command: impl FnOnce(Done) -> Command) -> Result<(), StoreError> {
        let (done, answer) = oneshot::channel();
        self.commands.send(command(done)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

#[async_trait]
impl VectorStore for EdgeStore {
    async fn active(&self) -> Result<Option<Epoch>, StoreError> {
        self.shared.active()
    }

    async fn create_epoch(&self, epoch: Epoch, dimension: usize) -> Result<(), StoreError> {
        self.ask(|done| Command::Create(epoch, dimension, done)).await
    }

    async fn activate(&self, epoch: Epoch) -> Result<(), StoreError> {
        self.ask(|done| Command::Activate(epoch, done)).await
    }

    async fn epochs(&self) -> Result<Vec<Epoch>, StoreError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.epochs()).await
    }

    async fn drop_epoch(&self, epoch: Epoch) -> Result<(), StoreError> {
        self.ask(|done| Command::Drop(epoch, done)).await
    }

    async fn upsert(&self, epoch: Epoch, points: Vec<Point>) -> Result<(), StoreError> {
        if points.is_empty() {
            return Ok(());
        }
        self.ask(|done| Command::Write(epoch, Change::Upsert(points), done)).await
    }

    async fn purge(&self, epoch: Epoch, document: &DocumentId, version: &ContentHash) -> Result<(), StoreError> {
        let change = Change::Purge(document.clone(), version.clone());
        self.ask(|done| Command::Write(epoch, change, done)).await
    }

    async fn relabel(&self, epoch: Epoch, document: &DocumentId, labels: &[String]) -> Result<(), StoreError> {
        let change = Change::Relabel(document.clone(), labels.to_vec());
        self.ask(|done| Command::Write(epoch, change, done)).await
    }

    async fn embedded(&self, epoch: Epoch, ids: &[ChunkId]) -> Result<Vec<Embedded>, StoreError> {
        let (shared, ids) = (Arc::clone(&self.shared), ids.to_vec());
        blocking(move || shared.with(epoch, |shard| shard.embedded(&ids))).await
    }

    async fn search(&self, search: &Search) -> Result<Legs, StoreError> {
        let Some(epoch) = self.shared.searched(search.epoch)? else {
            return Ok(Legs::default());
        };
        let (shared, search) = (Arc::clone(&self.shared), search.clone());
        blocking(move || shared.with(epoch, |shard| shard.search(&search))).await
    }

    async fn chunks(&self, epoch: Option<Epoch>, ids: &[ChunkId]) -> Result<Vec<Chunk>, StoreError> {
        let Some(epoch) = self.shared.searched(epoch)? else {
            return Ok(Vec::new());
        };
        let (shared, ids) = (Arc::clone(&self.shared), ids.to_vec());
        blocking(move || shared.with(epoch, |shard| shard.chunks(&ids))).await
    }

    async fn scan(&self, epoch: Epoch, after: Option<ChunkId>, limit: usize) -> Result<Scan, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Scan(epoch, after, limit, reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    async fn count(&self, epoch: Epoch) -> Result<u64, StoreError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.with(epoch, |shard| Ok(shard.count()))).await
    }

    async fn index(&self, epoch: Epoch) -> Result<Option<Index>, StoreError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.with(epoch, |shard| Ok(Some(shard.index())))).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        match self.ask(Command::Close).await {
            // Closing twice is closing.
            Err(_) if self.shared.active().is_err() => Ok(()),
            result => result,
        }
    }
}

impl Shared {
    fn open(path: &Path) -> Result<Self, StoreError> {
        let folder = Folder::take(path)?;
        folder.sweep()?;
        let mut open = Open { active: folder.active()?, folder, shards: BTreeMap::new() };
        if let Some(epoch) = open.active {
            open.load(epoch)?;
        }
        Ok(Self(RwLock::new(Some(open))))
    }

    fn active(&self) -> Result<Option<Epoch>, StoreError> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|open| open.active).ok_or_else(closed)
    }

    /// The epoch that was asked for, or the active one. Nothing can be asked of a closed store.
    fn searched(&self, asked: Option<Epoch>) -> Result<Option<Epoch>, StoreError> {
        let active = self.active()?;
        Ok(asked.or(active))
    }

    /// Uses an epoch's shard, opening it first if need be.
    fn with<T>(&self, epoch: Epoch, work: impl FnOnce(&Shard) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let is_open = |open: &Open| open.shards.contains_key(&epoch);
        if !self.0.read().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(is_open) {
            self.change(|open| open.load(epoch))?;
        }
        let guard = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let open = guard.as_ref().ok_or_else(closed)?;
        work(open.shards.get(&epoch).ok_or_else(closed)?)
    }

    fn create(&self, epoch: Epoch, dimension: usize) -> Result<(), StoreError> {
        self.change(|open| open.create(epoch, dimension))
    }

    fn activate(&self, epoch: Epoch) -> Result<(), StoreError> {
        self.change(|open| {
            open.load(epoch)?;
            open.folder.activate(epoch)?;
            open.active = Some(epoch);
            Ok(())
        })
    }

    fn epochs(&self) -> Result<Vec<Epoch>, StoreError> {
        let guard = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut epochs = guard.as_ref().ok_or_else(closed)?.folder.epochs()?;
        epochs.sort_unstable();
        Ok(epochs)
    }

    fn drop_epoch(&self, epoch: Epoch) -> Result<(), StoreError> {
        self.change(|open| {
            if open.active == Some(epoch) {
                let cause = format!("epoch {} is the active one; another must be activated before it can go", epoch.0);
                return Err(StoreError::Refused { store: STORE, cause });
            }
            if let Some(shard) = open.shards.remove(&epoch) {
                shard.close();
            }
            open.folder.remove(epoch)
        })
    }

    /// Opens an epoch anew, without its old log, when that has more parts than `closed`. Searches wait meanwhile, for a tenth of a second.
    fn renew(&self, epoch: Epoch, closed: usize) -> Result<(), StoreError> {
        self.change(|open| {
            if open.folder.closed_logs(epoch)?.len() <= closed {
                return Ok(());
            }
            if let Some(shard) = open.shards.remove(&epoch) {
                shard.close();
            }
            open.load(epoch)
        })
    }

    /// Closes every epoch and lets go of the folder.
    fn let_go(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn change(&self, work: impl FnOnce(&mut Open) -> Result<(), StoreError>) -> Result<(), StoreError> {
        work(self.0.write().unwrap_or_else(PoisonError::into_inner).as_mut().ok_or_else(closed)?)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        for shard in std::mem::take(&mut self.shards).into_values() {
            shard.close();
        }
    }
}

impl Open {
    fn load(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        if self.shards.contains_key(&epoch) {
            return Ok(());
        }
        let path = self.folder.epoch(epoch);
        if !path.is_dir() {
            let cause = format!("epoch {} does not exist in it", epoch.0);
            return Err(StoreError::Refused { store: STORE, cause });
        }
        self.folder.trim_log(epoch)?;
        self.shards.insert(epoch, Shard::open(&path)?);
        Ok(())
    }

    fn create(&mut self, epoch: Epoch, dimension: usize) -> Result<(), StoreError> {
        if !self.folder.epoch(epoch).is_dir() {
            let path = self.folder.unfinished(epoch);
            std::fs::create_dir_all(&path).map_err(|e| failed(format!("{}: {e}", path.display())))?;
            Shard::create(&path, dimension)?.close();
            self.folder.finish(epoch)?;
        }
        self.load(epoch)?;
        match self.shards.get(&epoch).map(Shard::dimension) {
            Some(found) if found != dimension => {
                let cause = format!("epoch {} holds vectors of {found} numbers, not of {dimension}", epoch.0);
                Err(StoreError::Refused { store: STORE, cause })
            }
            Some(_) | None => Ok(()),
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(failed(e.to_string())))
}

fn closed() -> StoreError {
    failed("it is closed".to_owned())
}

fn failed(cause: String) -> StoreError {
    StoreError::Failed { store: STORE, cause }
}
