//! Readings told as stories: Jobs that end as they like, others that come between, and operators that die.

mod ends;
mod findings;
mod model;
mod turns;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::{Just, Strategy, prop_assert, prop_oneof, proptest};
use serde_json::{Value, json};

use super::decide::{Act, Doing, READ, Seen, is_over, is_under_way, reading, recorded, sooner};
use super::due;
use super::status::{Outcome, given_up, status};
use crate::api::snapshot::{ArchivePolicy, RagSnapshot};
use crate::api::steps::StepState;
use crate::api::{ConditionReason, ConditionType, RagCluster};
use crate::cluster::observed::{Reading, last_at};
use crate::conditions::find;
use crate::job::tests::with_snapshots;
use crate::job::{Looked, Made, attempt_name};
use crate::snapshot::observed::Obstacle;
use crate::snapshot::report::{Cause, Report};
use crate::snapshot::tests::{World as Taking, done, way};
use crate::steps::{Answer, Standing, Turn, Window, advance};

const NOW: &str = "2026-12-28T08:00:00Z";

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

/// A snapshot that was taken and read back a month ago.
fn kept() -> RagSnapshot {
    let mut world = Taking::new(ArchivePolicy::Retain);
    world.settle();
    world.take = Some((1, done("nightly", true)));
    world.settle();
    world.snapshot
}

fn failed(cause: &Cause, at: &str) -> Looked {
    crate::snapshot::tests::failed(cause, self::at(at))
}

/// What there is of a reading, and what was done.
struct World {
    snapshot: RagSnapshot,
    way: Result<crate::snapshot::observed::Way, Obstacle>,
    sooner: Option<String>,
    yields_to: Option<String>,
    read: Option<(u32, Looked)>,
    now: Timestamp,
    done: Vec<Act>,
    outcomes: Vec<Outcome>,
}

impl World {
    fn new() -> Self {
        Self {
            snapshot: kept(),
            way: Ok(way()),
            sooner: None,
            yields_to: None,
            read: None,
            now: at(NOW),
            done: Vec::new(),
            outcomes: Vec::new(),
        }
    }

    fn seen(&self) -> Seen {
        let made = self.read.as_ref().map(|(number, _)| Made::job(&attempt_name("nightly-verify", *number)));
        Seen {
            now: self.now,
            way: self.way.clone(),
            sooner: self.sooner.clone(),
            yields_to: self.yields_to.clone(),
            read: self.read.clone(),
            made: made.into_iter().collect(),
        }
    }

    /// One pass over a reading that is due. `dies`: before its effect is made.
    fn pass(&mut self, dies: bool) -> Answer<Doing> {
        let seen = self.seen();
        let turn =
            Turn { now: self.now, awake: SignedDuration::from_hours(1000), window: Window::Open, standings: &[] };
        let steps = recorded(&self.snapshot);
        let steps = if is_over(steps) { &[] } else { steps };
        let after = advance(&reading(&self.snapshot), steps, &seen, &turn);
        let (new, outcome) = status(&self.snapshot, &seen, after.steps);
        self.outcomes.extend(outcome);
        self.snapshot.status = Some(new);
        if let (Answer::Do { effect, .. }, false) = (&after.answer, dies) {
            self.done.push(effect.act);
            match effect.act {
                Act::Read(number) => {
                    self.read =
                        Some((number, Looked::Pending { reason: None, why: "its pod is not there yet".into() }));
                }
                Act::Stop | Act::Forget => self.read = None,
            }
        }
        after.answer
    }

    fn settle(&mut self) {
        while matches!(self.pass(false), Answer::Record | Answer::Do { .. }) {}
    }

    /// The Job of the attempt that is under way ends so.
    fn ends(&mut self, looked: Looked) {
        let (number, _) = self.read.take().unwrap();
        self.read = Some((number, looked));
        self.settle();
    }

    fn verified(&self) -> (String, String, String) {
        let found = find(&self.snapshot.status.as_ref().unwrap().conditions, ConditionType::Verified).unwrap();
        (found.status.clone(), found.reason.clone(), found.message.clone())
    }

    fn is(&self, status: &str, reason: ConditionReason) {
        let (said, why, message) = self.verified();
        assert_eq!((said.as_str(), why.as_str()), (status, reason.as_str()), "{message}");
    }

    fn known(&self) -> Reading {
        Reading::of(&self.snapshot).unwrap()
    }
}
