//! What the operator renders for a RagCluster, from the example files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use ragops_operator::{
    api::RagCluster,
    cluster::build::{Children, Prepared},
};
use serde::Deserialize;

use crate::built::{children_of, nothing};

/// The children of an example.
pub(crate) fn children(cluster: RagCluster) -> Children<Prepared> {
    children_of(cluster, &nothing("example.com/rag-server:0.1.0", "example.com/qdrant:1.20.0"))
}

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

/// The text under a key of a ConfigMap.
pub(crate) fn text<'c>(map: &'c k8s_openapi::api::core::v1::ConfigMap, key: &str) -> &'c str {
    &map.data.as_ref().unwrap()[key]
}
