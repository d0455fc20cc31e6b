//! What a reading says of the copy.

use super::*;

#[test]
fn a_snapshot_that_is_read_again_says_when_and_leaves_no_job_behind() {
    let mut world = World::new();
    world.settle();
    assert_eq!(world.done, [Act::Read(1)]);
    assert!(world.known().is_under_way);
    world.is("True", ConditionReason::ReadBack);
    world.ends(done("nightly", true));
    assert_eq!(world.done, [Act::Read(1), Act::Forget]);
    world.is("True", ConditionReason::ReadBack);
    assert!(world.verified().2.contains("2026-11-21T08:01:20Z"), "{:?}", world.verified());
    assert_eq!((world.outcomes.as_slice(), world.known().failure), ([Outcome::Whole].as_slice(), None));
    let archive = world.snapshot.status.as_ref().unwrap().archive.clone().unwrap();
    assert_eq!(archive.verified_at.map(|at| at.0), last_at(&world.snapshot));
}

#[test]
fn what_is_not_what_was_taken_is_verified_no_longer_and_says_why() {
    let other = {
        let mut report: Value = json!({"outcome": "done", "written_bytes": 0, "verified": true});
        let Looked::Done { report: taken, .. } = done("nightly", true) else { panic!() };
        let taken: Value = taken.read().unwrap();
        report["snapshot"] = taken["snapshot"].clone();
        report["snapshot"]["sha256"] = json!("cd".repeat(32));
        Looked::Done { report: Report::parse(&report.to_string()).unwrap(), at: Some(at(NOW)) }
    };
    for (looked, reason, outcome, word) in [
        (failed(&Cause::Damaged, NOW), ConditionReason::Damaged, Outcome::Damaged, "as it says"),
        (failed(&Cause::Incomplete, NOW), ConditionReason::Damaged, Outcome::Damaged, "as it says"),
        (failed(&Cause::Forged, NOW), ConditionReason::Damaged, Outcome::Damaged, "as it says"),
        (failed(&Cause::None, NOW), ConditionReason::CopyGone, Outcome::Gone, "not in the archive any more"),
        (other, ConditionReason::Damaged, Outcome::Damaged, "another snapshot of the same name"),
    ] {
        let mut world = World::new();
        world.settle();
        world.ends(looked);
        world.is("False", reason);
        assert!(world.verified().2.contains(word), "{:?}", world.verified());
        assert_eq!(world.outcomes, [outcome]);
        assert_eq!(world.done, [Act::Read(1), Act::Forget]);
        assert_eq!(world.known().fault.unwrap().reason, reason.as_str());
        assert_eq!(last_at(&world.snapshot), Some(at(NOW)), "it was read, and is not read again at once");
        // And verified again once it can be read again.
        world.settle();
        world.ends(done("nightly", true));
        world.is("True", ConditionReason::ReadBack);
        assert_eq!(world.known().fault, None);
    }
}

#[test]
fn what_says_nothing_about_the_copy_leaves_it_verified_and_is_told() {
    for (cause, reason) in [
        (Cause::AuthFailed, ConditionReason::AuthFailed),
        (Cause::NoKey, ConditionReason::NotReadBack),
        (Cause::NewerFormat, ConditionReason::NotReadBack),
    ] {
        let mut world = World::new();
        let before = last_at(&world.snapshot);
        world.settle();
        world.ends(failed(&cause, NOW));
        world.is("True", ConditionReason::ReadBack);
        assert_eq!((world.done.as_slice(), last_at(&world.snapshot)), ([Act::Read(1), Act::Forget].as_slice(), before));
        let (_, trouble) = world.known().failure.unwrap();
        assert_eq!(trouble.reason, reason.as_str());
        assert!(trouble.message.contains("as it says"), "{trouble:?}");
        // While it is tried again it stands there still.
        world.settle();
        assert!(world.known().failure.is_some() && world.known().is_under_way);
        world.ends(done("nightly", true));
        assert_eq!(
            (world.known().failure, world.outcomes.as_slice()),
            (None, [Outcome::Failed, Outcome::Whole].as_slice())
        );
    }
}
