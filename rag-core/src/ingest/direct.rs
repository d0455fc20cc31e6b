//! Ingests documents in the calling process, and cuts them: for the command line, for jobs and for previews.

use std::{
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    Ingest, Interrupted,
    chunk::{Draft, Limits},
    deletion::Mark,
    document_of,
    failure::{DocumentReport, FailureReason},
    open::Plan,
    read::{self, Cutting, Inspected, Parsed},
    source::Source,
    write::Writer,
};
use crate::{
    model::DocumentRecord,
    ports::{self, Kind, StoreError},
};

/// Documents that are looked at together: one call to the records tells which of them changed.
pub(super) const BATCH: usize = 512;
/// Threads that read and hash files.
const READERS: usize = 2;
/// Chunks that wait between the thread that cuts and the task that embeds.
const CHUNKS_AHEAD: usize = 64;
/// Passes over documents that another writer took over in between.
const PASSES: usize = 3;

/// What comes from the thread that cuts a document.
pub(super) enum Cut {
    /// A chunk; the first one brings what the text calls itself.
    Chunk(Draft, Option<String>),
    /// All chunks were given, or reading failed.
    End(Result<Parsed, FailureReason>),
}

/// What comes from that thread. Dropping it ends the cutting with the piece that it is at.
pub(super) struct Cuts {
    receive: mpsc::Receiver<Cut>,
    given_up: Arc<AtomicBool>,
}

impl Cuts {
    /// The next one; an error when the process ends.
    pub(super) async fn next(&mut self) -> Result<Cut, Interrupted> {
        let cause = || "the thread that cuts documents".to_owned();
        self.receive.recv().await.ok_or_else(|| Interrupted::Worker { cause: cause() })
    }
}

impl Drop for Cuts {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

impl Ingest {
    /// Ingests one document.
    pub async fn ingest(&self, source: Source) -> DocumentReport {
        let name = source.id.as_str().to_owned();
        let mut last = None;
        let ended = self.ingest_all(vec![source], &CancellationToken::new(), &mut |report| last = Some(report)).await;
        let cause = match (ended, last) {
            (_, Some(report)) => return report,
            (Err(interrupted), None) => interrupted.to_string(),
            (Ok(()), None) => "the run ended without a report".to_owned(),
        };
        DocumentReport::failed(&name, FailureReason::Store { cause })
    }

    /// Ingests documents in their order and reports each once. `stop` ends the run after the document in work.
    ///
    /// Failures of stores end the run; what was not reported then was not committed.
    pub async fn ingest_all(
        &self,
        sources: Vec<Source>,
        stop: &CancellationToken,
        report: &mut (dyn FnMut(DocumentReport) + Send),
    ) -> Result<(), Interrupted> {
        let mut waiting = sources.into_iter().peekable();
        while waiting.peek().is_some() && !stop.is_cancelled() {
            let mut batch: Vec<Source> = waiting.by_ref().take(BATCH).collect();
            // A deletion that comes after this wins, also where a document has to be tried again.
            let marks = self.marks_of(&batch).await.map_err(Interrupted::Store)?;
            for pass in 0..PASSES {
                let mut again = HashSet::new();
                self.pass(batch.clone(), &marks, stop, &mut |one| {
                    if one.result == Err(FailureReason::TakenOver) && pass + 1 < PASSES {
                        again.insert(one.name);
                    } else {
                        self.count(&one);
                        report(one);
                    }
                })
                .await?;
                batch.retain(|source| again.contains(source.id.as_str()));
                if batch.is_empty() {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn pass(
        &self,
        batch: Vec<Source>,
        marks: &HashMap<String, Mark>,
        stop: &CancellationToken,
        report: &mut (dyn FnMut(DocumentReport) + Send),
    ) -> Result<(), Interrupted> {
        let batch = Arc::new(batch);
        let inspected = self.inspect_all(Arc::clone(&batch)).await?;
        let standing = self.standing_whole(&batch).await.map_err(Interrupted::Store)?;
        let mut writer = Writer::new(self);
        let ended: Result<(), Interrupted> = async {
            for (source, inspected) in batch.iter().zip(inspected) {
                if stop.is_cancelled() {
                    break;
                }
                let plan = inspected.map(|inspected| (plan(source, &inspected, marks.get(source.id.key())), inspected));
                let done = match plan {
                    Err(reason) => Some(DocumentReport::failed(source.id.as_str(), reason)),
                    Ok((plan, inspected)) => match standing.get(source.id.key()).filter(|now| plan.is_met_by(now)) {
                        Some(now) => Some(DocumentReport::unchanged(now)),
                        None => {
                            self.write(&mut writer, source, plan, inspected).await?;
                            None
                        }
                    },
                };
                writer.reports().into_iter().for_each(&mut *report);
                done.into_iter().for_each(&mut *report);
            }
            writer.flush().await
        }
        .await;
        if let Err(Interrupted::Outdated | Interrupted::Embed(_)) = ended
            && let Err(error) = writer.cancel().await
        {
            tracing::warn!(%error, "documents that were begun are not put away; that is done once their claims end");
        }
        ended?;
        writer.reports().into_iter().for_each(report);
        Ok(())
    }

    async fn write(
        &self,
        writer: &mut Writer<'_>,
        source: &Source,
        plan: Plan,
        inspected: Inspected,
    ) -> Result<(), Interrupted> {
        if !writer.begin(plan).await? {
            return Ok(());
        }
        let mut cuts = self.cut(source.clone(), inspected);
        loop {
            match cuts.next().await? {
                Cut::Chunk(draft, title) => writer.chunk(draft, title.as_deref()).await?,
                Cut::End(Ok(parsed)) => return writer.end(parsed.notices).await,
                Cut::End(Err(reason)) => return writer.abort(reason).await,
            }
        }
    }

    /// Cuts a document on a thread of its own, a few chunks ahead of whoever takes them.
    pub(super) fn cut(&self, source: Source, inspected: Inspected) -> Cuts {
        let (send, receive) = mpsc::channel(CHUNKS_AHEAD);
        let given_up = Arc::<AtomicBool>::default();
        let cuts = Cuts { receive, given_up: Arc::clone(&given_up) };
        let binary = source.format.is_binary();
        let (embedder, reader) = (Arc::clone(&self.embedder), self.reader.clone());
        let cut = move || {
            let cutting = Cutting {
                limits: Limits::for_model(embedder.max_tokens()),
                count: &|text: &str| embedder.count_tokens(text),
                reader: &reader,
                given_up: &given_up,
            };
            let mut first = true;
            let mut take = |draft, title: Option<&str>| {
                let title = title.filter(|_| std::mem::take(&mut first)).map(str::to_owned);
                send.blocking_send(Cut::Chunk(draft, title)).is_ok()
            };
            // What is wrong with a document is the document's, also where it shows in a fault of the program.
            let parsed = catch_unwind(AssertUnwindSafe(|| read::chunks(&source, &inspected, cutting, &mut take)));
            let ended = parsed.unwrap_or_else(|_| Err(broke_down()));
            // Nobody waits for the end of a document that was given up.
            drop(send.blocking_send(Cut::End(ended)));
        };
        let children = Arc::clone(&self.children);
        tokio::spawn(async move {
            // A child may take half a gigabyte, so few of them are at work at once.
            let _permit = if binary { children.acquire_owned().await.ok() } else { None };
            // It catches its own panics; an end that never comes shows to whoever waits for it.
            drop(tokio::task::spawn_blocking(cut).await);
        });
        cuts
    }

    /// Reads and hashes documents, in their order, on a few threads.
    pub(super) async fn inspect_all(
        &self,
        sources: Arc<Vec<Source>>,
    ) -> Result<Vec<Result<Inspected, FailureReason>>, Interrupted> {
        let share = sources.len().div_ceil(READERS).max(1);
        let shares: Vec<_> = (0..sources.len())
            .step_by(share)
            .map(|from| {
                let sources = Arc::clone(&sources);
                tokio::task::spawn_blocking(move || {
                    let to = (from + share).min(sources.len());
                    sources[from..to].iter().map(read::inspect).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut inspected = Vec::with_capacity(sources.len());
        for share in shares {
            inspected.extend(share.await.map_err(|e| Interrupted::Worker { cause: e.to_string() })?);
        }
        // Only what is sent is judged by this: what waited for its turn until its time was over was accepted before.
        let now = self.clock.now();
        for (inspected, source) in inspected.iter_mut().zip(&*sources) {
            if let Some(at) = source.expires_at.filter(|at| *at <= now) {
                *inspected = Err(FailureReason::Expired { at });
            }
        }
        Ok(inspected)
    }

    /// The latest deletions of documents, by key.
    pub(super) async fn marks_of(&self, sources: &[Source]) -> Result<HashMap<String, Mark>, StoreError> {
        let ids: Vec<&str> = sources.iter().map(|source| source.id.key()).collect();
        self.marks(&ids).await
    }

    /// The standing records of those documents whose chunks are there, by key: what they meet need not be written.
    pub(super) async fn standing_whole(
        &self,
        sources: &[Source],
    ) -> Result<HashMap<String, DocumentRecord>, StoreError> {
        let mut standing = self.standing(sources).await?;
        let whole = self.whole(standing.values()).await?;
        standing.retain(|key, _| whole.contains(key));
        Ok(standing)
    }

    /// The standing records of documents, by key.
    pub(super) async fn standing(&self, sources: &[Source]) -> Result<HashMap<String, DocumentRecord>, StoreError> {
        let ids: Vec<&str> = sources.iter().map(|source| source.id.key()).collect();
        let records = self.patiently(|| self.records.get_many(Kind::Document, &ids)).await?;
        let standing = records.iter().filter(|record| ports::stands(record));
        standing.map(|record| Ok((record.id.clone(), document_of(record)?))).collect()
    }
}

fn broke_down() -> FailureReason {
    let cause = "its reader broke down on it: it is damaged, or built to do that; save it again with another program";
    FailureReason::Malformed { cause: cause.to_owned() }
}

pub(super) fn plan(source: &Source, inspected: &Inspected, after: Option<&Mark>) -> Plan {
    Plan {
        id: source.id.clone(),
        content: inspected.version.clone(),
        bytes: inspected.bytes,
        title: source.title.clone(),
        metadata: source.metadata.clone(),
        expires_at: source.expires_at,
        after: after.cloned(),
    }
}
