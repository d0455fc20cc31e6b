//! The only module that writes children: ordered server-side apply, then prune. [`Children`] go in prepared and come out applied.
//!
//! Nothing is written where nothing differs. An object of the same name that is not ours is never adopted. What the API server
//! refuses stops the pass there: later children build on earlier ones, and the next pass begins anew. Only what harms as long as
//! it is there is removed before them, and waits for none.

mod drift;
mod fields;
mod memory;
mod ownership;
mod version;
mod writer;

use std::fmt;
use std::marker::PhantomData;

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt;
use serde::Serialize;

pub use drift::{Cause, Difference, drift};
pub use memory::Unsettled;
pub use ownership::{Owner, Ownership, child_ownership, is_of_managed_store, ownership, ownership_like};
pub use version::has_reached;
pub use writer::{CORE, SCALING};

use crate::api::RagCluster;
use crate::caches::Kind;
use crate::cluster::build::autoscaler::{has_tolerance, without_tolerance};
use crate::cluster::build::{Children, Prepared, QdrantChildren, Replicas};
use crate::cluster::decide::replace::is_seen;
use crate::cluster::decide::volume::Growth;
use crate::cluster::observed::{ChildKind, LiveChildren, ObjectRef};
use crate::cluster::status::{Correction, Refusal};
use crate::context::Context;
use crate::error::Error;
use crate::objects::ObjectId;
use writer::{Writer, core_owns_replicas};

/// With the API server, as it returned them.
#[derive(Clone, Copy, Debug)]
pub struct Applied;

/// What a pass has written.
pub struct Written {
    /// The children as they are now.
    pub children: Children<Applied>,
    /// The fields that were put back.
    pub corrections: Vec<Correction>,
    /// What the API server refused and nothing else depends on.
    pub refused: Option<Refusal>,
}

/// Without the children: key material is among them.
impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { children: _, corrections, refused } = self;
        f.debug_struct("Written").field("corrections", corrections).field("refused", refused).finish_non_exhaustive()
    }
}

/// Brings the children of `cluster` to what was prepared.
pub fn apply<'a>(
    context: &'a Context,
    cluster: &'a RagCluster,
    children: Children<Prepared>,
    live: &'a LiveChildren,
) -> BoxFuture<'a, Result<Written, Error>> {
    async move {
        let (name, uid) = (cluster.name_any(), cluster.uid().unwrap_or_default());
        let (object, owner) = (ObjectId::of(cluster), Owner { name: &name, uid: &uid });
        let mut writer = Writer { context, object, owner, corrections: Vec::new(), refused: None };
        let children = write(&mut writer, children, live).await?;
        Ok(Written { children, corrections: writer.corrections, refused: writer.refused })
    }
    .boxed()
}

/// Taken apart without a rest pattern: a child that nobody applies does not compile.
async fn write(
    writer: &mut Writer<'_>,
    children: Children<Prepared>,
    live: &LiveChildren,
) -> Result<Children<Applied>, Error> {
    let Children {
        service_account,
        corpus,
        minted,
        server_secret,
        client_keys,
        revision,
        config,
        live: live_settings,
        network_policy,
        data_claim,
        qdrant,
        deployment,
        replicas,
        disruption_budget,
        autoscaler,
        service,
        management,
        growth,
        prune,
        stage: PhantomData,
    } = children;
    let secrets = &live.secrets;
    let (harmful, prune): (Vec<_>, Vec<_>) = prune.into_iter().partition(|object| harms(object.kind));
    let removed = remove_all(writer, harmful).await;
    let mut applied = Children {
        service_account: writer.apply(&service_account, live.service_account.as_ref()).await?,
        corpus: writer.apply(&corpus, live.corpus.as_ref()).await?,
        minted: create_all(writer, minted).await?,
        server_secret: apply_some(writer, server_secret, secrets.server.as_ref()).await?,
        client_keys: apply_all(writer, client_keys, secrets.client_keys.values()).await?,
        revision: apply_one_of(writer, revision, &live.revisions).await?,
        config: apply_one_of(writer, config, &live.configs).await?,
        live: writer.apply(&live_settings, live.live.as_ref()).await?,
        network_policy: apply_some(writer, network_policy, live.network_policy.as_ref()).await?,
        data_claim: apply_some(writer, data_claim, live.data_claim.as_ref()).await?,
        qdrant: match qdrant {
            Some(qdrant) => Some(write_qdrant(writer, qdrant, live).boxed().await?),
            None => None,
        },
        deployment: write_deployment(writer, deployment, replicas.as_ref(), live.deployment.as_ref()).boxed().await?,
        replicas,
        disruption_budget: writer.apply(&disruption_budget, live.disruption_budget.as_ref()).await?,
        autoscaler: write_autoscaler(writer, autoscaler, live.autoscaler.as_ref()).boxed().await?,
        service: writer.apply(&service, live.service.as_ref()).await?,
        management: apply_some(writer, management, live.management.as_ref()).await?,
        growth: grow(writer, growth).boxed().await?,
        prune: remove_all(writer, prune).await?,
        stage: PhantomData,
    };
    applied.prune.extend(removed?);
    Ok(applied)
}

/// An autoscaler that is switched off would move the number of servers against every pass, and the Secrets of a removed client
/// hold its key. Nothing that is written builds on either.
fn harms(kind: ChildKind) -> bool {
    matches!(kind, ChildKind::HorizontalPodAutoscaler | ChildKind::Secret)
}

async fn write_qdrant(
    writer: &mut Writer<'_>,
    children: QdrantChildren,
    live: &LiveChildren,
) -> Result<QdrantChildren, Error> {
    let QdrantChildren {
        secret,
        bootstrap,
        revision,
        network_policy,
        disruption_budget,
        peers,
        service,
        stateful_set,
        outdated,
        remade,
    } = children;
    let mut applied = QdrantChildren {
        secret: apply_some(writer, secret, live.secrets.qdrant.as_ref()).await?,
        bootstrap: writer.apply(&bootstrap, live.qdrant_bootstrap.as_ref()).await?,
        revision: apply_one_of(writer, revision, &live.revisions).await?,
        network_policy: apply_some(writer, network_policy, live.qdrant_network_policy.as_ref()).await?,
        disruption_budget: writer.apply(&disruption_budget, live.qdrant_disruption_budget.as_ref()).await?,
        peers: writer.apply(&peers, live.qdrant_peers.as_ref()).await?,
        service: writer.apply(&service, live.qdrant_service.as_ref()).await?,
        stateful_set: writer.apply(&stateful_set, live.qdrant_stateful_set.as_ref()).await?,
        outdated: Vec::new(),
        remade: None,
    };
    applied.outdated = replace(writer, &applied.stateful_set, outdated).await?;
    applied.remade = remake(writer, &applied.stateful_set, remade).await?;
    Ok(applied)
}

/// A StatefulSet that was changed just now has another revision than the pods were compared with: the next pass compares anew.
async fn replace(
    writer: &mut Writer<'_>,
    applied: &StatefulSet,
    outdated: Vec<ObjectRef>,
) -> Result<Vec<ObjectRef>, Error> {
    if is_seen(applied) { remove_all(writer, outdated).await } else { Ok(Vec::new()) }
}

/// Removes the StatefulSet and leaves its pod; the next pass makes it again. One that was changed just now is looked at anew before.
async fn remake(
    writer: &mut Writer<'_>,
    applied: &StatefulSet,
    remade: Option<ObjectRef>,
) -> Result<Option<ObjectRef>, Error> {
    let Some(remade) = remade.filter(|_| is_seen(applied)) else { return Ok(None) };
    writer.remove_alone::<StatefulSet>(&remade).await?;
    Ok(Some(remade))
}

/// A volume that may not grow is as large as it was, and the pass goes on.
async fn grow(writer: &mut Writer<'_>, growth: Option<Growth>) -> Result<Option<Growth>, Error> {
    match growth {
        Some(growth) => writer.grow(growth).await,
        None => Ok(None),
    }
}

/// The Deployment is created with its number of servers, which the manager of scaling then takes over before the other lets go of
/// it: a field that nobody owns any more falls back to the API server's default of one server. Each step is recognised from the
/// live object, so that a pass which was cut off between two of them is finished by the next.
async fn write_deployment(
    writer: &mut Writer<'_>,
    wanted: Deployment,
    replicas: Option<&Replicas>,
    live: Option<&Deployment>,
) -> Result<Deployment, Error> {
    let count = replicas.map(|replicas| replicas.count);
    let seen = live.and_then(|live| live.metadata.resource_version.as_deref());
    let mut live = match live {
        Some(live) => live.clone(),
        None => {
            let mut first = wanted.clone();
            first.spec.replicas = count;
            writer.apply(&first, None).await?
        }
    };
    let now = live.spec.replicas;
    if core_owns_replicas(&live) {
        if let Some(count) = count.or(now) {
            live = writer.scale(&live, count, seen).await?;
        }
    } else if let Some(count) = count.filter(|count| now != Some(*count)) {
        live = writer.scale(&live, count, seen).await?;
    }
    writer.apply(&wanted, Some(&live)).await
}

/// The dead band needs a field that an older API server drops. Whether this one does is told by its answer to our own
/// application, and noted on the autoscaler beside the version; that the field is missing at another time is somebody's doing,
/// and it is put back.
async fn write_autoscaler(
    writer: &mut Writer<'_>,
    wanted: Option<HorizontalPodAutoscaler>,
    live: Option<&HorizontalPodAutoscaler>,
) -> Result<Option<HorizontalPodAutoscaler>, Error> {
    let Some(wanted) = wanted else { return Ok(None) };
    let applied = writer.apply(&wanted, live).await?;
    if !has_tolerance(&wanted) || has_tolerance(&applied) {
        return Ok(Some(applied));
    }
    let noted = without_tolerance(wanted, &writer.server_version().await);
    writer.apply(&noted, Some(&applied)).await.map(Some)
}

async fn create_all<K: Kind + Serialize>(writer: &mut Writer<'_>, wanted: Vec<K>) -> Result<Vec<K>, Error> {
    let mut created = Vec::with_capacity(wanted.len());
    for object in &wanted {
        created.push(writer.create(object).await?);
    }
    Ok(created)
}

async fn apply_all<'l, K: Kind + Serialize>(
    writer: &mut Writer<'_>,
    wanted: Vec<K>,
    live: impl Iterator<Item = &'l K> + Clone,
) -> Result<Vec<K>, Error> {
    let mut applied = Vec::with_capacity(wanted.len());
    for object in &wanted {
        let found = live.clone().find(|live| live.meta().name == object.meta().name);
        applied.push(writer.apply(object, found).await?);
    }
    Ok(applied)
}

async fn apply_one_of<K: Kind + Serialize>(writer: &mut Writer<'_>, wanted: K, live: &[K]) -> Result<K, Error> {
    let found = live.iter().find(|live| live.meta().name == wanted.meta().name);
    writer.apply(&wanted, found).await
}

async fn apply_some<K: Kind + Serialize>(
    writer: &mut Writer<'_>,
    wanted: Option<K>,
    live: Option<&K>,
) -> Result<Option<K>, Error> {
    match wanted {
        Some(wanted) => writer.apply(&wanted, live).await.map(Some),
        None => Ok(None),
    }
}

async fn remove_all(writer: &mut Writer<'_>, surplus: Vec<ObjectRef>) -> Result<Vec<ObjectRef>, Error> {
    for object in &surplus {
        match object.kind {
            ChildKind::ServiceAccount => writer.remove::<ServiceAccount>(object).await?,
            ChildKind::ControllerRevision => writer.remove::<ControllerRevision>(object).await?,
            ChildKind::ConfigMap => writer.remove::<ConfigMap>(object).await?,
            ChildKind::Secret => writer.remove::<Secret>(object).await?,
            ChildKind::NetworkPolicy => writer.remove::<NetworkPolicy>(object).await?,
            ChildKind::PersistentVolumeClaim => writer.remove::<PersistentVolumeClaim>(object).await?,
            ChildKind::Deployment => writer.remove::<Deployment>(object).await?,
            ChildKind::StatefulSet => writer.remove::<StatefulSet>(object).await?,
            ChildKind::PodDisruptionBudget => writer.remove::<PodDisruptionBudget>(object).await?,
            ChildKind::HorizontalPodAutoscaler => writer.remove::<HorizontalPodAutoscaler>(object).await?,
            ChildKind::Service => writer.remove::<Service>(object).await?,
            ChildKind::Pod => writer.remove::<Pod>(object).await?,
        }
    }
    Ok(surplus)
}

#[cfg(test)]
pub(crate) mod stories;
