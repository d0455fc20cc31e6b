//! Every procedure of a cluster, as it stands by its record: for the one lock of the cluster, and for what its status says comes
//! next. The only place that knows which kinds have procedures.

use kube::ResourceExt;

use crate::api::restore::{RagRestore, RestoreMode};
use crate::api::snapshot::RagSnapshot;
use crate::caches::Caches;
use crate::restore;
use crate::snapshot;
use crate::snapshot::reading::decide::{self as reading, is_under_way};
use crate::steps::Standing;

/// How the procedures of a cluster stand that have not ended, in the order of their names. One whose object is on its way out is
/// none any more.
pub fn standings(caches: &Caches, cluster: &str) -> Vec<Standing> {
    let mut standings = snapshots_of(caches, cluster);
    standings.extend(readings_of(caches, cluster));
    standings.extend(restores_of(caches, cluster, |_| true));
    standings.retain(|standing| standing.current.is_some());
    standings.sort_by(|one, other| one.name.cmp(&other.name));
    standings
}

/// How those stand that go one after the other with `restore`: drills with drills, restores in place with restores in place.
pub fn peers(caches: &Caches, restore: &RagRestore) -> Vec<Standing> {
    // A full drill uses nothing that another one uses.
    if restore.spec.dry_run || restore.spec.in_namespace.is_some() {
        return Vec::new();
    }
    let (name, mode) = (restore.name_any(), restore.spec.mode);
    let mut peers = restores_of(caches, &restore.spec.cluster, |other| {
        let is_like = other.spec.mode == mode && !other.spec.dry_run && other.spec.in_namespace.is_none();
        other.name_any() != name && is_like
    });
    // A reading ends, or makes way.
    peers.extend(readings_of(caches, &restore.spec.cluster).filter(is_under_way));
    peers
}

/// How those restores stand that have not ended and do this.
pub fn restores(caches: &Caches, cluster: &str, mode: RestoreMode) -> Vec<Standing> {
    restores_of(caches, cluster, |restore| restore.spec.mode == mode)
}

/// The reading of a snapshot of the cluster that has a Job, or is about to have one.
pub fn reading_under_way(caches: &Caches, cluster: &str) -> Option<String> {
    readings_of(caches, cluster).find(is_under_way).map(|standing| standing.name)
}

/// How the readings stand of snapshots that are kept.
fn readings_of(caches: &Caches, cluster: &str) -> impl Iterator<Item = Standing> + use<> {
    let all = caches.snapshots.cache.state();
    let readable = all.iter().filter_map(|snapshot| snapshot.0.as_ref().ok());
    let of_it =
        readable.filter(|snapshot| snapshot.spec.cluster == cluster && snapshot.metadata.deletion_timestamp.is_none());
    let begun = of_it.filter(|snapshot| !reading::recorded(snapshot).is_empty());
    let standings: Vec<Standing> =
        begun.map(|snapshot| Standing::of(&reading::reading(snapshot), reading::recorded(snapshot))).collect();
    standings.into_iter().filter(|standing| standing.current.is_some())
}

fn snapshots_of(caches: &Caches, cluster: &str) -> Vec<Standing> {
    let all = caches.snapshots.cache.state();
    let readable = all.iter().filter_map(|snapshot| snapshot.0.as_ref().ok());
    let of_it =
        readable.filter(|snapshot| snapshot.spec.cluster == cluster && snapshot.metadata.deletion_timestamp.is_none());
    let going_on = of_it.filter(|snapshot| !snapshot::decide::has_ended(snapshot::decide::recorded(snapshot)));
    going_on.map(of_snapshot).collect()
}

fn of_snapshot(snapshot: &RagSnapshot) -> Standing {
    Standing::of(&snapshot::decide::taking(snapshot), snapshot::decide::recorded(snapshot))
}

fn restores_of(caches: &Caches, cluster: &str, counts: impl Fn(&RagRestore) -> bool) -> Vec<Standing> {
    let all = caches.restores.cache.state();
    let readable = all.iter().filter_map(|restore| restore.0.as_ref().ok());
    let of_it =
        readable.filter(|restore| restore.spec.cluster == cluster && restore.metadata.deletion_timestamp.is_none());
    of_it.filter(|restore| !restore::status::has_ended(restore) && counts(restore)).map(of_restore).collect()
}

fn of_restore(restore: &RagRestore) -> Standing {
    let recorded = restore.status.as_ref().map(|status| status.steps.as_slice()).unwrap_or_default();
    Standing::of(&restore::decide::procedure(restore), recorded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caches::tests::{empty, watched};
    use crate::restore::fixtures::{ASKED_AT, drill, full_drill, in_place, restore, seen};
    use crate::restore::tests::after_passes;
    use serde_json::json;

    fn names(standings: Vec<Standing>) -> Vec<String> {
        standings.into_iter().map(|standing| standing.name).collect()
    }

    #[tokio::test]
    async fn what_has_ended_is_on_its_way_out_or_is_of_another_cluster_is_no_procedure_of_it() {
        let mut caches = empty();
        let at_work = after_passes(drill(), &seen(), ASKED_AT);
        let previewed = restore("looked", json!({"cluster": "handbook", "mode": "Drill", "dryRun": true}));
        let ended = after_passes(previewed, &seen(), ASKED_AT);
        let mut going = at_work.clone();
        going.metadata.name = Some("going".into());
        going.metadata.deletion_timestamp = going.metadata.creation_timestamp.clone();
        let mut elsewhere = at_work.clone();
        (elsewhere.metadata.name, elsewhere.spec.cluster) = (Some("elsewhere".into()), "guides".into());
        caches.restores = watched([at_work, ended, going, elsewhere]);
        assert_eq!(names(standings(&caches, "handbook")), ["RagRestore weekly"]);
    }

    #[tokio::test]
    async fn drills_wait_for_drills_and_restores_for_restores_and_who_only_looks_for_nobody() {
        let mut caches = empty();
        let mut looking = drill();
        (looking.metadata.name, looking.spec.dry_run) = (Some("looking".into()), true);
        let mut second = drill();
        second.metadata.name = Some("second".into());
        caches.restores = watched([drill(), second, in_place(), looking.clone(), full_drill()]);
        assert_eq!(names(peers(&caches, &drill())), ["RagRestore second"]);
        assert_eq!(names(peers(&caches, &in_place())), [] as [&str; 0]);
        assert_eq!(names(peers(&caches, &looking)), [] as [&str; 0]);
        assert_eq!(names(peers(&caches, &full_drill())), [] as [&str; 0], "it uses nothing that they use");
    }
}
