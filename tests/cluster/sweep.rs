//! The operator is killed between any two of its writes, and the next one ends in the same state.
//!
//! Every position of a creation is tried; of an update, and of what takes time (`procedures`), a seeded sample, or every position
//! with `RAGOPS_SWEEP=all`. `RAGOPS_SWEEP_SEED` repeats a sample. A deletion is the garbage collector's work: the operator writes
//! nothing, so there is no position between two writes, and it is killed before and in the middle of the collection instead.

mod jobs;
mod procedures;
mod state;

use std::cell::Cell;

use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};
use ragops_tests::audit::Mark;
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

/// What is done while the operator is killed.
trait Act: Copy + std::fmt::Debug {
    /// Makes what is there before.
    async fn prepare(self, sweep: &Sweep) -> Result<()>;

    /// Asks for it.
    async fn begin(self, sweep: &Sweep) -> Result<()>;

    /// Whether an operator that writes nothing more has done it; otherwise it waits for somebody else.
    async fn may_be_over(self, _: &Sweep) -> Result<bool> {
        Ok(true)
    }

    /// Waits until it is done.
    async fn ended(self, sweep: &Sweep) -> Result<()>;

    /// What it ends in, without what differs from one life to the next.
    async fn state(self, sweep: &Sweep) -> Result<Vec<Value>>;

    /// Removes what it made.
    async fn clear(self, sweep: &Sweep) -> Result<()>;
}

/// What is done to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
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
    /// Where in the API server's log the last life began.
    mark: Cell<Option<Mark>>,
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
        Ok(Some(Self { scene, proxy, mark: Cell::new(None) }))
    }

    /// A killed operator cannot give its lease back. Without it nobody waits for its end.
    async fn operator(&self) -> Result<Operator> {
        for lease in self.scene.api::<Lease>().list(&ListParams::default()).await? {
            self.scene.api::<Lease>().delete(&lease.name_any(), &DeleteParams::default()).await?;
        }
        self.scene.operator(&[]).await
    }

    async fn gone(&self) -> Result<()> {
        until("the cluster and what it consists of have gone", WITHIN, || async {
            let gone = self.scene.clusters.get_opt(NAME).await?.is_none();
            Ok((gone && state::children(&self.scene, NAME).await?.is_empty()).then_some(()))
        })
        .await
    }

    /// Does it undisturbed: how many writes it takes, and the state in which it ends.
    async fn reference(&self, act: impl Act) -> Result<(usize, Vec<Value>)> {
        let operator = self.operator().await?;
        act.prepare(self).await?;
        self.proxy.clear();
        act.begin(self).await?;
        act.ended(self).await?;
        // The last words about a cluster may follow its last change.
        self.quiet().await?;
        let (writes, state) = (self.proxy.writes().len(), act.state(self).await?);
        act.clear(self).await?;
        operator.stop().await?;
        Ok((writes, state))
    }

    /// Kills the operator after write `position` (before the first one for 0); the next one finishes. Says whether it came so
    /// far, and the state in which it ends.
    async fn killed_at(&self, act: impl Act, position: usize) -> Result<(bool, Vec<Value>)> {
        let operator = self.operator().await?;
        act.prepare(self).await?;
        match position {
            0 => self.proxy.plan(1, Fault::KillBefore(operator.killer())),
            _ => self.proxy.plan(position, Fault::KillAfter(operator.killer())),
        }
        act.begin(self).await?;
        let (proxy, begun) = (&self.proxy, std::time::Instant::now());
        // A write fewer than undisturbed is not a fault: what was observed in between may differ.
        until("the operator is killed, or has nothing more to write", WITHIN, || async move {
            let quiet = proxy.quiet_for().unwrap_or_default().min(begun.elapsed());
            let is_over = quiet.as_secs() >= QUIET_SECONDS && act.may_be_over(self).await?;
            Ok((proxy.fired() || is_over).then_some(()))
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
        act.ended(self).await?;
        let state = act.state(self).await?;
        act.clear(self).await?;
        successor.stop().await?;
        Ok((killed, state))
    }

    async fn run(&self, act: impl Act, all: bool) -> Result<()> {
        let (writes, expected) = self.reference(act).await.with_context(|| format!("{act:?}, undisturbed"))?;
        let mut positions: Vec<usize> = (0..=writes).collect();
        let seed =
            std::env::var("RAGOPS_SWEEP_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
        let is_sample = !all && std::env::var("RAGOPS_SWEEP").as_deref() != Ok("all");
        if is_sample {
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
        // Passes that see less at once need fewer writes, so the last positions may not be reached, and a sample may have drawn
        // several of them; a sweep that hardly ever kills shows nothing.
        let least = if is_sample { 1 } else { tried.div_ceil(2) };
        assert!(kills >= least, "{act:?}: {kills} kills at {tried} positions of {writes} writes");
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
        Change::Delete.prepare(self).await?;
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
        Change::Delete.clear(self).await?;
        successor.stop().await
    }

    /// The API server answers one write with an error, or late; the operator gets over it by itself.
    async fn disturbed(&self, fault: Fault, position: usize) -> Result<Vec<Value>> {
        let operator = self.operator().await?;
        self.proxy.plan(position, fault);
        Change::Create.begin(self).await?;
        Change::Create.ended(self).await?;
        anyhow::ensure!(self.proxy.fired(), "there were fewer than {position} writes");
        let state = Change::Create.state(self).await?;
        Change::Create.clear(self).await?;
        operator.stop().await?;
        Ok(state)
    }
}

impl Act for Change {
    async fn prepare(self, sweep: &Sweep) -> Result<()> {
        if self != Self::Create {
            Self::Create.begin(sweep).await?;
            Self::Create.ended(sweep).await?;
        }
        Ok(())
    }

    async fn begin(self, sweep: &Sweep) -> Result<()> {
        let scene = &sweep.scene;
        match self {
            Self::Create => scene.apply(NAME, created()).await.map(drop)?,
            Self::Update => scene.apply(NAME, updated()).await.map(drop)?,
            Self::Delete => scene.clusters.delete(NAME, &DeleteParams::default()).await.map(drop)?,
        }
        Ok(())
    }

    async fn ended(self, sweep: &Sweep) -> Result<()> {
        match self {
            Self::Create => sweep.scene.serving(NAME).await,
            Self::Update => {
                sweep.scene.serving(NAME).await?;
                // What an update removed is forgotten a pass later.
                sweep.quiet().await
            }
            Self::Delete => sweep.gone().await,
        }
    }

    async fn state(self, sweep: &Sweep) -> Result<Vec<Value>> {
        state::children(&sweep.scene, NAME).await
    }

    /// Leaves nothing, not even what a deletion retains.
    async fn clear(self, sweep: &Sweep) -> Result<()> {
        let scene = &sweep.scene;
        if scene.clusters.get_opt(NAME).await?.is_some() {
            Self::Delete.begin(sweep).await?;
        }
        sweep.gone().await?;
        let claims = scene.api::<PersistentVolumeClaim>();
        claims.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        // Every life mints an id of its own, so that a kill beside it is tried as well.
        scene.api::<ConfigMap>().delete(&state::corpus(NAME), &DeleteParams::default()).await?;
        Ok(())
    }
}

#[tokio::test]
async fn sweep_of_refused_and_late_writes() -> Result<()> {
    let Some(sweep) = Sweep::new("sweep_of_refused_and_late_writes").await? else { return Ok(()) };
    let (writes, expected) = sweep.reference(Change::Create).await?;
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
    sweep.run(Change::Create, true).await
}

#[tokio::test]
async fn sweep_of_an_update() -> Result<()> {
    let Some(sweep) = Sweep::new("sweep_of_an_update").await? else { return Ok(()) };
    sweep.run(Change::Update, false).await
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
