//! A finalizer of ours is put on an object of ours, or taken off it.

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::apply::CORE;
use crate::caches::{Kind, resource_name};
use crate::context::Context;
use crate::error::{Call, Error, Phase, Verb};
use crate::objects::{ObjectId, OwnKind};

/// Puts `finalizer` on, or takes it off; whoever has changed the object since is not written over.
pub async fn set<K: Kind + OwnKind>(
    context: &Context,
    object: &K,
    finalizer: &str,
    is_held: bool,
) -> Result<(), Error> {
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    let others = object.finalizers().iter().filter(|found| *found != finalizer).cloned();
    let all: Vec<String> = others.chain(is_held.then(|| finalizer.to_owned())).collect();
    let body = json!({"metadata": {"finalizers": all, "resourceVersion": object.resource_version()}});
    let api: Api<K> = Api::namespaced(context.client.clone(), &namespace);
    let parameters = PatchParams { field_manager: Some(CORE.to_owned()), ..PatchParams::default() };
    match api.patch(&name, &parameters, &Patch::Merge(&body)).await {
        Ok(patched) => {
            context.metrics.wrote(Verb::Patch, K::KIND);
            // One that is on its way out goes with its last finalizer, and shows up no more.
            let stays = object.meta().deletion_timestamp.is_none();
            if let Some(version) = patched.resource_version().filter(|_| stays) {
                context.memory.expectations.wrote(&ObjectId::of(object), (K::KIND.to_owned(), name), &version);
            }
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => {
            let call = Call { verb: Verb::Patch, resource: resource_name::<K>(), namespace, name };
            Err(Error::Call { phase: Phase::Apply, call, source: Box::new(source) })
        }
    }
}
