//! What a person reads about a snapshot. Pure: the facts, the steps and what a pass came to become the new status.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::decide::{CHECK, TAKE, is_taken, taken, waits_for};
use super::observed::{Observed, Obstacle};
use super::report::{Cause, Taken};
use crate::api::snapshot::{ArchiveStatus, RagSnapshot, RagSnapshotStatus};
use crate::api::steps::{StepState, StepStatus};
use crate::api::text::cut;
use crate::api::{ConditionReason, ConditionType};
use crate::cluster::status::Failure as Refused;
use crate::conditions::{Finding, State, find, merge};
use crate::error::Class;
use crate::job::{Failure, Looked};

/// As much of a name and of a hash as their fields hold, in characters.
const NAME_MAX_CHARS: usize = 63;
const HASH_MAX_CHARS: usize = 64;
const PLACE_MAX_CHARS: usize = 512;

/// The status after a pass. `refused`: what the API server did not do.
pub fn status(
    snapshot: &RagSnapshot,
    seen: &Observed,
    steps: Vec<StepStatus>,
    refused: Option<&Refused>,
) -> RagSnapshotStatus {
    let before = snapshot.status.clone().unwrap_or_default();
    let archive = before.archive.filter(|_| is_taken(&steps)).or_else(|| archive(snapshot, seen));
    let standing = standing(&archive, seen, &steps, refused);
    let mut findings = standing.findings();
    findings.extend(archive.as_ref().filter(|_| is_taken(&steps)).map(verified));
    let generation = snapshot.metadata.generation;
    RagSnapshotStatus {
        observed_generation: generation,
        archive: archive.filter(|_| is_taken(&steps)),
        progress: seen.progress.clone(),
        steps,
        reading: before.reading,
        conditions: merge(&before.conditions, findings, generation, seen.now),
    }
}

/// The status of a snapshot that is being deleted with its copy. What was said of the copy stays.
pub fn leaving(
    snapshot: &RagSnapshot,
    seen: &Observed,
    steps: Vec<StepStatus>,
    refused: Option<&Refused>,
) -> RagSnapshotStatus {
    let before = snapshot.status.clone().unwrap_or_default();
    let generation = snapshot.metadata.generation;
    let moving = (ConditionReason::Removing, "its copy is being removed from the archive".to_owned());
    let (reconciling, stalled) = match (removal_failed(seen), refused, &seen.way) {
        (Some(why), ..) => (None, Some((ConditionReason::RemovalFailed, why))),
        (None, Some(refused), _) => api_server(refused),
        (None, None, Err(obstacle)) if obstacle.needs_a_person() && !obstacle.is_final() => {
            (None, Some((obstacle.reason(), obstacle.to_string())))
        }
        (None, None, _) => (Some(moving), None),
    };
    let kept = |type_| {
        let found = find(&before.conditions, type_)?;
        let state = [State::True, State::False].into_iter().find(|state| state.as_str() == found.status)?;
        let reason = ConditionReason::ALL.iter().find(|reason| reason.as_str() == found.reason)?;
        Some(Finding::new(type_, state, *reason, found.message.clone()))
    };
    let mut findings: Vec<Finding> =
        [ConditionType::Ready, ConditionType::Verified].into_iter().filter_map(kept).collect();
    findings.extend(progress(reconciling, stalled));
    RagSnapshotStatus {
        observed_generation: generation,
        archive: before.archive,
        progress: None,
        steps,
        reading: before.reading,
        conditions: merge(&before.conditions, findings, generation, seen.now),
    }
}

/// What keeps the copy from being removed until a person acts, in words.
fn removal_failed(seen: &Observed) -> Option<String> {
    let (_, Looked::Failed { failure, .. }) = seen.removal.as_ref()? else { return None };
    (!failure.may_pass()).then(|| {
        format!(
            "its copy cannot be removed from the archive: {}; it is tried again every hour at most; to let the object go and keep \
             the copy, remove the finalizer {} from it",
            failure.words(),
            super::decide::FINALIZER
        )
    })
}

/// What the archive holds, as the Job that took it reports.
pub fn archive(snapshot: &RagSnapshot, seen: &Observed) -> Option<ArchiveStatus> {
    let (_, Looked::Done { report, at }) = seen.take.as_ref()? else { return None };
    let Taken { snapshot: found, written_bytes, verified } = taken(report, &snapshot.name_any()).ok()?;
    let namespace = snapshot.namespace().unwrap_or_default();
    // The cluster may be gone or changed since; the Job says where it wrote to, in its own words.
    let (destination, place) = match &seen.way {
        Ok(way) => (way.archive.destination.name.clone(), way.archive.place(&namespace, &snapshot.spec.cluster)),
        Err(_) => (snapshot.spec.destination.clone().unwrap_or_default(), found.place),
    };
    Some(ArchiveStatus {
        destination,
        place: cut(&place, PLACE_MAX_CHARS),
        name: cut(&found.name, NAME_MAX_CHARS),
        sha256: cut(&found.sha256, HASH_MAX_CHARS),
        began_at: Time(found.began),
        ended_at: Time(found.ended),
        last_write_at: found.last_write.map(Time),
        documents: found.documents,
        chunks: found.chunks,
        left_out: found.left_out,
        bytes: found.bytes,
        written_bytes,
        encrypted: found.encrypted,
        verified_at: verified.then(|| Time(at.unwrap_or(found.ended))),
    })
}

fn verified(archive: &ArchiveStatus) -> Finding {
    let (state, reason, message) = match &archive.verified_at {
        Some(at) => {
            let message = format!("all of it was read back at {} and is what was taken", whole(at.0));
            (State::True, ConditionReason::ReadBack, message)
        }
        None => {
            let message = "it was not read back; run rag-server snapshot verify, or a drill, to know".to_owned();
            (State::False, ConditionReason::NotReadBack, message)
        }
    };
    Finding::new(ConditionType::Verified, state, reason, message)
}

fn whole(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// How it stands with a snapshot.
enum Standing {
    /// It is in the archive. `settled`: nothing is left of its Job.
    Taken { message: String, settled: bool },
    /// It is on its way.
    Moving(ConditionReason, String),
    /// The cluster is to be left alone.
    Paused(String),
    /// Nothing happens until a person acts; `Reconciling` is False.
    Stalled(ConditionReason, String),
}

fn standing(
    archive: &Option<ArchiveStatus>,
    seen: &Observed,
    steps: &[StepStatus],
    refused: Option<&Refused>,
) -> Standing {
    if let Some(failed) = steps.iter().find(|step| step.state == StepState::Failed) {
        return has_failed(failed, seen, archive);
    }
    if let (Some(archive), true) = (archive, is_taken(steps)) {
        let settled = steps.iter().all(|step| step.state.is_final());
        return Standing::Taken { message: in_words(archive), settled };
    }
    if let Some(refused) = refused {
        return match api_server(refused) {
            (_, Some((reason, message))) => Standing::Stalled(reason, message),
            (Some((reason, message)), None) => Standing::Moving(reason, message),
            (None, None) => Standing::Moving(ConditionReason::Retrying, refused.message.clone()),
        };
    }
    match (&seen.take, &seen.way) {
        (None, Err(Obstacle::Paused(cluster))) => Standing::Paused(Obstacle::Paused(cluster.clone()).to_string()),
        (None, Err(obstacle)) if obstacle.needs_a_person() => {
            Standing::Stalled(obstacle.reason(), obstacle.to_string())
        }
        (None, Err(obstacle)) => Standing::Moving(obstacle.reason(), obstacle.to_string()),
        (None, Ok(_)) => match waits_for(seen) {
            Some(why) if !has_passed_check(steps) || seen.reading.is_some() => {
                Standing::Moving(ConditionReason::WaitsForTurn, why)
            }
            Some(_) | None => Standing::Moving(ConditionReason::Taking, "its Job is being created".to_owned()),
        },
        (Some((_, looked)), _) => under_way(looked, steps),
    }
}

fn has_passed_check(steps: &[StepStatus]) -> bool {
    steps.iter().any(|step| step.name == CHECK && step.state.is_final())
}

fn under_way(looked: &Looked, steps: &[StepStatus]) -> Standing {
    let take = steps.iter().find(|step| step.name == TAKE);
    let said = take.map(|step| step.message.clone()).unwrap_or_default();
    match looked {
        Looked::Pending { reason, why } => Standing::Moving(reason.unwrap_or(ConditionReason::Taking), why.clone()),
        Looked::Failed { failure, .. } => Standing::Moving(reason_of(failure), said),
        Looked::NotThere | Looked::Running | Looked::Done { .. } => Standing::Moving(ConditionReason::Taking, said),
    }
}

fn has_failed(failed: &StepStatus, seen: &Observed, archive: &Option<ArchiveStatus>) -> Standing {
    if let (true, Some(archive)) = (failed.name != CHECK && failed.name != TAKE, archive) {
        return Standing::Taken { message: in_words(archive), settled: true };
    }
    let reason = match (&seen.take, &seen.way) {
        (Some((_, Looked::Failed { failure, .. })), _) => reason_of(failure),
        (None, Err(obstacle)) => obstacle.reason(),
        (Some(_) | None, _) => ConditionReason::TakeFailed,
    };
    let message = format!("{}; nothing more is done: correct it, and create another RagSnapshot", failed.message);
    Standing::Stalled(reason, message)
}

/// The class of a Job's failure.
pub(super) fn reason_of(failure: &Failure) -> ConditionReason {
    let cause = match failure {
        Failure::Reported { cause, .. } => cause,
        Failure::Late => return ConditionReason::Timeout,
        Failure::Silent { .. } => return ConditionReason::TakeFailed,
    };
    match cause {
        Cause::Exists => ConditionReason::AlreadyExists,
        Cause::Damaged | Cause::Incomplete | Cause::Forged | Cause::Unsigned | Cause::NotFound => {
            ConditionReason::Damaged
        }
        Cause::Empty => ConditionReason::NothingToTake,
        Cause::NoRoom => ConditionReason::NoRoom,
        Cause::Unreachable | Cause::StoreUnreachable => ConditionReason::Unreachable,
        Cause::AuthFailed => ConditionReason::AuthFailed,
        Cause::NoPlace => ConditionReason::NoDestination,
        Cause::None
        | Cause::NotEmpty
        | Cause::NewerFormat
        | Cause::NoKey
        | Cause::Model
        | Cause::Last
        | Cause::Held
        | Cause::Stopped
        | Cause::Recall
        | Cause::Failed
        | Cause::Configuration
        | Cause::Other(_) => ConditionReason::TakeFailed,
    }
}

fn in_words(archive: &ArchiveStatus) -> String {
    let ArchiveStatus { documents, chunks, began_at, place, name, left_out, .. } = archive;
    let lost = if *left_out == 0 {
        String::new()
    } else {
        format!("; {left_out} documents are not in it, because the store had lost passages of them")
    };
    format!("{documents} documents with {chunks} passages, as of {}, are in {place} as {name}{lost}", whole(began_at.0))
}

type Said = Option<(ConditionReason, String)>;

/// Reconciling and Stalled after a request that the API server did not grant.
fn api_server(refused: &Refused) -> (Said, Said) {
    let message = format!("{}; {}", refused.message, refused.remedy);
    match refused.class {
        Class::Conflict | Class::Transient => (Some((ConditionReason::Retrying, message)), None),
        Class::Forbidden => (None, Some((ConditionReason::Forbidden, message))),
        Class::Invalid => (None, Some((ConditionReason::Rejected, message))),
    }
}

fn progress(reconciling: Said, stalled: Said) -> [Finding; 2] {
    let reconciling = match (reconciling, &stalled) {
        (Some((reason, message)), _) => Finding::new(ConditionType::Reconciling, State::True, reason, message),
        (None, Some(_)) => {
            let message = "stalled; see condition Stalled";
            Finding::new(ConditionType::Reconciling, State::False, ConditionReason::Settled, message)
        }
        (None, None) => {
            let message = "nothing more is done";
            Finding::new(ConditionType::Reconciling, State::False, ConditionReason::Settled, message)
        }
    };
    let stalled = match stalled {
        Some((reason, message)) => Finding::new(ConditionType::Stalled, State::True, reason, message),
        None => {
            Finding::new(ConditionType::Stalled, State::False, ConditionReason::Unhindered, "nothing is in the way")
        }
    };
    [reconciling, stalled]
}

impl Standing {
    fn findings(self) -> Vec<Finding> {
        let not_ready = |reason, message| Finding::new(ConditionType::Ready, State::False, reason, message);
        let (ready, [reconciling, stalled]) = match self {
            Self::Taken { message, settled } => {
                let ready = Finding::new(ConditionType::Ready, State::True, ConditionReason::Taken, message);
                let rest = "what is left of its Job is being removed".to_owned();
                (ready, progress((!settled).then_some((ConditionReason::Progressing, rest)), None))
            }
            Self::Moving(reason, message) => {
                // Reconciling names what is done; Ready, what keeps it from being there.
                let doing = Some((ConditionReason::Progressing, message.clone()));
                (not_ready(reason, message), progress(doing, None))
            }
            Self::Paused(message) => {
                let paused =
                    Finding::new(ConditionType::Reconciling, State::False, ConditionReason::Paused, message.clone());
                let [_, stalled] = progress(None, None);
                (not_ready(ConditionReason::Paused, message), [paused, stalled])
            }
            Self::Stalled(reason, message) => {
                (not_ready(reason, message.clone()), progress(None, Some((reason, message))))
            }
        };
        vec![ready, reconciling, stalled]
    }
}
