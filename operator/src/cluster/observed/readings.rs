//! What is known of the readings of the snapshots of a cluster that are kept.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::snapshot::ReadingStatus;
use crate::api::steps::StepState;
use crate::api::{ConditionReason, ConditionType, RagSnapshot};
use crate::conditions::find;

/// What is known of the readings of a snapshot in an archive.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The RagSnapshot.
    pub snapshot: String,
    /// Its uid.
    pub uid: String,
    /// The destination.
    pub destination: String,
    /// When it was last read, or restored.
    pub last_at: Option<Timestamp>,
    /// It is being read.
    pub is_under_way: bool,
    /// What is wrong with the copy, as its last reading found.
    pub fault: Option<Trouble>,
    /// Why it could not be read.
    pub failure: Option<(Timestamp, Trouble)>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The class of the cause.
    pub reason: String,
    /// The sentence for people.
    pub message: String,
}

impl Reading {
    /// What there is to know; nothing of one that is in no archive, or on its way out.
    pub fn of(snapshot: &RagSnapshot) -> Option<Self> {
        let (metadata, status) = (&snapshot.metadata, snapshot.status.as_ref()?);
        let archive = status.archive.as_ref().filter(|_| metadata.deletion_timestamp.is_none())?;
        let verified = find(&status.conditions, ConditionType::Verified).filter(|found| found.status != "True");
        let of_reading = [ConditionReason::Damaged, ConditionReason::CopyGone].map(ConditionReason::as_str);
        let fault = verified.filter(|found| of_reading.contains(&found.reason.as_str()));
        let ReadingStatus { failure, steps, .. } = status.reading.clone().unwrap_or_default();
        Some(Self {
            snapshot: metadata.name.clone()?,
            uid: metadata.uid.clone()?,
            destination: archive.destination.clone(),
            last_at: last_at(snapshot),
            is_under_way: steps.iter().any(|step| step.state == StepState::Running),
            fault: fault.map(|found| Trouble { reason: found.reason.clone(), message: found.message.clone() }),
            failure: failure
                .map(|failure| (failure.at.0, Trouble { reason: failure.reason, message: failure.message })),
        })
    }

    /// When a reading came to nothing.
    pub fn failed_at(&self) -> Option<Timestamp> {
        self.failure.as_ref().map(|(at, _)| *at)
    }
}

/// When a snapshot was last read or restored, by itself or right after it was taken.
pub fn last_at(snapshot: &RagSnapshot) -> Option<Timestamp> {
    let status = snapshot.status.as_ref()?;
    let read = status.reading.as_ref().and_then(|reading| reading.last_at.as_ref());
    let verified = status.archive.as_ref().and_then(|archive| archive.verified_at.as_ref());
    read.or(verified).map(|Time(at)| *at)
}
