//! RagRestore: restores a snapshot, or tries to in a drill, by a Job, and says what came of it.

pub mod build;
pub mod decide;
mod events;
pub mod evidence;
#[cfg(test)]
pub(crate) mod fixtures;
pub mod observed;
pub mod status;
#[cfg(test)]
mod tests;

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::api::restore::{RagRestore, RagRestoreStatus};
use crate::caches::{Caches, Watched};
use crate::context::Context;
use crate::controller::Controlled;
use crate::error::Error;
use crate::objects::OwnKind;
use crate::report::Reported;

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

    fn pass<'a>(&'a self, _context: &'a Context, _caches: &'a Caches) -> BoxFuture<'a, Result<Duration, Error>> {
        async { Ok(Duration::MAX) }.boxed()
    }
}
