//! What every route asks of a question.

use crate::model::Query;

/// Bytes of a question.
pub(super) const MAX_QUESTION_BYTES: usize = Query::MAX_TEXT_BYTES;

/// Why a text is no question.
pub(super) fn check(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("the question is empty".to_owned());
    }
    match text.len() {
        bytes if bytes > MAX_QUESTION_BYTES => {
            Err(format!("{bytes} bytes; a question has at most {MAX_QUESTION_BYTES}"))
        }
        _ => Ok(()),
    }
}
