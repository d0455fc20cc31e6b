//! Jobs that end as they like, clocks that jump, ways that are barred, and a process that dies anywhere.

use jiff::SignedDuration;
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::job::{ToJob, is_under_way, to_job};
use super::{World, way};
use crate::api::ConditionType;
use crate::api::snapshot::ArchivePolicy;
use crate::conditions::find;
use crate::snapshot::decide::{Act, has_ended, is_taken, recorded};
use crate::snapshot::observed::Obstacle;

/// What may happen between two passes.
#[derive(Clone, Debug)]
enum Happens {
    Job(ToJob),
    Time(i64),
    Barred,
    Free,
    Dies,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => to_job().prop_map(Happens::Job),
        1 => (-7200..7200_i64).prop_map(Happens::Time),
        1 => Just(Happens::Barred),
        1 => Just(Happens::Free),
        1 => Just(Happens::Dies),
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
            match happening {
                Happens::Job(what) => is_in_archive |= what.happens(&mut world.take, world.now),
                Happens::Time(seconds) => world.now += SignedDuration::from_secs(seconds),
                Happens::Barred => world.way = Err(Obstacle::ClusterMissing("handbook".into())),
                Happens::Free => world.way = Ok(way()),
                Happens::Dies => dies = true,
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
