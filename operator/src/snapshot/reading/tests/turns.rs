//! When one is begun, waits, and makes way.

use super::*;

#[test]
fn it_waits_for_whatever_is_under_way_and_ends_at_once_for_a_restore_of_what_is_served() {
    let mut world = World::new();
    world.sooner = Some("RagSnapshot weekly".into());
    world.settle();
    let waits = recorded(&world.snapshot)[0].clone();
    assert_eq!(
        (waits.state, waits.message.as_str()),
        (StepState::Waiting, "waits for RagSnapshot weekly, which goes first")
    );
    assert_eq!(world.done, []);
    assert!(!world.known().is_under_way);
    world.sooner = None;
    world.settle();
    assert_eq!(world.done, [Act::Read(1)]);
    // What comes now waits for it.
    world.sooner = Some("RagSnapshot weekly".into());
    world.read = Some((1, Looked::Running));
    world.settle();
    assert_eq!(world.done, [Act::Read(1)]);
    // But not a restore of what is served.
    (world.sooner, world.yields_to) = (Some("RagRestore undo".into()), Some("RagRestore undo".into()));
    world.settle();
    assert_eq!(world.done, [Act::Read(1), Act::Stop]);
    assert!(!world.known().is_under_way, "the restore has the way");
    world.settle();
    assert_eq!(world.done, [Act::Read(1), Act::Stop]);
    (world.sooner, world.yields_to) = (None, None);
    world.settle();
    world.ends(done("nightly", true));
    assert_eq!(world.done, [Act::Read(1), Act::Stop, Act::Read(1), Act::Forget]);
    world.is("True", ConditionReason::ReadBack);
}

fn cluster_that_asks(verification: &str) -> RagCluster {
    let mut cluster = with_snapshots("");
    let snapshots = cluster.spec.snapshots.as_mut().unwrap();
    snapshots.verification = serde_json::from_str(verification).unwrap();
    cluster
}

#[test]
fn it_is_due_by_the_spec_of_its_cluster_and_never_where_nobody_knows_the_destination() {
    let (mut snapshot, now) = (kept(), at("2026-11-30T00:00:00Z"));
    let days = |snapshot: &RagSnapshot, cluster: &RagCluster| {
        due(snapshot, cluster, now).map(|due| due.duration_since(last_at(snapshot).unwrap()).as_hours() / 24)
    };
    let monthly = days(&snapshot, &cluster_that_asks("null")).unwrap();
    assert!((26..30).contains(&monthly), "{monthly}");
    assert_eq!(days(&snapshot, &cluster_that_asks(r#"{"everyDays": 1}"#)), Some(0));
    assert_eq!(days(&snapshot, &cluster_that_asks(r#"{"suspend": true}"#)), None);
    let mut resting = cluster_that_asks("null");
    resting.spec.paused = true;
    assert_eq!(days(&snapshot, &resting), None);
    let mut suspended = cluster_that_asks("null");
    suspended.spec.snapshots.as_mut().unwrap().suspend = true;
    assert_eq!(days(&snapshot, &suspended), None);
    snapshot.status.as_mut().unwrap().archive.as_mut().unwrap().destination = "gone".to_owned();
    assert_eq!(days(&snapshot, &cluster_that_asks("null")), None);
}

fn standing(name: &str, world: &World) -> Standing {
    let mut snapshot = world.snapshot.clone();
    snapshot.metadata.name = Some(name.to_owned());
    Standing::of(&reading(&snapshot), recorded(&snapshot))
}

#[test]
fn two_that_announce_it_at_the_same_time_give_it_back_and_go_by_their_age() {
    let mut world = World::new();
    assert_eq!(world.pass(true), Answer::Record);
    let announced = [standing("a", &world), standing("b", &world)];
    assert!(announced.iter().all(is_under_way));
    for (mine, other) in [(0, 1), (1, 0)] {
        assert_eq!(sooner(&announced[mine], &announced), Some(announced[other].name.clone()));
    }
    world.sooner = Some("the other".into());
    world.settle();
    let waiting = [standing("a", &world), standing("b", &world)];
    assert_eq!(waiting[0].current.as_ref().unwrap().step.name, READ);
    assert_eq!(sooner(&waiting[0], &waiting), None);
    assert_eq!(sooner(&waiting[1], &waiting), Some(waiting[0].name.clone()));
    // One whose destination is not to be reached keeps no other from being read.
    let mut barred = World::new();
    barred.way = Err(Obstacle::Paused("handbook".into()));
    barred.settle();
    assert_eq!(sooner(&waiting[1], &[standing("a", &barred), waiting[1].clone()]), None);
}
