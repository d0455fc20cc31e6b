//! Builds of the corpus, and which were ever begun.

use super::{Kind, Records, StoreError};

/// A numbered build of the corpus, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Epoch(pub u32);

/// Epochs that are listed together; there are hardly ever more.
const PAGE: usize = 100;

impl Epoch {
    /// The id of the record that says what it was built with.
    pub fn record_id(self) -> String {
        format!("e{}", self.0)
    }

    fn of_record_id(id: &str) -> Option<Self> {
        id.strip_prefix('e')?.parse().ok().map(Self)
    }
}

/// Every epoch that was ever begun, the oldest first. It is recorded before anything is written to it.
pub async fn epochs(records: &dyn Records) -> Result<Vec<Epoch>, StoreError> {
    let (mut epochs, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = records.list(Kind::Corpus, "e", after.as_deref(), PAGE).await?;
        epochs.extend(page.records.iter().filter_map(|record| Epoch::of_record_id(&record.id)));
        after = page.next;
        if after.is_none() {
            epochs.sort_unstable();
            return Ok(epochs);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::doubles::RecordsDouble;

    #[tokio::test]
    async fn epochs_are_found_by_their_records_and_come_in_their_order() {
        let records = RecordsDouble::default();
        for epoch in [2, 10, 1] {
            records.put_if_absent(Kind::Corpus, &Epoch(epoch).record_id(), json!({})).await.unwrap();
        }
        records.put_if_absent(Kind::Corpus, "else", json!({})).await.unwrap();
        assert_eq!(epochs(&records).await, Ok(vec![Epoch(1), Epoch(2), Epoch(10)]));
    }
}
