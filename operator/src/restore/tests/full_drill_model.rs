//! A full drill among people and crashes: the operator dies at every place of a pass, the restore there ends as it likes, somebody
//! deletes what it made, or the drill itself, also between a decision and its effect, and neither namespace can always be read. In
//! the end there is time enough.

use jiff::{SignedDuration, Timestamp};
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::sample::select;

use super::seen_by;
use crate::api::restore::RagRestore;
use crate::api::{ConditionReason, ConditionType};
use crate::conditions::find;
use crate::restore::decide::{Deed, Errand, is_abandoned, procedure, swept};
use crate::restore::fixtures::{ASKED_AT, at, found, full_drill, seen_elsewhere, switched};
use crate::restore::observed::{Elsewhere, Found, Recovery, Seen, Serving};
use crate::restore::reported::whole;
use crate::restore::status::{has_ended, status};
use crate::steps::tests::{Crash, crash};
use crate::steps::{Answer, Turn, Window, advance};

/// How the restore there ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Right,
    TooLittle,
    Damaged,
    Never,
}

#[derive(Clone, Debug)]
enum Action {
    Pass(Crash),
    /// The clock goes on.
    Wait(i64),
    /// Pods start and end, Jobs run, and garbage is collected.
    Work,
    /// Somebody deletes the cluster.
    LoseCluster,
    /// Somebody deletes the restore there.
    LoseRecovery,
    /// Somebody deletes the drill.
    Delete,
    /// The same between a decision and its effect.
    DeleteInAPass,
    /// Whoever looks at what a drill made looks for the drill.
    Sweep,
    /// Whether the namespace of the drill can be read.
    KnowHome(bool),
    /// Whether the other namespace can be read.
    Read(bool),
    /// Whether anything may be made there.
    Allow(bool),
}

struct World {
    /// Absent: it is gone.
    drill: Option<RagRestore>,
    there: Elsewhere,
    /// What belongs to the cluster: pods, a volume, keys.
    has_children: bool,
    end: End,
    is_readable: bool,
    is_allowed: bool,
    knows_home: bool,
    /// When the cluster was made.
    made_at: Timestamp,
    /// Whether a restore there was seen to prove itself.
    was_proven: bool,
    now: Timestamp,
    awake: SignedDuration,
}

impl World {
    fn new(end: End) -> Self {
        Self {
            drill: Some(full_drill()),
            there: Elsewhere::default(),
            has_children: false,
            end,
            is_readable: true,
            is_allowed: true,
            knows_home: true,
            made_at: at(ASKED_AT),
            was_proven: false,
            now: at(ASKED_AT),
            awake: SignedDuration::ZERO,
        }
    }

    fn is_left(&self) -> bool {
        let Elsewhere { cluster, recovery, before, .. } = &self.there;
        cluster.is_some() || recovery.is_some() || before.is_some() || self.has_children
    }

    /// What a look finds.
    fn look(&self) -> Elsewhere {
        let mut there = self.there.clone();
        if !self.is_readable {
            let unseen = Some("it cannot be read".to_owned());
            return Elsewhere { unseen, ..Elsewhere::default() };
        }
        let is_gone = there.cluster.is_none() && there.recovery.is_none() && there.before.is_none();
        there.remains = (is_gone && self.has_children).then(|| "PersistentVolumeClaim data".to_owned());
        there
    }

    fn pass(&mut self, crash: Crash, is_deleted_meanwhile: bool) {
        let Some(drill) = self.drill.clone() else { return };
        if has_ended(&drill) {
            return;
        }
        let seen = seen_by(&drill, &Seen { elsewhere: Some(self.look()), ..seen_elsewhere() });
        let turn = Turn { now: self.now, awake: self.awake, window: Window::Open, standings: &[] };
        let after = advance(&procedure(&drill), &seen.steps, &seen, &turn);
        if crash != Crash::BeforeTheRecord {
            self.record(&drill, &seen, &after);
            if is_deleted_meanwhile {
                self.drill = None;
            }
            if let Answer::Do { effect: Deed::Elsewhere { errand, .. }, .. } = after.answer
                && crash != Crash::BeforeTheEffect
                && !self.carry_out(errand)
                && self.drill.is_some()
            {
                let there = Elsewhere { barred: Some((ConditionReason::Skipped, "no".into())), ..self.look() };
                let seen = seen_by(self.drill.as_ref().unwrap(), &Seen { elsewhere: Some(there), ..seen });
                let after = advance(&procedure(&drill), &seen.steps, &seen, &turn);
                self.record(&drill, &seen, &after);
            }
        }
        if crash != Crash::None {
            self.awake = SignedDuration::ZERO;
        }
    }

    fn record(&mut self, drill: &RagRestore, seen: &Seen, after: &crate::steps::Advance<Deed>) {
        let status = status(self.drill.as_ref().unwrap_or(drill), seen, after, self.now);
        self.drill.as_mut().unwrap().status = Some(status);
    }

    /// A pass over the cluster, and one over the restore there.
    fn sweep(&mut self) {
        let is_at_work = self.knows_home.then(|| self.drill.as_ref().is_some_and(|drill| !has_ended(drill)));
        if !is_abandoned(is_at_work, self.made_at, self.now) {
            return;
        }
        if self.there.cluster.is_some()
            && let Some(errand) = swept(&self.look())
        {
            self.carry_out(errand);
        }
        going(&mut self.there.recovery);
    }

    /// Whether it was let.
    fn carry_out(&mut self, errand: Errand) -> bool {
        if matches!(errand, Errand::MakeCluster | Errand::Recover) && !self.is_allowed {
            return false;
        }
        let there = &mut self.there;
        match errand {
            Errand::MakeCluster => {
                if there.cluster.is_none() {
                    self.made_at = self.now;
                }
                there.cluster = there.cluster.take().or(found(Serving::NotYet("it starts".into())));
                self.has_children = true;
            }
            Errand::Recover => {
                there.recovery = there.recovery.take().or(found(Recovery::UnderWay("it runs".into())));
                // Without a cluster nothing is kept first.
                if there.cluster.as_ref().is_some_and(|cluster| !cluster.is_going) {
                    there.before = there.before.take().or(found(()));
                }
            }
            Errand::RemoveRecovery => going(&mut there.recovery),
            Errand::RemoveSnapshot => going(&mut there.before),
            Errand::RemoveCluster => going(&mut there.cluster),
        }
        true
    }

    fn work(&mut self) {
        let there = &mut self.there;
        // Garbage is collected after its owner has gone.
        if there.recovery.is_none() {
            there.before = None;
        }
        if there.cluster.is_none() {
            self.has_children = false;
        }
        gone(&mut there.recovery);
        gone(&mut there.before);
        gone(&mut there.cluster);
        if let Some(cluster) = &mut there.cluster {
            cluster.state = Serving::Yes;
        }
        if let Some(Found { state: state @ Recovery::UnderWay(_), .. }) = &mut there.recovery
            && there.cluster.is_some()
        {
            let result =
                |recall| Recovery::Done(Box::new(whole(&switched(recall), Some(SignedDuration::from_secs(9)), None)));
            match self.end {
                End::Right => {
                    *state = result(100.0);
                    self.was_proven = true;
                }
                End::TooLittle => *state = result(50.0),
                End::Damaged => {
                    *state = Recovery::Failed { reason: ConditionReason::Damaged, why: "it is damaged".into() }
                }
                End::Never => {}
            }
        }
    }

    fn act(&mut self, action: &Action) {
        match *action {
            Action::Pass(crash) => self.pass(crash, false),
            Action::DeleteInAPass => self.pass(Crash::None, true),
            Action::Sweep => self.sweep(),
            Action::KnowHome(knows_home) => self.knows_home = knows_home,
            Action::Wait(seconds) => {
                let passed = SignedDuration::from_secs(seconds);
                self.now += passed;
                self.awake += passed;
            }
            Action::Work => self.work(),
            Action::LoseCluster => going(&mut self.there.cluster),
            Action::LoseRecovery => going(&mut self.there.recovery),
            Action::Delete => self.drill = None,
            Action::Read(is_readable) => self.is_readable = is_readable,
            Action::Allow(is_allowed) => self.is_allowed = is_allowed,
        }
        let Some(status) = self.drill.as_ref().and_then(|drill| drill.status.as_ref()) else { return };
        let ready = find(&status.conditions, ConditionType::Ready).unwrap();
        if ready.status == "True" {
            assert_eq!(ready.reason, "Passed");
            assert!(self.was_proven, "never passed without a restore that proved itself");
            assert!(!self.is_left(), "when it has passed nothing of it is left");
        }
    }

    /// Time enough, and a namespace that can be read.
    fn settle(&mut self) {
        self.act(&Action::Read(true));
        for _ in 0..400 {
            self.act(&Action::Pass(Crash::None));
            self.act(&Action::Sweep);
            self.act(&Action::Wait(600));
            self.act(&Action::Work);
        }
        assert!(!self.is_left(), "when it has ended nothing of it is left: {:?}", self.there);
        let Some(drill) = &self.drill else { return };
        assert!(has_ended(drill), "each of them ends: {:#?}", drill.status);
    }
}

fn going<S>(found: &mut Option<Found<S>>) {
    if let Some(found) = found {
        found.is_going = true;
    }
}

fn gone<S>(found: &mut Option<Found<S>>) {
    found.take_if(|found| found.is_going);
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        16 => crash().prop_map(Action::Pass),
        3 => (1..4000i64).prop_map(Action::Wait),
        6 => Just(Action::Work),
        1 => Just(Action::LoseCluster),
        1 => Just(Action::LoseRecovery),
        1 => Just(Action::Delete),
        1 => Just(Action::DeleteInAPass),
        3 => Just(Action::Sweep),
        2 => any::<bool>().prop_map(Action::KnowHome),
        2 => any::<bool>().prop_map(Action::Read),
        1 => any::<bool>().prop_map(Action::Allow),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn whatever_happens_a_full_drill_ends_without_a_trace_and_passes_only_by_a_restore_that_proved_itself(
        end in select(vec![End::Right, End::Right, End::TooLittle, End::Damaged, End::Never]),
        actions in vec(action(), 0..80),
    ) {
        let mut world = World::new(end);
        for action in &actions {
            world.act(action);
        }
        world.settle();
    }
}
