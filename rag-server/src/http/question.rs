//! What every route asks of a question.

/// Bytes of a question; the model reads the first 256 tokens.
pub(super) const MAX_QUESTION_BYTES: usize = 8 * 1024;

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
