//! What every test of the steps stands on: a procedure that sees what it is told to see.

mod model;
mod queue;
mod table;

use super::{Disruption, Effect, Look, Priority, Procedure, Standing, Step, Turn, Window};
use crate::api::steps::{StepState, StepStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::Strategy;
use proptest::sample::select;

/// What a step does, by name alone.
#[derive(Clone, Debug, PartialEq)]
struct Mark(String);

impl Effect for Mark {
    fn name(&self) -> String {
        self.0.clone()
    }
}

fn mark(name: &str) -> Mark {
    Mark(name.to_owned())
}

/// Where the process dies in a pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Crash {
    None,
    BeforeTheRecord,
    BeforeTheEffect,
    AfterTheEffect,
}

/// As often as not it does not die.
pub(crate) fn crash() -> impl Strategy<Value = Crash> {
    select(vec![
        Crash::None,
        Crash::None,
        Crash::None,
        Crash::BeforeTheRecord,
        Crash::BeforeTheEffect,
        Crash::AfterTheEffect,
    ])
}

/// What each step sees.
type Told = Vec<Look<Mark>>;

/// How long each step may take.
const DEADLINE: SignedDuration = SignedDuration::from_mins(10);

fn time(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A step that answers what it is told at this place.
fn told(name: &str, place: usize, disruption: Disruption) -> Step<Told, Mark> {
    Step::new(name, disruption, DEADLINE, move |seen: &Told, _| seen[place].clone())
}

/// Mint, switch, settle: the one in the middle disrupts, the last one cleans up.
fn rotation(name: &str, disruption: Disruption) -> Procedure<Told, Mark> {
    let steps = vec![
        told("mint", 0, Disruption::None),
        told("switch", 1, disruption),
        told("settle", 2, Disruption::None).that_cleans_up(),
    ];
    Procedure { name: name.to_owned(), priority: Priority::Rotation, created_at: time(0), steps }
}

fn record(name: &str, state: StepState, started: Option<i64>) -> StepStatus {
    let finished_at = state.is_final().then(|| Time(time(started.unwrap_or_default())));
    let started_at = started.map(|second| Time(time(second)));
    StepStatus { number: 1, name: name.to_owned(), state, started_at, finished_at, until: None, message: String::new() }
}

/// Minted, and the switch is so far.
fn at_the_switch(state: StepState, started: Option<i64>) -> Vec<StepStatus> {
    vec![record("mint", StepState::Done, Some(10)), record("switch", state, started)]
}

fn turn(now: i64, standings: &[Standing]) -> Turn<'_> {
    Turn { now: time(now), awake: SignedDuration::from_hours(9), window: Window::Open, standings }
}

fn states(steps: &[StepStatus]) -> Vec<StepState> {
    steps.iter().map(|step| step.state).collect()
}
