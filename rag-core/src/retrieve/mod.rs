//! A question to the passages that may answer it.
//!
//! ```text
//! embed -> search both legs -> fuse -> read the best, drop what is not committed -> evidence? -> rerank -> drop repetitions, join neighbours, spread
//! ```
//!
//! A question of one word that stands nowhere in the corpus is asked again in the spelling that the corpus has, see `respelt`.
//!
//! Guarantees: every passage is committed at the moment it is read; without evidence there are no passages; a store that fails is an error, never an empty result; a reranker that fails is not.
//! The mode decides which legs rank. The dense leg is searched in every mode, because only a cosine can tell that nothing relevant is stored.
//! When the time is short, things are left out in the order of [`Degradation`], and the result says which.

mod calibrate;
mod candidates;
mod degrade;
mod error;
mod explain;
pub mod fuse;
mod hybrid;
mod overlap;
mod passages;
mod repeats;
mod rerank;
mod respelt;
mod size;
mod spread;
pub mod threshold;
mod unembedded;
mod visible;

use std::sync::Arc;

use calibrate::Threshold;
pub use calibrate::{MinScore, Unrelated};
use candidates::Reader;
use degrade::{CONTEXT_NEEDS, LEXICAL_NEEDS, is_short};
pub use error::RetrieveError;
use explain::Notes;
use fuse::Fusion;
use hybrid::{Found, HybridSearch};
use jiff::Timestamp;
use rerank::{Candidate, Rerank};
use serde::{Deserialize, Serialize};
use size::CorpusSize;
use threshold::Evidence;
use unembedded::{Allowed, Embedded};

use crate::{
    folding::folded,
    lexical::{Identifiers, Question},
    model::{Degradation, Explanation, Mode, Query},
    ports::{CacheKind, Clock, Embedder, Epoch, Kept, Memory, Passage, Records, Reranker, SystemClock, VectorStore},
    resilience::Deadline,
};

/// What the flow may be told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Relevance below which nothing relevant is stored.
    pub min_score: MinScore,
    /// From what is counted how near two texts are.
    pub unrelated: Unrelated,
    /// How the legs become one ranking.
    pub fusion: Fusion,
}

impl Default for Settings {
    /// What fits the local model.
    fn default() -> Self {
        Self { min_score: MinScore::LOCAL, unrelated: Unrelated::LOCAL, fusion: Fusion::CONFIDENT }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retrieved {
    /// Best first, at most `top_k`; empty without evidence.
    pub passages: Vec<Passage>,
    /// Why the question may be answered, or that it may not.
    pub evidence: Evidence,
    /// How many chunks were searched, as they were counted last; before they were, those that were found.
    pub searched: u64,
    /// What was left out; empty nearly always.
    pub degraded: Vec<Degradation>,
    /// How it was found.
    pub explanation: Explanation,
    /// The spelling that it was found by, where it is another one than was asked.
    pub respelt: Option<String>,
    /// When the first of the documents expires that this rests on; none where none does.
    pub until: Option<Timestamp>,
}

impl Kept for Retrieved {
    const VERSION: u32 = 4;
}

/// Finds passages.
pub struct Retrieve {
    store: Arc<dyn VectorStore>,
    epoch: Option<Epoch>,
    records: Arc<dyn Records>,
    embedder: Arc<dyn Embedder>,
    settings: Settings,
    threshold: Arc<Threshold>,
    tenants: bool,
    size: CorpusSize,
    memory: Option<Memory>,
    rerank: Option<Rerank>,
    words_alone: Option<Allowed>,
    clock: Arc<dyn Clock>,
}

impl Retrieve {
    /// The flow over these parts.
    pub fn new(
        store: Arc<dyn VectorStore>,
        records: Arc<dyn Records>,
        embedder: Arc<dyn Embedder>,
        settings: Settings,
    ) -> Self {
        let threshold = Arc::new(Threshold::new(&settings));
        Self {
            store,
            epoch: None,
            records,
            embedder,
            settings,
            threshold,
            tenants: false,
            size: CorpusSize::default(),
            memory: None,
            rerank: None,
            words_alone: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// Tells by this clock whether the time of a document is over, instead of by the machine's.
    #[must_use]
    pub fn timed_by(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The corpus has documents of several tenants: the store looks at those of the one who asks. Without it, only what is shown is checked.
    #[must_use]
    pub fn with_tenants(mut self, tenants: bool) -> Self {
        self.tenants = tenants;
        self
    }

    /// Searches this epoch, whichever is active: for whoever measures one before it is.
    #[must_use]
    pub fn of_epoch(mut self, epoch: Epoch) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// Remembers what was found, until the corpus changes.
    #[must_use]
    pub fn remembering(mut self, memory: Memory) -> Self {
        self.memory = Some(memory);
        self
    }

    /// Gives the best `candidates` to a reranker.
    #[must_use]
    pub fn reranking(mut self, reranker: Arc<dyn Reranker>, candidates: usize) -> Self {
        self.rerank = Some(Rerank { reranker, candidates });
        self
    }

    /// Searches by the words of a question alone where the budget keeps it from being embedded, as long as `allowed` tells so; without this there is an error.
    #[must_use]
    pub fn searching_by_words(mut self, allowed: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.words_alone = Some(Arc::new(allowed));
        self
    }

    /// The same search, with the same threshold, that remembers nothing and embeds with `embedder`: for whoever measures the search itself.
    #[must_use]
    pub fn uncached(&self, embedder: Arc<dyn Embedder>) -> Self {
        Self {
            store: Arc::clone(&self.store),
            epoch: self.epoch,
            records: Arc::clone(&self.records),
            embedder,
            settings: self.settings,
            threshold: Arc::clone(&self.threshold),
            tenants: self.tenants,
            size: CorpusSize::default(),
            memory: None,
            rerank: self.rerank.clone(),
            words_alone: None,
            clock: Arc::clone(&self.clock),
        }
    }

    /// The passages for a question, or none when nothing is evidence. What the deadline leaves no time for is left out, and said.
    pub async fn retrieve(&self, query: &Query, deadline: Option<Deadline>) -> Result<Retrieved, RetrieveError> {
        let Some(memory) = &self.memory else { return self.search(query, deadline).await };
        let Some(key) = memory
            .key(CacheKind::Retrieval, &query.tenant, &[&query.identity(), &self.threshold.get().to_le_bytes()])
            .await
        else {
            return self.search(query, deadline).await;
        };
        let now = self.clock.now();
        let recalled = memory.recall::<Retrieved>(key).await;
        if let Some(mut found) = recalled.filter(|found| found.until.is_none_or(|until| until > now)) {
            found.explanation.cached = true;
            return Ok(found);
        }
        let found = self.search(query, deadline).await?;
        // What was left out for want of time is looked for the next time.
        if found.degraded.is_empty() {
            memory.keep(key, &found).await;
        }
        Ok(found)
    }

    /// What is found for a question as it is asked, or as the corpus spells it.
    async fn search(&self, query: &Query, deadline: Option<Deadline>) -> Result<Retrieved, RetrieveError> {
        let found = self.search_as_asked(query, deadline).await?;
        match self.respelt(query, &found).await? {
            Some(respelt) => {
                let found = self.search_as_asked(&respelt, deadline).await?;
                Ok(Retrieved { respelt: Some(respelt.text), ..found })
            }
            None => Ok(found),
        }
    }

    async fn search_as_asked(&self, query: &Query, deadline: Option<Deadline>) -> Result<Retrieved, RetrieveError> {
        let min_score = self.threshold.get();
        let mut notes = Notes::new(min_score);
        let mut degraded = Vec::new();
        let text = folded(&query.text);
        let embedded = notes.stage("embed", self.embedder.embed_query(&text)).await;
        let (dense, unembedded) = match Embedded::of(embedded, query.mode, self.words_alone.as_ref())? {
            Embedded::Whole(dense) => (Some(dense), None),
            Embedded::WordsAlone(error) => (None, Some(error)),
        };
        let (mode, left_out) = mode(query.mode, dense.is_some(), deadline);
        degraded.extend(left_out);
        let question = Question::of(&query.text);
        let identifiers = Identifiers::of(&query.text);
        let search = self.hybrid(query, mode);
        let counting = self.size.count(&*self.store, self.epoch);
        let found = self.size.beside(counting, search.find(dense, (question.vector(), !identifiers.is_empty())));
        let Found { candidates, ranking } = notes.stage("search", found).await?;
        let identifiers = threshold::rare(&candidates, identifiers);
        let evidence = match unembedded {
            None => threshold::evidence(&candidates, &question, &identifiers, min_score),
            Some(error) => match threshold::evidence_of_words(&candidates, &question, &identifiers) {
                Evidence::None => return Err(RetrieveError::Embed(error)),
                found => found,
            },
        };
        notes.searched(mode, &candidates, evidence);
        let ranking = ranking.into_iter().filter(|hit| threshold::is_citable(evidence, &hit.chunk, &identifiers));
        let ranking = ranking.map(|hit| Candidate { hit, reranked: None }).collect();
        let ranking = match &self.rerank {
            Some(rerank) => rerank.reranked(&query.text, ranking, deadline, (&mut degraded, &mut notes)).await,
            None => ranking,
        };
        let mut wanted = query.top_k;
        if wanted > 1 && is_short(deadline, CONTEXT_NEEDS) {
            degraded.push(Degradation::ContextShortened);
            wanted = wanted.div_ceil(2);
        }
        let passages = passages::shown(ranking, (&query.text, wanted), &mut notes);
        let searched = self.size.last().unwrap_or(0).max(candidates.found());
        degraded.sort_unstable();
        let (explanation, until) = (notes.explanation, candidates.until());
        Ok(Retrieved { passages, evidence, searched, degraded, explanation, respelt: None, until })
    }

    /// The search in the legs for a question of this mode.
    fn hybrid<'a>(&'a self, query: &'a Query, mode: Mode) -> HybridSearch<'a> {
        HybridSearch {
            reader: Reader {
                store: &*self.store,
                epoch: self.epoch,
                records: &*self.records,
                query,
                clock: &*self.clock,
            },
            mode,
            tenants: self.tenants,
            fusion: self.settings.fusion,
            at_least: self.rerank.as_ref().map_or(0, |rerank| rerank.candidates),
        }
    }
}

/// Which legs rank, and what of those that were asked for is left out.
fn mode(asked: Mode, has_vector: bool, deadline: Option<Deadline>) -> (Mode, Option<Degradation>) {
    match asked {
        _ if !has_vector => (Mode::Lexical, Some(Degradation::DenseSkipped)),
        Mode::Hybrid if is_short(deadline, LEXICAL_NEEDS) => (Mode::Dense, Some(Degradation::LexicalSkipped)),
        asked => (asked, None),
    }
}

#[cfg(test)]
mod tests;
