//! Stores that a user brings to the node: each a Secret, a Service and one pod.

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use ragops_tests::{Cluster, restricted, until};
use serde_json::{Value, json};

use crate::shared::{NAMESPACE, WITHIN, output, program};

/// What marks everything that is made here.
const LABEL: (&str, &str) = ("ragops.test/made-for", "stores");

/// One store.
pub(crate) struct Store {
    /// Its name, and that of its Secret and of its Service.
    pub(crate) name: &'static str,
    pub(crate) image: &'static str,
    pub(crate) args: Value,
    pub(crate) port: u16,
    /// Where below `/etc` its Secret is mounted.
    pub(crate) folder: &'static str,
    pub(crate) secret: Value,
    /// Whether what it writes to `/data` outlives its pod.
    pub(crate) is_kept: bool,
}

impl Store {
    /// Makes it, and waits until it listens.
    pub(crate) async fn furnish(&self, client: &Client) -> Result<()> {
        let metadata = json!({"name": self.name, "labels": label()});
        let secret: Secret = serde_json::from_value(json!({"metadata": metadata, "stringData": self.secret}))?;
        let address: Service = serde_json::from_value(json!({
            "metadata": metadata, "spec": {"selector": {"app": self.name}, "ports": [{"port": self.port}]},
        }))?;
        let claims = json!([{
            "metadata": {"name": "data", "labels": label()},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }]);
        let pods: StatefulSet = serde_json::from_value(json!({
            "metadata": metadata,
            "spec": {
                "serviceName": self.name, "selector": {"matchLabels": {"app": self.name}},
                "template": self.pod(), "volumeClaimTemplates": if self.is_kept { claims } else { json!([]) },
            },
        }))?;
        Api::namespaced(client.clone(), NAMESPACE).create(&PostParams::default(), &secret).await?;
        Api::namespaced(client.clone(), NAMESPACE).create(&PostParams::default(), &address).await?;
        Api::namespaced(client.clone(), NAMESPACE).create(&PostParams::default(), &pods).await?;
        is_another_and_ready(client, &format!("{}-0", self.name), None).await
    }

    fn pod(&self) -> Value {
        let mut security = restricted::pod();
        security["fsGroup"] = 65532.into();
        // Otherwise the kubelet opens every file to the group at each mount, and Postgres refuses a folder that others may write to.
        security["fsGroupChangePolicy"] = "OnRootMismatch".into();
        let mut volumes = vec![json!({"name": "secret", "secret": {"secretName": self.name}})];
        if !self.is_kept {
            volumes.push(json!({"name": "data", "emptyDir": {}}));
        }
        json!({
            "metadata": {"labels": {"app": self.name}},
            "spec": {
                "securityContext": security,
                "automountServiceAccountToken": false,
                "containers": [{
                    "name": self.folder, "image": self.image, "args": self.args, "imagePullPolicy": "Never",
                    "ports": [{"containerPort": self.port}],
                    // The end of its log is in what is told of a failure.
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                    "readinessProbe": {"tcpSocket": {"port": self.port}, "periodSeconds": 1},
                    "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}},
                    "securityContext": restricted::container(),
                    "volumeMounts": [
                        {"name": "secret", "mountPath": format!("/etc/{}", self.folder)},
                        {"name": "data", "mountPath": "/data"},
                    ],
                }],
                "volumes": volumes,
            },
        })
    }
}

/// Waits until a pod of this name that is not `before` is ready.
pub(crate) async fn is_another_and_ready(client: &Client, name: &str, before: Option<String>) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let ready = async || {
        let pod = pods.get(name).await?;
        ensure!(pod.uid() != before, "it is still the old one");
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        let is_ready = conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"));
        anyhow::Ok(is_ready.then_some(()))
    };
    until(&format!("{name} is ready"), WITHIN, ready).await
}

/// Removes all that were made, and what they wrote.
pub(crate) async fn remove(cluster: &Cluster) -> Result<()> {
    let made = format!("{}={}", LABEL.0, LABEL.1);
    let kinds = "statefulsets,services,secrets,persistentvolumeclaims";
    output(program(cluster, "kubectl").args(["delete", "-n", NAMESPACE, kinds, "-l", &made])).await.map(drop)
}

fn label() -> Value {
    json!({LABEL.0: LABEL.1})
}
