//! Removes documents that are gone where they came from: only below a prefix that somebody named, and only what they did not list.

use std::collections::HashSet;

use super::Ingest;
use crate::{
    model::DocumentId,
    ports::{Kind, StoreError},
};

/// Records that are looked at together.
const PAGE: usize = 256;

/// Which documents stay.
#[derive(Debug, Clone, Copy)]
pub struct Prune<'p> {
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
        Prune { prefix, keep, dry_run }: Prune<'_>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned { removed: Vec::new(), next: after.map(str::to_owned) };
        loop {
            let after = pruned.next.clone();
            let page = self.patiently(|| self.records.list(Kind::Document, prefix, after.as_deref(), PAGE)).await?;
            for record in page.records {
                if pruned.removed.len() >= limit {
                    return Ok(pruned);
                }
                pruned.next = Some(record.id.clone());
                let Ok(id) = record.id.parse::<DocumentId>() else { continue };
                if keep.contains(&id) {
                    continue;
                }
                if !dry_run {
                    self.delete(&id).await?;
                }
                pruned.removed.push(id);
            }
            if page.next.is_none() {
                pruned.next = None;
                return Ok(pruned);
            }
        }
    }
}
