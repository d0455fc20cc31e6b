//! One turn of one job: reads what it keeps, cuts, writes, and tells the job what became of its documents.
//!
//! Guarantees: what is kept of a document is removed only after its outcome stands in the job; a turn ends after a bounded piece of work, at the end of a document, when others wait.

use std::{
    collections::{BTreeMap, HashSet},
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{
    Ingest, Interrupted,
    chunk::Draft,
    direct::{Cut, Cuts},
    failure::FailureReason,
    jobs::{DocumentState, Job, JobState},
    kept::{Header, Kept, Part},
    open::Plan,
    read::{Inspected, Parsed},
    source::{Arriving, Content, Source},
    tries::Verdict,
    write::Writer,
};
use crate::ports::{Hold, Kind, Record};

/// Pause between two writes of a job's progress while no document ends.
const PROGRESS: Duration = Duration::from_secs(2);
/// Chunks and documents after which a job gives way to others: some seconds of work on a busy core.
const TURN: u64 = 1024;

/// How a turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Every document has its outcome, or the job is not known any more.
    Finished,
    /// Others wait.
    GaveWay,
    /// What is left is to be tried again at this time.
    Waits(Timestamp),
    /// The replica stops, or lost its hold on the job.
    Stopped,
}

/// A job in work.
pub(super) struct Working<'i> {
    ingest: &'i Ingest,
    pub(super) writer: Writer<'i>,
    hold: Hold,
    job: Job,
    told: Instant,
    /// Chunks and documents that were worked on.
    work: u64,
    open: Option<Opened>,
    /// Documents of which something was kept.
    found: HashSet<usize>,
    /// Chunks of the documents that were cut.
    cut: BTreeMap<usize, u32>,
    /// What the writer said of documents and the job was not told yet.
    verdicts: BTreeMap<usize, Verdict>,
    read: Vec<ReadRecord>,
    /// What the turn achieved.
    pub(super) achieved: Achieved,
}

/// What a turn achieved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Achieved {
    /// Whether a document got its outcome.
    pub(super) outcomes: bool,
    /// Bytes of records that are not needed any more and were removed.
    pub(super) given_back: u64,
}

/// A record that was read, and the documents that it is for.
struct ReadRecord {
    id: String,
    version: u64,
    bytes: u64,
    documents: RangeInclusive<usize>,
}

/// A document that is being cut.
struct Opened {
    index: usize,
    /// Its bytes go here; none once they are all sent.
    input: Option<mpsc::Sender<Vec<u8>>>,
    cuts: Cuts,
    sent: u64,
    chunks: u32,
}

enum Step {
    /// Nothing happened for a while.
    Idle,
    Sent,
    Chunk(Draft, Option<String>),
    End(Result<Parsed, FailureReason>),
}

impl Opened {
    /// Hands over bytes, or takes what was cut of those before.
    async fn step(&mut self, bytes: &mut Vec<u8>) -> Result<Step, Interrupted> {
        let Some(input) = &self.input else { return self.cuts.next().await.map(Step::from) };
        tokio::select! {
            cut = self.cuts.next() => cut.map(Step::from),
            permit = input.reserve() => match permit {
                Ok(permit) => {
                    let bytes = std::mem::take(bytes);
                    self.sent += bytes.len() as u64;
                    permit.send(bytes);
                    Ok(Step::Sent)
                }
                // Reading ended early; why comes with the end.
                Err(_) => self.cuts.next().await.map(Step::from),
            },
        }
    }
}

impl From<Cut> for Step {
    fn from(cut: Cut) -> Self {
        match cut {
            Cut::Chunk(draft, title) => Self::Chunk(draft, title),
            Cut::End(ended) => Self::End(ended),
        }
    }
}

impl<'i> Working<'i> {
    pub(super) fn new(ingest: &'i Ingest, job: Job, hold: Hold) -> Self {
        Self {
            ingest,
            writer: Writer::new(ingest),
            hold,
            job,
            told: Instant::now(),
            work: 0,
            open: None,
            found: HashSet::new(),
            cut: BTreeMap::new(),
            verdicts: BTreeMap::new(),
            read: Vec::new(),
            achieved: Achieved::default(),
        }
    }

    pub(super) fn into_hold(self) -> Hold {
        self.hold
    }

    /// Works until the job is finished or has to be left for another turn.
    pub(super) async fn run(&mut self, stop: &CancellationToken) -> Result<Turn, Interrupted> {
        let now = self.ingest.clock.now();
        let started = |job: &mut Job| {
            if !job.state.is_final() {
                job.state = JobState::Running;
                job.started_at = job.started_at.or(Some(now));
            }
        };
        if !self.change(started).await? {
            return Ok(Turn::Finished);
        }
        let id = self.job.id.clone();
        let mut after = None::<String>;
        loop {
            let (records, next) = self.ingest.kept(&id, after.as_deref()).await.map_err(Interrupted::Store)?;
            for record in records {
                if let Some(turn) = self.record(record, stop).await? {
                    return Ok(turn);
                }
            }
            match next {
                Some(next) => after = Some(next),
                None => return self.end().await,
            }
        }
    }

    async fn record(&mut self, record: Record, stop: &CancellationToken) -> Result<Option<Turn>, Interrupted> {
        let (id, version) = (record.id.clone(), record.version);
        let parts = Kept::of(record).map_err(Interrupted::Store)?.parts;
        let bytes = parts.iter().map(Part::written).sum();
        if let (Some(first), Some(last)) = (parts.first(), parts.last()) {
            self.read.push(ReadRecord { id, version, bytes, documents: first.document..=last.document });
        }
        for part in parts {
            if let Some(turn) = self.look(false, stop).await? {
                return Ok(Some(turn));
            }
            if let Some(turn) = self.part(part, stop).await? {
                return Ok(Some(turn));
            }
            if self.gives_way().await? {
                self.writer.flush().await?;
                return Ok(Some(self.look(true, stop).await?.unwrap_or(Turn::GaveWay)));
            }
        }
        self.look(true, stop).await
    }

    /// Whether it is somebody else's turn.
    async fn gives_way(&mut self) -> Result<bool, Interrupted> {
        if self.work < TURN || self.open.is_some() {
            return Ok(false);
        }
        self.work = 0;
        self.ingest.others_wait(&self.job.id).await.map_err(Interrupted::Store)
    }

    /// Looks whether the work is to go on, and tells the job of documents that ended and, from time to time or `now`, how far it is.
    async fn look(&mut self, now: bool, stop: &CancellationToken) -> Result<Option<Turn>, Interrupted> {
        if stop.is_cancelled() || !self.hold.check().await.map_err(Interrupted::Store)? {
            return Ok(Some(Turn::Stopped));
        }
        if !now && !self.writer.has_reports() && self.told.elapsed() < PROGRESS {
            return Ok(None);
        }
        if self.tell().await? {
            return Ok(None);
        }
        // Somebody cancelled it, or it is done.
        self.writer.cancel().await?;
        Ok(Some(Turn::Finished))
    }

    async fn part(&mut self, part: Part, stop: &CancellationToken) -> Result<Option<Turn>, Interrupted> {
        if let Some(header) = part.header {
            self.found.insert(part.document);
            if !self.job.is_due(part.document, self.ingest.clock.now()) {
                return Ok(None);
            }
            self.begin(part.document, header).await?;
        }
        if self.open.as_ref().is_none_or(|open| open.index != part.document) {
            return Ok(None);
        }
        let mut bytes = part.bytes;
        loop {
            let Some(open) = &mut self.open else { return Ok(None) };
            let step = tokio::select! {
                step = open.step(&mut bytes) => step?,
                () = stop.cancelled() => return Ok(Some(Turn::Stopped)),
                // Some documents take long to read.
                () = tokio::time::sleep(PROGRESS) => Step::Idle,
            };
            match step {
                Step::Idle => {}
                Step::Sent if part.last => open.input = None,
                Step::Sent => return Ok(None),
                Step::Chunk(draft, title) => {
                    open.chunks += 1;
                    self.work += 1;
                    self.writer.chunk(draft, title.as_deref()).await?;
                }
                Step::End(ended) => return self.cut_to_the_end(ended).await.map(|()| None),
            }
            if let Some(turn) = self.look(false, stop).await? {
                return Ok(Some(turn));
            }
        }
    }

    async fn begin(&mut self, index: usize, header: Header) -> Result<(), Interrupted> {
        let Some(document) = self.job.documents.get(index) else { return Ok(()) };
        let Header { version, bytes, format, charset, title, metadata, expires_at } = header;
        let id = document.id.clone();
        self.work += 1;
        let after = document.after.clone();
        let plan = Plan { id: id.clone(), content: version.clone(), bytes, title, metadata, expires_at, after };
        if !self.writer.begin(plan).await? {
            return Ok(());
        }
        let (input, arriving) = Arriving::new(bytes);
        let source = Source { charset, ..Source::of(id, Content::Arriving(arriving), format) };
        let cuts = self.ingest.cut(source, Inspected { version, bytes });
        self.open = Some(Opened { index, input: Some(input), cuts, sent: 0, chunks: 0 });
        Ok(())
    }

    async fn cut_to_the_end(&mut self, ended: Result<Parsed, FailureReason>) -> Result<(), Interrupted> {
        let Some(open) = self.open.take() else { return Ok(()) };
        match ended {
            Ok(Parsed { chunks, notices }) => {
                self.cut.insert(open.index, chunks);
                self.writer.end(notices).await
            }
            // Nobody can change them meanwhile.
            Err(FailureReason::Changed) => self.writer.abort(lost()).await,
            Err(reason) => self.writer.abort(reason).await,
        }
    }

    /// Everything that is kept was read.
    async fn end(&mut self) -> Result<Turn, Interrupted> {
        if self.open.take().is_some() {
            self.writer.abort(lost()).await?;
        }
        self.writer.flush().await?;
        let now = self.ingest.clock.now();
        for index in 0..self.job.documents.len() {
            if self.job.is_due(index, now) && !self.found.contains(&index) {
                self.verdicts.insert(index, Verdict::Ended(DocumentState::Failed { error: lost() }));
            }
        }
        if !self.tell().await? {
            return Ok(Turn::Finished);
        }
        Ok(Turn::Waits(self.job.next_try().unwrap_or(now)))
    }

    /// Writes outcomes and progress to the job; false when it needs no more work.
    async fn tell(&mut self) -> Result<bool, Interrupted> {
        self.told = Instant::now();
        let now = self.ingest.clock.now();
        for report in self.writer.reports() {
            let index = self.job.documents.iter().position(|document| document.id.as_str() == report.name);
            let Some(index) = index else { continue };
            let tries = self.job.documents[index].tries;
            let verdict = Verdict::of(report.clone(), tries, now);
            if matches!(verdict, Verdict::Ended(_)) {
                self.ingest.count(&report);
            }
            self.verdicts.insert(index, verdict);
        }
        let (verdicts, cut) = (std::mem::take(&mut self.verdicts), &self.cut);
        self.achieved.outcomes |= verdicts.values().any(|verdict| matches!(verdict, Verdict::Ended(_)));
        let (chunks, bytes) = self.open.as_ref().map_or((0, 0), |open| (u64::from(open.chunks), open.sent));
        let told = |job: &mut Job| {
            for (index, verdict) in &verdicts {
                job.told(*index, verdict, cut.get(index).copied().unwrap_or_default());
            }
            let (settled_chunks, settled_bytes) = job.settled();
            job.chunks_done = job.chunks_done.max(settled_chunks + chunks);
            job.bytes_done = job.bytes_done.max(settled_bytes + bytes);
            job.finish_at(now);
        };
        let goes_on = self.ingest.change_job(&self.job.id, told).await.map_err(Interrupted::Store)?;
        let goes_on = self.stands(goes_on);
        self.give_back().await?;
        Ok(goes_on)
    }

    /// Removes what was read and is not needed any more.
    async fn give_back(&mut self) -> Result<(), Interrupted> {
        let waits = |index: usize| self.job.documents.get(index).is_some_and(|d| d.state == DocumentState::Queued);
        let (needed, done): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.read).into_iter().partition(|record| record.documents.clone().any(waits));
        self.read = needed;
        for ReadRecord { id, version, bytes, .. } in done {
            let ingest = self.ingest;
            let removed = ingest.patiently(|| ingest.records.remove(Kind::Pending, &id, version)).await;
            removed.map_err(Interrupted::Store)?;
            self.achieved.given_back += bytes;
        }
        Ok(())
    }

    async fn change(&mut self, change: impl Fn(&mut Job)) -> Result<bool, Interrupted> {
        let job = self.ingest.change_job(&self.job.id, change).await.map_err(Interrupted::Store)?;
        Ok(self.stands(job))
    }

    /// Takes over what stands in the record; whether there is more to do.
    fn stands(&mut self, job: Option<Job>) -> bool {
        match job {
            Some(job) => {
                self.job = job;
                !self.job.state.is_final()
            }
            None => false,
        }
    }
}

fn lost() -> FailureReason {
    FailureReason::Store { cause: "what was kept of it is missing or damaged; ingest it again".to_owned() }
}
