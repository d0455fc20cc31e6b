//! A question that the budget keeps from being embedded is searched by its words alone, where that is wanted and may find something.
//!
//! Guarantee: without evidence in the words there is an error and no empty result, since what says the same in other words was not looked for.

use std::sync::Arc;

use super::RetrieveError;
use crate::{
    model::Mode,
    ports::{EmbedError, ProviderFailure},
};

/// Tells whether questions may be searched by their words alone while the budget is spent. It may change at any time.
pub(super) type Allowed = Arc<dyn Fn() -> bool + Send + Sync>;

/// A question, as far as it was embedded.
pub(super) enum Embedded {
    /// Its vector.
    Whole(Vec<f32>),
    /// It has none, for this reason.
    WordsAlone(EmbedError),
}

impl Embedded {
    /// What becomes of a question of this mode.
    pub(super) fn of(
        embedded: Result<Vec<f32>, EmbedError>,
        mode: Mode,
        allowed: Option<&Allowed>,
    ) -> Result<Self, RetrieveError> {
        match embedded {
            Ok(vector) => Ok(Self::Whole(vector)),
            Err(error) if is_over_budget(&error) && mode != Mode::Dense && allowed.is_some_and(|allowed| allowed()) => {
                Ok(Self::WordsAlone(error))
            }
            Err(error) => Err(RetrieveError::Embed(error)),
        }
    }
}

/// Whether the budget is what keeps a text from being embedded.
pub(super) fn is_over_budget(error: &EmbedError) -> bool {
    matches!(error, EmbedError::Unavailable { failure: ProviderFailure::OverBudget, .. })
}
