//! RagRestore: restores a snapshot, or attempts to in a drill, by a Job, and says what came of it.

pub mod build;
mod carry_out;
pub mod decide;
mod events;
pub mod evidence;
#[cfg(test)]
pub(crate) mod fixtures;
mod names;
mod observe;
pub mod observed;
mod reported;
pub mod status;
pub mod sweep;
#[cfg(test)]
pub(crate) mod tests;

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::timeout;

use crate::api::ConditionReason;
use crate::api::restore::{RagRestore, RagRestoreStatus};
use crate::caches::{Caches, Watched};
use crate::context::Context;
use crate::controller::{Controlled, ECHO, pause_until};
use crate::error::Error;
use crate::job::attempt_number;
use crate::objects::OwnKind;
use crate::report::{Reported, report};
use crate::steps::{Advance, Answer, Turn, Window, advance};
use carry_out::{barred, carry_out, refusal};
use decide::{Deed, Errand, procedure};
use names::job_name;
use observe::observe;
use observed::{Act, Attempt, Fault, Seen};

/// While something is under way: watches report most changes, and this catches what no watch reports.
const LOOK_WHILE_MOVING: Duration = Duration::from_secs(15);

/// The caches do not tell of another namespace: it is looked into, by a few cheap requests.
const LOOK_ELSEWHERE: Duration = Duration::from_secs(5);

impl OwnKind for RagRestore {
    const KIND: &'static str = "RagRestore";
}

impl Reported for RagRestore {
    /// There are no figures in it that move by themselves.
    fn is_news(before: Option<&RagRestoreStatus>, after: &RagRestoreStatus) -> bool {
        before != Some(after)
    }
}

impl Controlled for RagRestore {
    fn watched(caches: &Caches) -> &Watched<Self> {
        &caches.restores
    }

    fn pass<'a>(&'a self, context: &'a Context, caches: &'a Caches) -> BoxFuture<'a, Result<Duration, Error>> {
        async move {
            match sweep::of_recovery(context, self).await? {
                Some(again) => Ok(again),
                None => reconcile(context, caches, self).await,
            }
        }
        .boxed()
    }
}

/// One pass: takes the restore as far as it comes by looking, says how far it is, and then does what comes next.
async fn reconcile(context: &Context, caches: &Caches, restore: &RagRestore) -> Result<Duration, Error> {
    if status::has_ended(restore) {
        return Ok(Duration::MAX);
    }
    let seen = observe(context, caches, restore).await;
    let after = go_on(context, restore, &seen).await?;
    let (effect, within) = match after.answer {
        // What was announced is done by the next pass, which waits by itself until the caches show the announcement.
        Answer::Record => return Ok(ECHO),
        Answer::Wait(pause) => return Ok(next_look(restore, pause.until, (context.now)())),
        Answer::Done | Answer::Failed { .. } => return Ok(Duration::MAX),
        Answer::Do { effect, within } => (effect, within),
    };
    let within = Duration::try_from(within).unwrap_or_default();
    match timeout(within, carry_out(context, restore, &seen, &effect)).await {
        Ok(Err(error @ Error::NameTaken { .. })) => {
            let Some(seen) = taken_by_another(restore, &seen, &effect, &error) else { return Err(error) };
            go_on(context, restore, &seen).await.map(|_| ECHO)
        }
        Ok(Err(error)) => match not_made(restore, &effect, &error) {
            Some(why) => go_on(context, restore, &barred(&seen, why)).await.map(|_| ECHO),
            None => Err(error),
        },
        Ok(Ok(true)) => Ok(ECHO),
        // What became of it after its time, or is in its way, a later look says.
        Ok(Ok(false)) | Err(_) => Ok(LOOK_WHILE_MOVING),
    }
}

/// As far as it comes by what is seen, and says so.
async fn go_on(context: &Context, restore: &RagRestore, seen: &Seen) -> Result<Advance<Deed>, Error> {
    let now = (context.now)();
    let turn = Turn { now, awake: context.awake(), window: Window::Open, standings: &seen.standings };
    let after = advance(&procedure(restore), &seen.steps, seen, &turn);
    let status = status::status(restore, seen, &after, now);
    let events = events::events(restore.status.as_ref(), &status);
    report(context, restore, &status, &events).await?;
    Ok(after)
}

/// A Job whose name is somebody else's fails for good: nothing of it is taken over, and nothing is waited for.
fn taken_by_another(restore: &RagRestore, seen: &Seen, deed: &Deed, error: &Error) -> Option<Seen> {
    let Deed::Start { task, job } = deed else { return None };
    let name = restore.metadata.name.as_deref().unwrap_or_default();
    let number = attempt_number(&job_name(name, *task, 1), job)?;
    let why = format!("{error}; {}", error.remedy());
    let act = Act::Failed(Fault { reason: ConditionReason::NameTaken, why, may_pass: false, at: None });
    let mut seen = seen.clone();
    seen.attempts.entry(*task).or_default().push(Attempt { number, act });
    Some(seen)
}

/// Why a full drill cannot make what it needs, where that stays so.
fn not_made(restore: &RagRestore, deed: &Deed, error: &Error) -> Option<String> {
    let Deed::Elsewhere { errand: Errand::MakeCluster | Errand::Recover, .. } = deed else {
        return None;
    };
    refusal(error, restore.spec.in_namespace.as_deref()?)
}

fn next_look(restore: &RagRestore, until: Option<Timestamp>, now: Timestamp) -> Duration {
    let most = if restore.spec.in_namespace.is_some() { LOOK_ELSEWHERE } else { LOOK_WHILE_MOVING };
    until.map_or(most, |until| pause_until(until, now).min(most))
}
