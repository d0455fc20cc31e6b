//! ScaleApproval: lets one cluster have more than 20 query servers: up to how many, why, by whom and until when. A kind of its
//! own, so that RBAC tells who asks from who approves.

#![allow(unreachable_pub, reason = "the derive of KubeSchema repeats each struct inside a function")]
#![allow(clippy::duplicated_attributes, reason = "every column says its type, as the derive wants it")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// The approval of more than 20 query servers for one RagCluster, which ends by itself. It cannot be changed: delete it to end it
/// early, and create another one for more servers or for longer.
#[derive(CustomResource, KubeSchema, Clone, Debug, Deserialize, PartialEq, Serialize)]
#[kube(
    group = "ragops.dev",
    version = "v1alpha1",
    kind = "ScaleApproval",
    plural = "scaleapprovals",
    singular = "scaleapproval",
    shortname = "ragapproval",
    category = "ragops",
    namespaced,
    status = "ScaleApprovalStatus",
    derive = "PartialEq",
    doc = "Lets one RagCluster have more than 20 query servers: up to how many, why, by whom and until when.",
    printcolumn(
        name = "CLUSTER",
        type_ = "string",
        json_path = ".spec.cluster",
        description = "The RagCluster that may have more servers."
    ),
    printcolumn(
        name = "SERVERS",
        type_ = "integer",
        json_path = ".spec.maxReplicas",
        description = "The most servers that are approved."
    ),
    printcolumn(name = "UNTIL", type_ = "string", json_path = ".spec.expiresAt", description = "When it ends."),
    printcolumn(
        name = "READY",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether it is in force."
    ),
    printcolumn(
        name = "STATUS",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "What is the matter with it, in a word."
    ),
    printcolumn(
        name = "APPROVED-BY",
        type_ = "string",
        json_path = ".spec.approvedBy",
        description = "Who has approved it."
    ),
    printcolumn(
        name = "AGE",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Since when the approval exists."
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self == oldSelf").message(
    "an approval cannot be changed: create another ScaleApproval, and delete this one to end it early"
))]
pub struct ScaleApprovalSpec {
    /// The RagCluster of this namespace that may have more servers.
    #[schemars(length(min = 1, max = 40))]
    pub cluster: String,

    /// The most query servers that it may have. Up to 20 need no approval.
    #[schemars(range(min = 21, max = 200))]
    pub max_replicas: i32,

    /// Why, for whoever reads it later.
    #[schemars(length(min = 1, max = 512))]
    pub reason: String,

    /// Who approves: the name of the user who creates the approval, as the API server knows it (kubectl auth whoami).
    #[schemars(length(min = 1, max = 512))]
    pub approved_by: String,

    /// When it ends, before the year 3000. Then no server is added any more, and those beyond 20 are taken away step by step; of a
    /// RagCluster that is paused, or that cannot be carried out, not before it goes on.
    #[x_kube(validation = Rule::new("self < timestamp('3000-01-01T00:00:00Z')").message("an approval ends before the year 3000"))]
    pub expires_at: Time,
}

/// What the operator last saw.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleApprovalStatus {
    /// The generation of the spec that this status is about; -1 before any operator has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Whether the approval is in force, and if not, why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,
}
