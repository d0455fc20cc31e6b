//! Whatever happens between two passes.

use super::*;
use crate::snapshot::tests::job::{ToJob, is_under_way as job_is_under_way, to_job};

/// What may happen between two passes.
#[derive(Clone, Debug)]
enum Happens {
    Job(ToJob),
    Time(i64),
    Barred(bool),
    Others(bool),
    Restore(bool),
    Dies,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => to_job().prop_map(Happens::Job),
        1 => (-7200..100_000_i64).prop_map(Happens::Time),
        1 => proptest::bool::ANY.prop_map(Happens::Barred),
        1 => proptest::bool::ANY.prop_map(Happens::Others),
        1 => proptest::bool::ANY.prop_map(Happens::Restore),
        1 => Just(Happens::Dies),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_one_job_is_at_it_and_only_what_was_read_is_said(
        happenings in proptest::collection::vec(happens(), 1..60),
    ) {
        let mut world = World::new();
        for happening in happenings {
            let mut dies = false;
            match happening {
                Happens::Job(what) => drop(what.happens(&mut world.read, world.now)),
                Happens::Time(seconds) => world.now += SignedDuration::from_secs(seconds),
                Happens::Barred(is) => {
                    world.way = if is { Err(Obstacle::Paused("handbook".into())) } else { Ok(way()) };
                }
                Happens::Others(is) => world.sooner = is.then(|| "RagSnapshot weekly".into()),
                Happens::Restore(is) => world.yields_to = is.then(|| "RagRestore undo".into()),
                Happens::Dies => dies = true,
            }
            let (acts, told, before) = (world.done.len(), world.outcomes.len(), world.verified());
            let ended = world.read.clone().filter(|(_, looked)| matches!(looked, Looked::Done { .. } | Looked::Failed { .. }));
            let under_way = world.read.as_ref().is_some_and(|(_, looked)| job_is_under_way(looked));
            let (sooner, barred) = (world.sooner.clone(), world.way.is_err());
            world.pass(dies);
            for act in &world.done[acts..] {
                if let Act::Read(number) = act {
                    prop_assert!(!under_way, "a second Job");
                    prop_assert!(!barred && (*number > 1 || sooner.is_none()), "it has begun beside {sooner:?}");
                }
                prop_assert!(*act != Act::Stop || (under_way && world.yields_to.is_some()), "stopped for nobody");
            }
            if world.verified() != before {
                prop_assert!(ended.is_some() && world.outcomes.len() == told + 1, "said without having been read");
                prop_assert!(world.outcomes.last() != Some(&Outcome::Failed));
            }
            let status = world.snapshot.status.clone().unwrap();
            prop_assert!(status.archive.is_some(), "what was taken stays taken");
            prop_assert!(find(&status.conditions, ConditionType::Ready).is_some_and(|ready| ready.status == "True"));
        }
    }
}
