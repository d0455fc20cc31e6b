//! Restores and drills of one cluster side by side: Jobs that end as they like, a crash at every place of a pass, servers that
//! follow a switch late or never, and in the end time enough. After each action the sentences of `World` hold.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::sample::select;
use serde_json::json;

use super::seen_by;
use crate::api::restore::{RagRestore, RestoreMode};
use crate::api::steps::StepState;
use crate::api::{ConditionReason, ConditionType};
use crate::conditions::find;
use crate::job::Made;
use crate::restore::decide::{Deed, procedure};
use crate::restore::fixtures::{ASKED_AT, at, drilled, restore, seen, server, switched, taken};
use crate::restore::names::job_name;
use crate::restore::observed::{Act, Attempt, Fault, Seen, SnapshotSeen, SnapshotState, Task};
use crate::restore::status::{has_ended, status};
use crate::steps::tests::{Crash, crash};
use crate::steps::{Answer, Standing, Turn, Window, advance};

/// How a Job ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Right,
    /// It is done, and what it found is too little.
    Wrong,
    FailsForNow,
    FailsForGood,
    NoRoom,
    /// Only when it is stopped.
    Never,
}

#[derive(Clone, Debug)]
enum Action {
    Pass(usize, Crash),
    /// The clock goes on.
    Wait(i64),
    /// What runs ends as it will.
    Work,
    /// Whether servers follow a switch.
    Follow(bool),
    /// Somebody removes the Jobs that have ended.
    Tidy,
}

/// One restore, and what there is of it.
struct Run {
    restore: RagRestore,
    jobs: BTreeMap<(Task, u32), Act>,
    before: Option<SnapshotState>,
    ends: Vec<End>,
    /// How often what it switched was taken back.
    taken_back: u32,
    /// The epoch that it switched to, and the one before.
    switched: Option<(i64, i64)>,
}

impl Run {
    fn new(number: usize, mode: RestoreMode, ends: Vec<End>) -> Self {
        let spec = match mode {
            RestoreMode::Drill => json!({"cluster": "handbook", "mode": "Drill"}),
            RestoreMode::InPlace => {
                json!({"cluster": "handbook", "mode": "InPlace", "source": {"snapshotRef": {"name": "daily-7"}}})
            }
        };
        let restore = restore(&format!("r{number}"), spec);
        Self { restore, jobs: BTreeMap::new(), before: None, ends, taken_back: 0, switched: None }
    }

    fn standing(&self) -> Standing {
        let status = self.restore.status.clone().unwrap_or_default();
        Standing::of(&procedure(&self.restore), &status.steps)
    }

    fn state(&self, step: &str) -> StepState {
        let status = self.restore.status.as_ref();
        let found = status.and_then(|status| status.steps.iter().find(|found| found.name == step));
        found.map_or(StepState::Pending, |found| found.state)
    }

    fn next_end(&mut self) -> End {
        if self.ends.is_empty() { End::Right } else { self.ends.remove(0) }
    }

    fn is_disrupting(&self) -> bool {
        self.jobs.iter().any(|((task, _), act)| *task != Task::Drill && act.is_active())
    }

    fn is_drilling(&self) -> bool {
        self.jobs.iter().any(|((task, _), act)| *task == Task::Drill && act.is_active())
    }
}

/// The cluster, its restores, and one process that runs them.
struct World {
    runs: Vec<Run>,
    now: Timestamp,
    awake: SignedDuration,
    /// The epoch that is searched, by the pointer; the last number that was given.
    epoch: i64,
    last_epoch: i64,
    /// What servers search.
    followed: i64,
    follows: bool,
}

impl World {
    fn standings(&self) -> Vec<Standing> {
        self.runs.iter().map(Run::standing).collect()
    }

    fn seen(&self, number: usize) -> Seen {
        let run = &self.runs[number];
        let name = run.restore.metadata.name.clone().unwrap();
        let mut attempts: BTreeMap<Task, Vec<Attempt>> = BTreeMap::new();
        for ((task, number), act) in &run.jobs {
            attempts.entry(*task).or_default().push(Attempt { number: *number, act: act.clone() });
        }
        let peers = self.runs.iter().enumerate();
        let peers = peers.filter(|(other, peer)| *other != number && peer.restore.spec.mode == run.restore.spec.mode);
        let asked_by = run.restore.metadata.uid.clone();
        let before = run.before.clone().map(|state| SnapshotSeen { asked_by, state, ..taken("before", ASKED_AT) });
        let seen = Seen {
            made: run.jobs.keys().map(|(task, number)| Made::job(&job_name(&name, *task, *number))).collect(),
            before,
            peers: peers.map(|(_, peer)| peer.standing()).collect(),
            attempts,
            servers: vec![server("a", Some(self.followed)), server("b", Some(self.epoch))],
            ..seen()
        };
        seen_by(&run.restore, &seen)
    }

    fn pass(&mut self, number: usize, crash: Crash) {
        let (seen, standings) = (self.seen(number), self.standings());
        if has_ended(&self.runs[number].restore) {
            return;
        }
        let turn = Turn { now: self.now, awake: self.awake, window: Window::Open, standings: &standings };
        let run = &mut self.runs[number];
        let after = advance(&procedure(&run.restore), &seen.steps, &seen, &turn);
        if crash == Crash::BeforeTheRecord {
            self.awake = SignedDuration::ZERO;
            return;
        }
        run.restore.status = Some(status(&run.restore, &seen, &after, self.now));
        if let Answer::Do { effect, .. } = after.answer
            && crash != Crash::BeforeTheEffect
        {
            self.carry_out(number, effect);
        }
        if crash != Crash::None {
            self.awake = SignedDuration::ZERO;
        }
    }

    fn carry_out(&mut self, number: usize, deed: Deed) {
        let run = &mut self.runs[number];
        let name = run.restore.metadata.name.clone().unwrap();
        match deed {
            Deed::Snapshot { .. } => {
                run.before.get_or_insert_with(|| SnapshotState::Taking("it runs".into()));
            }
            Deed::Start { task, job } => {
                let attempts = (1..=9).find(|attempts| job_name(&name, task, *attempts) == job).unwrap();
                if task == Task::Revert {
                    assert_eq!(run.state("verify"), StepState::Failed, "only what was found wrong is taken back");
                }
                if task == Task::Restore {
                    assert!(matches!(run.before, Some(SnapshotState::Taken(_))), "what is served is kept first");
                }
                run.jobs.entry((task, attempts)).or_insert(Act::Running);
            }
            Deed::Stop { job } => {
                let stopped =
                    run.jobs.iter_mut().find(|((task, attempts), _)| job_name(&name, *task, *attempts) == job);
                *stopped.unwrap().1 = Act::Stopping;
            }
            Deed::Forget { .. } => {
                assert!(!run.jobs.values().any(Act::is_active), "nothing that is under way is forgotten");
                run.jobs.clear();
            }
            Deed::Elsewhere { .. } => panic!("none of them is a full drill"),
        }
    }

    fn work(&mut self) {
        for number in 0..self.runs.len() {
            let run = &mut self.runs[number];
            if let Some(state @ SnapshotState::Taking(_)) = &mut run.before {
                *state = match run.ends.first() {
                    Some(End::FailsForGood) => {
                        SnapshotState::Failed { reason: "AuthFailed".into(), why: "no key".into() }
                    }
                    _ => taken("before", ASKED_AT).state,
                };
                if matches!(state, SnapshotState::Failed { .. }) {
                    run.ends.remove(0);
                }
            }
            run.jobs.retain(|_, act| *act != Act::Stopping);
            let active: Vec<(Task, u32)> =
                run.jobs.iter().filter(|(_, act)| act.is_active()).map(|(key, _)| *key).collect();
            for key in active {
                self.end(number, key);
            }
        }
        if self.follows {
            self.followed = self.epoch;
        }
    }

    fn end(&mut self, number: usize, (task, attempts): (Task, u32)) {
        let (now, epoch) = (self.now, self.epoch);
        let run = &mut self.runs[number];
        let failed = |reason, may_pass| Act::Failed(Fault { reason, why: "it is so".into(), may_pass, at: Some(now) });
        let end = match run.next_end() {
            End::Never => return,
            end => end,
        };
        let act = match (task, end) {
            (_, End::FailsForNow) => failed(ConditionReason::Unreachable, true),
            (_, End::FailsForGood) => failed(ConditionReason::Damaged, false),
            (Task::Drill, End::NoRoom) => failed(ConditionReason::Skipped, false),
            (_, End::NoRoom) => failed(ConditionReason::NoRoom, false),
            (Task::Drill, end) => Act::Done(drilled(if end == End::Right { 100.0 } else { 50.0 })),
            (Task::Restore, end) => {
                self.last_epoch += 1;
                self.epoch = self.last_epoch;
                run.switched = Some((self.epoch, epoch));
                let mut result = switched(if end == End::Right { 100.0 } else { 50.0 });
                (result.epoch, result.previous_epoch) = (Some(self.epoch), Some(epoch));
                Act::Done(result)
            }
            (Task::Revert, _) => {
                let (to, from) = run.switched.unwrap();
                assert_eq!(epoch, to, "nobody takes back what another one made");
                self.epoch = from;
                run.taken_back += 1;
                Act::Done(switched(0.0))
            }
        };
        run.jobs.insert((task, attempts), act);
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Pass(number, crash) => self.pass(number % self.runs.len(), crash),
            Action::Wait(seconds) => {
                let passed = SignedDuration::from_secs(seconds);
                self.now += passed;
                self.awake += passed;
            }
            Action::Work => self.work(),
            Action::Follow(follows) => self.follows = follows,
            Action::Tidy => {
                for run in self.runs.iter_mut().filter(|run| has_ended(&run.restore)) {
                    run.jobs.retain(|_, act| act.is_active());
                }
            }
        }
        self.check();
    }

    fn check(&self) {
        let disrupting = self.runs.iter().filter(|run| run.is_disrupting()).count();
        assert!(disrupting <= 1, "at most one restore of a cluster is under way");
        assert!(self.runs.iter().filter(|run| run.is_drilling()).count() <= 1, "one drill of a cluster at a time");
        let holders = self.standings().iter().filter(|standing| standing.has_lock()).count();
        assert!(holders <= 1, "one lock for each cluster");
    }

    /// Time enough, and servers that follow.
    fn settle(&mut self) {
        self.act(&Action::Follow(true));
        for _ in 0..1500 {
            for number in 0..self.runs.len() {
                self.act(&Action::Pass(number, Crash::None));
            }
            self.act(&Action::Wait(600));
            self.act(&Action::Work);
            if self.runs.iter().all(|run| has_ended(&run.restore)) {
                break;
            }
        }
        self.runs.iter().for_each(check_end);
    }
}

fn check_end(run: &Run) {
    let status = run.restore.status.clone().unwrap();
    let is = |type_| find(&status.conditions, type_).unwrap().status.clone();
    assert!(has_ended(&run.restore), "each of them ends: {status:#?}");
    let (ready, stalled) = (is(ConditionType::Ready), is(ConditionType::Stalled));
    assert!((ready == "True") != (stalled == "True"), "ends Ready or Stalled: {status:#?}");
    assert!(!run.jobs.values().any(Act::is_active), "nothing is left under way: {:?}", run.jobs);
    let reason = find(&status.conditions, ConditionType::Ready).unwrap().reason.clone();
    let was_wrong = run.state("verify") == StepState::Failed;
    assert!(run.taken_back <= 1, "taken back once");
    assert_eq!(run.taken_back == 1, reason == "Reverted", "it says what became of it: {status:#?}");
    assert!(run.taken_back == 0 || was_wrong, "what was found right stays");
    if run.restore.spec.mode == RestoreMode::InPlace {
        let expected = if ready == "True" { "Restored" } else { reason.as_str() };
        assert_eq!(reason, expected);
        let tried = run.state("revert") == StepState::Failed;
        assert!(!was_wrong || run.taken_back == 1 || tried, "what was found wrong is taken back: {status:#?}");
        if was_wrong && run.taken_back == 0 {
            assert_eq!(reason, "RevertFailed");
        }
    }
}

fn end() -> impl Strategy<Value = End> {
    select(vec![
        End::Right,
        End::Right,
        End::Right,
        End::Wrong,
        End::FailsForNow,
        End::FailsForNow,
        End::FailsForGood,
        End::NoRoom,
        End::Never,
    ])
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        16 => (0..4usize, crash()).prop_map(|(number, crash)| Action::Pass(number, crash)),
        4 => (1..4000i64).prop_map(Action::Wait),
        6 => Just(Action::Work),
        1 => any::<bool>().prop_map(Action::Follow),
        1 => Just(Action::Tidy),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn whatever_its_jobs_do_and_wherever_the_operator_dies_each_restore_ends_ready_or_stalled(
        runs in vec((select(vec![RestoreMode::Drill, RestoreMode::InPlace, RestoreMode::InPlace]), vec(end(), 0..5)), 1..4),
        actions in vec(action(), 0..120),
    ) {
        let runs = runs.into_iter().enumerate().map(|(number, (mode, ends))| Run::new(number, mode, ends));
        let mut world = World {
            runs: runs.collect(),
            now: at(ASKED_AT),
            awake: SignedDuration::ZERO,
            epoch: 3,
            last_epoch: 3,
            followed: 3,
            follows: true,
        };
        for action in &actions {
            world.act(action);
        }
        world.settle();
    }
}
