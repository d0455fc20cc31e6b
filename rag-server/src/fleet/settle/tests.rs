//! Two servers and a record that is sometimes lost, in any order.

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::{fleet::Change, ports::CacheKind};

/// What happens to one of two servers, or to the record.
#[derive(Debug, Clone)]
enum Step {
    /// The server decides something, by compare-and-set.
    Decide(usize, Change),
    /// It looks at the record.
    Look(usize),
    /// A look that began earlier, when the record was as it was so many writes ago, comes to its end.
    LookLate(usize, usize),
    /// The record is gone.
    Lose,
    /// The record is what it was so many writes ago.
    PutBack(usize),
}

/// Two servers over one record.
#[derive(Default)]
struct World {
    servers: [FleetState; 2],
    row: Option<FleetState>,
    /// Every state that the record ever had.
    written: Vec<FleetState>,
    /// What was decided, one after the other.
    plain: FleetState,
    /// The id of the latest write.
    id: u64,
}

fn now() -> Timestamp {
    Timestamp::from_second(1_000).unwrap()
}

impl World {
    fn write(&mut self, state: FleetState) {
        self.written.push(state.clone());
        self.row = Some(state);
    }

    fn before(&self, writes: usize) -> Option<FleetState> {
        self.written.len().checked_sub(1 + writes).map(|at| self.written[at].clone())
    }

    fn next_id(&mut self) -> u64 {
        self.id += 1;
        self.id
    }

    fn decide(&mut self, server: usize, change: &Change) {
        if let Some(next) = self.plain.changed(change, "admin", now()).unwrap() {
            self.plain = next;
        }
        let (joins, writes) = (self.next_id(), self.next_id());
        let base = over(&self.servers[server], self.row.clone(), joins);
        let next = base.changed(change, "admin", now()).unwrap().unwrap_or(base).written(writes);
        self.write(next.clone());
        self.servers[server] = next;
    }

    /// As a server does: what is behind it is not taken, and is written over only after another look.
    fn look(&mut self, server: usize, seen: Option<FleetState>) {
        let id = self.next_id();
        match settled(&self.servers[server], seen, id) {
            Settled::Take(state) => self.servers[server] = state,
            Settled::Restore(_) => match settled(&self.servers[server], self.row.clone(), id) {
                Settled::Take(state) => self.servers[server] = state,
                Settled::Restore(state) => {
                    self.write(state.clone());
                    self.servers[server] = state;
                }
            },
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Decide(server, change) => self.decide(*server, change),
            Step::Look(server) => self.look(*server, self.row.clone()),
            Step::LookLate(server, writes) => self.look(*server, self.before(*writes)),
            Step::Lose => self.row = None,
            Step::PutBack(writes) => self.row = self.before(*writes),
        }
    }

    fn settle(&mut self) {
        for server in [0, 1, 0, 1, 0, 1] {
            self.look(server, self.row.clone());
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let name = || prop::sample::select(vec!["a", "b", "c"]);
    prop_oneof![
        any::<bool>().prop_map(Change::ReadOnly),
        name().prop_map(|name| Change::Reset(name.to_owned())),
        (prop::sample::select(CacheKind::ALL.to_vec()), prop::option::of(name())).prop_map(|(kind, tenant)| {
            Change::Clear { kinds: vec![kind], tenant: tenant.map(|name| name.parse().unwrap()) }
        }),
        name().prop_map(|name| Change::Block { subject: name.to_owned(), reason: "floods".to_owned(), until: None }),
        name().prop_map(|name| Change::Lift(name.to_owned())),
        name().prop_map(|name| Change::Deny(name.to_owned())),
    ]
}

fn undisturbed() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_usize..2, change()).prop_map(|(server, change)| Step::Decide(server, change)),
        2 => (0_usize..2).prop_map(Step::Look),
        1 => (0_usize..2, 0_usize..4).prop_map(|(server, writes)| Step::LookLate(server, writes)),
    ]
}

fn disturbed() -> impl Strategy<Value = Step> {
    prop_oneof![6 => undisturbed(), 1 => Just(Step::Lose), 1 => (0_usize..4).prop_map(Step::PutBack)]
}

/// A state of one server that decided these, seen by nobody else.
fn state() -> impl Strategy<Value = FleetState> {
    prop::collection::vec((change(), any::<u64>()), 0..8).prop_map(|changes| {
        changes.iter().fold(FleetState::default(), |state, (change, id)| {
            state.changed(change, "admin", now()).unwrap().unwrap_or(state).written(*id)
        })
    })
}

/// What it says, however it came to that.
fn said(state: &FleetState) -> FleetState {
    FleetState { revision: 0, writes: Vec::new(), ..state.clone() }
}

proptest! {
    #[test]
    fn in_any_order_of_changes_and_looks_two_servers_end_as_if_one_had_made_all_of_them(
        steps in prop::collection::vec(undisturbed(), 0..40),
    ) {
        let mut world = World::default();
        steps.iter().for_each(|step| world.step(step));
        world.settle();
        prop_assert_eq!(said(&world.servers[0]), said(&world.plain));
        prop_assert_eq!(&world.servers[0], &world.servers[1]);
    }

    #[test]
    fn a_record_that_is_lost_or_put_back_loses_nothing_and_both_servers_end_alike(
        steps in prop::collection::vec(disturbed(), 0..40),
    ) {
        let mut world = World::default();
        let mut denied = std::collections::BTreeSet::new();
        for step in &steps {
            world.step(step);
            if let Step::Decide(_, Change::Deny(fingerprint)) = step {
                denied.insert(fingerprint.clone());
            }
            prop_assert!(world.servers.iter().all(|state| state.writes.len() <= HISTORY));
        }
        world.settle();
        prop_assert_eq!(&world.servers[0], &world.servers[1]);
        prop_assert!(denied.iter().eq(world.servers[0].denied.keys()), "a denial was lost: {:?}", denied);
        // With the record, if anybody knew anything.
        prop_assert_eq!(world.row.clone().unwrap_or_default(), world.servers[0].clone());
    }

    #[test]
    fn a_join_is_the_same_whoever_joins_and_says_everything_that_either_knew(a in state(), b in state(), c in state()) {
        let ab = joined(&a, &b);
        prop_assert_eq!(said(&ab), said(&joined(&b, &a)));
        prop_assert_eq!(said(&joined(&ab, &c)), said(&joined(&a, &joined(&b, &c))));
        prop_assert_eq!(said(&joined(&a, &a)), said(&a));
        prop_assert_eq!(said(&joined(&ab, &a)), said(&ab));
        for known in [&a, &b] {
            prop_assert!(goes_back_to(&ab, known), "who knows only this takes the join");
            prop_assert!(known.denied.keys().all(|name| ab.denied.contains_key(name)));
            prop_assert!(known.blocks.keys().all(|name| ab.blocks.contains_key(name)));
            prop_assert!(known.cleared.iter().all(|(name, epoch)| ab.cleared[name] >= *epoch));
        }
    }
}

#[test]
fn a_server_that_knows_nothing_takes_what_there_is_and_one_that_knows_gives_it_back() {
    let known =
        FleetState::default().changed(&Change::Deny("a".to_owned()), "operator", now()).unwrap().unwrap().written(1);
    assert_eq!(settled(&FleetState::default(), None, 9), Settled::Take(FleetState::default()));
    assert_eq!(settled(&FleetState::default(), Some(known.clone()), 9), Settled::Take(known.clone()));
    assert_eq!(settled(&known, None, 9), Settled::Restore(known.clone()));
    assert_eq!(settled(&known, Some(FleetState::default()), 9), Settled::Restore(known.clone()));
}

#[test]
fn a_block_that_was_lifted_after_the_record_was_lost_and_restored_stays_lifted() {
    let block = Change::Block { subject: "a".to_owned(), reason: String::new(), until: None };
    let mut world = World::default();
    for step in [
        Step::Decide(0, block),
        Step::Look(1),
        Step::Lose,
        Step::Look(1),
        Step::Decide(1, Change::Lift("a".to_owned())),
        Step::Look(0),
    ] {
        world.step(&step);
    }
    assert!(world.servers.iter().all(|state| state.blocks.is_empty()), "{:?}", world.servers);
}
