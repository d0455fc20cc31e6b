//! What a person reads about a cluster. Times, never ages; no secret.

mod snapshots;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use snapshots::{
    DrillOutcome, DrillStatus, ExpiringSnapshot, FailedSnapshot, KeptSnapshot, ScheduleStatus, SnapshotsStatus,
    TriedRestore,
};

/// What the operator last saw and did.
#[derive(Clone, Debug, Default, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RagClusterStatus {
    /// The generation of the spec that this status is about; -1 before any operator has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// What is happening, in a few words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub phase: String,

    /// Ready query servers, of those that are wanted, for example 3/3.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 16))]
    pub servers: String,

    /// Query servers that exist.
    #[serde(default)]
    pub replicas: i32,

    /// Query servers that answer.
    #[serde(default)]
    pub ready_replicas: i32,

    /// Label selector of the query servers' pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub selector: String,

    /// The revision that is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub revision: Option<String>,

    /// Where clients inside Kubernetes reach the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub endpoint: Option<String>,

    /// Each aspect of the state, with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_owned()]))]
    pub conditions: Vec<Condition>,

    /// Between which numbers the autoscaler moves, while autoscaling is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<AutoscalingStatus>,

    /// What every server is expected to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<ConfigurationStatus>,

    /// Snapshots and trials of a restore, while the spec asks for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshots: Option<SnapshotsStatus>,

    /// The last time that the operator put back a field of its own that somebody else had changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_correction: Option<CorrectionStatus>,

    /// What the operator will do next, and when or on what condition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub next: Vec<NextStep>,
}

/// Between which numbers the autoscaler moves.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AutoscalingStatus {
    /// The fewest servers.
    pub floor: i32,
    /// The most servers.
    pub ceiling: i32,
    /// The number that the autoscaler wants now, once it has decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<i32>,
}

/// What every server is expected to run.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationStatus {
    /// SHA-256 of the configuration of the applied revision.
    #[schemars(length(max = 64))]
    pub sha256: String,
    /// SHA-256 of the live settings.
    #[schemars(length(max = 64))]
    pub live_sha256: String,
    /// Since when these are expected.
    pub since: Time,
}

/// A field that was put back.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CorrectionStatus {
    /// The object, as KIND/NAME.
    #[schemars(length(max = 320))]
    pub object: String,
    /// The fields, shortened when there are many.
    #[schemars(length(max = 512))]
    pub fields: String,
    /// The field manager that had changed them.
    #[schemars(length(max = 128))]
    pub by: String,
    /// When they were put back.
    pub at: Time,
}

/// Something that the operator will do.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NextStep {
    /// When. Absent: as soon as what it waits for has happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// What, and what it waits for.
    #[schemars(length(max = 512))]
    pub what: String,
}
