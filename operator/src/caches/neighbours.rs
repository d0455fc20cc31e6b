//! Whom a change of a snapshot or of a restore concerns beside itself: its cluster, whose status shows what is under way, and the
//! restores of that cluster, which wait for it or for their turn; and the snapshot about which something was found out.

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

    /// The snapshot that it has found something out about.
    fn snapshot(&self) -> Option<&str> {
        None
    }
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

    fn snapshot(&self) -> Option<&str> {
        Some(self.status.as_ref()?.result.as_ref()?.snapshot.as_str())
    }
}

/// The clusters, the snapshots and the restores of a namespace, which are known a moment after those who ask for a look at them.
#[derive(Clone, Default)]
pub(super) struct Neighbours(Arc<OnceLock<Known>>);

struct Known {
    clusters: Watched<RagCluster>,
    snapshots: Watched<RagSnapshot>,
    restores: Watched<RagRestore>,
}

impl Neighbours {
    /// These are they.
    pub(super) fn are(
        &self,
        clusters: &Watched<RagCluster>,
        snapshots: &Watched<RagSnapshot>,
        restores: &Watched<RagRestore>,
    ) {
        let (clusters, snapshots, restores) = (clusters.clone(), snapshots.clone(), restores.clone());
        // Once for each namespace.
        let _ = self.0.set(Known { clusters, snapshots, restores });
    }

    /// Asks for a look at the restores of a cluster.
    pub(super) fn look_at_restores_of(&self, cluster: &str) {
        self.0.get().iter().for_each(|known| known.restores.look_at_those_of(cluster));
    }

    /// What a change of an object asks for.
    pub(super) fn asks<K: OfCluster>(
        &self,
    ) -> impl FnMut(&Event<DeserializeGuard<K>>, &[String]) + Send + 'static + use<K> {
        let neighbours = self.clone();
        move |event, _| {
            let Some(Known { clusters, snapshots, restores }) = neighbours.0.get() else { return };
            match event {
                Event::Apply(object) | Event::Delete(object) => {
                    if let Ok(object) = &object.0 {
                        clusters.queue.push(object.cluster());
                        restores.look_at_those_of(object.cluster());
                        object.snapshot().iter().for_each(|snapshot| snapshots.queue.push(snapshot));
                    }
                }
                // After a gap in the watch, what was deleted meanwhile shows only by its absence.
                Event::InitDone => {
                    clusters.look_at_all();
                    snapshots.look_at_all();
                    restores.look_at_all();
                }
                Event::Init | Event::InitApply(_) => {}
            }
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

#[cfg(test)]
mod tests {
    use super::super::tests::{asked, watched};
    use super::*;
    use crate::restore::fixtures::{ASKED_AT, drill, drilled, in_place, seen, tried};
    use crate::restore::observed::{Act, Task};
    use crate::restore::tests::after_passes;

    #[test]
    fn a_restore_concerns_its_cluster_the_others_of_it_and_the_snapshot_that_it_tried() {
        let mut elsewhere = in_place();
        (elsewhere.metadata.name, elsewhere.spec.cluster) = (Some("elsewhere".into()), "guides".into());
        let (clusters, snapshots, restores) = (watched([]), watched([]), watched([drill(), in_place(), elsewhere]));
        let neighbours = Neighbours::default();
        neighbours.are(&clusters, &snapshots, &restores);
        let mut asks = neighbours.asks::<RagRestore>();
        let passed = after_passes(drill(), &tried(seen(), Task::Drill, 1, Act::Done(drilled(100.0))), ASKED_AT);
        asks(&Event::Apply(DeserializeGuard(Ok(passed))), &[]);
        assert_eq!(asked(&clusters), ["handbook"]);
        assert_eq!(asked(&restores), ["undo", "weekly"]);
        assert_eq!(asked(&snapshots), ["daily-7"]);
        // What came to nothing yet has nothing to say of a snapshot.
        asks(&Event::Delete(DeserializeGuard(Ok(drill()))), &[]);
        assert_eq!((asked(&clusters).len(), asked(&snapshots).len()), (1, 0));
        asks(&Event::InitDone, &[]);
        assert_eq!(asked(&restores), ["elsewhere", "undo", "weekly"]);
    }
}
