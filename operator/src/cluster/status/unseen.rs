//! The status after a pass that could not read its facts: what was last seen stays, and what kept the rest from being read is said.

use jiff::Timestamp;

use super::Failure;
use super::progress::{self, Progress};
use crate::api::{ConditionReason, ConditionType, RagCluster, RagClusterStatus};
use crate::conditions::{self, Finding, State};

/// The STATUS column of a cluster of which nothing is known now; the condition names the call that failed.
const PHASE: &str = "NotObserved: see condition Reconciling";

/// What was last seen of the cluster, with why it is not seen now.
///
/// A moment in which nothing could be read takes nothing from a cluster that serves. Whether it does is unknown once that lasts,
/// where it does not pass by itself, and where nothing was ever seen.
pub fn unobserved(cluster: &RagCluster, failure: &Failure, lasts: bool, now: Timestamp) -> RagClusterStatus {
    let previous = cluster.status.clone().unwrap_or_default();
    let progress = progress::failed(failure);
    let was_seen = conditions::find(&previous.conditions, ConditionType::Ready).is_some();
    let is_unknown = lasts || !was_seen || matches!(progress, Progress::Stalled { .. });
    let mut findings = Vec::from(progress.findings());
    if is_unknown {
        let message = format!("what there is could not be read: {}; {}", failure.message, failure.remedy);
        findings.push(Finding::new(ConditionType::Ready, State::Unknown, ConditionReason::NotObserved, message));
    }
    let phase = match &progress {
        Progress::Stalled { phase, .. } => phase.clone(),
        _ if is_unknown => PHASE.to_owned(),
        _ => previous.phase.clone(),
    };
    let generation = cluster.metadata.generation;
    let conditions = conditions::update(&previous.conditions, findings, generation, now);
    let next = progress.next(None, &[]);
    RagClusterStatus { observed_generation: generation, phase, conditions, next, ..previous }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::events::events;
    use crate::cluster::fixtures::{NOW, applied, cluster, nothing, pass};
    use crate::cluster::status::{Outcome, Planned, status};
    use crate::error::{Class, Phase};

    fn failure(class: Class) -> Failure {
        let message = "get secrets team-a/handbook-server: no".to_owned();
        let remedy = "grant get on secrets in namespace team-a to the operator".to_owned();
        Failure { phase: Phase::Observe, class, message, remedy }
    }

    /// A cluster that serves, with the status that says so.
    fn serving() -> RagCluster {
        let mut cluster = cluster("{}");
        let world = applied(&cluster, &nothing());
        let (valid, plan, _) = pass(&cluster, &world);
        let planned = Box::new(Planned::of(valid, plan));
        cluster.status =
            Some(status(&cluster, &world, &Outcome::Applied { planned, corrections: Vec::new(), refused: None }));
        cluster
    }

    fn after(cluster: &RagCluster, class: Class, lasts: bool) -> RagClusterStatus {
        unobserved(cluster, &failure(class), lasts, NOW.parse().unwrap())
    }

    fn is(status: &RagClusterStatus, type_: ConditionType, state: &str, reason: ConditionReason) {
        let found = conditions::find(&status.conditions, type_).unwrap();
        assert_eq!((found.status.as_str(), found.reason.as_str()), (state, reason.as_str()), "{type_}");
    }

    fn told(cluster: &RagCluster, new: &RagClusterStatus) -> Vec<String> {
        events(cluster.status.as_ref(), new).into_iter().map(|event| event.reason).collect()
    }

    #[test]
    fn a_verb_that_is_missing_is_named_and_told_and_the_rest_stays_as_it_was_seen() {
        let cluster = serving();
        let new = after(&cluster, Class::Forbidden, false);
        is(&new, ConditionType::Stalled, "True", ConditionReason::Forbidden);
        is(&new, ConditionType::Reconciling, "False", ConditionReason::Settled);
        is(&new, ConditionType::Ready, "Unknown", ConditionReason::NotObserved);
        is(&new, ConditionType::ServersReady, "True", ConditionReason::AllReady);
        let said = &conditions::find(&new.conditions, ConditionType::Stalled).unwrap().message;
        assert!(said.contains("grant get on secrets in namespace team-a"), "{said}");
        assert_eq!(new.phase, "Forbidden: see condition Stalled");
        let old = cluster.status.as_ref().unwrap();
        assert_eq!((&new.revision, &new.selector, &new.endpoint), (&old.revision, &old.selector, &old.endpoint));
        assert_eq!(told(&cluster, &new), ["Forbidden"]);
        let again = RagCluster { status: Some(new.clone()), ..cluster };
        assert_eq!(after(&again, Class::Forbidden, true), new);
    }

    #[test]
    fn a_moment_takes_nothing_from_a_cluster_that_serves_and_longer_does() {
        let cluster = serving();
        let moment = after(&cluster, Class::Transient, false);
        is(&moment, ConditionType::Ready, "True", ConditionReason::Serving);
        is(&moment, ConditionType::Reconciling, "True", ConditionReason::NotObserved);
        is(&moment, ConditionType::Stalled, "False", ConditionReason::Unhindered);
        assert_eq!(moment.phase, "Serving");
        let longer = after(&cluster, Class::Transient, true);
        is(&longer, ConditionType::Ready, "Unknown", ConditionReason::NotObserved);
        assert_eq!(longer.phase, PHASE);
        assert!(told(&cluster, &moment).is_empty() && told(&cluster, &longer).is_empty());
    }

    #[test]
    fn a_cluster_that_was_never_seen_says_why() {
        let mut cluster = cluster("{}");
        cluster.status = Some(RagClusterStatus { observed_generation: Some(-1), ..RagClusterStatus::default() });
        let new = after(&cluster, Class::Transient, false);
        is(&new, ConditionType::Ready, "Unknown", ConditionReason::NotObserved);
        is(&new, ConditionType::Reconciling, "True", ConditionReason::NotObserved);
        assert_eq!((new.observed_generation, new.phase.as_str()), (Some(1), PHASE));
    }

    #[test]
    fn the_conditions_keep_their_order() {
        let cluster = serving();
        let types = |status: &RagClusterStatus| -> Vec<String> {
            status.conditions.iter().map(|condition| condition.type_.clone()).collect()
        };
        assert_eq!(types(&after(&cluster, Class::Forbidden, false)), types(cluster.status.as_ref().unwrap()));
    }
}
