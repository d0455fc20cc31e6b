//! Reads the RagSnapshots and RagRestores of a cluster, and the Jobs that remove copies.

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;

use crate::api::{ClusterName, RagCluster};
use crate::caches::Caches;
use crate::cluster::observed::{Reading, Removal, RemovalState, Restore, Snapshot};
use crate::context::Context;
use crate::job::{Looked, look_at, made_for};

/// The command of a Job that removes copies of snapshots; their names follow it.
pub(in crate::cluster) const REMOVE: &str = "remove";

/// Whichever cluster of this name they are of: snapshots outlive their cluster.
pub(super) fn snapshots_of(caches: &Caches, cluster: &str) -> Vec<Snapshot> {
    let all = caches.snapshots.cache.state();
    let readable = all.iter().filter_map(|snapshot| snapshot.0.as_ref().ok());
    let ours = readable.filter(|snapshot| snapshot.spec.cluster == cluster);
    let mut snapshots: Vec<Snapshot> = ours.filter_map(Snapshot::of).collect();
    snapshots.sort_by(|one, other| one.name.cmp(&other.name));
    snapshots
}

/// Of those that are in an archive.
pub(super) fn readings_of(caches: &Caches, cluster: &str) -> Vec<Reading> {
    let all = caches.snapshots.cache.state();
    let readable = all.iter().filter_map(|snapshot| snapshot.0.as_ref().ok());
    let ours = readable.filter(|snapshot| snapshot.spec.cluster == cluster);
    let mut readings: Vec<Reading> = ours.filter_map(Reading::of).collect();
    readings.sort_by(|one, other| one.snapshot.cmp(&other.snapshot));
    readings
}

/// One at a time for each destination, under the name that the destination gives it.
pub(super) fn removals_of(context: &Context, caches: &Caches, cluster: &RagCluster) -> Vec<Removal> {
    let (name, uid) = (ClusterName::parse(&cluster.name_any()), cluster.uid().unwrap_or_default());
    let (Ok(name), Some(snapshots)) = (name, &cluster.spec.snapshots) else { return Vec::new() };
    let removal = |destination: &str| {
        let job = name.removal(destination);
        let state = match look_at(caches, &uid, &job) {
            Looked::NotThere if made_for(caches, &uid, |made| made == job).is_empty() => return None,
            Looked::NotThere => RemovalState::Remains,
            Looked::Pending { .. } | Looked::Running => RemovalState::UnderWay,
            Looked::Done { .. } => RemovalState::Done,
            Looked::Failed { failure, at } => {
                RemovalState::Failed { at: at.unwrap_or_else(context.now), message: failure.words() }
            }
        };
        let names = caches.jobs.named(&job).map(|job| names_of(&job)).unwrap_or_default();
        Some(Removal { destination: destination.to_owned(), names, state })
    };
    snapshots.destinations.iter().filter_map(|destination| removal(&destination.name)).collect()
}

/// What a Job removes, as its command says.
fn names_of(job: &Job) -> Vec<String> {
    let pods = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let args = pods.into_iter().flat_map(|pods| &pods.containers).flat_map(|container| container.args.iter().flatten());
    let names = args.skip_while(|arg| *arg != REMOVE).skip(1).take_while(|arg| !arg.starts_with('-'));
    names.cloned().collect()
}

pub(super) fn restores_of(caches: &Caches, cluster: &str) -> Vec<Restore> {
    let all = caches.restores.cache.state();
    let readable = all.iter().filter_map(|restore| restore.0.as_ref().ok());
    let mut restores: Vec<Restore> =
        readable.filter(|restore| restore.spec.cluster == cluster).filter_map(Restore::of).collect();
    restores.sort_by(|one, other| one.name.cmp(&other.name));
    restores
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_job_says_itself_what_it_removes() {
        let args = ["--config", "c", "snapshot", "remove", "one", "two", "--report", "r"];
        let pods = json!({"containers": [{"name": "job", "args": args}]});
        let job = serde_json::from_value(json!({"spec": {"template": {"spec": pods}}})).unwrap();
        assert_eq!(names_of(&job), ["one", "two"]);
        assert!(names_of(&Job::default()).is_empty());
    }
}
