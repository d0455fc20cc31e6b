//! Chunks in collections `NAME-e1`, `NAME-e2`, ..., one for each epoch; the alias `NAME` is the active one.

use std::{collections::HashMap, future::Future};

use super::{
    STORE,
    chunk::{
        DENSE, DOCUMENT, LABELS, LEXICAL, ORDINAL, TENANT, VERSION, to_embedded, to_found, to_held, to_point, to_scored,
    },
    client::Client,
    condition,
    connection::{QdrantConnection, Repeat},
    failure::Failure,
    indexes,
    layout::{Layout, medium, strong},
};
use crate::{
    model::{Chunk, ChunkId, ContentHash, DocumentId, Embedded, Legs, Point, Scored, SparseVector},
    ports::{Epoch, Index, Only, Scan, Search, StoreError, VectorStore},
};
use async_trait::async_trait;
use qdrant_client::qdrant::{
    CollectionInfo, CollectionStatus, CountPoints, CreateCollection, CreateCollectionBuilder, DeletePoints, Distance,
    FieldType, Filter, GetPoints, Modifier, PayloadIncludeSelector, PointsSelector, QueryBatchPoints, QueryPoints,
    RetrievedPoint, ScrollPoints, SetPayloadPoints, SparseVectorParamsBuilder, SparseVectorsConfigBuilder,
    UpsertPoints, VectorInput, VectorParams, VectorParamsBuilder, VectorsConfigBuilder, WithVectorsSelector,
    points_selector::PointsSelectorOneOf, vectors_config::Config, with_payload_selector::SelectorOptions,
};
use tonic::Status;

/// Points in one request: with texts and vectors some hundred kilobytes, well below any server's limit.
const POINTS_PER_REQUEST: usize = 128;

/// Most chunks of one page of a scan: without texts and vectors at most a kilobyte each.
const MAX_PAGE: usize = 1_000;

/// Chunks and vectors in a Qdrant server.
#[derive(Clone)]
pub struct QdrantVectorStore {
    connection: QdrantConnection,
    alias: String,
    layout: Layout,
}

impl QdrantVectorStore {
    /// Keeps the corpus under this alias, in collections that are made by this layout.
    pub fn new(connection: QdrantConnection, collection: &str, layout: Layout) -> Self {
        Self { connection, alias: collection.to_owned(), layout }
    }

    /// Asks what may be asked twice.
    async fn ask<T, F>(&self, ask: impl Fn(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Status>>,
    {
        self.connection.call(Repeat::Harmless, ask).await
    }

    fn collection(&self, epoch: Epoch) -> String {
        format!("{}-e{}", self.alias, epoch.0)
    }

    /// What is searched: the epoch that was asked for, or whatever the alias points at.
    fn searched(&self, epoch: Option<Epoch>) -> String {
        epoch.map_or_else(|| self.alias.clone(), |epoch| self.collection(epoch))
    }

    fn epoch(&self, collection: &str) -> Option<Epoch> {
        collection.strip_prefix(&self.alias)?.strip_prefix("-e")?.parse().ok().map(Epoch)
    }

    /// Points with their payload, as many of them as there are.
    async fn points(
        &self,
        collection: String,
        ids: &[ChunkId],
        vectors: Option<WithVectorsSelector>,
    ) -> Result<Vec<RetrievedPoint>, Failure> {
        let mut all = Vec::with_capacity(ids.len());
        for ids in ids.chunks(POINTS_PER_REQUEST) {
            let request = &GetPoints {
                collection_name: collection.clone(),
                ids: ids.iter().map(|id| id.0.to_string().into()).collect(),
                with_payload: Some(true.into()),
                with_vectors: vectors.clone(),
                ..GetPoints::default()
            };
            let found = self.ask(|client| async move { client.get_points(request.clone()).await }).await?;
            all.extend(found.result);
        }
        Ok(all)
    }
}

/// A collection that was made for another model would take no vector of this one, and one with another distance would rank the farthest first.
fn check_vectors(name: &str, info: CollectionInfo, dimension: usize) -> Result<(), StoreError> {
    let params = info.config.and_then(|config| config.params?.vectors_config?.config);
    let found = match params {
        Some(Config::ParamsMap(mut named)) => named.map.remove(DENSE),
        Some(Config::Params(_)) | None => None,
    };
    let Some(misfit) = misfit(found.as_ref(), dimension) else { return Ok(()) };
    let cause = format!("the collection {name} has {misfit}; make a new epoch");
    Err(StoreError::Refused { store: STORE, cause })
}

/// Why vectors of this many dimensions, whose scores are cosines, cannot stand in a collection; none when they can.
fn misfit(found: Option<&VectorParams>, dimension: usize) -> Option<String> {
    let Some(found) = found else { return Some(format!("no vector named {DENSE}")) };
    if found.size != dimension as u64 {
        return Some(format!("{} dimensions where the model has {dimension}", found.size));
    }
    let is_cosine = found.distance() == Distance::Cosine;
    (!is_cosine).then(|| format!("the distance {} where scores are cosines", found.distance().as_str_name()))
}

fn schema(name: String, dimension: usize) -> CreateCollection {
    let mut dense = VectorsConfigBuilder::default();
    dense.add_named_vector_params(DENSE, VectorParamsBuilder::new(dimension as u64, Distance::Cosine));
    let mut lexical = SparseVectorsConfigBuilder::default();
    lexical.add_named_vector_params(LEXICAL, SparseVectorParamsBuilder::default().modifier(Modifier::Idf));
    CreateCollectionBuilder::new(name).vectors_config(dense).sparse_vectors_config(lexical).build()
}

/// Both legs of a search as one batch, in this order.
fn legs(collection: &str, search: &Search) -> QueryBatchPoints {
    let leg = |vector: &str, input: VectorInput| QueryPoints {
        collection_name: collection.to_owned(),
        query: Some(input.into()),
        using: Some(vector.to_owned()),
        limit: Some(search.limit as u64),
        filter: only(&search.only),
        ..QueryPoints::default()
    };
    let dense = search.dense.as_ref().map(|dense| leg(DENSE, dense.clone().into()));
    let lexical = terms(search).map(|sparse| {
        let terms: Vec<(u32, f32)> = sparse.indices.iter().copied().zip(sparse.values.iter().copied()).collect();
        leg(LEXICAL, terms.as_slice().into())
    });
    let query_points = dense.into_iter().chain(lexical).collect();
    QueryBatchPoints { collection_name: collection.to_owned(), query_points, ..QueryBatchPoints::default() }
}

/// The filter of a search; none where it looks at everything.
fn only(Only { tenant, labels }: &Only) -> Option<Filter> {
    let tenant = tenant.as_ref().map(|tenant| match tenant.is_default() {
        true => condition::is_empty(TENANT),
        false => condition::is(TENANT, tenant.as_str()),
    });
    let group =
        |labels: &Vec<String>| condition::any(labels.iter().map(|l| condition::is(LABELS, l.as_str())).collect());
    let must: Vec<_> = tenant.into_iter().chain(labels.iter().map(group)).collect();
    (!must.is_empty()).then(|| Filter { must, ..Filter::default() })
}

/// The terms of the lexical leg; a question without any finds nothing there.
fn terms(search: &Search) -> Option<&SparseVector> {
    search.lexical.as_ref().filter(|sparse| !sparse.indices.is_empty())
}

#[async_trait]
impl VectorStore for QdrantVectorStore {
    async fn active(&self) -> Result<Option<Epoch>, StoreError> {
        let aliases = self.ask(|client| async move { client.list_aliases().await }).await?.aliases;
        let Some(alias) = aliases.into_iter().find(|alias| alias.alias_name == self.alias) else { return Ok(None) };
        let name = alias.collection_name;
        self.epoch(&name).map(Some).ok_or_else(|| {
            let cause = format!("the alias {} points at {name}, which is none of its epochs", self.alias);
            StoreError::Refused { store: STORE, cause }
        })
    }

    async fn create_epoch(&self, epoch: Epoch, dimension: usize) -> Result<(), StoreError> {
        let name = self.collection(epoch);
        let filtered = [DOCUMENT, VERSION, TENANT, LABELS].map(|field| (field, FieldType::Keyword));
        let wanted = schema(name.clone(), dimension);
        let info = indexes::ensure(&self.connection, wanted, &self.layout, &filtered).await?;
        check_vectors(&name, info, dimension)
    }

    async fn activate(&self, epoch: Epoch) -> Result<(), StoreError> {
        let (collection, alias) = (&self.collection(epoch), &self.alias);
        // One that comes late would move the alias back.
        let moved = |client: Client| async move { client.create_alias(alias, collection).await };
        self.connection.call(Repeat::Harmful, moved).await?;
        Ok(())
    }

    async fn epochs(&self) -> Result<Vec<Epoch>, StoreError> {
        let found = self.ask(|client| async move { client.list_collections().await }).await?;
        let mut epochs: Vec<_> =
            found.collections.iter().filter_map(|collection| self.epoch(&collection.name)).collect();
        epochs.sort_unstable();
        Ok(epochs)
    }

    async fn drop_epoch(&self, epoch: Epoch) -> Result<(), StoreError> {
        let name = &self.collection(epoch);
        if self.active().await? == Some(epoch) {
            let cause = format!("the collection {name} is the active one; another must be activated before it can go");
            return Err(StoreError::Refused { store: STORE, cause });
        }
        let dropped = |client: Client| async move { client.delete_collection(name).await };
        match self.connection.call(Repeat::Harmful, dropped).await {
            Err(failure) if failure.is_missing() => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }

    async fn upsert(&self, epoch: Epoch, points: Vec<Point>) -> Result<(), StoreError> {
        let mut points = points.into_iter().map(to_point).peekable();
        while points.peek().is_some() {
            let request = &UpsertPoints {
                collection_name: self.collection(epoch),
                wait: Some(true),
                points: points.by_ref().take(POINTS_PER_REQUEST).collect(),
                // A chunk's id is made of what it says, so that any order of writes ends the same.
                ordering: medium(),
                ..UpsertPoints::default()
            };
            let written = |client: Client| async move { client.upsert_points(request.clone()).await };
            self.connection.write(Repeat::Harmless, written).await?;
        }
        Ok(())
    }

    async fn purge(&self, epoch: Epoch, document: &DocumentId, version: &ContentHash) -> Result<(), StoreError> {
        let of_version = vec![condition::is(DOCUMENT, document.key()), condition::is(VERSION, version.0.as_str())];
        let filter = Filter { must: of_version, ..Filter::default() };
        let request = &DeletePoints {
            collection_name: self.collection(epoch),
            wait: Some(true),
            points: Some(PointsSelector { points_selector_one_of: Some(PointsSelectorOneOf::Filter(filter)) }),
            // A version that is purged is never written again.
            ordering: medium(),
            ..DeletePoints::default()
        };
        let written = |client: Client| async move { client.delete_points(request.clone()).await };
        self.connection.write(Repeat::Harmless, written).await?;
        Ok(())
    }

    async fn relabel(&self, epoch: Epoch, document: &DocumentId, labels: &[String]) -> Result<(), StoreError> {
        let filter = Filter { must: vec![condition::is(DOCUMENT, document.key())], ..Filter::default() };
        let request = &SetPayloadPoints {
            collection_name: self.collection(epoch),
            wait: Some(true),
            payload: HashMap::from([(LABELS.to_owned(), labels.to_vec().into())]),
            points_selector: Some(PointsSelector { points_selector_one_of: Some(PointsSelectorOneOf::Filter(filter)) }),
            // Of two relabellings the later one stands, on every replica: labels say who may see a document.
            ordering: strong(),
            ..SetPayloadPoints::default()
        };
        let written = |client: Client| async move { client.set_payload(request.clone()).await };
        self.connection.write(Repeat::Harmful, written).await?;
        Ok(())
    }

    async fn embedded(&self, epoch: Epoch, ids: &[ChunkId]) -> Result<Vec<Embedded>, StoreError> {
        let found = self.points(self.collection(epoch), ids, Some(vec![DENSE].into())).await?;
        found.into_iter().map(to_embedded).collect()
    }

    async fn chunks(&self, epoch: Option<Epoch>, ids: &[ChunkId]) -> Result<Vec<Chunk>, StoreError> {
        match self.points(self.searched(epoch), ids, None).await {
            Ok(found) => found.into_iter().map(to_found).collect(),
            // Without the alias nothing was ever activated.
            Err(failure) if failure.is_missing() && epoch.is_none() => Ok(Vec::new()),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn search(&self, search: &Search) -> Result<Legs, StoreError> {
        let request = &legs(&self.searched(search.epoch), search);
        if request.query_points.is_empty() || search.limit == 0 {
            return Ok(Legs::default());
        }
        let asked = |client: Client| async move { client.query_batch(request.clone()).await };
        let found = match self.ask(asked).await {
            Ok(found) => found,
            // Without the alias nothing was ever activated.
            Err(failure) if failure.is_missing() && search.epoch.is_none() => return Ok(Legs::default()),
            Err(failure) => return Err(failure.into()),
        };
        let mut found = found.result.into_iter();
        let mut leg = |asked: bool| -> Result<Vec<Scored>, StoreError> {
            let points = if asked { found.next() } else { None };
            points.into_iter().flat_map(|batch| batch.result).map(to_scored).collect()
        };
        Ok(Legs { dense: leg(search.dense.is_some())?, lexical: leg(terms(search).is_some())? })
    }

    async fn scan(&self, epoch: Epoch, after: Option<ChunkId>, limit: usize) -> Result<Scan, StoreError> {
        // The store begins a page at an id, whether there is such a point or not.
        let from = match after.map(ChunkId::next) {
            Some(None) => return Ok(Scan::default()),
            Some(next) => next,
            None => None,
        };
        let fields = [DOCUMENT, VERSION, ORDINAL].map(str::to_owned).to_vec();
        let request = &ScrollPoints {
            collection_name: self.collection(epoch),
            offset: from.map(|from| from.0.to_string().into()),
            limit: Some(limit.clamp(1, MAX_PAGE) as u32),
            with_payload: Some(SelectorOptions::Include(PayloadIncludeSelector { fields }).into()),
            ..ScrollPoints::default()
        };
        // The store finds the ids first and then their points: what is removed in between is missing, and a page may be short or empty before the end. So only what is empty twice is the end.
        for _ in 0..2 {
            let found = self.ask(|client| async move { client.scroll(request.clone()).await }).await?;
            let held = found.result.into_iter().map(to_held).collect::<Result<Vec<_>, _>>()?;
            if let Some(last) = held.last().map(|last| last.id) {
                return Ok(Scan { held, next: Some(last) });
            }
        }
        Ok(Scan::default())
    }

    async fn count(&self, epoch: Epoch) -> Result<u64, StoreError> {
        let request =
            &CountPoints { collection_name: self.collection(epoch), exact: Some(true), ..CountPoints::default() };
        let counted = self.ask(|client| async move { client.count(request.clone()).await }).await?;
        Ok(counted.result.map_or(0, |result| result.count))
    }

    async fn index(&self, epoch: Epoch) -> Result<Option<Index>, StoreError> {
        let name = &self.collection(epoch);
        let info = self.ask(|client| async move { client.collection_info(name).await }).await?;
        Ok(info.result.map(|info| Index {
            segments: info.segments_count,
            indexed_vectors: info.indexed_vectors_count.unwrap_or_default(),
            is_optimized: match info.status() {
                CollectionStatus::Green => Some(true),
                CollectionStatus::Yellow | CollectionStatus::Red | CollectionStatus::Grey => Some(false),
                CollectionStatus::UnknownCollectionStatus => None,
            },
        }))
    }

    async fn close(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_vectors_of_the_model_s_length_compared_by_their_cosine_fit() {
        let params =
            |size, distance: Distance| VectorParams { size, distance: distance.into(), ..VectorParams::default() };
        assert_eq!(misfit(Some(&params(4, Distance::Cosine)), 4), None);
        assert_eq!(misfit(None, 4).as_deref(), Some("no vector named dense"));
        let longer = misfit(Some(&params(8, Distance::Cosine)), 4);
        assert_eq!(longer.as_deref(), Some("8 dimensions where the model has 4"));
        for distance in [Distance::Euclid, Distance::Manhattan, Distance::Dot, Distance::UnknownDistance] {
            let found = misfit(Some(&params(4, distance)), 4);
            assert!(found.is_some_and(|found| found.contains(distance.as_str_name())), "{distance:?}");
        }
    }
}
