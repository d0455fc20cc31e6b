//! What takes time: a snapshot, its removal with its copy, a restore in place and a drill. Wherever the operator dies, each ends
//! as if it had not: one Job for each task, the same status, and nothing left behind.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, ListParams};
use kube::core::NamespaceResourceScope;
use kube::{Resource, ResourceExt as _};
use ragops_operator::api::{RagRestore, RagSnapshot, labels};
use ragops_tests::metrics::Cpu;
use ragops_tests::pods::Script;
use ragops_tests::until;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::jobs::{EPOCH, Jobs};
use super::{Act, NAME, Sweep, state};
use crate::restores::{drill, in_place, restore, says as restore_says};
use crate::scene::{Scene, WITHIN};
use crate::snapshots::{ask, destination, key, says as snapshot_says};

/// What is restored, and stays from one life to the next.
const KEPT: &str = "daily";
/// The object that asks for it.
const ASKED: &str = "asked";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Procedure {
    /// A snapshot whose copy is to go with it.
    Take,
    /// That snapshot goes.
    Remove,
    Restore,
    Drill,
}

impl Procedure {
    fn is_of_snapshots(self) -> bool {
        matches!(self, Self::Take | Self::Remove)
    }

    /// The commands that it needs, each once.
    fn jobs(self) -> &'static [&'static str] {
        match self {
            Self::Take => &["asked-take"],
            Self::Remove => &["asked-remove"],
            Self::Restore => &["asked-before-take", "asked-restore"],
            Self::Drill => &["asked-drill"],
        }
    }

    async fn ask(self, scene: &Scene) -> Result<()> {
        match self {
            Self::Take => {
                ask(scene, ASKED, json!({"cluster": NAME, "deletionPolicy": "Delete"})).await?;
            }
            Self::Remove => {
                scene.api::<RagSnapshot>().delete(ASKED, &DeleteParams::default()).await?;
            }
            Self::Restore => {
                restore(scene, ASKED, in_place()).await?;
            }
            Self::Drill => {
                restore(scene, ASKED, drill()).await?;
            }
        }
        Ok(())
    }
}

impl Act for Procedure {
    /// The cluster, and what is restored, are made once.
    async fn prepare(self, sweep: &Sweep) -> Result<()> {
        let scene = &sweep.scene;
        scene.serving(NAME).await?;
        if self == Self::Remove {
            Self::Take.ask(scene).await?;
            Self::Take.ended(sweep).await?;
        }
        search(scene);
        sweep.quiet().await?;
        begin_of_jobs(sweep)
    }

    async fn begin(self, sweep: &Sweep) -> Result<()> {
        self.ask(&sweep.scene).await
    }

    async fn may_be_over(self, sweep: &Sweep) -> Result<bool> {
        let scene = &sweep.scene;
        if self.is_of_snapshots() {
            let found = scene.api::<RagSnapshot>().get_opt(ASKED).await?;
            let Some(found) = found else { return Ok(true) };
            let steps = found.status.map(|status| status.steps).unwrap_or_default();
            return Ok(self == Self::Take && !steps.is_empty() && steps.iter().all(|step| step.state.is_final()));
        }
        let steps = scene.api::<RagRestore>().get(ASKED).await?.status.map(|status| status.steps).unwrap_or_default();
        Ok(!steps.is_empty() && steps.iter().all(|step| step.state.is_final()))
    }

    async fn ended(self, sweep: &Sweep) -> Result<()> {
        let scene = &sweep.scene;
        match self {
            Self::Take => {
                snapshot_says(scene, ASKED, "Ready", "True", "Taken").await?;
                snapshot_says(scene, ASKED, "Reconciling", "False", "Settled").await?;
            }
            Self::Remove => is_gone::<RagSnapshot>(scene, ASKED).await?,
            Self::Restore => {
                restore_says(scene, ASKED, "True", "Restored").await?;
            }
            Self::Drill => {
                restore_says(scene, ASKED, "True", "Passed").await?;
            }
        }
        // The cluster says what has become of it.
        sweep.quiet().await
    }

    async fn state(self, sweep: &Sweep) -> Result<Vec<Value>> {
        let scene = &sweep.scene;
        let made = jobs_made(sweep)?;
        assert_eq!(made, self.jobs(), "{self:?}: one Job for each task, and no other");
        let left = of_jobs(scene).await?;
        assert_eq!(left, [] as [String; 0], "{self:?}: left behind");
        let mut all = state::children(scene, NAME).await?;
        all.extend(lasting::<RagSnapshot>(scene).await?);
        all.extend(lasting::<RagRestore>(scene).await?);
        let cluster = scene.clusters.get(NAME).await?.status.context("no status")?;
        all.push(timeless(&json!({"snapshots": cluster.snapshots, "next": cluster.next}), &[]));
        Ok(all)
    }

    async fn clear(self, sweep: &Sweep) -> Result<()> {
        let scene = &sweep.scene;
        let restores = scene.api::<RagRestore>();
        restores.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        let snapshots = scene.api::<RagSnapshot>();
        for snapshot in snapshots.list(&ListParams::default()).await?.items {
            let name = snapshot.name_any();
            if name != KEPT && snapshot.metadata.deletion_timestamp.is_none() {
                snapshots.delete(&name, &DeleteParams::default()).await?;
            }
        }
        is_gone::<RagSnapshot>(scene, ASKED).await?;
        is_gone::<RagRestore>(scene, ASKED).await?;
        until("what was made for Jobs has gone", WITHIN, || async move {
            Ok(of_jobs(scene).await?.is_empty().then_some(()))
        })
        .await
    }
}

/// Servers follow the epoch that is searched; a restore's is another one.
fn search(scene: &Scene) {
    scene.shared.pods.script(&scene.namespace, Script { epoch: Some(EPOCH), ..Script::default() });
}

async fn is_gone<K>(scene: &Scene, name: &str) -> Result<()>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    K::DynamicType: Default,
{
    let api = &scene.api::<K>();
    until(&format!("{name} has gone"), WITHIN, || async move { Ok(api.get_opt(name).await?.is_none().then_some(())) })
        .await
        .with_context(|| format!("the end of the operator's log:\n{}", scene.installation.log_tail()))
}

/// From here on Jobs are counted.
fn begin_of_jobs(sweep: &Sweep) -> Result<()> {
    sweep.mark.set(Some(sweep.scene.shared.cluster.audit().mark()?));
    Ok(())
}

/// The Jobs that the operator has made since, sorted.
fn jobs_made(sweep: &Sweep) -> Result<Vec<String>> {
    let mark = sweep.mark.get().context("Jobs are not counted")?;
    let (requests, user) = (sweep.scene.shared.cluster.audit().since(mark)?, sweep.scene.installation.user());
    let made = requests
        .into_iter()
        .filter(|r| r.user == user && r.verb == "create" && r.resource == "jobs" && r.code == 201)
        .map(|r| r.name);
    let mut made: Vec<String> = made.collect();
    made.sort();
    Ok(made)
}

/// Everything that was made for Jobs and is there, by its name.
async fn of_jobs(scene: &Scene) -> Result<Vec<String>> {
    let mut all = of_kind::<Job>(scene).await?;
    all.extend(of_kind::<ConfigMap>(scene).await?);
    all.extend(of_kind::<ServiceAccount>(scene).await?);
    all.extend(of_kind::<NetworkPolicy>(scene).await?);
    Ok(all)
}

async fn of_kind<K>(scene: &Scene) -> Result<Vec<String>>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    K::DynamicType: Default,
{
    let found = scene.api::<K>().list(&ListParams::default().labels(labels::OWNER_KIND)).await?;
    let kind = K::kind(&K::DynamicType::default()).into_owned();
    Ok(found.iter().map(|object| format!("{kind}/{}", object.name_any())).collect())
}

/// Objects of a kind of ours with their status, in a fixed order.
async fn lasting<K>(scene: &Scene) -> Result<Vec<Value>>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Serialize + std::fmt::Debug,
    K::DynamicType: Default,
{
    let mut found = scene.api::<K>().list(&ListParams::default()).await?.items;
    found.sort_by_key(kube::ResourceExt::name_any);
    let mut uids: Vec<String> = found.iter().filter_map(kube::ResourceExt::uid).collect();
    // Whoever asked for a snapshot stands in an annotation of it.
    uids.extend(
        scene.api::<RagRestore>().list(&ListParams::default()).await?.iter().filter_map(kube::ResourceExt::uid),
    );
    let of_one = |object: &K| -> Result<Value> {
        let mut whole = serde_json::to_value(object)?;
        let kept = json!({
            "name": object.name_any(), "labels": object.labels(), "annotations": object.annotations(),
            "finalizers": object.finalizers(), "spec": whole["spec"].take(), "status": whole["status"].take(),
        });
        Ok(timeless(&kept, &uids))
    };
    found.iter().map(of_one).collect()
}

/// Without its times and ids.
fn timeless(value: &Value, uids: &[String]) -> Value {
    match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), timeless(value, uids))).collect(),
        Value::Array(items) => items.iter().map(|item| timeless(item, uids)).collect(),
        Value::String(text) => {
            let text = uids.iter().fold(text.clone(), |text, uid| text.replace(uid, "UID"));
            let is_time = |word: &str| word.trim_end_matches([',', ';', ':', '.']).parse::<jiff::Timestamp>().is_ok();
            let words: Vec<&str> = text.split(' ').map(|word| if is_time(word) { "TIME" } else { word }).collect();
            json!(words.join(" "))
        }
        other => other.clone(),
    }
}

/// A sweep over a cluster that serves, with a snapshot in its bucket.
async fn swept(test: &str, procedure: Procedure) -> Result<()> {
    let Some(sweep) = Sweep::new(test).await? else { return Ok(()) };
    let scene = &sweep.scene;
    scene.shared.metrics.set(&scene.namespace, Cpu::Percent(50.0));
    key(scene).await?;
    // A schedule would come whenever it is its time.
    let mut snapshots = destination();
    snapshots["suspend"] = json!(true);
    scene.apply(NAME, json!({"snapshots": snapshots, "autoscaling": {"enabled": false}})).await?;
    let jobs = Jobs::start(scene);
    let operator = sweep.operator().await?;
    scene.serving(NAME).await?;
    ask(scene, KEPT, json!({"cluster": NAME})).await?;
    snapshot_says(scene, KEPT, "Ready", "True", "Taken").await?;
    snapshot_says(scene, KEPT, "Reconciling", "False", "Settled").await?;
    operator.stop().await?;
    sweep.run(procedure, false).await?;
    ensure!(jobs.lies() == BTreeSet::new(), "said to be in the archive before they were: {:?}", jobs.lies());
    Ok(())
}

#[tokio::test]
async fn sweep_of_a_snapshot() -> Result<()> {
    swept("sweep_of_a_snapshot", Procedure::Take).await
}

#[tokio::test]
async fn sweep_of_a_removal_of_a_snapshot() -> Result<()> {
    swept("sweep_of_a_removal_of_a_snapshot", Procedure::Remove).await
}

#[tokio::test]
async fn sweep_of_a_restore_in_place() -> Result<()> {
    swept("sweep_of_a_restore_in_place", Procedure::Restore).await
}

#[tokio::test]
async fn sweep_of_a_drill() -> Result<()> {
    swept("sweep_of_a_drill", Procedure::Drill).await
}
