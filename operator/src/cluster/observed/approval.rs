//! What others have approved for the cluster.

use jiff::Timestamp;

/// A ScaleApproval of the cluster, in force or ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// Its name.
    pub name: String,
    /// The most servers that it allows.
    pub max_replicas: i32,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl Approval {
    /// Whether it is in force.
    pub fn stands(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}
