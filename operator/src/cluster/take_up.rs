//! Carries out what schedules ask for: creates RagSnapshots and RagRestores, and removes those that are in surplus.
//!
//! Each has a name that its schedule and its time give it, so that who comes again creates nothing twice. They have no owner:
//! a snapshot outlives its cluster. What fails here keeps nothing of the servers from being applied.

use std::fmt::Debug;

use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;

use super::build::snapshots::{drill, snapshot};
use super::decide::snapshots::{Surplus, SurplusKind};
use super::status::Planned;
use crate::api::{RagCluster, RagRestore, RagSnapshot};
use crate::apply::CORE;
use crate::caches::{Kind, resource_name};
use crate::context::Context;
use crate::error::{Call, Error, Phase, Verb};
use crate::objects::{ObjectId, OwnKind};

/// Carries out the part of a plan that is about snapshots.
pub(super) async fn take_up(context: &Context, cluster: &RagCluster, planned: &Planned) -> Result<(), Error> {
    let Some(plan) = &planned.plan.snapshots else { return Ok(()) };
    let hand = Hand { context, object: ObjectId::of(cluster) };
    for due in &plan.due {
        hand.create(&snapshot(&planned.cluster, due)).await?;
    }
    if let Some(due) = &plan.drill {
        hand.create(&drill(&planned.cluster, due)).await?;
    }
    for surplus in &plan.surplus {
        match surplus.kind {
            SurplusKind::Snapshot => hand.delete::<RagSnapshot>(surplus).await?,
            SurplusKind::Restore => hand.delete::<RagRestore>(surplus).await?,
        }
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
