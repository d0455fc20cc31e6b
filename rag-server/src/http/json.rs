//! JSON as clients write it, read into what a route takes.
//!
//! What says the same is taken the same, on every route: a member that is `null` is absent, a whole number is an integer however it is written, a byte order mark is not read, and half of a surrogate
//! pair is U+FFFD, as everywhere that text is shown.
//!
//! Memory: nothing is copied but what the route keeps.

mod halves;
mod lenient;

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use self::lenient::Lenient;
use super::error::{Code, Problem};

/// What UTF-8 begins with where somebody marks it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Bytes of what is said of a member; the value that is wrong may be in it.
const MAX_SAID: usize = 500;

/// Why a body cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unread {
    /// It has no bytes but blanks.
    Empty,
    /// It is not JSON.
    NotJson(String),
    /// It is JSON, and this is not expected here.
    Unexpected {
        /// The member; none where it is the whole.
        field: Option<String>,
        /// Why.
        why: String,
    },
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("it is empty"),
            Self::NotJson(why) => write!(f, "it is not JSON: {why}"),
            Self::Unexpected { field: None, why } => f.write_str(why),
            Self::Unexpected { field: Some(field), why } => write!(f, "{field}: {why}"),
        }
    }
}

impl From<Unread> for Problem {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Empty => Self::new(Code::BadRequest, "the body is empty; send a JSON object"),
            Unread::NotJson(why) => Self::new(Code::BadRequest, format!("the body is not JSON: {why}")),
            Unread::Unexpected { field: None, why } => Self::new(Code::InvalidValue, format!("the body: {why}")),
            Unread::Unexpected { field: Some(field), why } => {
                Self::new(Code::InvalidValue, format!("{field}: {why}")).param(field)
            }
        }
    }
}

/// The bytes as every reader of JSON takes them: without a byte order mark, and without halves of surrogate pairs.
pub(super) fn mended(bytes: &mut [u8]) -> &[u8] {
    let marked = if bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let text = bytes.get_mut(marked..).unwrap_or_default();
    halves::replace(text);
    text
}

/// Bytes that are read on the spot, within a millisecond.
const ON_THE_SPOT: usize = 128 * 1024;

/// What the bytes say. Many of them are read elsewhere: whoever answers requests here would not answer a probe meanwhile.
pub(super) async fn read_apart<T: DeserializeOwned + Send + 'static>(mut bytes: Vec<u8>) -> Result<T, Problem> {
    if bytes.len() <= ON_THE_SPOT {
        return Ok(read(&mut bytes)?);
    }
    let ended = |_| Problem::new(Code::Internal, "an internal error; the log has more under the request's id");
    Ok(tokio::task::spawn_blocking(move || read(&mut bytes)).await.map_err(ended)??)
}

/// What the bytes say.
pub(super) fn read<T: DeserializeOwned>(bytes: &mut [u8]) -> Result<T, Unread> {
    let text = mended(bytes);
    if text.trim_ascii().is_empty() {
        return Err(Unread::Empty);
    }
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(Lenient(&mut json)).map_err(|error| {
        let field = Some(error.path().to_string()).filter(|field| field != ".");
        let error = error.into_inner();
        match error.classify() {
            Category::Data => Unread::Unexpected { field, why: said(&error) },
            Category::Io | Category::Syntax | Category::Eof => Unread::NotJson(error.to_string()),
        }
    })?;
    json.end().map_err(|error| Unread::NotJson(error.to_string()))?;
    Ok(value)
}

/// What is wrong with a member, whose place is told by its name.
fn said(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if let Some(end) = text.rfind(" at line ").filter(|_| error.line() > 0) {
        text.truncate(end);
    }
    text.truncate(text.floor_char_boundary(MAX_SAID));
    text
}

#[cfg(test)]
mod tests;
