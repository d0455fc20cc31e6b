//! Builds of the corpus.

/// A numbered build of the corpus, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The id of the record that says what it was built with.
    pub fn record_id(self) -> String {
        format!("e{}", self.0)
    }
}
