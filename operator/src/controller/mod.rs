//! Runs passes over the clusters of a namespace: when a watch, a server's answer or the clock asks for one, never two at once for
//! the same cluster, and after an error when its class says so. What a pass does is the business of `cluster`.

mod backoff;
mod expectations;
mod queue;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::{Action, Config, Error as RunError, ReconcileRequest, applier};
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use tracing::Instrument;

pub use backoff::Backoff;
pub use expectations::{Expectations, ObjectKey};
pub use queue::Queue;

use crate::api::RagCluster;
use crate::caches::{Caches, GuardedCluster};
use crate::cluster;
use crate::cluster::observed::ChildKind;
use crate::context::Context;
use crate::error::Error;
use crate::metrics::Ending;
use crate::objects::{ObjectId, OwnKind};
use crate::report;

/// Garbage collection takes a moment, and minutes when much was deleted at once.
const LEFTOVER: Duration = Duration::from_secs(1);

/// How soon the caches usually show our own writes.
const ECHO: Duration = Duration::from_millis(100);

/// Works on the clusters of `namespace` until `stop` resolves; passes under way are finished first.
pub async fn run(
    context: Arc<Context>,
    namespace: String,
    concurrency: u16,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let Some(caches) = context.caches(&namespace).cloned() else { return };
    for cluster in caches.clusters.state() {
        caches.queue.push(&cluster.name_any());
    }
    let home = namespace.clone();
    let requests = Arc::clone(&caches.queue).stream().take_until(stop).map(move |name| {
        let cluster: ObjectRef<GuardedCluster> = ObjectRef::new(&name).within(&home);
        Ok::<_, Infallible>(ReconcileRequest::from(cluster))
    });
    let config = Config::default().concurrency(concurrency);
    let work = |cluster, context| pass(cluster, context).boxed();
    applier(work, after_error, Arc::clone(&context), caches.clusters, requests, config)
        .for_each(|ended| {
            after_pass(&context, &namespace, ended);
            std::future::ready(())
        })
        .await;
}

/// One pass over one cluster, in a span of its own.
async fn pass(cluster: Arc<GuardedCluster>, context: Arc<Context>) -> Result<Action, Error> {
    let (namespace, name) = (cluster.namespace().unwrap_or_default(), cluster.name_any());
    let generation = cluster.meta().generation;
    let span = tracing::info_span!("reconcile", kind = RagCluster::KIND, namespace, name, generation);
    async move {
        match &cluster.0 {
            Ok(cluster) => measured(cluster, &context).await,
            Err(invalid) => {
                unreadable(invalid, &context).await;
                Ok(Action::await_change())
            }
        }
    }
    .instrument(span)
    .await
}

async fn measured(cluster: &RagCluster, context: &Context) -> Result<Action, Error> {
    let object = ObjectId::of(cluster);
    let Some(caches) = context.caches(&object.namespace) else { return Ok(Action::await_change()) };
    if cluster.metadata.deletion_timestamp.is_some() {
        // Owner references do the rest.
        return Ok(Action::await_change());
    }
    let cached = |written: &ObjectKey| cached_version(caches, &object.namespace, written);
    if !context.memory.expectations.are_met(&object, cached) {
        return Ok(Action::requeue(ECHO));
    }
    let measure = context.metrics.pass(RagCluster::KIND);
    match cluster::reconcile(context, caches, cluster).await {
        Ok(next_look) => {
            measure.end(Ending::Done);
            context.memory.backoff.reset(&object);
            Ok(Action::requeue(spread(next_look.min(context.resync), rand::random())))
        }
        Err(error) => {
            measure.end(Ending::Failed(error.class()));
            Err(error)
        }
    }
}

/// An object that is not what its kind says is reported, and left alone until it changes.
async fn unreadable(invalid: &InvalidObject, context: &Context) {
    context.metrics.unreadable.inc();
    tracing::error!(error = invalid.error, "the object cannot be read as a RagCluster");
    report::unreadable(context, invalid).await;
}

/// Up to a tenth earlier, so that clusters which were made together are not looked at together for ever.
fn spread(pause: Duration, chance: f64) -> Duration {
    pause.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 10.0)
}

fn after_error(cluster: Arc<GuardedCluster>, error: &Error, context: Arc<Context>) -> Action {
    let object = ObjectId::of(cluster.as_ref());
    let ObjectId { kind, namespace, name } = &object;
    if let Error::Leftover { .. } = error {
        // Secrets are not watched, so nothing may tell that the last one has gone.
        tracing::info!(kind, namespace, name, %error, "waiting for garbage collection");
        return Action::requeue(LEFTOVER);
    }
    let pause = context.memory.backoff.failed(&object, error.class(), rand::random(), Instant::now());
    let pause = error.retry_after().map_or(pause, |asked| asked.max(pause));
    tracing::warn!(
        kind,
        namespace,
        name,
        class = error.class().name(),
        remedy = error.remedy(),
        retry_seconds = pause.as_secs_f64(),
        %error,
        "a pass has failed"
    );
    Action::requeue(pause)
}

type Ended = Result<(ObjectRef<GuardedCluster>, Action), RunError<Error, Infallible>>;

fn after_pass(context: &Context, namespace: &str, ended: Ended) {
    if let Err(RunError::ObjectNotFound(gone)) = &ended {
        let (namespace, name) = (namespace.to_owned(), gone.name.clone());
        context.memory.forget(&ObjectId { kind: RagCluster::KIND, namespace, name });
    }
    context.metrics.backing_off.set(i64::try_from(context.memory.backoff.len()).unwrap_or(i64::MAX));
}

/// The version of an object that the caches have.
fn cached_version(caches: &Caches, namespace: &str, (kind, name): &ObjectKey) -> Option<String> {
    macro_rules! version_in {
        ($cache:ident) => {
            caches.$cache.get(&ObjectRef::new(name).within(namespace)).and_then(|object| object.resource_version())
        };
    }
    let is = |child: ChildKind| child.as_str() == kind;
    match kind.as_str() {
        RagCluster::KIND => version_in!(clusters),
        _ if is(ChildKind::ServiceAccount) => version_in!(service_accounts),
        _ if is(ChildKind::ControllerRevision) => version_in!(revisions),
        _ if is(ChildKind::ConfigMap) => version_in!(config_maps),
        _ if is(ChildKind::NetworkPolicy) => version_in!(network_policies),
        _ if is(ChildKind::PersistentVolumeClaim) => version_in!(claims),
        _ if is(ChildKind::Deployment) => version_in!(deployments),
        _ if is(ChildKind::StatefulSet) => version_in!(stateful_sets),
        _ if is(ChildKind::PodDisruptionBudget) => version_in!(disruption_budgets),
        _ if is(ChildKind::HorizontalPodAutoscaler) => version_in!(autoscalers),
        _ if is(ChildKind::Service) => version_in!(services),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_comes_up_to_a_tenth_earlier_and_never_later() {
        let pause = Duration::from_secs(600);
        assert_eq!(spread(pause, 0.0), pause);
        assert_eq!(spread(pause, 1.0), Duration::from_secs(540));
        assert_eq!(spread(pause, 7.0), Duration::from_secs(540));
    }
}
