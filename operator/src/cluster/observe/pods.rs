//! Pods of a cluster, and of one that went before it under the same name.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::api::labels;
use crate::apply::Owner;
use crate::caches::Caches;

/// Whether a pod has this label.
fn has(pod: &Pod, key: &str, value: &str) -> bool {
    pod.labels().get(key).is_some_and(|found| found == value)
}

/// The pods of a cluster that are one part of it.
pub(super) fn pods_of(caches: &Caches, uid: &str, part: &str) -> Vec<Pod> {
    let pods = caches.pods.of(uid);
    let pods = pods.iter().filter(|pod| has(pod, labels::CLUSTER_UID, uid) && has(pod, labels::NAME, part));
    pods.map(|pod| Pod::clone(pod)).collect()
}

/// A server of a cluster of the same name that went before this one and is not gone. A kubelet keeps an immutable ConfigMap for as
/// long as a pod mounts it, also when there is another one of that name by then: a server of ours would start on theirs.
pub(super) fn server_of_predecessor(pods: &[Arc<Pod>], owner: Owner<'_>) -> Option<String> {
    let is_server = |pod: &Pod| has(pod, labels::NAME, labels::name::SERVER) && has(pod, labels::INSTANCE, owner.name);
    pods.iter().find(|pod| is_server(pod) && !has(pod, labels::CLUSTER_UID, owner.uid)).map(|pod| pod.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_server_of_a_namesake_that_went_before_is_waited_for_and_nothing_else_is() {
        let pod = |name: &str, part: &str, cluster: &str, uid: &str| {
            let labels = json!({labels::NAME: part, labels::INSTANCE: cluster, labels::CLUSTER_UID: uid});
            let pod: Pod = serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap();
            Arc::new(pod)
        };
        let owner = Owner { name: "handbook", uid: "new" };
        let mut pods = vec![
            pod("ours", labels::name::SERVER, "handbook", "new"),
            pod("a-neighbours", labels::name::SERVER, "notes", "old"),
            // Jobs mount configurations of their own, and outlive the cluster.
            pod("a-jobs", "rag-job", "handbook", "old"),
        ];
        assert_eq!(server_of_predecessor(&pods, owner), None);
        pods.push(pod("theirs", labels::name::SERVER, "handbook", "old"));
        assert_eq!(server_of_predecessor(&pods, owner).as_deref(), Some("theirs"));
    }
}
