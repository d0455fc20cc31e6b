//! Operators that die, and statuses that are lost.

use std::collections::BTreeSet;

use super::{World, done, failed};
use crate::api::snapshot::{ArchivePolicy, RagSnapshotStatus};
use crate::job::Looked;
use crate::snapshot::decide::is_taken;
use crate::snapshot::report::Cause;
use crate::steps::Answer;

/// The acts and the final status, where the process dies before its `death`-th effect.
fn to_the_end(death: Option<usize>) -> (BTreeSet<String>, RagSnapshotStatus, usize) {
    let mut world = World::new(ArchivePolicy::Delete);
    let mut effects = 0;
    for _ in 0..100 {
        let answer = world.pass(death == Some(effects));
        if matches!(answer, Answer::Do { .. }) {
            effects += 1;
        }
        match &world.take {
            Some((1, Looked::Pending { .. })) => world.take = Some((1, failed(&Cause::Held, world.now))),
            Some((2, Looked::Pending { .. })) => world.take = Some((2, done("nightly", true))),
            Some(_) | None => {}
        }
        if let Answer::Wait(pause) = answer {
            world.now = pause.until.unwrap_or(world.now);
        }
    }
    let acts = world.done.iter().map(|act| format!("{act:?}")).collect();
    (acts, world.snapshot.status.unwrap(), effects)
}

#[test]
fn a_process_that_dies_before_any_effect_changes_nothing_but_time() {
    let (acts, expected, effects) = to_the_end(None);
    assert_eq!(effects, 4, "{acts:?}");
    assert!(is_taken(&expected.steps));
    for death in 0..effects {
        let (found, status, _) = to_the_end(Some(death));
        assert_eq!(found, acts, "death {death}");
        assert_eq!(status.archive, expected.archive, "death {death}");
        let reasons = |status: &RagSnapshotStatus| {
            status.conditions.iter().map(|found| (found.type_.clone(), found.reason.clone())).collect::<Vec<_>>()
        };
        assert_eq!(reasons(&status), reasons(&expected), "death {death}");
    }
}

#[test]
fn a_status_that_was_lost_is_made_again_by_the_same_job() {
    let mut world = World::new(ArchivePolicy::Retain);
    world.settle();
    world.take = Some((1, done("nightly", true)));
    world.settle();
    let expected = world.snapshot.status.clone().unwrap().archive;
    world.snapshot.status = None;
    world.settle();
    // Its owner's id finds the same snapshot in the archive.
    world.take = Some((1, done("nightly", true)));
    world.settle();
    assert_eq!(world.snapshot.status.unwrap().archive, expected);
}
