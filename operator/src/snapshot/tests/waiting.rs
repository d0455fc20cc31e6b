//! What a snapshot waits for, and what it says meanwhile.

use serde_json::json;

use super::{CREATED, World, at, snapshot, way};
use crate::api::snapshot::{ArchivePolicy, RagSnapshot};
use crate::api::{ConditionReason, ConditionType};
use crate::job::{Archive, Looked, Missing, Unusable};
use crate::snapshot::decide::Act;
use crate::snapshot::observe;
use crate::snapshot::observed::Obstacle;

#[test]
fn what_is_in_the_way_is_said_with_its_class_and_nothing_is_made() {
    let no_secret = Missing::Secret { cluster: "handbook".into(), field: "spec.x".into(), name: "key".into() }.into();
    let no_claim = Missing::Claim { destination: "near".into(), name: "archive".into() }.into();
    let not_made = Obstacle::Servers(Unusable::NotMade { cluster: "handbook".into() });
    let nowhere = Archive::of("handbook", None, None).unwrap_err();
    for (obstacle, reason, stalls) in [
        (Obstacle::ClusterMissing("handbook".into()), ConditionReason::ClusterMissing, true),
        (Obstacle::NoDestination(nowhere), ConditionReason::NoDestination, true),
        (no_secret, ConditionReason::SecretMissing, true),
        (no_claim, ConditionReason::ClaimMissing, true),
        (not_made, ConditionReason::Starting, false),
        (Obstacle::Paused("handbook".into()), ConditionReason::Paused, false),
    ] {
        let mut world = World::new(ArchivePolicy::Delete);
        world.way = Err(obstacle.clone());
        world.settle();
        assert_eq!(world.done, [], "{obstacle}");
        world.is(ConditionType::Ready, "False", reason);
        assert_eq!(world.said(ConditionType::Stalled).0, if stalls { "True" } else { "False" }, "{obstacle}");
        let both = [ConditionType::Reconciling, ConditionType::Stalled].map(|type_| world.said(type_).0 == "True");
        assert_ne!(both, [true, true], "kstatus reads one of them");
        // And gone, it goes on by itself.
        world.way = Ok(way());
        world.settle();
        assert_eq!(world.done, [Act::Hold, Act::Take(1)]);
    }
}

#[test]
fn one_that_is_to_be_taken_waits_for_a_reading_that_is_under_way_and_says_for_which() {
    let mut world = World::new(ArchivePolicy::Delete);
    world.reading = Some("RagSnapshot monthly, its reading".into());
    world.settle();
    world.is(ConditionType::Ready, "False", ConditionReason::WaitsForTurn);
    assert!(world.said(ConditionType::Ready).2.contains("RagSnapshot monthly, its reading"));
    assert_eq!(world.done, []);
    world.reading = None;
    world.pass(false);
    // It is announced, and a reading was faster.
    world.reading = Some("RagSnapshot monthly, its reading".into());
    world.settle();
    assert_eq!(world.done, []);
    world.is(ConditionType::Ready, "False", ConditionReason::WaitsForTurn);
    world.reading = None;
    world.settle();
    assert_eq!(world.done, [Act::Hold, Act::Take(1)]);
}

#[test]
fn the_second_snapshot_of_a_destination_waits_and_says_for_which() {
    let mut world = World::new(ArchivePolicy::Retain);
    world.sooner = Some("weekly".into());
    world.settle();
    world.is(ConditionType::Ready, "False", ConditionReason::WaitsForTurn);
    assert!(world.said(ConditionType::Ready).2.contains("RagSnapshot weekly"));
    assert_eq!(world.done, []);
    world.sooner = None;
    world.settle();
    assert_eq!(world.done, [Act::Take(1)]);
    // What has begun is overtaken by nobody.
    world.sooner = Some("weekly".into());
    world.take = Some((1, Looked::Running));
    world.settle();
    world.is(ConditionType::Ready, "False", ConditionReason::Taking);
}

#[test]
fn of_the_snapshots_of_a_destination_one_is_first_and_the_others_know_it() {
    let named = |name: &str, created: &str, destination: Option<&str>, step: Option<&str>| {
        let mut made = snapshot(ArchivePolicy::Retain);
        made.metadata.name = Some(name.into());
        made.metadata.uid = Some(format!("uid-of-{name}"));
        made.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(created)));
        made.spec.destination = destination.map(str::to_owned);
        let step = step.map(|state| json!([{"number": 2, "name": "take", "state": state}]));
        made.status = step.map(|steps| serde_json::from_value(json!({"steps": steps})).unwrap());
        made
    };
    let early = "2026-11-21T07:00:00Z";
    let sooner = |all: &[RagSnapshot], of: &RagSnapshot| observe::sooner_of(all.iter(), of, Some("offsite"));
    let (old, new) = (named("old", early, None, None), named("new", CREATED, Some("offsite"), None));
    let all = [old.clone(), new.clone()];
    assert_eq!((sooner(&all, &old), sooner(&all, &new).as_deref()), (None, Some("old")));
    // One that is being taken is first, however young.
    let all = [old.clone(), named("new", CREATED, None, Some("Running"))];
    assert_eq!(sooner(&all, &old).as_deref(), Some("new"));
    for ended in ["Done", "Failed"] {
        let all = [named("old", early, None, Some(ended)), new.clone()];
        assert_eq!(sooner(&all, &new), None, "{ended}");
    }
    let all = [named("old", early, Some("near"), Some("Running")), new.clone()];
    assert_eq!(sooner(&all, &new), None, "another destination");
}
