//! RagSnapshot: takes one snapshot of a corpus by a Job, and says what came of it; removes its copy with it, where it is to.
//!
//! `observe` reads, `carry_out` and `report` write; what stands between them is pure.

mod carry_out;
pub mod command;
pub mod decide;
mod events;
mod observe;
pub mod observed;
mod proven;
pub mod reading;
pub mod report;
pub mod status;

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::api::snapshot::{RagSnapshot, RagSnapshotStatus};
use crate::api::steps::{StepState, StepStatus};
use crate::caches::{Caches, Watched};
use crate::cluster::status::Failure;
use crate::context::Context;
use crate::controller::{Controlled, ECHO, pause_until};
use crate::error::Error;
use crate::objects::OwnKind;
use crate::report::{Reported, report};
use crate::steps::{Advance, Answer, Turn, Window, advance};
use carry_out::carry_out;
use decide::{Doing, FINALIZER, has_ended, leaving, recorded, taking};
use observe::observe;
use observed::Observed;

pub(crate) use observe::snapshots_of;

/// Users' Secrets and claims are not watched, and neither is the end of another snapshot.
const LOOK_WHILE_WAITING: Duration = Duration::from_secs(20);

/// What was made for a Job is gone a moment after it was removed.
const AFTER_REMOVAL: Duration = Duration::from_secs(1);

impl OwnKind for RagSnapshot {
    const KIND: &'static str = "RagSnapshot";
}

impl Reported for RagSnapshot {
    /// There are no figures in it that move by themselves.
    fn is_news(before: Option<&RagSnapshotStatus>, after: &RagSnapshotStatus) -> bool {
        before != Some(after)
    }
}

impl Controlled for RagSnapshot {
    const FINALIZER: Option<&'static str> = Some(FINALIZER);

    fn watched(caches: &Caches) -> &Watched<Self> {
        &caches.snapshots
    }

    fn pass<'a>(&'a self, context: &'a Context, caches: &'a Caches) -> BoxFuture<'a, Result<Duration, Error>> {
        take(context, caches, self).boxed()
    }

    fn leave<'a>(&'a self, context: &'a Context, caches: &'a Caches) -> BoxFuture<'a, Result<Duration, Error>> {
        depart(context, caches, self).boxed()
    }
}

/// Nothing of a snapshot needs the cluster's lock.
fn turn(seen: &Observed) -> Turn<'static> {
    Turn { now: seen.now, awake: seen.awake, window: Window::Open, standings: &[] }
}

/// One pass over a snapshot. One that is taken, or has failed for good, never changes again, but for what is known of its copy.
async fn take(context: &Context, caches: &Caches, snapshot: &RagSnapshot) -> Result<Duration, Error> {
    if has_ended(recorded(snapshot)) {
        return prove(context, caches, snapshot).await;
    }
    let seen = observe(context, caches, snapshot).await;
    let Advance { steps, answer } = advance(&taking(snapshot), recorded(snapshot), &seen, &turn(&seen));
    let tell = async |refused: Option<&Failure>| {
        let new = status::status(snapshot, &seen, steps.clone(), refused);
        let told = events::events(snapshot.status.as_ref(), &new, false);
        report(context, snapshot, &new, &told).await
    };
    let Answer::Do { effect, .. } = &answer else {
        tell(None).await?;
        return Ok(next_look(&answer, &seen));
    };
    // The record stands already: whoever comes after a crash looks whether this was done.
    match carry_out(context, snapshot, &seen, effect).await {
        Ok(()) => tell(None).await?,
        Err(error) => {
            tell(Some(&Failure::from(&error))).await?;
            return Err(error);
        }
    };
    Ok(next_look(&answer, &seen))
}

/// What restores and drills have found out about a snapshot that is taken is said of it; and it is read again when it is time.
async fn prove(context: &Context, caches: &Caches, snapshot: &RagSnapshot) -> Result<Duration, Error> {
    let all = caches.restores.cache.state();
    let readable = all.iter().filter_map(|restore| restore.0.as_ref().ok());
    if let Some(new) = proven::proven(snapshot, readable, (context.now)()) {
        let told = events::events(snapshot.status.as_ref(), &new, false);
        report(context, snapshot, &new, &told).await?;
        return Ok(ECHO);
    }
    reading::read_again(context, caches, snapshot).await
}

/// One pass over a snapshot that is being deleted and takes its copy along.
async fn depart(context: &Context, caches: &Caches, snapshot: &RagSnapshot) -> Result<Duration, Error> {
    let seen = observe(context, caches, snapshot).await;
    let in_status = snapshot.status.as_ref().is_some_and(|status| status.archive.is_some());
    let is_known = in_status || status::archive(snapshot, &seen).is_some();
    let Advance { steps, answer } = advance(&leaving(snapshot, is_known), recorded(snapshot), &seen, &turn(&seen));
    let told = told_of_removal(recorded(snapshot), &steps);
    let tell = async |refused: Option<&Failure>| {
        let new = status::leaving(snapshot, &seen, steps.clone(), refused);
        let mut events = events::events(snapshot.status.as_ref(), &new, true);
        events.extend(told.clone());
        report(context, snapshot, &new, &events).await
    };
    let Answer::Do { effect, .. } = &answer else {
        tell(None).await?;
        return Ok(next_look(&answer, &seen));
    };
    match carry_out(context, snapshot, &seen, effect).await {
        Ok(()) => Ok(next_look(&answer, &seen)),
        // No Job can be made any more, and the namespace must not wait for one.
        Err(error) if error.is_of_terminating_namespace() => {
            carry_out(
                context,
                snapshot,
                &seen,
                &Doing { act: decide::Act::Release, snapshot: effect.snapshot.clone() },
            )
            .await?;
            Ok(Duration::MAX)
        }
        Err(error) => {
            tell(Some(&Failure::from(&error))).await?;
            Err(error)
        }
    }
}

/// What became of the copy, once it is known.
fn told_of_removal(before: &[StepStatus], after: &[StepStatus]) -> Option<crate::events::Event> {
    let done = |steps: &[StepStatus]| {
        let found = steps.iter().find(|step| step.name == decide::REMOVE && step.state == StepState::Done);
        found.map(|step| step.message.clone())
    };
    let said = done(after).filter(|_| done(before).is_none())?;
    Some(if said.starts_with(decide::LEFT_BEHIND) { events::kept(&said) } else { events::removed(&said) })
}

fn next_look(answer: &Answer<Doing>, seen: &Observed) -> Duration {
    match answer {
        // A record that was written is acted on as soon as the cache shows it.
        Answer::Record => ECHO,
        // Nobody is told when the last of it has gone.
        Answer::Do { effect: Doing { act: decide::Act::Forget, .. }, .. } => AFTER_REMOVAL,
        Answer::Do { .. } => LOOK_WHILE_WAITING,
        Answer::Wait(pause) => {
            let until = pause.until.map_or(Duration::MAX, |until| pause_until(until, seen.now));
            until.min(LOOK_WHILE_WAITING)
        }
        Answer::Done | Answer::Failed { .. } => Duration::MAX,
    }
}

#[cfg(test)]
mod tests;
