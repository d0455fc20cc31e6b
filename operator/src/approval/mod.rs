//! ScaleApproval: says whether an approval is in force, and tells when it is about to end. What follows from it for the number of
//! servers is decided where the RagCluster is (`cluster::decide::ceiling`).

mod events;
pub mod status;

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;

use crate::api::approval::{ScaleApproval, ScaleApprovalStatus};
use crate::caches::{Caches, Watched};
use crate::context::Context;
use crate::controller::{Controlled, pause_until};
use crate::error::Error;
use crate::objects::OwnKind;
use crate::report::{Reported, report};

impl OwnKind for ScaleApproval {
    const KIND: &'static str = "ScaleApproval";
}

impl Reported for ScaleApproval {
    /// There are no figures in it.
    fn is_news(before: Option<&ScaleApprovalStatus>, after: &ScaleApprovalStatus) -> bool {
        before != Some(after)
    }
}

impl Controlled for ScaleApproval {
    fn watched(caches: &Caches) -> &Watched<Self> {
        &caches.approvals
    }

    fn pass<'a>(&'a self, context: &'a Context, caches: &'a Caches) -> BoxFuture<'a, Result<Duration, Error>> {
        reconcile(context, caches, self).boxed()
    }
}

/// One pass. Returns when to look again if nothing happens.
async fn reconcile(context: &Context, caches: &Caches, approval: &ScaleApproval) -> Result<Duration, Error> {
    let (namespace, now) = (approval.namespace().unwrap_or_default(), (context.now)());
    let cluster = ObjectRef::new(&approval.spec.cluster).within(&namespace);
    let has_cluster = caches.clusters.cache.get(&cluster).is_some();
    let status = status::status(approval, has_cluster, now);
    let events = events::events(approval.status.as_ref(), &status);
    report(context, approval, &status, &events).await?;
    Ok(status::next_change(&approval.spec, now).map_or(Duration::MAX, |at| pause_until(at, now)))
}
