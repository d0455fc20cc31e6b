//! What the operator renders for a RagCluster, from the example files.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use ragops_operator::{
    api::RagCluster,
    cluster::{
        build::{Children, Prepared, build},
        decide::decide,
        observed::{Entropy, LiveChildren, Observed, OperatorDefaults},
        validate::validate,
    },
};
use serde::Deserialize;

/// The RagClusters of every example, each with the file that holds it.
pub(crate) fn examples() -> Vec<(PathBuf, RagCluster)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    files.sort();
    let clusters = files.iter().flat_map(|file| {
        let text = fs::read_to_string(file).unwrap();
        let documents: Vec<_> = serde_yaml_ng::Deserializer::from_str(&text)
            .map(|document| serde_yaml_ng::Value::deserialize(document).unwrap())
            .filter(|document| document["kind"] == "RagCluster")
            .collect();
        documents.into_iter().map(|document| (file.clone(), serde_yaml_ng::from_value(document).unwrap()))
    });
    clusters.collect()
}

/// The children of a cluster that nothing exists of yet.
pub(crate) fn children(mut cluster: RagCluster) -> Children<Prepared> {
    cluster.metadata.namespace.get_or_insert_with(|| "team-a".to_owned());
    cluster.metadata.uid.get_or_insert_with(|| "c0ffee00-0000-4000-8000-000000000001".to_owned());
    cluster.metadata.generation.get_or_insert(1);
    let observed = Observed {
        now: "2026-11-21T08:00:00Z".parse().unwrap(),
        entropy: Entropy([7; 32]),
        defaults: OperatorDefaults {
            server_image: "example.com/rag-server:0.1.0".to_owned(),
            qdrant_image: "example.com/qdrant:1.20.0".to_owned(),
            operator_namespace: "ragops".to_owned(),
        },
        children: LiveChildren::default(),
        foreign: Vec::new(),
        referenced_secrets: BTreeMap::new(),
        server_pods: Vec::new(),
        qdrant_pods: Vec::new(),
        reports: BTreeMap::new(),
    };
    let valid = validate(&cluster, &observed).unwrap();
    let plan = decide(&valid, &observed);
    build(&valid, &plan, &observed)
}

/// The text under a key of a ConfigMap.
pub(crate) fn text<'c>(map: &'c k8s_openapi::api::core::v1::ConfigMap, key: &str) -> &'c str {
    &map.data.as_ref().unwrap()[key]
}
