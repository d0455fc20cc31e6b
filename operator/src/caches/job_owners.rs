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

#[cfg(test)]
mod tests {
    use super::super::tests::{asked, watched};
    use super::*;
    use crate::restore::fixtures::{drill, in_place};
    use k8s_openapi::api::batch::v1::Job;
    use serde_json::json;

    fn job(kind: &str) -> Job {
        let labels = json!({labels::OWNER_KIND: kind, labels::OWNER: "its-owner"});
        serde_json::from_value(json!({"metadata": {"name": "j", "labels": labels}})).unwrap()
    }

    #[test]
    fn a_job_asks_for_a_look_at_the_object_that_it_was_made_for_and_a_gap_for_a_look_at_all() {
        let (clusters, snapshots, restores) = (watched([]), watched([]), watched([drill(), in_place()]));
        let mut asks = JobOwners::of(&clusters, &snapshots, &restores).asks::<Job>();
        let mut after = |event: Event<Job>| {
            asks(&event);
            (asked(&clusters).len(), asked(&snapshots).len(), asked(&restores).len())
        };
        assert_eq!(after(Event::Apply(job("RagCluster"))), (1, 0, 0));
        assert_eq!(after(Event::Delete(job("RagSnapshot"))), (0, 1, 0));
        assert_eq!(after(Event::Apply(job("RagRestore"))), (0, 0, 1));
        assert_eq!(after(Event::Apply(job("CronJob"))), (0, 0, 0));
        assert_eq!(after(Event::InitDone), (0, 0, 2));
    }
}
