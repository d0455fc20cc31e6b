//! Looks into the namespace of a full drill. The API server is asked and not the caches: what was just written there may not be in
//! them yet, and that something is gone has to be true when it is said.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::super::build::elsewhere::cluster as own_cluster;
use super::super::decide::{created_at, min_recall_percent, source, step};
use super::super::names::{before_name, elsewhere_name};
use super::super::observed::{Elsewhere, Found, Recovery, Seen, Serving, SnapshotState};
use super::super::reported::whole;
use super::super::status::has_ended;
use crate::api::restore::{RagRestore, RestoreResult};
use crate::api::snapshot::RagSnapshot;
use crate::api::steps::StepState;
use crate::api::{ClientName, ClusterName, ConditionReason, ConditionType, Credential, Generation, RagCluster, labels};
use crate::caches::Kind;
use crate::conditions::find;
use crate::context::Context;
use crate::error::{Class, class, sentence};

/// What is there of `drill`; nothing of one that is no full drill. `seen` is what is known of it and of its cluster.
pub(in super::super) async fn elsewhere(context: &Context, drill: &RagRestore, seen: &Seen) -> Option<Elsewhere> {
    let namespace = drill.spec.in_namespace.as_deref()?;
    let barred = barred_at_once(context, drill, namespace);
    if barred.is_some() && seen.recorded_state(step::CLUSTER) == StepState::Pending {
        return Some(Elsewhere { barred, ..Elsewhere::default() });
    }
    let uid = drill.uid().unwrap_or_default();
    let (looking, judging) = (Looking { context, namespace, uid: &uid }, Judging { drill, seen });
    let name = elsewhere_name(&drill.name_any(), &uid);
    let found = looking.look(&name, |restore, cluster| judging.recovery(restore, cluster)).await;
    let there = found.unwrap_or_else(|error| unseen(&error, namespace));
    let missing = if there.is_empty() { missing(context, drill, seen, namespace).await } else { None };
    Some(Elsewhere { barred: barred.or_else(|| there.barred.clone()).or(missing), ..there })
}

/// Where the Role is missing nothing can be made either.
fn unseen(error: &kube::Error, namespace: &str) -> Elsewhere {
    let why = format!("what is in namespace {namespace} cannot be read: {}", sentence(error));
    let remedy = format!("{why}; add it to drillNamespaces of the chart, and create another RagRestore");
    let barred = (class(error) == Class::Forbidden).then_some((ConditionReason::Skipped, remedy));
    Elsewhere { unseen: Some(why), barred, ..Elsewhere::default() }
}

/// What is there under this name of the drill with this uid, however far it is.
pub(in super::super) async fn left(
    context: &Context,
    (namespace, name): (&str, &str),
    uid: &str,
) -> kube::Result<Elsewhere> {
    let looking = Looking { context, namespace, uid };
    looking.look(name, |_, _| Recovery::UnderWay("its drill is at work no more".to_owned())).await
}

/// What a full drill can never be carried out in.
fn barred_at_once(context: &Context, drill: &RagRestore, namespace: &str) -> Option<(ConditionReason, String)> {
    if drill.namespace().as_deref() == Some(namespace) {
        let why = "spec.inNamespace is the namespace of the RagCluster itself; create another RagRestore that names one of \
                   its own for full drills";
        return Some((ConditionReason::InvalidSpec, why.to_owned()));
    }
    let why = format!(
        "the operator does not watch namespace {namespace}; add it to drillNamespaces of the chart, and create another RagRestore"
    );
    context.caches(namespace).is_none().then_some((ConditionReason::Skipped, why))
}

/// The first Secret that the cluster would name and that is not there.
async fn missing(
    context: &Context,
    drill: &RagRestore,
    seen: &Seen,
    namespace: &str,
) -> Option<(ConditionReason, String)> {
    let source = source(&drill.spec, created_at(drill), seen).ok()?;
    let cluster = own_cluster(drill, seen, &source)?;
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    for (_, name) in cluster.spec.referenced_secrets() {
        // What the API server cannot say is no finding.
        if let Ok(None) = secrets.get_metadata_opt(name).await {
            let why = format!(
                "there is no Secret \"{name}\" in namespace {namespace}, which the cluster of a full drill needs as RagCluster {} \
                 does; create it there, and create another RagRestore",
                drill.spec.cluster
            );
            return Some((ConditionReason::Skipped, why));
        }
    }
    None
}

struct Looking<'a> {
    context: &'a Context,
    namespace: &'a str,
    /// Of the drill.
    uid: &'a str,
}

impl Looking<'_> {
    /// `judge` says how far the restore there is.
    async fn look(
        &self,
        name: &str,
        judge: impl FnOnce(&RagRestore, Option<&RagCluster>) -> Recovery,
    ) -> kube::Result<Elsewhere> {
        let cluster: Option<RagCluster> = self.named(name).await?;
        let recovery: Option<RagRestore> = self.named(name).await?;
        let before: Option<RagSnapshot> = self.named(&before_name(name)).await?;
        let is_gone = cluster.is_none() && recovery.is_none() && before.is_none();
        let remains = if is_gone { self.remains(name).await? } else { None };
        // That it is of a cluster of this name says whose it is: no other is called so.
        let before = before.filter(|before| before.spec.cluster == name);
        Ok(Elsewhere {
            recovery: recovery.map(|found| self.found(&found, judge(&found, cluster.as_ref()))),
            before: before.map(|found| Found { is_ours: true, ..self.found(&found, ()) }),
            cluster: cluster.map(|found| self.found(&found, serving(&found))),
            remains,
            ..Elsewhere::default()
        })
    }

    fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.context.client.clone(), self.namespace)
    }

    /// The object of this name, by the verb that our own kinds are read with.
    async fn named<K: Kind>(&self, name: &str) -> kube::Result<Option<K>> {
        let only = ListParams::default().fields(&format!("metadata.name={name}"));
        Ok(self.api::<K>().list(&only).await?.items.pop())
    }

    fn found<K: Kind, S>(&self, object: &K, state: S) -> Found<S> {
        Found {
            uid: object.uid().unwrap_or_default(),
            is_ours: object.annotations().get(labels::RESTORE_UID).is_some_and(|uid| uid == self.uid),
            is_going: object.meta().deletion_timestamp.is_some(),
            state,
        }
    }

    /// The first object of the cluster that is still there.
    async fn remains(&self, name: &str) -> kube::Result<Option<String>> {
        let found = [
            self.one::<Pod>(name).await?,
            self.one::<Job>(name).await?,
            self.one::<Deployment>(name).await?,
            self.one::<StatefulSet>(name).await?,
            self.one::<PersistentVolumeClaim>(name).await?,
            self.one::<Service>(name).await?,
            self.one::<ConfigMap>(name).await?,
            self.one::<ServiceAccount>(name).await?,
            self.one::<NetworkPolicy>(name).await?,
            self.one::<PodDisruptionBudget>(name).await?,
            self.one::<ControllerRevision>(name).await?,
        ];
        if let Some(found) = found.into_iter().flatten().next() {
            return Ok(Some(found));
        }
        // Secrets are not listed.
        for secret in secrets(name) {
            if self.api::<Secret>().get_metadata_opt(&secret).await?.is_some() {
                return Ok(Some(format!("Secret {secret}")));
            }
        }
        Ok(None)
    }

    async fn one<K: Kind>(&self, cluster: &str) -> kube::Result<Option<String>> {
        let of_cluster = ListParams::default().labels(&format!("{}={cluster}", labels::INSTANCE)).limit(1);
        let found = self.api::<K>().list_metadata(&of_cluster).await?.items.pop();
        Ok(found.map(|found| format!("{} {}", K::kind(&()), found.name_any())))
    }
}

/// Says how far a restore is that a full drill has asked for.
struct Judging<'a> {
    drill: &'a RagRestore,
    seen: &'a Seen,
}

impl Judging<'_> {
    fn recovery(&self, restore: &RagRestore, cluster: Option<&RagCluster>) -> Recovery {
        let conditions = restore.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        let Some(ready) = find(conditions, ConditionType::Ready) else {
            return Recovery::UnderWay("nobody has looked at it yet".to_owned());
        };
        let result = restore.status.as_ref().and_then(|status| status.result.as_ref());
        match result {
            _ if !has_ended(restore) => Recovery::UnderWay(ready.message.clone()),
            Some(result) if ready.reason == ConditionReason::Restored.as_str() && ready.status == "True" => {
                let began = cluster.and_then(|cluster| cluster.metadata.creation_timestamp.as_ref()).map(|at| at.0);
                let lasted = began.map(|began| ready.last_transition_time.0.duration_since(began));
                Recovery::Done(Box::new(whole(result, lasted, self.age(&result.snapshot))))
            }
            _ => self.failed(ready, result),
        }
    }

    /// In a cluster that nobody uses, that what was found wrong was taken back is of no interest: only what was found wrong.
    fn failed(&self, ready: &Condition, result: Option<&RestoreResult>) -> Recovery {
        let least = f64::from(min_recall_percent(&self.drill.spec, self.seen));
        let found_too_little = result.and_then(|result| result.recall_percent).is_some_and(|found| found < least);
        let reason = ConditionReason::ALL.iter().copied().find(|reason| reason.as_str() == ready.reason);
        let reason = match reason.unwrap_or(ConditionReason::Failed) {
            ConditionReason::Reverted | ConditionReason::RevertFailed | ConditionReason::NotVerified => {
                if found_too_little {
                    ConditionReason::RecallTooLow
                } else {
                    ConditionReason::NotVerified
                }
            }
            // It was restored, and what of is not known.
            ConditionReason::Restored => ConditionReason::NotVerified,
            reason => reason,
        };
        Recovery::Failed { reason, why: ready.message.clone() }
    }

    /// How old a snapshot was when the drill was asked for, where it is known.
    fn age(&self, snapshot: &str) -> Option<jiff::SignedDuration> {
        let taken = self.seen.snapshots.iter().find_map(|found| match &found.state {
            SnapshotState::Taken(archived) if archived.name == snapshot => Some(archived.began_at),
            SnapshotState::Taken(_) | SnapshotState::Taking(_) | SnapshotState::Failed { .. } => None,
        })?;
        let asked: Timestamp = created_at(self.drill);
        Some(asked.duration_since(taken))
    }
}

/// The Secrets that are minted for a cluster with one client, whose generations are the first.
fn secrets(cluster: &str) -> Vec<String> {
    let Ok(name) = ClusterName::parse(cluster) else { return Vec::new() };
    let client = ClientName::default_client();
    let key = name.client_key(&client);
    let credentials = [Credential::ApiKey(client), Credential::Operator, Credential::VectorStore];
    let generations = credentials.iter().map(|credential| name.generation(credential, Generation::FIRST));
    [name.server(), name.qdrant(), key].into_iter().chain(generations).collect()
}

fn serving(cluster: &RagCluster) -> Serving {
    let conditions = cluster.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let Some(ready) = find(conditions, ConditionType::Ready) else {
        return Serving::NotYet("nobody has looked at it yet".to_owned());
    };
    let is_current = ready.observed_generation == cluster.metadata.generation;
    if is_current && ready.status == "True" { Serving::Yes } else { Serving::NotYet(ready.message.clone()) }
}
