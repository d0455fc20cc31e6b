//! What a restore sees: its cluster, the snapshots that it may be about, its Jobs, what else is under way, and what the servers
//! say, as one plain value. It names no client and holds no handle.

mod elsewhere;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::api::ConditionReason;
use crate::api::cluster::{RagClusterSpec, Snapshots};
use crate::api::progress::JobProgress;
use crate::api::restore::RestoreResult;
use crate::api::steps::{StepState, StepStatus};
use crate::job::{Made, Servers};
use crate::steps::Standing;

pub use elsewhere::{Elsewhere, Found, Recovery, Serving};

/// Everything that one pass over one RagRestore knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// The RagCluster that it names. Absent: there is none, or it is on its way out.
    pub cluster: Option<ClusterSeen>,
    /// The snapshots of this cluster that have a RagSnapshot, and the one that the source names, by name.
    pub snapshots: Vec<SnapshotSeen>,
    /// The snapshot of what is served, which is taken before a restore in place.
    pub before: Option<SnapshotSeen>,
    /// How the others of this cluster stand that go one after the other with it: drills with drills, restores in place with
    /// restores in place.
    pub peers: Vec<Standing>,
    /// How every procedure of this cluster stands that has not ended.
    pub standings: Vec<Standing>,
    /// Its Jobs.
    pub attempts: BTreeMap<Task, Vec<Attempt>>,
    /// How far the Job is that runs, where it says so.
    pub progress: Option<JobProgress>,
    /// What was made for its Jobs and is still there.
    pub made: Vec<Made>,
    /// What the cluster's servers search.
    pub servers: Vec<ServerSeen>,
    /// Its steps, as they are recorded.
    pub steps: Vec<StepStatus>,
    /// What it came to, as it is recorded: a Job that is gone has taken its report with it.
    pub recorded: Option<RestoreResult>,
    /// What there is of it in another namespace. Absent: it is no full drill.
    pub elsewhere: Option<Elsewhere>,
}

impl Seen {
    /// How the last attempt at a task stands.
    pub fn last(&self, task: Task) -> Option<&Attempt> {
        self.attempts.get(&task)?.iter().max_by_key(|tried| tried.number)
    }

    /// How a step is recorded.
    pub fn recorded_state(&self, step: &str) -> StepState {
        self.steps.iter().find(|status| status.name == step).map_or(StepState::Pending, |status| status.state)
    }

    /// The attempts that have not ended.
    pub fn active(&self) -> impl Iterator<Item = (Task, &Attempt)> {
        let all = self.attempts.iter().flat_map(|(task, attempts)| attempts.iter().map(|tried| (*task, tried)));
        all.filter(|(_, tried)| tried.act.is_active())
    }
}

/// What is known of the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterSeen {
    /// Its destinations, in their order.
    pub destinations: Vec<String>,
    /// Whether the operator's hands are off it.
    pub is_paused: bool,
    /// Whether its store is inside its one server, to which it belongs.
    pub is_embedded: bool,
    /// Why no Job can be made as its servers are, where none can, with the class of that.
    pub not_ready: Option<(ConditionReason, String)>,
    /// What the destination names and is not there, with the class of that.
    pub missing: Option<(ConditionReason, String)>,
    /// The share, in percent, of the recorded passages that a drill must find again.
    pub min_recall_percent: i32,
    /// What its servers run, where a Job can be made of that.
    pub servers: Option<Servers>,
    /// What it asks for about snapshots.
    pub snapshots: Option<Snapshots>,
    /// All that it asks for, which a full drill makes a cluster of.
    pub spec: RagClusterSpec,
}

/// A RagSnapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotSeen {
    /// Its name.
    pub name: String,
    /// The RagCluster that it is of.
    pub cluster: String,
    /// How far it is.
    pub state: SnapshotState,
    /// The uid of the RagRestore that asked for it. Absent: somebody else did.
    pub asked_by: Option<String>,
}

/// How far a snapshot is.
#[derive(Clone, Debug, PartialEq)]
pub enum SnapshotState {
    /// It is being taken, and what it says about that.
    Taking(String),
    /// It is in the archive.
    Taken(Archived),
    /// It was not taken, and will not be.
    Failed {
        /// The reason of its condition.
        reason: String,
        /// What it says about that.
        why: String,
    },
}

/// A snapshot in an archive.
#[derive(Clone, Debug, PartialEq)]
pub struct Archived {
    /// The destination.
    pub destination: String,
    /// Its name there.
    pub name: String,
    /// What was acknowledged before this time is in it.
    pub began_at: Timestamp,
}

/// What a Job of a restore is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// To restore beside what is served, to measure, and to remove it again.
    Drill,
    /// To restore what is served, or to say what that would change.
    Restore,
    /// To search again what was searched before.
    Revert,
}

impl Task {
    /// Every task.
    pub const ALL: [Self; 3] = [Self::Drill, Self::Restore, Self::Revert];

    /// How it ends the name of its Job.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Drill => "drill",
            Self::Restore => "restore",
            Self::Revert => "revert",
        }
    }
}

/// A Job: one attempt of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// Which attempt it is, from 1.
    pub number: u32,
    /// How it stands.
    pub act: Act,
}

/// How a Job stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Its pod has not begun, and why.
    Pending(String),
    /// It runs.
    Running,
    /// It was asked to end, and has not yet.
    Stopping,
    /// It is done, and this came of it.
    Done(RestoreResult),
    /// It failed.
    Failed(Fault),
}

impl Act {
    /// Whether something of it may still happen.
    pub const fn is_active(&self) -> bool {
        match self {
            Self::Pending(_) | Self::Running | Self::Stopping => true,
            Self::Done(_) | Self::Failed(_) => false,
        }
    }
}

/// Why a Job failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The class of the cause.
    pub reason: ConditionReason,
    /// What the command, or Kubernetes, said.
    pub why: String,
    /// Whether another attempt makes sense by itself.
    pub may_pass: bool,
    /// When it failed.
    pub at: Option<Timestamp>,
}

/// What a server said when it was last asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSeen {
    /// Its pod.
    pub pod: String,
    /// The epoch that it searches. Absent: it searches none, or did not answer.
    pub epoch: Option<i64>,
    /// Whether it answered.
    pub has_answered: bool,
}
