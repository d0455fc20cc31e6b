//! How many servers, and who says so.
//!
//! `spec.replicas` is the floor while autoscaling is on, and the number while it is off. To hand the number over to the
//! autoscaler the operator stops applying it; it steps in again only to raise a number below the floor.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;

use crate::api::cluster::Autoscaling;
use crate::api::labels;
use crate::cluster::observed::Observed;
use crate::cluster::validate::ValidatedCluster;

/// The most servers that a cluster gets.
pub const CEILING: i32 = 20;

/// How many servers, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Whether the autoscaler can be given its dead band.
    pub tolerance: Tolerance,
}

/// Whether the API server keeps the tolerance that makes the dead band exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tolerance {
    /// It does, or has not been asked yet.
    Exact,
    /// It was asked, and dropped it. Asking again would write at every pass and change nothing.
    Dropped,
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
    let floor = cluster.replicas.clamp(1, CEILING);
    let live = observed.children.deployment.as_ref().map(live_replicas);
    match &cluster.autoscaling {
        None => Size {
            floor,
            ceiling: floor,
            owner: ReplicasOwner::Spec,
            apply: Some(floor),
            capped_from: asked_above(cluster.replicas),
            tolerance: Tolerance::Exact,
        },
        Some(autoscaling) => Size {
            floor,
            ceiling: autoscaling.max_replicas.clamp(floor, CEILING),
            owner: ReplicasOwner::Autoscaler,
            // The API server would start a new Deployment with one server, and the autoscaler takes a while to notice a
            // raised floor.
            apply: live.is_none_or(|live| live < floor).then_some(floor),
            capped_from: asked_above(autoscaling.max_replicas.max(cluster.replicas)),
            tolerance: tolerance(autoscaling, observed.children.autoscaler.as_ref()),
        },
    }
}

/// The autoscaler itself says for which tolerance it was asked, in an annotation that is written together with it.
fn tolerance(autoscaling: &Autoscaling, live: Option<&HorizontalPodAutoscaler>) -> Tolerance {
    let Some(live) = live else { return Tolerance::Exact };
    let asked = live.metadata.annotations.as_ref().and_then(|annotations| annotations.get(labels::TOLERANCE));
    let is_asked = asked.is_some_and(|asked| *asked == down_tolerance(autoscaling));
    let is_there =
        live.spec.behavior.as_ref().and_then(|behavior| behavior.scale_down.as_ref()?.tolerance.as_ref()).is_some();
    if is_asked && !is_there { Tolerance::Dropped } else { Tolerance::Exact }
}

/// The downward tolerance, in thousandths as the API server returns it: the first above `1 - down / target`, so that the
/// threshold itself holds still whatever floating point makes of it. A percent is at least ten thousandths of a target of 100
/// or less, so the percent below the threshold still acts.
pub fn down_tolerance(autoscaling: &Autoscaling) -> String {
    let (target, down) = (autoscaling.scale_up.cpu_percent.max(1), autoscaling.scale_down.cpu_percent);
    format!("{}m", 1000 * (target - down) / target + 1)
}

fn asked_above(asked: i32) -> Option<i32> {
    (asked > CEILING).then_some(asked)
}

fn live_replicas(deployment: &Deployment) -> i32 {
    deployment.spec.replicas.unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

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
