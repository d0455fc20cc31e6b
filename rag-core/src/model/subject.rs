//! A caller's name.

use std::fmt;

/// Names a caller, whichever of its credentials it shows: what kind of caller, and its name within that kind.
///
/// Guarantee: letters, digits, `.`, `_`, `-` and `%` alone, so that it can stand in the id of a record between other parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(String);

impl Subject {
    /// Who shows nothing, where nothing has to be shown.
    pub fn anonymous() -> Self {
        Self("anonymous".to_owned())
    }

    /// Who holds the API key of this name.
    pub fn key(name: &str) -> Self {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let written = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") };
        Self(format!("api-key.{}", name.bytes().map(written).collect::<String>()))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_names_are_written_alike_and_none_reaches_beyond_its_part_of_an_id() {
        let names = ["a", "a/b", "a%2fb", "a@acme", "ä", "", "anonymous"];
        let mut written: Vec<_> = names.iter().map(|name| Subject::key(name).to_string()).collect();
        assert!(written.iter().all(|name| !name.contains(['/', '@'])), "{written:?}");
        written.push(Subject::anonymous().to_string());
        written.sort();
        written.dedup();
        assert_eq!(written.len(), names.len() + 1);
    }
}
