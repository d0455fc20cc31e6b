//! How the number of servers follows their load.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Servers are added above one threshold and removed below another; between the two nothing moves.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.scaleDown.cpuPercent < self.scaleUp.cpuPercent")
    .message("must be below scaleUp.cpuPercent, or servers would be added and removed in turn")
    .field_path(".scaleDown.cpuPercent"))]
pub struct Autoscaling {
    /// Whether a HorizontalPodAutoscaler owns the number of servers.
    #[serde(default = "enabled")]
    pub enabled: bool,

    /// The most servers. Values above 20 are accepted and capped at 20 unless a ScaleApproval stands; the condition ReplicasCapped
    /// says so.
    #[serde(default = "max_replicas")]
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,

    /// When servers are added.
    #[serde(default)]
    pub scale_up: ScaleUp,

    /// When servers are removed.
    #[serde(default)]
    pub scale_down: ScaleDown,
}

impl Default for Autoscaling {
    fn default() -> Self {
        Self {
            enabled: enabled(),
            max_replicas: max_replicas(),
            scale_up: ScaleUp::default(),
            scale_down: ScaleDown::default(),
        }
    }
}

/// The upper threshold.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleUp {
    /// Servers are added when their mean CPU use is above this percentage of what they request.
    #[serde(default = "up_percent")]
    #[schemars(range(min = 2, max = 100))]
    pub cpu_percent: i32,

    /// For how many seconds it must have been above.
    #[serde(default = "up_seconds")]
    #[schemars(range(min = 0, max = 3600))]
    pub for_seconds: i32,
}

impl Default for ScaleUp {
    fn default() -> Self {
        Self { cpu_percent: up_percent(), for_seconds: up_seconds() }
    }
}

/// The lower threshold.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleDown {
    /// Servers are removed when their mean CPU use is below this percentage of what they request.
    #[serde(default = "down_percent")]
    #[schemars(range(min = 1, max = 99))]
    pub cpu_percent: i32,

    /// For how many seconds it must have been below.
    #[serde(default = "down_seconds")]
    #[schemars(range(min = 0, max = 3600))]
    pub for_seconds: i32,
}

impl Default for ScaleDown {
    fn default() -> Self {
        Self { cpu_percent: down_percent(), for_seconds: down_seconds() }
    }
}

fn enabled() -> bool {
    true
}

fn max_replicas() -> i32 {
    20
}

fn up_percent() -> i32 {
    70
}

fn up_seconds() -> i32 {
    300
}

fn down_percent() -> i32 {
    30
}

fn down_seconds() -> i32 {
    600
}
