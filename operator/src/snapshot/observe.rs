//! Reads what a pass over a RagSnapshot needs, from the caches; of the users' Secrets and claims, whether they exist.

use std::sync::Arc;

use kube::ResourceExt;
use kube::core::DeserializeGuard;

use super::decide::{has_ended, is_taken, is_taking, recorded, removal_base, take_base};
use super::observed::{Observed, Obstacle, Way};
use crate::api::progress::JobProgress;
use crate::api::snapshot::RagSnapshot;
use crate::caches::Caches;
use crate::context::Context;
use crate::job::{
    Archive, Attached, Looked, attempt_name, attempt_number, made_for, missing, newest_attempt, servers_of,
};
use crate::procedures;

/// Reads everything about `snapshot`.
pub(super) async fn observe(context: &Context, caches: &Caches, snapshot: &RagSnapshot) -> Observed {
    let (name, uid) = (snapshot.name_any(), snapshot.uid().unwrap_or_default());
    let (take, removal) = (take_base(&name), removal_base(&name));
    let newest = |base: &str| newest_attempt(caches, &uid, base);
    let (taking, removing) = (newest(&take), newest(&removal));
    let is_under_way = [&taking, &removing]
        .iter()
        .any(|attempt| matches!(attempt, Some((_, Looked::Pending { .. } | Looked::Running))));
    let is_ours = |found: &str| attempt_number(&take, found).or(attempt_number(&removal, found)).is_some();
    Observed {
        now: (context.now)(),
        awake: context.awake(),
        // Nothing is begun beside a Job, so nobody is asked what stands in the way of one.
        way: way(context, caches, snapshot, (snapshot.spec.destination.as_deref(), !is_under_way)).await,
        sooner: sooner(caches, snapshot),
        reading: procedures::reading_under_way(caches, &snapshot.spec.cluster),
        progress: progress(context, snapshot, taking.as_ref()),
        take: taking,
        removal: removing,
        made: made_for(caches, &uid, is_ours),
    }
}

/// What the Job that takes it was last heard to say.
fn progress(context: &Context, snapshot: &RagSnapshot, taking: Option<&(u32, Looked)>) -> Option<JobProgress> {
    let Some((number, Looked::Running)) = taking else { return None };
    let job = attempt_name(&take_base(&snapshot.name_any()), *number);
    context.memory.how_far.of(&snapshot.namespace().unwrap_or_default(), &job)
}

/// What a Job needs that reaches this destination. `asks`: whether the users' objects are looked for.
pub(super) async fn way(
    context: &Context,
    caches: &Caches,
    snapshot: &RagSnapshot,
    (destination, asks): (Option<&str>, bool),
) -> Result<Way, Obstacle> {
    let namespace = snapshot.namespace().unwrap_or_default();
    let name = &snapshot.spec.cluster;
    let no_cluster = || Obstacle::ClusterMissing(name.clone());
    let cluster = caches.clusters.present(&namespace, name).ok_or_else(no_cluster)?;
    let archive = Archive::of(name, cluster.spec.snapshots.as_ref(), destination)?;
    let servers = servers_of(caches, &cluster)?;
    if cluster.spec.paused {
        return Err(Obstacle::Paused(name.clone()));
    }
    if asks && let Some(missing) = missing(context, &cluster, &archive).await {
        return Err(missing.into());
    }
    let attached = Attached::of(&cluster, servers.config.len());
    Ok(Way { servers, archive, attached })
}

/// The snapshot of the same cluster and destination that is taken before this one: the one that is being taken, or the oldest.
fn sooner(caches: &Caches, snapshot: &RagSnapshot) -> Option<String> {
    let all = caches.snapshots.cache.state();
    let readable = all.iter().filter_map(|found| found.0.as_ref().ok());
    let namespace = snapshot.namespace().unwrap_or_default();
    let first = caches
        .clusters
        .present(&namespace, &snapshot.spec.cluster)
        .and_then(|cluster| Some(cluster.spec.snapshots?.destinations.first()?.name.clone()));
    sooner_of(readable, snapshot, first.as_deref())
}

/// `first`: the destination of those that name none.
pub(super) fn sooner_of<'a>(
    all: impl Iterator<Item = &'a RagSnapshot>,
    snapshot: &RagSnapshot,
    first: Option<&str>,
) -> Option<String> {
    let destination = |of: &RagSnapshot| of.spec.destination.clone().or_else(|| first.map(str::to_owned));
    let (mine, my_rank) = (destination(snapshot), rank(snapshot));
    let others = all.filter(|other| {
        other.uid() != snapshot.uid()
            && other.spec.cluster == snapshot.spec.cluster
            && destination(other) == mine
            && !(has_ended(recorded(other)) || is_taken(recorded(other)))
    });
    // One that is deleted before its turn takes none; one that is being taken goes on until its Job has ended.
    let ahead = others.filter(|other| {
        let is_going = other.metadata.deletion_timestamp.is_some();
        is_taking(recorded(other)) || !is_going && rank(other) < my_rank
    });
    ahead.min_by_key(|other| (!is_taking(recorded(other)), rank(other))).map(ResourceExt::name_any)
}

fn rank(snapshot: &RagSnapshot) -> (Option<jiff::Timestamp>, String) {
    (snapshot.metadata.creation_timestamp.as_ref().map(|at| at.0), snapshot.name_any())
}

/// The snapshots that a change of these clusters concerns: those that name one of them and have not ended.
pub(crate) fn snapshots_of(all: &[Arc<DeserializeGuard<RagSnapshot>>], clusters: &[String]) -> Vec<String> {
    let readable = all.iter().filter_map(|found| found.0.as_ref().ok());
    readable
        .filter(|snapshot| clusters.contains(&snapshot.spec.cluster) && !has_ended(recorded(snapshot)))
        .map(ResourceExt::name_any)
        .collect()
}
