//! What the autoscaler does, and whether it can do it exactly.

use jiff::SignedDuration;
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition};

use super::Planned;
use crate::api::cluster::AutoscalingStatus;
use crate::api::{ConditionReason, ConditionType};
use crate::cluster::decide::scaling::{CEILING, ReplicasOwner, Tolerance};
use crate::cluster::observed::Observed;
use crate::conditions::{Finding, State};

/// New pods have no figures for a minute or two.
const METRICS_GRACE: SignedDuration = SignedDuration::from_mins(3);

/// Between which numbers the autoscaler moves; nothing while it is off.
pub(super) fn status(planned: &Planned, observed: &Observed) -> Option<AutoscalingStatus> {
    let size = &planned.plan.size;
    let autoscaler = observed.children.autoscaler.as_ref();
    let desired = autoscaler.and_then(|autoscaler| Some(autoscaler.status.as_ref()?.desired_replicas));
    (size.owner == ReplicasOwner::Autoscaler).then(|| AutoscalingStatus {
        floor: size.floor,
        ceiling: size.ceiling,
        desired: desired.filter(|desired| *desired > 0),
    })
}

/// What is to be said about the number of servers and its autoscaler.
pub(super) fn findings(planned: Option<&Planned>, observed: &Observed) -> Vec<Finding> {
    let Some(Planned { plan, .. }) = planned else { return Vec::new() };
    let mut findings = Vec::new();
    if plan.size.owner == ReplicasOwner::Autoscaler
        && let Some(autoscaler) = &observed.children.autoscaler
    {
        findings.push(exact(&plan.size.tolerance));
        findings.push(metrics(autoscaler, observed));
    }
    findings.extend(plan.size.capped_from.map(capped));
    findings
}

/// Whether the condition is one of those above; without a plan nothing new can be said about them.
pub(super) fn is_ours(type_: &str) -> bool {
    let ours = [ConditionType::AutoscalingExact, ConditionType::MetricsAvailable, ConditionType::ReplicasCapped];
    ours.iter().any(|ours| ours.as_str() == type_)
}

fn exact(tolerance: &Tolerance) -> Finding {
    let found = |state, reason, message: &str| Finding::new(ConditionType::AutoscalingExact, state, reason, message);
    match tolerance {
        Tolerance::Exact => found(State::True, ConditionReason::DeadBand, "both thresholds hold to the percent"),
        Tolerance::Dropped { .. } => found(
            State::False,
            ConditionReason::ToleranceDropped,
            "the API server dropped behavior.scaleDown.tolerance, so servers are removed in proportion to their load instead \
             of only below scaleDown.cpuPercent; use Kubernetes 1.35 or newer, which is then asked for it by itself",
        ),
    }
}

fn metrics(autoscaler: &HorizontalPodAutoscaler, observed: &Observed) -> Finding {
    let found = |state, reason, message: String| Finding::new(ConditionType::MetricsAvailable, state, reason, message);
    let conditions = autoscaler.status.as_ref().and_then(|status| status.conditions.as_ref());
    let active = conditions.into_iter().flatten().find(|condition| condition.type_ == "ScalingActive");
    match active {
        Some(active) if active.status == "True" => {
            found(State::True, ConditionReason::Current, "the autoscaler decides by current CPU figures".to_owned())
        }
        Some(active) if active.status == "False" && lasts(active, observed) => found(
            State::False,
            ConditionReason::MetricsMissing,
            format!(
                "the autoscaler gets no CPU figures ({}); see that metrics-server runs, and that every container of the pods \
                 requests CPU",
                active.reason.as_deref().unwrap_or("no reason given")
            ),
        ),
        Some(_) | None => {
            found(State::Unknown, ConditionReason::NotReported, "the autoscaler has no CPU figures yet".to_owned())
        }
    }
}

fn lasts(condition: &HorizontalPodAutoscalerCondition, observed: &Observed) -> bool {
    let since = condition.last_transition_time.as_ref().map(|time| time.0);
    since.is_none_or(|since| observed.now.duration_since(since) > METRICS_GRACE)
}

fn capped(asked: i32) -> Finding {
    Finding::new(
        ConditionType::ReplicasCapped,
        State::True,
        ConditionReason::AboveCeiling,
        format!(
            "asked for {asked} servers, capped at {CEILING}; set replicas and autoscaling.maxReplicas to {CEILING} or less"
        ),
    )
}
