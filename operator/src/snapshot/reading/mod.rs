//! Reads a snapshot again that is kept, when its last reading is as old as the cluster's spec says, and says what was found.
//!
//! `decide` and `status` are pure; this reads what they need and carries out what they ask for.

pub mod decide;
pub mod status;

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;

use super::carry_out::attempt;
use super::observe::way;
use super::{AFTER_REMOVAL, LOOK_WHILE_WAITING, command, events};
use crate::api::RagCluster;
use crate::api::cluster::Snapshots;
use crate::api::restore::RestoreMode;
use crate::api::snapshot::RagSnapshot;
use crate::caches::Caches;
use crate::cluster::decide::verification::{Known, due_at};
use crate::cluster::observed::last_at;
use crate::context::Context;
use crate::controller::{ECHO, pause_until};
use crate::error::Error;
use crate::job::{Attached, Looked, attempt_number, made_for, newest_attempt, remove};
use crate::objects::ObjectId;
use crate::procedures;
use crate::report::report;
use crate::steps::{Advance, Answer, Standing, Turn, Window, advance};
use decide::{Act, Doing, Seen, has_only_waited, is_over, reading, recorded};

/// One pass over the reading of a snapshot that is taken. Nothing is written where none is due.
pub(super) async fn read_again(context: &Context, caches: &Caches, snapshot: &RagSnapshot) -> Result<Duration, Error> {
    let (steps, now) = (recorded(snapshot), (context.now)());
    if is_over(steps) || has_only_waited(steps) {
        let namespace = snapshot.namespace().unwrap_or_default();
        let cluster = caches.clusters.present(&namespace, &snapshot.spec.cluster);
        let due = cluster.and_then(|cluster| due(snapshot, &cluster, now));
        if due.is_none_or(|due| due > now) {
            if !is_over(steps) {
                report(context, snapshot, &status::given_up(snapshot), &[]).await?;
            }
            return Ok(due.map_or(Duration::MAX, |due| pause_until(due, now)));
        }
    }
    let seen = observe(context, caches, snapshot, now).await;
    let recorded = if is_over(steps) { &[] } else { steps };
    let turn = Turn { now, awake: context.awake(), window: Window::Open, standings: &[] };
    let Advance { steps, answer } = advance(&reading(snapshot), recorded, &seen, &turn);
    let (new, outcome) = status::status(snapshot, &seen, steps);
    let told = events::events(snapshot.status.as_ref(), &new, false);
    report(context, snapshot, &new, &told).await?;
    if let Some(outcome) = outcome {
        context.metrics.snapshots.readings.with_label_values(&[outcome.as_str()]).inc();
    }
    Ok(match answer {
        Answer::Record | Answer::Done | Answer::Failed { .. } => ECHO,
        Answer::Do { effect, .. } => {
            carry_out(context, snapshot, &seen, &effect).await?;
            match effect.act {
                Act::Read(_) => LOOK_WHILE_WAITING,
                Act::Stop | Act::Forget => AFTER_REMOVAL,
            }
        }
        Answer::Wait(pause) => {
            pause.until.map_or(Duration::MAX, |until| pause_until(until, now)).min(LOOK_WHILE_WAITING)
        }
    })
}

/// When it is to be read again; nothing where nobody asks for that, or nobody knows where it is.
fn due(snapshot: &RagSnapshot, cluster: &RagCluster, now: Timestamp) -> Option<Timestamp> {
    let asked = cluster.spec.snapshots.as_ref().filter(|_| !cluster.spec.paused)?;
    let Snapshots { destinations, suspend, verification, .. } = asked;
    let verification = verification.clone().unwrap_or_default();
    let status = snapshot.status.as_ref()?;
    let destination = &status.archive.as_ref()?.destination;
    if *suspend || verification.suspend || !destinations.iter().any(|one| one.name == *destination) {
        return None;
    }
    let uid = snapshot.uid().unwrap_or_default();
    let failure = status.reading.as_ref().and_then(|reading| reading.failure.as_ref());
    let known = Known { uid: &uid, last_at: last_at(snapshot), failed_at: failure.map(|failure| failure.at.0) };
    Some(due_at(known, verification.every_days, now))
}

async fn observe(context: &Context, caches: &Caches, snapshot: &RagSnapshot, now: Timestamp) -> Seen {
    let (uid, base) = (snapshot.uid().unwrap_or_default(), decide::base(&snapshot.name_any()));
    let read = newest_attempt(caches, &uid, &base);
    let is_under_way = matches!(read, Some((_, Looked::Pending { .. } | Looked::Running)));
    let mine = Standing::of(&reading(snapshot), recorded(snapshot));
    let destination = snapshot.status.as_ref().and_then(|status| status.archive.as_ref());
    let destination = destination.map(|archive| archive.destination.as_str());
    Seen {
        now,
        way: way(context, caches, snapshot, (destination, !is_under_way)).await,
        sooner: decide::sooner(&mine, &procedures::standings(caches, &snapshot.spec.cluster)),
        yields_to: urgent(caches, &snapshot.spec.cluster),
        read,
        made: made_for(caches, &uid, |name| attempt_number(&base, name).is_some()),
    }
}

/// A restore of what is served that has not ended.
fn urgent(caches: &Caches, cluster: &str) -> Option<String> {
    procedures::restores(caches, cluster, RestoreMode::InPlace).into_iter().next().map(|standing| standing.name)
}

/// Does it. An effect whose way has been barred since it was decided does nothing: the next pass sees why.
async fn carry_out(context: &Context, snapshot: &RagSnapshot, seen: &Seen, doing: &Doing) -> Result<(), Error> {
    let name = snapshot.name_any();
    let in_archive = snapshot.status.as_ref().and_then(|status| status.archive.as_ref());
    let in_archive = in_archive.map_or(name.as_str(), |archive| archive.name.as_str());
    match doing.act {
        Act::Stop | Act::Forget => remove(context, &ObjectId::of(snapshot), &seen.made).await,
        Act::Read(number) => {
            let args = command::verify(in_archive);
            attempt(context, snapshot, (&seen.way, &seen.made, Attached::Nothing), (&decide::base(&name), number, args))
                .await
        }
    }
}

#[cfg(test)]
mod tests;
