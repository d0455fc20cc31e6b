//! Finds the relevance from which questions are answered, from the collection itself.
//!
//! A cohort of questions about everyday things is asked of the collection. What they reach is what unrelated questions reach here; the threshold is where 98 % of them stay below it,
//! by the median and the median absolute deviation, so that a collection which answers some of them is not misled. This is the zero normalisation of speaker verification (Auckenthaler,
//! Carey and Lloyd-Thomas, "Score Normalization for Text-Independent Speaker Verification Systems", Digital Signal Processing 10, 2000); the factor that makes the deviation comparable
//! with a standard deviation is from Rousseeuw and Croux, "Alternatives to the Median Absolute Deviation", JASA 88, 1993.
//!
//! Guarantees: the result is kept beside the corpus, so every replica and every start uses the same one; it stays within the bounds of [`MinScore::Calibrated`], whatever the documents are.

use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};

use super::{Retrieve, RetrieveError, candidates::Candidates, size::searched, threshold};
use crate::{
    lexical,
    ports::{Change, Epoch, Kind, Only, Search, StoreError, update},
};

/// Questions about things that a collection hardly holds, one a line.
const COHORT: &str = include_str!("cohort.txt");
/// Names the cohort and the formula; a threshold of another version is found anew.
const METHOD: &str = "cohort-1";
/// Chunks below which a collection tells too little: the start value holds.
const MIN_CHUNKS: u64 = 100;
/// A collection that grew or shrank by more than this part, in percent, is measured again.
const CHANGED_PERCENT: u64 = 20;
/// Hits of each leg that are looked at for a question of the cohort.
const DEPTH: usize = 10;
/// Standard deviations above the mean below which 98 % of a normal distribution lie.
const QUANTILE_98: f32 = 2.054;
/// Standard deviation of a normal distribution in median absolute deviations.
const DEVIATIONS: f32 = 1.4826;

/// The relevance from which a question is answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MinScore {
    /// This one.
    Fixed(f32),
    /// Found from the collection.
    Calibrated {
        /// Holds until the collection is large enough.
        start: f32,
        /// The lowest that is believed.
        least: f32,
        /// The highest that is believed.
        most: f32,
    },
}

impl MinScore {
    /// For the local model: what two judged sets agree on (`docs/quality.md`), and a tenth to both sides.
    pub const LOCAL: Self = Self::Calibrated { start: 0.40, least: 0.30, most: 0.50 };
    /// For a model whose cosines nobody has measured.
    pub const UNKNOWN: Self = Self::Calibrated { start: 0.40, least: 0.05, most: 0.95 };

    fn start(self) -> f32 {
        match self {
            Self::Fixed(score) | Self::Calibrated { start: score, .. } => score,
        }
    }
}

/// The threshold that holds now.
pub(super) struct Threshold(AtomicU32);

impl Threshold {
    pub(super) fn new(rule: MinScore) -> Self {
        Self(AtomicU32::new(rule.start().to_bits()))
    }

    pub(super) fn get(&self) -> f32 {
        f32::from_bits(self.0.load(Ordering::Relaxed))
    }

    fn set(&self, score: f32) {
        self.0.store(score.to_bits(), Ordering::Relaxed);
    }
}

/// What is kept beside the corpus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Calibration {
    method: String,
    model: String,
    chunks: u64,
    min_score: f32,
}

/// What is kept for an epoch.
struct Standing {
    epoch: Epoch,
    /// Of the record, if there is one.
    version: Option<u64>,
    /// None where there is no record, or one that cannot be read: it is found anew.
    found: Option<Calibration>,
}

impl Calibration {
    /// Whether it was found in this way, with this model.
    fn is_of(&self, model: &str) -> bool {
        self.method == METHOD && self.model == model
    }

    /// Whether the collection has about the size that it had.
    fn fits(&self, chunks: u64) -> bool {
        chunks.abs_diff(self.chunks).saturating_mul(100) <= self.chunks.saturating_mul(CHANGED_PERCENT)
    }
}

impl Retrieve {
    /// The relevance from which a question is answered now, 0 to 1.2.
    pub fn min_score(&self) -> f32 {
        self.threshold.get()
    }

    /// Takes over the threshold that was found for this collection before, if one was.
    pub async fn recall_threshold(&self) -> Result<(), RetrieveError> {
        let MinScore::Calibrated { .. } = self.settings.min_score else { return Ok(()) };
        let Some(standing) = self.calibration().await? else { return Ok(()) };
        if let Some(found) = standing.found.filter(|found| found.is_of(&self.embedder.model().name)) {
            self.threshold.set(found.min_score);
        }
        Ok(())
    }

    /// Finds the threshold anew where the collection changed much since it was found; asks a hundred questions then. To be called now and then.
    pub async fn calibrate(&self) -> Result<(), RetrieveError> {
        let MinScore::Calibrated { start, least, most } = self.settings.min_score else { return Ok(()) };
        let Some(standing) = self.calibration().await? else { return Ok(()) };
        let chunks = self.size.get(&*self.store, self.epoch).await.map_err(RetrieveError::Search)?;
        let model = self.embedder.model().name.clone();
        if let Some(found) = standing.found.as_ref().filter(|found| found.is_of(&model) && found.fits(chunks)) {
            self.threshold.set(found.min_score);
            return Ok(());
        }
        if chunks < MIN_CHUNKS {
            self.threshold.set(start);
            return Ok(());
        }
        let mut reached = Vec::new();
        for question in COHORT.lines() {
            reached.push(self.reached(question).await?);
        }
        let min_score = above(reached).clamp(least, most);
        let found = Calibration { method: METHOD.to_owned(), model, chunks, min_score };
        self.keep_calibration(&standing, &found).await.map_err(RetrieveError::Records)?;
        self.threshold.set(min_score);
        tracing::info!(min_score, chunks, "calibrated from the collection: questions below this relevance are refused");
        Ok(())
    }

    /// What was found for the epoch that is searched; none before the first epoch.
    async fn calibration(&self) -> Result<Option<Standing>, RetrieveError> {
        let searched = searched(&*self.store, self.epoch).await.map_err(RetrieveError::Search)?;
        let Some(epoch) = searched else { return Ok(None) };
        let record = self.records.get(Kind::Corpus, &record_id(epoch)).await.map_err(RetrieveError::Records)?;
        let version = record.as_ref().map(|record| record.version);
        let found = record.and_then(|record| serde_json::from_value(record.body).ok());
        Ok(Some(Standing { epoch, version, found }))
    }

    async fn reached(&self, question: &str) -> Result<f32, RetrieveError> {
        let dense = self.embedder.embed_query(question).await.map_err(RetrieveError::Embed)?;
        let terms = lexical::query(question);
        let search = Search {
            epoch: self.epoch,
            dense: Some(dense),
            lexical: Some(terms.clone()),
            limit: DEPTH,
            only: Only::default(),
        };
        let legs = self.store.search(&search).await.map_err(RetrieveError::Search)?;
        let ids: Vec<_> = legs.dense.iter().chain(&legs.lexical).map(|hit| hit.chunk).collect();
        let chunks = self.store.chunks(self.epoch, &ids).await.map_err(RetrieveError::Search)?;
        Ok(threshold::relevance(&Candidates::of(legs, chunks), &terms))
    }

    async fn keep_calibration(&self, before: &Standing, found: &Calibration) -> Result<(), StoreError> {
        let body = serde_json::to_value(found)
            .map_err(|e| StoreError::Failed { store: "the calibration", cause: e.to_string() })?;
        // Whoever comes second leaves the other one's result standing: it was found from the same collection.
        update(&*self.records, Kind::Corpus, &record_id(before.epoch), |standing| {
            let untouched = standing.map(|record| record.version) == before.version;
            Ok(if untouched { Change::Write(body.clone(), ()) } else { Change::Leave(()) })
        })
        .await
    }
}

/// Where 98 % of what the cohort reached lie below, as if it were normally distributed.
fn above(mut reached: Vec<f32>) -> f32 {
    let middle = median(&mut reached);
    let mut deviations: Vec<f32> = reached.iter().map(|value| (value - middle).abs()).collect();
    middle + QUANTILE_98 * DEVIATIONS * median(&mut deviations)
}

/// The median; 0 of nothing. What is not finite counts as an extreme.
fn median(values: &mut [f32]) -> f32 {
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn record_id(epoch: Epoch) -> String {
    format!("calibration-e{}", epoch.0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        doubles::{EmbedderDouble, RecordsDouble, StoreDouble},
        model::{Chunk, ChunkId, ContentHash, Point},
        ports::{Embedder as _, Records as _, VectorStore as _},
        retrieve::{Settings, fuse::Fusion},
    };

    async fn corpus(texts: impl IntoIterator<Item = String>) -> (Arc<StoreDouble>, Arc<RecordsDouble>) {
        let (store, embedder) = (Arc::<StoreDouble>::default(), EmbedderDouble::default());
        store.create_epoch(Epoch(1), embedder.model().dimension).await.unwrap();
        store.activate(Epoch(1)).await.unwrap();
        add(&store, texts).await;
        (store, Arc::default())
    }

    async fn add(store: &StoreDouble, texts: impl IntoIterator<Item = String>) {
        let (embedder, mut points) = (EmbedderDouble::default(), Vec::new());
        let first = u32::try_from(store.count(Epoch(1)).await.unwrap()).unwrap();
        for (ordinal, text) in (first..).zip(texts) {
            let (document, version) = ("d".parse().unwrap(), ContentHash("v".to_owned()));
            let dense = embedder.embed_query(&text).await.unwrap();
            let sparse = lexical::passage("", &[], &text);
            let id = ChunkId::new(&document, &version, ordinal);
            let (title, headings) = (String::new(), Vec::new());
            let chunk = Chunk { id, document, version, ordinal, title, headings, text };
            points.push(Point { chunk, dense, sparse, labels: Vec::new() });
        }
        store.upsert(Epoch(1), points).await.unwrap();
    }

    fn retrieve(store: &Arc<StoreDouble>, records: &Arc<RecordsDouble>, min_score: MinScore) -> Retrieve {
        let settings = Settings { min_score, fusion: Fusion::CONFIDENT };
        let (store, records) = (Arc::clone(store), Arc::clone(records));
        Retrieve::new(store, records, Arc::<EmbedderDouble>::default(), settings)
    }

    /// Texts that share no word with the cohort.
    fn unrelated(count: usize) -> impl Iterator<Item = String> {
        (0..count).map(|n| format!("zq{n} xq{n} wq{n}"))
    }

    #[test]
    fn the_cohort_is_large_and_has_no_question_twice() {
        let different: std::collections::BTreeSet<_> = COHORT.lines().collect();
        assert_eq!((COHORT.lines().count(), different.len()), (100, 100));
    }

    #[test]
    fn the_threshold_stands_two_deviations_above_the_median_and_outliers_do_not_move_it() {
        let reached: Vec<f32> = (0..=100).map(|n| n as f32 / 100.0).collect();
        // Median 0.5, median absolute deviation 0.25.
        assert!((above(reached) - (0.5 + 2.054 * 1.4826 * 0.25)).abs() < 1e-6);
        let misled = [vec![0.2; 90], vec![1.2; 10]].concat();
        assert!((above(misled) - 0.2).abs() < 1e-6);
        assert_eq!(above(Vec::new()), 0.0);
    }

    #[tokio::test]
    async fn a_collection_that_unrelated_questions_do_not_reach_gets_the_lowest_threshold_and_one_that_they_do_a_higher_one()
     {
        let (store, records) = corpus(unrelated(200)).await;
        let found = retrieve(&store, &records, MinScore::LOCAL);
        found.calibrate().await.unwrap();
        assert_eq!(found.min_score(), 0.30);
        let (store, records) = corpus(COHORT.lines().cycle().take(200).map(str::to_owned)).await;
        let found = retrieve(&store, &records, MinScore::LOCAL);
        found.calibrate().await.unwrap();
        assert_eq!(found.min_score(), 0.50);
    }

    #[tokio::test]
    async fn the_threshold_is_found_once_and_used_by_every_replica_until_the_collection_changes() {
        let (store, records) = corpus(unrelated(200)).await;
        retrieve(&store, &records, MinScore::LOCAL).calibrate().await.unwrap();
        let other = retrieve(&store, &records, MinScore::LOCAL);
        assert_eq!(other.min_score(), 0.40);
        other.recall_threshold().await.unwrap();
        assert_eq!(other.min_score(), 0.30);
        let before = records.get(Kind::Corpus, "calibration-e1").await.unwrap().unwrap();
        other.calibrate().await.unwrap();
        assert_eq!(records.get(Kind::Corpus, "calibration-e1").await.unwrap().unwrap(), before);
    }

    #[tokio::test]
    async fn a_collection_that_changed_by_more_than_a_fifth_is_measured_again() {
        let (store, records) = corpus(unrelated(200)).await;
        retrieve(&store, &records, MinScore::LOCAL).calibrate().await.unwrap();
        let recorded = async |chunks: u64| {
            let record = records.get(Kind::Corpus, "calibration-e1").await.unwrap().unwrap();
            record.body["chunks"] == chunks
        };
        for (more, measured) in [(40, 200), (1, 241)] {
            add(&store, COHORT.lines().cycle().take(more).map(str::to_owned)).await;
            // One that knows nothing of the size that was.
            retrieve(&store, &records, MinScore::LOCAL).calibrate().await.unwrap();
            assert!(recorded(measured).await, "{more} chunks more");
        }
    }

    #[tokio::test]
    async fn a_small_collection_and_a_configured_threshold_are_left_alone() {
        let (store, records) = corpus(unrelated(99)).await;
        let small = retrieve(&store, &records, MinScore::LOCAL);
        small.calibrate().await.unwrap();
        assert_eq!(small.min_score(), 0.40);
        let (store, records) = corpus(unrelated(200)).await;
        let fixed = retrieve(&store, &records, MinScore::Fixed(0.7));
        fixed.recall_threshold().await.unwrap();
        fixed.calibrate().await.unwrap();
        assert_eq!((fixed.min_score(), records.count(Kind::Corpus).await), (0.7, Ok(0)));
    }
}
