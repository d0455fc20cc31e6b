//! What is done for a RagSnapshot, and when: the steps of taking one, and of removing its copy. Pure.
//!
//! ```text
//!  check ─► take (a Job, again with growing waits where the cause may pass) ─► settle (its Job goes)
//!  remove (a Job) ─► release                        of one that is deleted and has deletionPolicy: Delete
//! ```

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::observed::{Observed, Obstacle, Way};
use crate::api::snapshot::{ArchivePolicy, RagSnapshot};
use crate::api::steps::{StepState, StepStatus};
use crate::job::progress::runs;
use crate::job::{Attached, Failure, Looked, attempt_name};
use crate::snapshot::report::{Cause, Removed, Taken};
use crate::steps::{At, Disruption, Effect, Look, Pause, Priority, Procedure, Step};

/// The finalizer of a snapshot whose copy goes with it.
pub const FINALIZER: &str = "ragops.dev/archive";

/// Names of the steps, as they are recorded.
pub const CHECK: &str = "check";
/// The step whose Job takes the snapshot.
pub const TAKE: &str = "take";
const SETTLE: &str = "settle";
/// The step whose Job removes its copy.
pub const REMOVE: &str = "remove";
const RELEASE: &str = "release";

/// A snapshot that could not begin for a day is given up: the next one of a schedule is due.
const CHECK_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// All attempts together.
const TAKE_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// What is left of a Job is removed within seconds, unless the API server is away.
const SETTLE_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// One attempt; a large corpus over a slow link takes hours.
pub const ATTEMPT_SECONDS: i64 = 6 * 3600;

/// Attempts at taking a snapshot; with the waits between them they last about an hour.
const MOST_ATTEMPTS: u32 = 8;

/// The wait after the first attempt; it doubles with each further one.
const FIRST_WAIT: SignedDuration = SignedDuration::from_secs(30);

/// The longest wait between two attempts.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(1);

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The snapshot gets the finalizer.
    Hold,
    /// This attempt at taking it begins.
    Take(u32),
    /// This attempt at removing its copy begins.
    Remove(u32),
    /// What was made for its Jobs goes.
    Forget,
    /// The finalizer goes.
    Release,
}

/// What is done to which snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doing<A = Act> {
    /// What.
    pub act: A,
    /// The snapshot.
    pub snapshot: String,
}

impl Effect for Doing {
    fn name(&self) -> String {
        let Self { act, snapshot } = self;
        match act {
            Act::Hold => format!("note on RagSnapshot {snapshot} that its copy goes with it"),
            Act::Take(number) => format!("create Job {}", attempt_name(&take_base(snapshot), *number)),
            Act::Remove(number) => format!("create Job {}", attempt_name(&removal_base(snapshot), *number)),
            Act::Forget => format!("remove the Jobs of RagSnapshot {snapshot}"),
            Act::Release => format!("let RagSnapshot {snapshot} go"),
        }
    }
}

/// The name of the Jobs that take the snapshot of this name.
pub fn take_base(snapshot: &str) -> String {
    format!("{snapshot}-take")
}

/// The name of the Jobs that remove it.
pub fn removal_base(snapshot: &str) -> String {
    format!("{snapshot}-remove")
}

/// The steps of a snapshot, as they are recorded.
pub fn recorded(snapshot: &RagSnapshot) -> &[StepStatus] {
    snapshot.status.as_ref().map(|status| status.steps.as_slice()).unwrap_or_default()
}

/// Whether the snapshot has been taken.
pub fn is_taken(steps: &[StepStatus]) -> bool {
    steps.iter().any(|step| step.name == TAKE && step.state == StepState::Done)
}

/// Whether nothing more is done for it: it is taken or has failed for good.
pub fn has_ended(steps: &[StepStatus]) -> bool {
    steps.iter().any(|step| step.state == StepState::Failed)
        || !steps.is_empty() && steps.iter().all(|step| step.state.is_final())
}

/// Whether it is being taken.
pub fn is_taking(steps: &[StepStatus]) -> bool {
    steps.iter().any(|step| step.name == TAKE && step.state == StepState::Running)
}

/// The steps of taking a snapshot.
pub fn taking(snapshot: &RagSnapshot) -> Procedure<Observed, Doing> {
    let name = snapshot.name_any();
    let doing = of(&name);
    let needs_hold = snapshot.spec.deletion_policy == ArchivePolicy::Delete && !is_held(snapshot);
    let settling = doing.clone();
    Procedure {
        name: format!("RagSnapshot {name}"),
        priority: Priority::Maintenance,
        created_at: created_at(snapshot),
        steps: vec![
            Step::wait(CHECK, Some(CHECK_WITHIN), check),
            Step::new(TAKE, Disruption::None, TAKE_WITHIN, move |seen: &Observed, at: &At| {
                if needs_hold && seen.take.is_none() && seen.way.is_ok() && seen.reading.is_none() {
                    return Look::Begin(doing(Act::Hold));
                }
                take(seen, at, &name, &doing)
            }),
            Step::new(SETTLE, Disruption::None, SETTLE_WITHIN, move |seen: &Observed, _: &At| {
                if seen.made.is_empty() {
                    return Look::Done("nothing is left of its Job".to_owned());
                }
                Look::Continue(settling(Act::Forget))
            }),
        ],
    }
}

/// The steps of a snapshot that is being deleted with its copy. `is_known`: a copy of it is in an archive.
pub fn leaving(snapshot: &RagSnapshot, is_known: bool) -> Procedure<Observed, Doing> {
    let name = snapshot.name_any();
    let doing = of(&name);
    let releasing = doing.clone();
    Procedure {
        name: format!("RagSnapshot {name}, its removal"),
        priority: Priority::Maintenance,
        created_at: created_at(snapshot),
        steps: vec![
            // The namespace's end, or whoever takes the finalizer away, ends the wait.
            Step::new(REMOVE, Disruption::None, SignedDuration::MAX, move |seen: &Observed, at: &At| {
                remove(seen, at, is_known, &doing)
            }),
            Step::new(RELEASE, Disruption::None, SignedDuration::MAX, move |_: &Observed, _: &At| {
                Look::Continue(releasing(Act::Release))
            }),
        ],
    }
}

/// What makes an act of this snapshot's.
pub(super) fn of<A>(snapshot: &str) -> impl Fn(A) -> Doing<A> + Clone + Send + Sync + 'static + use<A> {
    let snapshot = snapshot.to_owned();
    move |act| Doing { act, snapshot: snapshot.clone() }
}

pub(super) fn created_at(snapshot: &RagSnapshot) -> Timestamp {
    snapshot.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |at| at.0)
}

/// Whether it has our finalizer.
pub fn is_held(snapshot: &RagSnapshot) -> bool {
    snapshot.finalizers().iter().any(|found| found == FINALIZER)
}

/// A Job that is there already is looked at whatever is in the way of another one.
fn check(seen: &Observed, _: &At) -> Look<std::convert::Infallible> {
    if seen.take.is_some() {
        return Look::Done("its Job is there".to_owned());
    }
    match (&seen.way, waits_for(seen)) {
        (Err(obstacle), _) => Look::Wait(Pause::for_change(obstacle.to_string())),
        (Ok(_), Some(why)) => Look::Wait(Pause::for_change(why)),
        (Ok(way), None) => Look::Done(goes_to(way)),
    }
}

fn goes_to(way: &Way) -> String {
    let destination = &way.archive.destination.name;
    match &way.attached {
        Attached::LeftOut(why) => {
            format!("goes to destination {destination}; the RagCluster itself does not go along: {why}")
        }
        Attached::Nothing | Attached::Manifest(_) => format!("goes to destination {destination}"),
    }
}

/// What one that waits for its turn says; nothing where it is its turn.
pub fn waits_for(seen: &Observed) -> Option<String> {
    let first = seen.sooner.as_ref();
    let first = first.map(|name| format!("waits for RagSnapshot {name}, which is taken to the same destination first"));
    first.or_else(|| seen.reading.as_deref().map(waits_for_reading))
}

fn waits_for_reading(reading: &str) -> String {
    format!("waits for {reading}, which is under way")
}

fn take(seen: &Observed, at: &At, name: &str, doing: &impl Fn(Act) -> Doing) -> Look<Doing> {
    let Some((number, looked)) = &seen.take else {
        return match (&seen.way, &seen.reading) {
            (Ok(_), None) => Look::Begin(doing(Act::Take(1))),
            (Ok(_), Some(reading)) => Look::Wait(Pause::for_change(waits_for_reading(reading))),
            (Err(obstacle), _) => Look::Wait(Pause::for_change(obstacle.to_string())),
        };
    };
    match looked {
        Looked::NotThere => Look::Continue(doing(Act::Take(*number))),
        Looked::Pending { why, .. } => Look::UnderWay(Pause::for_change(why.clone())),
        Looked::Running => {
            let job = attempt_name(&take_base(name), *number);
            Look::UnderWay(Pause::for_change(runs(&job, seen.progress.as_ref())))
        }
        Looked::Done { report, .. } => match taken(report, name) {
            Ok(taken) => Look::Done(format!("{} documents are in the archive", taken.snapshot.documents)),
            Err(why) => Look::Failed(why),
        },
        Looked::Failed { failure, at: ended } => {
            if !failure.may_pass() {
                return Look::Failed(failure.words());
            }
            if *number >= MOST_ATTEMPTS {
                return Look::Failed(format!("{number} attempts have failed, the last one so: {}", failure.words()));
            }
            again(&Tried { number: *number, failure, ended: ended.unwrap_or(at.since) }, seen, || {
                doing(Act::Take(number + 1))
            })
        }
    }
}

/// What a report says was taken, if it is of this snapshot.
pub fn taken(report: &crate::snapshot::report::Report, name: &str) -> Result<Taken, String> {
    let taken: Taken = report.read().map_err(|unreadable| unreadable.to_string())?;
    if taken.snapshot.name == name {
        return Ok(taken);
    }
    Err(format!("the Job reports a snapshot {:?}, and was asked for {name}", taken.snapshot.name))
}

/// An attempt that has failed.
struct Tried<'a> {
    number: u32,
    failure: &'a Failure,
    ended: Timestamp,
}

/// Waits for longer after each failure, and begins anew only where nothing is in the way.
fn again(tried: &Tried<'_>, seen: &Observed, effect: impl FnOnce() -> Doing) -> Look<Doing> {
    let Tried { number, failure, ended } = tried;
    let next = ended.checked_add(wait_after(*number)).unwrap_or(Timestamp::MAX);
    let why = format!("attempt {number} has failed and is repeated: {}", failure.words());
    if seen.now < next {
        return Look::UnderWay(Pause::until(why, next));
    }
    match &seen.way {
        Ok(_) => Look::Continue(effect()),
        Err(obstacle) => Look::UnderWay(Pause::for_change(obstacle.to_string())),
    }
}

/// The wait after this attempt.
pub(super) fn wait_after(number: u32) -> SignedDuration {
    let doublings = number.saturating_sub(1).min(30);
    FIRST_WAIT.checked_mul(1 << doublings).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT)
}

fn remove(seen: &Observed, at: &At, is_known: bool, doing: &impl Fn(Act) -> Doing) -> Look<Doing> {
    if let Some((_, Looked::Pending { .. } | Looked::Running)) = seen.take {
        return Look::UnderWay(Pause::for_change("waits for the Job that takes it, which may be about to finish"));
    }
    if !is_known {
        return Look::Done("no copy of it is known in an archive".to_owned());
    }
    if let Some((number, looked)) = &seen.removal {
        return removing((*number, looked), seen, at, doing);
    }
    match &seen.way {
        Ok(_) => Look::Begin(doing(Act::Remove(1))),
        Err(obstacle) if obstacle.is_final() => Look::Done(left_behind(obstacle)),
        Err(obstacle) => Look::Wait(Pause::for_change(obstacle.to_string())),
    }
}

/// How what is said of a copy begins that nobody can remove any more.
pub const LEFT_BEHIND: &str = "its copy stays in the archive, since nothing can remove it any more";

fn left_behind(obstacle: &Obstacle) -> String {
    format!("{LEFT_BEHIND}: {obstacle}")
}

fn removing((number, looked): (u32, &Looked), seen: &Observed, at: &At, doing: &impl Fn(Act) -> Doing) -> Look<Doing> {
    match looked {
        Looked::NotThere => Look::Continue(doing(Act::Remove(number))),
        Looked::Pending { why, .. } => Look::UnderWay(Pause::for_change(why.clone())),
        Looked::Running => Look::UnderWay(Pause::for_change("its copy is being removed from the archive")),
        Looked::Done { report, .. } => Look::Done(match report.read::<Removed>() {
            Ok(removed) => format!("its copy is removed; {} bytes are free", removed.freed_bytes),
            Err(_) => "its copy is removed".to_owned(),
        }),
        Looked::Failed { failure, .. } if failure.cause() == Some(&Cause::None) => {
            Look::Done("the archive has no copy of it any more".to_owned())
        }
        Looked::Failed { failure, at: ended } => {
            if let Err(obstacle) = &seen.way
                && obstacle.is_final()
            {
                return Look::Done(left_behind(obstacle));
            }
            // A key may be corrected at any time, and nobody tells us.
            again(&Tried { number, failure, ended: ended.unwrap_or(at.since) }, seen, || {
                doing(Act::Remove(number.saturating_add(1)))
            })
        }
    }
}
