//! Runs passes over the objects of our own kinds in a namespace: when a watch, a server's answer or the clock asks for one, never
//! two at once for the same object, and after an error when its class says so. What a pass does is the business of its kind.

mod backoff;
mod expectations;
mod queue;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use jiff::Timestamp;
use k8s_openapi::Resource as _;
use k8s_openapi::api::batch::v1::Job;
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::{Action, Config, Error as RunError, ReconcileRequest, applier};
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use tracing::Instrument;

pub use backoff::Backoff;
pub use expectations::{Expectations, ObjectKey};
pub use queue::Queue;

use crate::api::{RagCluster, RagRestore, RagSnapshot, ScaleApproval};
use crate::caches::{Caches, Watched};
use crate::cluster::observed::ChildKind;
use crate::context::Context;
use crate::error::Error;
use crate::metrics::Ending;
use crate::objects::{ObjectId, OwnKind};
use crate::report::{self, Reported};

/// Garbage collection takes a moment, and minutes when much was deleted at once.
const LEFTOVER: Duration = Duration::from_secs(1);

/// A look that came a moment too early is not repeated at once.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// How soon the caches usually show our own writes.
pub const ECHO: Duration = Duration::from_millis(100);

/// A kind of ours that passes are run over.
pub trait Controlled: Reported {
    /// What is known of the kind, in the caches of a namespace.
    fn watched(caches: &Caches) -> &Watched<Self>;

    /// One pass over an object. Returns when to look again if nothing happens.
    fn pass<'a>(&'a self, context: &'a Context, caches: &'a Caches) -> BoxFuture<'a, Result<Duration, Error>>;

    /// The finalizer by which an object of this kind waits for us before it goes. Without one, owner references do the rest.
    const FINALIZER: Option<&'static str> = None;

    /// One pass over an object that is being deleted and waits for us.
    fn leave<'a>(&'a self, _context: &'a Context, _caches: &'a Caches) -> BoxFuture<'a, Result<Duration, Error>> {
        std::future::ready(Ok(Duration::MAX)).boxed()
    }
}

/// Works on the objects of a kind in `namespace` until `stop` resolves; passes under way are finished first.
pub async fn run<K: Controlled>(
    context: Arc<Context>,
    namespace: String,
    concurrency: u16,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let Some(caches) = context.caches(&namespace) else { return };
    let Watched { cache, queue } = K::watched(caches).clone();
    K::watched(caches).look_at_all();
    let home = namespace.clone();
    let requests = queue.stream().take_until(stop).map(move |name| {
        let object: ObjectRef<DeserializeGuard<K>> = ObjectRef::new(&name).within(&home);
        Ok::<_, Infallible>(ReconcileRequest::from(object))
    });
    let config = Config::default().concurrency(concurrency);
    let work = |object, context| pass::<K>(object, context).boxed();
    applier(work, after_error::<K>, Arc::clone(&context), cache, requests, config)
        .for_each(|ended| {
            after_pass::<K, _>(&context, &namespace, &ended);
            std::future::ready(())
        })
        .await;
}

/// One pass over one object, in a span of its own.
async fn pass<K: Controlled>(object: Arc<DeserializeGuard<K>>, context: Arc<Context>) -> Result<Action, Error> {
    let ObjectId { kind, namespace, name } = ObjectId::of(object.as_ref());
    let generation = object.meta().generation;
    let span = tracing::info_span!("reconcile", kind, namespace, name, generation);
    async move {
        match &object.0 {
            Ok(object) => measured(object, &context).await,
            Err(invalid) => {
                unreadable::<K>(invalid, &context).await;
                Ok(Action::await_change())
            }
        }
    }
    .instrument(span)
    .await
}

async fn measured<K: Controlled>(object: &K, context: &Context) -> Result<Action, Error> {
    let id = ObjectId::of(object);
    let Some(caches) = context.caches(&id.namespace) else { return Ok(Action::await_change()) };
    let is_going = object.meta().deletion_timestamp.is_some();
    if is_going && !waits_for_us(object) {
        return Ok(Action::await_change());
    }
    let cached = |written: &ObjectKey| cached_version(caches, &id.namespace, written);
    if !context.memory.expectations.are_met(&id, cached) {
        return Ok(Action::requeue(ECHO));
    }
    let measure = context.metrics.pass(K::KIND);
    let passed = if is_going { object.leave(context, caches) } else { object.pass(context, caches) };
    match passed.await {
        Ok(next_look) => {
            measure.end(Ending::Done);
            context.memory.backoff.reset(&id);
            Ok(Action::requeue(spread(next_look.min(context.resync), rand::random())))
        }
        Err(error) => {
            measure.end(Ending::Failed(error.class()));
            Err(error)
        }
    }
}

fn waits_for_us<K: Controlled>(object: &K) -> bool {
    K::FINALIZER.is_some_and(|ours| object.finalizers().iter().any(|found| found == ours))
}

/// An object that is not what its kind says is reported, and left alone until it changes.
async fn unreadable<K: Controlled>(invalid: &InvalidObject, context: &Context) {
    context.metrics.unreadable.inc();
    tracing::error!(error = invalid.error, "the object cannot be read as a {}", K::KIND);
    report::unreadable::<K>(context, invalid).await;
}

/// How long to wait for a moment that is yet to come.
pub fn pause_until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default().max(LEAST_PAUSE)
}

/// Up to a tenth earlier, so that objects which were made together are not looked at together for ever.
fn spread(pause: Duration, chance: f64) -> Duration {
    pause.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 10.0)
}

fn after_error<K: Controlled>(object: Arc<DeserializeGuard<K>>, error: &Error, context: Arc<Context>) -> Action {
    let id = ObjectId::of(object.as_ref());
    let ObjectId { kind, namespace, name } = &id;
    if let Error::Leftover { .. } = error {
        // Secrets are not watched, so nothing may tell that the last one has gone.
        tracing::info!(kind, namespace, name, %error, "waiting for garbage collection");
        return Action::requeue(LEFTOVER);
    }
    let pause = context.memory.backoff.failed(&id, error.class(), rand::random(), Instant::now());
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

fn after_pass<K: Controlled, T>(context: &Context, namespace: &str, ended: &Result<T, RunError<Error, Infallible>>) {
    if let Err(RunError::ObjectNotFound(gone)) = ended {
        let (namespace, name) = (namespace.to_owned(), gone.name.clone());
        context.memory.forget(&ObjectId { kind: K::KIND, namespace, name });
        context.metrics.snapshots.worst(context.memory.figures.worst());
    }
    context.metrics.backing_off.set(i64::try_from(context.memory.backoff.len()).unwrap_or(i64::MAX));
}

/// The version of an object that the caches have.
fn cached_version(caches: &Caches, namespace: &str, (kind, name): &ObjectKey) -> Option<String> {
    macro_rules! version_in {
        ($children:expr) => {
            $children.named(name).and_then(|object| object.resource_version())
        };
    }
    let is = |child: ChildKind| child.as_str() == kind;
    match kind.as_str() {
        RagCluster::KIND => caches.clusters.version(namespace, name),
        ScaleApproval::KIND => caches.approvals.version(namespace, name),
        RagSnapshot::KIND => caches.snapshots.version(namespace, name),
        RagRestore::KIND => caches.restores.version(namespace, name),
        _ if is(ChildKind::ServiceAccount) => version_in!(caches.service_accounts),
        _ if is(ChildKind::ControllerRevision) => version_in!(caches.revisions),
        _ if is(ChildKind::ConfigMap) => version_in!(caches.config_maps),
        _ if is(ChildKind::NetworkPolicy) => version_in!(caches.network_policies),
        _ if is(ChildKind::PersistentVolumeClaim) => version_in!(caches.claims),
        _ if is(ChildKind::Deployment) => version_in!(caches.deployments),
        _ if is(ChildKind::StatefulSet) => version_in!(caches.stateful_sets),
        _ if is(ChildKind::PodDisruptionBudget) => version_in!(caches.disruption_budgets),
        _ if is(ChildKind::HorizontalPodAutoscaler) => version_in!(caches.autoscalers),
        _ if is(ChildKind::Service) => version_in!(caches.services),
        _ if kind == Job::KIND => version_in!(caches.jobs),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::cluster::{KeptSnapshot, SnapshotsStatus};
    use crate::apply::stories::Play;

    /// Otherwise it would stand for ever where no other cluster takes snapshots.
    #[tokio::test]
    async fn what_a_cluster_contributed_to_the_figures_goes_with_it() {
        let context = Play::of([]).context;
        let taken_at = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::from_second(100).unwrap());
        let kept = KeptSnapshot { name: "s".to_owned(), destination: "near".to_owned(), taken_at };
        let status = SnapshotsStatus { last_verified: Some(kept), ..SnapshotsStatus::default() };
        let (namespace, name) = ("ns".to_owned(), "handbook".to_owned());
        context.memory.figures.note(&ObjectId { kind: RagCluster::KIND, namespace, name }, Some(&status));
        context.metrics.snapshots.worst(context.memory.figures.worst());
        let shows = |seconds: i64| {
            let line = format!("ragops_snapshot_verified_timestamp_seconds {seconds}\n");
            context.metrics.text().unwrap().contains(&line)
        };
        assert!(shows(100));
        let gone = ObjectRef::<RagCluster>::new("handbook").within("ns").erase();
        after_pass::<RagCluster, ()>(&context, "ns", &Err(RunError::ObjectNotFound(Box::new(gone))));
        assert!(shows(0));
    }

    #[test]
    fn a_moment_is_waited_for_and_never_looked_for_without_a_pause() {
        let pause =
            |seconds| pause_until(Timestamp::from_second(seconds).unwrap(), Timestamp::from_second(100).unwrap());
        assert_eq!(pause(160), Duration::from_secs(60));
        assert_eq!((pause(100), pause(40)), (LEAST_PAUSE, LEAST_PAUSE));
    }

    #[test]
    fn a_look_comes_up_to_a_tenth_earlier_and_never_later() {
        let pause = Duration::from_secs(600);
        assert_eq!(spread(pause, 0.0), pause);
        assert_eq!(spread(pause, 1.0), Duration::from_secs(540));
        assert_eq!(spread(pause, 7.0), Duration::from_secs(540));
    }
}
