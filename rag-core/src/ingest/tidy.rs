//! Cleans up after dead writers, and what no record holds. What was kept for long enough is removed by `retention`.

use super::Ingest;
use crate::ports::StoreError;

impl Ingest {
    /// Cleans up after dead writers, and sweeps a bit.
    pub(crate) async fn tidy(&self) -> Result<(), StoreError> {
        self.clean_up().await?;
        self.sweep().await
    }
}
