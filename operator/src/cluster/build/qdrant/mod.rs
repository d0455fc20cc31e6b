//! The managed vector store: a Qdrant cluster of one peer, with a volume and a key of its own.

mod bootstrap;
mod network_policy;
mod service;
mod stateful_set;

use super::QdrantChildren;
use super::metadata::Part;
use super::{disruption_budget, revision, secrets};
use crate::api::cluster::Storage;
use crate::cluster::decide::Plan;
use crate::cluster::decide::revision::{CONFIG_SCHEMA, Frozen, PlannedRevision, store_image};
use crate::cluster::decide::volume::template_size;
use crate::cluster::observed::Observed;
use crate::cluster::validate::{ManagedStore, ValidatedCluster};

/// Everything that the managed vector store consists of.
pub(super) fn children(
    cluster: &ValidatedCluster,
    store: &ManagedStore,
    planned: &PlannedRevision,
    plan: &Plan,
    observed: &Observed,
) -> QdrantChildren {
    let frozen = planned.frozen.clone().unwrap_or_else(|| {
        let image = store_image(store, observed);
        let pod_template = stateful_set::pod_template(cluster, store, &planned.name, &image);
        Frozen { image, pod_template, config: None, config_schema: CONFIG_SCHEMA }
    });
    // The API server refuses another size while the StatefulSet exists.
    let live = observed.children.qdrant_stateful_set.as_ref().and_then(template_size);
    let size = live.unwrap_or(&store.storage.size).to_owned();
    let storage = Storage { size, class_name: store.storage.class_name.clone() };
    QdrantChildren {
        secret: secrets::qdrant(cluster, &plan.credentials),
        bootstrap: bootstrap::bootstrap(cluster),
        revision: revision::revision(cluster, Part::VectorStore, planned, &frozen),
        network_policy: cluster.network.is_some().then(|| network_policy::network_policy(cluster)),
        disruption_budget: disruption_budget::disruption_budget(cluster, Part::VectorStore),
        peers: service::peers(cluster),
        service: service::service(cluster),
        stateful_set: stateful_set::stateful_set(cluster, &storage, &frozen),
        outdated: plan.outdated.clone(),
        remade: plan.remade.clone(),
    }
}
