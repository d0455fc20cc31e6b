//! The names of what a restore makes: the same in every pass, whoever makes it. Pure.

use sha2::{Digest, Sha256};

use super::observed::Task;
use crate::api::snapshot::SNAPSHOT_NAME_MAX;
use crate::job::attempt_name;

/// How the name of the snapshot ends that is taken before a restore.
const BEFORE: &str = "-before";

/// How the name begins of what a full drill makes in another namespace.
const ELSEWHERE: &str = "drill-";

/// The longest name of a RagCluster, in characters.
const CLUSTER_NAME_MAX: usize = 40;

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

/// The name of what a full drill makes in another namespace: drill-NAME-HASH, where NAME is not too long. The hash is of the uid: no
/// drill meets what another one left, its volumes above all.
pub(super) fn elsewhere_name(drill: &str, uid: &str) -> String {
    let hash = hex::encode(Sha256::digest(uid));
    let room = CLUSTER_NAME_MAX - ELSEWHERE.len() - HASH_DIGITS - 1;
    let name = drill[..room.min(drill.len())].trim_end_matches('-');
    format!("{ELSEWHERE}{name}-{}", &hash[..HASH_DIGITS])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::decide::MAX_ATTEMPTS;

    #[test]
    fn what_a_full_drill_makes_is_named_after_it_within_the_limits_and_never_like_that_of_another_one() {
        let name = elsewhere_name("quarterly", "u1");
        assert!(name.starts_with("drill-quarterly-"), "{name}");
        for drill in ["q", &"a".repeat(52), &format!("{}--{}", "a".repeat(24), "b".repeat(20)), "0"] {
            let name = elsewhere_name(drill, "u1");
            assert_eq!(crate::api::ClusterName::parse(&name).unwrap().as_str(), name);
            assert!(!name.contains("--"), "{name}");
            assert_ne!(name, elsewhere_name(drill, "u2"));
            assert!(job_name(&name, Task::Restore, MAX_ATTEMPTS).len() <= 63);
        }
    }

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
