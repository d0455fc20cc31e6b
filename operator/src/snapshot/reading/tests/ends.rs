//! How one ends that fails, is left alone, or whose operator dies.

use super::*;

#[test]
fn what_may_pass_is_tried_again_with_growing_waits_and_then_given_up() {
    let mut world = World::new();
    world.settle();
    for number in 1..=4 {
        let now = world.now.to_string();
        world.ends(failed(&Cause::Unreachable, &now));
        if number < 4 {
            assert_eq!(world.done, (1..=number).map(Act::Read).collect::<Vec<_>>());
            world.now += SignedDuration::from_secs(30 << (number - 1));
            world.settle();
        }
    }
    assert_eq!(world.done.last(), Some(&Act::Forget));
    assert_eq!(world.known().failure.unwrap().1.reason, "Unreachable");
    world.is("True", ConditionReason::ReadBack);
}

#[test]
fn what_is_under_way_ends_as_it_would_whatever_becomes_of_the_cluster() {
    let mut world = World::new();
    world.settle();
    world.read = Some((1, Looked::Running));
    world.way = Err(Obstacle::ClusterMissing("handbook".into()));
    world.settle();
    world.ends(done("nightly", true));
    assert_eq!(world.done, [Act::Read(1), Act::Forget]);
    assert_eq!(world.outcomes, [Outcome::Whole]);
    // One that has only waited is given up without a trace.
    let mut world = World::new();
    world.way = Err(Obstacle::Paused("handbook".into()));
    world.settle();
    assert!(!recorded(&world.snapshot).is_empty());
    let after = given_up(&world.snapshot);
    assert!(after.reading.unwrap().steps.is_empty());
}

#[test]
fn a_process_that_dies_before_any_effect_changes_nothing_but_time() {
    let to_the_end = |death: Option<usize>| {
        let mut world = World::new();
        let mut effects = 0;
        for _ in 0..30 {
            if let Answer::Do { .. } = world.pass(death == Some(effects)) {
                effects += 1;
            }
            match &world.read {
                Some((1, Looked::Pending { .. })) => {
                    world.read = Some((1, failed(&Cause::Stopped, "2026-12-28T07:00:00Z")))
                }
                Some((2, Looked::Pending { .. })) => world.read = Some((2, done("nightly", true))),
                Some(_) | None => {}
            }
            if !recorded(&world.snapshot).is_empty() && is_over(recorded(&world.snapshot)) {
                break;
            }
        }
        (world.done.clone(), world.outcomes.clone(), world.verified(), world.known())
    };
    let expected = to_the_end(None);
    assert_eq!(expected.0, [Act::Read(1), Act::Read(2), Act::Forget]);
    for death in 0..3 {
        assert_eq!(to_the_end(Some(death)), expected, "death {death}");
    }
}
