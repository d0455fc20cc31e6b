//! How many pods of a part a drain may take away at once.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata::{self, Part};
use crate::cluster::validate::ValidatedCluster;

/// NAME-server or NAME-qdrant: one at a time, which also lets a node with the only one be drained; those that do not work are in
/// nobody's way.
pub(super) fn disruption_budget(cluster: &ValidatedCluster, part: Part) -> PodDisruptionBudget {
    let name = match part {
        Part::Server => cluster.name.server(),
        Part::VectorStore => cluster.name.qdrant(),
    };
    PodDisruptionBudget {
        metadata: metadata::child(cluster, part, name),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(metadata::label_selector(cluster, part)),
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            min_available: None,
        }),
        ..PodDisruptionBudget::default()
    }
}
