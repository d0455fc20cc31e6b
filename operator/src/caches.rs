//! What is known of one namespace: a cache of every kind that a cluster consists of, and the watches that fill them.
//!
//! Only objects that carry our labels are watched, Secrets never. Every change of one asks for a look at its cluster.

mod approvals;
mod asks;
mod children;
mod generations;
mod job_owners;
mod neighbours;

use std::fmt::Debug;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use futures::future::{BoxFuture, Shared, join_all};
use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ListParams;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt, reflector};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use crate::api::{RagCluster, RagRestore, RagSnapshot, ScaleApproval, labels};
use crate::controller::Queue;
use crate::error::{Call, Error, Phase, Verb};
use crate::snapshot::snapshots_of;
use approvals::Concerned;
use asks::asks_for_its_cluster;
pub use children::Children;
use children::Owners;
use generations::Generations;
use job_owners::JobOwners;
use neighbours::Neighbours;

/// What is known of a kind of our own in a namespace.
#[derive(Clone)]
pub struct Watched<K: Kind> {
    /// The objects; of one that is not what its kind says, the reason.
    pub cache: Store<DeserializeGuard<K>>,
    /// Which of them have to be looked at.
    pub queue: Arc<Queue>,
}

impl<K: Kind> Watched<K> {
    /// Asks for a look at every object.
    pub fn look_at_all(&self) {
        self.cache.state().iter().for_each(|object| self.queue.push(&object.name_any()));
    }

    /// The version of the object of this name.
    pub fn version(&self, namespace: &str, name: &str) -> Option<String> {
        self.cache.get(&ObjectRef::new(name).within(namespace))?.resource_version()
    }
}

impl Watched<RagCluster> {
    /// The cluster of this name; one that is on its way out is none.
    pub fn present(&self, namespace: &str, name: &str) -> Option<RagCluster> {
        let found = self.cache.get(&ObjectRef::new(name).within(namespace))?;
        let cluster = found.0.as_ref().ok()?;
        cluster.metadata.deletion_timestamp.is_none().then(|| cluster.clone())
    }
}

/// The caches of one namespace.
#[derive(Clone)]
pub struct Caches {
    /// The clusters themselves.
    pub clusters: Watched<RagCluster>,
    /// What others have approved for them.
    pub approvals: Watched<ScaleApproval>,
    /// Snapshots of their corpora.
    pub snapshots: Watched<RagSnapshot>,
    /// Restores and drills.
    pub restores: Watched<RagRestore>,
    /// Children, one cache a kind.
    pub service_accounts: Children<ServiceAccount>,
    /// Revisions; those that Kubernetes makes for StatefulSets are among them.
    pub revisions: Children<ControllerRevision>,
    /// Configurations, live settings, and whose each corpus is.
    pub config_maps: Children<ConfigMap>,
    /// Network policies.
    pub network_policies: Children<NetworkPolicy>,
    /// Volume claims.
    pub claims: Children<PersistentVolumeClaim>,
    /// Deployments.
    pub deployments: Children<Deployment>,
    /// Stateful sets.
    pub stateful_sets: Children<StatefulSet>,
    /// Disruption budgets.
    pub disruption_budgets: Children<PodDisruptionBudget>,
    /// Autoscalers.
    pub autoscalers: Children<HorizontalPodAutoscaler>,
    /// Services.
    pub services: Children<Service>,
    /// Pods of servers and vector stores, reduced to what is read of them.
    pub pods: Children<Pod>,
    /// Jobs that were made for an object of ours.
    pub jobs: Children<Job>,
    /// Their pods, reduced to what is read of them.
    pub job_pods: Children<Pod>,
}

/// Resolves when every cache of a namespace has been filled for the first time.
pub type Filled = Shared<BoxFuture<'static, ()>>;

/// The watches of one namespace. To be polled for as long as the process lives.
pub struct Watches {
    /// Fill the caches; end never.
    pub running: Vec<BoxFuture<'static, ()>>,
    /// Told when they have.
    pub filled: Filled,
    /// Whether what they watch can be read, one question for each kind; the first is about the clusters.
    pub probes: Vec<Probe>,
    /// Signalled when one of them has failed.
    pub troubled: Arc<Notify>,
}

/// Asks whether a kind can be read in a namespace.
pub struct Probe {
    /// The kind, as a Role spells it.
    pub resource: String,
    /// Asks.
    pub ask: Box<Question>,
}

/// One cheap request.
pub type Question = dyn Fn() -> BoxFuture<'static, kube::Result<()>> + Send + Sync;

/// What talks to the API server.
#[derive(Clone, Copy)]
pub struct Clients<'a> {
    /// For requests that are answered at once, or not at all.
    pub asking: &'a Client,
    /// For watches, which stay open for minutes.
    pub watching: &'a Client,
}

/// Caches for `namespace`, and the watches that fill them. `pods_changed` is signalled when a pod changes.
pub fn caches(clients: Clients<'_>, namespace: &str, pods_changed: &Arc<Notify>) -> (Caches, Watches) {
    let troubled = Arc::new(Notify::new());
    let mut watching = Watching {
        clients,
        namespace,
        troubled: &troubled,
        filled: Vec::new(),
        running: Vec::new(),
        probes: Vec::new(),
    };
    let neighbours = Neighbours::default();
    let (clusters, approvals, snapshots) = watching.ours(&neighbours);
    let restores = watching.own(Arc::default(), neighbours.asks::<RagRestore>());
    neighbours.are(&clusters, &snapshots, &restores);
    let asking = JobOwners::of(&clusters, &snapshots, &restores);
    let managed = format!("{}={}", labels::MANAGED_BY, labels::MANAGED_BY_VALUE);
    // A StatefulSet gives its claims the labels of its selector, and no other.
    let claims = format!("{} in ({},{})", labels::NAME, labels::name::SERVER, labels::name::QDRANT);
    let caches = Caches {
        service_accounts: watching.children(&clusters, &managed),
        revisions: watching.children(&clusters, &managed),
        config_maps: watching.children(&clusters, &managed),
        network_policies: watching.children(&clusters, &managed),
        claims: watching.children(&clusters, &claims),
        deployments: watching.children(&clusters, &managed),
        stateful_sets: watching.children(&clusters, &managed),
        disruption_budgets: watching.children(&clusters, &managed),
        autoscalers: watching.children(&clusters, &managed),
        services: watching.children(&clusters, &managed),
        pods: watching.pods(&clusters, pods_changed),
        jobs: watching.indexed(labels::OWNER_KIND, |_| {}, asking.clone().asks::<Job>()),
        job_pods: watching.indexed(labels::OWNER_KIND, reduce_pod, asking.asks::<Pod>()),
        clusters,
        approvals,
        snapshots,
        restores,
    };
    let Watching { running, filled, probes, .. } = watching;
    let filled = join_all(filled).map(drop).boxed().shared();
    (caches, Watches { running, filled, probes, troubled })
}

/// A kind that lives in namespaces and is known at compile time.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// `deployments.apps`, as a Role and an error message spell it.
pub fn resource_name<K: Resource<DynamicType = ()>>() -> String {
    match K::group(&()) {
        group if group.is_empty() => K::plural(&()).into_owned(),
        group => format!("{}.{group}", K::plural(&())),
    }
}

struct Watching<'a> {
    clients: Clients<'a>,
    namespace: &'a str,
    troubled: &'a Arc<Notify>,
    running: Vec<BoxFuture<'static, ()>>,
    filled: Vec<BoxFuture<'static, ()>>,
    probes: Vec<Probe>,
}

impl Watching<'_> {
    /// Our own kinds. A change of one asks for a look at those of the other that it concerns.
    fn ours(&mut self, neighbours: &Neighbours) -> (Watched<RagCluster>, Watched<ScaleApproval>, Watched<RagSnapshot>) {
        let (clusters, mut concerned) = (Arc::new(Queue::default()), Concerned::default());
        let waiting = Arc::clone(&clusters);
        let approvals = self.own::<ScaleApproval>(Arc::default(), move |event, _| {
            concerned.after(event).iter().for_each(|cluster| waiting.push(cluster));
        });
        let snapshots = self.own::<RagSnapshot>(Arc::default(), neighbours.asks::<RagSnapshot>());
        let (all, taken, neighbours) = (approvals.clone(), snapshots.clone(), neighbours.clone());
        let clusters = self.own::<RagCluster>(clusters, move |_, changed| {
            snapshots_of(&taken.cache.state(), changed).iter().for_each(|name| taken.queue.push(name));
            changed.iter().for_each(|cluster| neighbours.look_at_restores_of(cluster));
            let approvals = all.cache.state();
            let readable = approvals.iter().filter_map(|approval| approval.0.as_ref().ok());
            let theirs = readable.filter(|approval| changed.contains(&approval.spec.cluster));
            theirs.for_each(|approval| all.queue.push(&approval.name_any()));
        });
        // A namespace that cannot be read is told by its clusters.
        self.probes.reverse();
        (clusters, approvals, snapshots)
    }

    /// The objects of a kind of our own, labelled or not. `also` is told of every event, and of the objects to look at after it.
    fn own<K: Kind>(
        &mut self,
        queue: Arc<Queue>,
        mut also: impl FnMut(&Event<DeserializeGuard<K>>, &[String]) + Send + 'static,
    ) -> Watched<K> {
        let (waiting, mut known) = (Arc::clone(&queue), Generations::default());
        let seen = move |event: &Event<DeserializeGuard<K>>| {
            let changed = known.after(event);
            changed.iter().for_each(|name| waiting.push(name));
            also(event, &changed);
        };
        Watched { cache: self.watch(None, |_| {}, |_| {}, seen), queue }
    }

    fn children<K: Kind>(&mut self, clusters: &Watched<RagCluster>, selector: &str) -> Children<K>
    where
        ObjectRef<K>: Hash + Eq,
    {
        self.indexed(selector, |_| {}, asks_for_its_cluster::<K>(clusters))
    }

    fn pods(&mut self, clusters: &Watched<RagCluster>, changed: &Arc<Notify>) -> Children<Pod> {
        let (changed, mut asks) = (Arc::clone(changed), asks_for_its_cluster::<Pod>(clusters));
        let seen = move |event: &Event<Pod>| {
            changed.notify_one();
            asks(event);
        };
        // Pods of Jobs bear the cluster's uid, too, and are no servers.
        let selector = format!("{},!{}", labels::CLUSTER_UID, labels::OWNER_KIND);
        self.indexed(&selector, reduce_pod, seen)
    }

    fn indexed<K: Kind>(
        &mut self,
        selector: &str,
        reduce: fn(&mut K),
        seen: impl FnMut(&Event<K>) + Send + 'static,
    ) -> Children<K>
    where
        ObjectRef<K>: Hash + Eq,
    {
        let owners = Owners::default();
        let told = owners.clone();
        let cache = self.watch(Some(selector), reduce, move |event| told.take(event), seen);
        Children::new(cache, owners, self.namespace)
    }

    fn watch<K: Kind>(
        &mut self,
        selector: Option<&str>,
        reduce: fn(&mut K),
        before: impl Fn(&Event<K>) + Send + 'static,
        seen: impl FnMut(&Event<K>) + Send + 'static,
    ) -> Store<K> {
        let api: Api<K> = Api::namespaced(self.clients.watching.clone(), self.namespace);
        let (config, params) = (watcher::Config::default(), ListParams::default());
        let (config, params) = match selector {
            Some(selector) => (config.labels(selector), params.labels(selector)),
            None => (config, params),
        };
        let progress = Progress { namespace: self.namespace.to_owned(), troubled: Arc::clone(self.troubled) };
        let events = watcher(api, config).default_backoff().map_ok(move |event| {
            let event = event.modify(reduce);
            before(&event);
            event
        });
        let (reader, watch) = fill(events, progress, seen);
        self.running.push(watch.boxed());
        self.filled.push(filled(&reader));
        self.probes.push(probe::<K>(self.clients.asking, self.namespace, params));
        reader
    }
}

/// The least that can be asked for: the metadata of one object.
fn probe<K: Kind>(client: &Client, namespace: &str, params: ListParams) -> Probe {
    let (api, params) = (Api::<K>::namespaced(client.clone(), namespace), params.limit(1));
    let ask = move || {
        let (api, params) = (api.clone(), params.clone());
        async move { api.list_metadata(&params).await.map(drop) }.boxed()
    };
    Probe { resource: resource_name::<K>(), ask: Box::new(ask) }
}

fn filled<K: Kind>(cache: &Store<K>) -> BoxFuture<'static, ()> {
    let cache = cache.clone();
    // The writer lives as long as its watch, and the process does not outlive a watch.
    async move { cache.wait_until_ready().await.unwrap_or(()) }.boxed()
}

/// What a watch has to say about itself.
struct Progress {
    namespace: String,
    troubled: Arc<Notify>,
}

impl Progress {
    fn failed<K: Resource<DynamicType = ()>>(&self, error: watcher::Error) {
        let Some(source) = client_error(error) else { return };
        let call = Call {
            verb: Verb::List,
            resource: resource_name::<K>(),
            namespace: self.namespace.clone(),
            name: "*".to_owned(),
        };
        let error = Error::Call { phase: Phase::Observe, call, source: Box::new(source) };
        tracing::warn!(%error, remedy = error.remedy(), "a watch has failed");
        self.troubled.notify_one();
    }
}

/// A watch whose version is too old starts over by itself: nothing to say.
fn client_error(error: watcher::Error) -> Option<kube::Error> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => Some(error),
        watcher::Error::WatchError(status) if status.code == 410 => None,
        watcher::Error::WatchError(status) => Some(kube::Error::Api(status)),
        _ => None,
    }
}

fn fill<K: Kind>(
    events: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
    progress: Progress,
    mut seen: impl FnMut(&Event<K>) + Send + 'static,
) -> (Store<K>, impl Future<Output = ()> + Send + 'static) {
    let (reader, writer) = store::<K>();
    let watch = reflector(writer, events).for_each(move |event| {
        match event {
            Ok(event) => seen(&event),
            Err(error) => progress.failed::<K>(error),
        }
        std::future::ready(())
    });
    (reader, watch)
}

/// Keeps of a pod what is read of it: thousands of them are held in memory.
fn reduce_pod(pod: &mut Pod) {
    pod.metadata.managed_fields = None;
    pod.metadata.annotations = None;
    if let Some(spec) = &mut pod.spec {
        let node_name = spec.node_name.take();
        *spec = k8s_openapi::api::core::v1::PodSpec { node_name, ..Default::default() };
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{Container, PodSpec};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    /// Caches of namespace team-a, in which there is nothing.
    pub(crate) fn empty() -> Caches {
        let silent = tower::service_fn(|_: http::Request<kube::client::Body>| {
            std::future::pending::<Result<http::Response<kube::client::Body>, std::convert::Infallible>>()
        });
        let client = Client::new(silent, "default");
        caches(Clients { asking: &client, watching: &client }, "team-a", &Arc::new(Notify::new())).0
    }

    /// What is known of a kind where these are all its objects.
    pub(crate) fn watched<K: Kind>(objects: impl IntoIterator<Item = K>) -> Watched<K> {
        let (cache, mut writer) = store();
        writer.apply_watcher_event(&Event::Init);
        for object in objects {
            writer.apply_watcher_event(&Event::InitApply(DeserializeGuard(Ok(object))));
        }
        writer.apply_watcher_event(&Event::InitDone);
        Watched { cache, queue: Arc::default() }
    }

    /// The names that wait to be looked at; they wait no longer.
    pub(super) fn asked<K: Kind>(watched: &Watched<K>) -> Vec<String> {
        let mut names = Box::pin(Arc::clone(&watched.queue).stream());
        std::iter::from_fn(|| names.next().now_or_never().flatten()).collect()
    }

    pub(super) fn pod(metadata: ObjectMeta) -> Pod {
        Pod { metadata, ..Pod::default() }
    }

    pub(super) fn label(name: &str) -> Option<std::collections::BTreeMap<String, String>> {
        Some([(labels::INSTANCE.to_owned(), name.to_owned())].into())
    }

    #[test]
    fn a_cached_pod_keeps_its_identity_and_status_and_little_else() {
        let mut pod = pod(ObjectMeta { name: Some("p".into()), labels: label("a"), ..ObjectMeta::default() });
        pod.metadata.annotations = Some([("big".to_owned(), "x".repeat(1000))].into());
        pod.spec =
            Some(PodSpec { node_name: Some("n".into()), containers: vec![Container::default()], ..PodSpec::default() });
        reduce_pod(&mut pod);
        assert_eq!(pod.metadata.annotations, None);
        assert_eq!(pod.labels().get(labels::INSTANCE).map(String::as_str), Some("a"));
        let spec = pod.spec.unwrap();
        assert_eq!((spec.node_name.as_deref(), spec.containers.len()), (Some("n"), 0));
    }

    #[test]
    fn resources_are_named_as_a_role_names_them() {
        assert_eq!(resource_name::<Deployment>(), "deployments.apps");
        assert_eq!(resource_name::<Service>(), "services");
        assert_eq!(resource_name::<DeserializeGuard<RagCluster>>(), "ragclusters.ragops.dev");
    }
}
