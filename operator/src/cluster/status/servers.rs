//! How many query servers there are and answer.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};

use super::conditions::{Finding, State};
use super::{Planned, pods};
use crate::api::labels;
use crate::api::{ConditionReason, ConditionType, RagCluster};
use crate::cluster::decide::scaling::CEILING;
use crate::cluster::observed::Observed;

/// The servers in figures.
pub(super) struct Servers {
    /// As many as there have to be.
    pub(super) floor: i32,
    /// As many as are wanted now.
    pub(super) wanted: i32,
    pub(super) existing: i32,
    pub(super) ready: i32,
    /// Of the revision that is applied.
    pub(super) updated: i32,
    /// The Deployment's own word on the applied revision, once it has seen it.
    pub(super) rollout: Rollout,
    trouble: Option<(ConditionReason, String)>,
}

/// How far the servers are with the applied revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rollout {
    /// Every server runs it.
    Done,
    /// Servers are still being replaced.
    Moving,
    /// No progress for too long.
    Stuck,
}

/// The servers, as the Deployment and its pods show them.
pub(super) fn servers(cluster: &RagCluster, planned: Option<&Planned>, observed: &Observed) -> Servers {
    let floor = planned.map_or(cluster.spec.replicas.clamp(1, CEILING), |planned| planned.plan.size.floor);
    let deployment = observed.children.deployment.as_ref();
    let status = deployment.and_then(|deployment| deployment.status.clone()).unwrap_or_default();
    let wanted = deployment.and_then(|deployment| deployment.spec.replicas).unwrap_or(floor);
    let is_seen = deployment.is_some_and(|deployment| status.observed_generation >= deployment.metadata.generation);
    Servers {
        floor,
        wanted: wanted.max(planned.and_then(|planned| planned.plan.size.apply).unwrap_or(wanted)),
        existing: status.replicas.unwrap_or(0),
        ready: status.ready_replicas.unwrap_or(0),
        // Before the change was seen, these are the servers of the revision before.
        updated: if is_seen { status.updated_replicas.unwrap_or(0) } else { 0 },
        rollout: deployment.map_or(Rollout::Moving, |deployment| rollout(deployment, &status, planned)),
        trouble: pods::trouble(&observed.server_pods),
    }
}

fn rollout(deployment: &Deployment, status: &DeploymentStatus, planned: Option<&Planned>) -> Rollout {
    let template = deployment.spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
    let applied = template.and_then(|labels| labels.get(labels::REVISION));
    let is_planned =
        planned.is_none_or(|planned| applied.map(String::as_str) == Some(planned.plan.revision.name.as_str()));
    let is_seen = status.observed_generation >= deployment.metadata.generation;
    let progressing =
        status.conditions.iter().flatten().find(|condition| condition.type_.as_deref() == Some("Progressing"));
    let is_stuck = progressing.is_some_and(|condition| condition.reason.as_deref() == Some("ProgressDeadlineExceeded"));
    match () {
        () if is_planned && is_seen && is_stuck => Rollout::Stuck,
        () if is_planned && is_seen && status.updated_replicas.unwrap_or(0) == status.replicas.unwrap_or(0) => {
            Rollout::Done
        }
        () => Rollout::Moving,
    }
}

impl Servers {
    /// Ready, of those that are wanted. While servers are replaced there is one more for a moment.
    pub(super) fn summary(&self) -> String {
        format!("{}/{}", self.ready.min(self.wanted), self.wanted)
    }

    /// Enough is the floor: while the autoscaler adds servers, those that are there still serve.
    pub(super) fn is_enough(&self) -> bool {
        self.ready >= self.floor.min(self.wanted)
    }

    pub(super) fn finding(&self) -> Finding {
        let found = |state, reason, message: String| Finding::new(ConditionType::ServersReady, state, reason, message);
        let counted = format!("{} of {} servers answer", self.ready.min(self.wanted), self.wanted);
        if self.is_enough() && self.ready > 0 {
            return found(State::True, ConditionReason::AllReady, counted);
        }
        if let Some((reason, message)) = &self.trouble {
            return found(State::False, *reason, format!("{counted}; {message}"));
        }
        let reason = match (self.rollout == Rollout::Stuck, self.ready) {
            (true, _) => ConditionReason::RolloutStuck,
            (false, 0) => ConditionReason::NoneReady,
            (false, _) => ConditionReason::SomeReady,
        };
        found(State::False, reason, counted)
    }

    /// What keeps the servers from starting, for a roll-out that is stuck.
    pub(super) fn trouble(&self) -> &str {
        self.trouble.as_ref().map_or("see the pods' events", |(_, message)| message.as_str())
    }
}
