//! Every procedure of a cluster, as it stands by its record: for the one lock of the cluster, and for what its status says comes
//! next. The only place that knows which kinds have procedures.

use kube::ResourceExt;

use crate::api::restore::RagRestore;
use crate::api::snapshot::RagSnapshot;
use crate::api::steps::StepStatus;
use crate::caches::Caches;
use crate::restore;
use crate::snapshot;
use crate::steps::Standing;

/// How the procedures of a cluster stand that have not ended, in the order of their names. One whose object is on its way out is
/// none any more.
pub fn standings(caches: &Caches, cluster: &str) -> Vec<Standing> {
    let (snapshots, restores) = (snapshots_of(caches, cluster), restores_of(caches, cluster));
    let mut standings: Vec<Standing> =
        snapshots.iter().map(of_snapshot).chain(restores.iter().map(of_restore)).collect();
    standings.retain(|standing| standing.current.is_some());
    standings.sort_by(|one, other| one.name.cmp(&other.name));
    standings
}

/// How those stand that go one after the other with `restore`: drills with drills, restores in place with restores in place.
pub fn peers(caches: &Caches, restore: &RagRestore) -> Vec<Standing> {
    let (name, mode) = (restore.name_any(), restore.spec.mode);
    let alike = |other: &&RagRestore| other.name_any() != name && other.spec.mode == mode && !other.spec.dry_run;
    let all = restores_of(caches, &restore.spec.cluster);
    if restore.spec.dry_run { Vec::new() } else { all.iter().filter(alike).map(of_restore).collect() }
}

fn of_snapshot(snapshot: &RagSnapshot) -> Standing {
    Standing::of(&snapshot::decide::taking(snapshot), steps(snapshot))
}

fn snapshots_of(caches: &Caches, cluster: &str) -> Vec<RagSnapshot> {
    let all = caches.snapshots.cache.state();
    let readable = all.iter().filter_map(|snapshot| snapshot.0.as_ref().ok());
    let of_it =
        readable.filter(|snapshot| snapshot.spec.cluster == cluster && snapshot.metadata.deletion_timestamp.is_none());
    of_it.filter(|snapshot| !snapshot::decide::has_ended(steps(snapshot))).cloned().collect()
}

fn steps(snapshot: &RagSnapshot) -> &[StepStatus] {
    snapshot.status.as_ref().map(|status| status.steps.as_slice()).unwrap_or_default()
}

fn of_restore(restore: &RagRestore) -> Standing {
    let recorded = restore.status.as_ref().map(|status| status.steps.as_slice()).unwrap_or_default();
    Standing::of(&restore::decide::procedure(restore), recorded)
}

fn restores_of(caches: &Caches, cluster: &str) -> Vec<RagRestore> {
    let all = caches.restores.cache.state();
    let readable = all.iter().filter_map(|restore| restore.0.as_ref().ok());
    let of_it =
        readable.filter(|restore| restore.spec.cluster == cluster && restore.metadata.deletion_timestamp.is_none());
    of_it.filter(|restore| !restore::status::has_ended(restore)).cloned().collect()
}
