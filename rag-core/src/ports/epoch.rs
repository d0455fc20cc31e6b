//! Builds of the corpus.

/// A numbered build of the corpus, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Epoch(pub u32);

impl Epoch {
    /// What the ids of such records begin with.
    pub const RECORDS: &str = "e";

    /// The id of the record that says what it was built with.
    pub fn record_id(self) -> String {
        format!("{}{}", Self::RECORDS, self.0)
    }

    /// The epoch whose record has this id.
    pub fn of_record(id: &str) -> Option<Self> {
        id.strip_prefix(Self::RECORDS)?.parse().ok().map(Self)
    }
}
