//! The operator is killed between any two of its writes, and the next one ends in the same state.
//!
//! Every position of a creation is tried; of an update a seeded sample, or every position with `RAGOPS_SWEEP=all`.
//! `RAGOPS_SWEEP_SEED` repeats a sample. A deletion is the garbage collector's work: the operator writes nothing, so there is no
//! position between two writes, and it is killed before and in the middle of the collection instead.

mod state;

use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use ragops_tests::faults::{Fault, FaultProxy};
use ragops_tests::operator::Operator;
use ragops_tests::until;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use serde_json::{Value, json};

use crate::scene::{Scene, WITHIN};

const NAME: &str = "handbook";
/// How many positions of an update are tried unless all are asked for.
const SAMPLE: usize = 4;

/// An operator that has asked nothing for so long has done what it had to.
const QUIET_SECONDS: u64 = 4;

/// What is done to a cluster while the operator is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Create,
    Update,
    Delete,
}

/// When the operator is killed while a cluster is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Killed {
    Never,
    Before,
    Meanwhile,
}

struct Sweep {
    scene: Scene,
    proxy: FaultProxy,
}

fn created() -> Value {
    json!({"auth": {"apiKeys": [{"name": "reader"}]}})
}

fn updated() -> Value {
    json!({
        "auth": {"apiKeys": [{"name": "writer", "role": "Writer"}]}, "replicas": 4, "autoscaling": {"enabled": false},
        "networkPolicy": {"enabled": false}, "retrieval": {"topK": 7},
        "vectorStore": {"qdrant": {"storage": {"size": "20Gi"}}},
    })
}

impl Sweep {
    async fn new(test: &str) -> Result<Option<Self>> {
        let Some(scene) = Scene::new(test, "sweep").await? else { return Ok(None) };
        let proxy = FaultProxy::start(&scene.shared.cluster).await?;
        scene.installation.through(&proxy)?;
        Ok(Some(Self { scene, proxy }))
    }

    /// A killed operator cannot give its lease back. Without it nobody waits for its end.
    async fn operator(&self) -> Result<Operator> {
        for lease in self.scene.api::<Lease>().list(&ListParams::default()).await? {
            self.scene.api::<Lease>().delete(&lease.name_any(), &DeleteParams::default()).await?;
        }
        self.scene.operator(&[]).await
    }

    async fn begin(&self, act: Act) -> Result<()> {
        match act {
            Act::Create => self.scene.apply(NAME, created()).await.map(drop)?,
            Act::Update => self.scene.apply(NAME, updated()).await.map(drop)?,
            Act::Delete => self.scene.clusters.delete(NAME, &DeleteParams::default()).await.map(drop)?,
        }
        Ok(())
    }

    async fn ended(&self, act: Act) -> Result<()> {
        match act {
            Act::Create | Act::Update => self.scene.serving(NAME).await,
            Act::Delete => self.gone().await,
        }
    }

    async fn gone(&self) -> Result<()> {
        until("the cluster and what it consists of have gone", WITHIN, || async {
            let gone = self.scene.clusters.get_opt(NAME).await?.is_none();
            Ok((gone && state::children(&self.scene, NAME).await?.is_empty()).then_some(()))
        })
        .await
    }

    /// Leaves nothing, not even what a deletion retains.
    async fn clear(&self) -> Result<()> {
        if self.scene.clusters.get_opt(NAME).await?.is_some() {
            self.begin(Act::Delete).await?;
        }
        self.gone().await?;
        let claims = self.scene.api::<PersistentVolumeClaim>();
        claims.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        // Every life mints an id of its own, so that a kill beside it is tried as well.
        self.scene.api::<ConfigMap>().delete(&state::corpus(NAME), &DeleteParams::default()).await?;
        Ok(())
    }

    /// Does it undisturbed: how many writes it takes, and the state in which it ends.
    async fn reference(&self, act: Act) -> Result<(usize, Vec<Value>)> {
        let operator = self.operator().await?;
        self.prepare(act).await?;
        self.proxy.clear();
        self.begin(act).await?;
        self.ended(act).await?;
        // The last words about a cluster may follow its last change.
        self.quiet().await?;
        let (writes, state) = (self.proxy.writes().len(), state::children(&self.scene, NAME).await?);
        self.clear().await?;
        operator.stop().await?;
        Ok((writes, state))
    }

    async fn prepare(&self, act: Act) -> Result<()> {
        if act != Act::Create {
            self.begin(Act::Create).await?;
            self.ended(Act::Create).await?;
        }
        Ok(())
    }

    /// Kills the operator after write `position` (before the first one for 0); the next one finishes. Says whether it came so
    /// far, and the state in which it ends.
    async fn killed_at(&self, act: Act, position: usize) -> Result<(bool, Vec<Value>)> {
        let operator = self.operator().await?;
        self.prepare(act).await?;
        match position {
            0 => self.proxy.plan(1, Fault::KillBefore(operator.killer())),
            _ => self.proxy.plan(position, Fault::KillAfter(operator.killer())),
        }
        self.begin(act).await?;
        let (proxy, begun) = (&self.proxy, std::time::Instant::now());
        // A write fewer than undisturbed is not a fault: what was observed in between may differ.
        until("the operator is killed, or has nothing more to write", WITHIN, || async move {
            let quiet = proxy.quiet_for().unwrap_or_default().min(begun.elapsed());
            Ok((proxy.fired() || quiet.as_secs() >= QUIET_SECONDS).then_some(()))
        })
        .await?;
        let killed = self.proxy.fired();
        if killed {
            operator.gone().await?;
        } else {
            operator.stop().await?;
        }
        self.proxy.clear();
        let successor = self.operator().await?;
        self.ended(act).await?;
        // What an update removed is forgotten a pass later.
        if act == Act::Update {
            self.quiet().await?;
        }
        let state = state::children(&self.scene, NAME).await?;
        self.clear().await?;
        successor.stop().await?;
        Ok((killed, state))
    }

    async fn run(&self, act: Act, all: bool) -> Result<()> {
        let (writes, expected) = self.reference(act).await.with_context(|| format!("{act:?}, undisturbed"))?;
        let mut positions: Vec<usize> = (0..=writes).collect();
        let seed =
            std::env::var("RAGOPS_SWEEP_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
        if !all && std::env::var("RAGOPS_SWEEP").as_deref() != Ok("all") {
            positions.shuffle(&mut rand::rngs::StdRng::seed_from_u64(seed));
            positions.truncate(SAMPLE);
        }
        let (mut kills, tried) = (0, positions.len());
        for position in positions {
            let here = || format!("{act:?}: killed after write {position} of {writes} (RAGOPS_SWEEP_SEED={seed})");
            let (killed, state) = self.killed_at(act, position).await.with_context(here)?;
            assert_eq!(state, expected, "{}", here());
            kills += usize::from(killed);
        }
        // Passes that see less at once need fewer writes, so the last positions may not be reached; a sweep that hardly ever
        // kills shows nothing.
        assert!(2 * kills >= tried, "{act:?}: {kills} kills at {tried} positions of {writes} writes");
        Ok(())
    }

    async fn quiet(&self) -> Result<()> {
        let proxy = &self.proxy;
        until("the operator is quiet", WITHIN, || async move {
            Ok(proxy.quiet_for().is_some_and(|quiet| quiet.as_secs() >= QUIET_SECONDS).then_some(()))
        })
        .await
    }

    /// Deletes a settled cluster with the operator alive, gone before, or killed once the collection has begun. Its successor sees
    /// the rest. Neither of them writes anything.
    async fn deleted(&self, propagation: &DeleteParams, killed: Killed) -> Result<()> {
        let operator = self.operator().await?;
        self.prepare(Act::Delete).await?;
        self.quiet().await?;
        self.proxy.clear();
        if killed == Killed::Before {
            operator.kill().await?;
        }
        let before = state::children(&self.scene, NAME).await?.len();
        self.scene.clusters.delete(NAME, propagation).await?;
        if killed == Killed::Meanwhile {
            let scene = &self.scene;
            until("the collection has begun", WITHIN, || async move {
                Ok((state::children(scene, NAME).await?.len() < before).then_some(()))
            })
            .await?;
            operator.kill().await?;
        }
        let successor = if killed == Killed::Never { operator } else { self.operator().await? };
        self.gone().await?;
        self.quiet().await?;
        assert_eq!(self.proxy.writes(), [], "a deletion was written to");
        assert_eq!(state::children(&self.scene, NAME).await?, Vec::<Value>::new(), "something came back");
        self.clear().await?;
        successor.stop().await
    }

    /// The API server answers one write with an error, or late; the operator gets over it by itself.
    async fn disturbed(&self, fault: Fault, position: usize) -> Result<Vec<Value>> {
        let operator = self.operator().await?;
        self.proxy.plan(position, fault);
        self.begin(Act::Create).await?;
        self.ended(Act::Create).await?;
        anyhow::ensure!(self.proxy.fired(), "there were fewer than {position} writes");
        let state = state::children(&self.scene, NAME).await?;
        self.clear().await?;
        operator.stop().await?;
        Ok(state)
    }
}

#[tokio::test]
async fn sweep_of_refused_and_late_writes() -> Result<()> {
    let Some(sweep) = Sweep::new("sweep_of_refused_and_late_writes").await? else { return Ok(()) };
    let (writes, expected) = sweep.reference(Act::Create).await?;
    // The first write, one in the middle, and one among the workloads.
    for position in [1, writes / 2, writes * 3 / 4] {
        for fault in [Fault::Answer(409), Fault::Answer(429), Fault::Answer(500), Fault::Late] {
            let here = format!("{fault:?} at write {position} of {writes}");
            let state = sweep.disturbed(fault, position).await.with_context(|| here.clone())?;
            assert_eq!(state, expected, "{here}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn sweep_of_a_creation() -> Result<()> {
    let Some(sweep) = Sweep::new("sweep_of_a_creation").await? else { return Ok(()) };
    sweep.run(Act::Create, true).await
}

#[tokio::test]
async fn sweep_of_an_update() -> Result<()> {
    let Some(sweep) = Sweep::new("sweep_of_an_update").await? else { return Ok(()) };
    sweep.run(Act::Update, false).await
}

#[tokio::test]
async fn sweep_of_a_deletion() -> Result<()> {
    let Some(sweep) = Sweep::new("sweep_of_a_deletion").await? else { return Ok(()) };
    for propagation in [DeleteParams::background(), DeleteParams::foreground()] {
        for killed in [Killed::Never, Killed::Before, Killed::Meanwhile] {
            let here = || format!("{:?}, killed: {killed:?}", propagation.propagation_policy);
            sweep.deleted(&propagation, killed).await.with_context(here)?;
        }
    }
    Ok(())
}
