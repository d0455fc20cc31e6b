//! Goes through records without having more than a page of them in memory.

use std::collections::VecDeque;

use futures::{FutureExt as _, future::BoxFuture};

use crate::ports::{Kind, MOST_LISTED, Page, Record, Records, Source, StoreError};

/// Gives the page that begins after an id.
type Pages<'r> = Box<dyn Fn(Option<String>) -> BoxFuture<'r, Result<Page, StoreError>> + Send + Sync + 'r>;

/// Records of a kind in the order of their names, read a page at a time.
pub(super) struct Cursor<'r> {
    pages: Pages<'r>,
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
        Self::over(Box::new(move |after| {
            async move { records.list(kind, prefix, after.as_deref(), MOST_LISTED).await }.boxed()
        }))
    }

    /// All of the kind that a snapshot is taken of.
    pub(super) fn of(source: &'r dyn Source, kind: Kind) -> Self {
        Self::over(Box::new(move |after| {
            async move { source.records(kind, after.as_deref(), MOST_LISTED).await }.boxed()
        }))
    }

    fn over(pages: Pages<'r>) -> Self {
        Self { pages, page: VecDeque::new(), after: Some(None) }
    }

    /// The next record, which stays the next one until it is taken.
    pub(super) async fn peek(&mut self) -> Result<Option<&Record>, StoreError> {
        while self.page.is_empty()
            && let Some(after) = self.after.take()
        {
            let page = (self.pages)(after).await?;
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
