//! What travels from the spec to the pods. Labels and annotations of the RagCluster itself never do.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, Toleration, TopologySpreadConstraint};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Additions to the pods of the servers, or to those of the managed vector store.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Labels of the pods. The operator's own labels cannot be set here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32), inner(length(max = 63)))]
    #[x_kube(validation = Rule::new(
            "self.all(key, key.size() <= 317 && !key.startsWith('ragops.dev/') && !(key in \
             ['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/component', \
             'app.kubernetes.io/managed-by']))"
        )
        .message(
            "labels that begin with ragops.dev/, and app.kubernetes.io/name, instance, component and managed-by, \
             are the operator's; choose other keys"
        ))]
    pub labels: BTreeMap<String, String>,

    /// Annotations of the pods. Those that begin with ragops.dev/ are the operator's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32), inner(length(max = 4096)))]
    #[x_kube(validation = Rule::new("self.all(key, key.size() <= 317 && !key.startsWith('ragops.dev/'))")
        .message("annotations that begin with ragops.dev/ are the operator's; choose other keys"))]
    pub annotations: BTreeMap<String, String>,

    /// Labels that a node must have. Servers ask for kubernetes.io/arch: amd64, which their image is built for, unless it is named
    /// here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32), inner(length(max = 63)))]
    pub node_selector: BTreeMap<String, String>,

    /// Taints that the pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,

    /// Scheduling preferences of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,

    /// How the pods spread. Absent: the servers over nodes and zones as far as possible (ScheduleAnyway).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,

    /// PriorityClass of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,

    /// Secrets, in the same namespace, with which images are fetched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 6))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub image_pull_secrets: Vec<PullSecret>,
}

/// A Secret with which images are fetched.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PullSecret {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
}
