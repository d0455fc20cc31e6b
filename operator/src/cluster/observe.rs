//! Reads everything that a pass needs, once, into [`Observed`].
//!
//! Children come from the caches. What a cache does not have is asked for by name, since it may be somebody else's, or ours with
//! its labels gone. Our own Secrets are read by name; of users' Secrets only the metadata is.

mod pods;
mod snapshots;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hash;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::{BoxFuture, try_join_all};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret};
use kube::runtime::reflector::ObjectRef as StoreRef;
use kube::{Api, ResourceExt};

use super::observed::{
    Answer, Approval, ChildKind, Entropy, ForeignObject, LiveChildren, ObjectRef, Observed, OwnSecrets, Presence,
    Reported, SeenStore, ServerReport, credentials_to_read,
};
use crate::api::{ClientName, ClusterName, Credential, Generation, RagCluster, labels};
use crate::apply::{Owner, Ownership, child_ownership, is_of_managed_store, ownership};
use crate::caches::{Caches, Children, Kind, resource_name};
use crate::context::Context;
use crate::error::{Call, Error, Phase, Verb};
use crate::procedures;
use crate::sampler::Sample;
use crate::server_client::{RECORDS_PART, SeenPart};
use pods::{pods_of, server_of_predecessor};
pub(super) use snapshots::REMOVE;
use snapshots::{readings_of, removals_of, restores_of, snapshots_of};

/// Reads everything about `cluster`.
pub fn observe<'a>(
    context: &'a Context,
    caches: &'a Caches,
    cluster: &'a RagCluster,
) -> BoxFuture<'a, Result<Observed, Error>> {
    read(context, caches, cluster).boxed()
}

async fn read(context: &Context, caches: &Caches, cluster: &RagCluster) -> Result<Observed, Error> {
    let (namespace, uid) = (cluster.namespace().unwrap_or_default(), cluster.uid().unwrap_or_default());
    let name = cluster.name_any();
    let owner = Owner { name: &name, uid: &uid };
    let mut reader = Reader { context, namespace: &namespace, owner, foreign: Vec::new() };
    // A name that the CRD would refuse has no children; `validate` says what is wrong with it.
    let children = match ClusterName::parse(&name) {
        Ok(name) => reader.children(caches, cluster, &name).await?,
        Err(_) => LiveChildren::default(),
    };
    if children.deployment.is_none()
        && let Some(pod) = server_of_predecessor(&caches.pods.all(), owner)
    {
        return Err(Error::Leftover { object: format!("Pod/{pod}") });
    }
    let pods = |part: &str| pods_of(caches, &uid, part);
    let (server_pods, qdrant_pods) = (pods(labels::name::SERVER), pods(labels::name::QDRANT));
    Ok(Observed {
        now: (context.now)(),
        entropy: Entropy(rand::random()),
        defaults: context.defaults.clone(),
        server_version: server_version(context, &children).await,
        children,
        referenced_secrets: reader.referenced_secrets(cluster).await,
        foreign: reader.foreign,
        approvals: approvals_of(caches, &name),
        procedures: procedures::standings(caches, &name),
        snapshots: snapshots_of(caches, &name),
        readings: readings_of(caches, &name),
        removals: removals_of(context, caches, cluster),
        restores: restores_of(caches, &name),
        reports: server_pods.iter().filter_map(|pod| report_of(context, pod)).collect(),
        server_pods,
        qdrant_pods,
    })
}

/// The version of the API server, if one has dropped what the autoscaler was asked for: another version is asked again.
async fn server_version(context: &Context, children: &LiveChildren) -> Option<String> {
    let autoscaler = children.autoscaler.as_ref()?;
    autoscaler.annotations().get(labels::TOLERANCE_DROPPED)?;
    match context.client.apiserver_version().await {
        Ok(version) => Some(version.git_version),
        Err(error) => {
            tracing::warn!(error = crate::error::sentence(&error), "the API server does not tell its version");
            None
        }
    }
}

/// Reads for one cluster, and collects what is in its way.
struct Reader<'a> {
    context: &'a Context,
    namespace: &'a str,
    owner: Owner<'a>,
    foreign: Vec<ForeignObject>,
}

/// Which children the spec asks for. Names that it does not need are not looked up.
struct Needs {
    autoscaler: bool,
    network: bool,
    qdrant: bool,
    data_claim: bool,
    management: bool,
}

impl Needs {
    fn of(cluster: &RagCluster) -> Self {
        let store = cluster.spec.vector_store.as_ref();
        let embedded = cluster.spec.embedded().is_some();
        Self {
            autoscaler: cluster.spec.autoscaling.enabled,
            network: cluster.spec.network_policy.enabled,
            qdrant: store.is_none_or(|store| store.qdrant.is_some()),
            data_claim: embedded,
            management: embedded && cluster.spec.snapshots.is_some(),
        }
    }
}

impl Reader<'_> {
    async fn children(
        &mut self,
        caches: &Caches,
        cluster: &RagCluster,
        name: &ClusterName,
    ) -> Result<LiveChildren, Error> {
        let Needs { autoscaler, network, qdrant, data_claim, management } = Needs::of(cluster);
        let server = name.server();
        let mut live = LiveChildren {
            service_account: self.child(&caches.service_accounts, ChildKind::ServiceAccount, &server, true).await?,
            corpus: self.child(&caches.config_maps, ChildKind::ConfigMap, &name.corpus(), true).await?,
            revisions: self
                .owned(&caches.revisions)
                .iter()
                .map(|revision| ControllerRevision::clone(revision))
                .collect(),
            configs: self.configs(&caches.config_maps, name),
            live: self.child(&caches.config_maps, ChildKind::ConfigMap, &name.live(), true).await?,
            secrets: self.secrets(cluster, name, qdrant).await?,
            network_policy: self.child(&caches.network_policies, ChildKind::NetworkPolicy, &server, network).await?,
            data_claim: self.child(&caches.claims, ChildKind::PersistentVolumeClaim, &name.data(), data_claim).await?,
            deployment: self.child(&caches.deployments, ChildKind::Deployment, &server, true).await?,
            disruption_budget: self
                .child(&caches.disruption_budgets, ChildKind::PodDisruptionBudget, &server, true)
                .await?,
            autoscaler: self
                .child(&caches.autoscalers, ChildKind::HorizontalPodAutoscaler, &name.autoscaler(), autoscaler)
                .await?,
            service: self.child(&caches.services, ChildKind::Service, &name.service(), true).await?,
            management: self.child(&caches.services, ChildKind::Service, &name.management(), management).await?,
            ..LiveChildren::default()
        };
        let (store, kind) = (name.qdrant(), ChildKind::NetworkPolicy);
        let (peers, budget) = (name.qdrant_peers(), ChildKind::PodDisruptionBudget);
        live.qdrant_bootstrap = self.child(&caches.config_maps, ChildKind::ConfigMap, &store, qdrant).await?;
        live.qdrant_disruption_budget = self.child(&caches.disruption_budgets, budget, &store, qdrant).await?;
        live.qdrant_peers = self.child(&caches.services, ChildKind::Service, &peers, qdrant).await?;
        live.qdrant_service = self.child(&caches.services, ChildKind::Service, &store, qdrant).await?;
        live.qdrant_claim = self.store_claim(&caches.claims, &name.qdrant_data()).filter(|_| qdrant);
        live.qdrant_stateful_set = self.child(&caches.stateful_sets, ChildKind::StatefulSet, &store, qdrant).await?;
        live.qdrant_network_policy = self.child(&caches.network_policies, kind, &store, qdrant && network).await?;
        live.strays = self.strays(caches, name);
        Ok(live)
    }

    /// The child of this name, if it is ours. `needed`: the spec asks for it, so that somebody else's is in the way.
    fn child<'s, K>(
        &'s mut self,
        cache: &'s Children<K>,
        kind: ChildKind,
        name: &'s str,
        needed: bool,
    ) -> BoxFuture<'s, Result<Option<K>, Error>>
    where
        K: Kind,
        StoreRef<K>: Hash + Eq,
    {
        async move {
            let found = match cache.named(name) {
                Some(found) => Some(K::clone(&found)),
                None if needed => self.get::<K>(name).await?,
                None => None,
            };
            let Some(found) = found else { return Ok(None) };
            match child_ownership(kind.as_str(), found.meta(), self.owner) {
                Ownership::Ours => return Ok(Some(found)),
                Ownership::Leftover if needed => return Err(Error::Leftover { object: format!("{kind}/{name}") }),
                Ownership::Foreign(owner) if needed => {
                    self.foreign.push(ForeignObject { kind, name: name.to_owned(), owner })
                }
                Ownership::Leftover | Ownership::Foreign(_) => {}
            }
            Ok(None)
        }
        .boxed()
    }

    /// The claim of the managed store's pod, which nobody applies: it is judged, and grown, only where its labels say whose it is.
    fn store_claim(&self, cache: &Children<PersistentVolumeClaim>, name: &str) -> Option<PersistentVolumeClaim> {
        let found = cache.named(name)?;
        is_of_managed_store(&found.metadata, self.owner).then(|| PersistentVolumeClaim::clone(&found))
    }

    async fn get<K: Kind>(&self, name: &str) -> Result<Option<K>, Error> {
        let api: Api<K> = Api::namespaced(self.context.client.clone(), self.namespace);
        api.get_opt(name).await.map_err(|source| {
            let call = Call {
                verb: Verb::Get,
                resource: resource_name::<K>(),
                namespace: self.namespace.to_owned(),
                name: name.to_owned(),
            };
            Error::Call { phase: Phase::Observe, call, source: Box::new(source) }
        })
    }

    /// Everything of a kind that is ours.
    fn owned<K: Kind>(&self, cache: &Children<K>) -> Vec<Arc<K>>
    where
        StoreRef<K>: Hash + Eq,
    {
        let mut ours = cache.of(self.owner.uid);
        // A label names a cluster, and an owner has it.
        ours.retain(|object| ownership(object.meta(), self.owner) == Ownership::Ours);
        ours
    }

    fn configs(&self, cache: &Children<ConfigMap>, name: &ClusterName) -> Vec<ConfigMap> {
        let configs = self.owned(cache);
        let configs = configs.iter().filter(|config| config.name_any().starts_with(&name.config_prefix()));
        configs.map(|config| ConfigMap::clone(config)).collect()
    }

    async fn secrets(
        &mut self,
        cluster: &RagCluster,
        name: &ClusterName,
        managed_store: bool,
    ) -> Result<OwnSecrets, Error> {
        let server = self.secret(&name.server()).await?;
        let credentials = credentials_to_read(&cluster.spec, server.as_ref());
        let clients: Vec<ClientName> = credentials.iter().filter_map(Credential::client).cloned().collect();
        let generation = |credential: Credential| (name.generation(&credential, Generation::FIRST), credential);
        let generations: Vec<(String, Credential)> = credentials.into_iter().map(generation).collect();
        let keys: Vec<(String, ClientName)> =
            clients.into_iter().map(|client| (name.client_key(&client), client)).collect();
        let names = generations.iter().map(|(name, _)| name).chain(keys.iter().map(|(name, _)| name));
        let mut found =
            try_join_all(names.map(|name| self.get::<Secret>(name))).await?.into_iter().flatten().collect::<Vec<_>>();
        let mut take = |name: &str| {
            let index = found.iter().position(|secret| secret.name_any() == name)?;
            Some(found.swap_remove(index))
        };
        let mut secrets = OwnSecrets { server, ..OwnSecrets::default() };
        for (name, credential) in generations {
            if let Some(secret) = self.ours(take(&name))? {
                secrets.generations.insert((credential, Generation::FIRST), secret);
            }
        }
        for (name, client) in keys {
            if let Some(secret) = self.ours(take(&name))? {
                secrets.client_keys.insert(client, secret);
            }
        }
        if managed_store {
            secrets.qdrant = self.secret(&name.qdrant()).await?;
        }
        Ok(secrets)
    }

    async fn secret(&mut self, name: &str) -> Result<Option<Secret>, Error> {
        let found = self.get(name).await?;
        self.ours(found)
    }

    fn ours(&mut self, found: Option<Secret>) -> Result<Option<Secret>, Error> {
        let Some(found) = found else { return Ok(None) };
        let (kind, name) = (ChildKind::Secret, found.name_any());
        match ownership(&found.metadata, self.owner) {
            Ownership::Ours => return Ok(Some(found)),
            Ownership::Leftover => return Err(Error::Leftover { object: format!("{kind}/{name}") }),
            Ownership::Foreign(owner) => self.foreign.push(ForeignObject { kind, name, owner }),
        }
        Ok(None)
    }

    /// Ours, under a name that nothing has. Volume claims are never among them: data is not removed by comparison.
    fn strays(&self, caches: &Caches, name: &ClusterName) -> Vec<ObjectRef> {
        let (server, qdrant, peers, service) = (name.server(), name.qdrant(), name.qdrant_peers(), name.service());
        let mut strays = Vec::new();
        self.strays_of(&caches.service_accounts, (ChildKind::ServiceAccount, &[&server]), &mut strays);
        self.strays_of(&caches.network_policies, (ChildKind::NetworkPolicy, &[&server, &qdrant]), &mut strays);
        self.strays_of(&caches.deployments, (ChildKind::Deployment, &[&server]), &mut strays);
        self.strays_of(&caches.stateful_sets, (ChildKind::StatefulSet, &[&qdrant]), &mut strays);
        self.strays_of(&caches.disruption_budgets, (ChildKind::PodDisruptionBudget, &[&server, &qdrant]), &mut strays);
        self.strays_of(&caches.autoscalers, (ChildKind::HorizontalPodAutoscaler, &[&name.autoscaler()]), &mut strays);
        self.strays_of(
            &caches.services,
            (ChildKind::Service, &[&service, &name.management(), &qdrant, &peers]),
            &mut strays,
        );
        let mut config_maps = Vec::new();
        let kept = [&name.live(), &qdrant, &name.corpus()];
        self.strays_of(&caches.config_maps, (ChildKind::ConfigMap, &kept), &mut config_maps);
        strays.extend(config_maps.into_iter().filter(|config| !config.name.starts_with(&name.config_prefix())));
        strays
    }

    fn strays_of<K: Kind>(
        &self,
        cache: &Children<K>,
        (kind, names): (ChildKind, &[&String]),
        strays: &mut Vec<ObjectRef>,
    ) where
        StoreRef<K>: Hash + Eq,
    {
        for object in self.owned(cache) {
            let (name, uid) = (object.name_any(), object.uid().unwrap_or_default());
            let is_going = object.meta().deletion_timestamp.is_some();
            // What was made for a Job goes with it.
            let is_of_job = object.labels().contains_key(labels::OWNER_KIND);
            if !names.contains(&&name) && !is_going && !is_of_job {
                strays.push(ObjectRef { kind, name, uid });
            }
        }
    }

    async fn referenced_secrets(&self, cluster: &RagCluster) -> BTreeMap<String, Presence> {
        let names: BTreeSet<&str> = cluster.spec.referenced_secrets().into_iter().map(|(_, name)| name).collect();
        let secrets: Api<Secret> = Api::namespaced(self.context.client.clone(), self.namespace);
        let mut presence = BTreeMap::new();
        for name in names {
            let found = match secrets.get_metadata_opt(name).await {
                Ok(Some(_)) => Presence::Exists,
                Ok(None) => Presence::Missing,
                Err(error) => {
                    tracing::warn!(
                        secret = name,
                        error = crate::error::sentence(&error),
                        "a Secret of the spec cannot be looked up"
                    );
                    Presence::Unknown
                }
            };
            presence.insert(name.to_owned(), found);
        }
        presence
    }
}

/// One that is being deleted allows nothing any more.
fn approvals_of(caches: &Caches, cluster: &str) -> Vec<Approval> {
    let all = caches.approvals.cache.state();
    let readable = all.iter().filter_map(|approval| approval.0.as_ref().ok());
    let ours = readable
        .filter(|approval| approval.spec.cluster == cluster && approval.metadata.deletion_timestamp.is_none())
        .map(|approval| Approval {
            name: approval.name_any(),
            max_replicas: approval.spec.max_replicas,
            expires_at: approval.spec.expires_at.0,
        });
    let mut approvals: Vec<Approval> = ours.collect();
    approvals.sort_by(|one, other| one.name.cmp(&other.name));
    approvals
}

fn report_of(context: &Context, pod: &Pod) -> Option<(String, ServerReport)> {
    let uid = pod.uid()?;
    let Sample { at, answer } = context.samples.of(&uid, (context.now)())?;
    let answer = match answer {
        Ok(status) => Answer::Said(Reported {
            store: status.store().and_then(seen),
            config_sha256: status.config_sha256,
            live_sha256: status.live_sha256,
            ready: status.ready,
            waiting_for: status.waiting_for,
            read_only: status.read_only,
            credentials: status.credentials.into_iter().map(|credential| credential.name).collect(),
        }),
        Err(silence) => Answer::Silent(silence.to_string()),
    };
    Some((uid, ServerReport { asked_at: at, answer }))
}

fn seen(store: &SeenPart) -> Option<SeenStore> {
    let since = store.since.as_ref().and_then(|since| since.parse().ok());
    let is_records = store.name == RECORDS_PART;
    Some(SeenStore { is_records, reachable: store.reachable?, since, cause: store.cause.clone() })
}
