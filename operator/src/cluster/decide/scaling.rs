//! How many servers, and who says so.
//!
//! `spec.replicas` is the floor while autoscaling is on, and the number while it is off. To hand the number over to the
//! autoscaler the operator stops applying it; it steps in again only to raise a number below the floor. How many there may be at
//! most is decided in `ceiling`.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;

use super::ceiling::{Granted, ceiling};
use crate::api::cluster::Autoscaling;
use crate::api::labels;
use crate::cluster::observed::Observed;
use crate::cluster::validate::ValidatedCluster;

pub use super::ceiling::CEILING;

/// How many servers, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Size {
    /// The fewest servers.
    pub floor: i32,
    /// The most servers.
    pub ceiling: i32,
    /// Who moves the number between the two.
    pub owner: ReplicasOwner,
    /// The number to apply in this pass; nothing while the autoscaler owns it and keeps to the floor.
    pub apply: Option<i32>,
    /// More than the ceiling was asked for: how many.
    pub capped_from: Option<i32>,
    /// More than [`CEILING`]: what is noted on the object that holds the number.
    pub granted: Option<Granted>,
    /// When the most servers change although nothing happens.
    pub changes_at: Option<Timestamp>,
    /// Whether the autoscaler can be given its dead band.
    pub tolerance: Tolerance,
}

/// Whether the API server keeps the tolerance that makes the dead band exact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// It does, or has not been asked yet.
    Exact,
    /// It was asked, and dropped it. Asking again would write at every pass and change nothing, until its version is another.
    Dropped {
        /// The version that did.
        by: String,
    },
}

/// Who sets the number of servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicasOwner {
    /// The spec alone.
    Spec,
    /// The autoscaler, between floor and ceiling.
    Autoscaler,
}

/// How many servers the cluster gets.
pub fn size(cluster: &ValidatedCluster, observed: &Observed) -> Size {
    let asked = cluster.autoscaling.as_ref().map_or(0, |autoscaling| autoscaling.max_replicas).max(cluster.replicas);
    let ceiling = ceiling(asked, held(cluster, observed).as_ref(), observed);
    let floor = cluster.replicas.clamp(1, ceiling.most);
    let most = cluster.autoscaling.as_ref().map_or(floor, |on| on.max_replicas.clamp(floor, ceiling.most));
    let live = observed.children.deployment.as_ref().map(live_replicas);
    Size {
        floor,
        ceiling: most,
        owner: if cluster.autoscaling.is_some() { ReplicasOwner::Autoscaler } else { ReplicasOwner::Spec },
        // The API server would start a new Deployment with one server, and the autoscaler takes a while to notice a raised
        // floor.
        apply: (cluster.autoscaling.is_none() || live.is_none_or(|live| live < floor)).then_some(floor),
        capped_from: (asked > ceiling.most).then_some(asked),
        granted: (most > CEILING).then_some(Granted { servers: most, lowered_at: ceiling.lowered_at }),
        changes_at: ceiling.changes_at,
        tolerance: if cluster.autoscaling.is_some() { tolerance(observed) } else { Tolerance::Exact },
    }
}

/// What was granted, on the object that holds the number, as far as it is used.
fn held(cluster: &ValidatedCluster, observed: &Observed) -> Option<Granted> {
    let deployment = observed.children.deployment.as_ref()?;
    let holder = match cluster.autoscaling {
        Some(_) => &observed.children.autoscaler.as_ref()?.metadata,
        None => &deployment.metadata,
    };
    let Granted { servers, lowered_at } = Granted::read(holder)?;
    Some(Granted { servers: servers.min(live_replicas(deployment)), lowered_at })
}

/// Whoever applied the autoscaler has noted on it which API server's answer lacked the field. That the field is not there says
/// nothing: somebody may have removed it.
fn tolerance(observed: &Observed) -> Tolerance {
    let live = observed.children.autoscaler.as_ref();
    let noted = live.and_then(|live| live.metadata.annotations.as_ref()?.get(labels::TOLERANCE_DROPPED));
    match (noted, &observed.server_version) {
        (None, _) => Tolerance::Exact,
        (Some(by), Some(now)) if by != now => Tolerance::Exact,
        (Some(by), _) => Tolerance::Dropped { by: by.clone() },
    }
}

/// The downward tolerance, in thousandths as the API server returns it: the first above `1 - down / target`, so that the
/// threshold itself holds still whatever floating point makes of it. A percent is at least ten thousandths of a target of 100
/// or less, so the percent below the threshold still acts.
pub fn down_tolerance(autoscaling: &Autoscaling) -> String {
    let (target, down) = (autoscaling.scale_up.cpu_percent.max(1), autoscaling.scale_down.cpu_percent);
    format!("{}m", 1000 * (target - down) / target + 1)
}

fn live_replicas(deployment: &Deployment) -> i32 {
    deployment.spec.replicas.unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures::{applied, cluster, nothing};
    use crate::cluster::observed::Approval;
    use crate::cluster::validate::validate;
    use jiff::SignedDuration;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    const FIXED: &str = "{replicas: 25, autoscaling: {enabled: false}}";

    fn sized(spec: &str, observed: &Observed) -> Size {
        size(&validate(&cluster(spec), observed).unwrap(), observed)
    }

    fn with_live(replicas: i32) -> Observed {
        let mut world = applied(&cluster("{}"), &nothing());
        world.children.deployment.as_mut().unwrap().spec.replicas = Some(replicas);
        world
    }

    #[test]
    fn a_new_cluster_starts_at_its_floor_and_the_autoscaler_takes_it_from_there() {
        let size = sized("{}", &nothing());
        assert_eq!((size.floor, size.ceiling, size.apply), (3, 20, Some(3)));
        assert_eq!(sized("{}", &with_live(3)).apply, None);
        assert_eq!(sized("{}", &with_live(9)).apply, None);
    }

    #[test]
    fn a_raised_floor_is_applied_at_once_and_then_left_to_the_autoscaler() {
        assert_eq!(sized("replicas: 10", &with_live(4)).apply, Some(10));
        assert_eq!(sized("replicas: 10", &with_live(10)).apply, None);
        assert_eq!(sized("replicas: 10", &with_live(14)).apply, None);
    }

    #[test]
    fn without_an_autoscaler_the_spec_says_the_number() {
        let spec = "{replicas: 5, autoscaling: {enabled: false}}";
        for live in [1, 5, 12] {
            let size = sized(spec, &with_live(live));
            assert_eq!((size.owner, size.apply), (ReplicasOwner::Spec, Some(5)));
        }
    }

    #[test]
    fn more_than_the_ceiling_is_capped_and_said() {
        let size = sized("autoscaling: {maxReplicas: 25}", &nothing());
        assert_eq!((size.ceiling, size.capped_from), (20, Some(25)));
        let size = sized("{replicas: 32, autoscaling: {enabled: false}}", &nothing());
        assert_eq!((size.apply, size.capped_from), (Some(20), Some(32)));
        assert_eq!(sized("{}", &nothing()).capped_from, None);
    }

    /// A world in which a cluster with this spec has come to what an approval of 30 servers allows, some seconds before its end.
    fn approved(spec: &str, seconds: i64) -> Observed {
        let mut world = nothing();
        let end = world.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        world.approvals = vec![Approval { name: "launch".into(), max_replicas: 30, expires_at: end }];
        let mut world = applied(&cluster(spec), &world);
        world.children.deployment.as_mut().unwrap().spec.replicas = Some(25);
        world
    }

    #[test]
    fn an_approval_lifts_the_ceiling_and_notes_on_the_holder_of_the_number_what_it_allows() {
        for (spec, on_deployment) in [("autoscaling: {maxReplicas: 25}", false), (FIXED, true)] {
            let world = approved(spec, 100);
            let size = sized(spec, &world);
            assert_eq!((size.ceiling, size.capped_from), (25, None), "{spec}");
            assert_eq!(size.changes_at, Some(world.approvals[0].expires_at), "{spec}");
            let noted = Some(Granted { servers: 25, lowered_at: None });
            let deployment = Granted::read(&world.children.deployment.as_ref().unwrap().metadata);
            let autoscaler = world.children.autoscaler.as_ref().and_then(|object| Granted::read(&object.metadata));
            assert_eq!((deployment, autoscaler), if on_deployment { (noted, None) } else { (None, noted) });
        }
        let more = sized("autoscaling: {maxReplicas: 50}", &approved("{}", 100));
        assert_eq!((more.ceiling, more.capped_from), (30, Some(50)));
    }

    #[test]
    fn after_its_end_floor_and_ceiling_go_down_together_and_nothing_grows() {
        let spec = "{replicas: 24, autoscaling: {maxReplicas: 30}}";
        let mut world = approved(spec, 100);
        world = world.later(100);
        let size = sized(spec, &world);
        assert_eq!((size.floor, size.ceiling, size.apply, size.capped_from), (23, 23, None, Some(30)));
        assert_eq!(size.granted, Some(Granted { servers: 23, lowered_at: Some(world.now) }));
        // Fewer servers run than were allowed: that many are allowed from now on.
        world.children.deployment.as_mut().unwrap().spec.replicas = Some(12);
        assert_eq!(sized("autoscaling: {maxReplicas: 30}", &world).ceiling, 20);
    }

    #[test]
    fn a_fixed_number_goes_down_step_by_step_and_one_that_was_set_by_hand_at_once() {
        let world = approved(FIXED, 100).later(100);
        assert_eq!(sized(FIXED, &world).apply, Some(23));
        assert_eq!(sized("{replicas: 7, autoscaling: {enabled: false}}", &world).apply, Some(7));
        let mut by_hand = applied(&cluster(FIXED), &nothing());
        by_hand.children.deployment.as_mut().unwrap().spec.replicas = Some(25);
        assert_eq!(sized(FIXED, &by_hand).apply, Some(20));
    }

    #[test]
    fn a_tolerance_that_is_not_there_is_asked_for_again() {
        let mut world = with_live(3);
        assert_eq!(sized("{}", &world).tolerance, Tolerance::Exact);
        let autoscaler = world.children.autoscaler.as_mut().unwrap();
        for rules in autoscaler.spec.behavior.as_mut().unwrap().scale_down.iter_mut() {
            rules.tolerance = None;
        }
        assert_eq!(sized("{}", &world).tolerance, Tolerance::Exact);
    }

    #[test]
    fn a_tolerance_that_the_api_server_dropped_is_asked_for_again_when_its_version_is_another() {
        let mut world = with_live(3);
        let metadata = &mut world.children.autoscaler.as_mut().unwrap().metadata;
        metadata.annotations.get_or_insert_default().insert(labels::TOLERANCE_DROPPED.into(), "v1.34.2".into());
        let dropped = Tolerance::Dropped { by: "v1.34.2".into() };
        assert_eq!(sized("{}", &world).tolerance, dropped, "nobody knows of another version");
        world.server_version = Some("v1.34.2".into());
        assert_eq!(sized("{}", &world).tolerance, dropped);
        // Another threshold needs the same field.
        assert_eq!(sized("autoscaling: {scaleDown: {cpuPercent: 20}}", &world).tolerance, dropped);
        world.server_version = Some("v1.35.0".into());
        assert_eq!(sized("{}", &world).tolerance, Tolerance::Exact);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_the_number_stays_within_its_bounds_and_capacity_is_never_taken_from_the_autoscaler(
            replicas in -5..2000i32, max in -5..2000i32, live in proptest::option::of(0..2000i32), enabled in any::<bool>(),
        ) {
            let observed = live.map_or_else(nothing, with_live);
            let spec = format!("{{replicas: {replicas}, autoscaling: {{enabled: {enabled}, maxReplicas: {max}}}}}");
            let size = sized(&spec, &observed);
            prop_assert!(1 <= size.floor && size.floor <= size.ceiling && size.ceiling <= CEILING);
            prop_assert_eq!(size.capped_from.is_some(), replicas > CEILING || enabled && max > CEILING);
            match size.owner {
                ReplicasOwner::Spec => prop_assert_eq!(size.apply, Some(size.floor)),
                ReplicasOwner::Autoscaler => {
                    prop_assert!(size.apply.is_none_or(|count| count == size.floor && live.is_none_or(|live| live < count)));
                }
            }
        }
    }

    /// The comparison that the autoscaler makes, in the arithmetic in which it makes it.
    fn holds(use_percent: i32, target: i32, tolerance_milli: i32) -> bool {
        let ratio = f64::from(use_percent) / f64::from(target);
        1.0 - f64::from(tolerance_milli) / 1000.0 <= ratio && ratio <= 1.0
    }

    fn milli(target: i32, down: i32) -> i32 {
        let mut autoscaling = Autoscaling::default();
        autoscaling.scale_up.cpu_percent = target;
        autoscaling.scale_down.cpu_percent = down;
        down_tolerance(&autoscaling).strip_suffix('m').unwrap().parse().unwrap()
    }

    #[test]
    fn the_default_band_is_the_measured_one() {
        assert_eq!(down_tolerance(&Autoscaling::default()), "572m");
    }

    #[test]
    fn every_band_holds_at_both_thresholds_and_acts_one_percent_beyond() {
        for target in 2..=100 {
            for down in 1..target {
                let tolerance = milli(target, down);
                assert!(holds(down, target, tolerance), "{down}/{target}");
                assert!(holds(target, target, tolerance), "{down}/{target}");
                assert!(!holds(down - 1, target, tolerance), "{down}/{target}");
                assert!(!holds(target + 1, target, tolerance), "{down}/{target}");
                assert!((1..1000).contains(&tolerance), "{down}/{target}: not in canonical form");
            }
        }
    }
}
