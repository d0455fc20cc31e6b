//! The API key of a server that is asked from the command line.

use std::path::Path;

use reqwest::header::HeaderValue;

use crate::{
    key_file::{Key, NoKey},
    outside,
};

/// Where a key is looked for without a file.
const VARIABLE: &str = "RAG_KEY";

/// The key of the file, or of the environment; none where neither is given.
pub(super) fn key(file: Option<&Path>) -> Result<Option<HeaderValue>, NoKey> {
    let key = match file {
        Some(path) => Some(Key::read(path)?),
        None => {
            let given = std::env::var(VARIABLE).ok().filter(|key| !key.trim().is_empty());
            given.map(|key| Key::of(key.as_bytes(), || VARIABLE.to_owned())).transpose()?
        }
    };
    key.map(|key| outside::header("", &key)).transpose()
}
