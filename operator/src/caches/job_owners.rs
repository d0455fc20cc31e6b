//! For whom a Job was made: a change of it, or of one of its pods, asks for a look at its owner.

use std::sync::Arc;

use kube::ResourceExt;
use kube::runtime::watcher::Event;

use super::{Kind, Watched};
use crate::api::{RagCluster, RagRestore, RagSnapshot, labels};
use crate::controller::Queue;
use crate::objects::OwnKind;

/// The objects for which Jobs are made.
#[derive(Clone)]
pub(super) struct JobOwners {
    clusters: Watched<RagCluster>,
    snapshots: Watched<RagSnapshot>,
    restores: Watched<RagRestore>,
}

impl JobOwners {
    pub(super) fn of(
        clusters: &Watched<RagCluster>,
        snapshots: &Watched<RagSnapshot>,
        restores: &Watched<RagRestore>,
    ) -> Self {
        Self { clusters: clusters.clone(), snapshots: snapshots.clone(), restores: restores.clone() }
    }

    /// What a change of a Job, or of a pod of one, asks for.
    pub(super) fn asks<K: Kind>(self) -> impl FnMut(&Event<K>) + Send + 'static {
        move |event| match event {
            Event::Apply(object) | Event::Delete(object) => {
                if let Some((queue, name)) = self.owner_of(object) {
                    queue.push(&name);
                }
            }
            // After a gap in the watch, what was deleted meanwhile shows only by its absence.
            Event::InitDone => {
                self.snapshots.look_at_all();
                self.restores.look_at_all();
                self.clusters.look_at_all();
            }
            Event::Init | Event::InitApply(_) => {}
        }
    }

    fn owner_of<K: Kind>(&self, object: &K) -> Option<(&Arc<Queue>, String)> {
        let labels = object.labels();
        let queue = match labels.get(labels::OWNER_KIND)?.as_str() {
            RagCluster::KIND => &self.clusters.queue,
            RagSnapshot::KIND => &self.snapshots.queue,
            RagRestore::KIND => &self.restores.queue,
            _ => return None,
        };
        Some((queue, labels.get(labels::OWNER)?.clone()))
    }
}
