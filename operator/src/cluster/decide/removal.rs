//! The removal of what retention lets go: one Job of a destination at a time, whose list is fixed when it is made.
//!
//! First the copies in the archive, then the objects that stand for them, then the Job: who dies in between leaves something
//! that the next pass goes on with, and no object goes while its copy may still be there.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::retention::Retention;
use super::snapshots::Surplus;
use crate::cluster::observed::{Observed, Removal, RemovalState};
use crate::cluster::validate::Snapshots;

/// As many as one Job removes: their names, each of at most 52 characters, fit its report.
const MOST_AT_ONCE: usize = 16;

/// A Job that failed is left to be looked at, and then made again.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// The next act of a removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removing {
    /// The Job that removes copies is to be made.
    Start {
        /// The destination.
        destination: String,
        /// The snapshots, oldest first.
        names: Vec<String>,
    },
    /// The copies are gone: their objects are to go, and then what was made for the Job.
    Finish {
        /// The destination.
        destination: String,
        /// The objects.
        objects: Vec<Surplus>,
    },
}

/// What is to be done now, for each destination.
pub fn removing(asked: &Snapshots, retention: &Retention, observed: &Observed) -> Vec<Removing> {
    let names = asked.destinations.iter().map(|destination| destination.name.as_str()).collect::<BTreeSet<_>>();
    let act = |destination: &str| {
        let under_way = observed.removals.iter().find(|removal| removal.destination == destination);
        match under_way {
            Some(removal) => go_on(removal, observed),
            None => start(destination, retention),
        }
    };
    names.into_iter().filter_map(act).collect()
}

/// When a removal that failed is tried again.
pub fn tried_again_at(removal: &Removal) -> Option<Timestamp> {
    match &removal.state {
        RemovalState::Failed { at, .. } => at.checked_add(AGAIN_AFTER).ok(),
        RemovalState::UnderWay | RemovalState::Done | RemovalState::Remains => None,
    }
}

fn start(destination: &str, retention: &Retention) -> Option<Removing> {
    let names: Vec<String> = retention.expired.get(destination)?.iter().take(MOST_AT_ONCE).cloned().collect();
    Some(Removing::Start { destination: destination.to_owned(), names })
}

fn go_on(removal: &Removal, observed: &Observed) -> Option<Removing> {
    let objects = match &removal.state {
        RemovalState::UnderWay => return None,
        RemovalState::Failed { .. } if tried_again_at(removal)? > observed.now => return None,
        RemovalState::Failed { .. } | RemovalState::Remains => Vec::new(),
        RemovalState::Done => objects(removal, observed),
    };
    Some(Removing::Finish { destination: removal.destination.clone(), objects })
}

/// The objects of the copies that are gone.
fn objects(removal: &Removal, observed: &Observed) -> Vec<Surplus> {
    let is_of_it = |destination: &str| destination == removal.destination;
    let gone = observed.snapshots.iter().filter(|snapshot| {
        removal.names.contains(&snapshot.name)
            && !snapshot.is_going
            && snapshot.kept().is_some_and(|kept| is_of_it(&kept.destination))
    });
    gone.map(Surplus::from).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cluster::decide::retention::retention;
    use crate::cluster::fixtures::{NOW, cluster, daily_snapshot, nothing};
    use crate::cluster::observed::{Kept, SnapshotState};
    use crate::cluster::validate::validate;
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    fn asked() -> Snapshots {
        let spec = "snapshots: {destinations: [{name: near, volume: {claimName: shelf}}],
                    schedules: [{name: daily, schedule: '0 2 * * *', keep: 2}]}";
        validate(&cluster(spec), &nothing()).unwrap().snapshots.unwrap()
    }

    fn removal(names: &[&str], state: RemovalState) -> Removal {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Removal { destination: "near".to_owned(), names, state }
    }

    fn acts(world: &Observed) -> Vec<Removing> {
        let asked = asked();
        removing(&asked, &retention(&asked.schedules, &world.snapshots, &BTreeSet::new()), world)
    }

    #[test]
    fn a_job_that_runs_keeps_its_list_whatever_expires_meanwhile() {
        let mut world = nothing();
        world.snapshots = (0..5).map(daily_snapshot).collect();
        let start =
            Removing::Start { destination: "near".to_owned(), names: ["d00", "d01", "d02"].map(str::to_owned).into() };
        assert_eq!(acts(&world), [start]);
        world.removals = vec![removal(&["d00"], RemovalState::UnderWay)];
        assert!(acts(&world).is_empty());
        world.removals = vec![removal(&["d00"], RemovalState::Done)];
        let [Removing::Finish { objects, .. }] = &acts(&world)[..] else { panic!() };
        assert_eq!(objects.iter().map(|object| object.name.as_str()).collect::<Vec<_>>(), ["d00"]);
    }

    #[test]
    fn no_object_goes_for_a_job_that_failed_and_it_is_made_again_an_hour_later() {
        let mut world = nothing();
        world.snapshots = (0..5).map(daily_snapshot).collect();
        let at = NOW.parse::<Timestamp>().unwrap();
        world.removals = vec![removal(&["d00"], RemovalState::Failed { at, message: "no".to_owned() })];
        assert!(acts(&world).is_empty());
        let later = world.clone().later(3600);
        let finish = Removing::Finish { destination: "near".to_owned(), objects: Vec::new() };
        assert_eq!(acts(&later), std::slice::from_ref(&finish));
        world.removals = vec![removal(&[], RemovalState::Remains)];
        assert_eq!(acts(&world), [finish]);
    }

    #[test]
    fn a_job_answers_for_its_own_destination_and_for_what_is_not_going_already() {
        let mut world = nothing();
        world.snapshots = (0..4).map(daily_snapshot).collect();
        let far = Removal { destination: "far".to_owned(), ..removal(&["d00"], RemovalState::UnderWay) };
        world.removals = vec![far];
        assert!(matches!(&acts(&world)[..], [Removing::Start { names, .. }] if *names == ["d00", "d01"]));
        // One of its names is in another destination by now, and one is deleted by somebody else.
        let began_at = world.snapshots[0].due_at;
        world.snapshots[0].state =
            SnapshotState::Kept(Kept { destination: "far".to_owned(), began_at, is_verified: true });
        world.snapshots[1].is_going = true;
        world.removals = vec![removal(&["d00", "d01", "d02"], RemovalState::Done)];
        let [Removing::Finish { objects, .. }] = &acts(&world)[..] else { panic!() };
        assert_eq!(objects.iter().map(|object| object.name.as_str()).collect::<Vec<_>>(), ["d02"]);
    }

    /// What a crash leaves: some of the writes of an act, in their order.
    fn carry_out(world: &mut Observed, archive: &mut BTreeSet<String>, act: &Removing, writes: usize) {
        match act {
            Removing::Start { names, .. } if writes > 0 => {
                world.removals =
                    vec![removal(&names.iter().map(String::as_str).collect::<Vec<_>>(), RemovalState::UnderWay)];
            }
            Removing::Start { .. } => {}
            Removing::Finish { objects, .. } => {
                for (index, object) in objects.iter().enumerate() {
                    if index < writes {
                        assert!(!archive.contains(&object.name), "{} went before its copy", object.name);
                        world.snapshots.retain(|snapshot| snapshot.uid != object.uid);
                    }
                }
                if writes > objects.len() {
                    world.removals.clear();
                }
            }
        }
    }

    proptest! {
        /// Each pass carries out as many writes of its act as the crash lets it, and a Job that runs is done, fails, or goes on.
        #[test]
        fn whoever_dies_when_objects_and_copies_end_the_same(
            count in 0..40_usize, passes in proptest::collection::vec((0..20_usize, 0..3_u8), 0..40),
        ) {
            let mut world = nothing();
            world.snapshots = (0..count).map(daily_snapshot).collect();
            let mut archive: BTreeSet<String> = world.snapshots.iter().map(|snapshot| snapshot.name.clone()).collect();
            let settled = std::iter::repeat_n((usize::MAX, 0), 20);
            for (writes, fate) in passes.into_iter().chain(settled) {
                world = world.later(1800);
                for act in acts(&world) {
                    carry_out(&mut world, &mut archive, &act, writes);
                }
                let now = world.now;
                for running in world.removals.iter_mut().filter(|removal| removal.state == RemovalState::UnderWay) {
                    match fate {
                        0 => {
                            archive.retain(|name| !running.names.contains(name));
                            running.state = RemovalState::Done;
                        }
                        1 => {
                            // Some are gone all the same.
                            running.names.iter().take(1).for_each(|name| archive.retain(|kept| kept != name));
                            running.state = RemovalState::Failed { at: now, message: String::new() };
                        }
                        _ => {}
                    }
                }
            }
            let objects: BTreeSet<String> = world.snapshots.iter().map(|snapshot| snapshot.name.clone()).collect();
            prop_assert_eq!(&objects, &archive);
            prop_assert_eq!(objects.len(), count.min(2));
            prop_assert!(world.removals.is_empty(), "{:?}", world.removals);
            let newest: BTreeSet<String> = (count.saturating_sub(2)..count).map(|index| format!("d{index:02}")).collect();
            prop_assert_eq!(objects, newest);
        }
    }

    #[test]
    fn no_job_removes_more_than_its_report_can_name() {
        let expired = BTreeMap::from([("near".to_owned(), (0..40).map(|index| format!("d{index}")).collect())]);
        let retention = Retention { expired, ..Retention::default() };
        let acts = removing(&asked(), &retention, &nothing());
        let [Removing::Start { names, .. }] = &acts[..] else { panic!() };
        assert_eq!(names.len(), MOST_AT_ONCE);
    }
}
