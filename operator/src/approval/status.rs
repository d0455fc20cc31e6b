//! What a person reads about an approval. Pure: the spec, whether its cluster exists, and the time.

use jiff::{SignedDuration, Timestamp};

use crate::api::approval::{ScaleApproval, ScaleApprovalSpec, ScaleApprovalStatus};
use crate::api::{ConditionReason, ConditionType};
use crate::conditions::{Finding, State, merge};

/// How long before the end it is told: a day is enough for whoever approves to be asked.
const NOTICE: SignedDuration = SignedDuration::from_hours(24);

/// The status after a pass.
pub fn status(approval: &ScaleApproval, has_cluster: bool, now: Timestamp) -> ScaleApprovalStatus {
    let previous = approval.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let (state, reason, message) = standing(&approval.spec, has_cluster, now);
    let stalled = match state {
        State::False => Finding::new(ConditionType::Stalled, State::True, reason, message.clone()),
        State::True | State::Unknown => {
            Finding::new(ConditionType::Stalled, State::False, ConditionReason::Unhindered, "nothing is in the way")
        }
    };
    let settled = Finding::new(
        ConditionType::Reconciling,
        State::False,
        ConditionReason::Settled,
        "the operator goes by it as it stands",
    );
    let findings = vec![Finding::new(ConditionType::Ready, state, reason, message), settled, stalled];
    let generation = approval.metadata.generation;
    ScaleApprovalStatus { observed_generation: generation, conditions: merge(previous, findings, generation, now) }
}

/// When something else is to be said, if nothing happens before.
pub(super) fn next_change(spec: &ScaleApprovalSpec, now: Timestamp) -> Option<Timestamp> {
    let end = spec.expires_at.0;
    [notice_of(end), end].into_iter().find(|at| *at > now)
}

fn notice_of(end: Timestamp) -> Timestamp {
    end.checked_sub(NOTICE).unwrap_or(Timestamp::MIN)
}

/// Whether it is in force, the class of the cause, and the sentence.
fn standing(spec: &ScaleApprovalSpec, has_cluster: bool, now: Timestamp) -> (State, ConditionReason, String) {
    let ScaleApprovalSpec { cluster, max_replicas, expires_at, .. } = spec;
    let end = expires_at.0;
    let grants = format!("RagCluster {cluster} may have up to {max_replicas} servers until {end}");
    if now >= end {
        let message = format!(
            "ended at {end}: unless it is paused or stalled, no server is added to RagCluster {cluster} any more, and those \
             beyond what else is approved are taken away step by step; create another ScaleApproval if they are needed, and \
             delete this one"
        );
        (State::False, ConditionReason::Expired, message)
    } else if !has_cluster {
        let message = format!(
            "there is no RagCluster {cluster} in this namespace; create it, or delete this approval and create one that names \
             another"
        );
        (State::False, ConditionReason::ClusterMissing, message)
    } else if now >= notice_of(end) {
        let message = format!(
            "{grants}, which is within a day; create another ScaleApproval before if they are needed for longer: then no \
             server is added any more, and those beyond 20 are taken away step by step"
        );
        (State::True, ConditionReason::EndsSoon, message)
    } else {
        (State::True, ConditionReason::InForce, grants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approval::events::events;
    use crate::conditions::find;
    use crate::events::Severity;
    use serde_json::json;

    const END: &str = "2026-12-01T08:00:00Z";

    fn approval() -> ScaleApproval {
        serde_json::from_value(json!({
            "apiVersion": "ragops.dev/v1alpha1", "kind": "ScaleApproval",
            "metadata": {"name": "launch", "namespace": "team-a", "uid": "u", "generation": 1},
            "spec": {"cluster": "handbook", "maxReplicas": 25, "reason": "launch", "approvedBy": "grace", "expiresAt": END},
        }))
        .unwrap()
    }

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    fn said(status: &ScaleApprovalStatus, type_: ConditionType) -> (&str, &str) {
        let found = find(&status.conditions, type_).unwrap();
        (found.status.as_str(), found.reason.as_str())
    }

    #[test]
    fn it_is_in_force_until_its_end_and_says_a_day_before_that_it_ends() {
        for (time, ready, stalled) in [
            ("2026-11-21T08:00:00Z", ("True", "InForce"), ("False", "Unhindered")),
            ("2026-11-30T07:59:59Z", ("True", "InForce"), ("False", "Unhindered")),
            ("2026-11-30T08:00:00Z", ("True", "EndsSoon"), ("False", "Unhindered")),
            ("2026-12-01T07:59:59Z", ("True", "EndsSoon"), ("False", "Unhindered")),
            ("2026-12-01T08:00:00Z", ("False", "Expired"), ("True", "Expired")),
        ] {
            let status = status(&approval(), true, at(time));
            assert_eq!(said(&status, ConditionType::Ready), ready, "{time}");
            assert_eq!(said(&status, ConditionType::Stalled), stalled, "{time}");
            assert_eq!(said(&status, ConditionType::Reconciling), ("False", "Settled"), "{time}");
            assert_eq!(status.observed_generation, Some(1));
        }
    }

    #[test]
    fn one_for_a_cluster_that_does_not_exist_says_so_and_an_ended_one_says_that_it_ended() {
        let missing = status(&approval(), false, at("2026-11-21T08:00:00Z"));
        assert_eq!(said(&missing, ConditionType::Ready), ("False", "ClusterMissing"));
        assert_eq!(said(&missing, ConditionType::Stalled), ("True", "ClusterMissing"));
        let ended = status(&approval(), false, at(END));
        assert_eq!(said(&ended, ConditionType::Ready), ("False", "Expired"));
    }

    #[test]
    fn it_is_looked_at_when_something_else_is_to_be_said() {
        let spec = approval().spec;
        assert_eq!(next_change(&spec, at("2026-11-21T08:00:00Z")), Some(at("2026-11-30T08:00:00Z")));
        assert_eq!(next_change(&spec, at("2026-11-30T08:00:00Z")), Some(at(END)));
        assert_eq!(next_change(&spec, at(END)), None);
    }

    #[test]
    fn each_turn_is_told_once_and_the_end_a_day_before() {
        let mut approval = approval();
        let mut told = Vec::new();
        for time in
            ["2026-11-21T08:00:00Z", "2026-11-29T08:00:00Z", "2026-11-30T08:00:00Z", "2026-11-30T09:00:00Z", END]
        {
            let new = status(&approval, true, at(time));
            told.extend(events(approval.status.as_ref(), &new).into_iter().map(|event| (event.severity, event.reason)));
            // Nothing that has not changed is written, or told, again.
            assert_eq!(status(&ScaleApproval { status: Some(new.clone()), ..approval.clone() }, true, at(time)), new);
            approval.status = Some(new);
        }
        let expected = [(Severity::Normal, "InForce"), (Severity::Warning, "EndsSoon"), (Severity::Warning, "Expired")];
        assert_eq!(told, expected.map(|(severity, reason)| (severity, reason.to_owned())));
    }
}
