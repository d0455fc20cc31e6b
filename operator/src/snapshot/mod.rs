//! RagSnapshot: takes one snapshot of a corpus by a Job, and says what came of it.

pub mod report;

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::api::snapshot::{RagSnapshot, RagSnapshotStatus};
use crate::caches::{Caches, Watched};
use crate::context::Context;
use crate::controller::Controlled;
use crate::error::Error;
use crate::objects::OwnKind;
use crate::report::Reported;

impl OwnKind for RagSnapshot {
    const KIND: &'static str = "RagSnapshot";
}

impl Reported for RagSnapshot {
    /// There are no figures in it that move by themselves.
    fn is_news(before: Option<&RagSnapshotStatus>, after: &RagSnapshotStatus) -> bool {
        before != Some(after)
    }
}

impl Controlled for RagSnapshot {
    fn watched(caches: &Caches) -> &Watched<Self> {
        &caches.snapshots
    }

    fn pass<'a>(&'a self, _context: &'a Context, _caches: &'a Caches) -> BoxFuture<'a, Result<Duration, Error>> {
        async { Ok(Duration::MAX) }.boxed()
    }
}
