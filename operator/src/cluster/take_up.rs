//! Carries out what schedules ask for: creates RagSnapshots and RagRestores, and removes those that are in surplus.
//!
//! Each has a name that its schedule and its time give it, so that who comes again creates nothing twice. They have no owner:
//! a snapshot outlives its cluster. What fails here keeps nothing of the servers from being applied.

use std::fmt::Debug;

use futures::FutureExt;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;

use super::build::snapshots::{drill, snapshot};
use super::decide::removal::Removing;
use super::decide::snapshots::{Surplus, SurplusKind};
use super::observe::REMOVE;
use super::status::Planned;
use crate::api::{RagCluster, RagRestore, RagSnapshot};
use crate::apply::CORE;
use crate::caches::{Caches, Kind, resource_name};
use crate::context::Context;
use crate::error::{Call, Error, Phase, Verb};
use crate::job::{Archive, Request, build, create, made_for, owner, remove, servers_of};
use crate::objects::{ObjectId, OwnKind};

/// A removal reads the manifests of an archive and deletes objects; an hour is long for both.
const REMOVAL_SECONDS: i64 = 3600;

/// Carries out the part of a plan that is about snapshots.
pub(super) async fn take_up(
    context: &Context,
    caches: &Caches,
    cluster: &RagCluster,
    planned: &Planned,
) -> Result<(), Error> {
    let Some(plan) = &planned.plan.snapshots else { return Ok(()) };
    let hand = Hand { context, object: ObjectId::of(cluster) };
    for due in &plan.due {
        hand.create(&snapshot(&planned.cluster, due)).await?;
    }
    for due in &plan.drills {
        hand.create(&drill(&planned.cluster, due)).await?;
    }
    for surplus in &plan.surplus {
        match surplus.kind {
            SurplusKind::Snapshot => hand.delete::<RagSnapshot>(surplus).await?,
            SurplusKind::Restore => hand.delete::<RagRestore>(surplus).await?,
        }
    }
    for act in &plan.removing {
        hand.remove(caches, cluster, planned, act).boxed().await?;
    }
    Ok(())
}

/// Writes for one cluster.
struct Hand<'a> {
    context: &'a Context,
    object: ObjectId,
}

impl Hand<'_> {
    /// One that exists is what an earlier pass has created, whose echo has not come yet.
    async fn create<K: OwnKind + Kind + Serialize + Debug>(&self, wanted: &K) -> Result<(), Error> {
        let parameters = PostParams { field_manager: Some(CORE.to_owned()), ..PostParams::default() };
        let name = wanted.name_any();
        match self.api::<K>().create(&parameters, wanted).await {
            Ok(created) => {
                self.context.metrics.wrote(Verb::Create, K::KIND);
                tracing::info!(kind = K::KIND, name, "asked for by its schedule");
                if let Some(version) = created.resource_version() {
                    self.context.memory.expectations.wrote(&self.object, (K::KIND.to_owned(), name), &version);
                }
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(source) => Err(self.failed::<K>(Verb::Create, &name, source)),
        }
    }

    /// The copies go first, then the objects that stand for them, then the Job that says so.
    async fn remove(
        &self,
        caches: &Caches,
        cluster: &RagCluster,
        planned: &Planned,
        act: &Removing,
    ) -> Result<(), Error> {
        let name = &planned.cluster.name;
        match act {
            Removing::Start { destination, names } => {
                let archive = Archive::of(name.as_str(), cluster.spec.snapshots.as_ref(), Some(destination));
                let servers = servers_of(caches, cluster);
                let (Ok(archive), Ok(servers)) = (archive, servers) else {
                    tracing::debug!(destination, "no Job can be made yet that removes snapshots");
                    return Ok(());
                };
                let words = ["snapshot", REMOVE].into_iter().map(str::to_owned);
                let built = build(&Request {
                    name: name.removal(destination),
                    owner: owner(cluster),
                    servers: &servers,
                    archive: &archive,
                    args: words.chain(names.iter().cloned()).collect(),
                    deadline_seconds: REMOVAL_SECONDS,
                    retries: 0,
                });
                create(self.context, &self.object, &built).await
            }
            Removing::Finish { destination, objects } => {
                for object in objects {
                    self.delete::<RagSnapshot>(object).await?;
                }
                let job = name.removal(destination);
                let made = made_for(caches, &planned.cluster.uid, |made| made == job);
                remove(self.context, &self.object, &made).await
            }
        }
    }

    async fn delete<K: OwnKind + Kind>(&self, surplus: &Surplus) -> Result<(), Error> {
        let only_this = Preconditions { uid: Some(surplus.uid.clone()), resource_version: None };
        let parameters = DeleteParams::background().preconditions(only_this);
        match self.api::<K>().delete(&surplus.name, &parameters).await {
            Ok(_) => {
                self.context.metrics.wrote(Verb::Delete, K::KIND);
                Ok(())
            }
            // Gone, or another one has taken its place.
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => Ok(()),
            Err(source) => Err(self.failed::<K>(Verb::Delete, &surplus.name, source)),
        }
    }

    fn failed<K: Resource<DynamicType = ()>>(&self, verb: Verb, name: &str, source: kube::Error) -> Error {
        let namespace = self.object.namespace.clone();
        let call = Call { verb, resource: resource_name::<K>(), namespace, name: name.to_owned() };
        Error::Call { phase: Phase::Apply, call, source: Box::new(source) }
    }

    fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.context.client.clone(), &self.object.namespace)
    }
}
