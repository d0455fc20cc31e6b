//! Does what a step of a snapshot asks for.

use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::command;
use super::decide::{ATTEMPT_SECONDS, Act, Doing, FINALIZER, removal_base, take_base};
use super::observed::{Observed, Obstacle, Way};
use crate::api::snapshot::RagSnapshot;
use crate::apply::CORE;
use crate::context::Context;
use crate::error::{Call, Error, Phase, Verb};
use crate::job::{Attached, Made, Request, attempt_name, build, create, owner, remove};
use crate::objects::{ObjectId, OwnKind};

/// Does it. An effect whose way has been barred since it was decided does nothing: the next pass sees why.
pub(super) async fn carry_out(
    context: &Context,
    snapshot: &RagSnapshot,
    seen: &Observed,
    doing: &Doing,
) -> Result<(), Error> {
    let name = snapshot.name_any();
    match doing.act {
        Act::Hold => finalizers(context, snapshot, true).await,
        Act::Release => finalizers(context, snapshot, false).await,
        Act::Forget => remove(context, &ObjectId::of(snapshot), &seen.made).await,
        Act::Take(number) => {
            let uid = snapshot.uid().unwrap_or_default();
            let lender = seen.way.as_ref().ok().and_then(|way| way.servers.lender());
            let args = command::take(&name, &uid, lender.as_deref());
            let attached = seen.way.as_ref().map(|way| way.attached.clone()).unwrap_or_default();
            let ways = (&seen.way, seen.made.as_slice(), attached);
            attempt(context, snapshot, ways, (&take_base(&name), number, args)).await
        }
        Act::Remove(number) => {
            let args = command::remove(&name);
            let ways = (&seen.way, seen.made.as_slice(), Attached::Nothing);
            attempt(context, snapshot, ways, (&removal_base(&name), number, args)).await
        }
    }
}

/// Makes the Job of an attempt, and then removes those before it.
pub(super) async fn attempt(
    context: &Context,
    snapshot: &RagSnapshot,
    (way, made, attached): (&Result<Way, Obstacle>, &[Made], Attached),
    (base, number, args): (&str, u32, Vec<String>),
) -> Result<(), Error> {
    let Ok(Way { servers, archive, .. }) = way else { return Ok(()) };
    let archive = archive.clone().attaching(attached);
    let name = attempt_name(base, number);
    let built = build(&Request {
        name: name.clone(),
        owner: owner(snapshot),
        servers,
        archive: &archive,
        args,
        deadline_seconds: ATTEMPT_SECONDS,
        // Whether another attempt makes sense depends on the cause.
        retries: 0,
    });
    let object = ObjectId::of(snapshot);
    create(context, &object, &built).await?;
    let earlier: Vec<_> =
        made.iter().filter(|made| made.name != name && made.name.starts_with(base)).cloned().collect();
    remove(context, &object, &earlier).await
}

/// Puts our finalizer on, or takes it off; whoever has changed the object since is not written over.
async fn finalizers(context: &Context, snapshot: &RagSnapshot, held: bool) -> Result<(), Error> {
    let (name, namespace) = (snapshot.name_any(), snapshot.namespace().unwrap_or_default());
    let others = snapshot.finalizers().iter().filter(|found| *found != FINALIZER).cloned();
    let all: Vec<String> = others.chain(held.then(|| FINALIZER.to_owned())).collect();
    let body = json!({"metadata": {"finalizers": all, "resourceVersion": snapshot.resource_version()}});
    let api: Api<RagSnapshot> = Api::namespaced(context.client.clone(), &namespace);
    let parameters = PatchParams { field_manager: Some(CORE.to_owned()), ..PatchParams::default() };
    match api.patch(&name, &parameters, &Patch::Merge(&body)).await {
        Ok(patched) => {
            context.metrics.wrote(Verb::Patch, RagSnapshot::KIND);
            let key = (RagSnapshot::KIND.to_owned(), name);
            if let Some(version) = patched.resource_version().filter(|_| held) {
                context.memory.expectations.wrote(&ObjectId::of(snapshot), key, &version);
            }
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => {
            let resource = crate::caches::resource_name::<RagSnapshot>();
            let call = Call { verb: Verb::Patch, resource, namespace, name };
            Err(Error::Call { phase: Phase::Apply, call, source: Box::new(source) })
        }
    }
}
