//! What a full drill has made in another namespace, and is at work on no more: it was deleted, or its namespace was, or it has ended
//! and left something. No owner reference reaches from one namespace into another, and a finalizer would hold a namespace that is
//! deleted with the operator's Role in it. So what was made says whose it is, and whoever looks at it looks for its drill.

use std::time::Duration;

use futures::FutureExt;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use super::LOOK_ELSEWHERE;
use super::carry_out::remove;
use super::decide::{Errand, is_abandoned, swept};
use super::observe::left;
use super::observed::{Elsewhere, Found, Recovery};
use super::status::has_ended;
use crate::api::restore::RagRestore;
use crate::api::{RagCluster, labels};
use crate::caches::{Kind, resource_name};
use crate::context::Context;
use crate::controller::ECHO;
use crate::error::{Call, Error, Phase, Verb};

/// When to look again at a cluster that is to be looked at in `next`: soon, where a full drill has made it.
pub fn next_look(cluster: &RagCluster, next: Duration) -> Duration {
    if drill_of(cluster).is_some() { next.min(LOOK_ELSEWHERE) } else { next }
}

/// Removes what the drill has made that has made `cluster`, and is at work no more. Returns when to look again; nothing of any other
/// cluster.
///
/// # Errors
/// When the API server does not let it be read or removed.
pub async fn of_cluster(context: &Context, cluster: &RagCluster) -> Result<Option<Duration>, Error> {
    let Some(uid) = abandoned_by(context, cluster) else { return Ok(None) };
    let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
    let place = (namespace.as_str(), name.as_str());
    let there = left(context, place, &uid).await.map_err(|source| {
        let (namespace, name) = (namespace.clone(), name.clone());
        let call = Call { verb: Verb::List, resource: resource_name::<RagCluster>(), namespace, name };
        Error::Call { phase: Phase::Observe, call, source: Box::new(source) }
    })?;
    let Some(errand) = swept(&there) else { return Ok(Some(LOOK_ELSEWHERE)) };
    tracing::info!(namespace, name, "the full drill that made it is at work no more: it goes");
    remove(context, place, &there, errand).await?;
    Ok(Some(ECHO))
}

/// Removes `restore` where a full drill has asked for it that is at work no more.
///
/// # Errors
/// When the API server does not let it be removed.
pub async fn of_recovery(context: &Context, restore: &RagRestore) -> Result<Option<Duration>, Error> {
    if abandoned_by(context, restore).is_none() {
        return Ok(None);
    }
    let (namespace, name) = (restore.namespace().unwrap_or_default(), restore.name_any());
    let state = Recovery::UnderWay(String::new());
    let found = Found { uid: restore.uid().unwrap_or_default(), is_ours: true, is_going: false, state };
    let there = Elsewhere { recovery: Some(found), ..Elsewhere::default() };
    remove(context, (&namespace, &name), &there, Errand::RemoveRecovery).await?;
    Ok(Some(LOOK_ELSEWHERE))
}

/// The namespace, the name and the uid of the full drill that has made `object`.
fn drill_of<K: Kind>(object: &K) -> Option<(&str, &str, &str)> {
    let annotations = object.annotations();
    let (namespace, name) = annotations.get(labels::DRILL_OF)?.split_once('/')?;
    Some((namespace, name, annotations.get(labels::RESTORE_UID)?))
}

/// The uid of the full drill that has made `object`, where that is at work no more.
fn abandoned_by<K: Kind>(context: &Context, object: &K) -> Option<String> {
    let (namespace, name, uid) = drill_of(object)?;
    let now = (context.now)();
    let made_at = object.meta().creation_timestamp.as_ref().map_or(now, |made| made.0);
    is_abandoned(is_at_work(context, (namespace, name), uid), made_at, now).then(|| uid.to_owned())
}

/// Nothing where nobody knows: the namespace is not watched, or has not been read yet. What was read once and cannot be read any more
/// is taken for what it was.
fn is_at_work(context: &Context, (namespace, name): (&str, &str), uid: &str) -> Option<bool> {
    let cache = &context.caches(namespace)?.restores.cache;
    cache.wait_until_ready().now_or_never()?.ok()?;
    let Some(found) = cache.get(&ObjectRef::new(name).within(namespace)) else { return Some(false) };
    let drill = found.0.as_ref().ok()?;
    let is_it = drill.uid().is_some_and(|found| found == uid);
    Some(is_it && drill.metadata.deletion_timestamp.is_none() && !has_ended(drill))
}
