//! What every reconcile shares: clients, caches, memory between passes, and the clock.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt};

use crate::api::{ClusterName, labels};
use crate::caches::Caches;
use crate::cluster::observed::OperatorDefaults;
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::sampler::{Samples, Surroundings, Target};

/// What every reconcile shares.
pub struct Context {
    /// Talks to the API server.
    pub client: Client,
    /// What the operator was started with.
    pub defaults: OperatorDefaults,
    /// The caches of each namespace that is watched.
    pub namespaces: BTreeMap<String, Caches>,
    /// The servers' last answers.
    pub samples: Arc<Samples>,
    /// This process's name, which signs events.
    pub identity: String,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// What is remembered of each object between passes.
    pub memory: Memory,
    /// How often a settled cluster is looked at all the same.
    pub resync: Duration,
    /// The clock.
    pub now: fn() -> Timestamp,
    /// When this process began to look.
    pub began: Instant,
}

impl Context {
    /// The caches of `namespace`; nothing if it is not watched.
    pub fn caches(&self, namespace: &str) -> Option<&Caches> {
        self.namespaces.get(namespace)
    }

    /// For how long this process has been looking, by a clock that never jumps.
    pub fn awake(&self) -> SignedDuration {
        SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX)
    }
}

impl Surroundings for Arc<Context> {
    fn targets(&self) -> Vec<Target> {
        let pods = self.namespaces.values().flat_map(|caches| caches.pods.all());
        pods.filter_map(|pod| target(&pod)).collect()
    }

    fn changed(&self, target: &Target) {
        if let Some(caches) = self.caches(&target.namespace) {
            caches.clusters.queue.push(&target.cluster);
        }
    }
}

/// A query server that runs and is not on its way out.
fn target(pod: &Pod) -> Option<Target> {
    let labels = pod.labels();
    let status = pod.status.as_ref()?;
    let is_server = labels.get(labels::NAME).is_some_and(|name| name == labels::name::SERVER);
    let is_running = status.phase.as_deref() == Some("Running") && pod.metadata.deletion_timestamp.is_none();
    if !is_server || !is_running {
        return None;
    }
    let cluster = ClusterName::parse(labels.get(labels::INSTANCE)?).ok()?;
    Some(Target {
        namespace: pod.namespace()?,
        secret: cluster.server(),
        cluster: cluster.to_string(),
        cluster_uid: labels.get(labels::CLUSTER_UID)?.clone(),
        pod_uid: pod.uid()?,
        address: status.pod_ip.as_ref()?.parse::<IpAddr>().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(labels: serde_json::Value, status: serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": labels}, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn running_query_servers_are_asked_and_nobody_else() {
        let server = json!({
            "app.kubernetes.io/name": "rag-server", "app.kubernetes.io/instance": "handbook", "ragops.dev/cluster-uid": "c",
        });
        let running = json!({"phase": "Running", "podIP": "127.1.0.7"});
        let found = target(&pod(server.clone(), running.clone())).unwrap();
        assert_eq!((found.cluster.as_str(), found.secret.as_str()), ("handbook", "handbook-server"));

        let store = json!({"app.kubernetes.io/name": "qdrant", "app.kubernetes.io/instance": "handbook"});
        assert_eq!(target(&pod(store, running.clone())), None);
        assert_eq!(target(&pod(server.clone(), json!({"phase": "Pending"}))), None);
        assert_eq!(target(&pod(server, json!({"phase": "Running"}))), None);
        let nameless = json!({
            "app.kubernetes.io/name": "rag-server", "app.kubernetes.io/instance": "Not A Name", "ragops.dev/cluster-uid": "c",
        });
        assert_eq!(target(&pod(nameless, running)), None);
    }
}
