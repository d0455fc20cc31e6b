//! What should be: a validated cluster and the facts become a plan.
//!
//! Pure: no client, no runtime, no clock; time and randomness stand in the facts. Every decider looks at the facts anew, so a
//! step that was interrupted is recognised and taken up again. The plan is a value; who carries it out decides nothing.

pub mod ceiling;
pub mod corpus;
pub mod credentials;
pub mod prune;
pub mod removal;
pub mod replace;
pub mod retention;
pub mod revision;
pub mod scaling;
pub mod schedule;
pub mod snapshots;
pub mod verification;
pub mod volume;

use super::observed::{ObjectRef, Observed};
use super::validate::{Problem, ValidatedCluster};
use crate::api::{CorpusId, Revision};
use credentials::CredentialPlan;
use revision::{PlannedRevision, Revisions};
use scaling::Size;
use snapshots::SnapshotsPlan;
use volume::Growth;

/// What should be, and what is in surplus.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Nothing is to be written: the spec says so.
    pub paused: bool,
    /// What tells the corpus from that of a namesake elsewhere.
    pub corpus: CorpusId,
    /// What keeps a new revision from being made.
    pub held: Vec<Problem>,
    /// The servers' revision that the spec asks for, while it is not made.
    pub awaited: Option<Revision>,
    /// The revision that the servers run.
    pub revision: PlannedRevision,
    /// The revision that the managed vector store runs, where there is one.
    pub qdrant_revision: Option<PlannedRevision>,
    /// Whether servers of another revision may still run.
    pub is_rolling_out: bool,
    /// The version of the configuration's schema in which the live settings are rendered: servers of every revision read them.
    pub live_schema: u32,
    /// How many servers, and who says so.
    pub size: Size,
    /// Which generations of which credentials exist.
    pub credentials: CredentialPlan,
    /// The pods of the managed vector store that are of an earlier revision.
    pub outdated: Vec<ObjectRef>,
    /// The claim of the vector store's volume, while it is to ask for more.
    pub growth: Option<Growth>,
    /// The StatefulSet of the managed vector store, while it is to be removed without its pod and made again.
    pub remade: Option<ObjectRef>,
    /// What is to be removed, last of all.
    pub prune: Vec<ObjectRef>,
    /// Snapshots and trials of a restore, where they are asked for.
    pub snapshots: Option<SnapshotsPlan>,
}

/// Asks the deciders in turn.
pub fn decide(cluster: &ValidatedCluster, observed: &Observed) -> Plan {
    let Revisions { held, awaited, servers, qdrant } = revision::revisions(cluster, observed);
    let credentials = credentials::credentials(cluster, observed);
    let in_use = prune::revisions_in_use(&servers, observed);
    let prune = prune::surplus(cluster, &in_use, qdrant.as_ref(), observed);
    // Whoever made it again now would make it of what the spec asks for, and not of what is held.
    let remade = volume::remade(cluster, observed).filter(|_| held.is_empty());
    Plan {
        paused: cluster.paused,
        corpus: corpus::id(observed),
        held,
        awaited,
        is_rolling_out: in_use.len() > 1,
        live_schema: revision::live_schema(cluster, &servers, &in_use, observed),
        revision: servers,
        qdrant_revision: qdrant,
        size: scaling::size(cluster, observed),
        credentials,
        outdated: replace::outdated(observed),
        growth: volume::growth(cluster, observed),
        remade,
        prune,
        snapshots: snapshots::snapshots(cluster, observed),
    }
}

#[cfg(test)]
mod tests {
    use crate::cluster::fixtures::{applied, cluster, nothing, pass};
    use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};

    const SPECS: [&str; 7] = [
        "{}",
        "replicas: 7",
        "{replicas: 4, autoscaling: {enabled: false}}",
        "retrieval: {topK: 9}",
        "auth: {apiKeys: [{name: nightly, role: Writer}, {name: web}]}",
        "{networkPolicy: {enabled: false}, readOnly: true}",
        "{image: 'example.com/other:1', vectorStore: {qdrant: {image: 'example.com/store:2'}}}",
    ];

    #[test]
    fn a_paused_cluster_is_planned_all_the_same() {
        let (_, plan, _) = pass(&cluster("paused: true"), &nothing());
        assert!(plan.paused);
        assert_eq!(plan.size.apply, Some(3));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn any_sequence_of_specs_and_operators_ends_in_a_stable_plan(
            steps in proptest::collection::vec((0..SPECS.len(), 0..3u8), 1..8),
        ) {
            let mut world = nothing();
            for (spec, release) in &steps {
                world.defaults.server_image = format!("example.com/rag-server:0.{release}.0");
                world = applied(&cluster(SPECS[*spec]), &world.later(60));
            }
            // What an old revision left behind may go only after the servers have settled on the new one.
            let last = cluster(SPECS[steps[steps.len() - 1].0]);
            let world = applied(&last, &world);
            let (_, plan, children) = pass(&last, &world.clone().later(3600));
            prop_assert!(plan.prune.is_empty(), "{:?}", plan.prune);
            prop_assert!(plan.outdated.is_empty(), "{:?}", plan.outdated);
            prop_assert!(children.minted.is_empty());
            prop_assert!(plan.revision.frozen.is_some());
            let live = &world.children;
            let mut deployment = live.deployment.clone().unwrap();
            let count = deployment.spec.replicas.take();
            prop_assert_eq!(children.deployment.spec, deployment.spec);
            prop_assert!(children.replicas.is_none_or(|replicas| Some(replicas.count) == count));
            prop_assert_eq!(children.server_secret, live.secrets.server.clone());
            prop_assert_eq!(Some(children.live), live.live.clone());
            prop_assert_eq!(Some(children.corpus), live.corpus.clone());
            prop_assert_eq!(
                children.autoscaler.map(|autoscaler| autoscaler.spec),
                live.autoscaler.clone().map(|autoscaler| autoscaler.spec)
            );
        }
    }
}
