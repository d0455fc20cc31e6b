//! The steps of reading a snapshot again that is kept, and what comes of them. Pure.
//!
//! ```text
//!  turn ─► read (a Job, again with growing waits where the cause may pass) ─► settle (its Job goes)
//! ```
//! One reading of a cluster at a time, and none beside a snapshot that is taken, a restore or a drill: it begins when nothing
//! else is under way, what comes then waits for it, and a restore in place does not: it ends the reading, which begins again later.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::super::decide::{self, created_at, of, wait_after};
use super::super::observed::{Obstacle, Way};
use super::super::report::{Cause, Report, Taken};
use crate::api::snapshot::{ArchiveStatus, RagSnapshot};
use crate::api::steps::{StepState, StepStatus};
use crate::job::{Failure, Looked, Made, attempt_name};
use crate::steps::{At, Disruption, Effect, Look, Pause, Priority, Procedure, Standing, Step};

const TURN: &str = "turn";
/// The step whose Job reads it.
pub const READ: &str = "read";
const SETTLE: &str = "settle";

/// How the name of the procedure ends.
const PROCEDURE: &str = "its reading";

/// All attempts together. What was not read then is tried again later.
const READ_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// What is left of a Job is removed within seconds, unless the API server is away.
const SETTLE_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// With the waits between them they last some minutes: whatever else is due waits as long.
const MOST_ATTEMPTS: u32 = 4;

/// Everything that one pass over a reading knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The time of this pass.
    pub now: Timestamp,
    /// What a Job needs, or what is in the way of one.
    pub way: Result<Way, Obstacle>,
    /// What goes first.
    pub sooner: Option<String>,
    /// The restore of what is served that does not wait for it.
    pub yields_to: Option<String>,
    /// The newest attempt, by its number.
    pub read: Option<(u32, Looked)>,
    /// What was made for its Jobs and is still there.
    pub made: Vec<Made>,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// This attempt begins.
    Read(u32),
    /// The Job is ended before its time.
    Stop,
    /// What was made for its Jobs goes.
    Forget,
}

/// What is done to which snapshot.
pub type Doing = decide::Doing<Act>;

impl Effect for Doing {
    fn name(&self) -> String {
        let Self { act, snapshot } = self;
        match act {
            Act::Read(number) => format!("create Job {}", attempt_name(&base(snapshot), *number)),
            Act::Stop => format!("end the reading of RagSnapshot {snapshot}"),
            Act::Forget => format!("remove the Jobs that have read RagSnapshot {snapshot}"),
        }
    }
}

/// The name of the Jobs that read the snapshot of this name.
pub fn base(snapshot: &str) -> String {
    format!("{snapshot}-verify")
}

/// The steps of the last reading, or of the one that is under way.
pub fn recorded(snapshot: &RagSnapshot) -> &[StepStatus] {
    let reading = snapshot.status.as_ref().and_then(|status| status.reading.as_ref());
    reading.map(|reading| reading.steps.as_slice()).unwrap_or_default()
}

/// Whether nothing more is done: it was read, or could not be, and its Job is gone.
pub fn is_over(steps: &[StepStatus]) -> bool {
    steps.iter().all(|step| step.state.is_final())
}

/// Whether it only waits, so that nothing is left behind where it is given up.
pub fn has_only_waited(steps: &[StepStatus]) -> bool {
    let read = steps.iter().find(|step| step.name == READ);
    read.is_none_or(|read| !(read.state.is_final() || read.state == StepState::Running))
}

/// Whether the step that reads has ended, and how.
pub fn ended(steps: &[StepStatus]) -> Option<&StepStatus> {
    steps.iter().find(|step| step.name == READ && step.state.is_final())
}

/// Reading a snapshot again.
pub fn reading(snapshot: &RagSnapshot) -> Procedure<Seen, Doing> {
    let name = snapshot.name_any();
    let archive = snapshot.status.as_ref().and_then(|status| status.archive.clone());
    let (reading, forgetting) = (of(&name), of(&name));
    Procedure {
        name: format!("RagSnapshot {name}, {PROCEDURE}"),
        priority: Priority::Maintenance,
        created_at: created_at(snapshot),
        steps: vec![
            Step::wait(TURN, None, turn),
            Step::new(READ, Disruption::None, READ_WITHIN, move |seen: &Seen, at: &At| {
                read(seen, at, archive.as_ref(), &reading)
            }),
            Step::new(SETTLE, Disruption::None, SETTLE_WITHIN, move |seen: &Seen, _: &At| {
                if seen.made.is_empty() {
                    return Look::Done("nothing is left of its Job".to_owned());
                }
                Look::Continue(forgetting(Act::Forget))
            })
            .that_cleans_up(),
        ],
    }
}

/// Whether a procedure of the cluster is a reading.
pub fn is_reading(standing: &Standing) -> bool {
    standing.name.ends_with(PROCEDURE)
}

/// Whether a reading has a Job, or is about to have one.
pub fn is_under_way(standing: &Standing) -> bool {
    let is_at_it = |step: &StepStatus| step.state == StepState::Running || step.name == SETTLE;
    is_reading(standing) && standing.current.as_ref().is_some_and(|current| is_at_it(&current.step))
}

/// The first of the other procedures of the cluster that this one waits for: whatever is no reading, a reading that is under way,
/// and one that has waited for longer. Two that announce it at the same time both see the other's announcement before they act,
/// give it back, and go by their age.
pub fn sooner(mine: &Standing, all: &[Standing]) -> Option<String> {
    let waits = |other: &Standing| {
        let current = other.current.as_ref();
        let is_next = current.is_some_and(|current| current.step.name == READ) && other.rank() < mine.rank();
        current.is_some() && (!is_reading(other) || is_under_way(other) || is_next)
    };
    all.iter().find(|other| other.name != mine.name && waits(other)).map(|other| other.name.clone())
}

/// Whether nothing keeps it from having its Job.
fn barred(seen: &Seen) -> Option<Pause> {
    match (&seen.way, &seen.sooner) {
        (Err(obstacle), _) => Some(Pause::for_change(obstacle.to_string())),
        (Ok(_), Some(sooner)) => Some(Pause::for_change(format!("waits for {sooner}, which goes first"))),
        (Ok(_), None) => None,
    }
}

fn turn(seen: &Seen, _: &At) -> Look<std::convert::Infallible> {
    if seen.read.is_some() {
        return Look::Done("its Job is there".to_owned());
    }
    match barred(seen) {
        Some(pause) => Look::Wait(pause),
        None => Look::Done("nothing else is under way".to_owned()),
    }
}

fn read(seen: &Seen, at: &At, archive: Option<&ArchiveStatus>, doing: &impl Fn(Act) -> Doing) -> Look<Doing> {
    let Some((number, looked)) = &seen.read else {
        return match barred(seen) {
            Some(pause) => Look::Wait(pause),
            None => Look::Begin(doing(Act::Read(1))),
        };
    };
    if let (Some(restore), Looked::Pending { .. } | Looked::Running) = (&seen.yields_to, looked) {
        // One that is on its way out already is waited for.
        let is_there = !seen.made.is_empty();
        let why = format!("makes way for {restore}");
        return if is_there { Look::Continue(doing(Act::Stop)) } else { Look::UnderWay(Pause::for_change(why)) };
    }
    match looked {
        Looked::NotThere => Look::Continue(doing(Act::Read(*number))),
        Looked::Pending { why, .. } => Look::UnderWay(Pause::for_change(why.clone())),
        Looked::Running => Look::UnderWay(Pause::for_change("it is being read")),
        Looked::Done { .. } | Looked::Failed { .. } => match found(archive, looked) {
            Ok(Found::Whole) => Look::Done("all of it was read, and is what was taken".to_owned()),
            Ok(Found::Damaged(why) | Found::Gone(why)) => Look::Done(why),
            Err(failure) => again((*number, &failure), seen, at, doing),
        },
    }
}

/// Waits for longer after each failure, and begins anew only where nothing is in the way.
fn again((number, failure): (u32, &Unread), seen: &Seen, at: &At, doing: &impl Fn(Act) -> Doing) -> Look<Doing> {
    if !failure.may_pass {
        return Look::Failed(failure.why.clone());
    }
    if number >= MOST_ATTEMPTS {
        return Look::Failed(format!("{number} attempts have failed, the last one so: {}", failure.why));
    }
    let next = failure.at.unwrap_or(at.since).checked_add(wait_after(number)).unwrap_or(Timestamp::MAX);
    let why = format!("attempt {number} has failed and is repeated: {}", failure.why);
    // One whose time is in a future that a wrong clock has shown is not waited for.
    if seen.now < next && next.duration_since(seen.now) <= wait_after(number) {
        return Look::UnderWay(Pause::until(why, next));
    }
    match (&seen.way, &seen.yields_to) {
        (Err(obstacle), _) => Look::UnderWay(Pause::for_change(obstacle.to_string())),
        (Ok(_), Some(restore)) => Look::UnderWay(Pause::for_change(format!("waits for {restore}, which goes first"))),
        (Ok(_), None) => Look::Continue(doing(Act::Read(number + 1))),
    }
}

/// What a reading found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is what was taken.
    Whole,
    /// It is not.
    Damaged(String),
    /// There is none.
    Gone(String),
}

/// Why a Job has read nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// A sentence for people.
    pub why: String,
    /// The Job's failure; nothing where it ended well and reports nothing of use.
    pub failure: Option<Failure>,
    may_pass: bool,
    at: Option<Timestamp>,
}

/// What a Job that has ended found.
pub fn found(archive: Option<&ArchiveStatus>, looked: &Looked) -> Result<Found, Unread> {
    match looked {
        Looked::Done { report, at } => {
            whole(archive, report).map_err(|why| Unread { why, failure: None, may_pass: false, at: *at })
        }
        Looked::Failed { failure, at } => {
            let why = failure.words();
            match failure.cause() {
                Some(Cause::Damaged | Cause::Incomplete | Cause::Forged | Cause::Unsigned) => Ok(Found::Damaged(why)),
                Some(Cause::None) => Ok(Found::Gone(why)),
                _ => Err(Unread { why, failure: Some(failure.clone()), may_pass: failure.may_pass(), at: *at }),
            }
        }
        Looked::NotThere | Looked::Pending { .. } | Looked::Running => {
            let why = "its Job has not ended".to_owned();
            Err(Unread { why, failure: None, may_pass: true, at: None })
        }
    }
}

/// What is there may be whole and not what was taken: another one of the same name.
fn whole(archive: Option<&ArchiveStatus>, report: &Report) -> Result<Found, String> {
    let read: Taken = report.read().map_err(|unreadable| unreadable.to_string())?;
    let expected = archive.ok_or_else(|| "nothing is known of what was taken".to_owned())?;
    if read.snapshot.name != expected.name {
        return Err(format!(
            "the Job reports a snapshot {:?}, and was asked for {}",
            read.snapshot.name, expected.name
        ));
    }
    if read.snapshot.sha256 != expected.sha256 {
        let why = format!(
            "the SHA-256 of its manifest is {}, and was {} when it was taken: it is another snapshot of the same name",
            read.snapshot.sha256, expected.sha256
        );
        return Ok(Found::Damaged(why));
    }
    if read.verified { Ok(Found::Whole) } else { Err("the Job reports that it has not read all of it".to_owned()) }
}
