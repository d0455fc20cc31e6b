//! NAME-corpus: the id of the corpus and what the managed store last ran on it, kept as long as the corpus itself.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::metadata::{self, Part};
use crate::api::cluster::DeletionPolicy;
use crate::api::{CorpusId, labels};
use crate::cluster::observed::{CORPUS_ID_KEY, Observed};
use crate::cluster::validate::{Store, ValidatedCluster, last_run};

/// Retained wherever the data is: without an owner, so that a later namesake finds it. Immutable, so that of two operators that
/// mint at once one is refused. The image is noted here and not on the StatefulSet, which goes with its cluster: whoever applies the
/// cluster again must not start a Qdrant that cannot read what the one before wrote.
pub(super) fn corpus(cluster: &ValidatedCluster, id: &CorpusId, observed: &Observed) -> ConfigMap {
    let name = cluster.name.corpus();
    let mut metadata = match (&cluster.store, cluster.deletion_policy) {
        // Nobody but its owner removes what an external store holds.
        (Store::External(_), _) | (_, DeletionPolicy::Retain) => metadata::retained(cluster, Part::Server, name),
        (Store::Managed(_) | Store::Embedded { .. }, DeletionPolicy::Delete) => {
            metadata::child(cluster, Part::Server, name)
        }
    };
    metadata::forget_uid(&mut metadata);
    if let (Store::Managed(_), Some(image)) = (&cluster.store, last_run(observed)) {
        metadata = metadata::annotated(metadata, [(labels::LAST_RUN, &image)]);
    }
    ConfigMap {
        metadata,
        data: Some(BTreeMap::from([(CORPUS_ID_KEY.to_owned(), id.to_string())])),
        immutable: Some(true),
        ..ConfigMap::default()
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use crate::api::labels;
    use crate::cluster::fixtures::{EMBEDDED, EXTERNAL, cluster, nothing, pass};

    fn built(spec: &str) -> ConfigMap {
        pass(&cluster(spec), &nothing()).2.corpus
    }

    #[test]
    fn the_id_is_kept_as_long_as_the_data_is() {
        for spec in ["{}", EMBEDDED, EXTERNAL] {
            let kept = built(spec);
            assert_eq!(kept.metadata.owner_references, None, "{spec}");
            assert_eq!(kept.immutable, Some(true));
            let labels = kept.metadata.labels.unwrap();
            assert_eq!(labels[labels::INSTANCE], "handbook");
            assert!(!labels.contains_key(labels::CLUSTER_UID), "a later namesake is to find it");
        }
        for (spec, is_removed) in [
            ("vectorStore: {qdrant: {}, deletionPolicy: Delete}".to_owned(), true),
            (EMBEDDED.replace("embedded: {}", "embedded: {}, deletionPolicy: Delete"), true),
            (format!("{EXTERNAL}\n  deletionPolicy: Delete"), false),
        ] {
            assert_eq!(built(&spec).metadata.owner_references.is_some(), is_removed, "{spec}");
        }
    }
}
