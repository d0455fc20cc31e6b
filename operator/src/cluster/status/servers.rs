//! How many query servers there are and answer, and what keeps the others from it.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};

use super::store::{START, STORE_IN_WAITING};
use super::{Planned, pods};
use crate::api::labels;
use crate::api::{ConditionReason, ConditionType, RagCluster};
use crate::cluster::decide::scaling::CEILING;
use crate::cluster::observed::Observed;
use crate::cluster::validate::memory_warning;
use crate::conditions::{Finding, State};

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
    waiting: Option<Waiting>,
    /// What may end them although they serve.
    warning: Option<String>,
}

/// What servers that run wait for.
struct Waiting {
    /// Each part, with its cause and the number of servers.
    parts: String,
    /// Whether a server knows a cause and has waited too long.
    is_overdue: bool,
}

/// How far the servers are with the applied revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rollout {
    /// Every server runs it.
    Done,
    /// Servers are still being replaced.
    Moving,
    /// Somebody keeps the Deployment from replacing the rest.
    Paused,
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
        trouble: refused(&status).or_else(|| pods::trouble(&observed.server_pods, &pods::SERVERS, observed.now)),
        waiting: waiting(observed),
        warning: memory_warning(&cluster.spec),
    }
}

/// Why pods cannot even be created; there are none then that could say so.
fn refused(status: &DeploymentStatus) -> Option<(ConditionReason, String)> {
    let is_failure =
        |type_: Option<&str>, state: Option<&str>| type_ == Some("ReplicaFailure") && state == Some("True");
    let mut conditions = status.conditions.iter().flatten();
    let failure = conditions.find(|condition| is_failure(condition.type_.as_deref(), condition.status.as_deref()))?;
    let said = failure.message.as_deref().unwrap_or("no reason given");
    let remedy = "change what refuses them: a quota, the Pod Security level of the namespace, or an admission webhook";
    Some((ConditionReason::PodsRefused, format!("pods cannot be created: {said}; {remedy}")))
}

/// What the servers that run and are not ready wait for. Of the vector store a condition of its own speaks.
fn waiting(observed: &Observed) -> Option<Waiting> {
    let mut parts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut is_overdue = false;
    for pod in &observed.server_pods {
        let report = pod.metadata.uid.as_ref().and_then(|uid| observed.reports.get(uid));
        let Some(said) = report.and_then(|report| report.answer.said()).filter(|said| !said.ready) else { continue };
        // One with a cause holds the others up; without any, the first one is at work.
        let has_cause = |part: &str| part.ends_with(')');
        let held = said.waiting_for.iter().find(|part| has_cause(part)).or(said.waiting_for.first());
        let Some(part) = held.filter(|part| !part.contains(STORE_IN_WAITING)) else { continue };
        let started = pod.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0);
        let waits_long = started.is_some_and(|started| observed.now.duration_since(started) > START);
        is_overdue |= has_cause(part) && waits_long;
        *parts.entry(part).or_default() += 1;
    }
    let parts: Vec<String> = parts.into_iter().map(|(part, servers)| counted(servers, part)).collect();
    (!parts.is_empty()).then(|| Waiting { parts: parts.join(", "), is_overdue })
}

fn counted(servers: usize, part: &str) -> String {
    let verb = if servers == 1 { "waits" } else { "wait" };
    format!("{servers} {verb} for {part}")
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
    let is_updated = status.updated_replicas.unwrap_or(0) == status.replicas.unwrap_or(0);
    let is_paused = deployment.spec.paused == Some(true);
    match () {
        () if !(is_planned && is_seen) => Rollout::Moving,
        () if is_paused && !is_updated => Rollout::Paused,
        () if is_stuck => Rollout::Stuck,
        () if is_updated => Rollout::Done,
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

    /// Whether they answer, and what may end them.
    pub(super) fn finding(&self) -> Finding {
        let mut finding = self.answering();
        if let Some(warning) = &self.warning {
            finding.message = format!("{} ({warning})", finding.message);
        }
        finding
    }

    fn answering(&self) -> Finding {
        let found = |state, reason, message: String| Finding::new(ConditionType::ServersReady, state, reason, message);
        let counted = format!("{} of {} servers answer", self.ready.min(self.wanted), self.wanted);
        if self.is_enough() && self.ready > 0 {
            return found(State::True, ConditionReason::AllReady, counted);
        }
        if let Some((reason, message)) = &self.trouble {
            return found(State::False, *reason, format!("{counted}; {message}"));
        }
        let is_overdue = self.waiting.as_ref().is_some_and(|waiting| waiting.is_overdue);
        let reason = match (self.rollout == Rollout::Stuck, self.ready) {
            (true, _) => ConditionReason::RolloutStuck,
            (false, _) if is_overdue => ConditionReason::PartNotReady,
            (false, 0) => ConditionReason::NoneReady,
            (false, _) => ConditionReason::SomeReady,
        };
        let message = match &self.waiting {
            Some(waiting) if is_overdue => format!("{counted}; {}; see their logs", waiting.parts),
            Some(waiting) => format!("{counted}; {}", waiting.parts),
            None => counted,
        };
        found(State::False, reason, message)
    }

    /// What keeps the servers from starting, for a roll-out that is stuck.
    pub(super) fn trouble(&self) -> &str {
        let waiting = self.waiting.as_ref().map_or("see the pods' events", |waiting| waiting.parts.as_str());
        self.trouble.as_ref().map_or(waiting, |(_, message)| message.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures::{applied, cluster, nothing};
    use crate::cluster::observed::Answer;
    use k8s_openapi::api::apps::v1::DeploymentCondition;

    /// Servers that run, of which each waits for these parts, in this order.
    fn waiting_for(parts: &[&[&str]]) -> Observed {
        let mut world = applied(&cluster("{}"), &nothing());
        world.children.deployment.as_mut().unwrap().status.as_mut().unwrap().ready_replicas = None;
        for (pod, parts) in parts.iter().enumerate() {
            let report = world.reports.get_mut(&format!("pod-{pod}")).unwrap();
            let Answer::Said(said) = &mut report.answer else { panic!("silent") };
            (said.ready, said.waiting_for) = (false, parts.iter().map(|part| (*part).to_owned()).collect());
        }
        world
    }

    fn found(world: &Observed) -> Finding {
        servers(&cluster("{}"), None, world).finding()
    }

    #[test]
    fn what_each_server_waits_for_is_said_with_its_cause() {
        let model = "the embedding model (unreachable)";
        let world = waiting_for(&[&[model, "the corpus"], &["the records (timeout)"], &[model, "the index"]]);
        let starting = found(&world);
        let parts = "2 wait for the embedding model (unreachable), 1 waits for the records (timeout)";
        assert_eq!(starting.message, format!("0 of 3 servers answer; {parts}"));
        assert_eq!(starting.reason, ConditionReason::NoneReady);
        let late = found(&world.later(61));
        assert_eq!(late.message, format!("0 of 3 servers answer; {parts}; see their logs"));
        assert_eq!(late.reason, ConditionReason::PartNotReady);
    }

    #[test]
    fn a_part_without_a_cause_is_at_work_and_no_trouble() {
        let world = waiting_for(&[&["the index"], &["the index"], &["the index"]]).later(600);
        let found = found(&world);
        assert_eq!(found.message, "0 of 3 servers answer; 3 wait for the index");
        assert_eq!(found.reason, ConditionReason::NoneReady);
    }

    #[test]
    fn the_store_is_left_to_its_own_condition() {
        let store: &[&str] = &["the vector store (unreachable)", "the records", "the corpus"];
        let found = found(&waiting_for(&[store, store, store]).later(600));
        assert_eq!((found.message.as_str(), found.reason), ("0 of 3 servers answer", ConditionReason::NoneReady));
    }

    #[test]
    fn a_limit_of_memory_that_one_document_can_pass_is_said_while_the_servers_serve() {
        let tight = cluster("resources: {limits: {memory: 512Mi}}");
        let found = servers(&tight, None, &applied(&tight, &nothing())).finding();
        assert_eq!((found.state, found.reason), (State::True, ConditionReason::AllReady));
        assert!(
            found.message.starts_with("3 of 3 servers answer (spec.resources.limits.memory 512Mi "),
            "{}",
            found.message
        );
    }

    #[test]
    fn pods_that_may_not_be_created_are_said_with_who_refuses_them() {
        let mut world = waiting_for(&[]);
        (world.server_pods, world.reports) = (Vec::new(), BTreeMap::new());
        let status = world.children.deployment.as_mut().unwrap().status.as_mut().unwrap();
        let condition = |state: &str| DeploymentCondition {
            type_: Some("ReplicaFailure".to_owned()),
            status: Some(state.to_owned()),
            message: Some("pods \"x\" is forbidden: exceeded quota: small".to_owned()),
            ..DeploymentCondition::default()
        };
        status.conditions = Some(vec![condition("True")]);
        let refused = found(&world);
        assert_eq!(refused.reason, ConditionReason::PodsRefused);
        assert!(refused.message.contains("exceeded quota: small; change what refuses them"), "{}", refused.message);
        let status = world.children.deployment.as_mut().unwrap().status.as_mut().unwrap();
        status.conditions = Some(vec![condition("False")]);
        assert_eq!(found(&world).reason, ConditionReason::NoneReady);
    }
}
