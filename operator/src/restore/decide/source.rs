//! What is restored, and what keeps it from being restored.

use std::fmt;

use jiff::Timestamp;

use super::super::observed::{Archived, ClusterSeen, Seen, SnapshotSeen, SnapshotState};
use crate::api::ConditionReason;
use crate::api::restore::{ArchiveSource, RagRestoreSpec, RestoreMode};

/// A snapshot in an archive, as the command is told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The destination.
    pub destination: String,
    /// Its name there. Absent: the newest.
    pub name: Option<String>,
    /// Of those that began before this time.
    pub before: Option<Timestamp>,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { destination, name, before } = self;
        match (name, before) {
            (Some(name), _) => write!(f, "snapshot {name} of destination {destination}"),
            (None, Some(before)) => {
                write!(f, "the newest snapshot of destination {destination} that began before {before}")
            }
            (None, None) => write!(f, "the newest snapshot of destination {destination}"),
        }
    }
}

/// What is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The class of the cause.
    pub reason: ConditionReason,
    /// The sentence, with what to do.
    pub why: String,
    /// Whether it may go away by itself.
    pub may_pass: bool,
}

impl Obstacle {
    fn for_now(reason: ConditionReason, why: String) -> Self {
        Self { reason, why, may_pass: true }
    }

    fn for_good(reason: ConditionReason, why: String) -> Self {
        Self { reason, why, may_pass: false }
    }
}

/// What is restored by a spec that was asked for at `created_at`.
///
/// # Errors
/// Whatever is in the way.
pub fn source(spec: &RagRestoreSpec, created_at: Timestamp, seen: &Seen) -> Result<Source, Obstacle> {
    if spec.in_namespace.is_some() {
        return elsewhere(spec, created_at, seen);
    }
    let cluster = ready(spec, seen)?;
    let source = asked_for(spec, cluster, seen, created_at)?;
    match &cluster.missing {
        Some((reason, why)) => Err(Obstacle::for_now(*reason, why.clone())),
        None => Ok(source),
    }
}

/// What a full drill restores. Its cluster is made of the archive alone, so that it does not matter how the drilled one is.
fn elsewhere(spec: &RagRestoreSpec, created_at: Timestamp, seen: &Seen) -> Result<Source, Obstacle> {
    if let Some((reason, why)) = seen.elsewhere.as_ref().and_then(|there| there.barred.as_ref()) {
        return Err(Obstacle::for_good(*reason, why.clone()));
    }
    let cluster = present(spec, seen)?;
    let source = asked_for(spec, cluster, seen, created_at)?;
    let destinations = cluster.snapshots.iter().flat_map(|snapshots| &snapshots.destinations);
    let mut in_buckets = destinations.filter(|destination| destination.s3.is_some());
    if in_buckets.any(|destination| destination.name == source.destination) {
        return Ok(as_recorded(source, seen));
    }
    let why = format!(
        "destination {} of RagCluster {} is a volume, and no other namespace can mount its claim: a full drill needs a bucket; \
         name a destination in one by spec.source.archive.destination of another RagRestore",
        source.destination, spec.cluster
    );
    Err(Obstacle::for_good(ConditionReason::Skipped, why))
}

/// Once it is said which snapshot is tried, it is that one: what is found out about it must not be said of a newer one.
fn as_recorded(source: Source, seen: &Seen) -> Source {
    let recorded = seen.recorded.as_ref().filter(|recorded| recorded.destination == source.destination);
    match recorded {
        Some(recorded) => Source { name: Some(recorded.snapshot.clone()), before: None, ..source },
        None => source,
    }
}

fn asked_for(
    spec: &RagRestoreSpec,
    cluster: &ClusterSeen,
    seen: &Seen,
    created_at: Timestamp,
) -> Result<Source, Obstacle> {
    let asked = spec.source.clone().unwrap_or_default();
    match (asked.snapshot_ref, asked.archive) {
        (Some(by_reference), _) => of_snapshot(spec, cluster, seen, &by_reference.name),
        (None, Some(archive)) => of_archive(spec, (cluster, seen), &archive, created_at),
        (None, None) if spec.mode == RestoreMode::InPlace => Err(Obstacle::for_good(
            ConditionReason::InvalidSpec,
            "spec.source names nothing: create another RagRestore that names what is restored".to_owned(),
        )),
        (None, None) => of_archive(spec, (cluster, seen), &ArchiveSource::default(), created_at),
    }
}

/// The cluster, however it is.
fn present<'a>(spec: &RagRestoreSpec, seen: &'a Seen) -> Result<&'a ClusterSeen, Obstacle> {
    seen.cluster.as_ref().ok_or_else(|| {
        let why = format!("there is no RagCluster {} in this namespace; create it", spec.cluster);
        Obstacle::for_now(ConditionReason::ClusterMissing, why)
    })
}

/// The cluster, where Jobs may be run for it.
fn ready<'a>(spec: &RagRestoreSpec, seen: &'a Seen) -> Result<&'a ClusterSeen, Obstacle> {
    let name = &spec.cluster;
    let cluster = present(spec, seen)?;
    if cluster.is_embedded && spec.mode == RestoreMode::InPlace {
        let why = format!(
            "the store of RagCluster {name} is inside its server, and no Job can write to it: run rag-server snapshot restore \
             where the data is, while the server is stopped; mode Drill tries a snapshot in an empty store"
        );
        return Err(Obstacle::for_good(ConditionReason::Unsupported, why));
    }
    if cluster.is_paused {
        let why = format!("spec.paused of RagCluster {name} is true; remove it");
        return Err(Obstacle::for_now(ConditionReason::Paused, why));
    }
    if let Some((reason, why)) = &cluster.not_ready {
        return Err(Obstacle::for_now(*reason, why.clone()));
    }
    Ok(cluster)
}

/// A destination that the cluster has.
fn destination(spec: &RagRestoreSpec, cluster: &ClusterSeen, asked: Option<&str>) -> Result<String, Obstacle> {
    let name = &spec.cluster;
    let known = |asked: &str| cluster.destinations.iter().any(|known| known == asked);
    let why = match (asked, cluster.destinations.first()) {
        (Some(asked), _) if known(asked) => return Ok(asked.to_owned()),
        (None, Some(first)) => return Ok(first.clone()),
        (Some(asked), Some(_)) => {
            let all = cluster.destinations.join(", ");
            format!("spec.snapshots.destinations of RagCluster {name} names no {asked}, but: {all}")
        }
        (Some(asked), None) => format!("spec.snapshots.destinations of RagCluster {name} is empty; add {asked}"),
        (None, None) => format!("spec.snapshots.destinations of RagCluster {name} is empty; name where snapshots are"),
    };
    Err(Obstacle::for_now(ConditionReason::NoDestination, why))
}

/// The snapshot of a RagSnapshot.
fn of_snapshot(spec: &RagRestoreSpec, cluster: &ClusterSeen, seen: &Seen, name: &str) -> Result<Source, Obstacle> {
    let Some(snapshot) = seen.snapshots.iter().find(|snapshot| snapshot.name == name) else {
        let why = format!(
            "there is no RagSnapshot {name} in this namespace; create another RagRestore that names the snapshot by \
             spec.source.archive.name, which needs no RagSnapshot"
        );
        return Err(Obstacle::for_now(ConditionReason::SnapshotMissing, why));
    };
    if snapshot.cluster != spec.cluster {
        let (theirs, ours) = (&snapshot.cluster, &spec.cluster);
        let why = format!(
            "RagSnapshot {name} is of RagCluster {theirs}, not of {ours}: give {ours} a destination with the prefix of {theirs}, \
             and name the snapshot by spec.source.archive"
        );
        return Err(Obstacle::for_good(ConditionReason::InvalidSpec, why));
    }
    match &snapshot.state {
        SnapshotState::Taken(archived) => Ok(Source {
            destination: destination(spec, cluster, Some(&archived.destination))?,
            name: Some(archived.name.clone()),
            before: None,
        }),
        SnapshotState::Taking(why) => {
            let why = format!("RagSnapshot {name} is being taken: {why}");
            Err(Obstacle::for_now(ConditionReason::Waiting, why))
        }
        SnapshotState::Failed { why, .. } => {
            let why = format!("RagSnapshot {name} was not taken: {why}; name another one");
            Err(Obstacle::for_good(ConditionReason::SnapshotMissing, why))
        }
    }
}

/// A snapshot in an archive. The newest of a restore in place is the newest of when it was asked for, not the one that is taken
/// of what is served before it.
fn of_archive(
    spec: &RagRestoreSpec,
    (cluster, seen): (&ClusterSeen, &Seen),
    asked: &ArchiveSource,
    created_at: Timestamp,
) -> Result<Source, Obstacle> {
    let destination = destination(spec, cluster, asked.destination.as_deref())?;
    let newest_before = asked.newest_before.as_ref().map(|before| before.0);
    let (name, before) = match (&asked.name, spec.mode) {
        (Some(name), _) => (Some(name.clone()), None),
        (None, RestoreMode::InPlace) => (None, Some(newest_before.unwrap_or(created_at).min(created_at))),
        (None, RestoreMode::Drill) => (newest_known(seen, spec, &destination, newest_before), newest_before),
    };
    if let (None, Some(before), RestoreMode::Drill) = (&name, before, spec.mode) {
        let why = format!(
            "no RagSnapshot of RagCluster {} is in destination {destination} and began before {before}; name a snapshot by \
             spec.source.archive.name",
            spec.cluster
        );
        return Err(Obstacle::for_good(ConditionReason::SnapshotMissing, why));
    }
    let before = before.filter(|_| name.is_none());
    Ok(Source { destination, name, before })
}

/// The newest snapshot of a destination that has a RagSnapshot: a drill says of which it was, also when it fails.
fn newest_known(seen: &Seen, spec: &RagRestoreSpec, destination: &str, before: Option<Timestamp>) -> Option<String> {
    let archived = seen.snapshots.iter().filter_map(|snapshot| taken(snapshot, &spec.cluster));
    let there = archived.filter(|archived| {
        archived.destination == destination && before.is_none_or(|before| archived.began_at < before)
    });
    there
        .max_by(|one, other| (one.began_at, &one.name).cmp(&(other.began_at, &other.name)))
        .map(|newest| newest.name.clone())
}

fn taken<'a>(snapshot: &'a SnapshotSeen, cluster: &str) -> Option<&'a Archived> {
    match &snapshot.state {
        SnapshotState::Taken(archived) if snapshot.cluster == cluster => Some(archived),
        SnapshotState::Taken(_) | SnapshotState::Taking(_) | SnapshotState::Failed { .. } => None,
    }
}
