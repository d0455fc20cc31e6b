//! Whom a change of a snapshot or of a restore concerns beside itself: its cluster, whose status shows what is under way, and the
//! restores of that cluster, which wait for it or for their turn.

use std::sync::{Arc, OnceLock};

use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;

use super::{Kind, Watched};
use crate::api::{RagCluster, RagRestore, RagSnapshot};

/// An object that is about a cluster.
pub(super) trait OfCluster: Kind {
    /// The cluster's name.
    fn cluster(&self) -> &str;
}

impl OfCluster for RagSnapshot {
    fn cluster(&self) -> &str {
        &self.spec.cluster
    }
}

impl OfCluster for RagRestore {
    fn cluster(&self) -> &str {
        &self.spec.cluster
    }
}

/// The restores of a namespace, which are known a moment after those who ask for them.
#[derive(Clone, Default)]
pub(super) struct Restores(Arc<OnceLock<Watched<RagRestore>>>);

impl Restores {
    /// These are they.
    pub(super) fn are(&self, restores: &Watched<RagRestore>) {
        // Once for each namespace.
        let _ = self.0.set(restores.clone());
    }

    /// Asks for a look at those of a cluster.
    pub(super) fn look_at_those_of(&self, cluster: &str) {
        self.0.get().iter().for_each(|restores| restores.look_at_those_of(cluster));
    }

    /// What a change of an object asks for.
    pub(super) fn asks<K: OfCluster>(
        &self,
        clusters: &Watched<RagCluster>,
    ) -> impl FnMut(&Event<DeserializeGuard<K>>, &[String]) + Send + 'static + use<K> {
        let (restores, clusters) = (self.clone(), clusters.clone());
        move |event, _| match event {
            Event::Apply(object) | Event::Delete(object) => {
                if let Ok(object) = &object.0 {
                    clusters.queue.push(object.cluster());
                    restores.look_at_those_of(object.cluster());
                }
            }
            // After a gap in the watch, what was deleted meanwhile shows only by its absence.
            Event::InitDone => {
                clusters.look_at_all();
                restores.0.get().iter().for_each(|restores| restores.look_at_all());
            }
            Event::Init | Event::InitApply(_) => {}
        }
    }
}

impl Watched<RagRestore> {
    /// Asks for a look at the restores of a cluster.
    pub fn look_at_those_of(&self, cluster: &str) {
        let all = self.cache.state();
        let readable = all.iter().filter_map(|restore| restore.0.as_ref().ok());
        let theirs = readable.filter(|restore| restore.spec.cluster == cluster);
        theirs.for_each(|restore| self.queue.push(&restore.name_any()));
    }
}
