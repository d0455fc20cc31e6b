//! Keys that stand in files: one way to read them, whoever they are for.
//!
//! Guarantees: white space around a key, such as a line's end, is no part of it; a key never prints itself, and no message quotes what a file holds; of a file that is no key's only its beginning is read.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Longest key; it has to fit into a header.
pub const MAX_KEY_BYTES: usize = 4096;

/// What of a file is read at most: a key and some white space. What is longer is no key, and is seen to be none.
const MAX_FILE_BYTES: u64 = 4 * MAX_KEY_BYTES as u64;

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
    #[error("{source_name} does not hold one key of printable ASCII without spaces, of at most {MAX_KEY_BYTES} bytes")]
    NotAKey {
        /// The file, or what else was to hold it.
        source_name: String,
    },
}

/// A key that a header can carry.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// The key of a file.
    pub fn read(path: &Path) -> Result<Self, NoKey> {
        let shown = || path.display().to_string();
        let material = material(path).map_err(|error| NoKey::Unreadable { path: shown(), cause: error.to_string() })?;
        Self::of(&material, shown)
    }

    /// The key in a text; `source_name` is what a message calls the place that the text came from.
    pub fn of(text: &[u8], source_name: impl FnOnce() -> String) -> Result<Self, NoKey> {
        let key = text.trim_ascii();
        let fits = (1..=MAX_KEY_BYTES).contains(&key.len()) && is_printable(key);
        match std::str::from_utf8(key) {
            Ok(key) if fits => Ok(Self(key.to_owned())),
            Ok(_) | Err(_) => Err(NoKey::NotAKey { source_name: source_name() }),
        }
    }

    /// The key itself, for whoever sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

/// What a key's file holds, without the white space around it.
pub fn material(path: &Path) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES).read_to_end(&mut read)?;
    Ok(read.trim_ascii().to_vec())
}

/// Whether a header can carry it as one word.
pub fn is_printable(key: &[u8]) -> bool {
    key.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_without_the_end_of_its_line_and_what_is_no_key_is_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for written in ["s3cret", "s3cret\n", "s3cret\r\n", " \ts3cret \n\n"] {
            std::fs::write(&path, written).unwrap();
            let key = Key::read(&path).unwrap();
            assert_eq!((key.expose(), format!("{key:?}").as_str()), ("s3cret", "Key(redacted)"), "{written:?}");
        }
        let long = "x".repeat(MAX_KEY_BYTES + 1);
        for broken in ["", " \n", "two words", "two\nlines", "not-ascii-é", "a\0b", &long, &long.repeat(9)] {
            std::fs::write(&path, broken).unwrap();
            let error = Key::read(&path).unwrap_err().to_string();
            assert!(error.contains("key") && (broken.trim().is_empty() || !error.contains(broken)), "{error}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(Key::read(&path), Err(NoKey::Unreadable { .. })));
    }

    #[test]
    fn the_longest_key_is_one() {
        let longest = "x".repeat(MAX_KEY_BYTES);
        assert_eq!(Key::of(longest.as_bytes(), String::new).as_ref().map(Key::expose), Ok(longest.as_str()));
    }
}
