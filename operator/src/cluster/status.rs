//! What a person reads: the previous status, the facts and the outcome of a pass become the new status.
//!
//! Pure. It is made on failure too, and says so then. Times stand in it, never ages, and a time changes only with what it is
//! the time of: a pass that finds nothing new makes an equal status.

mod autoscaling;
mod conditions;
mod configuration;
mod pods;
mod progress;
mod servers;
mod store;

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::build::metadata::{self, Part};
use super::build::service;
use super::decide::Plan;
use super::observed::Observed;
use super::validate::{Problem, ValidatedCluster};
use crate::api::cluster::{CorrectionStatus, NextStep};
use crate::api::{ConditionReason, ConditionType, RagCluster, RagClusterStatus};
use crate::error::{Class, Error, Phase};
use conditions::{Finding, State};

/// While something is on its way: watches report most changes, and this catches what no watch reports.
const LOOK_WHILE_MOVING: Duration = Duration::from_secs(15);

/// A settled cluster is looked at again all the same, in case a watch went deaf.
const LOOK_WHEN_SETTLED: Duration = Duration::from_secs(600);

/// A pod can say much about its trouble; a status is read by people.
const MESSAGE_MAX_CHARS: usize = 1000;

/// How a pass went.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The plan was carried out.
    Applied {
        /// The plan.
        planned: Box<Planned>,
        /// Fields of ours that others had changed, and that were put back.
        corrections: Vec<Correction>,
    },
    /// The spec asks to keep the hands off; the plan was made and not carried out.
    Paused {
        /// The plan.
        planned: Box<Planned>,
    },
    /// The spec cannot be carried out.
    Invalid {
        /// Everything that is in the way.
        problems: Vec<Problem>,
    },
    /// A write failed.
    Failed {
        /// The plan that was being carried out.
        planned: Box<Planned>,
        /// What failed.
        failure: Failure,
    },
}

/// A valid cluster and what was planned for it.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The cluster.
    pub cluster: ValidatedCluster,
    /// The plan.
    pub plan: Plan,
}

/// A field of ours that somebody else had changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// The object, as KIND/NAME.
    pub object: String,
    /// The fields, as a person would write them.
    pub fields: Vec<String>,
    /// The field manager that had changed them.
    pub by: String,
}

/// An effect that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In which phase.
    pub phase: Phase,
    /// Which decides when it makes sense to try again.
    pub class: Class,
    /// What was called, and what the API server said.
    pub message: String,
    /// What a person can do about it.
    pub remedy: String,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self { phase: error.phase(), class: error.class(), message: error.to_string(), remedy: error.remedy() }
    }
}

impl Outcome {
    fn planned(&self) -> Option<&Planned> {
        match self {
            Self::Applied { planned, .. } | Self::Paused { planned } | Self::Failed { planned, .. } => Some(planned),
            Self::Invalid { .. } => None,
        }
    }
}

/// The status after a pass.
pub fn status(cluster: &RagCluster, observed: &Observed, outcome: &Outcome) -> RagClusterStatus {
    let previous = cluster.status.clone().unwrap_or_default();
    let planned = outcome.planned();
    let servers = servers::servers(cluster, planned, observed);
    let expected = planned.map(|planned| configuration::expected(&previous, planned, observed));
    let expected = expected.or_else(|| previous.configuration.clone());
    let revision = planned.map(|planned| planned.plan.revision.name.to_string()).or_else(|| previous.revision.clone());
    let rollup = Rollup {
        servers: servers.finding(),
        store: store::finding(cluster, observed),
        configuration: configuration::finding(expected.as_ref(), revision.as_deref(), observed),
    };
    let ready = rollup.ready(&previous);
    let is_ready = ready.state == State::True;
    let progress = progress::progress(outcome, &servers, is_ready);
    let mut findings = vec![ready, rollup.servers, rollup.store, rollup.configuration];
    findings.extend(progress.findings());
    findings.extend(autoscaling::findings(planned, observed));
    findings.extend(read_only(cluster, observed));
    let phase = progress.phase(&findings, &servers, cluster.spec.read_only);
    let next = progress.next(expected.as_ref(), &findings);
    let described = planned.map(|planned| &planned.cluster);
    RagClusterStatus {
        observed_generation: cluster.metadata.generation,
        phase,
        servers: servers.summary(),
        replicas: servers.existing,
        ready_replicas: servers.ready,
        selector: described.map_or(previous.selector, |cluster| metadata::selector_text(cluster, Part::Server)),
        revision,
        endpoint: described.map(service::endpoint).or(previous.endpoint),
        conditions: conditions::merge(&previous.conditions, findings, cluster.metadata.generation, observed.now),
        autoscaling: planned.map_or(previous.autoscaling, |planned| autoscaling::status(planned, observed)),
        configuration: expected,
        last_correction: correction(outcome, observed).or(previous.last_correction),
        next,
    }
}

/// When to look again if nothing happens before.
pub fn next_look(status: &RagClusterStatus) -> Duration {
    let is_moving = status.conditions.iter().any(|condition| {
        let is = |type_: ConditionType| condition.type_ == type_.as_str();
        condition.status == State::Unknown.as_str()
            || is(ConditionType::Ready) && condition.status != State::True.as_str()
            || is(ConditionType::Reconciling) && condition.status == State::True.as_str()
    });
    if is_moving { LOOK_WHILE_MOVING } else { LOOK_WHEN_SETTLED }
}

/// What Ready is made of.
struct Rollup {
    servers: Finding,
    store: Finding,
    configuration: Finding,
}

impl Rollup {
    /// Servers that are ready have reached their store, so what is merely unknown takes nothing away.
    fn ready(&self, previous: &RagClusterStatus) -> Finding {
        let parts = [&self.servers, &self.store, &self.configuration];
        let missing: Vec<&str> = parts
            .into_iter()
            .filter(|part| {
                part.state == State::False || part.type_ == ConditionType::ServersReady && part.state != State::True
            })
            .map(|part| part.message.as_str())
            .collect();
        if missing.is_empty() {
            let messages: Vec<&str> = parts.into_iter().map(|part| part.message.as_str()).collect();
            return Finding::new(ConditionType::Ready, State::True, ConditionReason::Serving, messages.join("; "));
        }
        let reason = match conditions::find(&previous.conditions, ConditionType::Ready) {
            Some(ready) if ready.reason != ConditionReason::Starting.as_str() => ConditionReason::Degraded,
            Some(_) | None => ConditionReason::Starting,
        };
        Finding::new(ConditionType::Ready, State::False, reason, missing.join("; "))
    }
}

fn read_only(cluster: &RagCluster, observed: &Observed) -> Option<Finding> {
    let message = "writes are answered with 503 and Retry-After, as spec.readOnly asks; queries are answered";
    let said = observed.reports.values().filter_map(|report| report.answer.said());
    let (refusing, all) = said.fold((0, 0), |(refusing, all), said| (refusing + i32::from(said.read_only), all + 1));
    cluster.spec.read_only.then(|| {
        let message = format!("{message} ({refusing} of {all} servers report it)");
        Finding::new(ConditionType::ReadOnly, State::True, ConditionReason::Requested, message)
    })
}

fn correction(outcome: &Outcome, observed: &Observed) -> Option<CorrectionStatus> {
    let Outcome::Applied { corrections, .. } = outcome else { return None };
    let first = corrections.first()?;
    let more = corrections.len() - 1;
    let elsewhere = if more == 0 { String::new() } else { format!(", and fields of {more} other objects") };
    Some(CorrectionStatus {
        object: cut(&first.object, 320),
        fields: cut(&format!("{}{elsewhere}", first.fields.join(", ")), 512),
        by: cut(&first.by, 128),
        at: Time(observed.now),
    })
}

/// The first characters, with a sign that there were more.
fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(max - 1).chain(['…']).collect(),
    }
}

fn step(what: impl Into<String>, at: Option<Time>) -> NextStep {
    NextStep { at, what: cut(&what.into(), 512) }
}
