//! Documents on a real node: found through every server, safe from a killed one, and safe from the deletion of the cluster.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use ragops_operator::api::RagCluster;
use ragops_operator::apply::{CORE, drift};
use ragops_tests::until;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::built::{children_of, nothing};
use crate::shared::{NAMESPACE, Node, QDRANT_DOUBLE, WITHIN, node, output, program};

const NAME: &str = "library";
const SERVER_IMAGE: &str = "ragops/rag-server:0.1.0";
const SERVERS: &str = "app.kubernetes.io/instance=library,app.kubernetes.io/component=server";
/// Every kind that the operator makes, and pods.
const KINDS: &str = "deployments,statefulsets,controllerrevisions,services,serviceaccounts,configmaps,secrets,horizontalpodautoscalers,poddisruptionbudgets,networkpolicies,persistentvolumeclaims,pods";

#[tokio::test]
async fn an_empty_spec_keeps_documents_through_a_killed_server_and_its_own_deletion() -> Result<()> {
    let test = "an_empty_spec_keeps_documents_through_a_killed_server_and_its_own_deletion";
    let Some(node) = node(test).await? else { return Ok(()) };
    let service = Service::of(&node).await?;
    match service.promises().await {
        Ok(()) => Ok(()),
        Err(error) => Err(error.context(node.told().await)),
    }
}

/// A RagCluster with an empty spec.
struct Service<'n> {
    node: &'n Node,
    client: Client,
    clusters: Api<RagCluster>,
    http: reqwest::Client,
}

impl<'n> Service<'n> {
    async fn of(node: &'n Node) -> Result<Self> {
        let client = node.cluster.client().await?;
        let clusters = Api::namespaced(client.clone(), NAMESPACE);
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { node, client, clusters, http })
    }

    async fn promises(&self) -> Result<()> {
        let cluster = self.serving().await?;
        self.holds_what_the_builders_say(&cluster).await?;
        self.finds_through_one_server_what_another_ingested().await?;
        self.keeps_what_a_killed_server_acknowledged().await?;
        self.finds_its_documents_after_deletion().await
    }

    /// Applies it and waits until it says that it is ready and that nothing is in progress.
    async fn serving(&self) -> Result<RagCluster> {
        let object = json!({
            "apiVersion": "ragops.dev/v1alpha1", "kind": "RagCluster", "metadata": {"name": NAME}, "spec": {},
        });
        self.clusters.patch(NAME, &PatchParams::apply("kubectl"), &Patch::Apply(&object)).await?;
        until("the cluster serves", WITHIN, || async {
            let cluster = self.clusters.get(NAME).await?;
            let conditions = cluster.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
            let is = |type_: &str, status: &str| conditions.iter().any(|c| c.type_ == type_ && c.status == status);
            ensure!(is("Ready", "True") && is("Reconciling", "False"), "{conditions:#?}");
            Ok(Some(cluster))
        })
        .await
    }

    /// What stands with the API server differs nowhere from what the builders make of the cluster, as their snapshots show it.
    async fn holds_what_the_builders_say(&self, cluster: &RagCluster) -> Result<()> {
        let corpus = Api::namespaced(self.client.clone(), NAMESPACE).get(&format!("{NAME}-corpus")).await?;
        let wanted = wanted(cluster, corpus)?;
        let file = self.node.cluster.folder().join("wanted.json");
        std::fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": wanted}).to_string())?;
        let mut get = program(self.node.cluster, "kubectl");
        let live = output(get.args(["get", "-o", "json", "--show-managed-fields", "-f"]).arg(&file)).await?;
        let live: Value = serde_json::from_str(&live)?;
        let live = live["items"].as_array().context("kubectl printed no list")?;
        assert_eq!(live.len(), wanted.len());
        for (wanted, live) in wanted.iter().zip(live) {
            let found: Vec<_> = drift(wanted, live, CORE).iter().map(ToString::to_string).collect();
            assert!(found.is_empty(), "{} {}: {found:?}", wanted["kind"], wanted["metadata"]["name"]);
        }
        Ok(())
    }

    async fn finds_through_one_server_what_another_ingested(&self) -> Result<()> {
        let servers = self.servers().await?;
        assert_eq!(servers.len(), 3);
        let (first, second) = (self.connect(&servers[0]).await?, self.connect(&servers[1]).await?);
        let text = "# Lunch\n\nThe canteen opens at noon and closes at two.";
        let job = self.ingest(&first, &[("notes/lunch.md".to_owned(), text.to_owned())]).await?;
        self.done(&first, &job).await?;
        // At once: whatever the other server keeps in memory must not hide it.
        let answer = self.ask(&second, "When does the canteen open?").await?;
        assert_eq!(answer["status"], "grounded", "{answer}");
        assert_eq!(answer["citations"][0]["document"], "notes/lunch.md", "{answer}");
        Ok(())
    }

    async fn keeps_what_a_killed_server_acknowledged(&self) -> Result<()> {
        let servers = self.servers().await?;
        let documents: Vec<_> = (0..60).map(|n| (format!("rooms/{n}.txt"), room(n))).collect();
        let (victim, other) = (self.connect(&servers[2]).await?, self.connect(&servers[0]).await?);
        let job = self.ingest(&victim, &documents).await?;
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        Api::<Pod>::namespaced(self.client.clone(), NAMESPACE).delete(&servers[2], &now).await?;
        self.done(&other, &job).await?;
        for (id, _) in &documents {
            let found = self.send(&other, |http, url| http.get(format!("{url}/documents/{id}"))).await;
            assert_eq!(found.with_context(|| id.clone())?["id"], id.as_str());
        }
        let answer = self.ask(&other, "Where is the key of room 41?").await?;
        assert_eq!(answer["citations"][0]["document"], "rooms/41.txt", "{answer}");
        Ok(())
    }

    async fn finds_its_documents_after_deletion(&self) -> Result<()> {
        self.clusters.delete(NAME, &DeleteParams::default()).await?;
        let kept = format!("configmap/{NAME}-corpus\npersistentvolumeclaim/data-{NAME}-qdrant-0");
        until("only the volume and whose it is are left", WITHIN, || async {
            let mut get = program(self.node.cluster, "kubectl");
            let selector = format!("app.kubernetes.io/instance={NAME}");
            let left = output(get.args(["get", KINDS, "-n", NAMESPACE, "-o", "name", "-l", &selector])).await?;
            ensure!(left.trim() == kept, "left: {left}");
            Ok(Some(()))
        })
        .await?;
        self.serving().await?;
        let server = self.connect(&self.servers().await?[0]).await?;
        let answer = self.ask(&server, "When does the canteen open?").await?;
        assert_eq!(answer["citations"][0]["document"], "notes/lunch.md", "{answer}");
        Ok(())
    }

    /// The names of the servers that are ready.
    async fn servers(&self) -> Result<Vec<String>> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        let ready = |pod: &Pod| {
            let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
            conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
        };
        let all = pods.list(&ListParams::default().labels(SERVERS)).await?;
        Ok(all.items.iter().filter(|pod| ready(pod)).map(ResourceExt::name_any).collect())
    }

    /// A way to one server and no other.
    async fn connect(&self, pod: &str) -> Result<Server> {
        let secret: Secret =
            Api::namespaced(self.client.clone(), NAMESPACE).get(&format!("{NAME}-key-default")).await?;
        let key = secret.data.unwrap_or_default().remove("key").context("the Secret of the client holds no key")?;
        let mut forward = program(self.node.cluster, "kubectl");
        forward.args(["port-forward", "-n", NAMESPACE, &format!("pod/{pod}"), ":8080"]).stdout(Stdio::piped());
        let mut child = forward.spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let line = lines.next_line().await?.with_context(|| format!("nothing leads to {pod}"))?;
        let port = line.split_whitespace().find_map(|word| word.strip_prefix("127.0.0.1:"));
        let url = format!("http://127.0.0.1:{}", port.with_context(|| line.clone())?);
        Ok(Server { url, key: String::from_utf8(key.0)?, _forward: (child, lines) })
    }

    async fn ingest(&self, server: &Server, documents: &[(String, String)]) -> Result<String> {
        let documents: Vec<_> = documents.iter().map(|(id, text)| json!({"id": id, "text": text})).collect();
        let body = json!({ "documents": documents });
        let accepted = self.send(server, |http, url| http.post(format!("{url}/ingest")).json(&body)).await?;
        Ok(accepted["job"].as_str().context("no job")?.to_owned())
    }

    async fn done(&self, server: &Server, job: &str) -> Result<()> {
        until("the job is done", WITHIN, || async {
            let job = self.send(server, |http, url| http.get(format!("{url}/jobs/{job}"))).await?;
            ensure!(job["state"] == "done", "{job}");
            Ok(Some(()))
        })
        .await
    }

    async fn ask(&self, server: &Server, question: &str) -> Result<Value> {
        let body = BTreeMap::from([("query", question)]);
        self.send(server, |http, url| http.post(format!("{url}/query")).json(&body)).await
    }

    async fn send(
        &self,
        server: &Server,
        request: impl Fn(&reqwest::Client, &str) -> reqwest::RequestBuilder,
    ) -> Result<Value> {
        let response = request(&self.http, &server.url).bearer_auth(&server.key).send().await?;
        let status = response.status();
        let body = response.text().await?;
        ensure!(status.is_success(), "{status}: {body}");
        Ok(serde_json::from_str(&body)?)
    }
}

/// A server behind a forwarded port.
struct Server {
    url: String,
    key: String,
    /// It ends when nobody reads what it says.
    _forward: (Child, Lines<BufReader<ChildStdout>>),
}

/// Secrets are left out: their material is minted, so no two builds agree. So is the id of the corpus, which is read back.
fn wanted(cluster: &RagCluster, corpus: ConfigMap) -> Result<Vec<Value>> {
    let mut observed = nothing(SERVER_IMAGE, QDRANT_DOUBLE);
    observed.children.corpus = Some(corpus);
    let labels = [("name", "ragops-operator"), ("instance", "ragops")];
    let label = |(name, value): (&str, &str)| (format!("app.kubernetes.io/{name}"), value.to_owned());
    observed.defaults.operator_labels = labels.map(label).into();
    let built = children_of(cluster.clone(), &observed);
    let qdrant = built.qdrant.context("an empty spec has a managed Qdrant")?;
    Ok(vec![
        json!(built.service_account),
        json!(built.revision),
        json!(built.config),
        json!(built.live),
        json!(built.network_policy.context("network policies are the default")?),
        json!(built.deployment),
        json!(built.disruption_budget),
        json!(built.autoscaler.context("autoscaling is the default")?),
        json!(built.service),
        json!(qdrant.revision),
        json!(qdrant.network_policy.context("network policies are the default")?),
        json!(qdrant.service),
        json!(qdrant.stateful_set),
    ])
}

fn room(number: usize) -> String {
    format!("Room {number}. The key of room {number} hangs on hook {} behind the desk.", number * 7)
}
