//! What is said of a document that was ingested all the same, as the routes show it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::{Notice, Notices};

/// Something that is said of a document, such as pages of it that hold no text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Notice)]
pub(super) struct NoticeView {
    /// `pages_without_text`, `pages_unread` or `decoded`; later versions may say more.
    kind: &'static str,
    /// A sentence that says what is the matter, and what to do about it.
    message: String,
}

impl From<&Notice> for NoticeView {
    fn from(notice: &Notice) -> Self {
        Self { kind: notice.kind(), message: notice.to_string() }
    }
}

pub(super) fn views(notices: &Notices) -> Vec<NoticeView> {
    notices.iter().map(NoticeView::from).collect()
}
