//! The operator's figures of snapshots and trials: what became of each is counted from the difference of two statuses, and what all
//! clusters come to is the worst of them. No figure has the name of a cluster.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::api::cluster::{DrillStatus, FailedSnapshot, SnapshotsStatus};
use crate::api::{RagCluster, RagClusterStatus};
use crate::cluster::observed::{Observed, Snapshot};
use crate::context::Context;
use crate::objects::ObjectId;

/// What was last seen of each cluster that takes snapshots. It may be lost: the next pass over a cluster notes it again.
#[derive(Default)]
pub struct Figures(Mutex<HashMap<ObjectId, Figure>>);

/// What a cluster contributes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Figure {
    verified_at: Option<i64>,
    rto_seconds: Option<f64>,
    rpo_seconds: Option<f64>,
}

/// The worst of all clusters; nothing where none has the figure.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Worst {
    /// When the newest verified snapshot was taken of the cluster whose one is the oldest, in seconds since 1970.
    pub verified_at: Option<i64>,
    /// How long the last restore took of the cluster whose one was the slowest, in seconds.
    pub rto_seconds: Option<f64>,
    /// How old the snapshot was that was restored last of the cluster whose one was the oldest, in seconds.
    pub rpo_seconds: Option<f64>,
}

impl Figures {
    /// Forgets a cluster that is gone.
    pub fn forget(&self, object: &ObjectId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(object);
    }

    /// Notes what there is of a cluster now.
    pub fn note(&self, object: &ObjectId, status: Option<&SnapshotsStatus>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match status {
            None => drop(all.remove(object)),
            Some(status) => drop(all.insert(object.clone(), Figure::of(status))),
        }
    }

    /// What all clusters come to.
    pub fn worst(&self) -> Worst {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let largest = |of: fn(&Figure) -> Option<f64>| all.values().filter_map(of).max_by(f64::total_cmp);
        Worst {
            verified_at: all.values().filter_map(|figure| figure.verified_at).min(),
            rto_seconds: largest(|figure| figure.rto_seconds),
            rpo_seconds: largest(|figure| figure.rpo_seconds),
        }
    }
}

impl Figure {
    fn of(status: &SnapshotsStatus) -> Self {
        let drill = status.last_drill.as_ref();
        Self {
            verified_at: status.last_verified.as_ref().map(|snapshot| snapshot.taken_at.0.as_second()),
            rto_seconds: drill.and_then(|drill| drill.rto_seconds),
            rpo_seconds: drill.and_then(|drill| drill.rpo_seconds),
        }
    }
}

/// Counts what a status says that has just been written, and notes its figures.
pub(super) fn count(context: &Context, cluster: &RagCluster, observed: &Observed, status: &RagClusterStatus) {
    let before = cluster.status.as_ref().and_then(|before| before.snapshots.as_ref());
    let after = status.snapshots.as_ref();
    for outcome in outcomes(before, after, &observed.snapshots) {
        context.metrics.snapshots.taken.with_label_values(&[outcome]).inc();
    }
    if let Some(drill) = new_drill(before, after) {
        context.metrics.snapshots.drills.with_label_values(&[drill.outcome.as_str()]).inc();
    }
    context.memory.figures.note(&ObjectId::of(cluster), after);
    context.metrics.snapshots.worst(context.memory.figures.worst());
}

/// What became of snapshots between two statuses. Nothing is known of what was before the first.
fn outcomes(
    before: Option<&SnapshotsStatus>,
    after: Option<&SnapshotsStatus>,
    snapshots: &[Snapshot],
) -> Vec<&'static str> {
    let (Some(before), Some(after)) = (before, after) else { return Vec::new() };
    let name = |status: &SnapshotsStatus| status.last.as_ref().map(|snapshot| snapshot.name.clone());
    // One that was deleted makes an older one the newest.
    let is_newer = after.last.as_ref().map(|last| last.taken_at.0) > before.last.as_ref().map(|last| last.taken_at.0);
    let taken = (name(before) != name(after) && is_newer).then_some("taken");
    // One that was deleted, or made good by a newer one, makes an older one the last.
    let due = |failed: &FailedSnapshot| Some(snapshots.iter().find(|one| one.name == failed.name)?.due_at);
    let is_new = |failed: &FailedSnapshot| match &before.last_failed {
        None => true,
        Some(before) => due(before).is_some_and(|before| due(failed).is_some_and(|due| due > before)),
    };
    let failed = after.last_failed.as_ref().is_some_and(is_new).then_some("failed");
    taken.into_iter().chain(failed).collect()
}

fn new_drill<'s>(before: Option<&SnapshotsStatus>, after: Option<&'s SnapshotsStatus>) -> Option<&'s DrillStatus> {
    let last = after?.last_drill.as_ref()?;
    let known = before?.last_drill.as_ref();
    known.is_none_or(|known| known.finished_at.0 < last.finished_at.0).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::cluster::{DrillOutcome, KeptSnapshot};
    use crate::cluster::observed::SnapshotState;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn status(verified: i64, rto: f64) -> SnapshotsStatus {
        let at = |second| Time(jiff::Timestamp::from_second(second).unwrap());
        let kept =
            KeptSnapshot { name: format!("s{verified}"), destination: "near".to_owned(), taken_at: at(verified) };
        let drill = DrillStatus {
            name: "d".to_owned(),
            outcome: DrillOutcome::Passed,
            summary: "Passed".to_owned(),
            finished_at: at(verified + 1),
            snapshot: None,
            rto_seconds: Some(rto),
            rpo_seconds: None,
            recall_percent: None,
        };
        SnapshotsStatus {
            last: Some(kept.clone()),
            last_verified: Some(kept),
            last_drill: Some(drill),
            ..SnapshotsStatus::default()
        }
    }

    fn failing(name: &str, status: &SnapshotsStatus) -> SnapshotsStatus {
        let failed = FailedSnapshot { name: name.to_owned(), reason: "NoRoom".to_owned() };
        SnapshotsStatus { last_failed: Some(failed), ..status.clone() }
    }

    fn outcomes(before: Option<&SnapshotsStatus>, after: Option<&SnapshotsStatus>) -> Vec<&'static str> {
        super::outcomes(before, after, &[])
    }

    fn named(name: &str) -> ObjectId {
        ObjectId { kind: "RagCluster", namespace: "ns".to_owned(), name: name.to_owned() }
    }

    #[test]
    fn what_all_come_to_is_the_worst_of_them_and_follows_each() {
        let figures = Figures::default();
        let note = |name: &str, status: Option<&SnapshotsStatus>| {
            figures.note(&named(name), status);
            figures.worst()
        };
        assert_eq!(note("a", None), Worst::default());
        note("a", Some(&status(100, 3.0)));
        let worst = note("b", Some(&status(50, 9.0)));
        assert_eq!((worst.verified_at, worst.rto_seconds, worst.rpo_seconds), (Some(50), Some(9.0), None));
        assert_eq!(note("b", Some(&status(200, 1.0))).verified_at, Some(100));
        figures.forget(&named("a"));
        assert_eq!(note("c", None).verified_at, Some(200));
        figures.forget(&named("b"));
        assert_eq!(figures.worst(), Worst::default());
    }

    #[test]
    fn a_snapshot_and_a_drill_count_once_and_what_was_before_the_first_status_does_not() {
        let (old, new) = (status(100, 3.0), status(200, 3.0));
        assert!(outcomes(None, Some(&old)).is_empty() && new_drill(None, Some(&old)).is_none());
        assert_eq!(outcomes(Some(&old), Some(&new)), ["taken"]);
        assert!(new_drill(Some(&old), Some(&new)).is_some());
        assert!(outcomes(Some(&new), Some(&new)).is_empty() && new_drill(Some(&new), Some(&new)).is_none());
        // The newest was deleted.
        assert!(outcomes(Some(&new), Some(&old)).is_empty() && new_drill(Some(&new), Some(&old)).is_none());
        let failing = failing("f", &old);
        assert_eq!(outcomes(Some(&old), Some(&failing)), ["failed"]);
        assert!(outcomes(Some(&failing), Some(&old)).is_empty());
    }

    #[test]
    fn an_older_failure_that_is_the_last_again_does_not_count_again() {
        let failed = |day: i64| {
            let due_at = jiff::Timestamp::from_second(day * 86_400).unwrap();
            let state = SnapshotState::Failed { reason: "NoRoom".to_owned(), message: String::new() };
            let (name, uid) = (format!("f{day}"), format!("u{day}"));
            Snapshot { name, uid, schedule: None, due_at, state, is_going: false }
        };
        let (both, is) = ([failed(1), failed(2)], status(100, 3.0));
        let (first, second) = (failing("f1", &is), failing("f2", &is));
        assert_eq!(super::outcomes(Some(&first), Some(&second), &both), ["failed"]);
        // The second was made good, or was deleted.
        assert!(super::outcomes(Some(&second), Some(&first), &both).is_empty());
        assert!(super::outcomes(Some(&second), Some(&first), &both[..1]).is_empty());
    }
}
