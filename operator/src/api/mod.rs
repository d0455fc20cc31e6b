//! The words: what users write and read, as types of the group `ragops.dev`.
//!
//! Owns every field, default, rule, condition and name of the API. Knows no client, no runtime and no clock, and decides
//! nothing: what the words lead to is decided in `cluster`.

pub mod approval;
pub mod cluster;
pub mod conditions;
pub mod credential;
pub mod labels;
pub mod names;
pub mod progress;
pub mod restore;
pub mod schema;
pub mod snapshot;
pub mod steps;
pub mod text;

pub use approval::{ScaleApproval, ScaleApprovalSpec, ScaleApprovalStatus};
pub use cluster::{RagCluster, RagClusterSpec, RagClusterStatus};
pub use conditions::{ConditionReason, ConditionType};
pub use credential::{Credential, Generation};
pub use names::{ClientName, ClusterName, CorpusId, Fingerprint, InvalidName, Revision};
pub use restore::{RagRestore, RagRestoreSpec, RagRestoreStatus};
pub use snapshot::{RagSnapshot, RagSnapshotSpec, RagSnapshotStatus};

/// The API group of every kind.
pub const GROUP: &str = "ragops.dev";

/// The version that is served and stored.
pub const VERSION: &str = "v1alpha1";
