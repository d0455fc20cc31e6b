//! Writes one child at a time, and only if it has to.
//!
//! A child is created without force, so that a namesake which appears in between is not taken over, and changed with force, so
//! that a field of ours which somebody changed is put back. What was put back is remembered for the report.

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};

use super::drift::{Cause, Difference, drift};
use super::fields;
use super::ownership::{Owner, child_ownership};
use crate::caches::{Kind, resource_name};
use crate::cluster::decide::volume::Growth;
use crate::cluster::observed::{ChildKind, ObjectRef};
use crate::cluster::status::{Correction, Refusal};
use crate::context::Context;
use crate::error::{Call, Error, Phase, Verb};
use crate::objects::ObjectId;

/// Owns everything about children but the number of servers.
pub const CORE: &str = "ragops.dev/core";

/// Owns the number of servers while no autoscaler does.
pub const SCALING: &str = "ragops.dev/scaling";

/// Whoever changed a field without leaving a name: a removed field has no owner.
const SOMEBODY: &str = "somebody (removed)";

/// Writes the children of one cluster.
pub(super) struct Writer<'a> {
    pub(super) context: &'a Context,
    /// Whose children they are, as what is remembered of them is filed.
    pub(super) object: ObjectId,
    pub(super) owner: Owner<'a>,
    pub(super) corrections: Vec<Correction>,
    pub(super) refused: Option<Refusal>,
}

impl Writer<'_> {
    /// Brings a child to what is wanted; `live` is what the cache has of it.
    ///
    /// On the heap, like all that a pass awaits for each child: side by side in one future they would fill a thread's stack.
    pub(super) fn apply<'s, K: Kind + Serialize>(
        &'s mut self,
        wanted: &'s K,
        live: Option<&'s K>,
    ) -> BoxFuture<'s, Result<K, Error>> {
        async move {
            let name = wanted.name_any();
            let body = json_of(wanted);
            if let Some(live) = live {
                return self.change(&name, &body, live).await;
            }
            match self.unseen::<K>(&name).await? {
                Some(unseen) => self.change(&name, &body, &unseen).await,
                None => self.create_by_apply(&name, &body).await,
            }
        }
        .boxed()
    }

    /// Creates a child that never changes afterwards. One that exists is a conflict: what else is planned was derived from this
    /// one's content, so the next pass has to read it first.
    pub(super) async fn create<K: Kind + Serialize>(&mut self, wanted: &K) -> Result<K, Error> {
        let parameters = PostParams { field_manager: Some(CORE.to_owned()), ..PostParams::default() };
        let created = self.api::<K>().create(&parameters, wanted).await;
        let created = created.map_err(|source| self.failed::<K>(Verb::Create, &wanted.name_any(), source))?;
        self.wrote(Verb::Create, &created);
        Ok(created)
    }

    /// Hands the number of servers to the manager of scaling, which never applies anything else. Where the number was judged by
    /// what a cache shows, `seen` is the version that it shows: if the autoscaler has moved the number since, this is a conflict,
    /// and the next pass decides by the new one.
    pub(super) async fn scale(
        &mut self,
        live: &Deployment,
        count: i32,
        seen: Option<&str>,
    ) -> Result<Deployment, Error> {
        let name = live.name_any();
        let mut body = json!({
            "apiVersion": Deployment::api_version(&()),
            "kind": Deployment::kind(&()),
            "metadata": {"name": name, "namespace": self.object.namespace},
            "spec": {"replicas": count},
        });
        let found = drift(&body, &json_of(live), SCALING);
        self.note_corrections(live, &found, false);
        if let Some(seen) = seen {
            body["metadata"]["resourceVersion"] = json!(seen);
        }
        let before = live.metadata.resource_version.as_deref();
        self.patch(&name, &body, &PatchParams::apply(SCALING).force(), before).await
    }

    /// The version of the API server; `true` if it does not tell it.
    pub(super) async fn server_version(&self) -> String {
        match self.context.client.apiserver_version().await {
            Ok(version) => version.git_version,
            Err(error) => {
                tracing::warn!(error = crate::error::sentence(&error), "the API server does not tell its version");
                "true".to_owned()
            }
        }
    }

    /// Has a claim ask for more. Nothing is applied: it is a StatefulSet's, or was made long ago, and an apply would make one anew
    /// that has gone. What the API server refuses, because the volumes of the class do not grow or a quota is full, is noted.
    pub(super) async fn grow(&mut self, growth: Growth) -> Result<Option<Growth>, Error> {
        let body = json!({
            "metadata": {"resourceVersion": growth.version},
            "spec": {"resources": {"requests": {"storage": growth.to}}},
        });
        let parameters = PatchParams { field_manager: Some(CORE.to_owned()), ..PatchParams::default() };
        let name = &growth.claim.name;
        match self.api::<PersistentVolumeClaim>().patch(name, &parameters, &Patch::Merge(&body)).await {
            Ok(grown) => {
                self.wrote(Verb::Patch, &grown);
                if let Some(after) = &grown.metadata.resource_version {
                    let memory = &self.context.memory.unsettled;
                    memory.wrote(&self.object, &growth.claim.uid, Some(growth.version.as_str()), after);
                }
                Ok(Some(growth))
            }
            Err(kube::Error::Api(status)) if is_refusal(&status) => {
                tracing::warn!(claim = name, said = status.message, "the volume may not grow");
                self.refused = Some(Refusal { growth, said: status.message });
                Ok(None)
            }
            Err(source) => Err(self.failed::<PersistentVolumeClaim>(Verb::Patch, name, source)),
        }
    }

    /// Removes a child, unless a namesake has taken its place.
    pub(super) async fn remove<K: Kind>(&mut self, object: &ObjectRef) -> Result<(), Error> {
        self.delete::<K>(object, DeleteParams::background()).await
    }

    /// The same, and leaves what the child made.
    pub(super) async fn remove_alone<K: Kind>(&mut self, object: &ObjectRef) -> Result<(), Error> {
        self.delete::<K>(object, DeleteParams::orphan()).await
    }

    async fn delete<K: Kind>(&mut self, object: &ObjectRef, parameters: DeleteParams) -> Result<(), Error> {
        let only_this = Preconditions { uid: Some(object.uid.clone()), resource_version: None };
        let parameters = parameters.preconditions(only_this);
        match self.api::<K>().delete(&object.name, &parameters).await {
            Ok(_) => self.context.metrics.wrote(Verb::Delete, &K::kind(&())),
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
            Err(source) => return Err(self.failed::<K>(Verb::Delete, &object.name, source)),
        }
        self.context.memory.unsettled.forget_child(&self.object, &object.uid);
        Ok(())
    }

    /// A child that the cache does not have may exist all the same: somebody else's, or ours without its labels.
    async fn unseen<K: Kind>(&self, name: &str) -> Result<Option<K>, Error> {
        let found = self.api::<K>().get_opt(name).await.map_err(|source| self.failed::<K>(Verb::Get, name, source))?;
        let Some(found) = found else { return Ok(None) };
        let object = format!("{}/{name}", K::kind(&()));
        child_ownership(&K::kind(&()), found.meta(), self.owner).ours(object)?;
        Ok(Some(found))
    }

    async fn create_by_apply<K: Kind + Serialize>(&mut self, name: &str, body: &Value) -> Result<K, Error> {
        let created: K = self.patch(name, body, &PatchParams::apply(CORE), None).await?;
        self.settle(body, &created);
        Ok(created)
    }

    async fn change<K: Kind + Serialize>(&mut self, name: &str, body: &Value, live: &K) -> Result<K, Error> {
        let uid = live.uid().unwrap_or_default();
        let found = drift(body, &json_of(live), CORE);
        let memory = &self.context.memory.unsettled;
        if found.is_empty() || memory.is_known(&self.object, &uid, body, &found) {
            memory.note(&self.object, &uid, body, &found);
            return Ok(live.clone());
        }
        let was_wanted = memory.was_wanted(&self.object, &uid, body);
        self.note_corrections(live, &found, was_wanted);
        let before = live.meta().resource_version.as_deref();
        let changed: K = self.patch(name, body, &PatchParams::apply(CORE).force(), before).await?;
        let remaining = self.settle(body, &changed);
        if !remaining.is_empty() {
            let fields: Vec<String> = remaining.iter().map(ToString::to_string).collect();
            tracing::warn!(kind = %K::kind(&()), name, ?fields, "the API server does not keep these fields as they were applied");
        }
        Ok(changed)
    }

    fn settle<K: Resource<DynamicType = ()> + Serialize>(&self, body: &Value, applied: &K) -> Vec<Difference> {
        let remaining = drift(body, &json_of(applied), CORE);
        self.context.memory.unsettled.note(
            &self.object,
            applied.meta().uid.as_deref().unwrap_or_default(),
            body,
            &remaining,
        );
        remaining
    }

    /// `before`: the version that what is applied was decided by.
    async fn patch<K: Kind>(
        &mut self,
        name: &str,
        body: &Value,
        parameters: &PatchParams,
        before: Option<&str>,
    ) -> Result<K, Error> {
        let applied: Result<K, _> = self.api().patch(name, parameters, &Patch::Apply(body)).await;
        let applied = applied.map_err(|source| self.failed::<K>(Verb::Patch, name, source))?;
        self.wrote(Verb::Patch, &applied);
        if let (Some(uid), Some(after)) = (&applied.meta().uid, &applied.meta().resource_version) {
            self.context.memory.unsettled.wrote(&self.object, uid, before, after);
        }
        Ok(applied)
    }

    /// `was_wanted`: the plan is the one that was settled before, so that whatever is missing now was removed by somebody. A cache
    /// that has not shown our own last write accuses nobody: what it lacks may be just that.
    fn note_corrections<K: Resource<DynamicType = ()>>(&mut self, live: &K, found: &[Difference], was_wanted: bool) {
        let metadata = live.meta();
        let (uid, shown) = (metadata.uid.as_deref(), metadata.resource_version.as_deref());
        if self.context.memory.unsettled.is_behind(&self.object, uid.unwrap_or_default(), shown.unwrap_or_default()) {
            return;
        }
        let name = metadata.name.as_deref().unwrap_or_default();
        for difference in found {
            let by = match &difference.cause {
                Cause::SetBy(manager) if !is_expected(manager) => manager,
                Cause::Ours if was_wanted => SOMEBODY,
                Cause::SetBy(_) | Cause::Ours | Cause::Surplus => continue,
            };
            let object = format!("{}/{name}", K::kind(&()));
            tracing::info!(object, field = difference.path, by, "a field of ours is put back");
            match self.corrections.iter_mut().find(|known| known.object == object && known.by == by) {
                Some(known) => known.fields.push(difference.path.clone()),
                None => self.corrections.push(Correction {
                    object,
                    fields: vec![difference.path.clone()],
                    by: by.to_owned(),
                }),
            }
        }
    }

    fn wrote<K: Resource<DynamicType = ()>>(&self, verb: Verb, object: &K) {
        let kind = K::kind(&()).into_owned();
        self.context.metrics.wrote(verb, &kind);
        let metadata = object.meta();
        let name = metadata.name.clone().unwrap_or_default();
        tracing::debug!(verb = verb.name(), kind, name, "written");
        // Secrets are in no cache: they are read anew in every pass.
        let is_cached = kind != ChildKind::Secret.as_str();
        if let Some(version) = metadata.resource_version.as_ref().filter(|_| is_cached) {
            self.context.memory.expectations.wrote(&self.object, (kind, name), version);
        }
    }

    fn failed<K: Resource<DynamicType = ()>>(&self, verb: Verb, name: &str, source: kube::Error) -> Error {
        let call = Call {
            verb,
            resource: resource_name::<K>(),
            namespace: self.object.namespace.clone(),
            name: name.to_owned(),
        };
        Error::Call { phase: Phase::Apply, call, source: Box::new(source) }
    }

    fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.context.client.clone(), &self.object.namespace)
    }
}

/// Whether the manager of everything else also owns the number of servers. It does from the creation of the Deployment, which
/// must not start with the API server's one server, until the manager of scaling has taken the number over.
pub(super) fn core_owns_replicas(live: &Deployment) -> bool {
    let live = json_of(live);
    fields::applied_by(&live, CORE)
        .and_then(|fields| fields::field(fields, "spec"))
        .is_some_and(|spec| fields::field(spec, "replicas").is_some())
}

/// Whether an object was refused for what it asks. A missing verb is another matter: a person has to grant it.
fn is_refusal(status: &kube::core::Status) -> bool {
    let lacks_the_verb = status.code == 403 && status.message.contains("cannot patch resource");
    matches!(status.code, 400 | 403 | 422) && !lacks_the_verb
}

/// Managers whose changes are no surprise: ourselves under another name, and the autoscaler.
fn is_expected(manager: &str) -> bool {
    manager.starts_with("ragops.dev/") || manager == "kube-controller-manager"
}

fn json_of(object: &impl Serialize) -> Value {
    // Kubernetes objects have text keys and finite numbers only, which always have a JSON form.
    serde_json::to_value(object).unwrap_or_default()
}
