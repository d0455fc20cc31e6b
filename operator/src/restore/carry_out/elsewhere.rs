//! Carries out the errands of a full drill in the other namespace. Whoever comes twice finds what the first has done.

use std::fmt::Debug;

use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, ResourceExt};
use serde::Serialize;

use super::super::build::elsewhere::{cluster, recovery};
use super::super::decide::{Errand, created_at, source};
use super::super::names::before_name;
use super::super::observed::{Elsewhere, Found, Seen};
use crate::api::RagCluster;
use crate::api::restore::RagRestore;
use crate::api::snapshot::RagSnapshot;
use crate::apply::CORE;
use crate::caches::{Kind, resource_name};
use crate::context::Context;
use crate::error::{Call, Error, Phase, Verb};

/// Carries out `errand` with objects of this name, and says whether it did: what is in its way by now is seen by a later pass.
pub(in super::super) async fn run(
    context: &Context,
    drill: &RagRestore,
    seen: &Seen,
    (errand, name): (Errand, &str),
) -> Result<bool, Error> {
    let (Some(there), Some(namespace)) = (&seen.elsewhere, &drill.spec.in_namespace) else { return Ok(false) };
    let world = World { context, namespace };
    match errand {
        Errand::MakeCluster => {
            let Ok(source) = source(&drill.spec, created_at(drill), seen) else { return Ok(false) };
            let Some(wanted) = cluster(drill, seen, &source) else { return Ok(false) };
            world.create(&wanted).await?;
        }
        Errand::Recover => {
            let Ok(source) = source(&drill.spec, created_at(drill), seen) else { return Ok(false) };
            world.create(&recovery(drill, seen, &source)).await?;
        }
        Errand::RemoveRecovery | Errand::RemoveSnapshot | Errand::RemoveCluster => {
            remove(context, (namespace, name), there, errand).await?;
        }
    }
    Ok(true)
}

/// Removes what was seen under this name; what asks for something to be made removes nothing.
pub(in super::super) async fn remove(
    context: &Context,
    (namespace, name): (&str, &str),
    there: &Elsewhere,
    errand: Errand,
) -> Result<(), Error> {
    let world = World { context, namespace };
    match errand {
        Errand::RemoveRecovery => world.delete::<RagRestore>(name, uid(there.recovery.as_ref())).await,
        Errand::RemoveSnapshot => world.delete::<RagSnapshot>(&before_name(name), uid(there.before.as_ref())).await,
        Errand::RemoveCluster => world.delete::<RagCluster>(name, uid(there.cluster.as_ref())).await,
        Errand::MakeCluster | Errand::Recover => Ok(()),
    }
}

/// Of what the drill made.
fn uid<S>(found: Option<&Found<S>>) -> Option<String> {
    found.filter(|found| found.is_ours).map(|found| found.uid.clone())
}

/// Why nothing can be made, of an error that stays: the Role does not let it, an admission policy refuses it, or there is no such
/// namespace.
pub(in super::super) fn refusal(error: &Error, namespace: &str) -> Option<String> {
    use crate::error::Class;
    if let Error::Call { source, call, .. } = error
        && call.verb == Verb::Create
        && matches!(source.as_ref(), kube::Error::Api(status) if status.code == 404)
    {
        return Some(format!("there is no namespace {namespace}; create it, and create another RagRestore"));
    }
    match error.class() {
        Class::Forbidden => Some(format!(
            "{error}; add namespace {namespace} to drillNamespaces of the chart, whose Role there lets clusters be made, and create \
             another RagRestore"
        )),
        Class::Invalid => Some(format!("{error}; {}", error.remedy())),
        Class::Conflict | Class::Transient => None,
    }
}

/// What is seen where nothing can be made.
pub(in super::super) fn barred(seen: &Seen, why: String) -> Seen {
    let reason = crate::api::ConditionReason::Skipped;
    let there = seen.elsewhere.clone().unwrap_or_default();
    Seen { elsewhere: Some(Elsewhere { barred: Some((reason, why)), ..there }), ..seen.clone() }
}

struct World<'a> {
    context: &'a Context,
    namespace: &'a str,
}

impl World<'_> {
    fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.context.client.clone(), self.namespace)
    }

    /// Makes it, unless there is one of its name: whose that is, the next look says.
    async fn create<K: Kind + Serialize + Debug>(&self, wanted: &K) -> Result<(), Error> {
        let parameters = PostParams { field_manager: Some(CORE.to_owned()), ..PostParams::default() };
        match self.api::<K>().create(&parameters, wanted).await {
            Ok(_) => self.context.metrics.wrote(Verb::Create, &K::kind(&())),
            Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => {}
            Err(source) => return Err(self.failed::<K>(Verb::Create, &wanted.name_any(), source)),
        }
        Ok(())
    }

    async fn delete<K: Kind>(&self, name: &str, uid: Option<String>) -> Result<(), Error> {
        let Some(uid) = uid else { return Ok(()) };
        let only_this = Preconditions { uid: Some(uid), resource_version: None };
        let parameters = DeleteParams::background().preconditions(only_this);
        match self.api::<K>().delete(name, &parameters).await {
            Ok(_) => self.context.metrics.wrote(Verb::Delete, &K::kind(&())),
            // Gone, or another one has taken its place.
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
            Err(source) => return Err(self.failed::<K>(Verb::Delete, name, source)),
        }
        Ok(())
    }

    fn failed<K: Kind>(&self, verb: Verb, name: &str, source: kube::Error) -> Error {
        let (namespace, name) = (self.namespace.to_owned(), name.to_owned());
        let call = Call { verb, resource: resource_name::<K>(), namespace, name };
        Error::Call { phase: Phase::Apply, call, source: Box::new(source) }
    }
}
