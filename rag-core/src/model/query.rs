//! A question and how it is to be searched.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Tenant;

/// Which legs of the search are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub enum Mode {
    /// Dense and lexical, fused.
    #[default]
    Hybrid,
    /// Only the dense embedding.
    Dense,
    /// Only BM25.
    Lexical,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Hybrid, Self::Dense, Self::Lexical];
}

/// Which documents are searched, by their metadata: each key must have one of its values. Empty: all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Filter(pub BTreeMap<String, Vec<String>>);

impl Filter {
    /// Whether a document is searched, by the value of each key of its metadata.
    pub fn passes<'m>(&self, value_of: impl Fn(&str) -> Option<&'m str>) -> bool {
        self.0.iter().all(|(key, values)| value_of(key).is_some_and(|value| values.iter().any(|one| one == value)))
    }

    /// What stands with each chunk of a document for a store to filter by: a name of fixed length for each pair of a key and a value.
    pub fn labels(metadata: &BTreeMap<String, String>) -> Vec<String> {
        metadata.iter().map(|(key, value)| label(key, value)).collect()
    }

    /// For each key the labels of which a chunk must have one.
    pub fn wanted(&self) -> Vec<Vec<String>> {
        self.0.iter().map(|(key, values)| values.iter().map(|value| label(key, value)).collect()).collect()
    }
}

/// The first 128 bits of a BLAKE3 hash, in hex: no index grows with a value's length.
fn label(key: &str, value: &str) -> String {
    // The key's length goes first, so that no two pairs are written alike.
    let hash = blake3::hash(format!("{}:{key}{value}", key.len()).as_bytes());
    hash.to_hex()[..32].to_owned()
}

/// A question.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Query {
    /// The question's text.
    pub text: String,
    /// Which legs are searched.
    pub mode: Mode,
    /// How many passages may be cited.
    pub top_k: usize,
    /// Whose documents are searched.
    pub tenant: Tenant,
    /// Which of them.
    pub filter: Filter,
}

/// Who said something in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// Who asks.
    User,
    /// Who answers.
    Assistant,
}

/// Something that was said before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// Who said it.
    pub speaker: Speaker,
    /// What.
    pub text: String,
}

/// What an answer may come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scope {
    /// Everything that is stored and that the caller may see.
    #[default]
    FullBook,
    /// This text alone; nothing is searched.
    Selection(String),
}

/// How a provider is to write. What is not set is the provider's or the configuration's choice.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Sampling {
    /// 0 for the likeliest text.
    pub temperature: Option<f64>,
    /// Share of the likeliest words that are considered.
    pub top_p: Option<f64>,
    /// Longest answer; the configured limit holds, too.
    pub max_tokens: Option<u32>,
    /// The same seed gives the same text, as far as the provider keeps that.
    pub seed: Option<i64>,
    /// Above 0 for words that were not said yet, below for those that were.
    pub presence_penalty: Option<f64>,
    /// The same, by how often they were said.
    pub frequency_penalty: Option<f64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
}

impl Query {
    /// Bytes that a question may have; the model reads the first 256 tokens.
    pub const MAX_TEXT_BYTES: usize = 8 * 1024;

    /// Bytes that differ between any two different questions.
    pub fn identity(&self) -> Vec<u8> {
        // A question is plain data without maps, which can always be written, and only in one way.
        serde_json::to_vec(self).unwrap_or_else(|_| format!("{self:?}").into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_filter_wants_one_of_the_values_of_each_key() {
        let filter = |pairs: &[(&str, &[&str])]| {
            let values = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
            Filter(pairs.iter().map(|(key, of)| ((*key).to_owned(), values(of))).collect())
        };
        let english = metadata(&[("lang", "en"), ("team", "a")]);
        for (pairs, passes) in [
            (&[][..], true),
            (&[("lang", &["en", "de"][..])], true),
            (&[("lang", &["de"][..])], false),
            (&[("lang", &["en"][..]), ("team", &["b"])], false),
            (&[("year", &["2026"][..])], false),
            (&[("lang", &[][..])], false),
        ] {
            let filter = filter(pairs);
            assert_eq!(filter.passes(|key| english.get(key).map(String::as_str)), passes, "{filter:?}");
            // What a store sees says the same.
            let held = Filter::labels(&english);
            let by_labels = filter.wanted().iter().all(|any| any.iter().any(|label| held.contains(label)));
            assert_eq!(by_labels, passes, "{filter:?}");
        }
    }

    #[test]
    fn no_two_pairs_of_key_and_value_share_a_label() {
        assert_ne!(Filter::labels(&metadata(&[("ab", "c")])), Filter::labels(&metadata(&[("a", "bc")])));
        assert_eq!(Filter::labels(&metadata(&[("a", &"x".repeat(9000))]))[0].len(), 32);
    }
}
