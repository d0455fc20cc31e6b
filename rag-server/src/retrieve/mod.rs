//! A question to the passages that may answer it.
//!
//! ```text
//! embed -> search both legs -> drop what is not committed -> evidence? -> fuse -> drop repetitions
//! ```
//!
//! Guarantees: every passage is committed at the moment it is read; without evidence there are no passages; a store that fails is an error, never an empty result.
//! The mode decides which legs rank. The dense leg is searched in every mode, because only a cosine can tell that nothing relevant is stored.

pub mod fuse;
mod overlap;
mod size;
pub mod threshold;
mod visible;

use std::sync::Arc;

use fuse::Fusion;
use serde::{Deserialize, Serialize};
use size::CorpusSize;
use threshold::Evidence;

use crate::{
    lexical,
    model::{Legs, Mode, Query},
    ports::{CacheKind, EmbedError, Embedder, Memory, Passage, Records, Search, StoreError, VectorStore},
};

/// Hits asked of each leg at least, so that fusion sees what the other leg ranked lower.
const DEPTH: usize = 50;
/// Hits asked of each leg at most, however many of them are not committed.
const MAX_DEPTH: usize = 2_000;

/// What the flow may be told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Cosine of the nearest passage below which nothing relevant is stored.
    pub min_score: f32,
    /// How the legs become one ranking.
    pub fusion: Fusion,
}

impl Default for Settings {
    /// The threshold separates the questions of one judged set from those of another by 99.8 % with the default model (`docs/quality.md`).
    fn default() -> Self {
        Self { min_score: 0.40, fusion: Fusion::default() }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retrieved {
    /// Best first, at most `top_k`; empty without evidence.
    pub passages: Vec<Passage>,
    /// Why the question may be answered, or that it may not.
    pub evidence: Evidence,
    /// How many chunks were searched.
    pub searched: u64,
}

/// Why nothing could be said about a question. It never means that nothing was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RetrieveError {
    /// The question was not embedded.
    #[error("{0}")]
    Embed(#[source] EmbedError),
    /// The vector store did not answer.
    #[error("{0}; this is not an empty result")]
    Search(#[source] StoreError),
    /// The documents' records did not answer.
    #[error("{0}; this is not an empty result")]
    Records(#[source] StoreError),
}

/// Finds passages.
pub struct Retrieve {
    store: Arc<dyn VectorStore>,
    records: Arc<dyn Records>,
    embedder: Arc<dyn Embedder>,
    settings: Settings,
    size: CorpusSize,
    memory: Option<Memory>,
}

impl Retrieve {
    /// The flow over these parts.
    pub fn new(
        store: Arc<dyn VectorStore>,
        records: Arc<dyn Records>,
        embedder: Arc<dyn Embedder>,
        settings: Settings,
    ) -> Self {
        Self { store, records, embedder, settings, size: CorpusSize::default(), memory: None }
    }

    /// Remembers what was found, until the corpus changes.
    #[must_use]
    pub fn remembering(mut self, memory: Memory) -> Self {
        self.memory = Some(memory);
        self
    }

    /// The passages for a question, or none when nothing is evidence.
    pub async fn retrieve(&self, query: &Query) -> Result<Retrieved, RetrieveError> {
        let Some(memory) = &self.memory else { return self.search_now(query).await };
        let Some(key) = memory.key(CacheKind::Retrieval, &[&query.identity()]).await else {
            return self.search_now(query).await;
        };
        if let Some(found) = memory.recall(key).await {
            return Ok(found);
        }
        let found = self.search_now(query).await?;
        memory.keep(key, &found).await;
        Ok(found)
    }

    async fn search_now(&self, query: &Query) -> Result<Retrieved, RetrieveError> {
        let dense = self.embedder.embed_query(&query.text).await.map_err(RetrieveError::Embed)?;
        let lexical = match query.mode {
            Mode::Hybrid | Mode::Lexical => Some(lexical::query(&query.text)).filter(|terms| !terms.indices.is_empty()),
            Mode::Dense => None,
        };
        let (legs, searched) = futures::future::try_join(self.search(dense, lexical, query.top_k), async {
            self.size.get(&*self.store).await.map_err(RetrieveError::Search)
        })
        .await?;
        let rare_terms = lexical::rare_terms(&query.text);
        let evidence = threshold::evidence(&legs, &rare_terms, self.settings.min_score);
        let ranking = fuse::fuse(ranking_legs(legs, query.mode), self.settings.fusion)
            .into_iter()
            .filter(|fused| threshold::is_citable(evidence, &fused.chunk, &rare_terms));
        let passages = overlap::distinct(ranking, query.top_k)
            .into_iter()
            .map(|fused| Passage { chunk: fused.chunk, score: fused.score.0 })
            .collect();
        Ok(Retrieved { passages, evidence, searched })
    }

    /// Both legs with committed hits alone; deeper when so many were not that too few are left.
    async fn search(
        &self,
        dense: Vec<f32>,
        lexical: Option<crate::model::SparseVector>,
        wanted: usize,
    ) -> Result<Legs, RetrieveError> {
        let asks_lexical = lexical.is_some();
        let mut search =
            Search { dense: Some(dense), lexical, limit: DEPTH.max(wanted.saturating_mul(2)).min(MAX_DEPTH) };
        loop {
            let found = self.store.search(&search).await.map_err(RetrieveError::Search)?;
            let exhausted = (found.dense.len() < search.limit, found.lexical.len() < search.limit || !asks_lexical);
            let legs = visible::visible(&*self.records, found).await.map_err(RetrieveError::Records)?;
            let enough = (exhausted.0 || legs.dense.len() >= wanted) && (exhausted.1 || legs.lexical.len() >= wanted);
            if enough || search.limit == MAX_DEPTH {
                return Ok(legs);
            }
            search.limit = search.limit.saturating_mul(4).min(MAX_DEPTH);
        }
    }
}

/// The legs that rank in this mode.
fn ranking_legs(legs: Legs, mode: Mode) -> Legs {
    match mode {
        Mode::Hybrid => legs,
        Mode::Dense => Legs { lexical: Vec::new(), ..legs },
        Mode::Lexical => Legs { dense: Vec::new(), ..legs },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        doubles::{EmbedderDouble, RecordsDouble, StoreDouble},
        model::{Chunk, ChunkId, ContentHash, DocumentId, Point},
        ports::{Epoch, Kind},
    };

    struct Corpus {
        store: Arc<StoreDouble>,
        records: Arc<RecordsDouble>,
        embedder: Arc<EmbedderDouble>,
        retrieve: Retrieve,
    }

    impl Corpus {
        async fn empty() -> Self {
            let store = Arc::<StoreDouble>::default();
            let records = Arc::<RecordsDouble>::default();
            let embedder = Arc::<EmbedderDouble>::default();
            store.create_epoch(Epoch(1), 512).await.unwrap();
            store.activate(Epoch(1)).await.unwrap();
            let parts = (Arc::clone(&store), Arc::clone(&records), Arc::clone(&embedder));
            let retrieve = Retrieve::new(parts.0, parts.1, parts.2, Settings::default());
            Self { store, records, embedder, retrieve }
        }

        /// Stores a chunk without committing it.
        async fn store(&self, document: &str, version: &str, text: &str) {
            let (document, version): (DocumentId, _) = (document.parse().unwrap(), ContentHash(version.to_owned()));
            let id = ChunkId::new(&document, &version, 0);
            let chunk = Chunk {
                id,
                document,
                version,
                ordinal: 0,
                title: String::new(),
                headings: vec![],
                text: text.to_owned(),
            };
            let dense = self.embedder.embed_passages(vec![text.to_owned()]).await.unwrap().remove(0);
            let sparse = lexical::passage("", &[], text);
            self.store.upsert(Epoch(1), vec![Point { chunk, dense, sparse }]).await.unwrap();
        }

        async fn commit(&self, document: &str, version: &str) {
            let body = serde_json::json!({ "id": document, "version": version });
            self.records.put_if_absent(Kind::Document, document, body).await.unwrap();
        }

        async fn ask(&self, text: &str, mode: Mode, top_k: usize) -> Retrieved {
            self.retrieve.retrieve(&Query { text: text.to_owned(), mode, top_k }).await.unwrap()
        }
    }

    fn found(retrieved: &Retrieved) -> Vec<&str> {
        retrieved.passages.iter().map(|passage| passage.chunk.document.as_str()).collect()
    }

    #[tokio::test]
    async fn the_passage_about_the_question_comes_first_in_every_mode() {
        let corpus = Corpus::empty().await;
        for (document, text) in [("backup", "daily snapshots are kept seven days"), ("zoo", "lions sleep all day")] {
            corpus.store(document, "v", text).await;
            corpus.commit(document, "v").await;
        }
        for mode in [Mode::Hybrid, Mode::Dense, Mode::Lexical] {
            let retrieved = corpus.ask("how long are snapshots kept", mode, 5).await;
            assert_eq!(found(&retrieved)[0], "backup", "{mode:?}");
            assert_eq!(retrieved.searched, 2);
        }
    }

    #[tokio::test]
    async fn nothing_relevant_is_no_passage_in_every_mode() {
        let corpus = Corpus::empty().await;
        corpus.store("backup", "v", "daily snapshots are kept seven days").await;
        corpus.commit("backup", "v").await;
        for mode in [Mode::Hybrid, Mode::Dense, Mode::Lexical] {
            let retrieved = corpus.ask("who won the football cup", mode, 5).await;
            assert_eq!((found(&retrieved), retrieved.evidence), (vec![], Evidence::None), "{mode:?}");
        }
        assert_eq!(found(&Corpus::empty().await.ask("anything", Mode::Hybrid, 5).await), Vec::<&str>::new());
    }

    #[tokio::test]
    async fn an_error_code_alone_is_answered_from_the_passage_that_holds_it() {
        let corpus = Corpus::empty().await;
        // So many other words that the passage is far from the question.
        let filler: String = ('a'..='z').map(|letter| format!("{letter}word ")).collect();
        for (document, text) in [("codes", format!("{filler} ERR_4711")), ("other", filler)] {
            corpus.store(document, "v", &text).await;
            corpus.commit(document, "v").await;
        }
        let retrieved = corpus.ask("please explain error ERR_4711 to our customer", Mode::Hybrid, 5).await;
        assert_eq!((found(&retrieved), retrieved.evidence), (vec!["codes"], Evidence::RareTerm));
        let retrieved = corpus.ask("please explain error ERR_4712 to our customer", Mode::Hybrid, 5).await;
        assert_eq!(retrieved.evidence, Evidence::None);
    }

    #[tokio::test]
    async fn a_chunk_without_its_committed_record_is_never_shown() {
        let corpus = Corpus::empty().await;
        corpus.store("plan", "old", "snapshots are kept nine days").await;
        corpus.store("plan", "new", "snapshots are kept seven days").await;
        corpus.store("draft", "v", "snapshots are kept for ever").await;
        corpus.commit("plan", "new").await;
        let retrieved = corpus.ask("how long are snapshots kept", Mode::Hybrid, 5).await;
        let texts: Vec<_> = retrieved.passages.iter().map(|passage| passage.chunk.text.as_str()).collect();
        assert_eq!(texts, ["snapshots are kept seven days"]);
    }

    #[tokio::test]
    async fn a_crowd_of_uncommitted_chunks_does_not_hide_the_committed_ones() {
        let corpus = Corpus::empty().await;
        for number in 0..300 {
            corpus.store(&format!("draft-{number}"), "v", "snapshots are kept for days").await;
        }
        corpus.store("plan", "v", "snapshots are kept seven days and then some more").await;
        corpus.commit("plan", "v").await;
        let retrieved = corpus.ask("how long are snapshots kept for days", Mode::Hybrid, 5).await;
        assert_eq!(found(&retrieved), ["plan"]);
    }

    #[tokio::test]
    async fn a_store_that_fails_is_an_error_and_not_an_empty_result() {
        let query = Query { text: "anything".to_owned(), mode: Mode::Hybrid, top_k: 5 };
        let corpus = Corpus::empty().await;
        corpus.store("plan", "v", "anything").await;
        corpus.records.fail();
        assert!(matches!(corpus.retrieve.retrieve(&query).await, Err(RetrieveError::Records(_))));
        corpus.store.fail();
        assert!(matches!(corpus.retrieve.retrieve(&query).await, Err(RetrieveError::Search(_))));
    }

    #[tokio::test]
    async fn a_record_that_cannot_be_read_is_an_error_with_its_name() {
        let corpus = Corpus::empty().await;
        corpus.store("plan", "v", "anything").await;
        corpus.records.put_if_absent(Kind::Document, "plan", serde_json::json!("nonsense")).await.unwrap();
        let query = Query { text: "anything".to_owned(), mode: Mode::Hybrid, top_k: 5 };
        let error = corpus.retrieve.retrieve(&query).await.unwrap_err();
        assert!(error.to_string().contains("plan"), "{error}");
    }
}
