//! One pass, case by case.

use super::{DEADLINE, Mark, Told, at_the_switch, mark, record, rotation, states, time, turn};
use crate::api::steps::StepState::{Done, Failed, Pending, Queued, Running, Skipped, Waiting};
use crate::api::steps::{StepState, StepStatus};
use crate::steps::{Advance, Answer, At, Disruption, Look, Pause, Priority, Procedure, Step, Turn, advance};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

const SECOND: SignedDuration = SignedDuration::from_secs(1);

fn done() -> Look<Mark> {
    Look::Done("seen".to_owned())
}

fn pause(why: &str) -> Pause {
    Pause::for_change(why)
}

/// Everything is done but the switch, which sees this.
fn switch_sees(look: Look<Mark>) -> Told {
    vec![done(), look, done()]
}

/// At second 100.
fn pass(recorded: &[StepStatus], seen: &Told) -> Advance<Mark> {
    advance(&rotation("keys", Disruption::Urgent), recorded, seen, &turn(100, &[]))
}

#[test]
fn what_the_step_sees_decides_and_an_effect_is_announced_before_it_is_made() {
    let wait = |second| Answer::Wait(Pause::until("so", time(second)));
    let act = |name: &str, within: i32| Answer::Do { effect: mark(name), within: SECOND * within };
    // Recorded, since when; seen; the state, since when, and the answer.
    type Row = (StepState, Option<i64>, Look<Mark>, StepState, Option<i64>, Answer<Mark>);
    let table: Vec<Row> = vec![
        (Pending, None, Look::Wait(pause("so")), Waiting, Some(100), wait(700)),
        (Pending, None, Look::Wait(Pause::until("so", time(150))), Waiting, Some(100), wait(150)),
        (Pending, None, Look::Begin(mark("a")), Running, Some(100), Answer::Record),
        (Waiting, Some(40), Look::Begin(mark("a")), Running, Some(40), Answer::Record),
        (Queued, None, Look::Begin(mark("a")), Running, Some(100), Answer::Record),
        (Running, Some(40), Look::Begin(mark("a")), Running, Some(40), act("a", 540)),
        (Running, Some(40), Look::Continue(mark("b")), Running, Some(40), act("b", 540)),
        (Running, Some(40), Look::UnderWay(pause("so")), Running, Some(40), wait(640)),
        // What was begun by somebody whose record is lost.
        (Pending, None, Look::UnderWay(pause("so")), Running, Some(100), wait(700)),
        (Pending, None, Look::Continue(mark("b")), Running, Some(100), Answer::Record),
        // A wait gives the lock back.
        (Running, Some(40), Look::Wait(pause("so")), Waiting, Some(40), wait(640)),
        (Running, Some(40), done(), Done, Some(40), Answer::Done),
        (Queued, None, done(), Done, Some(100), Answer::Done),
    ];
    for (row, (state, since, look, then, then_since, answer)) in table.into_iter().enumerate() {
        let advance = pass(&at_the_switch(state, since), &switch_sees(look));
        assert_eq!(advance.answer, answer, "row {row}");
        assert_eq!(advance.steps[1].state, then, "row {row}");
        assert_eq!(advance.steps[1].started_at, then_since.map(|second| Time(time(second))), "row {row}");
    }
}

#[test]
fn one_pass_goes_through_all_that_is_done_already_and_says_so() {
    let advance = pass(&[], &switch_sees(done()));
    assert_eq!(advance.answer, Answer::Done);
    assert_eq!(states(&advance.steps), [Done, Done, Done]);
    assert_eq!(advance.steps.iter().map(|step| step.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(advance.steps[2].finished_at, Some(Time(time(100))));
    assert_eq!(advance.steps[2].message, "seen");
}

#[test]
fn a_procedure_without_steps_is_done() {
    let empty: Procedure<Told, Mark> =
        Procedure { name: "nothing".to_owned(), priority: Priority::Rollout, created_at: time(0), steps: Vec::new() };
    assert_eq!(advance(&empty, &[], &Vec::new(), &turn(100, &[])).answer, Answer::Done);
}

#[test]
fn a_step_that_is_done_is_not_looked_at_again() {
    let seen = vec![Look::Begin(mark("mint again")), Look::Begin(mark("switch")), done()];
    let advance = pass(&at_the_switch(Running, Some(40)), &seen);
    assert!(matches!(advance.answer, Answer::Do { effect, .. } if effect == mark("switch")));
    assert_eq!(advance.steps[0].finished_at, Some(Time(time(10))));
}

#[test]
fn after_a_failure_only_what_cleans_up_is_taken_and_the_failure_is_told_at_the_end() {
    let mut seen = vec![Look::Failed("no room".to_owned()), Look::Begin(mark("switch")), Look::Begin(mark("clean"))];
    let first = pass(&[], &seen);
    assert_eq!(states(&first.steps), [Failed, Skipped, Running]);
    assert_eq!(first.answer, Answer::Record);
    let second = pass(&first.steps, &seen);
    assert_eq!(second.answer, Answer::Do { effect: mark("clean"), within: DEADLINE });
    seen[2] = done();
    let third = pass(&second.steps, &seen);
    assert_eq!(states(&third.steps), [Failed, Skipped, Done]);
    assert_eq!(third.answer, Answer::Failed { why: "step 1 of 3 (mint): no room".to_owned() });
    assert_eq!(pass(&third.steps, &seen), third);
}

#[test]
fn a_step_fails_at_its_deadline_and_not_before_and_what_is_done_late_is_done() {
    for look in
        [Look::Wait(pause("so")), Look::UnderWay(pause("so")), Look::Begin(mark("so")), Look::Continue(mark("so"))]
    {
        // The deadline is ten minutes; it is second 100.
        let punctual = pass(&at_the_switch(Running, Some(-499)), &switch_sees(look.clone()));
        assert_ne!(punctual.steps[1].state, Failed, "{look:?}");
        let late = pass(&at_the_switch(Running, Some(-500)), &switch_sees(look));
        assert_eq!(late.answer, Answer::Failed { why: "step 2 of 3 (switch): not done within 10m: so".to_owned() });
    }
    assert_eq!(pass(&at_the_switch(Running, Some(-9000)), &switch_sees(done())).answer, Answer::Done);
}

#[test]
fn an_operator_that_was_away_gives_a_step_its_whole_time_again() {
    let seen = switch_sees(Look::Begin(mark("switch")));
    let woken = Turn { awake: SECOND, ..turn(1_000_000, &[]) };
    let advance = advance(&rotation("keys", Disruption::Urgent), &at_the_switch(Running, Some(40)), &seen, &woken);
    assert_eq!(advance.answer, Answer::Do { effect: mark("switch"), within: DEADLINE - SECOND });
}

#[test]
fn a_step_that_a_clock_ahead_began_has_its_deadline_from_now() {
    let advance = pass(&at_the_switch(Running, Some(500_000)), &switch_sees(Look::UnderWay(pause("so"))));
    assert_eq!(advance.steps[1].started_at, Some(Time(time(100))));
    assert_eq!(advance.answer, Answer::Wait(Pause::until("so", time(700))));
}

#[test]
fn a_wait_sees_how_long_it_was_watched_and_without_a_deadline_waits_for_ever() {
    let look = |_: &Told, at: &At| {
        let words = format!("{} of {}", at.elapsed.as_secs(), at.now.duration_since(at.since).as_secs());
        if at.elapsed >= SECOND * 60 { Look::Done(words) } else { Look::Wait(Pause::for_change(words)) }
    };
    let observe = Procedure {
        name: "observe".to_owned(),
        priority: Priority::Rollout,
        created_at: time(0),
        steps: vec![Step::<Told, Mark>::wait("observe", None, look)],
    };
    let recorded = [record("observe", Waiting, Some(0))];
    let after = |awake: i32| {
        let turn = Turn { awake: SECOND * awake, ..turn(1_000_000, &[]) };
        advance(&observe, &recorded, &Vec::new(), &turn)
    };
    assert_eq!(after(59).answer, Answer::Wait(pause("59 of 1000000")));
    assert_eq!(after(60).steps[0].message, "60 of 1000000");
    assert_eq!(after(60).answer, Answer::Done);
}

#[test]
fn a_pass_that_finds_nothing_new_leaves_the_record_as_it_was_read() {
    for look in [Look::Wait(Pause::until("so", time(900))), Look::UnderWay(pause("so")), Look::Begin(mark("switch"))] {
        let first = pass(&at_the_switch(Running, Some(40)), &switch_sees(look.clone()));
        let written = serde_json::to_string(&first.steps).unwrap();
        let read: Vec<StepStatus> = serde_json::from_str(&written).unwrap();
        assert_eq!(first.steps, read, "{look:?}");
        assert_eq!(pass(&read, &switch_sees(look)).steps, read);
    }
    let begun = Turn { now: time(100) + SignedDuration::from_millis(700), ..turn(0, &[]) };
    let seen = switch_sees(Look::Begin(mark("switch")));
    let first = advance(&rotation("keys", Disruption::Urgent), &[], &seen, &begun);
    assert_eq!(first.steps[1].started_at, Some(Time(time(100))), "a status keeps whole seconds");
}

#[test]
fn a_step_that_the_operator_before_did_not_know_is_skipped_when_its_place_has_passed() {
    let seen = vec![Look::Begin(mark("mint")), Look::UnderWay(pause("so")), done()];
    let under_way = pass(&[record("switch", Running, Some(40)), record("gone", Done, Some(1))], &seen);
    assert_eq!(states(&under_way.steps), [Skipped, Running, Pending]);
    let queued = pass(&[record("switch", Queued, None)], &seen);
    assert_eq!(states(&queued.steps), [Running, Queued, Pending], "nothing has begun, so no place has passed");
}

#[test]
fn a_long_message_is_cut_to_its_field() {
    let advance = pass(&at_the_switch(Running, Some(40)), &switch_sees(Look::UnderWay(pause(&"x".repeat(9000)))));
    assert_eq!(advance.steps[1].message.chars().count(), 512);
}
