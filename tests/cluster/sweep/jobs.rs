//! A double of the servers' program in the pods of Jobs: each command ends as it would where nothing is wrong. It says what was
//! taken, and notices a snapshot that is said to be in the archive before.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use ragops_operator::api::{RagSnapshot, labels};
use ragops_tests::pods::{PodEndpoint, Script};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::restores::{drilled, restored};
use crate::scene::Scene;
use crate::snapshots::{end, taken};

/// The epoch that servers search before a restore; the restore's is the next one.
pub(super) const EPOCH: u32 = 3;

/// It works until it is dropped.
pub(super) struct Jobs {
    work: JoinHandle<()>,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    /// The uids of the RagSnapshots whose copies are in the archive.
    taken: BTreeSet<String>,
    /// What was said of a snapshot before it was true.
    lies: BTreeSet<String>,
}

impl Jobs {
    pub(super) fn start(scene: &Scene) -> Self {
        let known: Arc<Mutex<Known>> = Arc::default();
        let program = Program {
            pods: scene.api(),
            snapshots: scene.api(),
            servers: scene.shared.pods.clone(),
            namespace: scene.namespace.clone(),
            known: known.clone(),
        };
        program.search(EPOCH);
        Self { work: tokio::spawn(program.work()), known }
    }

    /// Every snapshot that was said to be in the archive before it was.
    pub(super) fn lies(&self) -> BTreeSet<String> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).lies.clone()
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.work.abort();
    }
}

struct Program {
    pods: Api<Pod>,
    snapshots: Api<RagSnapshot>,
    servers: PodEndpoint,
    namespace: String,
    known: Arc<Mutex<Known>>,
}

impl Program {
    /// What fails now is tried again with all that is there by then: a pod may go while it is looked at.
    async fn work(self) {
        loop {
            if let Err(error) = self.follow().await {
                eprintln!("the double of the servers' program: {error:#}");
            }
        }
    }

    /// Hears of every change. A watch that breaks off goes on by itself.
    async fn follow(&self) -> Result<()> {
        let jobs = watcher::Config::default().labels(labels::OWNER_KIND);
        let mut pods = pin!(watcher(self.pods.clone(), jobs).default_backoff().applied_objects());
        let all = watcher(self.snapshots.clone(), watcher::Config::default());
        let mut snapshots = pin!(all.default_backoff().applied_objects());
        loop {
            tokio::select! {
                Some(Ok(snapshot)) = snapshots.next() => self.believe(&snapshot),
                Some(Ok(pod)) = pods.next() => self.end(&pod).await?,
            }
        }
    }

    async fn end(&self, pod: &Pod) -> Result<()> {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        if phase != Some("Running") || pod.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        // First what is said, and then what becomes true.
        for snapshot in self.snapshots.list(&ListParams::default()).await? {
            self.believe(&snapshot);
        }
        end(&self.pods, &pod.name_any(), &self.run(pod)?).await
    }

    fn believe(&self, snapshot: &RagSnapshot) {
        let status = snapshot.status.as_ref();
        let is_said = status.is_some_and(|status| {
            let is_ready = |condition: &_| is_true(condition, "Ready") || is_true(condition, "Verified");
            status.archive.is_some() || status.conditions.iter().any(is_ready)
        });
        let uid = snapshot.uid().unwrap_or_default();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if is_said && !known.taken.contains(&uid) {
            known.lies.insert(snapshot.name_any());
        }
    }

    /// What the command of a pod reports.
    fn run(&self, pod: &Pod) -> Result<Value> {
        let spec = pod.spec.as_ref().context("a pod without a spec")?;
        let args = spec.containers[0].args.clone().unwrap_or_default();
        let words: Vec<&str> = args.iter().map(String::as_str).skip_while(|word| *word != "snapshot").collect();
        Ok(match &words[..] {
            ["snapshot", "create", name, "--taken-for", uid, ..] => {
                self.known.lock().unwrap_or_else(PoisonError::into_inner).taken.insert((*uid).to_owned());
                taken(name)
            }
            ["snapshot", "remove", name, ..] => json!({"outcome": "done", "removed": [name], "freed_bytes": 1}),
            ["snapshot", "drill", ..] => drilled(1.0),
            ["snapshot", "restore", ..] => {
                self.search(EPOCH + 1);
                restored(20, i64::from(EPOCH) + 1)
            }
            other => bail!("nobody knows how {other:?} ends"),
        })
    }

    fn search(&self, epoch: u32) {
        self.servers.script(&self.namespace, Script { epoch: Some(epoch), ..Script::default() });
    }
}

fn is_true(condition: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition, type_: &str) -> bool {
    condition.type_ == type_ && condition.status == "True"
}
