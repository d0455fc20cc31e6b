//! The one thread that changes an embedded store: takes changes in order, groups them, flushes once for each group, and only then says that they are done.
//!
//! Optimisation runs here, too, between groups: the engine keeps what is deleted meanwhile in memory only, so a write beside it could be acknowledged and lost.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::{mpsc, oneshot};

use super::{Shared, shard::Shard};
use crate::{
    model::{ChunkId, ContentHash, DocumentId, Point},
    ports::{Epoch, Scan, StoreError},
};

/// Changes that share one flush at most; those that come later wait for the next one.
const GROUP: usize = 64;

/// Points written to an epoch before it is optimised: enough that an index pays, few enough that a search without one stays fast.
const OPTIMIZE_AFTER: usize = 5_000;

/// Closed parts of the engine's log that may lie about before the epoch is opened anew to be rid of them.
const MAX_CLOSED_LOGS: usize = 4;

/// Says whether something was done.
pub(super) type Done = oneshot::Sender<Result<(), StoreError>>;

/// A change of one epoch's points.
pub(super) enum Change {
    /// Write points.
    Upsert(Vec<Point>),
    /// Remove the chunks of one version of a document.
    Purge(DocumentId, ContentHash),
    /// Replace the labels of a document's chunks.
    Relabel(DocumentId, Vec<String>),
}

/// What the thread is asked to do.
pub(super) enum Command {
    /// Change points; done when durable.
    Write(Epoch, Change, Done),
    /// Make an epoch for vectors of this length.
    Create(Epoch, usize, Done),
    /// Make an epoch the searched one.
    Activate(Epoch, Done),
    /// Read a page of what an epoch holds. Here, because the engine finds ids first and then their points: what a write removes in between would end the page too early.
    Scan(Epoch, Option<ChunkId>, usize, oneshot::Sender<Result<Scan, StoreError>>),
    /// Remove an epoch that is not the searched one.
    Drop(Epoch, Done),
    /// Flush, let go of the folder, end.
    Close(Done),
}

/// The thread's state.
pub(super) struct Writer<'a> {
    shared: &'a Shared,
    /// Written, not flushed yet.
    group: Vec<(Epoch, Done)>,
    /// Points written since the last optimisation, by epoch. The first write after a start counts for all that earlier processes left, so that many short lives are optimised, too.
    written: BTreeMap<Epoch, usize>,
}

impl<'a> Writer<'a> {
    /// Serves commands until the store is closed or forgotten.
    pub(super) fn run(shared: &'a Shared, mut commands: mpsc::Receiver<Command>) {
        let mut writer = Self { shared, group: Vec::new(), written: BTreeMap::new() };
        while let Some(command) = commands.blocking_recv() {
            if let Some(done) = writer.serve(command) {
                shared.let_go();
                let _gone = done.send(Ok(()));
                return;
            }
            while writer.group.len() < GROUP {
                let Ok(command) = commands.try_recv() else { break };
                if let Some(done) = writer.serve(command) {
                    shared.let_go();
                    let _gone = done.send(Ok(()));
                    return;
                }
            }
            writer.flush();
            if commands.is_empty() {
                writer.optimize();
            }
        }
        writer.flush();
        shared.let_go();
    }

    /// Does one thing; whoever asked to close is answered by the caller.
    fn serve(&mut self, command: Command) -> Option<Done> {
        match command {
            Command::Write(epoch, change, done) => self.write(epoch, change, done),
            Command::Create(epoch, dimension, done) => {
                self.flush();
                let _gone = done.send(self.shared.create(epoch, dimension));
            }
            Command::Activate(epoch, done) => {
                self.flush();
                let _gone = done.send(self.shared.activate(epoch));
            }
            Command::Scan(epoch, after, limit, reply) => {
                let _gone = reply.send(self.shared.with(epoch, |shard| shard.scan(after, limit)));
            }
            Command::Drop(epoch, done) => {
                self.flush();
                self.written.remove(&epoch);
                let _gone = done.send(self.shared.drop_epoch(epoch));
            }
            Command::Close(done) => {
                self.flush();
                return Some(done);
            }
        }
        None
    }

    fn write(&mut self, epoch: Epoch, change: Change, done: Done) {
        let written = match &change {
            Change::Upsert(points) => points.len(),
            // About what a document has.
            Change::Purge(..) | Change::Relabel(..) => 10,
        };
        let result = self.shared.with(epoch, |shard| match change {
            Change::Upsert(points) => shard.upsert(points),
            Change::Purge(document, version) => shard.purge(&document, &version),
            Change::Relabel(document, labels) => shard.relabel(&document, &labels),
        });
        match result {
            Ok(()) => {
                *self.written.entry(epoch).or_insert(OPTIMIZE_AFTER) += written;
                self.group.push((epoch, done));
            }
            Err(e) => {
                let _gone = done.send(Err(e));
            }
        }
    }

    /// Flushes what the group wrote and tells everybody in it.
    fn flush(&mut self) {
        let epochs: BTreeSet<Epoch> = self.group.iter().map(|(epoch, _)| *epoch).collect();
        for epoch in epochs {
            let result = self.shared.with(epoch, Shard::flush);
            for (_, done) in self.group.extract_if(.., |(of, _)| *of == epoch) {
                let _gone = done.send(result.clone());
            }
        }
    }

    /// Optimises epochs that changed enough. A failure costs speed, not data.
    fn optimize(&mut self) {
        let due: Vec<Epoch> =
            self.written.iter().filter(|(_, count)| **count >= OPTIMIZE_AFTER).map(|(epoch, _)| *epoch).collect();
        for epoch in due {
            self.written.insert(epoch, 0);
            let started = std::time::Instant::now();
            match self.shared.with(epoch, Shard::optimize) {
                Ok(optimized) => {
                    tracing::debug!(epoch = epoch.0, optimized, millis = started.elapsed().as_millis(), "optimised");
                }
                Err(e) => {
                    tracing::warn!(epoch = epoch.0, error = %e, "the epoch was not optimised; searches are slower")
                }
            }
            if let Err(e) = self.shared.renew(epoch, MAX_CLOSED_LOGS) {
                tracing::error!(epoch = epoch.0, error = %e, "the epoch could not be opened again");
            }
        }
    }
}
