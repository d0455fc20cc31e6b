//! What the operator builds for a RagCluster of which nothing exists yet.

use std::collections::BTreeMap;

use ragops_operator::{
    api::RagCluster,
    cluster::{
        build::{Children, Prepared, build},
        decide::decide,
        observed::{Entropy, LiveChildren, Observed, OperatorDefaults},
        validate::validate,
    },
};

/// The cluster as the API server would keep it: with a namespace, a uid and a generation.
pub(crate) fn named(mut cluster: RagCluster) -> RagCluster {
    cluster.metadata.namespace.get_or_insert_with(|| "team-a".to_owned());
    cluster.metadata.uid.get_or_insert_with(|| "c0ffee00-0000-4000-8000-000000000001".to_owned());
    cluster.metadata.generation.get_or_insert(1);
    cluster
}

/// What an operator with these default images finds where nothing exists yet.
pub(crate) fn nothing(server_image: &str, qdrant_image: &str) -> Observed {
    Observed {
        now: jiff::Timestamp::UNIX_EPOCH,
        entropy: Entropy([7; 32]),
        defaults: OperatorDefaults {
            server_image: server_image.to_owned(),
            qdrant_image: qdrant_image.to_owned(),
            operator_namespace: "rag".to_owned(),
            operator_labels: BTreeMap::new(),
        },
        server_version: None,
        children: LiveChildren::default(),
        foreign: Vec::new(),
        referenced_secrets: BTreeMap::new(),
        approvals: Vec::new(),
        procedures: Vec::new(),
        snapshots: Vec::new(),
        readings: Vec::new(),
        removals: Vec::new(),
        restores: Vec::new(),
        server_pods: Vec::new(),
        qdrant_pods: Vec::new(),
        reports: BTreeMap::new(),
    }
}

/// The children of a cluster by an operator that finds this.
pub(crate) fn children_of(cluster: RagCluster, observed: &Observed) -> Children<Prepared> {
    let valid = validate(&named(cluster), observed).unwrap();
    let plan = decide(&valid, observed);
    build(&valid, &plan, observed)
}
