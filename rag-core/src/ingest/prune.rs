//! Removes documents that are gone where they came from: only below a prefix that somebody named, and only what they did not list.

use std::collections::HashSet;

use super::Ingest;
use crate::{
    model::{DocumentId, DocumentRecord, Tenant},
    ports::StoreError,
};

/// Records that are looked at together.
const PAGE: usize = 256;

/// Which documents stay.
#[derive(Debug, Clone, Copy)]
pub struct Prune<'p> {
    /// Whose documents are looked at.
    pub tenant: &'p Tenant,
    /// Only documents whose id begins with this are looked at.
    pub prefix: &'p str,
    /// Those that are still there.
    pub keep: &'p HashSet<DocumentId>,
    /// Whether it is only said what would be removed.
    pub dry_run: bool,
}

/// What one round came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pruned {
    /// The documents that were removed, or would be.
    pub removed: Vec<DocumentId>,
    /// Where the next round begins; none when there is nothing more to look at.
    pub next: Option<String>,
}

impl Ingest {
    /// Removes at most `limit` documents whose id comes after `after`. What was removed stays removed whatever happens to the rest.
    pub async fn prune(
        &self,
        Prune { tenant, prefix, keep, dry_run }: Prune<'_>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned { removed: Vec::new(), next: after.map(str::to_owned) };
        loop {
            let (page, next) = self.documents_below(tenant, prefix, pruned.next.as_deref(), PAGE).await?;
            for DocumentRecord { id, .. } in page {
                if pruned.removed.len() >= limit {
                    return Ok(pruned);
                }
                pruned.next = Some(id.as_str().to_owned());
                if keep.contains(&id) {
                    continue;
                }
                if !dry_run {
                    self.delete(&id).await?;
                }
                pruned.removed.push(id);
            }
            if next.is_none() {
                return Ok(Pruned { next, ..pruned });
            }
        }
    }
}
