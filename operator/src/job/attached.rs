//! What goes with a snapshot beside the corpus: the RagCluster, as a person would apply it, so that its configuration comes back from
//! the archive alone. Pure.
//!
//! Secrets are never part of it, since a spec only names them. A spec names no ConfigMap: whatever servers read is made of it.

use std::collections::BTreeMap;

use kube::{Resource, ResourceExt};
use serde::Serialize;

use crate::api::{RagCluster, RagClusterSpec};

/// The file of the RagCluster.
pub const MANIFEST_FILE: &str = "ragcluster.yaml";

/// Where a Job finds it.
pub(super) const ATTACHED_DIR: &str = "/etc/rag/attached";

/// What kubectl notes on an object that it applied: the same once more, and it would be older than what was changed since.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What a ConfigMap holds at most, in bytes.
const CONFIG_MAP_MOST_BYTES: usize = 1024 * 1024;

/// What the table of the archive and the names of the files take of it at most, in bytes: a dozen lines of at most 512.
const RESERVE_BYTES: usize = 16 * 1024;

/// What goes with a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Attached {
    /// Nothing: the Job takes none.
    #[default]
    Nothing,
    /// The manifest of the RagCluster, in YAML.
    Manifest(String),
    /// Nothing, because it could not be made; why.
    LeftOut(String),
}

impl Attached {
    /// What goes with a snapshot of `cluster`, whose Job's ConfigMap holds so many bytes of configuration beside it.
    pub fn of(cluster: &RagCluster, config_bytes: usize) -> Self {
        let manifest = match manifest(cluster) {
            Ok(manifest) => manifest,
            Err(error) => return Self::LeftOut(format!("its spec has no form in YAML: {error}")),
        };
        let most = CONFIG_MAP_MOST_BYTES.saturating_sub(RESERVE_BYTES).saturating_sub(config_bytes);
        if manifest.len() <= most {
            return Self::Manifest(manifest);
        }
        Self::LeftOut(format!(
            "it has {} bytes, and beside the configuration the ConfigMap of the Job has room for {most}; keep a copy of it elsewhere",
            manifest.len()
        ))
    }

    /// The manifest, where it goes along.
    pub fn manifest(&self) -> Option<&str> {
        match self {
            Self::Manifest(manifest) => Some(manifest),
            Self::Nothing | Self::LeftOut(_) => None,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    api_version: String,
    kind: String,
    metadata: Metadata<'a>,
    spec: &'a RagClusterSpec,
}

#[derive(Serialize)]
struct Metadata<'a> {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'a str, &'a str>,
}

fn manifest(cluster: &RagCluster) -> Result<String, serde_yaml_ng::Error> {
    let annotations = cluster.annotations().iter().filter(|(key, _)| *key != LAST_APPLIED);
    serde_yaml_ng::to_string(&Manifest {
        api_version: RagCluster::api_version(&()).into_owned(),
        kind: RagCluster::kind(&()).into_owned(),
        metadata: Metadata {
            name: cluster.name_any(),
            namespace: cluster.namespace(),
            labels: cluster.labels(),
            annotations: annotations.map(|(key, value)| (key.as_str(), value.as_str())).collect(),
        },
        spec: &cluster.spec,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::with_snapshots;
    use serde_json::{Value, json};

    /// As the API server shows it: applied by kubectl, and looked after by the operator.
    fn live() -> RagCluster {
        let mut object = json!(with_snapshots(", replicas: 5"));
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.insert("labels".into(), json!({"team": "a"}));
        metadata.insert("annotations".into(), json!({LAST_APPLIED: "{\"old\": 1}", "owner": "docs"}));
        metadata.insert("managedFields".into(), json!([{"manager": "kubectl", "operation": "Apply"}]));
        metadata.insert("finalizers".into(), json!(["example.com/hold"]));
        metadata.insert("resourceVersion".into(), json!("77"));
        object["status"] = json!({"replicas": 5});
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn the_manifest_is_the_cluster_as_a_person_would_apply_it() {
        let attached = Attached::of(&live(), 0);
        let yaml = attached.manifest().unwrap();
        assert!(yaml.starts_with("apiVersion: ragops.dev/v1alpha1\nkind: RagCluster\n"), "{yaml}");
        let value: Value = serde_yaml_ng::from_str(yaml).unwrap();
        let expected = json!({"name": "handbook", "namespace": "team-a", "labels": {"team": "a"}, "annotations": {"owner": "docs"}});
        assert_eq!(value["metadata"], expected);
        assert_eq!(value.as_object().unwrap().len(), 4, "and no status: {yaml}");
        let applied: RagCluster = serde_yaml_ng::from_str(yaml).unwrap();
        assert_eq!(applied.spec, live().spec);
    }

    #[test]
    fn what_a_config_map_has_no_room_for_is_left_out_and_said() {
        let bytes = Attached::of(&live(), 0).manifest().unwrap().len();
        let room = CONFIG_MAP_MOST_BYTES - RESERVE_BYTES - bytes;
        assert!(Attached::of(&live(), room).manifest().is_some());
        let Attached::LeftOut(why) = Attached::of(&live(), room + 1) else { panic!("it went along") };
        assert!(why.contains(&format!("{bytes} bytes")) && why.contains(&format!("room for {}", bytes - 1)), "{why}");
        assert!(matches!(Attached::of(&live(), usize::MAX), Attached::LeftOut(_)));
    }
}
