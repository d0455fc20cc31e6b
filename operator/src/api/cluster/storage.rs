//! The volume of a vector store.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The size of a volume for which the spec names none.
pub const DEFAULT_SIZE: &str = "10Gi";

/// A volume. It only grows, and its class cannot be changed, added or removed later.
#[derive(Clone, Debug, Deserialize, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("quantity(self.size).compareTo(quantity(oldSelf.size)) >= 0")
        .message(Message::Expression(
            "'found ' + self.size + ', was ' + oldSelf.size + ': a volume only grows; ask for at least as much, or create a new \
             RagCluster for a smaller one'".to_owned()
        ))
        .field_path(".size"),
    validation = Rule::new(
        "has(self.className) == has(oldSelf.className) && (!has(self.className) || self.className == oldSelf.className)"
    )
    .message(
        "the storage class cannot be changed, added or removed: it is chosen when the cluster is created; \
         create a new RagCluster for another class"
    )
    .field_path(".className")
)]
pub struct Storage {
    /// Size of the volume, for example 10Gi. It can be raised later, if the StorageClass allows its volumes to grow.
    #[serde(default = "default_size")]
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^[1-9][0-9]*(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"))]
    pub size: String,

    /// StorageClass of the volume. Absent: the default of the Kubernetes cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
}

impl Default for Storage {
    fn default() -> Self {
        Self { size: default_size(), class_name: None }
    }
}

fn default_size() -> String {
    DEFAULT_SIZE.to_owned()
}
