//! How good an epoch is, before it is searched.

use std::sync::Arc;

use crate::{
    evaluate::{DEFAULT_SAMPLE, EvaluateError, Evaluation, Questions, report},
    model::Tenant,
    ports::{Epoch, Records, VectorStore},
    retrieve::Retrieve,
};

/// Measures an epoch before anybody searches it.
pub struct Trial {
    store: Arc<dyn VectorStore>,
    records: Arc<dyn Records>,
    retrieve: Retrieve,
}

impl Trial {
    pub(super) fn new(store: Arc<dyn VectorStore>, records: Arc<dyn Records>, retrieve: Retrieve) -> Self {
        Self { store, records, retrieve }
    }

    /// Headings of the documents, to be asked of this epoch. Its threshold is found first.
    pub async fn of(self, epoch: Epoch, asked: report::Settings) -> Result<Evaluation, EvaluateError> {
        let retrieve = self.retrieve.of_epoch(epoch);
        retrieve.calibrate().await?;
        let stores = (&*self.store, &*self.records);
        let questions = Questions::known_items(stores, Tenant::default(), DEFAULT_SAMPLE).await?;
        Ok(Evaluation::new(Arc::new(retrieve), asked, questions))
    }
}
