//! A RagCluster on the node as its users see it: applied, waited for, and asked through one server or another.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use ragops_operator::api::restore::RestoreResult;
use ragops_operator::api::snapshot::ArchiveStatus;
use ragops_operator::api::{RagCluster, RagRestore, RagSnapshot};
use ragops_tests::until;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::shared::{NAMESPACE, Node, WITHIN, program};

/// One RagCluster.
pub(crate) struct Service<'n> {
    pub(crate) node: &'n Node,
    pub(crate) client: Client,
    pub(crate) clusters: Api<RagCluster>,
    name: &'static str,
}

impl<'n> Service<'n> {
    pub(crate) async fn of(node: &'n Node, name: &'static str) -> Result<Self> {
        let client = node.cluster.client().await?;
        let clusters = Api::namespaced(client.clone(), NAMESPACE);
        Ok(Self { node, client, clusters, name })
    }

    /// Applies it and waits until it says that it is ready and that nothing is in progress.
    pub(crate) async fn serving(&self, spec: &Value) -> Result<RagCluster> {
        let object = json!({
            "apiVersion": "ragops.dev/v1alpha1", "kind": "RagCluster", "metadata": {"name": self.name}, "spec": spec,
        });
        self.clusters.patch(self.name, &PatchParams::apply("kubectl"), &Patch::Apply(&object)).await?;
        until("the cluster serves", WITHIN, || async {
            let cluster = self.clusters.get(self.name).await?;
            let conditions = cluster.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
            let is = |type_: &str, status: &str| conditions.iter().any(|c| c.type_ == type_ && c.status == status);
            ensure!(is("Ready", "True") && is("Reconciling", "False"), "{conditions:#?}");
            Ok(Some(cluster))
        })
        .await
    }

    /// A volume for snapshots, which is the user's.
    pub(crate) async fn claim(&self, name: &str) -> Result<()> {
        let claim = json!({
            "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        });
        let claims: Api<PersistentVolumeClaim> = Api::namespaced(self.client.clone(), NAMESPACE);
        claims.create(&PostParams::default(), &serde_json::from_value(claim)?).await?;
        Ok(())
    }

    /// Takes a snapshot by hand, and waits until it is in the archive and was read back.
    pub(crate) async fn snapshot(&self, name: &str, destination: &str) -> Result<ArchiveStatus> {
        let object = json!({
            "apiVersion": "ragops.dev/v1alpha1", "kind": "RagSnapshot", "metadata": {"name": name},
            "spec": {"cluster": self.name, "destination": destination},
        });
        let snapshots: Api<RagSnapshot> = Api::namespaced(self.client.clone(), NAMESPACE);
        snapshots.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        until("the snapshot is taken and verified", WITHIN, || async {
            let status = snapshots.get(name).await?.status.unwrap_or_default();
            are_true(&["Ready", "Verified"], &status.conditions)?;
            Ok(status.archive)
        })
        .await
    }

    /// Asks for a restore or a drill, and waits until it is done.
    pub(crate) async fn restore(&self, name: &str, spec: Value) -> Result<RestoreResult> {
        let object = json!({
            "apiVersion": "ragops.dev/v1alpha1", "kind": "RagRestore", "metadata": {"name": name}, "spec": spec,
        });
        let restores: Api<RagRestore> = Api::namespaced(self.client.clone(), NAMESPACE);
        restores.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        until(&format!("{name} is done"), WITHIN, || async {
            let status = restores.get(name).await?.status.unwrap_or_default();
            are_true(&["Ready"], &status.conditions)?;
            Ok(status.result)
        })
        .await
    }

    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    /// Ends a pod at once: its processes are told to end, and killed a second or two later.
    pub(crate) async fn kill(&self, pod: &str) -> Result<()> {
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        self.pods().delete(pod, &now).await?;
        Ok(())
    }

    /// The servers that are ready.
    pub(crate) async fn servers(&self) -> Result<Vec<Pod>> {
        let ready = |pod: &Pod| {
            let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
            conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
        };
        let labels = format!("app.kubernetes.io/instance={},app.kubernetes.io/component=server", self.name);
        let all = self.pods().list(&ListParams::default().labels(&labels)).await?;
        Ok(all.items.into_iter().filter(ready).collect())
    }

    /// A way to one server and no other.
    pub(crate) async fn connect(&self, pod: &Pod) -> Result<Server> {
        let secret = format!("{}-key-default", self.name);
        let secret: Secret = Api::namespaced(self.client.clone(), NAMESPACE).get(&secret).await?;
        let key = secret.data.unwrap_or_default().remove("key").context("the Secret of the client holds no key")?;
        let pod = pod.name_any();
        let mut forward = program(self.node.cluster, "kubectl");
        forward.args(["port-forward", "-n", NAMESPACE, &format!("pod/{pod}"), ":8080"]).stdout(Stdio::piped());
        let mut child = forward.spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let line = lines.next_line().await?.with_context(|| format!("nothing leads to {pod}"))?;
        let port = line.split_whitespace().find_map(|word| word.strip_prefix("127.0.0.1:"));
        let url = format!("http://127.0.0.1:{}", port.with_context(|| line.clone())?);
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Server { url, key: String::from_utf8(key.0)?, http, _forward: (child, lines) })
    }
}

/// All of these are true, or what is said instead.
fn are_true(wanted: &[&str], conditions: &[Condition]) -> Result<()> {
    let is_true = |type_: &str| conditions.iter().any(|found| found.type_ == type_ && found.status == "True");
    ensure!(wanted.iter().all(|type_| is_true(type_)), "{conditions:#?}");
    Ok(())
}

/// A server behind a forwarded port.
pub(crate) struct Server {
    url: String,
    key: String,
    http: reqwest::Client,
    /// It ends when nobody reads what it says.
    _forward: (Child, Lines<BufReader<ChildStdout>>),
}

impl Server {
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.key)
    }

    pub(crate) fn asking(&self, question: &str) -> RequestBuilder {
        self.request(Method::POST, "/query").json(&json!({"query": question}))
    }

    pub(crate) fn sending(&self, documents: &[(String, String)]) -> RequestBuilder {
        let documents: Vec<_> = documents.iter().map(|(id, text)| json!({"id": id, "text": text})).collect();
        self.request(Method::POST, "/ingest").json(&json!({ "documents": documents }))
    }

    pub(crate) async fn ask(&self, question: &str) -> Result<Value> {
        answered(self.asking(question)).await
    }

    /// The job that takes the documents in.
    pub(crate) async fn ingest(&self, documents: &[(String, String)]) -> Result<String> {
        let accepted = answered(self.sending(documents)).await?;
        Ok(accepted["job"].as_str().context("no job")?.to_owned())
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        answered(self.request(Method::GET, path)).await
    }

    pub(crate) async fn done(&self, job: &str) -> Result<()> {
        until("the job is done", WITHIN, || async {
            let job = self.get(&format!("/jobs/{job}")).await?;
            ensure!(job["state"] == "done", "{job}");
            Ok(Some(()))
        })
        .await
    }
}

/// What a request is answered that has to succeed.
async fn answered(request: RequestBuilder) -> Result<Value> {
    let response = request.send().await?;
    let status = response.status();
    let body = response.text().await?;
    ensure!(status.is_success(), "{status}: {body}");
    Ok(serde_json::from_str(&body)?)
}
