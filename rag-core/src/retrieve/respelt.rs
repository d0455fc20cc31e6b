//! A question of one word that stands nowhere is asked again as the corpus spells it.
//!
//! Only where nothing was found: the word has no term in the corpus, and no passage is near enough. It costs such a question one more search of the lexical leg, and, where a word one error away is found, one more question.

use super::{Retrieve, RetrieveError, Retrieved, hybrid::DEPTH, threshold::Evidence, visible};
use crate::{
    lexical::Misspelt,
    model::{Mode, Query},
    ports::{Only, Search},
};

impl Retrieve {
    /// The question in the spelling of the corpus, where it found nothing in its own.
    pub(super) async fn respelt(&self, query: &Query, found: &Retrieved) -> Result<Option<Query>, RetrieveError> {
        let is_unknown = found.evidence == Evidence::None && found.explanation.candidates.lexical == 0;
        if !is_unknown || query.mode == Mode::Dense || !found.degraded.is_empty() {
            return Ok(None);
        }
        let Some(misspelt) = Misspelt::of(&query.text) else { return Ok(None) };
        let only = Only { tenant: self.tenants.then(|| query.tenant.clone()), labels: query.filter.wanted() };
        let lexical = Some(misspelt.vector());
        let search = Search { epoch: self.epoch, dense: None, lexical, limit: DEPTH, only };
        let legs = self.store.search(&search).await.map_err(RetrieveError::Search)?;
        let ids: Vec<_> = legs.lexical.iter().map(|hit| hit.chunk).collect();
        if ids.is_empty() {
            return Ok(None);
        }
        let chunks = self.store.chunks(self.epoch, &ids).await.map_err(RetrieveError::Search)?;
        let shown = visible::visible(&*self.records, query, chunks, self.clock.now());
        let mut shown = shown.await.map_err(RetrieveError::Records)?.chunks;
        shown.sort_by_key(|chunk| ids.iter().position(|id| *id == chunk.id));
        let spelt = shown.iter().find_map(|chunk| misspelt.spelt_in(chunk));
        Ok(spelt.map(|text| Query { text, ..query.clone() }))
    }
}
