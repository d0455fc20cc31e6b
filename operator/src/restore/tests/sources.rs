//! What is restored, and what keeps it from being restored.

use serde_json::{Value, json};

use crate::api::ConditionReason;
use crate::restore::decide::{Obstacle, Source, source};
use crate::restore::fixtures::{ASKED_AT, at, restore, seen, taken};
use crate::restore::observed::{ClusterSeen, Seen, SnapshotSeen, SnapshotState};

fn of(mode: &str, asked: Value, seen: &Seen) -> Result<Source, Obstacle> {
    let asked = restore("r", json!({"cluster": "handbook", "mode": mode, "source": asked}));
    source(&asked.spec, at(ASKED_AT), seen)
}

fn said(mode: &str, asked: Value) -> String {
    of(mode, asked, &seen()).unwrap().to_string()
}

#[test]
fn a_snapshot_is_named_by_its_object_by_its_name_in_the_archive_or_by_time() {
    for mode in ["Drill", "InPlace"] {
        let by_object = said(mode, json!({"snapshotRef": {"name": "daily-6"}}));
        assert_eq!(by_object, "snapshot daily-6 of destination bucket");
        let by_name = said(mode, json!({"archive": {"destination": "off-site", "name": "old"}}));
        assert_eq!(by_name, "snapshot old of destination off-site");
    }
    let before = json!({"archive": {"newestBefore": "2026-11-27T00:00:00Z"}});
    assert_eq!(
        said("InPlace", before.clone()),
        "the newest snapshot of destination bucket that began before 2026-11-27T00:00:00Z"
    );
    assert_eq!(said("Drill", before), "snapshot daily-6 of destination bucket");
}

#[test]
fn the_newest_of_a_restore_in_place_is_never_the_one_that_is_taken_of_what_is_served_before_it() {
    let taken_before = Seen { before: Some(taken("undo-before", "2026-11-28T08:01:00Z")), ..seen() };
    let newest = of("InPlace", json!({"archive": {}}), &taken_before).unwrap();
    assert_eq!((newest.name, newest.before), (None, Some(at(ASKED_AT))));
    let future = json!({"archive": {"newestBefore": "2027-01-01T00:00:00Z"}});
    assert_eq!(of("InPlace", future, &taken_before).unwrap().before, Some(at(ASKED_AT)));
}

#[test]
fn a_drill_of_the_newest_is_of_the_newest_in_its_destination_that_has_an_object() {
    assert_eq!(said("Drill", Value::Null), "snapshot daily-7 of destination bucket");
    assert_eq!(
        said("Drill", json!({"archive": {"destination": "off-site"}})),
        "the newest snapshot of destination off-site"
    );
    let mut other = seen();
    other.snapshots.push(SnapshotSeen { cluster: "guides".into(), ..taken("newer", "2026-11-28T02:00:00Z") });
    assert_eq!(of("Drill", Value::Null, &other).unwrap().name.as_deref(), Some("daily-7"));
}

#[test]
fn what_is_in_the_way_is_said_with_its_class_and_whether_it_may_go_away() {
    let cluster = |change: fn(&mut ClusterSeen)| {
        let mut seen = seen();
        change(seen.cluster.as_mut().unwrap());
        seen
    };
    let snapshot = |change: fn(&mut SnapshotSeen)| {
        let mut seen = seen();
        change(&mut seen.snapshots[0]);
        seen
    };
    type Row = (Seen, ConditionReason, bool, &'static str);
    let table: Vec<Row> = vec![
        (Seen { cluster: None, ..seen() }, ConditionReason::ClusterMissing, true, "create it"),
        (cluster(|c| c.is_paused = true), ConditionReason::Paused, true, "remove it"),
        (
            cluster(|c| c.not_ready = Some((ConditionReason::Starting, "it starts".into()))),
            ConditionReason::Starting,
            true,
            "it starts",
        ),
        (
            cluster(|c| c.not_ready = Some((ConditionReason::RevisionUnreadable, "delete it".into()))),
            ConditionReason::RevisionUnreadable,
            true,
            "delete it",
        ),
        (cluster(|c| c.destinations.clear()), ConditionReason::NoDestination, true, "is empty; add bucket"),
        (
            cluster(|c| c.destinations = vec!["new".into()]),
            ConditionReason::NoDestination,
            true,
            "names no bucket, but: new",
        ),
        (
            cluster(|c| c.missing = Some((ConditionReason::SecretMissing, "there is no Secret b".into()))),
            ConditionReason::SecretMissing,
            true,
            "there is no Secret b",
        ),
        (Seen { snapshots: Vec::new(), ..seen() }, ConditionReason::SnapshotMissing, true, "spec.source.archive.name"),
        (snapshot(|s| s.cluster = "guides".into()), ConditionReason::InvalidSpec, false, "is of RagCluster guides"),
        (
            snapshot(|s| s.state = SnapshotState::Taking("it runs".into())),
            ConditionReason::Waiting,
            true,
            "is being taken: it runs",
        ),
    ];
    for (seen, reason, may_pass, words) in table {
        for mode in ["Drill", "InPlace"] {
            let obstacle = of(mode, json!({"snapshotRef": {"name": "daily-7"}}), &seen).unwrap_err();
            assert_eq!((obstacle.reason, obstacle.may_pass), (reason, may_pass), "{}", obstacle.why);
            assert!(obstacle.why.contains(words), "{}", obstacle.why);
        }
    }
}

#[test]
fn into_a_store_that_is_inside_its_server_nothing_is_restored_by_a_job_and_a_drill_needs_none() {
    let mut embedded = seen();
    embedded.cluster.as_mut().unwrap().is_embedded = true;
    let snapshot = json!({"snapshotRef": {"name": "daily-7"}});
    let obstacle = of("InPlace", snapshot.clone(), &embedded).unwrap_err();
    assert_eq!((obstacle.reason, obstacle.may_pass), (ConditionReason::Unsupported, false));
    assert!(obstacle.why.contains("while the server is stopped") && obstacle.why.contains("mode Drill"));
    assert_eq!(of("Drill", snapshot.clone(), &embedded).unwrap(), of("Drill", snapshot, &seen()).unwrap());
}

#[test]
fn what_will_never_be_there_is_not_waited_for() {
    let mut never = seen();
    never.snapshots[0].state = SnapshotState::Failed { reason: "AuthFailed".into(), why: "no key".into() };
    let obstacle = of("Drill", json!({"snapshotRef": {"name": "daily-7"}}), &never).unwrap_err();
    assert_eq!((obstacle.reason, obstacle.may_pass), (ConditionReason::SnapshotMissing, false));
    let nothing = of("InPlace", Value::Null, &seen()).unwrap_err();
    assert_eq!((nothing.reason, nothing.may_pass), (ConditionReason::InvalidSpec, false));
    let too_early = json!({"archive": {"newestBefore": "2020-01-01T00:00:00Z"}});
    assert_eq!(of("Drill", too_early, &seen()).unwrap_err().reason, ConditionReason::SnapshotMissing);
}
