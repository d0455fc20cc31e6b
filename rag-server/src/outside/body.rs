//! What is sent back, never more of it than is wanted.

use std::{error::Error, io, time::Duration};

use futures::{Stream, StreamExt, future::ready};
use hyper::body::Bytes;
use reqwest::Response;
use serde::Deserialize;
use serde_json::Value;

use super::innermost;

/// Longest body of an error that is looked into for a code, and for how long.
const MAX_ERROR_BYTES: usize = 16 * 1024;
const MAX_ERROR_WAIT: Duration = Duration::from_secs(2);
/// Longest code.
const MAX_CODE: usize = 64;

/// Why an answer was not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// There is too much of it.
    #[error("it has more than {0} bytes")]
    TooLong(usize),
    /// The connection broke.
    #[error("{}", innermost(.0))]
    Broken(reqwest::Error),
}

/// The body of an answer, at most so many bytes.
pub async fn bounded(mut response: Response, most: usize) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(Unread::Broken)? {
        if body.len() + piece.len() > most {
            return Err(Unread::TooLong(most));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// The pieces of a body up to so many bytes; what is beyond them is an error of the kind [`io::ErrorKind::FileTooLarge`].
pub fn bounded_pieces<E: Error + Send + Sync + 'static>(
    body: impl Stream<Item = Result<Bytes, E>> + Send + 'static,
    most: usize,
) -> impl Stream<Item = Result<Bytes, io::Error>> + Send {
    body.scan(0_usize, move |seen, piece| {
        let piece = piece.map_err(io::Error::other).and_then(|bytes| {
            *seen += bytes.len();
            if *seen > most { Err(io::Error::from(io::ErrorKind::FileTooLarge)) } else { Ok(bytes) }
        });
        ready(Some(piece))
    })
}

/// What a service says of an error in OpenAI's shape.
#[derive(Debug, Deserialize)]
pub struct ErrorView {
    code: Option<Value>,
    #[serde(rename = "type")]
    kind: Option<Value>,
}

impl ErrorView {
    /// Its code, if it has one. Its message stays where it is: services quote keys and texts in theirs.
    pub fn code(self) -> Option<String> {
        [self.code, self.kind].into_iter().flatten().find_map(|value| identifier(&value))
    }
}

/// The code in the body of an error.
pub(super) async fn error_code(response: Response) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        error: ErrorView,
    }
    let read = tokio::time::timeout(MAX_ERROR_WAIT, bounded(response, MAX_ERROR_BYTES)).await;
    // What cannot be read in time only makes a message less exact.
    let bytes = read.ok()?.ok()?;
    serde_json::from_slice::<Body>(&bytes).ok()?.error.code()
}

/// A code that may be repeated: it looks like one, and not like a key or a sentence.
fn identifier(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (!text.is_empty() && text.len() <= MAX_CODE && text.bytes().all(plain)).then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_looks_like_a_code_is_repeated() {
        assert_eq!(identifier(&json!("context_length_exceeded")), Some("context_length_exceeded".to_owned()));
        assert_eq!(identifier(&json!(400)), Some("400".to_owned()));
        for other in [json!("Incorrect API key sk-1"), json!("sk-abc"), json!(""), json!("x".repeat(65)), json!(null)] {
            assert_eq!(identifier(&other), None, "{other}");
        }
    }
}
