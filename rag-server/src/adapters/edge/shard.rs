//! One epoch as a shard of the engine: its configuration, and the translation between our words and the engine's.
//!
//! Not safe by itself: writes, [`Shard::flush`] and [`Shard::optimize`] must come from one thread, or the engine panics. Searches may run beside them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use qdrant_edge::{
    CreateIndex, Distance, EdgeConfig, EdgeShard, EdgeSparseVectorParams, EdgeVectorParams, FieldIndexOperations,
    Filter, HnswIndexConfig, Modifier, NamedQuery, OperationError, Payload, PayloadFieldSchema, PayloadOps,
    PayloadSchemaType, PayloadSelectorInclude, PointId, PointInsertOperations, PointOperations, PointStruct, QueryEnum,
    Record, ScoredPoint, ScrollRequest, SearchRequest, SetPayloadOp, SparseVector as EngineSparse, UpdateOperation,
    Vector, VectorInternal, VectorStructInternal, Vectors, WalOptions, WithPayloadInterface, WithVector,
};

use super::{
    STORE,
    filter::{equals, json_path, only},
};
use crate::{
    model::{
        Chunk, ChunkId, ChunkPlace, ContentHash, DocumentId, Embedded, Legs, Point, Scored, Similarity, SparseVector,
    },
    ports::{Index, Scan, Search, StoreError},
};

const DENSE: &str = "dense";
const LEXICAL: &str = "lexical";

/// Payload fields that filters look at; the first two are fields of [`Chunk`].
const DOCUMENT: &str = "document";
const VERSION: &str = "version";
pub(super) const TENANT: &str = "tenant";
pub(super) const LABELS: &str = "labels";
/// Position in the document; no filter looks at it.
const ORDINAL: &str = "ordinal";

/// Points in one operation of the engine: it bounds what one entry of its log holds.
const POINTS_PER_OPERATION: usize = 64;

/// Most chunks of one page of a scan; writes wait while it is read.
const MAX_PAGE: usize = 1_000;

/// Bytes of one part of the engine's log. The engine's default of 32 MiB is meant for servers.
const LOG_PART: usize = 8 * 1024 * 1024;

/// Kilobytes of vectors in one segment at most (about 130,000 chunks). A search costs as much for each segment, so there should be few; building the index of one holds up writes, of 70,000
/// chunks for 12 seconds on one core.
const MAX_SEGMENT_KB: usize = 200_000;

/// An open shard.
pub(super) struct Shard {
    engine: EdgeShard,
}

impl Shard {
    /// Makes an empty shard in an existing, empty folder.
    pub(super) fn create(path: &Path, dimension: usize) -> Result<Self, StoreError> {
        let shard = Self { engine: EdgeShard::new(path, config(dimension)).map_err(failed)? };
        match shard.ensure_indexes().and_then(|()| shard.flush()) {
            Ok(()) => Ok(shard),
            Err(e) => {
                shard.close();
                Err(e)
            }
        }
    }

    /// Opens a shard.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let corrupt = |cause: String| unopened(path, cause);
        let engine = guarded(|| EdgeShard::load(path, None).map_err(|e| corrupt(e.to_string())))
            .unwrap_or_else(|| Err(corrupt("the engine panicked; its message is in the log".to_owned())))?;
        let shard = Self { engine };
        match shard.ensure_indexes() {
            Ok(()) => Ok(shard),
            Err(e) => {
                shard.close();
                Err(e)
            }
        }
    }

    /// Lets go of the shard. The engine flushes as it is dropped and panics where it cannot, so a shard must end here: a second panic on the way out would end the process.
    pub(super) fn close(self) {
        if guarded(|| drop(self.engine)).is_none() {
            tracing::warn!(
                "the embedded vector store could not be flushed as it was closed; what was acknowledged is safe"
            );
        }
    }

    /// Length of the dense vectors.
    pub(super) fn dimension(&self) -> usize {
        self.engine.config().vectors.get(DENSE).map_or(0, |dense| dense.size)
    }

    /// Chunks that are stored.
    pub(super) fn count(&self) -> u64 {
        self.engine.info().points_count as u64
    }

    /// How the index is. What waits to be optimised the engine does not tell.
    pub(super) fn index(&self) -> Index {
        let info = self.engine.info();
        let (segments, indexed_vectors) = (info.segments_count as u64, info.indexed_vectors_count as u64);
        Index { segments, indexed_vectors, is_optimized: None }
    }

    /// Writes points. Durable only after [`Self::flush`].
    pub(super) fn upsert(&self, points: Vec<Point>) -> Result<(), StoreError> {
        let dimension = self.dimension();
        if let Some(wrong) = points.iter().find(|point| point.dense.len() != dimension) {
            let found = wrong.dense.len();
            return Err(refused(format!("a vector has {found} numbers; this epoch holds vectors of {dimension}")));
        }
        let mut points = points.into_iter().map(engine_point).collect::<Result<Vec<_>, _>>()?.into_iter();
        loop {
            let part: Vec<_> = points.by_ref().take(POINTS_PER_OPERATION).map(Into::into).collect();
            if part.is_empty() {
                return Ok(());
            }
            let insert = PointOperations::UpsertPoints(PointInsertOperations::PointsList(part));
            self.update(UpdateOperation::PointOperation(insert))?;
        }
    }

    /// Removes the chunks of one version of a document. Durable only after [`Self::flush`].
    pub(super) fn purge(&self, document: &DocumentId, version: &ContentHash) -> Result<(), StoreError> {
        let must = Some(vec![equals(DOCUMENT, document.key())?, equals(VERSION, &version.0)?]);
        let filter = Filter { must, ..Filter::default() };
        self.update(UpdateOperation::PointOperation(PointOperations::DeletePointsByFilter(filter)))
    }

    /// Replaces the labels of a document's chunks. Durable only after [`Self::flush`].
    pub(super) fn relabel(&self, document: &DocumentId, labels: &[String]) -> Result<(), StoreError> {
        let set = SetPayloadOp {
            payload: Payload(serde_json::Map::from_iter([(LABELS.to_owned(), labels.into())])),
            points: None,
            filter: Some(Filter::new_must(equals(DOCUMENT, document.key())?)),
            key: None,
        };
        self.update(UpdateOperation::PayloadOperation(PayloadOps::SetPayload(set)))
    }

    /// Makes every write so far durable.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        // The engine panics where it cannot write, such as on a full disk; that must not end the writer.
        guarded(|| self.engine.flush()).ok_or_else(|| StoreError::Failed {
            store: STORE,
            cause: format!("{} cannot be flushed; is the disk full?", self.engine.path().display()),
        })
    }

    /// Builds indexes and drops deleted points where it is worth it. Takes seconds.
    pub(super) fn optimize(&self) -> Result<bool, StoreError> {
        let done = guarded(|| self.engine.optimize())
            .ok_or_else(|| StoreError::Failed { store: STORE, cause: "the optimiser panicked".to_owned() })?
            .map_err(failed)?;
        self.ensure_indexes()?;
        self.flush()?;
        Ok(done)
    }

    /// Those of the chunks that are stored, with their dense vectors.
    pub(super) fn embedded(&self, ids: &[ChunkId]) -> Result<Vec<Embedded>, StoreError> {
        self.read(ids, Some(WithVector::Selector(vec![DENSE.to_owned()])))?.into_iter().map(embedded).collect()
    }

    /// Those of the chunks that are stored.
    pub(super) fn chunks(&self, ids: &[ChunkId]) -> Result<Vec<Chunk>, StoreError> {
        self.read(ids, None)?.into_iter().map(|point| chunk(point.id, point.payload)).collect()
    }

    /// A page of what is stored, by id. Nobody may write meanwhile.
    pub(super) fn scan(&self, after: Option<ChunkId>, limit: usize) -> Result<Scan, StoreError> {
        let from = match after.map(ChunkId::next) {
            Some(None) => return Ok(Scan::default()),
            Some(next) => next,
            None => None,
        };
        let include = [DOCUMENT, VERSION, ORDINAL].into_iter().map(json_path).collect::<Result<_, _>>()?;
        let request = ScrollRequest {
            offset: from.map(|from| PointId::Uuid(from.0)),
            limit: Some(limit.clamp(1, MAX_PAGE)),
            with_payload: Some(PayloadSelectorInclude { include }.into()),
            ..ScrollRequest::default()
        };
        let scrolled = guarded(|| self.engine.scroll(request))
            .ok_or_else(|| StoreError::Failed { store: STORE, cause: "the engine panicked at a scan".to_owned() })?;
        let (found, next) = scrolled.map_err(failed)?;
        let held = found.into_iter().map(held).collect::<Result<Vec<_>, _>>()?;
        let next = held.last().filter(|_| next.is_some()).map(|last| last.id);
        Ok(Scan { held, next })
    }

    fn read(&self, ids: &[ChunkId], vector: Option<WithVector>) -> Result<Vec<Record>, StoreError> {
        let ids: Vec<PointId> = ids.iter().map(|id| PointId::Uuid(id.0)).collect();
        self.engine.retrieve(&ids, Some(WithPayloadInterface::Bool(true)), vector).map_err(failed)
    }

    /// Both legs, each best first.
    pub(super) fn search(&self, search: &Search) -> Result<Legs, StoreError> {
        // The engine reserves memory for as many hits as it is asked for.
        let limit = search.limit.min(self.engine.info().points_count);
        let leg = |query: VectorInternal, using: &str| {
            let request = SearchRequest {
                query: QueryEnum::Nearest(NamedQuery::new(query, using)),
                filter: only(&search.only)?,
                params: None,
                limit,
                offset: 0,
                with_payload: None,
                with_vector: None,
                score_threshold: None,
            };
            self.engine.search(request).map_err(failed)?.into_iter().map(scored).collect::<Result<Vec<_>, _>>()
        };
        let dense = search.dense.as_ref().filter(|_| limit > 0);
        let dense = dense.map(|vector| leg(VectorInternal::Dense(vector.clone()), DENSE)).transpose()?;
        let lexical = search.lexical.as_ref().filter(|terms| limit > 0 && !terms.indices.is_empty());
        let lexical = lexical.map(|terms| leg(VectorInternal::Sparse(engine_terms(terms)?), LEXICAL)).transpose()?;
        Ok(Legs { dense: dense.unwrap_or_default(), lexical: lexical.unwrap_or_default() })
    }

    /// New segments come without payload indexes; asking again for one that exists changes nothing.
    fn ensure_indexes(&self) -> Result<(), StoreError> {
        for field in [DOCUMENT, VERSION, TENANT, LABELS] {
            let create = FieldIndexOperations::CreateIndex(CreateIndex {
                field_name: json_path(field)?,
                field_schema: Some(PayloadFieldSchema::FieldType(PayloadSchemaType::Keyword)),
            });
            self.update(UpdateOperation::FieldIndexOperation(create))?;
        }
        Ok(())
    }

    fn update(&self, operation: UpdateOperation) -> Result<(), StoreError> {
        guarded(|| self.engine.update(operation))
            .ok_or_else(|| StoreError::Failed { store: STORE, cause: "the engine panicked at a write".to_owned() })?
            .map_err(failed)
    }
}

/// Why a shard could not be opened: it is damaged, unless the machine wants for something that it had when the shard was written.
fn unopened(path: &Path, cause: String) -> StoreError {
    let failed = StoreError::Failed { store: STORE, cause: format!("{}: {cause}", path.display()) };
    let text = cause.to_ascii_lowercase();
    let wants = ["too many open files", "cannot allocate memory"].iter().any(|words| text.contains(words));
    if wants || failed.is_full() || failed.is_read_only() {
        return failed;
    }
    StoreError::Corrupt { what: path.display().to_string(), cause }
}

fn config(dimension: usize) -> EdgeConfig {
    let dense = EdgeVectorParams::builder(dimension, Distance::Cosine).on_disk(true).build();
    let lexical = EdgeSparseVectorParams::builder().modifier(Modifier::Idf).build();
    // One thread: an optimisation must leave room for questions.
    let hnsw = HnswIndexConfig { max_indexing_threads: 1, ..HnswIndexConfig::default() };
    let mut config =
        EdgeConfig::builder().vector(DENSE, dense).sparse_vector(LEXICAL, lexical).hnsw_config(hnsw).build();
    config.wal_options = Some(WalOptions { segment_capacity: LOG_PART, ..WalOptions::default() });
    config.optimizers.max_segment_size = Some(MAX_SEGMENT_KB);
    config
}

fn engine_point(point: Point) -> Result<PointStruct, StoreError> {
    let mut payload = serde_json::to_value(&point.chunk).map_err(|e| refused(e.to_string()))?;
    let tenant = point.chunk.document.tenant();
    if !tenant.is_default() {
        payload[TENANT] = tenant.as_str().into();
    }
    payload[LABELS] = point.labels.into();
    let vectors = Vectors::new_named([
        (DENSE, Vector::new_dense(point.dense)),
        (LEXICAL, Vector::new_sparse(point.sparse.indices, point.sparse.values).map_err(failed)?),
    ]);
    Ok(PointStruct::new(PointId::Uuid(point.chunk.id.0), vectors, payload))
}

fn engine_terms(terms: &SparseVector) -> Result<EngineSparse, StoreError> {
    EngineSparse::new(terms.indices.clone(), terms.values.clone()).map_err(|e| refused(e.to_string()))
}

fn scored(point: ScoredPoint) -> Result<Scored, StoreError> {
    match point.id {
        PointId::Uuid(id) => Ok(Scored { chunk: ChunkId(id), score: Similarity(point.score) }),
        PointId::NumId(id) => Err(no_uuid(id)),
    }
}

fn embedded(point: Record) -> Result<Embedded, StoreError> {
    let labels = point.payload.as_ref().map(labels).unwrap_or_default();
    let chunk = chunk(point.id, point.payload)?;
    let dense = match point.vector {
        Some(VectorStructInternal::Named(mut named)) => named.remove(DENSE),
        Some(VectorStructInternal::Single(_) | VectorStructInternal::MultiDense(_)) | None => None,
    };
    match dense {
        Some(VectorInternal::Dense(dense)) => Ok(Embedded { chunk, dense, labels }),
        Some(VectorInternal::Sparse(_) | VectorInternal::MultiDense(_)) | None => {
            let cause = "it has no vector".to_owned();
            Err(StoreError::Corrupt { what: format!("the chunk {}", point.id), cause })
        }
    }
}

/// What a point is labelled with; nothing where it was written before there were labels.
fn labels(payload: &Payload) -> Vec<String> {
    let labels = payload.0.get(LABELS).and_then(|labels| labels.as_array());
    labels.into_iter().flatten().filter_map(|label| label.as_str().map(str::to_owned)).collect()
}

fn chunk(id: PointId, payload: Option<Payload>) -> Result<Chunk, StoreError> {
    content(id, payload)
}

fn held(point: Record) -> Result<ChunkPlace, StoreError> {
    #[derive(serde::Deserialize)]
    struct Of {
        document: DocumentId,
        version: ContentHash,
        ordinal: u32,
    }
    let id = match point.id {
        PointId::Uuid(id) => ChunkId(id),
        PointId::NumId(id) => return Err(no_uuid(id)),
    };
    let Of { document, version, ordinal } = content(point.id, point.payload)?;
    Ok(ChunkPlace { id, document, version, ordinal })
}

fn content<T: serde::de::DeserializeOwned>(id: PointId, payload: Option<Payload>) -> Result<T, StoreError> {
    let corrupt = |cause: String| StoreError::Corrupt { what: format!("the chunk {id}"), cause };
    let payload = payload.ok_or_else(|| corrupt("it has no content".to_owned()))?;
    serde_json::from_value(serde_json::Value::Object(payload.0)).map_err(|e| corrupt(e.to_string()))
}

fn no_uuid(id: u64) -> StoreError {
    StoreError::Corrupt { what: format!("the chunk {id}"), cause: "its id is not a UUID".to_owned() }
}

/// None when the engine panicked; its message went to the panic hook.
fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

pub(super) fn refused(cause: String) -> StoreError {
    StoreError::Refused { store: STORE, cause }
}

fn failed(error: OperationError) -> StoreError {
    match error {
        OperationError::WrongVectorDimension { .. }
        | OperationError::VectorNameNotExists { .. }
        | OperationError::PointIdError { .. }
        | OperationError::TypeError { .. }
        | OperationError::TypeInferenceError { .. }
        | OperationError::ValidationError { .. }
        | OperationError::WrongSparse
        | OperationError::WrongMulti
        | OperationError::MissingRangeIndexForOrderBy { .. }
        | OperationError::MissingMapIndexForFacet { .. }
        | OperationError::VariableTypeError { .. }
        | OperationError::NonFiniteNumber { .. } => refused(error.to_string()),
        OperationError::InconsistentStorage { .. } => {
            StoreError::Corrupt { what: STORE.to_owned(), cause: error.to_string() }
        }
        OperationError::ServiceError { .. }
        | OperationError::OutOfMemory { .. }
        | OperationError::Cancelled { .. }
        | OperationError::Timeout { .. } => StoreError::Failed { store: STORE, cause: error.to_string() },
    }
}
