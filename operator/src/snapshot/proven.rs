//! What restores and drills have found out about a snapshot becomes its condition Verified. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::restore::RagRestore;
use crate::api::snapshot::{RagSnapshot, RagSnapshotStatus};
use crate::api::{ConditionReason, ConditionType};
use crate::cluster::observed::last_at;
use crate::conditions::{Finding, State, update};
use crate::restore::evidence::{Evidence, evidence};

/// The status of a snapshot that is taken, by the newest of what `restores` have found out; nothing where it says so already.
pub(super) fn proven<'a>(
    snapshot: &RagSnapshot,
    restores: impl Iterator<Item = &'a RagRestore>,
    now: Timestamp,
) -> Option<RagSnapshotStatus> {
    let before = snapshot.status.as_ref()?;
    let archive = before.archive.as_ref()?;
    let of_it = restores.filter(|restore| restore.spec.cluster == snapshot.spec.cluster);
    // What has been said by something newer stands, as a reading that has been since. A time to come is of a clock that was wrong.
    let last = last_at(snapshot).filter(|last| *last <= now);
    let found = of_it.filter_map(|restore| evidence(restore, &archive.destination, &archive.name));
    let found = found.filter(|found| found.at <= now && last.is_none_or(|last| found.at > last));
    let newest = found.max_by(|one, other| (one.at, &one.by).cmp(&(other.at, &other.by)))?;
    let mut after = before.clone();
    after.reading.get_or_insert_default().last_at = Some(Time(newest.at));
    if newest.is_whole {
        after.archive.iter_mut().for_each(|archive| archive.verified_at = Some(Time(newest.at)));
    }
    after.conditions = update(&before.conditions, vec![finding(&newest)], snapshot.metadata.generation, now);
    (after != *before).then_some(after)
}

fn finding(newest: &Evidence) -> Finding {
    let Evidence { by, at, is_whole, message } = newest;
    let (state, reason, message) = match is_whole {
        true => {
            let message = format!("{by} restored it at {at}, and it is what was taken");
            (State::True, ConditionReason::DrillPassed, message)
        }
        false => {
            let message = format!("{by} could not restore at {at} what was taken: {message}");
            (State::False, ConditionReason::DrillFailed, message)
        }
    };
    Finding::new(ConditionType::Verified, state, reason, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::find;
    use crate::restore::fixtures::{at, drill, drilled, fault, seen, tried};
    use crate::restore::observed::{Act, Task};
    use crate::restore::tests::after_passes;
    use serde_json::json;

    const TRIED_AT: &str = "2026-11-28T09:00:00Z";

    fn snapshot() -> RagSnapshot {
        let archive = json!({
            "destination": "bucket", "place": "s3://b/p", "name": "daily-7", "sha256": "0", "beganAt": "2026-11-27T02:00:00Z",
            "endedAt": "2026-11-27T02:01:00Z", "verifiedAt": "2026-11-27T02:02:00Z", "documents": 1, "chunks": 1, "bytes": 1,
        });
        let verified = json!({
            "type": "Verified", "status": "True", "reason": "ReadBack", "message": "all of it", "observedGeneration": 1,
            "lastTransitionTime": "2026-11-27T02:02:00Z",
        });
        serde_json::from_value(json!({
            "apiVersion": "ragops.dev/v1alpha1", "kind": "RagSnapshot",
            "metadata": {"name": "daily-7", "namespace": "team-a", "uid": "s", "generation": 1},
            "spec": {"cluster": "handbook"}, "status": {"archive": archive, "conditions": [verified]},
        }))
        .unwrap()
    }

    fn ended(act: Act, time: &str) -> RagRestore {
        after_passes(drill(), &tried(seen(), Task::Drill, 1, act), time)
    }

    fn said(status: &RagSnapshotStatus) -> (&str, &str) {
        let found = find(&status.conditions, ConditionType::Verified).unwrap();
        (found.status.as_str(), found.reason.as_str())
    }

    #[test]
    fn a_snapshot_that_a_drill_could_not_restore_is_verified_no_longer_until_another_one_can() {
        let damaged = ended(fault(ConditionReason::Damaged, false, TRIED_AT), TRIED_AT);
        let mut snapshot = snapshot();
        let doubted = proven(&snapshot, [&damaged].into_iter(), at(TRIED_AT)).unwrap();
        assert_eq!(said(&doubted), ("False", "DrillFailed"));
        snapshot.status = Some(doubted);
        assert_eq!(proven(&snapshot, [&damaged].into_iter(), at(TRIED_AT)), None, "it says so already");
        let later = "2026-11-28T10:00:00Z";
        let passed = ended(Act::Done(drilled(100.0)), later);
        let trusted = proven(&snapshot, [&passed, &damaged].into_iter(), at(later)).unwrap();
        assert_eq!(said(&trusted), ("True", "DrillPassed"));
        assert_eq!(trusted.archive.unwrap().verified_at, Some(Time(at(later))));
    }

    #[test]
    fn what_was_found_since_is_not_written_over_by_what_an_older_drill_found() {
        let damaged = ended(fault(ConditionReason::Damaged, false, TRIED_AT), TRIED_AT);
        let mut snapshot = snapshot();
        let read_at = "2026-11-28T09:30:00Z";
        let reading = crate::api::snapshot::ReadingStatus { last_at: Some(Time(at(read_at))), ..Default::default() };
        snapshot.status.as_mut().unwrap().reading = Some(reading);
        assert_eq!(proven(&snapshot, [&damaged].into_iter(), at("2026-11-28T10:00:00Z")), None);
        // A clock that was years ahead when it was read keeps nobody from being believed.
        snapshot.status.as_mut().unwrap().reading.as_mut().unwrap().last_at = Some(Time(at("2031-01-01T00:00:00Z")));
        let doubted = proven(&snapshot, [&damaged].into_iter(), at("2026-11-28T10:00:00Z")).unwrap();
        assert_eq!(said(&doubted), ("False", "DrillFailed"));
        snapshot.status = Some(doubted);
        assert_eq!(proven(&snapshot, [&damaged].into_iter(), at("2026-11-28T10:00:00Z")), None, "and says it once");
    }

    #[test]
    fn what_says_nothing_about_it_changes_nothing() {
        let skipped = ended(fault(ConditionReason::Skipped, false, TRIED_AT), TRIED_AT);
        assert_eq!(proven(&snapshot(), [&skipped].into_iter(), at(TRIED_AT)), None);
        let mut other = ended(fault(ConditionReason::Damaged, false, TRIED_AT), TRIED_AT);
        other.spec.cluster = "guides".into();
        assert_eq!(proven(&snapshot(), [&other].into_iter(), at(TRIED_AT)), None);
    }
}
