//! Which network traffic is let through.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// NetworkPolicies for the servers and the managed vector store.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkPolicySpec {
    /// Whether the operator keeps NetworkPolicies: clients reach port 8080, the operator and the scrapers port 9090, and only
    /// the servers reach the managed vector store.
    #[serde(default = "enabled")]
    pub enabled: bool,

    /// Who, besides the operator, may reach the management port 9090 to scrape metrics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub scrape_from: Vec<ScrapePeer>,
}

impl Default for NetworkPolicySpec {
    fn default() -> Self {
        Self { enabled: enabled(), scrape_from: Vec::new() }
    }
}

/// Pods that may scrape: those that match both selectors.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.namespaceSelector) || has(self.podSelector)")
    .message("name a namespaceSelector, a podSelector, or both"))]
pub struct ScrapePeer {
    /// Namespaces by their labels. Absent: the namespace of the RagCluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,

    /// Pods by their labels. Absent: every pod of the namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
}

fn enabled() -> bool {
    true
}
