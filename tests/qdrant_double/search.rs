//! Search by exact scan: dense, sparse, fused and ordered. Requests are read into a [`Plan`] that is complete or
//! refused; running a plan cannot fail. Pure.

use std::collections::{BTreeMap, BTreeSet};

use qdrant_client::qdrant::query::Variant;
use qdrant_client::qdrant::vector_input::Variant as Input;
use qdrant_client::qdrant::{Fusion, PrefetchQuery, Query, QueryPoints, SearchParams, VectorInput};

use super::collection::Collection;
use super::filter::Filter;
use super::order::Order;
use super::point::{PointKey, Sparse, StoredPoint};
use super::refusal::{Refusal, refuse_if};
use super::schema::Weighting;

/// The constant of reciprocal rank fusion when the request names none.
const DEFAULT_RRF_K: u32 = 2;
/// Points when the request names no limit.
const DEFAULT_LIMIT: u64 = 10;
/// Prefetches nest; a hostile request must not overflow the stack.
const MAX_DEPTH: usize = 8;

/// A search that can be run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    sources: Vec<Plan>,
    ranking: Ranking,
    filters: Vec<Filter>,
    threshold: Option<f32>,
    offset: usize,
    limit: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum Ranking {
    ById,
    Dense { vector: String, query: Vec<f32> },
    Sparse { vector: String, query: Vec<(u32, f32)> },
    Ordered(Order),
    Fused { k: f32, weights: Vec<f32> },
}

/// A point that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scored {
    /// Which.
    pub(crate) key: PointKey,
    /// How well; higher is better.
    pub(crate) score: f32,
}

/// What a query and a prefetch have in common.
struct Parts<'a> {
    prefetch: &'a [PrefetchQuery],
    query: Option<&'a Query>,
    using: Option<&'a str>,
    filter: Option<&'a qdrant_client::qdrant::Filter>,
    params: Option<&'a SearchParams>,
    threshold: Option<f32>,
    limit: Option<u64>,
    offset: Option<u64>,
}

impl Plan {
    /// Reads a query.
    pub(crate) fn parse(request: &QueryPoints, collection: &Collection) -> Result<Self, Refusal> {
        refuse_if(request.lookup_from.is_some(), "lookup_from")?;
        let parts = Parts {
            prefetch: &request.prefetch,
            query: request.query.as_ref(),
            using: request.using.as_deref(),
            filter: request.filter.as_ref(),
            params: request.params.as_ref(),
            threshold: request.score_threshold,
            limit: request.limit,
            offset: request.offset,
        };
        Self::read(&parts, collection, &[], 0)
    }

    fn prefetch(
        request: &PrefetchQuery,
        collection: &Collection,
        outer: &[Filter],
        depth: usize,
    ) -> Result<Self, Refusal> {
        let PrefetchQuery { prefetch, query, using, filter, params, score_threshold, limit, lookup_from } = request;
        refuse_if(lookup_from.is_some(), "lookup_from")?;
        let parts = Parts {
            prefetch,
            query: query.as_ref(),
            using: using.as_deref(),
            filter: filter.as_ref(),
            params: params.as_ref(),
            threshold: *score_threshold,
            limit: *limit,
            offset: None,
        };
        Self::read(&parts, collection, outer, depth)
    }

    fn read(parts: &Parts<'_>, collection: &Collection, outer: &[Filter], depth: usize) -> Result<Self, Refusal> {
        if depth > MAX_DEPTH {
            return Err(Refusal::invalid(format!("the prefetch nests deeper than {MAX_DEPTH}")));
        }
        check_params(parts.params)?;
        let mut filters = outer.to_vec();
        filters.push(collection.read_filter(parts.filter)?);
        let sources = parts
            .prefetch
            .iter()
            .map(|source| Self::prefetch(source, collection, &filters, depth + 1))
            .collect::<Result<Vec<_>, _>>()?;
        let ranking = ranking(parts, collection, sources.len())?;
        let limit = parts.limit.unwrap_or(DEFAULT_LIMIT);
        if limit == 0 {
            return Err(Refusal::invalid("limit must be at least 1"));
        }
        Ok(Self {
            sources,
            ranking,
            filters,
            threshold: parts.threshold,
            offset: usize::try_from(parts.offset.unwrap_or(0)).unwrap_or(usize::MAX),
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        })
    }

    /// The points that are found, best first; equal scores by id, so that answers repeat.
    pub(crate) fn run(&self, collection: &Collection) -> Vec<Scored> {
        let mut found = match &self.ranking {
            Ranking::Fused { k, weights } => self.fuse(collection, *k, weights),
            _ => self.rank(collection),
        };
        if let Some(threshold) = self.threshold {
            found.retain(|point| point.score > threshold);
        }
        if !matches!(self.ranking, Ranking::ById | Ranking::Ordered(_)) {
            found.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.key.cmp(&b.key)));
        }
        found.into_iter().skip(self.offset).take(self.limit).collect()
    }

    fn candidates<'a>(&self, collection: &'a Collection) -> Vec<(PointKey, &'a StoredPoint)> {
        let fetched: Option<BTreeSet<PointKey>> = (!self.sources.is_empty())
            .then(|| self.sources.iter().flat_map(|source| source.run(collection)).map(|point| point.key).collect());
        let wanted = |key: &PointKey, point: &StoredPoint| {
            fetched.as_ref().is_none_or(|keys| keys.contains(key))
                && self.filters.iter().all(|filter| filter.passes(*key, point))
        };
        collection.points.iter().filter(|(key, point)| wanted(key, point)).map(|(key, point)| (*key, point)).collect()
    }

    fn rank(&self, collection: &Collection) -> Vec<Scored> {
        let candidates = self.candidates(collection);
        match &self.ranking {
            Ranking::Dense { vector, query } => score(&candidates, |point| dot(point.dense.get(vector)?, query)),
            Ranking::Sparse { vector, query } => score(&candidates, |point| overlap(point.sparse.get(vector)?, query)),
            Ranking::Ordered(order) => order.sort(candidates).into_iter().map(|(key, _)| unscored(key)).collect(),
            Ranking::ById | Ranking::Fused { .. } => candidates.into_iter().map(|(key, _)| unscored(key)).collect(),
        }
    }

    fn fuse(&self, collection: &Collection, k: f32, weights: &[f32]) -> Vec<Scored> {
        let mut scores: BTreeMap<PointKey, f32> = BTreeMap::new();
        for (at, source) in self.sources.iter().enumerate() {
            let weight = weights.get(at).copied().unwrap_or(1.0);
            for (position, point) in source.run(collection).into_iter().enumerate() {
                *scores.entry(point.key).or_default() += position_score(position, k, weight);
            }
        }
        scores.into_iter().map(|(key, score)| Scored { key, score }).collect()
    }
}

/// Reciprocal rank with the weight stretching the position; a weight of zero silences the source.
fn position_score(position: usize, k: f32, weight: f32) -> f32 {
    if weight <= 0.0 { 0.0 } else { 1.0 / ((position + 1) as f32 / weight + k - 1.0) }
}

fn ranking(parts: &Parts<'_>, collection: &Collection, sources: usize) -> Result<Ranking, Refusal> {
    let fused = |k: u32, weights: &[f32]| {
        if sources == 0 {
            return Err(Refusal::invalid("fusion needs a prefetch"));
        }
        if !weights.is_empty() && weights.len() != sources {
            return Err(Refusal::invalid(format!("{} weights for {sources} prefetches", weights.len())));
        }
        Ok(Ranking::Fused { k: k as f32, weights: weights.to_vec() })
    };
    let Some(query) = parts.query else {
        refuse_if(sources > 0, "a prefetch without a query")?;
        return Ok(Ranking::ById);
    };
    match query.variant.as_ref().ok_or_else(|| Refusal::invalid("the query is empty"))? {
        Variant::Nearest(input) => nearest(input, parts, collection),
        Variant::Fusion(fusion) => match Fusion::try_from(*fusion) {
            Ok(Fusion::Rrf) => fused(DEFAULT_RRF_K, &[]),
            Ok(Fusion::Dbsf) => Err(Refusal::unsupported("distribution-based score fusion")),
            Err(_) => Err(Refusal::invalid("the fusion is not known")),
        },
        Variant::Rrf(rrf) => fused(rrf.k.unwrap_or(DEFAULT_RRF_K), &rrf.weights),
        Variant::OrderBy(order) => Ok(Ranking::Ordered(Order::parse(order, collection)?)),
        _ => Err(Refusal::unsupported("queries but nearest, rrf and order_by")),
    }
}

fn nearest(input: &VectorInput, parts: &Parts<'_>, collection: &Collection) -> Result<Ranking, Refusal> {
    let vector = parts.using.unwrap_or("").to_owned();
    match input.variant.as_ref() {
        None => Err(Refusal::invalid("the query vector is empty")),
        Some(Input::Dense(dense)) => {
            let query = collection.schema.dense(&vector)?.prepare(&dense.data)?;
            Ok(Ranking::Dense { vector, query })
        }
        Some(Input::Sparse(sparse)) => {
            let weighting = collection.schema.sparse(&vector)?;
            let query = Sparse::parse(&sparse.indices, &sparse.values)?;
            let query = weigh(query, weighting, &vector, collection);
            Ok(Ranking::Sparse { vector, query })
        }
        Some(_) => Err(Refusal::unsupported("query inputs but dense and sparse vectors")),
    }
}

/// Multiplies the inverse document frequency in, counted over every point that has the vector.
fn weigh(query: Sparse, weighting: Weighting, vector: &str, collection: &Collection) -> Vec<(u32, f32)> {
    if weighting == Weighting::Plain {
        return query.terms;
    }
    let stored: Vec<&Sparse> = collection.points.values().filter_map(|point| point.sparse.get(vector)).collect();
    let documents = stored.len() as f32;
    let idf = |term: u32| {
        let having = stored.iter().filter(|sparse| sparse.weight(term).is_some()).count() as f32;
        ((documents - having + 0.5) / (having + 0.5) + 1.0).ln()
    };
    query.terms.into_iter().map(|(term, weight)| (term, weight * idf(term))).collect()
}

fn score(candidates: &[(PointKey, &StoredPoint)], rate: impl Fn(&StoredPoint) -> Option<f32>) -> Vec<Scored> {
    candidates.iter().filter_map(|(key, point)| Some(Scored { key: *key, score: rate(point)? })).collect()
}

fn unscored(key: PointKey) -> Scored {
    Scored { key, score: 0.0 }
}

fn dot(stored: &[f32], query: &[f32]) -> Option<f32> {
    Some(stored.iter().zip(query).map(|(a, b)| a * b).sum())
}

/// The dot product over shared terms; without one the point is not found at all.
fn overlap(stored: &Sparse, query: &[(u32, f32)]) -> Option<f32> {
    query.iter().filter_map(|(term, weight)| Some(stored.weight(*term)? * weight)).reduce(|sum, term| sum + term)
}

/// What tunes an approximate search changes nothing here; what would change the answer is refused.
fn check_params(params: Option<&SearchParams>) -> Result<(), Refusal> {
    let Some(SearchParams { hnsw_ef: _, exact: _, quantization, indexed_only, acorn: _, idf }) = params else {
        return Ok(());
    };
    refuse_if(quantization.is_some(), "quantization")?;
    refuse_if(*indexed_only == Some(true), "indexed_only")?;
    refuse_if(idf.is_some(), "an idf corpus")
}
