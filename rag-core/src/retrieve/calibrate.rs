//! Finds from the collection itself the relevance from which questions are answered, and the cosine that unrelated texts reach.
//!
//! A cohort of questions about everyday things is asked of the collection. What they reach is what unrelated questions reach here; each threshold is where 98 % of them stay below it,
//! by the median and the median absolute deviation of those below it. A collection that answers some of the cohort lets them stand far above, and is misled neither way: they count as
//! above, and how far above is not looked at. This is the zero normalisation of speaker verification (Auckenthaler,
//! Carey and Lloyd-Thomas, "Score Normalization for Text-Independent Speaker Verification Systems", Digital Signal Processing 10, 2000); the factor that makes the deviation comparable
//! with a standard deviation is from Rousseeuw and Croux, "Alternatives to the Median Absolute Deviation", JASA 88, 1993.
//!
//! Guarantees: the result is kept beside the corpus, so every replica and every start uses the same one; it stays within the bounds of [`MinScore::Calibrated`], whatever the documents are.

use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};

use super::{Retrieve, RetrieveError, Settings, candidates::Candidates, size::searched, threshold};
use crate::{
    lexical::Question,
    ports::{Change, Epoch, Kind, Only, Search, StoreError, update},
};

/// Questions about things that a collection hardly holds, one a line.
const COHORT: &str = include_str!("cohort.txt");
/// Names the cohort and the formula; a threshold of another version is found anew.
const METHOD: &str = "cohort-3";
/// Chunks below which a collection tells too little of its relevance: the start value holds. What unrelated texts reach is measured in the smallest.
const MIN_CHUNKS: u64 = 100;
/// A collection that grew or shrank by more than this part, in percent, is measured again.
const CHANGED_PERCENT: u64 = 20;
/// Hits of each leg that are looked at for a question of the cohort.
const DEPTH: usize = 10;
/// Standard deviations above the mean below which 98 % of a normal distribution lie.
const QUANTILE_98: f32 = 2.054;
/// Standard deviation of a normal distribution in median absolute deviations.
const DEVIATIONS: f32 = 1.4826;

/// The cosine that unrelated texts reach, from which is counted how near two texts are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unrelated {
    /// Holds until it was measured.
    start: f32,
    /// The lowest that is believed.
    least: f32,
    /// Chunks from which on a collection is measured.
    from_chunks: u64,
}

impl Unrelated {
    /// For the local model: what its judged sets reach (`docs/quality.md`).
    pub const LOCAL: Self = Self { start: 0.30, least: 0.25, from_chunks: MIN_CHUNKS };
    /// For a model whose cosines nobody has measured. Until they are hardly anything is near: of the models that are known none lets unrelated texts reach more.
    pub const UNKNOWN: Self = Self { start: 0.85, least: 0.0, from_chunks: 1 };
}

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
    /// For the local model. The start is what two judged sets agree on; the bounds are what unrelated questions reach in narrow collections, and where right ones begin to be refused in
    /// manuals that speak of much (`docs/quality.md`).
    pub const LOCAL: Self = Self::Calibrated { start: 0.40, least: 0.30, most: 0.55 };
    /// For a model whose cosines nobody has measured.
    pub const UNKNOWN: Self = Self::Calibrated { start: 0.40, least: 0.05, most: 0.95 };

    fn start(self) -> f32 {
        match self {
            Self::Fixed(score) | Self::Calibrated { start: score, .. } => score,
        }
    }

    /// What is used of what was measured.
    fn of(self, measured: Option<f32>) -> f32 {
        match self {
            Self::Fixed(score) => score,
            Self::Calibrated { start, least, most } => measured.map_or(start, |score| score.clamp(least, most)),
        }
    }
}

/// A number that holds now, shared by whoever searches the collection.
pub(super) struct Level(AtomicU32);

impl Level {
    fn new(value: f32) -> Self {
        Self(AtomicU32::new(value.to_bits()))
    }

    fn get(&self) -> f32 {
        f32::from_bits(self.0.load(Ordering::Relaxed))
    }

    fn set(&self, value: f32) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

/// What was found of the collection, and holds now.
pub(super) struct Threshold {
    min_score: Level,
    unrelated: Level,
}

impl Threshold {
    pub(super) fn new(settings: &Settings) -> Self {
        let Settings { min_score, unrelated, .. } = settings;
        Self { min_score: Level::new(min_score.start()), unrelated: Level::new(unrelated.start) }
    }

    /// The relevance from which a question is answered.
    pub(super) fn get(&self) -> f32 {
        self.min_score.get()
    }

    fn set(&self, settings: &Settings, found: &Calibration) {
        self.min_score.set(settings.min_score.of(found.min_score));
        self.unrelated.set(found.unrelated.max(settings.unrelated.least));
    }
}

/// What is kept beside the corpus, as it was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Calibration {
    method: String,
    model: String,
    chunks: u64,
    /// None where the collection was too small.
    min_score: Option<f32>,
    unrelated: f32,
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

    /// Whether the collection has about the size that it had; a small one may grow until it tells enough.
    fn fits(&self, chunks: u64) -> bool {
        match self.min_score {
            None => chunks < MIN_CHUNKS,
            Some(_) => chunks.abs_diff(self.chunks).saturating_mul(100) <= self.chunks.saturating_mul(CHANGED_PERCENT),
        }
    }
}

impl Retrieve {
    /// The relevance from which a question is answered now, 0 to 1.2.
    pub fn min_score(&self) -> f32 {
        self.threshold.get()
    }

    /// The cosine that unrelated texts reach in this collection, with its model.
    pub fn unrelated(&self) -> f32 {
        self.threshold.unrelated.get()
    }

    /// Takes over what was found for this collection before, if it was.
    pub async fn recall_threshold(&self) -> Result<(), RetrieveError> {
        let Some(standing) = self.calibration().await? else { return Ok(()) };
        if let Some(found) = standing.found.filter(|found| found.is_of(&self.embedder.model().name)) {
            self.threshold.set(&self.settings, &found);
        }
        Ok(())
    }

    /// Measures anew where the collection changed much since it was measured; asks a hundred questions then. To be called now and then.
    pub async fn calibrate(&self) -> Result<(), RetrieveError> {
        let Some(standing) = self.calibration().await? else { return Ok(()) };
        let chunks = self.size.count(&*self.store, self.epoch).await.map_err(RetrieveError::Search)?;
        let model = self.embedder.model().name.clone();
        if let Some(found) = standing.found.as_ref().filter(|found| found.is_of(&model) && found.fits(chunks)) {
            self.threshold.set(&self.settings, found);
            return Ok(());
        }
        let is_large = chunks >= MIN_CHUNKS;
        if !is_large {
            self.threshold.min_score.set(self.settings.min_score.start());
        }
        if chunks < self.settings.unrelated.from_chunks {
            self.threshold.unrelated.set(self.settings.unrelated.start);
            return Ok(());
        }
        let unrelated = above(self.reached_by_texts().await?);
        let mut reached = Vec::new();
        for question in COHORT.lines().filter(|_| is_large) {
            reached.push(self.reached(question).await?);
        }
        let min_score = is_large.then(|| above(reached));
        let found = Calibration { method: METHOD.to_owned(), model, chunks, min_score, unrelated };
        self.keep_calibration(&standing, &found).await.map_err(RetrieveError::Records)?;
        self.threshold.set(&self.settings, &found);
        let (min_score, unrelated) = (self.min_score(), self.unrelated());
        tracing::info!(
            min_score,
            unrelated,
            chunks,
            "calibrated from the collection: questions below this relevance are refused"
        );
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

    /// The best cosine of each text of the cohort, embedded as the sentences of an answer are.
    async fn reached_by_texts(&self) -> Result<Vec<f32>, RetrieveError> {
        let texts = COHORT.lines().map(str::to_owned).collect();
        let mut reached = Vec::new();
        for vector in self.embedder.embed_passages(texts).await.map_err(RetrieveError::Embed)? {
            let search = Search { epoch: self.epoch, dense: Some(vector), limit: 1, ..Search::default() };
            let legs = self.store.search(&search).await.map_err(RetrieveError::Search)?;
            reached.extend(legs.dense.first().map(|hit| hit.score.0));
        }
        Ok(reached)
    }

    async fn reached(&self, question: &str) -> Result<f32, RetrieveError> {
        let dense = self.embedder.embed_query(question).await.map_err(RetrieveError::Embed)?;
        let terms = Question::of(question);
        let search = Search {
            epoch: self.epoch,
            dense: Some(dense),
            lexical: Some(terms.vector().clone()),
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

/// Where 98 % of what the cohort reached lie below, as if it were distributed above its median as it is below.
fn above(mut reached: Vec<f32>) -> f32 {
    let middle = median(&mut reached);
    let mut deviations: Vec<f32> = reached.iter().map(|value| middle - value).filter(|below| *below >= 0.0).collect();
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
mod tests;
