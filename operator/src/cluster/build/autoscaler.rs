//! The HorizontalPodAutoscaler with its dead band: above one threshold up, below the other down, between the two nothing.
//!
//! The autoscaler compares `floor(100 * used / requested) / target` with `1 - tolerance` and `1 + tolerance` and does nothing
//! in between, both ends included. The target is the upper threshold with an upward tolerance of 0. The downward tolerance has
//! to reach from the target to the lower threshold, and not to the percent below it.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscaler,
    HorizontalPodAutoscalerBehavior, HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget, ResourceMetricSource,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::metadata::{self, Part};
use crate::api::cluster::Autoscaling;
use crate::api::labels;
use crate::cluster::decide::scaling::{Size, Tolerance, down_tolerance};
use crate::cluster::validate::ValidatedCluster;

/// How often a step policy may act: once a minute, so that new servers take load before the next step.
const STEP_SECONDS: i32 = 60;

/// NAME.
pub(super) fn autoscaler(
    cluster: &ValidatedCluster,
    autoscaling: &Autoscaling,
    size: &Size,
) -> HorizontalPodAutoscaler {
    let asked = HorizontalPodAutoscaler {
        metadata: metadata::granted(
            metadata::child(cluster, Part::Server, cluster.name.autoscaler()),
            size.granted.as_ref(),
        ),
        spec: HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: cluster.name.server(),
            },
            min_replicas: Some(size.floor),
            max_replicas: size.ceiling,
            metrics: Some(vec![cpu(autoscaling.scale_up.cpu_percent)]),
            behavior: Some(HorizontalPodAutoscalerBehavior {
                scale_up: Some(up(autoscaling)),
                scale_down: Some(down(autoscaling)),
            }),
        },
        ..HorizontalPodAutoscaler::default()
    };
    match &size.tolerance {
        Tolerance::Exact => asked,
        Tolerance::Dropped { by } => without_tolerance(asked, by),
    }
}

/// The same without its dead band, and with a note of the version of the API server that does not keep one.
pub fn without_tolerance(mut autoscaler: HorizontalPodAutoscaler, version: &str) -> HorizontalPodAutoscaler {
    if let Some(behavior) = &mut autoscaler.spec.behavior {
        for rules in [&mut behavior.scale_up, &mut behavior.scale_down].into_iter().flatten() {
            rules.tolerance = None;
        }
    }
    autoscaler.metadata = metadata::annotated(autoscaler.metadata, [(labels::TOLERANCE_DROPPED, version)]);
    autoscaler
}

/// Whether it has the tolerance that the dead band is made of.
pub fn has_tolerance(autoscaler: &HorizontalPodAutoscaler) -> bool {
    let behavior = autoscaler.spec.behavior.as_ref();
    behavior.and_then(|behavior| behavior.scale_down.as_ref()?.tolerance.as_ref()).is_some()
}

fn cpu(target_percent: i32) -> MetricSpec {
    MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource {
            name: "cpu".to_owned(),
            target: MetricTarget {
                type_: "Utilization".to_owned(),
                average_utilization: Some(target_percent),
                ..MetricTarget::default()
            },
        }),
        ..MetricSpec::default()
    }
}

/// Quick: as many again, or four, whichever is more.
fn up(autoscaling: &Autoscaling) -> HPAScalingRules {
    HPAScalingRules {
        tolerance: Some(Quantity("0".to_owned())),
        stabilization_window_seconds: Some(autoscaling.scale_up.for_seconds),
        select_policy: Some("Max".to_owned()),
        policies: Some(vec![policy("Percent", 100), policy("Pods", 4)]),
    }
}

/// Careful: a quarter, or two, whichever is more; without a limit one decision could take all but the floor.
fn down(autoscaling: &Autoscaling) -> HPAScalingRules {
    HPAScalingRules {
        tolerance: Some(Quantity(down_tolerance(autoscaling))),
        stabilization_window_seconds: Some(autoscaling.scale_down.for_seconds),
        select_policy: Some("Max".to_owned()),
        policies: Some(vec![policy("Percent", 25), policy("Pods", 2)]),
    }
}

fn policy(type_: &str, value: i32) -> HPAScalingPolicy {
    HPAScalingPolicy { type_: type_.to_owned(), value, period_seconds: STEP_SECONDS }
}

#[cfg(test)]
mod tests {
    use crate::cluster::decide::scaling::CEILING;
    use crate::cluster::fixtures::{cluster, nothing, pass};
    use proptest::prelude::{prop_assert, proptest};

    fn bounds(spec: &str) -> (i32, i32) {
        let autoscaler = pass(&cluster(spec), &nothing()).2.autoscaler.unwrap();
        (autoscaler.spec.min_replicas.unwrap(), autoscaler.spec.max_replicas)
    }

    #[test]
    fn more_servers_than_the_ceiling_are_never_asked_of_the_autoscaler() {
        assert_eq!(bounds("autoscaling: {maxReplicas: 25}"), (3, 20));
        assert_eq!(bounds("{replicas: 30, autoscaling: {maxReplicas: 40}}"), (20, 20));
        assert_eq!(bounds("{replicas: 4, autoscaling: {maxReplicas: 6}}"), (4, 6));
    }

    proptest! {
        #[test]
        fn whatever_is_asked_the_autoscaler_gets_bounds_that_it_takes(replicas in 1..=1000i32, max in 1..=1000i32) {
            let (least, most) = bounds(&format!("{{replicas: {replicas}, autoscaling: {{maxReplicas: {max}}}}}"));
            prop_assert!(1 <= least && least <= most && most <= CEILING, "{least} to {most}");
        }
    }
}
