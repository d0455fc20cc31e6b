//! Carries out what a step asks for: a RagSnapshot, a Job, or the end of one. Each looks first and has a name of its own.

mod elsewhere;

use kube::api::PostParams;
use kube::{Api, ResourceExt};

use super::build::{JOB_WITHIN, arguments, before};
use super::decide::{Deed, Source, created_at, min_recall_percent, source};
use super::observed::{ClusterSeen, Seen, Task};
use crate::api::restore::RagRestore;
use crate::api::snapshot::RagSnapshot;
use crate::apply::CORE;
use crate::caches::resource_name;
use crate::context::Context;
use crate::error::{Call, Error, Phase, Verb};
use crate::job::{self, Archive, Request};
use crate::objects::{ObjectId, OwnKind};

pub(super) use elsewhere::{barred, refusal, remove, run};

/// Carries out `deed`, and says whether it did: what is in its way by now is seen by a later pass.
pub(super) async fn carry_out(
    context: &Context,
    restore: &RagRestore,
    seen: &Seen,
    deed: &Deed,
) -> Result<bool, Error> {
    let object = ObjectId::of(restore);
    match deed {
        Deed::Snapshot { .. } => take_snapshot(context, restore, seen).await,
        Deed::Start { task, job } => start(context, restore, seen, (*task, job)).await,
        Deed::Stop { job } => {
            let made: Vec<_> = seen.made.iter().filter(|made| made.name == *job).cloned().collect();
            job::remove(context, &object, &made).await.map(|()| true)
        }
        Deed::Forget { .. } => job::remove(context, &object, &seen.made).await.map(|()| true),
        Deed::Elsewhere { errand, name, .. } => run(context, restore, seen, (*errand, name)).await,
    }
}

async fn take_snapshot(context: &Context, restore: &RagRestore, seen: &Seen) -> Result<bool, Error> {
    let Ok(source) = source(&restore.spec, created_at(restore), seen) else { return Ok(false) };
    let wanted = before(restore, &source.destination);
    let (namespace, name) = (restore.namespace().unwrap_or_default(), wanted.name_any());
    let api: Api<RagSnapshot> = Api::namespaced(context.client.clone(), &namespace);
    let parameters = PostParams { field_manager: Some(CORE.to_owned()), ..PostParams::default() };
    let made = match api.create(&parameters, &wanted).await {
        Ok(made) => made,
        // Whose it is, the next look says.
        Err(kube::Error::Api(status)) if status.code == 409 && status.reason == "AlreadyExists" => return Ok(true),
        Err(source) => {
            let call = Call { verb: Verb::Create, resource: resource_name::<RagSnapshot>(), namespace, name };
            return Err(Error::Call { phase: Phase::Apply, call, source: Box::new(source) });
        }
    };
    context.metrics.wrote(Verb::Create, RagSnapshot::KIND);
    if let Some(version) = made.resource_version() {
        let written = (RagSnapshot::KIND.to_owned(), name);
        context.memory.expectations.wrote(&ObjectId::of(restore), written, &version);
    }
    Ok(true)
}

/// What is restored. The way back needs no snapshot, and is not held up by one that has gone.
fn source_of(restore: &RagRestore, seen: &Seen, task: Task) -> Option<Source> {
    let recorded = seen.recorded.as_ref().filter(|recorded| task == Task::Revert && !recorded.destination.is_empty());
    let back = recorded.map(|recorded| Source { destination: recorded.destination.clone(), name: None, before: None });
    back.or_else(|| source(&restore.spec, created_at(restore), seen).ok())
}

async fn start(
    context: &Context,
    restore: &RagRestore,
    seen: &Seen,
    (task, name): (Task, &str),
) -> Result<bool, Error> {
    let Some(source) = source_of(restore, seen, task) else { return Ok(false) };
    let Some(ClusterSeen { servers: Some(servers), snapshots, .. }) = &seen.cluster else { return Ok(false) };
    let archive = Archive::of(&restore.spec.cluster, snapshots.as_ref(), Some(&source.destination));
    let Ok(archive) = archive else { return Ok(false) };
    let built = job::build(&Request {
        name: name.to_owned(),
        owner: job::owner(restore),
        servers,
        archive: &archive,
        args: arguments(restore, task, &source, min_recall_percent(&restore.spec, seen)),
        deadline_seconds: JOB_WITHIN.as_secs(),
        // Whether another attempt makes sense is decided by what this one says.
        retries: 0,
    });
    job::create(context, &ObjectId::of(restore), &built).await.map(|()| true)
}
