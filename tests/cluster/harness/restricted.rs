//! Namespaces that admit no pod outside Kubernetes' restricted standard, and what a pod of a test's own needs to be let in.

use k8s_openapi::api::core::v1::Namespace;
use kube::api::ObjectMeta;
use serde_json::{Value, json};

/// Read by the API server's own admission, which knows it by exactly this name and says nothing of any other.
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// A namespace in which pods outside the standard are refused.
#[must_use]
pub fn namespace(name: &str) -> Namespace {
    let labels = [(ENFORCE.to_owned(), "restricted".to_owned())];
    Namespace {
        metadata: ObjectMeta { name: Some(name.to_owned()), labels: Some(labels.into()), ..ObjectMeta::default() },
        ..Namespace::default()
    }
}

/// The `securityContext` of a pod in such a namespace.
#[must_use]
pub fn pod() -> Value {
    json!({"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}})
}

/// The `securityContext` of a container in such a namespace.
#[must_use]
pub fn container() -> Value {
    json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}})
}
