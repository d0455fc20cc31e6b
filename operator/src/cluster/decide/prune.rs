//! What is in surplus: ours, live, and no longer wanted.
//!
//! A configuration stays as long as a pod may need it. Volumes are never in surplus: data is only removed with its cluster,
//! and only where the spec says so.

use std::collections::BTreeSet;

use k8s_openapi::Metadata;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::revision::PlannedRevision;
use crate::api::{Credential, Revision};
use crate::cluster::observed::{ChildKind, ObjectRef, Observed, revision_of};
use crate::cluster::validate::ValidatedCluster;

/// Revisions that are kept besides the one that runs, so that going back finds what was frozen.
const HISTORY: usize = 10;

/// Everything that is to be removed, in a fixed order.
pub fn surplus(
    cluster: &ValidatedCluster,
    in_use: &BTreeSet<Revision>,
    qdrant_revision: Option<&PlannedRevision>,
    observed: &Observed,
) -> Vec<ObjectRef> {
    let live = &observed.children;
    let mut surplus = live.strays.clone();
    if cluster.autoscaling.is_none() {
        surplus.extend(reference(ChildKind::HorizontalPodAutoscaler, live.autoscaler.as_ref()));
    }
    if cluster.network.is_none() {
        surplus.extend(reference(ChildKind::NetworkPolicy, live.network_policy.as_ref()));
        surplus.extend(reference(ChildKind::NetworkPolicy, live.qdrant_network_policy.as_ref()));
    }
    if !cluster.lends() {
        surplus.extend(reference(ChildKind::Service, live.management.as_ref()));
    }
    surplus.extend(configs(cluster, in_use, observed));
    surplus.extend(revisions(&cluster.name.server(), in_use, observed));
    if let Some(revision) = qdrant_revision {
        surplus.extend(revisions(&cluster.name.qdrant(), &store_revisions_in_use(revision, observed), observed));
    }
    surplus.extend(secrets(cluster, observed));
    surplus
}

/// The revision that is to run and every other that a pod may still be made of: until the servers have settled, those whose
/// configuration is there, since a ReplicaSet makes pods of an old revision again while no pod of it exists at the moment.
pub(super) fn revisions_in_use(revision: &PlannedRevision, observed: &Observed) -> BTreeSet<Revision> {
    let mut in_use: BTreeSet<Revision> =
        observed.server_pods.iter().filter_map(|pod| revision_of(&pod.metadata)).collect();
    in_use.extend(observed.children.server_revision());
    in_use.insert(revision.name.clone());
    if !observed.children.deployment.as_ref().is_some_and(have_settled) {
        in_use.extend(observed.children.configs.iter().filter_map(|config| revision_of(&config.metadata)));
    }
    in_use
}

/// The store's revision that is to run, the one that is applied and the one that has the data.
fn store_revisions_in_use(revision: &PlannedRevision, observed: &Observed) -> BTreeSet<Revision> {
    let pods = observed.qdrant_pods.iter().filter_map(|pod| revision_of(&pod.metadata));
    pods.chain(observed.children.qdrant_revision()).chain([revision.name.clone()]).collect()
}

/// Every server that is wanted is of the Deployment's template and available, and there is no other.
fn have_settled(deployment: &Deployment) -> bool {
    let Some(status) = &deployment.status else { return false };
    let wanted = deployment.spec.replicas.unwrap_or(1);
    let is_seen = status.observed_generation.is_some() && status.observed_generation >= deployment.metadata.generation;
    let counts = [status.updated_replicas, status.replicas, status.available_replicas];
    is_seen && counts.into_iter().all(|count| count.unwrap_or(0) == wanted)
}

fn configs(cluster: &ValidatedCluster, in_use: &BTreeSet<Revision>, observed: &Observed) -> Vec<ObjectRef> {
    let wanted: BTreeSet<String> = in_use.iter().map(|revision| cluster.name.config(revision)).collect();
    let is_surplus = |name: &Option<String>| name.as_ref().is_some_and(|name| !wanted.contains(name));
    let configs = observed.children.configs.iter().filter(|config| is_surplus(&config.metadata.name));
    configs.filter_map(|config| reference(ChildKind::ConfigMap, Some(config))).collect()
}

fn revisions(workload: &str, in_use: &BTreeSet<Revision>, observed: &Observed) -> Vec<ObjectRef> {
    let prefix = format!("{workload}-");
    let revision = |object: &ControllerRevision| {
        object.metadata.name.as_deref().and_then(|name| name.strip_prefix(&prefix)).and_then(Revision::parse)
    };
    let is_idle = |object: &&ControllerRevision| revision(object).is_some_and(|revision| !in_use.contains(&revision));
    let mut idle: Vec<&ControllerRevision> = observed.children.revisions.iter().filter(is_idle).collect();
    idle.sort_by_key(|object| (std::cmp::Reverse(object.revision), object.metadata.name.clone()));
    idle.into_iter().skip(HISTORY).filter_map(|object| reference(ChildKind::ControllerRevision, Some(object))).collect()
}

/// The Secrets of clients that are gone from the spec.
fn secrets(cluster: &ValidatedCluster, observed: &Observed) -> Vec<ObjectRef> {
    let secrets = &observed.children.secrets;
    let keys = secrets.client_keys.iter().filter(|(client, _)| !cluster.clients.contains_key(client));
    let generations = secrets.generations.iter().filter(|((credential, _), _)| match credential {
        Credential::ApiKey(client) => !cluster.clients.contains_key(client),
        Credential::Operator | Credential::VectorStore => false,
    });
    let surplus: Vec<&Secret> = keys.map(|(_, secret)| secret).chain(generations.map(|(_, secret)| secret)).collect();
    surplus.into_iter().filter_map(|secret| reference(ChildKind::Secret, Some(secret))).collect()
}

/// Nothing where it is on its way out: a finalizer of somebody else's may take its time.
fn reference<K: Metadata<Ty = ObjectMeta>>(kind: ChildKind, object: Option<&K>) -> Option<ObjectRef> {
    let metadata = object?.metadata();
    if metadata.deletion_timestamp.is_some() {
        return None;
    }
    ObjectRef::of(kind, metadata)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures::{EMBEDDED, applied, cluster, nothing, pass};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    fn pruned(spec: &str, observed: &Observed) -> Vec<String> {
        let (_, plan, _) = pass(&cluster(spec), observed);
        plan.prune.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_on_its_way_out_already_is_not_removed_again() {
        let mut world = applied(&cluster("{}"), &nothing());
        let is_off = "{autoscaling: {enabled: false}, replicas: 4}";
        assert_eq!(pruned(is_off, &world).len(), 1);
        let now = Time(world.now);
        world.children.autoscaler.as_mut().unwrap().metadata.deletion_timestamp = Some(now);
        assert!(pruned(is_off, &world).is_empty());
    }

    #[test]
    fn what_the_spec_no_longer_asks_for_is_removed() {
        let world = applied(&cluster("auth: {apiKeys: [{name: nightly}, {name: web}]}"), &nothing());
        let spec = "{autoscaling: {enabled: false}, networkPolicy: {enabled: false}, auth: {apiKeys: [{name: web}]}}";
        assert_eq!(
            pruned(spec, &world),
            [
                "HorizontalPodAutoscaler/handbook",
                "NetworkPolicy/handbook-server",
                "NetworkPolicy/handbook-qdrant",
                "Secret/handbook-key-nightly",
                "Secret/handbook-api-key-nightly-g1",
            ]
        );
    }

    #[test]
    fn the_way_to_a_lender_goes_with_the_snapshots_that_it_was_for() {
        let snapshots = "snapshots: {destinations: [{name: near, volume: {claimName: archive}}]}";
        let with = EMBEDDED.replace("embedded: {}}", &format!("embedded: {{}}}}, {snapshots}"));
        let world = applied(&cluster(&with), &nothing());
        assert!(pruned(&with, &world).is_empty());
        assert_eq!(pruned(EMBEDDED, &world), ["Service/handbook-management"]);
    }

    #[test]
    fn the_configuration_of_an_old_revision_stays_while_a_pod_may_be_made_of_it() {
        let old = cluster("{}");
        let world = applied(&old, &nothing());
        let new = "retrieval: {topK: 6}";
        // The Deployment still has the old template: nothing may go yet, pods or not.
        let mut without_pods = world.clone();
        without_pods.server_pods.clear();
        assert!(pruned(new, &without_pods).is_empty());
        let mut rolling = applied(&cluster(new), &world);
        let old_pods = world.server_pods.clone();
        rolling.server_pods.extend(old_pods);
        assert!(pruned(new, &rolling).is_empty());
        let settled = applied(&cluster(new), &rolling);
        let surplus = pruned(new, &settled);
        assert_eq!(surplus.len(), 1, "{surplus:?}");
        assert!(surplus[0].starts_with("ConfigMap/handbook-config-"));
    }

    #[test]
    fn the_configuration_of_an_old_revision_stays_while_a_roll_out_is_stuck_without_a_pod_of_it() {
        let new = cluster("retrieval: {topK: 6}");
        let world = applied(&new, &applied(&cluster("{}"), &nothing()));
        let left = |change: fn(&mut Deployment)| {
            let mut world = world.clone();
            change(world.children.deployment.as_mut().unwrap());
            world.server_pods.clear();
            pruned("retrieval: {topK: 6}", &world)
        };
        // As if the last servers of the old revision had gone at one moment; settled, it is in surplus.
        assert_eq!(left(|_| {}).len(), 1);
        let unsettled: [fn(&mut Deployment); 6] = [
            |deployment| deployment.status.as_mut().unwrap().updated_replicas = Some(0),
            |deployment| deployment.status.as_mut().unwrap().replicas = Some(4),
            |deployment| deployment.status.as_mut().unwrap().available_replicas = Some(2),
            |deployment| deployment.metadata.generation = Some(2),
            |deployment| deployment.spec.replicas = Some(4),
            |deployment| deployment.status = None,
        ];
        for change in unsettled {
            assert_eq!(left(change), [] as [String; 0]);
        }
    }

    #[test]
    fn live_settings_are_those_of_a_revision_that_may_come_back() {
        let mut world = applied(&cluster("{}"), &nothing());
        for revision in &mut world.children.revisions {
            revision.data.0["configSchema"] = serde_json::json!(1);
        }
        let new = "{retrieval: {topK: 6}, budget: {monthlyUsd: 200}}";
        let mut stuck = applied(&cluster(new), &world);
        stuck.server_pods.clear();
        stuck.children.deployment.as_mut().unwrap().status.as_mut().unwrap().updated_replicas = Some(0);
        assert_eq!(pass(&cluster(new), &stuck).1.live_schema, 1);
    }

    #[test]
    fn old_revisions_are_kept_up_to_the_history_and_the_running_one_always() {
        let first = cluster("retrieval: {topK: 1}");
        let mut world = applied(&first, &nothing());
        for top_k in 2..20 {
            world = applied(&cluster(&format!("retrieval: {{topK: {top_k}}}")), &world);
            world = applied(&cluster(&format!("retrieval: {{topK: {top_k}}}")), &world);
        }
        let servers = |world: &Observed| {
            let names = world.children.revisions.iter().filter_map(|revision| revision.metadata.name.clone());
            names.filter(|name| name.starts_with("handbook-server-")).count()
        };
        assert_eq!(servers(&world), HISTORY + 1);
        assert_eq!(world.children.configs.len(), 1);
    }

    #[test]
    fn strays_of_ours_are_removed() {
        let mut world = applied(&cluster("{}"), &nothing());
        let stray = ObjectRef { kind: ChildKind::Service, name: "handbook-old".to_owned(), uid: "u".to_owned() };
        world.children.strays.push(stray.clone());
        assert_eq!(pruned("{}", &world), [stray.to_string()]);
    }
}
