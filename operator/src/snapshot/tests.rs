//! What is done for a snapshot, told as tables and as a world in which Jobs end as they like and operators die.

mod deaths;
pub(crate) mod job;
mod model;
mod removal;
mod stories;
mod taking;
mod waiting;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::decide::{Act, Doing, FINALIZER, has_ended, leaving, recorded, taking};
use super::observed::{Observed, Obstacle, Way};
use super::report::{Cause, Report};
use super::{events, status, told_of_removal, turn};
use crate::api::progress::JobProgress;
use crate::api::snapshot::{ArchivePolicy, RagSnapshot, RagSnapshotStatus};
use crate::api::{ConditionReason, ConditionType};
use crate::conditions::find;
use crate::events::Severity;
use crate::job::tests::{servers_after_a_pass, with_snapshots};
use crate::job::{Archive, Attached, Failure as JobFailure, Looked, Made, attempt_name};
use crate::steps::{Advance, Answer, advance};

const CREATED: &str = "2026-11-21T08:00:00Z";

fn snapshot(policy: ArchivePolicy) -> RagSnapshot {
    serde_json::from_value(json!({
        "apiVersion": "ragops.dev/v1alpha1", "kind": "RagSnapshot",
        "metadata": {"name": "nightly", "namespace": "team-a", "uid": "s1", "generation": 1, "creationTimestamp": CREATED},
        "spec": {"cluster": "handbook", "deletionPolicy": policy},
    }))
    .unwrap()
}

pub(super) fn way() -> Way {
    let cluster = with_snapshots("");
    let archive = Archive::of("handbook", cluster.spec.snapshots.as_ref(), None).unwrap();
    let servers = servers_after_a_pass(&cluster).unwrap();
    Way { attached: Attached::of(&cluster, servers.config.len()), servers, archive }
}

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

/// The same words that the program's own report has.
pub(super) fn done(name: &str, verified: bool) -> Looked {
    let snapshot = json!({
        "name": name, "place": "s3://archive/team-a/handbook", "sha256": "ab".repeat(32), "began": "2026-11-21T08:01:00Z",
        "ended": "2026-11-21T08:01:10Z", "last_write": "2026-11-21T08:00:30Z", "documents": 10, "chunks": 100, "left_out": 1,
        "bytes": 4096, "encrypted": true, "signed": true, "format": 1,
    });
    of_report(json!({"outcome": "done", "snapshot": snapshot, "written_bytes": 7, "verified": verified}))
}

fn of_report(body: Value) -> Looked {
    Looked::Done { report: Report::parse(&body.to_string()).unwrap(), at: Some(at("2026-11-21T08:01:20Z")) }
}

pub(super) fn failed(cause: &Cause, at: Timestamp) -> Looked {
    let failure = JobFailure::Reported { cause: cause.clone(), message: "as it says".into() };
    Looked::Failed { failure, at: Some(at) }
}

/// Everything that is there, and what was done to it.
#[derive(Clone)]
pub(super) struct World {
    pub(super) snapshot: RagSnapshot,
    way: Result<Way, Obstacle>,
    sooner: Option<String>,
    reading: Option<String>,
    pub(super) take: Option<(u32, Looked)>,
    progress: Option<JobProgress>,
    removal: Option<(u32, Looked)>,
    made: BTreeSet<String>,
    now: Timestamp,
    done: Vec<Act>,
    told: Vec<(Severity, String)>,
    is_gone: bool,
}

impl World {
    pub(super) fn new(policy: ArchivePolicy) -> Self {
        Self {
            snapshot: snapshot(policy),
            way: Ok(way()),
            sooner: None,
            reading: None,
            take: None,
            progress: None,
            removal: None,
            made: BTreeSet::new(),
            now: at(CREATED),
            done: Vec::new(),
            told: Vec::new(),
            is_gone: false,
        }
    }

    fn seen(&self) -> Observed {
        Observed {
            now: self.now,
            awake: SignedDuration::from_hours(1000),
            way: self.way.clone(),
            sooner: self.sooner.clone(),
            reading: self.reading.clone(),
            take: self.take.clone(),
            progress: self.progress.clone(),
            removal: self.removal.clone(),
            made: self.made.iter().map(|name| Made::job(name)).collect(),
        }
    }

    /// One pass. `dies`: before its effect is made.
    fn pass(&mut self, dies: bool) -> Answer<Doing> {
        if has_ended(recorded(&self.snapshot)) {
            return Answer::Done;
        }
        let seen = self.seen();
        let Advance { steps, answer } = advance(&taking(&self.snapshot), recorded(&self.snapshot), &seen, &turn(&seen));
        let new = status::status(&self.snapshot, &seen, steps, None);
        self.tell(new, false);
        self.carry_out(&answer, dies);
        answer
    }

    fn depart(&mut self) -> Answer<Doing> {
        let seen = self.seen();
        let in_status = self.snapshot.status.as_ref().is_some_and(|status| status.archive.is_some());
        let is_known = in_status || status::archive(&self.snapshot, &seen).is_some();
        let procedure = leaving(&self.snapshot, is_known);
        let Advance { steps, answer } = advance(&procedure, recorded(&self.snapshot), &seen, &turn(&seen));
        let event = told_of_removal(recorded(&self.snapshot), &steps);
        self.told.extend(event.map(|event| (event.severity, event.reason)));
        let new = status::leaving(&self.snapshot, &seen, steps, None);
        self.tell(new, true);
        self.carry_out(&answer, false);
        answer
    }

    fn tell(&mut self, new: RagSnapshotStatus, is_going: bool) {
        let told = events::events(self.snapshot.status.as_ref(), &new, is_going);
        self.told.extend(told.into_iter().map(|event| (event.severity, event.reason)));
        self.snapshot.status = Some(new);
    }

    fn carry_out(&mut self, answer: &Answer<Doing>, dies: bool) {
        let Answer::Do { effect, .. } = answer else { return };
        if dies {
            return;
        }
        self.done.push(effect.act);
        let pending = || Looked::Pending { reason: None, why: "its pod is not there yet".into() };
        match effect.act {
            Act::Hold => self.snapshot.metadata.finalizers = Some(vec![FINALIZER.to_owned()]),
            Act::Take(number) => {
                self.made = [attempt_name("nightly-take", number)].into();
                self.take = Some((number, pending()));
            }
            Act::Remove(number) => self.removal = Some((number, pending())),
            Act::Forget => {
                self.made.clear();
                self.take = None;
            }
            Act::Release => {
                self.snapshot.metadata.finalizers = None;
                self.is_gone = true;
            }
        }
    }

    /// Passes until nothing is done any more.
    pub(super) fn settle(&mut self) {
        while matches!(self.pass(false), Answer::Record | Answer::Do { .. }) {}
    }

    fn said(&self, type_: ConditionType) -> (String, String, String) {
        let status = self.snapshot.status.as_ref().unwrap();
        let found = find(&status.conditions, type_).unwrap_or_else(|| panic!("no {type_}"));
        (found.status.clone(), found.reason.clone(), found.message.clone())
    }

    fn is(&self, type_: ConditionType, state: &str, reason: ConditionReason) {
        let (status, said, message) = self.said(type_);
        assert_eq!((status.as_str(), said.as_str()), (state, reason.as_str()), "{type_}: {message}");
    }
}
