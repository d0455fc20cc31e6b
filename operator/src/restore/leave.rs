//! A full drill that is deleted in the middle: what it made in the other namespace goes first.

use std::time::Duration;

use super::LOOK_ELSEWHERE;
use super::carry_out::run;
use super::decide::{Errand, Leaving, leaving};
use super::names::elsewhere_name;
use super::observe::elsewhere;
use super::observed::Seen;
use crate::api::ConditionReason;
use crate::api::restore::RagRestore;
use crate::context::Context;
use crate::controller::ECHO;
use crate::error::Error;
use crate::events::{Event, Severity};
use crate::report::report;
use kube::ResourceExt;

/// One pass over a full drill that is being deleted.
pub(super) async fn leave(context: &Context, drill: &RagRestore) -> Result<Duration, Error> {
    let now = (context.now)();
    let there = elsewhere(context, drill, &Seen::default()).await;
    let Some(there) = there else {
        return run(context, drill, &Seen::default(), (Errand::Release, "")).await.map(|_| Duration::MAX);
    };
    let deleted_at = drill.metadata.deletion_timestamp.as_ref().map_or(now, |deleted| deleted.0);
    let name = elsewhere_name(&drill.name_any(), &drill.uid().unwrap_or_default());
    let errand = match leaving(&there, deleted_at, now) {
        Leaving::Next(errand) => errand,
        Leaving::Waits(_) => return Ok(LOOK_ELSEWHERE),
        Leaving::LeftBehind(what) => {
            left_behind(context, drill, &name, &what).await?;
            Errand::Release
        }
    };
    let seen = Seen { elsewhere: Some(there), ..Seen::default() };
    run(context, drill, &seen, (errand, &name)).await?;
    Ok(ECHO)
}

/// Nobody looks for it any more, so it is said where people look.
async fn left_behind(context: &Context, drill: &RagRestore, name: &str, what: &str) -> Result<(), Error> {
    let namespace = drill.spec.in_namespace.as_deref().unwrap_or_default();
    tracing::warn!(namespace, name, what, "what a full drill made could not be removed in time");
    let note = format!("{what}; delete RagCluster and RagRestore {name} of namespace {namespace} yourself");
    let event = Event::new(Severity::Warning, ConditionReason::RemovalFailed.as_str(), "Remove", &note);
    let status = drill.status.clone().unwrap_or_default();
    report(context, drill, &status, &[event]).await.map(drop)
}
