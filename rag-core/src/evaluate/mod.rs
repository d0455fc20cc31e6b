//! How well the search finds what it should: judged questions in, measures of each mode with intervals out, and a recommendation.
//!
//! ```text
//! questions (given, or headings of the documents) -> search in every mode -> measures -> bootstrap -> report
//! ```
//!
//! Guarantees: questions are asked one after the other, so that an evaluation never takes more than one place among those who ask; the same questions of the same documents give the same figures, times excepted.
//! Assumption: the search that is passed in has no cache, or the times would be those of the cache.

pub mod bootstrap;
pub mod headings;
mod known_items;
pub mod measures;
pub mod page;
mod plots;
pub mod query_set;
pub mod report;

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use self::{
    headings::KnownItems,
    query_set::JudgedQuery,
    report::{NDCG_DEPTH, Origin, QueryFigures, QueryInMode, Report, SUCCESS_DEPTH, Settings, Unknown},
};
use crate::{
    model::{DocumentId, Mode, Query, Tenant},
    ports::{Kind, Records, StoreError, VectorStore, stands},
    retrieve::{Retrieve, RetrieveError, threshold::Evidence},
};

/// Passages that a question asks for: the most that anybody may ask for, so that a document with many passages leaves places for others.
const PASSAGES: usize = 50;
/// Most places that recall and the reciprocal rank may look at.
pub const MAX_K: usize = PASSAGES;
/// Places that they look at unless something else is asked for.
pub const DEFAULT_K: usize = 10;
/// Known-item questions unless another number is asked for.
pub const DEFAULT_SAMPLE: usize = 200;
/// Unknown documents that are named.
const NAMED: usize = 10;
/// Characters of a question that the report keeps.
const EXCERPT: usize = 200;
/// Records that are looked up at once.
const LOOKED_UP: usize = 500;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// A question was not searched.
    #[error(transparent)]
    Retrieve(#[from] RetrieveError),
    /// A store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Not one of the relevant documents is stored.
    #[error(
        "none of the {count} relevant documents is stored, such as {:?}; a document is named as GET /documents lists it, with the prefix that it was ingested under", .example.as_str()
    )]
    NothingStored {
        /// How many were named.
        count: usize,
        /// One of them.
        example: DocumentId,
    },
    /// No questions could be made.
    #[error(
        "no heading of the {} stored documents can be asked as a question ({} are in several documents, {} are too short or too long); give questions of your own with their relevant documents", .0.documents, .0.repeated, .0.unusable
    )]
    NoHeadings(KnownItems),
    /// There is nothing to find the right one among.
    #[error("only one document is stored, which every question finds; known-item questions need at least two")]
    OneDocument,
}

/// The questions of an evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Questions {
    tenant: Tenant,
    queries: Vec<JudgedQuery>,
    origin: Origin,
    unknown: Unknown,
}

impl Questions {
    /// Questions that were given; at least one of their relevant documents, which are the tenant's, must be stored.
    pub async fn judged(
        mut queries: Vec<JudgedQuery>,
        tenant: Tenant,
        records: &dyn Records,
    ) -> Result<Self, EvaluateError> {
        for query in &mut queries {
            let graded = std::mem::take(&mut query.relevant).into_iter();
            query.relevant = graded.map(|(document, grade)| (document.of(&tenant), grade)).collect();
        }
        let unknown = unknown(&queries, records).await?;
        Ok(Self { tenant, queries, origin: Origin::Judged, unknown })
    }

    /// Questions out of the headings of the tenant's documents.
    pub async fn known_items(
        (store, records): (&dyn VectorStore, &dyn Records),
        tenant: Tenant,
        sample: usize,
    ) -> Result<Self, EvaluateError> {
        let (queries, items) = known_items::known_items((store, records), &tenant, sample).await?;
        if items.documents == 1 {
            return Err(EvaluateError::OneDocument);
        }
        if queries.is_empty() {
            return Err(EvaluateError::NoHeadings(items));
        }
        Ok(Self { tenant, queries, origin: Origin::KnownItems(items), unknown: Unknown::default() })
    }
}

/// The relevant documents that are not stored.
async fn unknown(queries: &[JudgedQuery], records: &dyn Records) -> Result<Unknown, EvaluateError> {
    let graded = queries.iter().flat_map(|query| &query.relevant);
    let relevant: BTreeSet<&DocumentId> = graded.filter(|(_, grade)| **grade > 0).map(|(id, _)| id).collect();
    let ids: Vec<&DocumentId> = relevant.into_iter().collect();
    let mut unknown = Vec::new();
    for some in ids.chunks(LOOKED_UP) {
        let names: Vec<&str> = some.iter().map(|id| id.key()).collect();
        let stored = records.get_many(Kind::Document, &names).await?;
        let stored: BTreeSet<&str> =
            stored.iter().filter(|record| stands(record)).map(|record| record.id.as_str()).collect();
        unknown.extend(some.iter().filter(|id| !stored.contains(id.key())).map(|id| (*id).clone()));
    }
    match unknown.first() {
        Some(example) if unknown.len() == ids.len() => {
            Err(EvaluateError::NothingStored { count: ids.len(), example: example.clone() })
        }
        _ => {
            Ok(Unknown { count: unknown.len(), documents: unknown.into_iter().take(NAMED).map(String::from).collect() })
        }
    }
}

/// An evaluation that goes on question by question, so that whoever runs it may stop it, wait, or tell how far it is.
pub struct Evaluation {
    retrieve: Arc<Retrieve>,
    settings: Settings,
    questions: Questions,
    measured: Vec<QueryFigures>,
}

impl Evaluation {
    /// Nothing is asked yet.
    pub fn new(retrieve: Arc<Retrieve>, settings: Settings, questions: Questions) -> Self {
        Self { retrieve, settings, questions, measured: Vec::new() }
    }

    /// How many questions are measured.
    pub fn done(&self) -> usize {
        self.measured.len()
    }

    /// How many questions there are.
    pub fn total(&self) -> usize {
        self.questions.queries.len()
    }

    /// Measures the next question in every mode; false when there is none.
    pub async fn step(&mut self) -> Result<bool, RetrieveError> {
        let at = self.measured.len();
        let Some(query) = self.questions.queries.get(at) else { return Ok(false) };
        let modes = self.settings.modes();
        if at == 0 {
            // The first search reads pages of the index and of the model that all later ones find in memory.
            let _unmeasured = self.in_mode(query, self.settings.configured).await?;
        }
        let mut found = Vec::with_capacity(modes.len());
        // Each mode goes first as often as the others: the one after it finds the processor's caches warm.
        for turn in 0..modes.len() {
            let place = (at + turn) % modes.len();
            found.push((place, self.in_mode(query, modes[place]).await?));
        }
        found.sort_by_key(|(place, _)| *place);
        let text = query.text.chars().take(EXCERPT).collect();
        let modes = found.into_iter().map(|(_, found)| found).collect();
        let figures = QueryFigures { id: query.id.clone(), text, modes };
        self.measured.push(figures);
        Ok(true)
    }

    async fn in_mode(&self, query: &JudgedQuery, mode: Mode) -> Result<QueryInMode, RetrieveError> {
        let tenant = self.questions.tenant.clone();
        let asked = Query { text: query.text.clone(), mode, top_k: PASSAGES, tenant, ..Query::default() };
        let began = Instant::now();
        let found = self.retrieve.retrieve(&asked, None).await?;
        let millis = began.elapsed().as_secs_f64() * 1000.0;
        let ranking = measures::documents(found.passages.into_iter().map(|passage| passage.chunk.document));
        let (relevant, k) = (&query.relevant, self.settings.k);
        Ok(QueryInMode {
            mode,
            ndcg: measures::ndcg(&ranking, relevant, NDCG_DEPTH),
            recall: measures::recall(&ranking, relevant, k),
            reciprocal_rank: measures::reciprocal_rank(&ranking, relevant, k),
            success: measures::is_success(&ranking, relevant, SUCCESS_DEPTH),
            millis,
            refused: found.evidence == Evidence::None,
            degraded: !found.degraded.is_empty(),
        })
    }

    /// What was measured so far.
    pub fn report(self) -> Report {
        Report::new(&self.settings, self.questions.origin, self.questions.unknown, self.measured)
    }
}
