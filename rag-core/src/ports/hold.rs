//! Holds over [`Records`]: who alone works on something just now, such as a document, a job, or the change of the epoch.
//!
//! Flow: take -> a heartbeat of its own prolongs it while its holder works -> [`Hold::check`] before each act -> give back.
//! Guarantees: of all holders at most one finds its hold confirmed in Records, because each write of a hold is conditional on the version of its record, which only ever grows, also across
//! a removal: the fence. A holder that was stopped, or whose clock stood still, notices by a clock that nobody sets that its time is over, and asks Records before it goes on.
//! Caveat: between a check and the act that follows, the hold may be lost. Whoever acts must act in a way that harms nobody then: conditionally on a version that it read while it held, or
//! on things that are its own.
//! Assumption: clocks of the replicas agree to well within [`TTL`]; where they do not, a hold is taken too early, and its holder finds out.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Clock, Kind, Put, Record, Records, StoreError, Swap};

/// How long a holder may be silent before another one takes its place.
pub const TTL: Duration = Duration::from_secs(30);
/// Between two signs of life: two of them may be lost.
const BEAT: Duration = Duration::from_secs(10);

/// What is written of a hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Body {
    holder: String,
    until: Timestamp,
    /// What the next holder has to know if this one dies.
    #[serde(default)]
    note: Value,
}

/// Who has a hold, as Records tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// What it left for the next one.
    pub note: Value,
    /// When its time is over, unless it prolongs it.
    pub until: Timestamp,
}

/// What is held while a restore is at work over a served corpus: every server that finds it held refuses writes. It ends by itself when the restore dies.
pub const GATE: (Kind, &str) = (Kind::Fleet, "restore");

/// Who has the hold of this record at this time, for a process that takes none; none where nobody alive does.
pub fn holder_of(record: Record, now: Timestamp) -> Result<Option<Holder>, StoreError> {
    let Body { until, note, .. } = read(&record.id, record.body)?;
    Ok((until > now).then_some(Holder { note, until }))
}

/// Takes holds in the name of one process.
pub struct Holds {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    /// Names the process.
    instance: String,
    taken: AtomicU64,
    /// Holders of this process that live.
    live: Arc<Mutex<HashSet<String>>>,
    /// Between two signs of life.
    beat: Duration,
}

impl Holds {
    /// Holds that are kept in these records.
    pub fn new(records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        let instance = uuid::Uuid::new_v4().simple().to_string();
        Self { records, clock, instance, taken: AtomicU64::new(0), live: Arc::default(), beat: BEAT }
    }

    /// Lets hearts beat faster, for tests.
    #[cfg(test)]
    pub fn beating_each(self, beat: Duration) -> Self {
        Self { beat, ..self }
    }

    /// Takes what nobody alive holds; none while somebody does.
    ///
    /// `note` is what a next holder is told if this one dies. It is made of the note of a holder that died before, and written in the same step.
    pub async fn take(
        &self,
        kind: Kind,
        name: &str,
        note: impl Fn(Option<&Value>) -> Value,
    ) -> Result<Option<Hold>, StoreError> {
        let holder = format!("{}/{}", self.instance, self.taken.fetch_add(1, Ordering::Relaxed));
        let alive = Alive::begin(&self.live, holder.clone());
        let (at, until) = (self.clock.steady(), until(&*self.clock));
        let body = |note: Value| write(&Body { holder: holder.clone(), until, note });
        let first = note(None);
        let standing = match self.records.put_if_absent(kind, name, body(first.clone())?).await? {
            Put::Created(record) => return Ok(Some(self.held((kind, name), alive, at, (record.version, first, None)))),
            Put::Existing(record) => record,
        };
        let other = read(name, standing.body)?;
        if !self.is_dead(&other) {
            return Ok(None);
        }
        let next = note(Some(&other.note));
        let swap = self.records.compare_and_set(kind, name, standing.version, body(next.clone())?).await?;
        let Swap::Done(record) = swap else { return Ok(None) };
        Ok(Some(self.held((kind, name), alive, at, (record.version, next, Some(other.note)))))
    }

    /// Takes what nobody alive holds, or says who holds it.
    pub async fn take_or_holder(
        &self,
        kind: Kind,
        name: &str,
        note: impl Fn(Option<&Value>) -> Value,
    ) -> Result<Result<Hold, Holder>, StoreError> {
        loop {
            if let Some(hold) = self.take(kind, name, &note).await? {
                return Ok(Ok(hold));
            }
            // Nobody has it any more where it was given back between the two looks.
            if let Some(holder) = self.holder(kind, name).await? {
                return Ok(Err(holder));
            }
        }
    }

    /// Who has a hold just now; none where nobody alive does.
    pub async fn holder(&self, kind: Kind, name: &str) -> Result<Option<Holder>, StoreError> {
        let Some(record) = self.records.get(kind, name).await? else { return Ok(None) };
        let body = read(name, record.body)?;
        if self.is_dead(&body) { Ok(None) } else { Ok(Some(Holder { note: body.note, until: body.until })) }
    }

    /// Whether the holder that a record tells of can be taken for dead.
    pub fn is_free(&self, name: &str, body: Value) -> Result<bool, StoreError> {
        Ok(self.is_dead(&read(name, body)?))
    }

    fn is_dead(&self, other: &Body) -> bool {
        let is_ours = other.holder.split('/').next() == Some(&self.instance);
        if is_ours {
            return !lock(&self.live).contains(&other.holder);
        }
        self.records.exclusive() || other.until <= self.clock.now()
    }

    fn held(
        &self,
        (kind, name): (Kind, &str),
        alive: Alive,
        at: Duration,
        (fence, note, inherited): (u64, Value, Option<Value>),
    ) -> Hold {
        let kept = Arc::new(Kept {
            records: Arc::clone(&self.records),
            clock: Arc::clone(&self.clock),
            kind,
            name: name.to_owned(),
            holder: alive.holder.clone(),
            written: tokio::sync::Mutex::new(Written { fence, note }),
            good_until: Mutex::new(at.saturating_add(TTL)),
            lost: CancellationToken::new(),
        });
        let heart = tokio::spawn(beat(Arc::clone(&kept), self.beat)).abort_handle();
        Hold { kept, heart, inherited, _alive: alive }
    }
}

/// Counts a holder among the living until it is dropped.
struct Alive {
    live: Arc<Mutex<HashSet<String>>>,
    holder: String,
}

impl Alive {
    fn begin(live: &Arc<Mutex<HashSet<String>>>, holder: String) -> Self {
        lock(live).insert(holder.clone());
        Self { live: Arc::clone(live), holder }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        lock(&self.live).remove(&self.holder);
    }
}

/// Something that is held. One that is dropped without [`Hold::give_back`] stands until its time is over, and its note is found by the next holder.
pub struct Hold {
    kept: Arc<Kept>,
    heart: tokio::task::AbortHandle,
    inherited: Option<Value>,
    _alive: Alive,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.heart.abort();
    }
}

impl Hold {
    /// Whether it is still held. Asks nobody within its time; after that Records decide: it goes on if nobody took it.
    pub async fn check(&self) -> Result<bool, StoreError> {
        if self.kept.lost.is_cancelled() {
            return Ok(false);
        }
        let is_good = self.kept.clock.steady() < *lock(&self.kept.good_until);
        if is_good { Ok(true) } else { self.kept.write(None).await }
    }

    /// Asks Records whether it is still held, and prolongs it.
    pub async fn confirm(&self) -> Result<bool, StoreError> {
        self.kept.write(None).await
    }

    /// The same, and leaves another note for the next holder.
    pub async fn leave_note(&self, note: Value) -> Result<bool, StoreError> {
        self.kept.write(Some(note)).await
    }

    /// The note of a holder that died, if there was one before this one.
    pub fn inherited(&self) -> Option<&Value> {
        self.inherited.as_ref()
    }

    /// Returns once it is known to be lost, or its time is over and Records do not answer.
    pub async fn lost(&self) {
        self.kept.lost.cancelled().await;
    }

    /// Gives it back; false when it was lost before.
    pub async fn give_back(&self) -> Result<bool, StoreError> {
        let kept = &self.kept;
        let mut written = kept.written.lock().await;
        loop {
            match kept.records.remove(kept.kind, &kept.name, written.fence).await? {
                Swap::Done(_) => {
                    kept.lost.cancel();
                    return Ok(true);
                }
                Swap::Conflict(standing) if !kept.is_own(standing.as_ref(), &mut written)? => {
                    kept.lost.cancel();
                    return Ok(false);
                }
                Swap::Conflict(_) => {}
            }
        }
    }
}

/// What heart and holder share.
struct Kept {
    records: Arc<dyn Records>,
    clock: Arc<dyn Clock>,
    kind: Kind,
    name: String,
    holder: String,
    /// One write at a time: each is conditional on the one before.
    written: tokio::sync::Mutex<Written>,
    /// By the steady clock.
    good_until: Mutex<Duration>,
    lost: CancellationToken,
}

struct Written {
    /// The version of the record: whoever takes the hold changes it for good.
    fence: u64,
    note: Value,
}

impl Kept {
    /// Writes a sign of life; false once somebody else has the hold.
    async fn write(&self, note: Option<Value>) -> Result<bool, StoreError> {
        let mut written = self.written.lock().await;
        if let Some(note) = note {
            written.note = note;
        }
        loop {
            if self.lost.is_cancelled() {
                return Ok(false);
            }
            let (at, until) = (self.clock.steady(), until(&*self.clock));
            let body = write(&Body { holder: self.holder.clone(), until, note: written.note.clone() })?;
            match self.records.compare_and_set(self.kind, &self.name, written.fence, body).await? {
                Swap::Done(record) => {
                    written.fence = record.version;
                    *lock(&self.good_until) = at.saturating_add(TTL);
                    return Ok(true);
                }
                Swap::Conflict(standing) => {
                    if !self.is_own(standing.as_ref(), &mut written)? {
                        self.lost.cancel();
                    }
                }
            }
        }
    }

    /// Whether what stands there is a write of our own, whose answer was lost.
    fn is_own(&self, standing: Option<&Record>, written: &mut Written) -> Result<bool, StoreError> {
        let Some(record) = standing else { return Ok(false) };
        let is_own = read(&self.name, record.body.clone())?.holder == self.holder;
        if is_own {
            written.fence = record.version;
        }
        Ok(is_own)
    }
}

/// Prolongs a hold until it is lost.
async fn beat(kept: Arc<Kept>, each: Duration) {
    loop {
        tokio::time::sleep(each).await;
        match kept.write(None).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::debug!(%error, name = kept.name, "a hold was not prolonged; tried again");
                if kept.clock.steady() >= *lock(&kept.good_until) {
                    kept.lost.cancel();
                    return;
                }
            }
        }
    }
}

/// When a hold ends that is written now.
fn until(clock: &dyn Clock) -> Timestamp {
    let ttl = SignedDuration::try_from(TTL).unwrap_or(SignedDuration::MAX);
    clock.now().checked_add(ttl).unwrap_or(Timestamp::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(body: &Body) -> Result<Value, StoreError> {
    serde_json::to_value(body).map_err(|e| StoreError::Failed { store: "the record of a hold", cause: e.to_string() })
}

fn read(name: &str, body: Value) -> Result<Body, StoreError> {
    serde_json::from_value(body)
        .map_err(|e| StoreError::Corrupt { what: format!("the hold on {name}"), cause: e.to_string() })
}

#[cfg(test)]
mod tests;
