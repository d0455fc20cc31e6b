//! The steps of a restore and of a drill. Pure: each step decides by looking at what is seen.
//!
//! ```text
//!  Drill             check ─► drill ─► settle
//!  Drill, elsewhere  check ─► cluster ─► recover ─► remove
//!  InPlace           check ─► snapshot ─► restore ─► verify ─► revert ─► settle
//!  InPlace, dryRun   check ─► preview ─► settle
//! ```
//! `restore` and `revert` are felt by those who use the service and need the lock of the cluster. `revert` and `settle` clean up:
//! they are taken after a failure, too, and find nothing to do where nothing is left to be done. So does `remove`.

mod drill;
mod full_drill;
mod in_place;
mod source;
mod task;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::names::job_name;
use super::observed::{Seen, Task};
use crate::api::restore::{RagRestore, RagRestoreSpec, RestoreMode};
use crate::api::steps::StepState;
use crate::objects::OwnKind;
use crate::steps::{Disruption, Effect, Look, Pause, Priority, Procedure, Standing, Step};

pub use full_drill::{Errand, is_abandoned, swept};
pub(super) use in_place::changes;
pub use in_place::{Verified, verified};
pub use source::{Obstacle, Source, source};
pub use task::MAX_ATTEMPTS;

/// The names of the steps, as they stand in a status.
pub mod step {
    /// Whether everything that is needed is there.
    pub const CHECK: &str = "check";
    /// A snapshot of what is served.
    pub const SNAPSHOT: &str = "snapshot";
    /// The restore of what is served.
    pub const RESTORE: &str = "restore";
    /// What a restore would change.
    pub const PREVIEW: &str = "preview";
    /// Whether what is served is what the snapshot holds.
    pub const VERIFY: &str = "verify";
    /// Back to what was served before.
    pub const REVERT: &str = "revert";
    /// The restore beside what is served.
    pub const DRILL: &str = "drill";
    /// A cluster of its own, in another namespace.
    pub const CLUSTER: &str = "cluster";
    /// The restore into that cluster.
    pub const RECOVER: &str = "recover";
    /// Nothing is left in the other namespace.
    pub const REMOVE: &str = "remove";
    /// Nothing is left under way.
    pub const SETTLE: &str = "settle";
}

/// What is missing may be on its way, created a moment later from the same file. What has not come within an hour is not waited
/// for: a restore in place that nobody remembers must not begin by itself.
const CHECK_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// A command ends within seconds, its pod within the grace period, and a node that does not answer is given up by Kubernetes after
/// some minutes. What takes longer than this is not waited for any more.
const SETTLE_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// Something that a restore does to the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Asks for a snapshot of what is served.
    Snapshot {
        /// The name of the RagSnapshot.
        name: String,
    },
    /// Starts a Job.
    Start {
        /// What for.
        task: Task,
        /// Its name.
        job: String,
    },
    /// Stops a Job: its command ends cleanly.
    Stop {
        /// Its name.
        job: String,
    },
    /// Removes what was made for its Jobs.
    Forget {
        /// The name of the restore.
        restore: String,
    },
    /// Does something for a full drill.
    Elsewhere {
        /// What.
        errand: Errand,
        /// The other namespace.
        namespace: String,
        /// The name of what it makes there.
        name: String,
    },
}

impl Effect for Deed {
    fn name(&self) -> String {
        match self {
            Self::Snapshot { name } => format!("create RagSnapshot {name}"),
            Self::Start { job, .. } => format!("create Job {job}"),
            Self::Stop { job } => format!("stop Job {job}"),
            Self::Forget { restore } => format!("remove the Jobs of RagRestore {restore}"),
            Self::Elsewhere { errand, namespace, name } => errand.words(namespace, name),
        }
    }
}

/// What the steps know of their restore: what never changes.
pub(super) struct Asked {
    /// Its name.
    name: String,
    /// Its uid.
    uid: String,
    /// When it was asked for.
    created_at: Timestamp,
    /// What was asked for.
    spec: RagRestoreSpec,
}

impl Asked {
    fn of(restore: &RagRestore) -> Self {
        Self {
            name: restore.name_any(),
            uid: restore.uid().unwrap_or_default(),
            created_at: created_at(restore),
            spec: restore.spec.clone(),
        }
    }

    /// The name of its procedure.
    fn procedure(&self) -> String {
        format!("{} {}", RagRestore::KIND, self.name)
    }

    fn start(&self, task: Task, number: u32) -> Deed {
        Deed::Start { task, job: job_name(&self.name, task, number) }
    }

    fn stop(&self, task: Task, number: u32) -> Deed {
        Deed::Stop { job: job_name(&self.name, task, number) }
    }
}

/// The share, in percent, of the recorded passages that must be found again.
pub fn min_recall_percent(spec: &RagRestoreSpec, seen: &Seen) -> i32 {
    let of_cluster = seen.cluster.as_ref().map_or(DEFAULT_MIN_RECALL_PERCENT, |cluster| cluster.min_recall_percent);
    spec.min_recall_percent.unwrap_or(of_cluster)
}

/// What a RagCluster that says nothing asks of a drill.
pub const DEFAULT_MIN_RECALL_PERCENT: i32 = 95;

/// When a restore was asked for.
pub(super) fn created_at(restore: &RagRestore) -> Timestamp {
    restore.metadata.creation_timestamp.as_ref().map_or(Timestamp::MIN, |created| created.0)
}

/// A restore as a procedure of its cluster.
pub fn procedure(restore: &RagRestore) -> Procedure<Seen, Deed> {
    let asked = Arc::new(Asked::of(restore));
    let namespace = restore.spec.in_namespace.as_deref();
    let (priority, steps) = match (restore.spec.mode, restore.spec.dry_run) {
        // What is served is not touched.
        (RestoreMode::Drill, true) => (Priority::Maintenance, vec![check(&asked), settle(&asked)]),
        (RestoreMode::Drill, false) => {
            let steps = namespace.map_or_else(|| drill::steps(&asked), |there| full_drill::steps(&asked, there));
            (Priority::Maintenance, steps)
        }
        (RestoreMode::InPlace, true) => (Priority::Restore, in_place::preview(&asked)),
        (RestoreMode::InPlace, false) => (Priority::Restore, in_place::steps(&asked)),
    };
    Procedure { name: asked.procedure(), priority, created_at: asked.created_at, steps }
}

/// Begins with this deed, unless something is in the way or another one goes first.
fn in_turn(asked: &Asked, seen: &Seen, step: &str, deed: impl FnOnce() -> Deed) -> Look<Deed> {
    if let Err(obstacle) = source(&asked.spec, asked.created_at, seen) {
        return refusal(obstacle);
    }
    match seen.peers.iter().find(|peer| goes_first(peer, asked, step)) {
        Some(peer) => Look::Wait(Pause::for_change(format!("waits for {}, which goes first", peer.name))),
        None => Look::Begin(deed()),
    }
}

fn refusal<E>(obstacle: Obstacle) -> Look<E> {
    if obstacle.may_pass { Look::Wait(Pause::for_change(obstacle.why)) } else { Look::Failed(obstacle.why) }
}

/// Whether a peer has begun with this step and not ended, or has waited for it for longer. Two that announce it at the same time
/// both see the other's announcement before they act, give it back, and go by their age.
fn goes_first(peer: &Standing, asked: &Asked, step: &str) -> bool {
    let Some(current) = &peer.current else { return false };
    if current.step.name != step {
        return current.step.name != step::CHECK;
    }
    match current.step.state {
        StepState::Running => true,
        StepState::Waiting | StepState::Queued => {
            (peer.created_at, peer.name.as_str()) < (asked.created_at, asked.procedure().as_str())
        }
        StepState::Pending | StepState::Done | StepState::Failed | StepState::Skipped => false,
    }
}

/// Whether everything that is needed is there.
fn check(asked: &Arc<Asked>) -> Step<Seen, Deed> {
    let asked = Arc::clone(asked);
    Step::wait(step::CHECK, Some(CHECK_WITHIN), move |seen: &Seen, _| {
        match source(&asked.spec, asked.created_at, seen) {
            Ok(source) => Look::Done(source.to_string()),
            Err(obstacle) => refusal(obstacle),
        }
    })
}

/// Nothing is left under way: a Job that outlived its step is stopped. What was made for those that did what they were to goes;
/// of what failed it stays, with its log, for as long as the restore.
fn settle(asked: &Arc<Asked>) -> Step<Seen, Deed> {
    let asked = Arc::clone(asked);
    let step = Step::new(step::SETTLE, Disruption::None, SETTLE_WITHIN, move |seen: &Seen, _| {
        if let Some(look) = task::stopped(&asked, seen) {
            return look;
        }
        if !seen.made.is_empty() && task::have_succeeded(seen) {
            return Look::Continue(Deed::Forget { restore: asked.name.clone() });
        }
        Look::Done("nothing of it is under way any more".to_owned())
    });
    step.that_cleans_up()
}
