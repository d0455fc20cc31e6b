//! What every test of restores stands on: one pass after the other, each of which sees what the one before has written.

mod full_drill;
mod full_drill_model;
mod in_place;
mod model;
mod sources;
mod stories;
mod trials;

use jiff::{SignedDuration, Timestamp};

use super::decide::{Deed, procedure};
use super::events::events;
use super::fixtures::{ASKED_AT, at};
use super::observed::Seen;
use super::status::status;
use crate::api::restore::RagRestore;
use crate::api::steps::StepState;
use crate::api::{ConditionType, RagRestoreStatus};
use crate::conditions::find;
use crate::steps::{Advance, Answer, Standing, Turn, Window, advance};

/// A restore, and what was told of it.
struct Told {
    restore: RagRestore,
    events: Vec<String>,
}

impl Told {
    fn of(restore: RagRestore) -> Self {
        Self { restore, events: Vec::new() }
    }

    fn pass(&mut self, seen: &Seen, now: Timestamp, standings: &[Standing]) -> Advance<Deed> {
        let seen = seen_by(&self.restore, seen);
        let turn = Turn { now, awake: SignedDuration::from_hours(999), window: Window::Open, standings };
        let recorded = seen.steps.clone();
        let after = advance(&procedure(&self.restore), &recorded, &seen, &turn);
        let new = status(&self.restore, &seen, &after, now);
        let told = events(self.restore.status.as_ref(), &new);
        self.events.extend(told.into_iter().map(|event| event.reason));
        self.restore.status = Some(new);
        after
    }

    /// Until it acts, waits or ends.
    fn answer(&mut self, seen: &Seen, time: &str) -> Answer<Deed> {
        self.answer_beside(seen, time, &[])
    }

    fn answer_beside(&mut self, seen: &Seen, time: &str, standings: &[Standing]) -> Answer<Deed> {
        let mut seen = seen.clone();
        for _ in 0..6 {
            match self.pass(&seen, at(time), standings).answer {
                Answer::Record => {}
                Answer::Do { effect: Deed::Forget { .. }, .. } => {
                    seen.attempts.clear();
                    seen.made.clear();
                }
                other => return other,
            }
        }
        panic!("it announces and announces")
    }

    /// What it does next, in words.
    fn deed(&mut self, seen: &Seen, time: &str) -> String {
        match self.answer(seen, time) {
            Answer::Do { effect, .. } => crate::steps::Effect::name(&effect),
            other => panic!("{other:?}"),
        }
    }

    /// What it waits for.
    fn waits(&mut self, seen: &Seen, time: &str) -> String {
        match self.answer(seen, time) {
            Answer::Wait(pause) => pause.why,
            other => panic!("{other:?}"),
        }
    }

    fn condition(&self, type_: ConditionType) -> (String, String) {
        let found = find(&self.status().conditions, type_).unwrap();
        (found.status.clone(), found.reason.clone())
    }

    fn status(&self) -> &RagRestoreStatus {
        self.restore.status.as_ref().unwrap()
    }

    /// Ready, with its reason; Stalled agrees with it once it has ended.
    fn ended(&mut self, seen: &Seen, time: &str) -> (String, String) {
        let answer = self.answer(seen, time);
        assert!(matches!(answer, Answer::Done | Answer::Failed { .. }), "{answer:?}");
        assert_eq!(self.condition(ConditionType::Reconciling), ("False".into(), "Settled".into()));
        let ready = self.condition(ConditionType::Ready);
        let stalled = self.condition(ConditionType::Stalled);
        assert_eq!(stalled.0 == "True", ready.0 == "False", "{stalled:?}");
        assert!(super::status::has_ended(&self.restore));
        ready
    }

    fn state(&self, step: &str) -> StepState {
        self.status().steps.iter().find(|found| found.name == step).unwrap().state
    }
}

/// As it is recorded when it waits or has ended.
pub(crate) fn after_passes(restore: RagRestore, seen: &Seen, time: &str) -> RagRestore {
    let mut told = Told::of(restore);
    told.answer(seen, time);
    told.restore
}

/// What is recorded is seen, too.
fn seen_by(restore: &RagRestore, seen: &Seen) -> Seen {
    let status = restore.status.clone().unwrap_or_default();
    Seen { steps: status.steps, recorded: status.result, ..seen.clone() }
}

/// So many seconds after it was asked for.
fn after(seconds: i64) -> String {
    (at(ASKED_AT) + SignedDuration::from_secs(seconds)).to_string()
}
