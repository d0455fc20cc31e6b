//! Jobs that end as they like, clocks that jump, ways that are barred, and a process that dies anywhere.

use jiff::SignedDuration;
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::{World, done, failed, way};
use crate::api::ConditionType;
use crate::api::snapshot::ArchivePolicy;
use crate::conditions::find;
use crate::job::Looked;
use crate::snapshot::decide::{Act, has_ended, is_taken, recorded};
use crate::snapshot::observed::Obstacle;
use crate::snapshot::report::Cause;

/// What may happen between two passes.
#[derive(Clone, Debug)]
enum Happens {
    Runs,
    Ends(bool),
    Fails(usize),
    Vanishes,
    Time(i64),
    Barred,
    Free,
    Dies,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        Just(Happens::Runs),
        proptest::bool::ANY.prop_map(Happens::Ends),
        (0..Cause::KNOWN.len()).prop_map(Happens::Fails),
        Just(Happens::Vanishes),
        (-7200..7200_i64).prop_map(Happens::Time),
        Just(Happens::Barred),
        Just(Happens::Free),
        Just(Happens::Dies),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn whatever_happens_one_job_is_at_it_and_a_taken_snapshot_stays_taken(
        happenings in proptest::collection::vec(happens(), 1..40),
    ) {
        let mut world = World::new(ArchivePolicy::Retain);
        let mut is_in_archive = false;
        for happening in happenings {
            let mut dies = false;
            let is_under_way = |looked: &Looked| matches!(looked, Looked::Pending { .. } | Looked::Running);
            let running = world.take.clone().filter(|(_, looked)| is_under_way(looked)).map(|(number, _)| number);
            match (&happening, running) {
                (Happens::Runs, Some(number)) => world.take = Some((number, Looked::Running)),
                (Happens::Ends(verified), Some(number)) => {
                    world.take = Some((number, done("nightly", *verified)));
                    is_in_archive = true;
                }
                (Happens::Fails(cause), Some(number)) => {
                    world.take = Some((number, failed(&Cause::KNOWN[*cause], world.now)));
                }
                (Happens::Vanishes, _) => world.take = None,
                (Happens::Time(seconds), _) => {
                    world.now = world.now.checked_add(SignedDuration::from_secs(*seconds)).unwrap();
                }
                (Happens::Barred, _) => world.way = Err(Obstacle::ClusterMissing("handbook".into())),
                (Happens::Free, _) => world.way = Ok(way()),
                (Happens::Dies, _) => dies = true,
                (Happens::Runs | Happens::Ends(_) | Happens::Fails(_), None) => {}
            }
            let (before, acts) = (world.snapshot.status.clone(), world.done.len());
            let had_ended = has_ended(recorded(&world.snapshot));
            let under_way = world.take.as_ref().is_some_and(|(_, looked)| is_under_way(looked));
            world.pass(dies);
            let new: Vec<Act> = world.done[acts..].to_vec();
            prop_assert!(!(under_way && new.iter().any(|act| matches!(act, Act::Take(_)))), "a second Job");
            if had_ended {
                prop_assert_eq!(&world.snapshot.status, &before);
                prop_assert!(new.is_empty());
            }
            let status = world.snapshot.status.clone().unwrap();
            prop_assert!(!is_taken(&status.steps) || is_in_archive, "taken out of nothing");
            prop_assert_eq!(is_taken(&status.steps), status.archive.is_some());
            let is = |type_| find(&status.conditions, type_).is_some_and(|found| found.status == "True");
            prop_assert_eq!(is(ConditionType::Ready), is_taken(&status.steps));
            prop_assert!(!(is(ConditionType::Stalled) && is(ConditionType::Reconciling)));
        }
    }
}
