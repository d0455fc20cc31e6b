//! Drills, case by case.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::{Told, after};
use crate::api::steps::StepState;
use crate::api::{ConditionReason, ConditionType};
use crate::restore::decide::{MAX_ATTEMPTS, procedure};
use crate::restore::fixtures::{ASKED_AT, at, drill, drilled, fault, restore, seen, tried};
use crate::restore::observed::{Act, Seen, Task};
use crate::steps::{Answer, Effect, Standing};

fn with(act: Act) -> Seen {
    tried(seen(), Task::Drill, 1, act)
}

#[test]
fn a_drill_checks_tries_and_says_what_it_measured() {
    let mut told = Told::of(drill());
    assert_eq!(told.deed(&seen(), ASKED_AT), "create Job weekly-drill");
    assert_eq!(told.condition(ConditionType::Ready), ("False".into(), "Drilling".into()));
    assert_eq!(told.condition(ConditionType::Reconciling), ("True".into(), "Progressing".into()));
    assert_eq!(
        told.waits(&with(Act::Pending("no node has room".into())), ASKED_AT),
        "Job weekly-drill has not started: no node has room"
    );
    assert_eq!(told.waits(&with(Act::Running), ASKED_AT), "Job weekly-drill runs");
    let progress = json!({"unit": "Documents", "done": 1_000, "of": 9_000, "percent": 11, "at": ASKED_AT});
    let halfway = Seen { progress: serde_json::from_value(progress).unwrap(), ..with(Act::Running) };
    assert_eq!(told.waits(&halfway, ASKED_AT), "Job weekly-drill runs: 1,000 of 9,000 documents");
    assert_eq!(told.status().progress, halfway.progress);
    let ready = told.ended(&with(Act::Done(drilled(95.0))), &after(60));
    assert_eq!(ready, ("True".into(), "Passed".into()));
    assert_eq!(told.status().progress, None);
    let result = told.status().result.clone().unwrap();
    assert_eq!((result.snapshot.as_str(), result.destination.as_str()), ("daily-7", "bucket"));
    assert_eq!(
        (result.recall_percent, result.rto.as_deref(), result.rpo_seconds),
        (Some(95.0), Some("12.3s"), Some(3600.0))
    );
    assert_eq!(told.events, ["Drilling", "Passed"]);
}

#[test]
fn fewer_passages_than_asked_for_and_a_figure_that_is_missing_never_pass() {
    for (recall, min) in [(Some(94.9), None), (Some(98.9), Some(99)), (None, None)] {
        let mut told =
            Told::of(restore("weekly", json!({"cluster": "handbook", "mode": "Drill", "minRecallPercent": min})));
        let mut result = drilled(0.0);
        result.recall_percent = recall;
        assert_eq!(
            told.ended(&with(Act::Done(result)), ASKED_AT),
            ("False".into(), "RecallTooLow".into()),
            "{recall:?}"
        );
        assert_eq!(told.state("settle"), StepState::Done);
    }
    let lenient = json!({"cluster": "handbook", "mode": "Drill", "minRecallPercent": 50});
    let mut told = Told::of(restore("weekly", lenient));
    assert_eq!(told.ended(&with(Act::Done(drilled(50.0))), ASKED_AT).1, "Passed");
}

#[test]
fn what_kept_it_from_passing_is_said_by_its_class_and_stays_said_when_the_job_is_gone() {
    for reason in [ConditionReason::Skipped, ConditionReason::Damaged, ConditionReason::KeyMissing] {
        let mut told = Told::of(drill());
        let ready = told.ended(&with(fault(reason, false, ASKED_AT)), ASKED_AT);
        assert_eq!(ready, ("False".to_owned(), reason.to_string()));
        let (snapshot, before) = (told.status().result.clone().unwrap().snapshot, told.status().clone());
        assert_eq!(snapshot, "daily-7", "of which snapshot it was");
        told.answer(&seen(), &after(9000));
        assert_eq!(told.status(), &before);
        assert_eq!(told.events, [reason.as_str()]);
    }
}

#[test]
fn what_may_pass_is_tried_again_after_longer_and_longer_pauses_and_not_for_ever() {
    let (mut told, mut seen, mut now) = (Told::of(drill()), seen(), 0);
    assert_eq!(told.deed(&seen, &after(now)), "create Job weekly-drill");
    let mut pauses = Vec::new();
    for number in 1..MAX_ATTEMPTS {
        seen = tried(seen, Task::Drill, number, fault(ConditionReason::Unreachable, true, &after(now)));
        let Answer::Wait(pause) = told.answer(&seen, &after(now)) else { panic!("it does not wait") };
        let until = pause.until.unwrap();
        assert_eq!(told.waits(&seen, &after(now)), format!("attempt {number} failed and is repeated: it is so"));
        let seconds = until.as_second() - at(&after(now)).as_second();
        pauses.push(seconds);
        now += seconds;
        assert_eq!(told.deed(&seen, &after(now)), format!("create Job weekly-drill-{}", number + 1));
    }
    assert_eq!(pauses, [30, 120, 480, 1800]);
    seen = tried(seen, Task::Drill, MAX_ATTEMPTS, fault(ConditionReason::Unreachable, true, &after(now)));
    assert_eq!(told.ended(&seen, &after(now)), ("False".into(), "Unreachable".into()));
}

#[test]
fn one_drill_of_a_cluster_at_a_time_the_older_first() {
    let older = |recorded: &Told| Standing::of(&procedure(&recorded.restore), &recorded.status().steps);
    let mut first = Told::of(drill());
    first.deed(&seen(), ASKED_AT);
    let mut by_hand = restore("by-hand", json!({"cluster": "handbook", "mode": "Drill"}));
    by_hand.metadata.creation_timestamp = Some(Time(at(&after(1))));
    let mut second = Told::of(by_hand);
    let beside = Seen { peers: vec![older(&first)], ..seen() };
    assert_eq!(second.waits(&beside, ASKED_AT), "waits for RagRestore weekly, which goes first");
    assert_eq!(second.condition(ConditionType::Ready).1, "WaitsForTurn");
    let beside = Seen { peers: vec![older(&second)], ..seen() };
    assert_eq!(first.deed(&beside, ASKED_AT), "create Job weekly-drill", "who waits is not waited for");
    // Two that announce it at the same time both see the other, give it back, and the older one goes.
    let mut rival = Told::of(second.restore.clone());
    rival.restore.status = first.restore.status.clone();
    let both = Seen { peers: vec![older(&rival)], ..seen() };
    first.waits(&both, ASKED_AT);
    let beside = Seen { peers: vec![older(&first)], ..seen() };
    assert_eq!(rival.waits(&beside, ASKED_AT), "waits for RagRestore weekly, which goes first");
    let beside = Seen { peers: vec![older(&rival)], ..seen() };
    assert_eq!(first.deed(&beside, ASKED_AT), "create Job weekly-drill");
    first.ended(&with(Act::Done(drilled(100.0))), ASKED_AT);
    let beside = Seen { peers: vec![older(&first)], ..seen() };
    assert_eq!(second.deed(&beside, ASKED_AT), "create Job by-hand-drill");
}

#[test]
fn a_drill_that_is_never_done_is_stopped_and_what_it_left_is_waited_for() {
    let mut told = Told::of(drill());
    told.deed(&seen(), ASKED_AT);
    told.waits(&with(Act::Running), &after(24 * 3600 - 1));
    let late = after(24 * 3600);
    assert_eq!(told.deed(&with(Act::Running), &late), "stop Job weekly-drill");
    assert_eq!(told.condition(ConditionType::Ready).1, "Timeout");
    assert_eq!(told.condition(ConditionType::Reconciling).0, "True");
    told.waits(&with(Act::Stopping), &late);
    assert_eq!(told.ended(&seen(), &late), ("False".into(), "Timeout".into()));
}

#[test]
fn the_jobs_of_a_drill_that_passed_go_and_those_of_one_that_did_not_stay_with_their_log() {
    let end = |act: Act| {
        let (mut told, seen) = (Told::of(drill()), with(act));
        told.pass(&seen, at(ASKED_AT), &[]);
        told.pass(&seen, at(ASKED_AT), &[]).answer
    };
    let forget = "remove the Jobs of RagRestore weekly";
    assert!(matches!(end(Act::Done(drilled(100.0))), Answer::Do { effect, .. } if effect.name() == forget));
    assert!(matches!(end(fault(ConditionReason::Damaged, false, ASKED_AT)), Answer::Failed { .. }));
    assert!(matches!(end(Act::Done(drilled(0.0))), Answer::Failed { .. }));
}

#[test]
fn what_may_pass_is_not_tried_again_while_something_is_in_the_way() {
    let mut told = Told::of(drill());
    told.deed(&seen(), ASKED_AT);
    let mut paused = with(fault(ConditionReason::Unreachable, true, ASKED_AT));
    paused.cluster.as_mut().unwrap().is_paused = true;
    assert_eq!(told.waits(&paused, &after(60)), "spec.paused of RagCluster handbook is true; remove it");
    paused.cluster.as_mut().unwrap().is_paused = false;
    assert_eq!(told.deed(&paused, &after(60)), "create Job weekly-drill-2");
}

#[test]
fn a_dry_run_says_what_it_would_drill_and_starts_nothing() {
    let mut told = Told::of(restore("weekly", json!({"cluster": "handbook", "mode": "Drill", "dryRun": true})));
    assert_eq!(told.ended(&seen(), ASKED_AT), ("True".into(), "Previewed".into()));
    assert_eq!(told.status().steps[0].message, "snapshot daily-7 of destination bucket");
}

#[test]
fn what_is_not_there_within_an_hour_is_not_waited_for_any_longer() {
    let mut told = Told::of(drill());
    let nothing = Seen { cluster: None, ..Seen::default() };
    told.waits(&nothing, ASKED_AT);
    assert_eq!(told.condition(ConditionType::Ready), ("False".into(), "ClusterMissing".into()));
    told.waits(&nothing, &after(3599));
    assert_eq!(told.ended(&nothing, &after(3600)), ("False".into(), "ClusterMissing".into()));
}
