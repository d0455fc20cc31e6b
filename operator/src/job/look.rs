//! How a Job stands, by its status and the message of its newest pod. Pure.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube::ResourceExt;

use super::build::CONTAINER;
use crate::api::ConditionReason;
use crate::api::text::cut;
use crate::cluster::status::pods::waiting;
use crate::snapshot::report::{Cause, Outcome, Report};

/// What is quoted of Kubernetes' own sentences, in characters.
const QUOTE_MAX_CHARS: usize = 300;

/// A command that does not know its arguments ends with this code.
const USAGE_CODE: i32 = 2;

/// How a Job stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Looked {
    /// There is none.
    NotThere,
    /// Its pod does not run.
    Pending {
        /// The class of the cause; nothing where it is only a matter of time.
        reason: Option<ConditionReason>,
        /// Why.
        why: String,
    },
    /// Its pod runs, or has ended and its report is on its way.
    Running,
    /// It is done, or was skipped: its report says what came of it.
    Done {
        /// What it reports.
        report: Report,
        /// When it ended.
        at: Option<Timestamp>,
    },
    /// It has failed.
    Failed {
        /// Why.
        failure: Failure,
        /// When.
        at: Option<Timestamp>,
    },
}

/// Why a Job has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It says so itself.
    Reported {
        /// The class of the cause.
        cause: Cause,
        /// A sentence for people.
        message: String,
    },
    /// It left no report that can be read.
    Silent {
        /// What is known of its end.
        why: String,
        /// Whether it may end otherwise when it is started again.
        may_pass: bool,
    },
    /// It was not done in its time.
    Late,
}

impl Failure {
    /// Whether the same may succeed when it is tried again, without anybody doing something about it.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Reported { cause, .. } => cause.may_pass(),
            Self::Silent { may_pass, .. } => *may_pass,
            Self::Late => true,
        }
    }

    /// The class of the cause, where the command has named one.
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Reported { cause, .. } => Some(cause),
            Self::Silent { .. } | Self::Late => None,
        }
    }

    /// In words.
    pub fn words(&self) -> String {
        match self {
            Self::Reported { cause, message } if message.is_empty() => cause.to_string(),
            Self::Reported { cause, message } => format!("{cause}: {message}"),
            Self::Silent { why, .. } => why.clone(),
            Self::Late => "it was not done in its time, and was ended".to_owned(),
        }
    }
}

/// How a Job stands; `pods` are its pods.
pub fn look(job: Option<&Job>, pods: &[Arc<Pod>]) -> Looked {
    let Some(job) = job else { return Looked::NotThere };
    if job.metadata.deletion_timestamp.is_some() {
        return pending(format!("Job {} is being deleted", job.name_any()));
    }
    let newest =
        pods.iter().max_by_key(|pod| (pod.metadata.creation_timestamp.as_ref().map(|at| at.0), pod.name_any()));
    let ended = newest.and_then(|pod| ended(pod));
    let conditions = || job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let condition = |type_: &str| conditions().find(|found| found.type_ == type_ && found.status == "True");
    if let Some(complete) = condition("Complete") {
        return completed(job, newest, ended, time_of(complete));
    }
    if let Some(failed) = condition("Failed") {
        return has_failed(failed, newest, ended);
    }
    if job.spec.as_ref().is_some_and(|spec| spec.suspend == Some(true)) {
        return pending(format!("Job {} is suspended; somebody has set spec.suspend", job.name_any()));
    }
    match newest {
        None => pending("its pod is not there yet".to_owned()),
        Some(pod) => of_pod(pod),
    }
}

fn pending(why: String) -> Looked {
    Looked::Pending { reason: None, why }
}

fn time_of(condition: &JobCondition) -> Option<Timestamp> {
    condition.last_transition_time.as_ref().map(|at| at.0)
}

/// Its container, once it has ended.
fn ended(pod: &Pod) -> Option<&ContainerStateTerminated> {
    container(pod)?.state.as_ref()?.terminated.as_ref()
}

fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.iter().flatten().find(|container| container.name == CONTAINER)
}

/// The Job and its pods are watched apart: a pod that has not ended here has ended all the same, and is shown in a moment.
fn completed(
    job: &Job,
    newest: Option<&Arc<Pod>>,
    ended: Option<&ContainerStateTerminated>,
    at: Option<Timestamp>,
) -> Looked {
    let silent = |why: String| Looked::Failed { failure: Failure::Silent { why, may_pass: true }, at };
    match (newest, ended) {
        (None, _) => silent(format!("Job {} is done, and its pod with the report is gone", job.name_any())),
        (Some(_), None) => Looked::Running,
        (Some(pod), Some(ended)) => match Report::parse(ended.message.as_deref().unwrap_or_default()) {
            Ok(report) if report.outcome == Outcome::Failed => Looked::Failed { failure: reported(report), at },
            Ok(report) => Looked::Done { report, at },
            Err(unreadable) => silent(format!("pod {}: {unreadable}", pod.name_any())),
        },
    }
}

fn reported(report: Report) -> Failure {
    let Report { cause, message, .. } = report;
    Failure::Reported { cause: cause.unwrap_or(Cause::Failed), message }
}

fn has_failed(condition: &JobCondition, newest: Option<&Arc<Pod>>, ended: Option<&ContainerStateTerminated>) -> Looked {
    let at = time_of(condition);
    let failed = |failure: Failure| Looked::Failed { failure, at };
    let report = ended.and_then(|ended| Report::parse(ended.message.as_deref()?).ok());
    let is_late = condition.reason.as_deref() == Some("DeadlineExceeded");
    match (report, newest, ended) {
        // Who was ended for being late says that it was asked to stop.
        (Some(report), ..) if report.outcome == Outcome::Failed && !is_late => failed(reported(report)),
        _ if is_late => failed(Failure::Late),
        (_, Some(pod), Some(ended)) => failed(without_report(pod, ended)),
        (_, Some(pod), None) if evicted(pod).is_none() && pod.metadata.deletion_timestamp.is_none() => Looked::Running,
        (_, pod, _) => {
            let evicted = pod.and_then(|pod| evicted(pod));
            let said = condition.message.as_deref().unwrap_or("its pod is gone").to_owned();
            failed(Failure::Silent { why: cut(&evicted.unwrap_or(said), QUOTE_MAX_CHARS), may_pass: true })
        }
    }
}

fn without_report(pod: &Pod, ended: &ContainerStateTerminated) -> Failure {
    let (name, code) = (pod.name_any(), ended.exit_code);
    if let Some(why) = evicted(pod) {
        return Failure::Silent { why: cut(&why, QUOTE_MAX_CHARS), may_pass: true };
    }
    let reason = ended.reason.as_deref().unwrap_or("no reason");
    let why = match reason {
        "OOMKilled" => format!("pod {name} took more memory than it may; raise spec.resources.limits.memory"),
        _ if code == USAGE_CODE => format!(
            "pod {name} ended with exit code {code} and no report: its image does not know the command; see its log, and use \
             an image of this version of ragops"
        ),
        _ => format!("pod {name} ended with exit code {code} ({reason}) and no report; see its log"),
    };
    Failure::Silent { why, may_pass: code != USAGE_CODE }
}

/// Why the node let go of it.
fn evicted(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let reason = status.reason.as_deref()?;
    let message = status.message.as_deref().unwrap_or_default();
    Some(format!("pod {}: {reason}: {message}", pod.name_any()))
}

fn of_pod(pod: &Pod) -> Looked {
    let name = pod.name_any();
    if let Some((reason, message)) = container(pod).and_then(waiting) {
        return Looked::Pending { reason: Some(reason), why: format!("pod {name}: {message}") };
    }
    let status = pod.status.as_ref();
    let conditions = status.iter().flat_map(|status| status.conditions.iter().flatten());
    let unplaced = conditions.into_iter().find(|found| {
        found.type_ == "PodScheduled" && found.status == "False" && found.reason.as_deref() == Some("Unschedulable")
    });
    if let Some(unplaced) = unplaced {
        let said = unplaced.message.as_deref().unwrap_or("no node has room");
        let why = format!("pod {name}: {said}; add a node, or lower spec.resources.requests");
        return Looked::Pending { reason: Some(ConditionReason::Unschedulable), why: cut(&why, 2 * QUOTE_MAX_CHARS) };
    }
    match status.and_then(|status| status.phase.as_deref()) {
        None | Some("Pending") => pending(format!("pod {name} is starting")),
        Some(_) => Looked::Running,
    }
}
