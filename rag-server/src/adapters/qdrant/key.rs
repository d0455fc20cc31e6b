//! The API key, read from its file again when it changes.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use super::STORE;
use crate::ports::StoreError;

/// Longest key; it has to fit into a header.
const MAX_KEY_BYTES: usize = 4096;

/// An API key. It never prints itself.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ApiKey(String);

impl ApiKey {
    /// Reads a key from its file; white space around it, such as a line's end, is no part of it.
    pub(super) fn read(path: &Path) -> Result<Self, StoreError> {
        let refused = |why: String| StoreError::Refused {
            store: STORE,
            cause: format!("its api_key_file {} {why}", path.display()),
        };
        let text = std::fs::read_to_string(path).map_err(|e: io::Error| refused(format!("cannot be read: {e}")))?;
        let key = text.trim();
        // The client would repeat a key that fits into no header in its error, so such a key never reaches it.
        if key.is_empty() || key.len() > MAX_KEY_BYTES || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refused("does not hold one key of printable ASCII without spaces".to_owned()));
        }
        Ok(Self(key.to_owned()))
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(redacted)")
    }
}

/// Where the key comes from; none when the server wants no key.
#[derive(Debug, Clone)]
pub(super) struct KeyFile(pub(super) Option<PathBuf>);

impl KeyFile {
    pub(super) fn read(&self) -> Result<Option<ApiKey>, StoreError> {
        self.0.as_deref().map(ApiKey::read).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_without_the_end_of_its_line_and_a_broken_one_is_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "s3cret\n").unwrap();
        assert_eq!(ApiKey::read(&path).unwrap().expose(), "s3cret");
        for broken in ["", " \n", "two words", "not-ascii-é", "two\nlines"] {
            std::fs::write(&path, broken).unwrap();
            let error = ApiKey::read(&path).unwrap_err().to_string();
            assert!(error.contains("api_key_file") && (broken.trim().is_empty() || !error.contains(broken)), "{error}");
        }
    }
}
