//! The API key of a server that is asked from the command line.

use std::path::Path;

use reqwest::header::HeaderValue;

use crate::outside::{self, NoKey};

/// Where a key is looked for without a file.
const VARIABLE: &str = "RAG_KEY";

/// The key of the file, or of the environment; none where neither is given.
pub(super) fn key(file: Option<&Path>) -> Result<Option<HeaderValue>, NoKey> {
    let Some(path) = file else {
        let given = std::env::var(VARIABLE).ok().filter(|key| !key.trim().is_empty());
        return given.map(|key| outside::header("", &key, || VARIABLE.to_owned())).transpose();
    };
    let shown = || path.display().to_string();
    let text =
        std::fs::read_to_string(path).map_err(|cause| NoKey::Unreadable { path: shown(), cause: cause.to_string() })?;
    outside::header("", &text, shown).map(Some)
}
