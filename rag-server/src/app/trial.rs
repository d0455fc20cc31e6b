//! How good an epoch is, before it is searched.

use std::sync::Arc;

use super::Stores;
use crate::{
    evaluate::{
        DEFAULT_K, DEFAULT_SAMPLE, EvaluateError, Evaluation, Questions,
        report::{Report, Settings},
    },
    model::{Mode, Tenant},
    ports::Epoch,
    retrieve::Retrieve,
};

/// Measures an epoch before anybody searches it.
pub struct Trial {
    stores: Stores,
    retrieve: Retrieve,
    mode: Mode,
}

impl Trial {
    /// A trial of what `retrieve` finds; `mode` is the one that counts.
    pub(super) fn new(stores: &Stores, retrieve: Retrieve, mode: Mode) -> Self {
        Self { stores: stores.clone(), retrieve, mode }
    }

    /// Asks this epoch for headings of the documents, and tells how many of how many were asked. Its threshold is found first.
    ///
    /// It is good enough where the configured mode finds at least this share of the headings among the first five; where no share is demanded, it always is.
    pub async fn of(
        self,
        epoch: Epoch,
        least: Option<f64>,
        told: impl FnMut(usize, usize),
    ) -> Result<Verdict, EvaluateError> {
        match self.measured(epoch, told).await {
            Ok(report) => Ok(Verdict { is_good_enough: report.reaches(least), measured: Ok(report) }),
            Err(error @ (EvaluateError::NoHeadings(_) | EvaluateError::OneDocument)) => {
                Ok(Verdict { is_good_enough: least.is_none(), measured: Err(error) })
            }
            Err(error) => Err(error),
        }
    }

    async fn measured(self, epoch: Epoch, mut told: impl FnMut(usize, usize)) -> Result<Report, EvaluateError> {
        let retrieve = self.retrieve.of_epoch(epoch);
        retrieve.calibrate().await?;
        let stores = (&*self.stores.vectors, &*self.stores.records);
        let questions = Questions::known_items(stores, Tenant::default(), DEFAULT_SAMPLE).await?;
        let asked = Settings { configured: self.mode, modes: Mode::ALL.to_vec(), k: DEFAULT_K };
        let mut evaluation = Evaluation::new(Arc::new(retrieve), asked, questions);
        while evaluation.step().await? {
            told(evaluation.done(), evaluation.total());
        }
        Ok(evaluation.report())
    }
}

/// What a trial came to.
pub struct Verdict {
    /// Whether the epoch may be searched.
    pub is_good_enough: bool,
    /// What was found, or why these documents cannot be asked for.
    pub measured: Result<Report, EvaluateError>,
}
