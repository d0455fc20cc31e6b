//! What nearly every promise starts from: a namespace with the chart installed, an operator that runs with its rights, and
//! a RagCluster in it.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use ragops_operator::api::RagCluster;
use ragops_tests::operator::{Installation, Operator};
use ragops_tests::until;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::shared::{Shared, shared};

/// Patience with two cores that also build; nothing is measured by it.
pub(crate) const WITHIN: Duration = Duration::from_secs(180);

/// One namespace under one operator.
pub(crate) struct Scene {
    pub(crate) shared: &'static Shared,
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) installation: Installation,
    pub(crate) clusters: Api<RagCluster>,
}

impl Scene {
    /// A new one; `None`, and a line that says why, where this machine cannot run it.
    pub(crate) async fn new(test: &str, prefix: &str) -> Result<Option<Self>> {
        let Some(shared) = shared(test).await? else { return Ok(None) };
        let (client, namespace) = shared.alone(prefix).await?;
        let installation = Installation::new(&shared.cluster, &namespace).await?;
        let clusters = Api::namespaced(client.clone(), &namespace);
        Ok(Some(Self { shared, client, namespace, installation, clusters }))
    }

    /// Starts an operator that asks the scripted pods.
    pub(crate) async fn operator(&self, flags: &[&str]) -> Result<Operator> {
        let port = self.shared.pods.port().to_string();
        self.installation.start(&[&["--management-port", port.as_str()], flags].concat()).await
    }

    /// Applies a RagCluster as a person would.
    pub(crate) async fn apply(&self, name: &str, spec: Value) -> kube::Result<RagCluster> {
        let object = json!({
            "apiVersion": "ragops.dev/v1alpha1", "kind": "RagCluster", "metadata": {"name": name}, "spec": spec,
        });
        self.clusters.patch(name, &PatchParams::apply("kubectl").force(), &Patch::Apply(&object)).await
    }

    /// Deletes the namespace, and waits until it has gone.
    pub(crate) async fn is_removed(&self) -> Result<()> {
        let namespaces: &Api<Namespace> = &Api::all(self.client.clone());
        namespaces.delete(&self.namespace, &DeleteParams::default()).await?;
        until("the namespace has gone", WITHIN, || async move {
            let found = namespaces.get_opt(&self.namespace).await?;
            anyhow::ensure!(found.is_none(), "{:?}", found.and_then(|namespace| namespace.status));
            Ok(Some(()))
        })
        .await
    }

    /// Objects of a kind in the namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Waits until a condition of the cluster has a status and a reason, for the generation that is current.
    pub(crate) async fn says(&self, name: &str, type_: &str, status: &str, reason: &str) -> Result<Condition> {
        until(&format!("{name}: {type_} {status} {reason}"), WITHIN, || async move {
            let cluster = self.clusters.get(name).await?;
            let found = condition(&cluster, type_).cloned();
            let found = found.with_context(|| format!("{name} has no condition {type_}"))?;
            let current = found.observed_generation == cluster.metadata.generation;
            anyhow::ensure!(
                current && found.status == status && found.reason == reason,
                "{type_} {} {}: {}",
                found.status,
                found.reason,
                found.message
            );
            Ok(Some(found))
        })
        .await
        .with_context(|| self.log())
    }

    fn log(&self) -> String {
        format!("the end of the operator's log:\n{}", self.installation.log_tail())
    }

    /// Waits until the cluster serves, its configuration is in sync and nothing is in progress.
    pub(crate) async fn serving(&self, name: &str) -> Result<()> {
        self.says(name, "Ready", "True", "Serving").await?;
        self.says(name, "ConfigurationInSync", "True", "InSync").await?;
        self.says(name, "Reconciling", "False", "Settled").await?;
        Ok(())
    }

    /// Waits until a value satisfies what `accept` asks of it.
    pub(crate) async fn becomes<K>(&self, what: &str, name: &str, accept: impl Fn(&K) -> bool) -> Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
        K::DynamicType: Default,
    {
        let (api, accept) = (&self.api::<K>(), &accept);
        let object = until(what, WITHIN, || async move { Ok(Some(api.get(name).await?).filter(accept)) });
        object.await.with_context(|| self.log())
    }

    /// Reasons and notes of the events about a RagCluster.
    pub(crate) async fn events(&self, name: &str) -> Result<Vec<(String, String)>> {
        let events: Api<Event> = self.api();
        let all = events.list(&ListParams::default()).await?;
        let about = |event: &Event| {
            let object = event.regarding.as_ref();
            object.is_some_and(|of| of.kind.as_deref() == Some("RagCluster") && of.name.as_deref() == Some(name))
        };
        let told = |event: Event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default());
        Ok(all.items.into_iter().filter(about).map(told).collect())
    }
}

/// A condition of a RagCluster.
pub(crate) fn condition<'a>(cluster: &'a RagCluster, type_: &str) -> Option<&'a Condition> {
    cluster.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == type_)
}

/// A figure of the operator, summed over its labels.
pub(crate) async fn figure(operator: &Operator, name: &str) -> Result<f64> {
    let text = operator.get("/metrics").await?;
    let mine = |line: &&str| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} "));
    let values = text.lines().filter(mine).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Ok(values.sum())
}
