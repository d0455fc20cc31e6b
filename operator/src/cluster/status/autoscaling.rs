//! What the autoscaler does, and whether it can do it exactly.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Planned, step};
use crate::api::cluster::{AutoscalingStatus, NextStep};
use crate::api::{ConditionReason, ConditionType};
use crate::cluster::decide::ceiling::{CEILING, ended, standing};
use crate::cluster::decide::scaling::{ReplicasOwner, Size, Tolerance};
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
    findings.extend(plan.size.capped_from.map(|asked| capped(asked, &plan.size, observed)));
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

fn capped(asked: i32, size: &Size, observed: &Observed) -> Finding {
    let is_lowered = size.granted.as_ref().is_some_and(|granted| granted.lowered_at.is_some());
    let (reason, why) = match (standing(observed), ended(observed)) {
        (_, Some(ended)) if is_lowered => (
            ConditionReason::ApprovalEnded,
            format!("ScaleApproval {} ended at {}, and a tenth goes each minute", ended.name, ended.expires_at),
        ),
        (_, None) if is_lowered => (
            ConditionReason::ApprovalEnded,
            "the ScaleApproval for more was deleted, and a tenth goes each minute".to_owned(),
        ),
        (Some(standing), _) => (
            ConditionReason::AboveCeiling,
            format!("ScaleApproval {} allows no more until {}", standing.name, standing.expires_at),
        ),
        (None, Some(ended)) => {
            (ConditionReason::ApprovalEnded, format!("ScaleApproval {} ended at {}", ended.name, ended.expires_at))
        }
        (None, None) => (ConditionReason::AboveCeiling, "nobody has approved more".to_owned()),
    };
    let most = size.ceiling;
    let message = format!(
        "asked for {asked} servers, capped at {most}: {why}; have a ScaleApproval created by somebody who may (kubectl explain \
         scaleapproval), or set replicas and autoscaling.maxReplicas to {} or less",
        if is_lowered { CEILING } else { most }
    );
    Finding::new(ConditionType::ReplicasCapped, State::True, reason, message)
}

/// What becomes of more servers than everybody may have, by itself. While nobody carries the plan out, its times would only move.
pub(super) fn next(planned: &Planned, observed: &Observed) -> Option<NextStep> {
    let size = Some(&planned.plan.size).filter(|_| !planned.plan.paused)?;
    let (granted, at) = (size.granted.as_ref()?, size.changes_at?);
    let what = match standing(observed) {
        Some(standing) if granted.lowered_at.is_none() => format!(
            "add no server any more, and take those beyond what is approved then away step by step: ScaleApproval {} ends",
            standing.name
        ),
        _ => format!("allow a tenth less than {} servers, since no ScaleApproval stands for so many", granted.servers),
    };
    // The API server keeps whole seconds: what is read back has to be equal to what was written.
    let at = Timestamp::from_second(at.as_second()).ok()?;
    Some(step(what, Some(Time(at))))
}
