//! What a full drill sees of the other namespace, in which it makes a cluster of its own.

use crate::api::ConditionReason;
use crate::api::restore::RestoreResult;

/// What is there of one full drill.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Elsewhere {
    /// Why nothing can be made there, with the class of that.
    pub barred: Option<(ConditionReason, String)>,
    /// Why nobody knows what is there: the API server did not say.
    pub unseen: Option<String>,
    /// The RagCluster of its name.
    pub cluster: Option<Found<Serving>>,
    /// The RagRestore of its name, which restores into that cluster.
    pub recovery: Option<Found<Recovery>>,
    /// The RagSnapshot that this restore has asked for, of what was served before: nothing.
    pub before: Option<Found<()>>,
    /// An object of the cluster that is left where the cluster is gone, as KIND NAME.
    pub remains: Option<String>,
}

impl Elsewhere {
    /// Whether nothing is there, as far as it can be read.
    pub fn is_empty(&self) -> bool {
        let Self { unseen, cluster, recovery, before, remains, barred: _ } = self;
        unseen.is_none() && cluster.is_none() && recovery.is_none() && before.is_none() && remains.is_none()
    }
}

/// An object of the drill's names.
#[derive(Clone, Debug, PartialEq)]
pub struct Found<S> {
    /// Its uid, so that a namesake is not removed in its place.
    pub uid: String,
    /// Whether the drill made it.
    pub is_ours: bool,
    /// Whether it is on its way out.
    pub is_going: bool,
    /// How far it is.
    pub state: S,
}

/// Whether a cluster serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Serving {
    /// It does, as it was last asked to.
    Yes,
    /// Not yet, and what it says about that.
    NotYet(String),
}

/// How far the restore from the archive is.
#[derive(Clone, Debug, PartialEq)]
pub enum Recovery {
    /// It is under way, and what it says about that.
    UnderWay(String),
    /// The cluster answers from the snapshot; with the figures of the whole drill.
    Done(Box<RestoreResult>),
    /// It has failed.
    Failed {
        /// The class of the cause.
        reason: ConditionReason,
        /// What it says about that.
        why: String,
    },
}
