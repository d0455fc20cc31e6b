//! What restores and drills have found out about a snapshot. Pure: the pass over a RagSnapshot asks for it.

use jiff::Timestamp;
use kube::ResourceExt;

use super::status::has_ended;
use crate::api::restore::RagRestore;
use crate::api::{ConditionReason, ConditionType};
use crate::conditions::find;
use crate::objects::OwnKind;

/// What one of them has found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Who, as people read it, for example `RagRestore weekly`.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Whether the snapshot was restored and is what was taken.
    pub is_whole: bool,
    /// The sentence for people.
    pub message: String,
}

/// What `restore` has found out about the snapshot of this name in a destination; nothing where it is about another one, has not
/// ended, or ended for a cause that says nothing about the snapshot.
pub fn evidence(restore: &RagRestore, destination: &str, snapshot: &str) -> Option<Evidence> {
    let status = restore.status.as_ref().filter(|_| has_ended(restore) && !restore.spec.dry_run)?;
    let result = status.result.as_ref()?;
    if result.snapshot != snapshot || result.destination != destination {
        return None;
    }
    let ready = find(&status.conditions, ConditionType::Ready)?;
    let is = |reasons: &[ConditionReason]| reasons.iter().any(|reason| reason.as_str() == ready.reason);
    let is_whole = if is(&[ConditionReason::Passed, ConditionReason::Restored]) {
        true
    } else if is(&[ConditionReason::RecallTooLow, ConditionReason::Damaged, ConditionReason::Untrusted]) {
        false
    } else {
        return None;
    };
    // What ends it changes one of its conditions, and none changes after.
    let at = status.conditions.iter().map(|condition| condition.last_transition_time.0).max()?;
    let by = format!("{} {}", RagRestore::KIND, restore.name_any());
    Some(Evidence { by, at, is_whole, message: ready.message.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::fixtures::{ASKED_AT, drill, drilled, fault, seen, tried};
    use crate::restore::observed::{Act, Task};
    use crate::restore::tests::after_passes;

    fn ended(act: Act) -> RagRestore {
        after_passes(drill(), &tried(seen(), Task::Drill, 1, act), ASKED_AT)
    }

    #[test]
    fn a_drill_speaks_for_or_against_the_snapshot_that_it_tried_and_for_no_other() {
        let passed = ended(Act::Done(drilled(100.0)));
        assert!(evidence(&passed, "bucket", "daily-7").unwrap().is_whole);
        assert_eq!(evidence(&passed, "bucket", "daily-6"), None);
        assert_eq!(evidence(&passed, "off-site", "daily-7"), None);
        for reason in [ConditionReason::Damaged, ConditionReason::RecallTooLow, ConditionReason::Untrusted] {
            let failed = evidence(&ended(fault(reason, false, ASKED_AT)), "bucket", "daily-7").unwrap();
            assert!(!failed.is_whole && failed.message.contains("it is so"), "{failed:?}");
        }
    }

    #[test]
    fn what_was_not_tried_says_nothing() {
        for reason in [ConditionReason::Skipped, ConditionReason::AuthFailed, ConditionReason::KeyMissing] {
            assert_eq!(evidence(&ended(fault(reason, false, ASKED_AT)), "bucket", "daily-7"), None);
        }
        assert_eq!(evidence(&ended(Act::Running), "bucket", "daily-7"), None);
        assert_eq!(evidence(&drill(), "bucket", "daily-7"), None);
    }
}
