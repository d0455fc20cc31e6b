//! Goes through records without having more than a page of them in memory.

use std::collections::VecDeque;

use crate::ports::{Kind, Record, Records, StoreError};

/// Records that are listed together.
const PAGE: usize = 256;

/// Records of a kind in the order of their names, read a page at a time.
pub(super) struct Cursor<'r> {
    records: &'r dyn Records,
    kind: Kind,
    prefix: &'r str,
    page: VecDeque<Record>,
    after: Option<Option<String>>,
}

impl<'r> Cursor<'r> {
    /// All of the kind.
    pub(super) fn new(records: &'r dyn Records, kind: Kind) -> Self {
        Self::below(records, kind, "")
    }

    /// Those whose names begin so.
    pub(super) fn below(records: &'r dyn Records, kind: Kind, prefix: &'r str) -> Self {
        Self { records, kind, prefix, page: VecDeque::new(), after: Some(None) }
    }

    /// The next record, which stays the next one until it is taken.
    pub(super) async fn peek(&mut self) -> Result<Option<&Record>, StoreError> {
        while self.page.is_empty()
            && let Some(after) = self.after.take()
        {
            let page = self.records.list(self.kind, self.prefix, after.as_deref(), PAGE).await?;
            (self.page, self.after) = (page.records.into(), page.next.map(Some));
        }
        Ok(self.page.front())
    }

    /// Takes the record that was looked at.
    pub(super) fn take(&mut self) -> Option<Record> {
        self.page.pop_front()
    }

    /// Takes the next record.
    pub(super) async fn next(&mut self) -> Result<Option<Record>, StoreError> {
        self.peek().await?;
        Ok(self.take())
    }
}
