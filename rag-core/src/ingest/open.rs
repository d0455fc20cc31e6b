//! What a writer knows of the document that it writes.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{claim::Claim, deletion::Mark, failure::FailureReason, reuse::Known};
use crate::{
    model::{ContentHash, DocumentId, DocumentRecord, Filter, Notices},
    ports::Record,
};

/// A document that is to be written.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) id: DocumentId,
    pub(super) content: ContentHash,
    pub(super) bytes: u64,
    /// The title that the sender gave.
    pub(super) title: Option<String>,
    pub(super) metadata: Option<BTreeMap<String, String>>,
    /// From when on it is found no more; none: for good.
    pub(super) expires_at: Option<Timestamp>,
    /// The latest deletion of the document when this was accepted, if any: a later one wins.
    pub(super) after: Option<Mark>,
}

impl Plan {
    /// Whether the standing record says all that this plan would write.
    pub(super) fn is_met_by(&self, standing: &DocumentRecord) -> bool {
        *standing.content() == self.content
            && self.title.as_ref().is_none_or(|title| *title == standing.title)
            && self.metadata.as_ref().is_none_or(|metadata| *metadata == standing.metadata)
            && self.expires_at == standing.expires_at
    }

    pub(super) fn changes_metadata_alone(&self, standing: &DocumentRecord) -> bool {
        *standing.content() == self.content && self.title.as_ref().is_none_or(|title| *title == standing.title)
    }

    /// What filters look at: the metadata that will stand, which is the standing one where none is given.
    pub(super) fn labels(&self, standing: Option<&BTreeMap<String, String>>) -> Arc<[String]> {
        self.metadata.as_ref().or(standing).map(Filter::labels).unwrap_or_default().into()
    }
}

/// A document that is being written.
pub(super) struct Open {
    pub(super) plan: Plan,
    pub(super) claim: Claim,
    /// The record as it was read under the claim: the commit changes this one or nothing.
    pub(super) record: Record,
    /// The document that it tells of, if one stands.
    pub(super) before: Option<DocumentRecord>,
    /// What is written, or what stands where the metadata alone change.
    pub(super) version: ContentHash,
    pub(super) title: Option<String>,
    pub(super) chunks: u32,
    /// What is said of the version.
    pub(super) notices: Notices,
    /// Why it will not be committed.
    pub(super) failed: Option<FailureReason>,
    /// Another document with the same content.
    pub(super) original: Option<DocumentId>,
    /// What filters of questions look at.
    pub(super) labels: Arc<[String]>,
    /// Vectors that are stored already.
    pub(super) known: Known,
}

impl Open {
    pub(super) fn new(plan: Plan, claim: Claim, record: Record, before: Option<DocumentRecord>) -> Self {
        Self {
            version: plan.content.clone(),
            plan,
            claim,
            record,
            before,
            title: None,
            chunks: 0,
            notices: Notices::NONE,
            failed: None,
            original: None,
            labels: Arc::default(),
            known: Known::default(),
        }
    }

    /// Whether it has chunks of its own, and not only other metadata.
    pub(super) fn is_written(&self) -> bool {
        self.before.as_ref().is_none_or(|before| before.version != self.version)
    }
}
