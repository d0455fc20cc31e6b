//! Documents on a real node: found through every server, safe from a killed one, and safe from the deletion of the cluster.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::DeleteParams;
use kube::{Api, ResourceExt};
use ragops_operator::api::RagCluster;
use ragops_operator::apply::{CORE, drift};
use ragops_tests::until;
use serde_json::{Value, json};

use crate::built::{children_of, nothing};
use crate::service::Service;
use crate::shared::{NAMESPACE, QDRANT_DOUBLE, WITHIN, node, output, program};

const NAME: &str = "library";
const SERVER_IMAGE: &str = "ragops/rag-server:0.1.0";
/// Every kind that the operator makes, and pods.
const KINDS: &str = "deployments,statefulsets,controllerrevisions,services,serviceaccounts,configmaps,secrets,horizontalpodautoscalers,poddisruptionbudgets,networkpolicies,persistentvolumeclaims,pods";

#[tokio::test]
async fn an_empty_spec_keeps_documents_through_a_killed_server_and_its_own_deletion() -> Result<()> {
    let test = "an_empty_spec_keeps_documents_through_a_killed_server_and_its_own_deletion";
    let Some(node) = node(test).await? else { return Ok(()) };
    let library = Library(Service::of(&node, NAME).await?);
    match library.promises().await {
        Ok(()) => Ok(()),
        Err(error) => Err(error.context(node.told().await)),
    }
}

/// A RagCluster with an empty spec.
struct Library<'n>(Service<'n>);

impl Library<'_> {
    async fn promises(&self) -> Result<()> {
        let cluster = self.0.serving(&json!({})).await?;
        self.holds_what_the_builders_say(&cluster).await?;
        self.finds_through_one_server_what_another_ingested().await?;
        self.keeps_what_a_killed_server_acknowledged().await?;
        self.finds_its_documents_after_deletion().await
    }

    /// What stands with the API server differs nowhere from what the builders make of the cluster, as their snapshots show it.
    async fn holds_what_the_builders_say(&self, cluster: &RagCluster) -> Result<()> {
        let node = self.0.node;
        let corpus = Api::namespaced(self.0.client.clone(), NAMESPACE).get(&format!("{NAME}-corpus")).await?;
        let wanted = wanted(cluster, corpus)?;
        let file = node.cluster.folder().join("wanted.json");
        std::fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": wanted}).to_string())?;
        let mut get = program(node.cluster, "kubectl");
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
        let servers = self.0.servers().await?;
        assert_eq!(servers.len(), 3);
        let (first, second) = (self.0.connect(&servers[0]).await?, self.0.connect(&servers[1]).await?);
        let text = "# Lunch\n\nThe canteen opens at noon and closes at two.";
        let job = first.ingest(&[("notes/lunch.md".to_owned(), text.to_owned())]).await?;
        first.done(&job).await?;
        // At once: whatever the other server keeps in memory must not hide it.
        let answer = second.ask("When does the canteen open?").await?;
        assert_eq!(answer["status"], "grounded", "{answer}");
        assert_eq!(answer["citations"][0]["document"], "notes/lunch.md", "{answer}");
        Ok(())
    }

    async fn keeps_what_a_killed_server_acknowledged(&self) -> Result<()> {
        let servers = self.0.servers().await?;
        let documents: Vec<_> = (0..60).map(|n| (id(n), room(n))).collect();
        let (victim, other) = (self.0.connect(&servers[2]).await?, self.0.connect(&servers[0]).await?);
        let job = victim.ingest(&documents).await?;
        self.0.kill(&servers[2].name_any()).await?;
        other.done(&job).await?;
        for (id, _) in &documents {
            let found = other.get(&format!("/documents/{id}")).await;
            assert_eq!(found.with_context(|| id.clone())?["id"], id.as_str());
        }
        let answer = other.ask("Where is the key of room 41?").await?;
        assert_eq!(answer["citations"][0]["document"], "rooms/41.txt", "{answer}");
        Ok(())
    }

    async fn finds_its_documents_after_deletion(&self) -> Result<()> {
        self.0.clusters.delete(NAME, &DeleteParams::default()).await?;
        let kept = format!("configmap/{NAME}-corpus\npersistentvolumeclaim/data-{NAME}-qdrant-0");
        until("only the volume and whose it is are left", WITHIN, || async {
            let mut get = program(self.0.node.cluster, "kubectl");
            let selector = format!("app.kubernetes.io/instance={NAME}");
            let left = output(get.args(["get", KINDS, "-n", NAMESPACE, "-o", "name", "-l", &selector])).await?;
            ensure!(left.trim() == kept, "left: {left}");
            Ok(Some(()))
        })
        .await?;
        self.0.serving(&json!({})).await?;
        let server = self.0.connect(&self.0.servers().await?[0]).await?;
        let answer = server.ask("When does the canteen open?").await?;
        assert_eq!(answer["citations"][0]["document"], "notes/lunch.md", "{answer}");
        Ok(())
    }
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

/// The name of the document of a room.
pub(crate) fn id(number: usize) -> String {
    format!("rooms/{number}.txt")
}

pub(crate) fn room(number: usize) -> String {
    format!("Room {number}. The key of room {number} hangs on hook {} behind the desk.", number * 7)
}
