//! The RagSnapshots and RagRestores of a cluster, as far as its own decisions need them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time};

use super::Observed;
use crate::api::restore::{RestoreMode, RestoreResult};
use crate::api::{ConditionReason, ConditionType, RagRestore, RagSnapshot, labels};
use crate::conditions::find;

/// A RagSnapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Its uid, so that a namesake is not removed in its place.
    pub uid: String,
    /// The schedule that asked for it; nothing where somebody did by hand.
    pub schedule: Option<String>,
    /// The time of its schedule's line that it is for.
    pub due_at: Timestamp,
    /// How far it is.
    pub state: SnapshotState,
    /// Somebody has deleted it, and it is about to go.
    pub is_going: bool,
}

/// How far a snapshot is.
#[derive(Clone, Debug, PartialEq)]
pub enum SnapshotState {
    /// It is being taken, or waits for that.
    UnderWay,
    /// It is in an archive.
    Kept(Kept),
    /// It could not be taken.
    Failed {
        /// The class of the cause.
        reason: String,
        /// The sentence for people.
        message: String,
    },
}

/// A snapshot in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The destination.
    pub destination: String,
    /// What was acknowledged before this time is in it.
    pub began_at: Timestamp,
    /// It was read back without a fault, and no trial of a restore has failed on it since.
    pub is_verified: bool,
}

impl Snapshot {
    /// What there is to know; nothing of an object that the API server has given no name.
    pub fn of(snapshot: &RagSnapshot) -> Option<Self> {
        let metadata = &snapshot.metadata;
        let conditions = snapshot.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let archive = snapshot.status.as_ref().and_then(|status| status.archive.as_ref());
        let state = match archive.filter(|_| is_true(conditions, ConditionType::Ready)) {
            Some(archive) => SnapshotState::Kept(Kept {
                destination: archive.destination.clone(),
                began_at: archive.began_at.0,
                is_verified: is_true(conditions, ConditionType::Verified),
            }),
            None => match failure(conditions) {
                Some((reason, message)) => SnapshotState::Failed { reason, message },
                None => SnapshotState::UnderWay,
            },
        };
        Some(Self {
            name: metadata.name.clone()?,
            uid: metadata.uid.clone()?,
            schedule: snapshot.spec.schedule.clone(),
            due_at: due_at(metadata)?,
            state,
            is_going: metadata.deletion_timestamp.is_some(),
        })
    }

    /// What is in an archive of it.
    pub fn kept(&self) -> Option<&Kept> {
        match &self.state {
            SnapshotState::Kept(kept) => Some(kept),
            SnapshotState::UnderWay | SnapshotState::Failed { .. } => None,
        }
    }
}

impl Observed {
    /// The snapshots that a schedule has asked for.
    pub fn of_schedule<'o>(&'o self, schedule: &'o str) -> impl Iterator<Item = &'o Snapshot> {
        self.snapshots.iter().filter(move |snapshot| snapshot.schedule.as_deref() == Some(schedule))
    }
}

/// A Job that removes copies of snapshots from an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// The destination.
    pub destination: String,
    /// The snapshots.
    pub names: Vec<String>,
    /// How far it is.
    pub state: RemovalState,
}

/// How far a removal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemovalState {
    /// It runs, or waits for that.
    UnderWay,
    /// The copies are gone.
    Done,
    /// Some of them may be there still.
    Failed {
        /// When it ended.
        at: Timestamp,
        /// The sentence for people.
        message: String,
    },
    /// The Job has gone, and what was made for it has not.
    Remains,
}

/// A RagRestore.
#[derive(Clone, Debug, PartialEq)]
pub struct Restore {
    /// Its name.
    pub name: String,
    /// Its uid, so that a namesake is not removed in its place.
    pub uid: String,
    /// It is a trial, and changes nothing that is served.
    pub is_drill: bool,
    /// It is tried in another namespace.
    pub is_full: bool,
    /// A schedule asked for it.
    pub is_scheduled: bool,
    /// The time of its schedule's line that it is for.
    pub due_at: Timestamp,
    /// How far it is.
    pub state: RestoreState,
    /// The snapshot that it restores, as far as it is known by now.
    pub snapshot: Option<String>,
    /// Its figures.
    pub result: Option<RestoreResult>,
    /// Somebody has deleted it, and it is about to go.
    pub is_going: bool,
}

/// How far a restore is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreState {
    /// It runs, or waits for that.
    UnderWay,
    /// It is done, and what it found is right.
    Passed {
        /// When it ended.
        at: Timestamp,
    },
    /// It could not be done, or what it found is wrong.
    Failed {
        /// When it ended.
        at: Timestamp,
        /// The class of the cause.
        reason: String,
        /// The sentence for people.
        message: String,
    },
    /// There was no room for it.
    Skipped {
        /// When it ended.
        at: Timestamp,
        /// The sentence for people.
        message: String,
    },
}

impl RestoreState {
    /// When it ended, once it has.
    pub fn ended_at(&self) -> Option<Timestamp> {
        match self {
            Self::UnderWay => None,
            Self::Passed { at } | Self::Failed { at, .. } | Self::Skipped { at, .. } => Some(*at),
        }
    }
}

impl Restore {
    /// What there is to know; nothing of an object that the API server has given no name.
    pub fn of(restore: &RagRestore) -> Option<Self> {
        let (metadata, spec) = (&restore.metadata, &restore.spec);
        let conditions = restore.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let result = restore.status.as_ref().and_then(|status| status.result.clone());
        let named = spec.source.as_ref().and_then(|source| {
            let by_object = source.snapshot_ref.as_ref().map(|snapshot| snapshot.name.clone());
            by_object.or_else(|| source.archive.as_ref()?.name.clone())
        });
        let schedule = metadata.labels.as_ref().and_then(|labels| labels.get(labels::SCHEDULE));
        Some(Self {
            name: metadata.name.clone()?,
            uid: metadata.uid.clone()?,
            is_drill: spec.mode == RestoreMode::Drill && !spec.dry_run,
            is_full: spec.in_namespace.is_some(),
            is_scheduled: schedule
                .is_some_and(|schedule| [labels::DRILL, labels::FULL_DRILL].contains(&schedule.as_str())),
            due_at: due_at(metadata)?,
            state: ending(conditions, metadata),
            snapshot: result.as_ref().map(|result| result.snapshot.clone()).or(named),
            result,
            is_going: metadata.deletion_timestamp.is_some(),
        })
    }
}

impl Restore {
    /// Whether a schedule asked for this trial, in another namespace or not.
    pub fn is_scheduled_drill(&self, is_full: bool) -> bool {
        self.is_drill && self.is_scheduled && self.is_full == is_full
    }

    /// Whether it says how restores go. A full drill that was skipped says nothing, and hides nothing of what an earlier drill has
    /// said.
    pub fn is_telling_drill(&self) -> bool {
        self.is_drill && !(self.is_full && matches!(self.state, RestoreState::Skipped { .. }))
    }
}

fn ending(conditions: &[Condition], metadata: &ObjectMeta) -> RestoreState {
    // What ends it changes one of its conditions, and none changes after.
    let at = conditions.iter().map(|condition| condition.last_transition_time.0).max();
    let at = at.or_else(|| metadata.creation_timestamp.as_ref().map(|Time(at)| *at)).unwrap_or(Timestamp::UNIX_EPOCH);
    let ready = find(conditions, ConditionType::Ready);
    match ready {
        Some(ready) if ready.status == "True" => RestoreState::Passed { at },
        // There was no room for the trial.
        Some(ready) if ready.reason == ConditionReason::Skipped.as_str() => {
            RestoreState::Skipped { at, message: ready.message.clone() }
        }
        _ => match failure(conditions) {
            Some((reason, message)) => RestoreState::Failed { at, reason, message },
            None => RestoreState::UnderWay,
        },
    }
}

/// An object of ours says which time it is for. One that somebody made in the name of a schedule is for the time of its making.
fn due_at(metadata: &ObjectMeta) -> Option<Timestamp> {
    let noted = metadata.annotations.as_ref().and_then(|annotations| annotations.get(labels::DUE_AT)?.parse().ok());
    noted.or_else(|| metadata.creation_timestamp.as_ref().map(|Time(at)| *at))
}

/// Why it has failed for good.
fn failure(conditions: &[Condition]) -> Option<(String, String)> {
    let stalled = find(conditions, ConditionType::Stalled).filter(|stalled| stalled.status == "True")?;
    Some((stalled.reason.clone(), stalled.message.clone()))
}

fn is_true(conditions: &[Condition], type_: ConditionType) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn condition(type_: &str, status: &str, reason: &str) -> Value {
        json!({
            "type": type_, "status": status, "reason": reason, "message": "what", "observedGeneration": 1,
            "lastTransitionTime": "2026-11-28T02:05:00Z",
        })
    }

    fn snapshot(annotations: Value, status: Value) -> Snapshot {
        let object = json!({
            "apiVersion": "ragops.dev/v1alpha1", "kind": "RagSnapshot",
            "metadata": {
                "name": "s", "uid": "u", "creationTimestamp": "2026-11-28T02:01:00Z", "annotations": annotations,
            },
            "spec": {"cluster": "handbook", "schedule": "daily"}, "status": status,
        });
        Snapshot::of(&serde_json::from_value(object).unwrap()).unwrap()
    }

    #[test]
    fn a_snapshot_is_kept_once_it_is_ready_and_failed_once_it_is_stalled() {
        let archive = json!({
            "destination": "off-site", "place": "s3://b/p", "name": "s", "sha256": "0", "beganAt": "2026-11-28T02:02:00Z",
            "endedAt": "2026-11-28T02:03:00Z", "documents": 1, "chunks": 1, "bytes": 1,
        });
        let state = |conditions: Vec<Value>, archive: &Value| {
            snapshot(json!({}), json!({"archive": archive, "conditions": conditions})).state
        };
        let ready = || condition("Ready", "True", "Taken");
        let kept = |is_verified| {
            let began_at = "2026-11-28T02:02:00Z".parse().unwrap();
            SnapshotState::Kept(Kept { destination: "off-site".to_owned(), began_at, is_verified })
        };
        assert_eq!(state(vec![ready(), condition("Verified", "True", "Verified")], &archive), kept(true));
        assert_eq!(state(vec![ready(), condition("Verified", "False", "DrillFailed")], &archive), kept(false));
        assert_eq!(state(vec![condition("Ready", "False", "Taking")], &Value::Null), SnapshotState::UnderWay);
        let failed = state(vec![condition("Stalled", "True", "AuthFailed")], &Value::Null);
        assert!(matches!(failed, SnapshotState::Failed { reason, .. } if reason == "AuthFailed"));
        // Ready without an archive is nothing that anybody could restore.
        assert_eq!(state(vec![ready()], &Value::Null), SnapshotState::UnderWay);
    }

    #[test]
    fn what_is_noted_says_for_which_time_it_is_and_otherwise_when_it_was_made() {
        let due = |annotations| snapshot(annotations, Value::Null).due_at.to_string();
        assert_eq!(due(json!({"ragops.dev/due-at": "2026-11-28T02:00:00Z"})), "2026-11-28T02:00:00Z");
        assert_eq!(due(json!({"ragops.dev/due-at": "soon"})), "2026-11-28T02:01:00Z");
    }

    fn restore_in(namespace: Option<&str>, conditions: Vec<Value>) -> Restore {
        let source = json!({"snapshotRef": {"name": "s"}});
        let object = json!({
            "apiVersion": "ragops.dev/v1alpha1", "kind": "RagRestore",
            "metadata": {"name": "r", "uid": "u", "creationTimestamp": "2026-11-28T02:01:00Z"},
            "spec": {"cluster": "handbook", "mode": "Drill", "source": source, "inNamespace": namespace},
            "status": {"conditions": conditions},
        });
        Restore::of(&serde_json::from_value(object).unwrap()).unwrap()
    }

    #[test]
    fn a_full_drill_that_was_skipped_hides_nothing_of_what_an_earlier_drill_has_said() {
        let ended = |status: &str, reason: &str| {
            restore_in(
                Some("rag-drill"),
                vec![condition("Ready", status, reason), condition("Stalled", "True", reason)],
            )
        };
        assert!(!ended("False", "Skipped").is_telling_drill());
        assert!(ended("True", "Passed").is_telling_drill() && ended("False", "Damaged").is_telling_drill());
    }

    #[test]
    fn a_drill_without_room_has_neither_passed_nor_failed() {
        let restore = |conditions: Vec<Value>| restore_in(None, conditions);
        let skipped = restore(vec![condition("Ready", "False", "Skipped"), condition("Stalled", "True", "Skipped")]);
        assert!(matches!(skipped.state, RestoreState::Skipped { .. }), "{:?}", skipped.state);
        assert_eq!((skipped.snapshot.as_deref(), skipped.is_drill), (Some("s"), true));
        assert!(matches!(restore(vec![condition("Ready", "True", "Passed")]).state, RestoreState::Passed { .. }));
        let failed = restore(vec![condition("Ready", "False", "Damaged"), condition("Stalled", "True", "Damaged")]);
        assert!(matches!(failed.state, RestoreState::Failed { reason, .. } if reason == "Damaged"));
        assert_eq!(restore(Vec::new()).state, RestoreState::UnderWay);
    }
}
