//! The lock, its queue, and what is told of it.

use super::{Mark, Told, at_the_switch, mark, record, rotation, states, time, turn};
use crate::api::steps::StepState::{self, Done, Failed, Pending, Queued, Running, Skipped, Waiting};
use crate::api::steps::StepStatus;
use crate::steps::{Answer, Disruption, Look, Pause, Priority, Procedure, Standing, Turn, Window, advance, next};

const CLOSED: Window = Window::Closed { opens_at: None };

/// Another procedure, as it is recorded.
fn other(name: &str, priority: Priority, recorded: &[StepStatus]) -> Standing {
    Standing::of(&Procedure { priority, ..rotation(name, Disruption::Urgent) }, recorded)
}

fn switching(name: &str, priority: Priority, state: StepState) -> Standing {
    other(name, priority, &at_the_switch(state, None))
}

/// A rotation that could switch, beside these: whether it may, or why not.
fn refusal(state: StepState, standings: &[Standing]) -> Option<String> {
    let seen: Told = vec![Look::Done(String::new()), Look::Begin(mark("switch")), Look::Done(String::new())];
    let recorded = at_the_switch(state, None);
    let advance = advance(&rotation("keys", Disruption::Urgent), &recorded, &seen, &turn(100, standings));
    match advance.answer {
        Answer::Wait(pause) => {
            assert_eq!(advance.steps[1].state, Queued);
            assert_eq!(advance.steps[1].message, pause.why);
            Some(pause.why)
        }
        Answer::Record | Answer::Do { .. } => None,
        Answer::Done | Answer::Failed { .. } => panic!("it is not at its end"),
    }
}

#[test]
fn nobody_begins_while_somebody_else_is_at_a_step_that_disrupts() {
    let holder = [switching("jwt", Priority::Maintenance, Running)];
    let why = Some("waits for jwt, which is at a step that disrupts".to_owned());
    assert_eq!(refusal(Pending, &holder), why);
    // Two that hold it can only be made by hand; who sees nothing under way gives it back.
    assert_eq!(refusal(Running, &holder), why);
    assert_eq!(refusal(Pending, &[switching("keys", Priority::Rotation, Running)]), None, "it is this one itself");
}

#[test]
fn who_waits_or_acts_without_disruption_or_has_ended_is_in_nobodys_way() {
    for state in [Pending, Waiting, Done, Failed, Skipped] {
        assert_eq!(refusal(Pending, &[switching("restore", Priority::Restore, state)]), None, "{state:?}");
    }
    let minting = other("restore", Priority::RevokeNow, &[record("mint", Running, Some(0))]);
    assert_eq!(refusal(Pending, &[minting]), None);
}

#[test]
fn the_more_urgent_goes_first_then_the_older_then_the_first_by_name() {
    let before = |name: &str, priority| refusal(Pending, &[switching(name, priority, Queued)]).is_some();
    for urgent in [Priority::RevokeNow, Priority::Restore, Priority::Rollout] {
        assert!(before("z", urgent), "{urgent:?}");
    }
    assert!(!before("a", Priority::Maintenance));
    assert!(before("a", Priority::Rotation) && !before("z", Priority::Rotation));
    let younger = Standing { created_at: time(1), ..switching("a", Priority::Rotation, Queued) };
    assert_eq!(refusal(Pending, &[younger]), None);
    // Who has the lock is overtaken by nobody.
    assert_eq!(refusal(Running, &[switching("z", Priority::RevokeNow, Queued)]), None);
    let both = [switching("b", Priority::Restore, Queued), switching("a", Priority::RevokeNow, Queued)];
    assert_eq!(refusal(Pending, &both), Some("waits for a, which goes first".to_owned()));
}

#[test]
fn a_closed_window_holds_what_is_planned_and_nothing_else() {
    let seen = |look: Look<Mark>| vec![Look::Done(String::new()), look, Look::Done(String::new())];
    let closed = Turn { window: Window::Closed { opens_at: Some(time(900)) }, ..turn(100, &[]) };
    let pass = |disruption, state, look: Look<Mark>| {
        advance(&rotation("keys", disruption), &at_the_switch(state, Some(40)), &seen(look), &closed)
    };
    for state in [Pending, Running] {
        let held = pass(Disruption::Planned, state, Look::Begin(mark("switch")));
        assert_eq!(held.answer, Answer::Wait(Pause::until("waits for a maintenance window", time(900))));
        assert_eq!(states(&held.steps), [Done, Queued, Pending]);
        assert_eq!(held.steps[1].started_at, None, "the time in the queue does not count");
    }
    for free in [Disruption::Urgent, Disruption::None] {
        assert_eq!(pass(free, Pending, Look::Begin(mark("switch"))).answer, Answer::Record, "{free:?}");
    }
    let half = pass(Disruption::Planned, Running, Look::Continue(mark("second half")));
    assert!(matches!(half.answer, Answer::Do { .. }), "what has begun is finished");
}

#[test]
fn who_waits_for_a_window_lets_the_less_urgent_pass() {
    let planned = Procedure { priority: Priority::Restore, ..rotation("restore", Disruption::Planned) };
    let standings = [Standing::of(&planned, &at_the_switch(Queued, None))];
    let seen: Told = vec![Look::Done(String::new()), Look::Begin(mark("switch")), Look::Done(String::new())];
    let pass = |window| {
        let turn = Turn { window, ..turn(100, &standings) };
        advance(&rotation("keys", Disruption::Urgent), &at_the_switch(Pending, None), &seen, &turn).answer
    };
    assert_eq!(pass(CLOSED), Answer::Record);
    assert!(matches!(pass(Window::Open), Answer::Wait(_)));
}

#[test]
fn what_comes_next_is_told_in_the_order_in_which_it_comes() {
    let said = |state: StepState, message: &str, until: i64| {
        let mut recorded = at_the_switch(state, (state != Queued).then_some(40));
        recorded[1].message = message.to_owned();
        recorded[1].until = Some(time(until).into());
        recorded
    };
    let ended = [record("mint", Failed, None), record("switch", Skipped, None), record("settle", Done, None)];
    let standings = [
        other("new", Priority::RevokeNow, &[]),
        other("drain", Priority::Restore, &said(Waiting, "one key is still used", 900)),
        other("late", Priority::Rotation, &said(Queued, "waits for a maintenance window", 50)),
        other("early", Priority::Rollout, &said(Queued, "waits for keys", 900)),
        other("ended", Priority::RevokeNow, &ended),
        other("keys", Priority::Maintenance, &said(Running, "switch", 900)),
    ];
    let told: Vec<(String, Option<i64>)> =
        next(&standings, time(100)).into_iter().map(|step| (step.what, step.at.map(|at| at.0.as_second()))).collect();
    let expected = [
        ("keys: finish step 2 of 3 (switch): switch", Some(900)),
        ("early: begin step 2 of 3 (switch): waits for keys", Some(900)),
        // The window has opened; the next pass sees it.
        ("late: begin step 2 of 3 (switch): waits for a maintenance window", None),
        ("new: begin step 1 of 3 (mint)", None),
        ("drain: finish step 2 of 3 (switch): one key is still used", Some(900)),
    ];
    assert_eq!(told, expected.map(|(what, at)| (what.to_owned(), at)));
}

#[test]
fn a_procedure_that_failed_is_at_what_cleans_up() {
    let failed = [record("mint", Failed, None), record("switch", Pending, None)];
    let current = other("keys", Priority::Rotation, &failed).current.unwrap();
    assert_eq!((current.step.number, current.of), (3, 3));
    let done = [record("mint", Done, None), record("switch", Done, None), record("settle", Done, None)];
    assert_eq!(other("keys", Priority::Rotation, &done).current, None);
}
