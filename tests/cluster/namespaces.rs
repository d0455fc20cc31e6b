//! One namespace is one unit: one that is gone or forbidden stops nobody else, and is taken up when it is there again.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{DeleteParams, ObjectMeta, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt as _};
use ragops_tests::operator::{Installation, Operator};
use ragops_tests::until;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN, figure};
use crate::shared::shared;

/// The fewest pods that a RagCluster can have.
fn small(top_k: u32) -> Value {
    json!({
        "profile": "Development", "replicas": 1, "autoscaling": {"enabled": false}, "vectorStore": {"embedded": {}},
        "retrieval": {"topK": top_k},
    })
}

/// Two namespaces under one operator, whose home is the first. `None` where this machine cannot run it.
async fn two(test: &str) -> Result<Option<[Scene; 2]>> {
    let Some(shared) = shared(test).await? else { return Ok(None) };
    let (_, home) = shared.alone("home").await?;
    let (client, other) = shared.alone("other").await?;
    let installation = Installation::over(&shared.cluster, &home, &[&home, &other]).await?;
    let scene = |namespace: &str| Scene {
        shared,
        client: client.clone(),
        namespace: namespace.to_owned(),
        installation: installation.clone(),
        clusters: Api::namespaced(client.clone(), namespace),
    };
    Ok(Some([scene(&home), scene(&other)]))
}

/// An object as it has to be created anew.
fn anew<K: Resource>(mut object: K) -> K {
    let (name, labels) = (object.meta_mut().name.take(), object.meta_mut().labels.take());
    *object.meta_mut() = ObjectMeta { name, labels, ..ObjectMeta::default() };
    object
}

/// The one object of a kind that the chart has put into the namespace.
async fn of_the_chart<K>(scene: &Scene) -> Result<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    // Named like the release.
    let release = scene.installation.user();
    let release = release.rsplit(':').next().context("a user without a name")?;
    Ok(scene.api::<K>().get(release).await?)
}

async fn created<K>(scene: &Scene, object: K) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + Serialize
        + std::fmt::Debug,
{
    scene.api::<K>().create(&PostParams::default(), &anew(object)).await?;
    Ok(())
}

async fn unreadable(operator: &Operator, expected: f64) -> Result<()> {
    until(&format!("{expected} namespaces cannot be read"), WITHIN, || async move {
        let found = figure(operator, "ragops_namespaces_unreadable").await?;
        ensure!((found - expected).abs() < f64::EPSILON, "{found}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn a_namespace_that_may_not_be_read_stops_no_other_and_is_taken_up_with_its_role() -> Result<()> {
    let test = "a_namespace_that_may_not_be_read_stops_no_other_and_is_taken_up_with_its_role";
    let Some([home, other]) = two(test).await? else { return Ok(()) };
    let operator = home.operator(&[]).await?;
    for scene in [&home, &other] {
        scene.apply("handbook", small(5)).await?;
        scene.serving("handbook").await?;
    }
    let role: Role = of_the_chart(&other).await?;
    other.api::<Role>().delete(&role.name_any(), &DeleteParams::default()).await?;
    operator.stop().await?;

    // The operator becomes ready all the same, and works where it can.
    let operator = home.operator(&[]).await?;
    unreadable(&operator, 1.0).await?;
    let remedy = format!("grant list and watch on ragclusters.ragops.dev in namespace {}", other.namespace);
    until("the log says what is missing where", WITHIN, || async {
        let log = home.installation.log_tail();
        ensure!(log.contains(&remedy), "{log}");
        Ok(Some(()))
    })
    .await?;
    for scene in [&home, &other] {
        scene.apply("handbook", small(7)).await?;
    }
    home.serving("handbook").await?;
    let waiting = other.clusters.get("handbook").await?;
    let seen = waiting.status.as_ref().and_then(|status| status.observed_generation);
    assert!(seen < waiting.metadata.generation, "{seen:?} of {:?}", waiting.metadata.generation);

    created(&other, role).await?;
    other.serving("handbook").await?;
    unreadable(&operator, 0.0).await?;
    operator.stop().await?;
    assert!(operator.ended()?.is_some_and(|status| status.success()), "{}", operator.log_tail());
    Ok(())
}

#[tokio::test]
async fn a_namespace_that_is_made_anew_is_taken_up_without_a_restart() -> Result<()> {
    let test = "a_namespace_that_is_made_anew_is_taken_up_without_a_restart";
    let Some([home, other]) = two(test).await? else { return Ok(()) };
    let operator = home.operator(&[]).await?;
    for scene in [&home, &other] {
        scene.apply("handbook", small(5)).await?;
        scene.serving("handbook").await?;
    }
    let (role, binding) = (of_the_chart::<Role>(&other).await?, of_the_chart::<RoleBinding>(&other).await?);
    other.is_removed().await?;
    let namespaces: Api<Namespace> = Api::all(other.client.clone());
    home.apply("handbook", small(7)).await?;
    home.serving("handbook").await?;

    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": other.namespace}}))?;
    namespaces.create(&PostParams::default(), &namespace).await?;
    created(&other, role).await?;
    created(&other, binding).await?;
    other.apply("handbook", small(5)).await?;
    other.serving("handbook").await?;
    operator.stop().await
}

#[tokio::test]
async fn an_operator_that_may_read_nothing_waits_says_why_and_stops_when_asked() -> Result<()> {
    let test = "an_operator_that_may_read_nothing_waits_says_why_and_stops_when_asked";
    let Some(scene) = Scene::new(test, "forbidden").await? else { return Ok(()) };
    let role: Role = of_the_chart(&scene).await?;
    scene.api::<Role>().delete(&role.name_any(), &DeleteParams::default()).await?;
    let port = scene.shared.pods.port().to_string();
    let operator = scene.installation.spawn(&["--management-port", &port])?;
    let remedy = format!("grant list and watch on ragclusters.ragops.dev in namespace {}", scene.namespace);
    let (waiting, remedy) = (&operator, remedy.as_str());
    until("it says what it waits for", WITHIN, || async move {
        let said = waiting.get("/readyz").await?;
        ensure!(said.contains(remedy), "{said}");
        Ok(Some(()))
    })
    .await?;
    operator.stop().await?;
    assert!(operator.ended()?.is_some_and(|status| status.success()), "{}", operator.log_tail());

    let operator = scene.installation.spawn(&["--management-port", &port])?;
    created(&scene, role).await?;
    operator.ready().await?;
    scene.apply("handbook", small(5)).await?;
    scene.serving("handbook").await?;
    operator.stop().await
}
