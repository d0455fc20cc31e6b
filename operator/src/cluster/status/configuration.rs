//! Whether every server runs what was rendered for it.
//!
//! A live setting takes up to about a minute to reach the servers, so other bytes are a finding only after a while; a server
//! that starts has said nothing yet, and one that takes traffic without answering the operator is no failure.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sha2::{Digest, Sha256};

use super::{Outcome, pods};
use crate::api::cluster::ConfigurationStatus;
use crate::api::{ConditionReason, ConditionType, RagClusterStatus, labels};
use crate::cluster::build::{self, config};
use crate::cluster::observed::{Answer, Observed};
use crate::conditions::{Finding, State};

/// Longer than a changed ConfigMap takes to reach a pod.
pub(super) const GRACE: SignedDuration = SignedDuration::from_mins(3);

/// What the servers were given.
pub(super) struct Applied {
    pub(super) revision: String,
    config: String,
    live: String,
}

impl Applied {
    /// Whether it has the servers refuse writes.
    pub(super) fn asks_read_only(&self) -> bool {
        self.live.lines().any(|line| line == "read_only = true")
    }
}

/// What a pass that succeeded gave them; otherwise what is with the API server, whatever was planned.
pub(super) fn applied(outcome: &Outcome, observed: &Observed) -> Option<Applied> {
    if let Outcome::Applied { planned, .. } = outcome {
        let frozen = build::frozen(&planned.cluster, &planned.plan, observed);
        return Some(Applied {
            revision: planned.plan.revision.name.to_string(),
            live: config::render_live(&planned.cluster, planned.plan.live_schema),
            config: frozen.config.unwrap_or_default(),
        });
    }
    let children = &observed.children;
    let template = children.deployment.as_ref()?.spec.template.metadata.as_ref()?;
    let revision = template.labels.as_ref()?.get(labels::REVISION)?;
    let is_of = |map: &&ConfigMap| {
        map.metadata.labels.as_ref().and_then(|labels| labels.get(labels::REVISION)) == Some(revision)
    };
    let text = |map: &ConfigMap, key: &str| map.data.as_ref()?.get(key).cloned();
    Some(Applied {
        revision: revision.clone(),
        config: text(children.configs.iter().find(is_of)?, config::CONFIG_FILE)?,
        live: text(children.live.as_ref()?, config::LIVE_FILE)?,
    })
}

/// What every server is to run; the time is kept while the bytes are the same.
pub(super) fn expected(
    previous: &RagClusterStatus,
    applied: Option<&Applied>,
    observed: &Observed,
) -> Option<ConfigurationStatus> {
    let before = previous.configuration.as_ref();
    let Some(applied) = applied else { return before.cloned() };
    let (sha256, live_sha256) = (hash(&applied.config), hash(&applied.live));
    let same = before.filter(|before| before.sha256 == sha256 && before.live_sha256 == live_sha256);
    same.cloned().or(Some(ConfigurationStatus { sha256, live_sha256, since: Time(observed.now) }))
}

fn hash(bytes: &str) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// What the servers of the applied revision report, against what is expected.
pub(super) fn finding(expected: Option<&ConfigurationStatus>, revision: Option<&str>, observed: &Observed) -> Finding {
    let found =
        |state, reason, message: String| Finding::new(ConditionType::ConfigurationInSync, state, reason, message);
    let Some(expected) = expected else {
        return found(State::Unknown, ConditionReason::NotReported, "nothing has been rendered yet".to_owned());
    };
    let servers = tally(expected, revision, observed);
    if let Some(overdue) = servers.overdue.first() {
        let more = servers.overdue.len() - 1;
        let others = if more == 0 { String::new() } else { format!(" and {more} more") };
        let message = format!(
            "pod {overdue}{others} has run another configuration than the rendered one for more than 3 minutes; \
             see its log for what it refused, or delete the pod"
        );
        return found(State::False, ConditionReason::Mismatch, message);
    }
    if servers.differing > 0 {
        let message = match servers.differing {
            1 => "1 server still runs other settings; a change takes about a minute to reach it".to_owned(),
            more => format!("{more} servers still run other settings; a change takes about a minute to reach them"),
        };
        return found(State::Unknown, ConditionReason::Propagating, message);
    }
    match (servers.in_sync, &servers.silence) {
        (0, None) => found(
            State::Unknown,
            ConditionReason::NotReported,
            "no server has reported its configuration yet: they are starting".to_owned(),
        ),
        (0, Some(why)) => found(
            State::Unknown,
            ConditionReason::Unreachable,
            format!(
                "{} does not answer the operator: {why}; clients may well be served; see that the network lets the operator \
                 reach port {} of the pods",
                if servers.silent == 1 {
                    "the ready server".to_owned()
                } else {
                    format!("each of {} ready servers", servers.silent)
                },
                config::MANAGEMENT_PORT
            ),
        ),
        (_, None) => found(State::True, ConditionReason::InSync, "configuration in sync".to_owned()),
        (_, Some(why)) => found(
            State::True,
            ConditionReason::InSync,
            format!(
                "configuration in sync, as far as the servers answer the operator ({} of them: {why})",
                servers.silent
            ),
        ),
    }
}

#[derive(Default)]
struct Tally {
    in_sync: usize,
    differing: usize,
    overdue: Vec<String>,
    /// Take traffic, and do not answer the operator.
    silent: usize,
    /// What the first of these did instead.
    silence: Option<String>,
}

fn tally(expected: &ConfigurationStatus, revision: Option<&str>, observed: &Observed) -> Tally {
    let mut tally = Tally::default();
    for pod in observed.server_pods.iter().filter(|pod| counts(pod, revision)) {
        let report = pod.metadata.uid.as_ref().and_then(|uid| observed.reports.get(uid));
        let Some(report) = report else { continue };
        match &report.answer {
            // What was asked before it was ready says nothing about a server that is.
            Answer::Silent(why) if pods::ready_since(pod).is_some_and(|ready| ready <= report.asked_at) => {
                tally.silent += 1;
                tally.silence.get_or_insert_with(|| why.clone());
            }
            Answer::Silent(_) => {}
            Answer::Said(said) => {
                let is_live = said.live_sha256.as_ref() == Some(&expected.live_sha256);
                if said.config_sha256 == expected.sha256 && is_live {
                    tally.in_sync += 1;
                } else if observed.now.duration_since(expected_since(expected, pod)) > GRACE {
                    tally.overdue.push(pod.metadata.name.clone().unwrap_or_default());
                } else {
                    tally.differing += 1;
                }
            }
        }
    }
    tally
}

/// Pods of the applied revision that are not on their way out.
fn counts(pod: &Pod, revision: Option<&str>) -> bool {
    let of = pod.metadata.labels.as_ref().and_then(|labels| labels.get(labels::REVISION));
    pod.metadata.deletion_timestamp.is_none() && of.map(String::as_str) == revision
}

/// Since when the pod should have run what is expected.
fn expected_since(expected: &ConfigurationStatus, pod: &Pod) -> Timestamp {
    let started = pod.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0);
    started.map_or(expected.since.0, |started| started.max(expected.since.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures;
    use crate::cluster::status::Planned;

    /// What is found of a server that came an hour after the settings and runs others, so many seconds after its start.
    fn seen_after(seconds: i64) -> Finding {
        let cluster = fixtures::cluster("{}");
        let world = fixtures::applied(&cluster, &fixtures::nothing());
        let (valid, plan, _) = fixtures::pass(&cluster, &world);
        let planned = Box::new(Planned::of(valid.clone(), plan));
        let given = applied(&Outcome::Applied { planned, corrections: Vec::new(), refused: None }, &world).unwrap();
        let expected = expected(&RagClusterStatus::default(), Some(&given), &world);
        let mut world = world.later(3600);
        let late = fixtures::server_pod(&valid, 3, &given.revision, world.now);
        let mut report = world.reports.values().next().unwrap().clone();
        let Answer::Said(said) = &mut report.answer else { panic!("the servers of the fixture answer") };
        said.live_sha256 = Some("other".to_owned());
        world.reports.insert(late.metadata.uid.clone().unwrap(), report);
        world.server_pods.push(late);
        finding(expected.as_ref(), Some(&given.revision), &world.later(seconds))
    }

    #[test]
    fn a_server_that_came_later_has_its_three_minutes_from_its_own_start() {
        for seconds in [1, GRACE.as_secs()] {
            let found = seen_after(seconds);
            assert_eq!((found.state, found.reason), (State::Unknown, ConditionReason::Propagating), "{seconds} s");
        }
        let overdue = seen_after(GRACE.as_secs() + 1);
        assert_eq!((overdue.state, overdue.reason), (State::False, ConditionReason::Mismatch));
        assert!(overdue.message.contains("handbook-server-3"), "{}", overdue.message);
    }
}
