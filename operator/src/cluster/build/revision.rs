//! ControllerRevisions: what the pods of a revision are made of, kept so that it can be found again.

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;

use super::metadata::{self, Part};
use crate::api::labels;
use crate::cluster::decide::revision::{Frozen, PlannedRevision};
use crate::cluster::validate::ValidatedCluster;

/// The object of a revision. Its data cannot be changed once it exists.
pub(super) fn revision(
    cluster: &ValidatedCluster,
    part: Part,
    planned: &PlannedRevision,
    frozen: &Frozen,
) -> ControllerRevision {
    let name = match part {
        Part::Server => cluster.name.server_revision(&planned.name),
        Part::VectorStore => cluster.name.qdrant_revision(&planned.name),
    };
    let metadata = metadata::child(cluster, part, name);
    ControllerRevision {
        metadata: metadata::labelled(metadata, [(labels::REVISION, planned.name.as_str())]),
        // Kubernetes' own types and texts always have a JSON form.
        data: RawExtension(serde_json::to_value(frozen).unwrap_or_default()),
        revision: Some(planned.number),
    }
}
