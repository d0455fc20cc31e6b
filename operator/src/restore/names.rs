//! The names of what a restore makes: the same in every pass, whoever makes it. Pure.

use sha2::{Digest, Sha256};

use super::observed::Task;
use crate::api::snapshot::SNAPSHOT_NAME_MAX;
use crate::job::attempt_name;

/// How the name of the snapshot ends that is taken before a restore.
const BEFORE: &str = "-before";

/// As many digits of a hash as keep two long names apart.
const HASH_DIGITS: usize = 8;

/// The name of an attempt at a task: of the first one NAME-drill, NAME-restore or NAME-revert.
pub(super) fn job_name(restore: &str, task: Task, number: u32) -> String {
    attempt_name(&format!("{restore}-{}", task.suffix()), number)
}

/// The name of the RagSnapshot that is taken before: NAME-before, where that is not too long.
pub(super) fn before_name(restore: &str) -> String {
    if restore.len() + BEFORE.len() <= SNAPSHOT_NAME_MAX {
        return format!("{restore}{BEFORE}");
    }
    let hash = hex::encode(Sha256::digest(restore));
    let room = SNAPSHOT_NAME_MAX - BEFORE.len() - HASH_DIGITS - 1;
    format!("{}-{}{BEFORE}", restore[..room].trim_end_matches('-'), &hash[..HASH_DIGITS])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::decide::MAX_ATTEMPTS;

    #[test]
    fn names_fit_however_long_the_restore_s_is_and_two_long_ones_stay_apart() {
        let long = "a".repeat(51);
        let (one, other) = (before_name(&format!("{long}b")), before_name(&format!("{long}c")));
        assert_eq!((one.len(), other.len()), (SNAPSHOT_NAME_MAX, SNAPSHOT_NAME_MAX));
        assert_ne!(one, other);
        assert_eq!(before_name("undo"), "undo-before");
        let dashes = before_name(&format!("{}{}", "a".repeat(30), "-".repeat(21) + "a"));
        assert!(!dashes.contains("--"), "{dashes}");
        for task in Task::ALL {
            assert!(job_name(&long, task, MAX_ATTEMPTS).len() <= 63);
        }
    }
}
