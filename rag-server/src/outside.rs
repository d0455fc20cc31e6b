//! What calls of other servers and services have in common, whoever makes them.
//!
//! Guarantees: a redirect is not followed, so a key goes nowhere else; a key is marked so that nothing prints it, and no message quotes what its file holds; what is sent back is bounded in memory.

use std::{error::Error, io, path::Path, time::Duration};

use futures::{Stream, StreamExt, future::ready};
use hyper::body::Bytes;
use reqwest::{Client, ClientBuilder, Response, header::HeaderValue, redirect::Policy};
use serde::Deserialize;
use serde_json::Value;

/// Longest key; it has to fit into a header.
const MAX_KEY_BYTES: usize = 4096;
/// Longest body of an error that is looked into for a code, and for how long.
const MAX_ERROR_BYTES: usize = 16 * 1024;
const MAX_ERROR_WAIT: Duration = Duration::from_secs(2);
/// Longest code.
const MAX_CODE: usize = 64;

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoKey {
    /// The file cannot be read.
    #[error("{path} cannot be read: {cause}")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        cause: String,
    },
    /// There is something else than a key.
    #[error("{source_name} does not hold one key of printable ASCII without spaces")]
    NotAKey {
        /// The file, or what else was to hold it.
        source_name: String,
    },
}

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

/// A client for this address.
pub fn client(base_url: &str, builder: ClientBuilder) -> Result<Client, reqwest::Error> {
    let builder = builder.redirect(Policy::none());
    // Without TLS no certificate is needed, and an image may hold none to load.
    if base_url.starts_with("https:") { builder.build() } else { builder.tls_certs_only([]).build() }
}

/// The key of a file behind the word `Bearer`, read at each call.
pub async fn bearer(path: &Path) -> Result<HeaderValue, NoKey> {
    let text = tokio::fs::read_to_string(path).await;
    let text = text.map_err(|e| NoKey::Unreadable { path: path.display().to_string(), cause: e.to_string() })?;
    header("Bearer ", &text, || path.display().to_string())
}

/// A key as the value of a header, behind `scheme`; `source_name` is what a message calls the place that it came from.
pub fn header(scheme: &str, text: &str, source_name: impl Fn() -> String) -> Result<HeaderValue, NoKey> {
    let no_key = || NoKey::NotAKey { source_name: source_name() };
    let key = text.trim();
    if key.is_empty() || key.len() > MAX_KEY_BYTES || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(no_key());
    }
    let mut value = HeaderValue::try_from(format!("{scheme}{key}")).map_err(|_| no_key())?;
    value.set_sensitive(true);
    Ok(value)
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
pub async fn error_code(response: Response) -> Option<String> {
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

/// The innermost cause, which is what the network said. It names no address, whose query string may hold what is nobody's business.
pub fn innermost(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
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

    #[tokio::test]
    async fn a_key_file_is_read_at_each_use_and_what_is_no_key_is_not_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for key in ["sk-1", "sk-2"] {
            std::fs::write(&path, format!("{key}\n")).unwrap();
            let header = bearer(&path).await.unwrap();
            assert_eq!(header.to_str().unwrap(), format!("Bearer {key}"));
            assert!(!format!("{header:?}").contains(key));
        }
        for broken in ["", " \n", "two words", "two\nlines", "not-ascii-é"] {
            std::fs::write(&path, broken).unwrap();
            let error = bearer(&path).await.unwrap_err().to_string();
            assert!(error.contains("key") && (broken.trim().is_empty() || !error.contains(broken)), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(bearer(&path).await, Err(NoKey::Unreadable { .. })));
    }
}
