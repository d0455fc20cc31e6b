//! Makes what a Job needs, and removes it again: the only place of this room that writes.

use std::fmt::Debug;
use std::hash::Hash;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;

use super::build::Built;
use super::progress::letting_in;
use crate::api::labels;
use crate::apply::{CORE, ownership_like};
use crate::caches::{Caches, Children, Kind, resource_name};
use crate::context::Context;
use crate::error::{Call, Error, Phase, Verb};
use crate::objects::ObjectId;

/// What was made for a Job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    kind: MadeKind,
    /// The Job's name, which everything made for it has.
    pub name: String,
    uid: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum MadeKind {
    Job,
    ConfigMap,
    NetworkPolicy,
    ServiceAccount,
}

#[cfg(test)]
impl Made {
    /// A Job, for tests.
    pub(crate) fn job(name: &str) -> Self {
        Self { kind: MadeKind::Job, name: name.to_owned(), uid: format!("uid-of-{name}") }
    }
}

/// Makes a Job for `object`, and before it what it needs; of what is there already for the same owner nothing is changed.
///
/// Each is looked up first. A namesake that somebody makes in between is a conflict, which the next pass looks at.
pub async fn create(context: &Context, object: &ObjectId, built: &Built) -> Result<(), Error> {
    let Built { service_account, network_policy, config, job } = built;
    let maker = Maker { context, object };
    maker.make(service_account).await?;
    if let Some(network_policy) = network_policy {
        maker.make(&letting_in(network_policy.clone(), &context.defaults)).await?;
    }
    maker.make(config).await?;
    maker.make(job).await
}

/// What was made for the owner of this uid, as the caches show it, of the Jobs whose names are accepted: the Jobs first.
pub fn made_for(caches: &Caches, owner_uid: &str, accepts: impl Fn(&str) -> bool) -> Vec<Made> {
    let mut made = Vec::new();
    find(&caches.jobs, MadeKind::Job, owner_uid, &mut made);
    find(&caches.config_maps, MadeKind::ConfigMap, owner_uid, &mut made);
    find(&caches.network_policies, MadeKind::NetworkPolicy, owner_uid, &mut made);
    find(&caches.service_accounts, MadeKind::ServiceAccount, owner_uid, &mut made);
    made.retain(|found| accepts(&found.name));
    made
}

fn find<K: Kind>(cache: &Children<K>, kind: MadeKind, owner_uid: &str, made: &mut Vec<Made>)
where
    ObjectRef<K>: Hash + Eq,
{
    let of_job = |object: &K| object.labels().contains_key(labels::OWNER_KIND);
    let is_owned = |object: &K| object.owner_references().iter().any(|owner| owner.uid == owner_uid);
    let is_going = |object: &K| object.meta().deletion_timestamp.is_some();
    let found = cache.of(owner_uid);
    let found = found.iter().filter(|object| of_job(object) && is_owned(object) && !is_going(object));
    made.extend(found.map(|object| Made { kind, name: object.name_any(), uid: object.uid().unwrap_or_default() }));
}

/// Removes what was made for Jobs of `object`, with the pods; a Job that runs is ended.
pub async fn remove(context: &Context, object: &ObjectId, made: &[Made]) -> Result<(), Error> {
    let maker = Maker { context, object };
    for found in made {
        match found.kind {
            MadeKind::Job => maker.delete::<Job>(found).await?,
            MadeKind::ConfigMap => maker.delete::<ConfigMap>(found).await?,
            MadeKind::NetworkPolicy => maker.delete::<NetworkPolicy>(found).await?,
            MadeKind::ServiceAccount => maker.delete::<ServiceAccount>(found).await?,
        }
    }
    Ok(())
}

struct Maker<'a> {
    context: &'a Context,
    object: &'a ObjectId,
}

impl Maker<'_> {
    async fn make<K: Kind + Serialize + Debug>(&self, wanted: &K) -> Result<(), Error> {
        let (name, api) = (wanted.name_any(), self.api::<K>());
        let found = api.get_opt(&name).await.map_err(|source| self.failed::<K>(Verb::Get, &name, source))?;
        if let Some(found) = found {
            return ownership_like(found.meta(), wanted.meta()).ours(format!("{}/{name}", K::kind(&())));
        }
        let parameters = PostParams { field_manager: Some(CORE.to_owned()), ..PostParams::default() };
        let made = api.create(&parameters, wanted).await;
        let made = made.map_err(|source| self.failed::<K>(Verb::Create, &name, source))?;
        let kind = K::kind(&()).into_owned();
        self.context.metrics.wrote(Verb::Create, &kind);
        if let Some(version) = made.resource_version() {
            self.context.memory.expectations.wrote(self.object, (kind, name), &version);
        }
        Ok(())
    }

    async fn delete<K: Kind>(&self, made: &Made) -> Result<(), Error> {
        let only_this = Preconditions { uid: Some(made.uid.clone()), resource_version: None };
        let parameters = DeleteParams::background().preconditions(only_this);
        match self.api::<K>().delete(&made.name, &parameters).await {
            Ok(_) => self.context.metrics.wrote(Verb::Delete, &K::kind(&())),
            // Gone, or another one has taken its place.
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
            Err(source) => return Err(self.failed::<K>(Verb::Delete, &made.name, source)),
        }
        Ok(())
    }

    fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.context.client.clone(), &self.object.namespace)
    }

    fn failed<K: Resource<DynamicType = ()>>(&self, verb: Verb, name: &str, source: kube::Error) -> Error {
        let namespace = self.object.namespace.clone();
        let call = Call { verb, resource: resource_name::<K>(), namespace, name: name.to_owned() };
        Error::Call { phase: Phase::Apply, call, source: Box::new(source) }
    }
}
