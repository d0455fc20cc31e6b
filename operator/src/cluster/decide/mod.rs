//! What should be: a validated cluster and the facts become a plan.
//!
//! Pure: no client, no runtime, no clock; time and randomness stand in the facts. Every decider looks at the facts anew, so a
//! step that was interrupted is recognised and taken up again. The plan is a value; who carries it out decides nothing.

pub mod credentials;
pub mod prune;
pub mod revision;
pub mod scaling;

use super::observed::{ObjectRef, Observed};
use super::validate::{Store, ValidatedCluster};
use credentials::CredentialPlan;
use revision::PlannedRevision;
use scaling::Size;

/// What should be, and what is in surplus.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Nothing is to be written: the spec says so.
    pub paused: bool,
    /// The revision that the servers run.
    pub revision: PlannedRevision,
    /// The revision that the managed vector store runs, where there is one.
    pub qdrant_revision: Option<PlannedRevision>,
    /// How many servers, and who says so.
    pub size: Size,
    /// Which generations of which credentials exist.
    pub credentials: CredentialPlan,
    /// What is to be removed, last of all.
    pub prune: Vec<ObjectRef>,
}

/// Asks the deciders in turn.
pub fn decide(cluster: &ValidatedCluster, observed: &Observed) -> Plan {
    let revision = revision::of_servers(cluster, observed);
    let qdrant_revision = match &cluster.store {
        Store::Managed(_) => Some(revision::of_qdrant(cluster, observed)),
        Store::External(_) | Store::Embedded { .. } => None,
    };
    let credentials = credentials::credentials(cluster, observed);
    let prune = prune::surplus(cluster, &revision, qdrant_revision.as_ref(), observed);
    Plan {
        paused: cluster.paused,
        revision,
        qdrant_revision,
        size: scaling::size(cluster, observed),
        credentials,
        prune,
    }
}
