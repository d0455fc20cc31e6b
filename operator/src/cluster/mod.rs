//! RagCluster: from the object to its children and its status, in six calls.
//!
//! `observe` reads, `apply` and `report` write; what stands between them is pure.

pub mod build;
pub mod decide;
pub mod events;
pub mod figures;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod observe;
pub mod observed;
pub mod status;
mod take_up;
pub mod validate;

use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::api::{RagCluster, RagClusterStatus};
use crate::apply::{Written, apply};
use crate::caches::{Caches, Watched};
use crate::context::Context;
use crate::controller::{Controlled, pause_until};
use crate::error::Error;
use crate::objects::{ObjectId, OwnKind};
use crate::report::{Reported, report};
use crate::restore::sweep;
use build::build;
use decide::decide;
use observe::observe;
use observed::Observed;
use status::{Failure, Outcome, Planned, is_news, next_look, status, unobserved};
use take_up::take_up;
use validate::validate;

/// Secrets are not watched, so nothing tells that a removed one has gone; what remembers its name is written by the next pass.
const LOOK_AFTER_REMOVAL: Duration = Duration::from_secs(1);

impl OwnKind for RagCluster {
    const KIND: &'static str = "RagCluster";
}

impl Reported for RagCluster {
    fn is_news(before: Option<&RagClusterStatus>, after: &RagClusterStatus) -> bool {
        is_news(before, after)
    }
}

impl Controlled for RagCluster {
    fn watched(caches: &Caches) -> &Watched<Self> {
        &caches.clusters
    }

    fn pass<'a>(&'a self, context: &'a Context, caches: &'a Caches) -> BoxFuture<'a, Result<Duration, Error>> {
        async move {
            match sweep::of_cluster(context, self).await? {
                Some(again) => Ok(again),
                None => Ok(sweep::next_look(self, reconcile(context, caches, self).await?)),
            }
        }
        .boxed()
    }
}

/// One pass: brings the cluster nearer to its spec and says how far it is. Returns when to look again if nothing happens.
async fn reconcile(context: &Context, caches: &Caches, cluster: &RagCluster) -> Result<Duration, Error> {
    let observed = match observe(context, caches, cluster).await {
        Ok(observed) => observed,
        Err(error) => return report_unobserved(context, cluster, error).await,
    };
    let (outcome, failed) = match validate(cluster, &observed) {
        Err(problems) => (Outcome::Invalid { problems }, None),
        Ok(valid) => {
            let plan = decide(&valid, &observed);
            carry_out((context, caches), cluster, &observed, Planned::of(valid, plan)).await
        }
    };
    let status = status(cluster, &observed, &outcome);
    let events = events::events(cluster.status.as_ref(), &status);
    let rest = report(context, cluster, &status, &events).await?;
    figures::count(context, cluster, &observed, &status);
    let again = if outcome.has_removed() { LOOK_AFTER_REMOVAL } else { Duration::MAX };
    let changes = outcome.changes_at().map_or(Duration::MAX, |at| pause_until(at, observed.now));
    let looks = [rest.unwrap_or(Duration::MAX), again, changes];
    failed.map_or_else(|| Ok(looks.into_iter().fold(next_look(&status), Duration::min)), Err)
}

/// Nothing is decided by a part of the facts. What kept the rest from being read is told like every outcome.
async fn report_unobserved(context: &Context, cluster: &RagCluster, error: Error) -> Result<Duration, Error> {
    let lasts = context.memory.backoff.lasts(&ObjectId::of(cluster), Instant::now());
    let status = unobserved(cluster, &Failure::from(&error), lasts, (context.now)());
    let events = events::events(cluster.status.as_ref(), &status);
    report(context, cluster, &status, &events).await?;
    Err(error)
}

async fn carry_out(
    (context, caches): (&Context, &Caches),
    cluster: &RagCluster,
    observed: &Observed,
    mut planned: Planned,
) -> (Outcome, Option<Error>) {
    if planned.plan.paused {
        return (Outcome::Paused { planned: Box::new(planned) }, None);
    }
    let children = build(&planned.cluster, &planned.plan, observed);
    let applied = apply(context, cluster, children, &observed.children).await;
    // What keeps servers from being applied keeps no snapshot from being taken, and the other way round.
    let unscheduled = take_up(context, caches, cluster, &planned).boxed().await.err();
    planned.unscheduled = unscheduled.as_ref().map(Failure::from);
    let planned = Box::new(planned);
    match applied {
        Ok(Written { corrections, refused, .. }) => (Outcome::Applied { planned, corrections, refused }, unscheduled),
        Err(error) => (Outcome::Failed { planned, failure: Failure::from(&error) }, Some(error)),
    }
}
