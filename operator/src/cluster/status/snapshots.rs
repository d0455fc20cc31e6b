//! Snapshots and trials of a restore: what there is, what comes next, and whether it is as the spec asks.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Failure, Planned, cut, step, trend};
use crate::api::cluster::{
    DrillOutcome, DrillStatus, ExpiringSnapshot, FailedSnapshot, KeptSnapshot, NextStep, ScheduleStatus,
    SnapshotsStatus,
};
use crate::api::restore::RestoreResult;
use crate::api::{ConditionReason, ConditionType, RagClusterStatus, labels};
use crate::cluster::decide::snapshots::{SnapshotsPlan, Standing};
use crate::cluster::decide::verification;
use crate::cluster::observed::{
    Observed, Reading, RemovalState, Restore, RestoreState, Snapshot, SnapshotState, Trouble,
};
use crate::cluster::validate::{Problem, Snapshots, ValidatedCluster};
use crate::conditions::{self, Finding, State};
use crate::error::Class;

/// More of what is removed next than fits a glance is only counted by whoever looks at the objects.
const EXPIRING_MAX: usize = 16;

/// The block of the status; nothing while the spec asks for no snapshots.
pub(super) fn status(planned: &Planned, observed: &Observed) -> Option<SnapshotsStatus> {
    let plan = planned.plan.snapshots.as_ref()?;
    let kept = || newest_first(observed);
    Some(SnapshotsStatus {
        last: kept().first().map(|snapshot| summary(snapshot)),
        last_verified: last_verified(observed).map(summary),
        last_failed: last_failed(observed)
            .map(|(snapshot, reason, _)| FailedSnapshot { name: snapshot.name.clone(), reason: cut(reason, 64) }),
        kept: i32::try_from(kept().len()).unwrap_or(i32::MAX),
        schedules: plan.standings.iter().map(|standing| schedule(standing, planned.plan.paused)).collect(),
        expiring: expiring(plan),
        last_drill: last_drill(observed).and_then(|(drill, at)| drill_status(drill, at)),
        drills: trend::drills(observed),
    })
}

/// SnapshotsHealthy and RestoreVerified.
pub(super) fn findings(planned: Option<&Planned>, observed: &Observed) -> Vec<Finding> {
    let Some(planned) = planned else { return Vec::new() };
    let (cluster, plan) = (&planned.cluster, &planned.plan);
    let (Some(asked), Some(of)) = (&cluster.snapshots, &plan.snapshots) else { return Vec::new() };
    let unscheduled = planned.unscheduled.as_ref().and_then(unscheduled);
    let healthy = unscheduled.unwrap_or_else(|| healthy(cluster, asked, of, observed));
    [Some(healthy), verified(asked, observed)].into_iter().flatten().collect()
}

/// Whether the condition is one of those above; without a plan nothing new can be said about them.
pub(super) fn is_ours(type_: &str) -> bool {
    let ours = [ConditionType::SnapshotsHealthy, ConditionType::RestoreVerified];
    ours.iter().any(|ours| ours.as_str() == type_)
}

/// Whether snapshots wait for a Secret, which nobody watches.
pub(super) fn wait_for_a_person(status: &RagClusterStatus) -> bool {
    let found = conditions::find(&status.conditions, ConditionType::SnapshotsHealthy);
    found.is_some_and(|found| found.reason == ConditionReason::SecretMissing.as_str())
}

/// What comes next of them. While nobody carries the plan out, nothing does.
pub(super) fn next(planned: &Planned, observed: &Observed) -> Vec<NextStep> {
    let Some(plan) = planned.plan.snapshots.as_ref().filter(|_| !planned.plan.paused) else { return Vec::new() };
    let mut next = Vec::new();
    let what = |standing: &Standing| match standing.name.as_str() {
        labels::DRILL => "try a restore of the newest snapshot".to_owned(),
        labels::FULL_DRILL => "try a restore of the newest snapshot in another namespace".to_owned(),
        name => format!("take a snapshot by schedule {name}"),
    };
    for is_drill in [false, true] {
        let ours = plan.standings.iter().filter(|standing| is_of_drills(standing) == is_drill);
        let first = ours.filter_map(|standing| Some((standing.turn.next_at?, standing))).min_by_key(|(at, _)| *at);
        next.extend(first.map(|(at, standing)| step(what(standing), Some(Time(at)))));
    }
    next.extend(plan.standings.iter().filter_map(|standing| {
        let holder = standing.turn.held_by.as_ref()?;
        Some(step(format!("{}, which is due, when {holder} has ended", what(standing)), None))
    }));
    let asked = planned.cluster.snapshots.as_ref();
    let reading = asked.and_then(|asked| verification::next(asked, observed));
    next.extend(
        reading.map(|(at, reading)| step(format!("read RagSnapshot {} again", reading.snapshot), Some(Time(at)))),
    );
    for (destination, names) in &plan.retention.expired {
        next.push(step(format!("remove from destination {destination}: {}", names.join(", ")), None));
    }
    next
}

fn is_of_drills(standing: &Standing) -> bool {
    [labels::DRILL, labels::FULL_DRILL].contains(&standing.name.as_str())
}

fn time(at: Option<Timestamp>) -> Option<Time> {
    at.map(Time)
}

fn summary(snapshot: &Snapshot) -> KeptSnapshot {
    let kept = snapshot.kept();
    KeptSnapshot {
        name: snapshot.name.clone(),
        destination: kept.map(|kept| kept.destination.clone()).unwrap_or_default(),
        taken_at: Time(kept.map_or(snapshot.due_at, |kept| kept.began_at)),
    }
}

fn schedule(standing: &Standing, is_paused: bool) -> ScheduleStatus {
    let Standing { name, line, since, last_due, turn } = standing;
    ScheduleStatus {
        name: name.clone(),
        schedule: line.clone(),
        since: Time(*since),
        last_due_at: time(*last_due),
        next_at: time(turn.next_at).filter(|_| !is_paused),
    }
}

fn expiring(plan: &SnapshotsPlan) -> Vec<ExpiringSnapshot> {
    let now = plan.retention.expired.values().flatten().map(|name| (name, true));
    let later = plan.retention.next.iter().map(|name| (name, false));
    now.chain(later).take(EXPIRING_MAX).map(|(name, now)| ExpiringSnapshot { name: name.clone(), now }).collect()
}

/// Those in an archive.
fn newest_first(observed: &Observed) -> Vec<&Snapshot> {
    let mut kept: Vec<&Snapshot> =
        observed.snapshots.iter().filter(|one| one.kept().is_some() && !one.is_going).collect();
    kept.sort_by_key(|one| std::cmp::Reverse((one.kept().map(|kept| kept.began_at), one.name.as_str())));
    kept
}

fn last_verified(observed: &Observed) -> Option<&Snapshot> {
    newest_first(observed).into_iter().find(|one| one.kept().is_some_and(|kept| kept.is_verified))
}

/// The newest failure that nothing newer of the same schedule, or by hand, has made good.
fn last_failed(observed: &Observed) -> Option<(&Snapshot, &str, &str)> {
    let is_newer = |one: &Snapshot, failed: &Snapshot| {
        one.schedule == failed.schedule && one.kept().is_some() && one.due_at > failed.due_at
    };
    let failed = observed.snapshots.iter().filter_map(|one| match &one.state {
        SnapshotState::Failed { reason, message } => Some((one, reason.as_str(), message.as_str())),
        SnapshotState::UnderWay | SnapshotState::Kept(_) => None,
    });
    let stands = failed.filter(|(failed, ..)| !observed.snapshots.iter().any(|one| is_newer(one, failed)));
    stands.max_by_key(|(failed, ..)| failed.due_at)
}

/// What does not pass by itself.
fn unscheduled(failure: &Failure) -> Option<Finding> {
    let reason = match failure.class {
        Class::Forbidden => ConditionReason::Forbidden,
        Class::Invalid => ConditionReason::Rejected,
        Class::Conflict | Class::Transient => return None,
    };
    let message = format!("{}; {}", failure.message, failure.remedy);
    Some(Finding::new(ConditionType::SnapshotsHealthy, State::False, reason, message))
}

fn healthy(cluster: &ValidatedCluster, asked: &Snapshots, plan: &SnapshotsPlan, observed: &Observed) -> Finding {
    let found = |state, reason, message: String| Finding::new(ConditionType::SnapshotsHealthy, state, reason, message);
    if asked.destinations.is_empty() {
        let message = "no snapshot is taken: name a place for them in spec.snapshots.destinations";
        return found(State::False, ConditionReason::NoDestination, message.to_owned());
    }
    if let Some(first) = asked.problems.first() {
        let all: Vec<String> = asked.problems.iter().map(Problem::to_string).collect();
        return found(State::False, first.reason, all.join("; "));
    }
    if cluster.paused {
        let message = "no snapshot is taken while spec.paused is true; what is due then is taken once it is removed";
        return found(State::False, ConditionReason::Paused, message.to_owned());
    }
    if asked.suspended {
        let message = "no snapshot is taken by a schedule while spec.snapshots.suspend is true";
        return found(State::False, ConditionReason::Suspended, message.to_owned());
    }
    let trouble = failing(asked, observed)
        .or_else(|| overdue(asked, plan, observed))
        .or_else(|| unread(asked, observed))
        .or_else(|| unremoved(observed))
        .or_else(|| Some(sparse(asked, plan.gap?)))
        .map(|(reason, message)| found(State::False, reason, message));
    trouble.unwrap_or_else(|| match newest_first(observed).first() {
        Some(newest) => {
            let at = newest.kept().map_or(newest.due_at, |kept| kept.began_at);
            let message = format!("what was acknowledged before {at} is in RagSnapshot {}", newest.name);
            found(State::True, ConditionReason::UpToDate, message)
        }
        None => {
            let message =
                "there is no snapshot yet, and none is late; status.next says when the next is taken".to_owned();
            found(State::True, ConditionReason::AwaitingFirst, message)
        }
    })
}

/// A schedule whose newest snapshot could not be taken. What somebody did by hand is told by its own object.
fn failing(asked: &Snapshots, observed: &Observed) -> Option<(ConditionReason, String)> {
    let mut failing = Vec::new();
    for schedule in &asked.schedules {
        let ended = observed
            .of_schedule(&schedule.name)
            .filter(|one| one.state != SnapshotState::UnderWay && one.due_at <= observed.now);
        let newest = ended.max_by_key(|one| (one.due_at, one.name.as_str()));
        if let Some(Snapshot { name, state: SnapshotState::Failed { reason, message }, .. }) = newest {
            failing.push((known(reason, ConditionReason::Failing), format!("RagSnapshot {name}: {message}")));
        }
    }
    let (reason, _) = *failing.first()?;
    let all: Vec<String> = failing.into_iter().map(|(_, message)| message).collect();
    Some((reason, format!("{}; the next is tried when its schedule comes", all.join("; "))))
}

/// The reason of another object's condition, as long as it is one of ours.
fn known(reason: &str, otherwise: ConditionReason) -> ConditionReason {
    ConditionReason::ALL.iter().copied().find(|known| known.as_str() == reason).unwrap_or(otherwise)
}

fn overdue(asked: &Snapshots, plan: &SnapshotsPlan, observed: &Observed) -> Option<(ConditionReason, String)> {
    let now = observed.now;
    let is_there = |standing: &Standing, owed: Timestamp| {
        observed
            .of_schedule(&standing.name)
            .filter(|one| one.kept().is_some())
            .any(|one| one.due_at >= owed && one.due_at <= now)
    };
    // What was asked for and deleted since is nobody's fault but whose who deleted it.
    let is_deleted = |standing: &Standing, owed: Timestamp| {
        standing.last_due.is_some_and(|last| last >= owed)
            && !observed.of_schedule(&standing.name).any(|one| one.due_at == owed)
    };
    let late = plan.standings.iter().filter(|standing| !is_of_drills(standing)).find_map(|standing| {
        let (owed, told_at) = (standing.turn.owed?, standing.turn.overdue_at?);
        let is_late = told_at <= now && !is_there(standing, owed) && !is_deleted(standing, owed);
        is_late.then(|| match &standing.turn.held_by {
            Some(holder) => {
                format!("schedule {} was due at {owed}, and RagSnapshot {holder} has not ended", standing.name)
            }
            None => format!("the snapshot that schedule {} asked for at {owed} is not in the archive", standing.name),
        })
    });
    let late = late.or_else(|| {
        let objective = SignedDuration::from_secs(asked.objectives.rpo_seconds?);
        let newest = newest_first(observed).first()?.kept()?.began_at;
        let is_stale = newest.checked_add(objective).is_ok_and(|at| at <= now);
        is_stale.then(|| {
            let seconds = objective.as_secs();
            format!("the newest snapshot is of {newest}, and objectives.rpoSeconds allows {seconds} seconds")
        })
    })?;
    Some((ConditionReason::Overdue, format!("{late}; see the RagSnapshots of this cluster for what they wait for")))
}

/// Copies that are not what was taken, or that could not be read when it was time. The first that is wrong goes before any that
/// could not be read.
fn unread(asked: &Snapshots, observed: &Observed) -> Option<(ConditionReason, String)> {
    let ours = || observed.readings.iter().filter(|reading| asked.names(&reading.destination));
    let wrong = ours().filter_map(|reading| Some((reading, reading.fault.as_ref()?)));
    let wrong: Vec<(&Reading, &Trouble)> = wrong.collect();
    if let Some((_, first)) = wrong.first() {
        let all: Vec<String> = wrong
            .iter()
            .map(|(reading, fault)| format!("RagSnapshot {}: {}", reading.snapshot, fault.message))
            .collect();
        let message = format!("{}; take another one, and delete what nobody can restore", all.join("; "));
        return Some((known(&first.reason, ConditionReason::Damaged), message));
    }
    let (reading, failure) = ours().find_map(|reading| Some((reading, &reading.failure.as_ref()?.1)))?;
    let message = format!(
        "RagSnapshot {} could not be read again: {}; it is tried again every hour",
        reading.snapshot, failure.message
    );
    Some((known(&failure.reason, ConditionReason::NotReadBack), message))
}

/// Copies that nothing keeps any more, and that are there still.
fn unremoved(observed: &Observed) -> Option<(ConditionReason, String)> {
    observed.removals.iter().find_map(|removal| match &removal.state {
        RemovalState::Failed { at, message, .. } => {
            let (destination, names) = (&removal.destination, removal.names.join(", "));
            let message = format!(
                "{names} could not be removed from destination {destination} at {at}: {message}; it is tried again an hour later"
            );
            Some((ConditionReason::RemovalFailed, message))
        }
        RemovalState::UnderWay | RemovalState::Done | RemovalState::Remains => None,
    })
}

fn sparse(asked: &Snapshots, gap: SignedDuration) -> (ConditionReason, String) {
    let allowed = asked.objectives.rpo_seconds.unwrap_or_default();
    let message = format!(
        "the schedules leave {} seconds between two snapshots, and objectives.rpoSeconds allows {allowed}; add a schedule \
         that comes more often, or raise the objective",
        gap.as_secs()
    );
    (ConditionReason::ObjectiveUnreachable, message)
}

/// The trial that ended last.
fn last_drill(observed: &Observed) -> Option<(&Restore, Timestamp)> {
    trend::ended(observed).into_iter().next()
}

/// How a trial ended; nothing while it is under way.
pub(super) fn outcome(state: &RestoreState) -> Option<DrillOutcome> {
    match state {
        RestoreState::UnderWay => None,
        RestoreState::Passed { .. } => Some(DrillOutcome::Passed),
        RestoreState::Failed { .. } => Some(DrillOutcome::Failed),
        RestoreState::Skipped { .. } => Some(DrillOutcome::Skipped),
    }
}

fn drill_status(drill: &Restore, at: Timestamp) -> Option<DrillStatus> {
    let outcome = outcome(&drill.state)?;
    let RestoreResult { rto, rto_seconds, rpo_seconds, recall_percent, .. } = drill.result.clone().unwrap_or_default();
    let summary = [Some(outcome.as_str().to_owned()), rto].into_iter().flatten().collect::<Vec<_>>().join(" ");
    Some(DrillStatus {
        name: drill.name.clone(),
        outcome,
        summary: cut(&summary, 64),
        finished_at: Time(at),
        snapshot: drill.snapshot.clone(),
        rto_seconds,
        rpo_seconds,
        recall_percent,
    })
}

/// Absent until a trial has ended: before, there is nothing to say.
fn verified(asked: &Snapshots, observed: &Observed) -> Option<Finding> {
    let found = |state, reason, message: String| Finding::new(ConditionType::RestoreVerified, state, reason, message);
    let (drill, at) = last_drill(observed)?;
    let name = &drill.name;
    let took = drill.result.as_ref().and_then(|result| result.rto_seconds);
    Some(match &drill.state {
        RestoreState::UnderWay => return None,
        RestoreState::Failed { reason, message, .. } => {
            let why = format!("RagRestore {name} failed at {at}: {message}");
            found(State::False, known(reason, ConditionReason::DrillFailed), why)
        }
        RestoreState::Skipped { message, .. } => {
            let why = format!("RagRestore {name} was skipped at {at}, so nothing is known: {message}");
            found(State::False, ConditionReason::DrillSkipped, why)
        }
        RestoreState::Passed { .. } => match (took, asked.objectives.rto_seconds) {
            (Some(took), Some(allowed)) if took > allowed as f64 => {
                let why = format!(
                    "RagRestore {name} passed at {at}, and took {took:.1} seconds, where objectives.rtoSeconds allows \
                     {allowed}; give the servers and the store more CPU, or raise the objective"
                );
                found(State::False, ConditionReason::TooSlow, why)
            }
            _ => {
                let of = drill.snapshot.as_deref().unwrap_or("the newest snapshot");
                let compared = trend::compared(observed).map(|said| format!("; it {said}")).unwrap_or_default();
                let message = format!("RagRestore {name} restored {of} at {at}{compared}");
                found(State::True, ConditionReason::DrillPassed, message)
            }
        },
    })
}
