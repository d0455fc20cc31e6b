//! The facts of one pass over a RagSnapshot, as one plain value.

use jiff::{SignedDuration, Timestamp};

use crate::api::ConditionReason;
use crate::api::progress::JobProgress;
use crate::job::{Archive, Attached, Looked, Made, Missing, NoDestination, Servers, Unusable};

/// Everything that one pass knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The time of this pass.
    pub now: Timestamp,
    /// For how long this process has been looking.
    pub awake: SignedDuration,
    /// What a Job needs, or what is in the way of one.
    pub way: Result<Way, Obstacle>,
    /// The snapshot of the same destination that is taken first.
    pub sooner: Option<String>,
    /// The reading of a snapshot of the same cluster that is under way.
    pub reading: Option<String>,
    /// The newest attempt at taking it, by its number.
    pub take: Option<(u32, Looked)>,
    /// How far that one is, where it runs and says so.
    pub progress: Option<JobProgress>,
    /// The newest attempt at removing it from the archive.
    pub removal: Option<(u32, Looked)>,
    /// What was made for its Jobs and is still there.
    pub made: Vec<Made>,
}

/// What a Job needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// What the servers run.
    pub servers: Servers,
    /// Where snapshots are kept.
    pub archive: Archive,
    /// What goes with it.
    pub attached: Attached,
}

/// What is in the way of a Job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// There is no such cluster, or it is being deleted.
    #[error("there is no RagCluster {0} in this namespace; create it, or delete this snapshot")]
    ClusterMissing(String),
    /// The cluster is to be left alone.
    #[error("RagCluster {0} is paused; remove its spec.paused to go on")]
    Paused(String),
    /// Nobody says where to.
    #[error(transparent)]
    NoDestination(#[from] NoDestination),
    /// A Secret or the claim that the Job would mount does not exist.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// The servers run nothing that a Job could be made of.
    #[error(transparent)]
    Servers(#[from] Unusable),
}

impl Obstacle {
    /// The class of the cause.
    pub fn reason(&self) -> ConditionReason {
        match self {
            Self::ClusterMissing(_) => ConditionReason::ClusterMissing,
            Self::Paused(_) => ConditionReason::Paused,
            Self::NoDestination(_) => ConditionReason::NoDestination,
            Self::Missing(missing) => missing.reason(),
            Self::Servers(unusable) => unusable.reason(),
        }
    }

    /// Whether it is gone only when a person acts.
    pub fn needs_a_person(&self) -> bool {
        !matches!(self, Self::Paused(_) | Self::Servers(Unusable::NotMade { .. }))
    }

    /// Whether nobody could remove a copy from the archive: nothing says any more where it is, or with which keys.
    pub fn is_final(&self) -> bool {
        match self {
            Self::ClusterMissing(_) | Self::NoDestination(_) => true,
            Self::Paused(_)
            | Self::Missing(_)
            | Self::Servers(Unusable::NotMade { .. } | Unusable::Unreadable { .. }) => false,
        }
    }
}
