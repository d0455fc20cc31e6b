//! A full drill makes a cluster of its own in another namespace, from the archive alone, and leaves nothing there: when it has
//! passed, and when it is deleted in the middle. Where something is missing it is skipped, and nobody has it done for him what he may
//! not do himself.
//!
//! Nodes are simulated: the test says how a Job's container ended, as a kubelet would, and which epoch the servers search.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::Role;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt as _};
use ragops_operator::api::{RagCluster, RagRestore, RagSnapshot};
use ragops_tests::audit::Request;
use ragops_tests::metrics::Cpu;
use ragops_tests::operator::Installation;
use ragops_tests::pods::Script;
use ragops_tests::until;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::restores::{restore, restored, says};
use crate::scene::{Scene, WITHIN};
use crate::shared::{Shared, shared};
use crate::snapshots::{ask, destination, ends, failed, key, says as snapshot_says, taken};

/// What a new namespace has of itself, and the key that the test puts there.
const OF_THE_NAMESPACE: [&str; 3] = ["ConfigMap kube-root-ca.crt", "ServiceAccount default", "Secret archive-key"];

/// A namespace with a cluster that has a snapshot, and one of its own for full drills.
async fn two(test: &str) -> Result<Option<[Scene; 2]>> {
    let Some(shared) = shared(test).await? else { return Ok(None) };
    let (_, home) = shared.alone("drilled").await?;
    under(shared, &home, &home).await.map(Some)
}

/// The same, under an operator that runs in this namespace.
async fn under(shared: &'static Shared, operators: &str, home: &str) -> Result<[Scene; 2]> {
    let (client, other) = shared.alone("drills").await?;
    let installation = Installation::with_drills(&shared.cluster, operators, &[home], &[&other]).await?;
    let scene = |namespace: &str| Scene {
        shared,
        client: client.clone(),
        namespace: namespace.to_owned(),
        installation: installation.clone(),
        clusters: Api::namespaced(client.clone(), namespace),
    };
    let [home, other] = [scene(home), scene(&other)];
    shared.metrics.set(&home.namespace, Cpu::Percent(50.0));
    for (scene, epoch) in [(&home, 3), (&other, 1)] {
        shared.pods.script(&scene.namespace, Script { epoch: Some(epoch), ..Script::default() });
    }
    Ok([home, other])
}

async fn has_a_snapshot(home: &Scene) -> Result<()> {
    key(home).await?;
    home.apply("handbook", json!({"snapshots": destination()})).await?;
    home.serving("handbook").await?;
    ask(home, "daily", json!({"cluster": "handbook"})).await?;
    ends(home, "daily-take", &taken("daily")).await?;
    snapshot_says(home, "daily", "Ready", "True", "Taken").await.map(drop)
}

fn full(other: &Scene) -> Value {
    json!({"cluster": "handbook", "mode": "Drill", "inNamespace": other.namespace})
}

/// The cluster of a full drill, once it is there.
async fn own_cluster(other: &Scene) -> Result<RagCluster> {
    until("the cluster of the drill is there", WITHIN, || async move {
        Ok(other.clusters.list(&ListParams::default()).await?.items.pop())
    })
    .await
    .with_context(|| format!("the end of the operator's log:\n{}", other.installation.log_tail()))
}

async fn names<K>(scene: &Scene) -> Result<Vec<String>>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    K::DynamicType: Default,
{
    let kind = K::kind(&K::DynamicType::default()).into_owned();
    let all = scene.api::<K>().list(&ListParams::default()).await?.items;
    Ok(all.iter().map(|object| format!("{kind} {}", object.name_any())).collect())
}

/// All that a cluster, a restore or a Job consists of.
async fn everything(scene: &Scene) -> Result<BTreeSet<String>> {
    let all = [
        names::<RagCluster>(scene).await?,
        names::<RagRestore>(scene).await?,
        names::<RagSnapshot>(scene).await?,
        names::<Pod>(scene).await?,
        names::<Job>(scene).await?,
        names::<Deployment>(scene).await?,
        names::<StatefulSet>(scene).await?,
        names::<ControllerRevision>(scene).await?,
        names::<PersistentVolumeClaim>(scene).await?,
        names::<Service>(scene).await?,
        names::<ConfigMap>(scene).await?,
        names::<Secret>(scene).await?,
        names::<ServiceAccount>(scene).await?,
        names::<NetworkPolicy>(scene).await?,
        names::<PodDisruptionBudget>(scene).await?,
    ];
    let theirs = all.into_iter().flatten().filter(|name| !OF_THE_NAMESPACE.contains(&name.as_str()));
    Ok(theirs.collect())
}

/// What may be done in the namespace of the drills beside what may be done everywhere.
async fn granted_for_drills(other: &Scene) -> Result<BTreeSet<(String, String)>> {
    let roles = other.api::<Role>().list(&ListParams::default()).await?.items;
    let role = roles.into_iter().find(|role| role.name_any().ends_with("-full-drill")).context("no Role")?;
    let rules = role.rules.unwrap_or_default().into_iter();
    Ok(rules
        .flat_map(|rule| {
            let verbs = rule.verbs;
            let of = move |resource: String| verbs.clone().into_iter().map(move |verb| (resource.clone(), verb));
            rule.resources.unwrap_or_default().into_iter().flat_map(of)
        })
        .collect())
}

/// Without the key in the other namespace nothing begins, and nowhere else either.
async fn is_skipped_where_something_is_missing(home: &Scene, other: &Scene) -> Result<()> {
    restore(home, "early", full(other)).await?;
    let skipped = says(home, "early", "False", "Skipped").await?;
    let said = format!("{:?}", skipped.status);
    ensure!(said.contains("archive-key") && said.contains(&other.namespace), "{said}");
    restore(home, "nowhere", json!({"cluster": "handbook", "mode": "Drill", "inNamespace": "unwatched"})).await?;
    says(home, "nowhere", "False", "Skipped").await?;
    restore(home, "at-home", json!({"cluster": "handbook", "mode": "Drill", "inNamespace": home.namespace})).await?;
    says(home, "at-home", "False", "InvalidSpec").await?;
    assert_eq!(everything(other).await?, BTreeSet::new());
    Ok(())
}

#[tokio::test]
async fn a_full_drill_proves_a_snapshot_in_another_namespace_though_the_operator_is_killed_and_leaves_nothing()
-> Result<()> {
    let test = "a_full_drill_proves_a_snapshot_in_another_namespace_though_the_operator_is_killed_and_leaves_nothing";
    let Some([home, other]) = two(test).await? else { return Ok(()) };
    let (audit, user) = (home.shared.cluster.audit(), home.installation.user());
    let mark = audit.mark()?;
    let operator = home.operator(&[]).await?;
    has_a_snapshot(&home).await?;
    is_skipped_where_something_is_missing(&home, &other).await?;
    key(&other).await?;
    let before = home.clusters.get("handbook").await?;
    let servers = home.api::<Deployment>().get("handbook-server").await?;
    restore(&home, "quarterly", full(&other)).await?;
    let made = own_cluster(&other).await?;
    let name = made.name_any();
    let prefix = made.spec.snapshots.as_ref().and_then(|all| all.destinations[0].s3.as_ref()?.prefix.clone());
    assert_eq!(prefix, Some(format!("{}/handbook", home.namespace)), "where the archive is");
    operator.kill().await?;
    let operator = home.operator(&[]).await?;
    ends(&other, &format!("{name}-before-take"), &failed("empty")).await?;
    says(&home, "quarterly", "False", "Drilling").await?;
    operator.kill().await?;
    let _operator = home.operator(&[]).await?;
    other.shared.pods.script(&other.namespace, Script { epoch: Some(2), ..Script::default() });
    ends(&other, &format!("{name}-restore"), &restored(20, 2)).await?;
    let passed = says(&home, "quarterly", "True", "Passed").await?;
    assert_eq!(everything(&other).await?, BTreeSet::new(), "when it has passed nothing of it is left");
    let result = passed.status.and_then(|status| status.result).context("no result")?;
    assert_eq!((result.snapshot.as_str(), result.destination.as_str()), ("daily", "offsite"));
    assert_eq!((result.recall_percent, result.documents, result.epoch), (Some(100.0), Some(10), None));
    ensure!(result.rto_seconds.is_some() && result.rto.is_some(), "the whole is measured: {result:?}");
    ensure!(result.rpo_seconds.is_some(), "{result:?}");
    snapshot_says(&home, "daily", "Verified", "True", "DrillPassed").await?;
    // Nothing that is served has changed.
    let after = home.clusters.get("handbook").await?;
    assert_eq!(after.metadata.generation, before.metadata.generation);
    let now = home.api::<Deployment>().get("handbook-server").await?;
    assert_eq!(now.metadata.generation, servers.metadata.generation);

    let requests: Vec<Request> = audit.since(mark)?.into_iter().filter(|request| request.user == user).collect();
    let forbidden: Vec<_> = requests.iter().filter(|r| r.code == 403 && r.namespace == other.namespace).collect();
    assert!(forbidden.is_empty(), "the chart grants too little: {forbidden:#?}");
    let used: BTreeSet<(String, String)> = requests
        .iter()
        .filter(|r| r.namespace == other.namespace && r.subresource.is_empty())
        .map(|r| (r.resource.clone(), r.verb.clone()))
        .collect();
    let granted = granted_for_drills(&other).await?;
    let idle: Vec<_> = granted.difference(&used).collect();
    assert!(idle.is_empty() && !granted.is_empty(), "granted and never used: {idle:#?}");
    let made = requests.iter().filter(|r| r.verb == "create" && r.resource == "ragclusters" && r.code == 201);
    assert_eq!(made.count(), 1, "one cluster, whoever died");
    Ok(())
}

async fn is_empty(other: &Scene) -> Result<()> {
    until("nothing of the drill is left", WITHIN, || async move {
        let left = everything(other).await?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(Some(()))
    })
    .await
    .with_context(|| format!("the end of the operator's log:\n{}", other.installation.log_tail()))
}

#[tokio::test]
async fn a_namespace_that_goes_in_the_middle_waits_for_no_full_drill_and_what_that_made_goes() -> Result<()> {
    let test = "a_namespace_that_goes_in_the_middle_waits_for_no_full_drill_and_what_that_made_goes";
    let Some(shared) = shared(test).await? else { return Ok(()) };
    let (_, operators) = shared.alone("operators").await?;
    let (_, drilled) = shared.alone("drilled").await?;
    let [home, other] = under(shared, &operators, &drilled).await?;
    let _operator = home.operator(&[]).await?;
    has_a_snapshot(&home).await?;
    key(&other).await?;
    restore(&home, "orphaned", full(&other)).await?;
    own_cluster(&other).await?;
    home.is_removed().await?;
    is_empty(&other).await
}

#[tokio::test]
async fn a_full_drill_that_is_deleted_in_the_middle_takes_all_that_it_made_along() -> Result<()> {
    let test = "a_full_drill_that_is_deleted_in_the_middle_takes_all_that_it_made_along";
    let Some([home, other]) = two(test).await? else { return Ok(()) };
    let operator = home.operator(&[]).await?;
    has_a_snapshot(&home).await?;
    key(&other).await?;
    restore(&home, "cut-short", full(&other)).await?;
    let name = own_cluster(&other).await?.name_any();
    // Its restore is under way, and a Job of it runs.
    let jobs = &other.api::<Job>();
    let job = &format!("{name}-before-take");
    until("the Job is there", WITHIN, || async move { Ok(jobs.get_opt(job).await?) }).await?;
    home.api::<RagRestore>().delete("cut-short", &DeleteParams::default()).await?;
    operator.kill().await?;
    let _operator = home.operator(&[]).await?;
    is_empty(&other).await
}

#[tokio::test]
async fn a_full_drill_is_asked_for_only_by_who_could_make_its_cluster_and_only_as_a_drill() -> Result<()> {
    let test = "a_full_drill_is_asked_for_only_by_who_could_make_its_cluster_and_only_as_a_drill";
    let Some([home, other]) = two(test).await? else { return Ok(()) };
    let source = json!({"archive": {"name": "daily"}});
    let in_place = json!({"cluster": "handbook", "mode": "InPlace", "inNamespace": other.namespace, "source": source});
    let refused = restore(&home, "elsewhere", in_place).await.unwrap_err();
    ensure!(refused.to_string().contains("inNamespace is for a drill"), "{refused}");

    let shared = home.shared;
    let grants = json!({"apiVersion": "v1", "kind": "List", "items": [
        rbac("Role", &home, json!({"rules": [
            {"apiGroups": ["ragops.dev"], "resources": ["ragrestores"], "verbs": ["create"]},
            {"apiGroups": ["ragops.dev"], "resources": ["ragclusters"], "verbs": ["patch"]},
        ]})),
        rbac("RoleBinding", &home, json!({
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "restorers"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "ada@example.com"}],
        })),
    ]});
    let file = shared.cluster.folder().join(format!("{}.restorers.json", home.namespace));
    std::fs::write(&file, grants.to_string())?;
    let mut kubectl = tokio::process::Command::from(shared.cluster.kubectl());
    let output = kubectl.args(["apply", "-f"]).arg(&file).output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ada = shared.cluster.client_as("ada@example.com", &[]).await?;
    let theirs: Api<RagRestore> = Api::namespaced(ada, &home.namespace);
    let asked = |name: &str, spec: Value| {
        let object = json!({"apiVersion": "ragops.dev/v1alpha1", "kind": "RagRestore", "metadata": {"name": name}, "spec": spec});
        serde_json::from_value::<RagRestore>(object)
    };
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let (theirs, full) = (&theirs, &asked("hers", full(&other))?);
    until("a full drill in a namespace that is not hers is refused", WITHIN, || async {
        let refused = theirs.create(&dry_run, full).await.err().context("it was accepted")?;
        let expected =
            format!("ada@example.com may not create RagClusters and get Secrets in namespace {}", other.namespace);
        ensure!(refused.to_string().contains(&expected), "{refused}");
        Ok(Some(()))
    })
    .await?;
    theirs.create(&dry_run, &asked("beside", json!({"cluster": "handbook", "mode": "Drill"}))?).await?;
    // By schedule neither; who may not do so in the other namespace changes nothing that is run there.
    let mut scheduled = destination();
    scheduled["fullDrill"] = json!({"namespace": other.namespace});
    home.apply("handbook", json!({"snapshots": scheduled})).await?;
    let clusters: Api<RagCluster> = Api::namespaced(theirs.clone().into_client(), &home.namespace);
    let change = |change: Value| Patch::Merge(change);
    let more = change(json!({"spec": {"retrieval": {"topK": 7}}}));
    let dry_run = PatchParams { dry_run: true, ..PatchParams::default() };
    let refused = clusters.patch("handbook", &dry_run, &more).await.err().context("it was accepted")?;
    ensure!(refused.to_string().contains("ada@example.com may not create RagClusters"), "{refused}");
    clusters.patch("handbook", &dry_run, &change(json!({"metadata": {"labels": {"team": "a"}}}))).await?;
    Ok(())
}

fn rbac(kind: &str, scene: &Scene, rest: Value) -> Value {
    let mut object = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
        "metadata": {"name": "restorers", "namespace": scene.namespace},
    });
    if let (Some(object), Some(rest)) = (object.as_object_mut(), rest.as_object()) {
        object.extend(rest.clone());
    }
    object
}
