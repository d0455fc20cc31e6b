//! What the read calls of the points service answer, computed on the store. Which parts of a point travel is chosen here.

use std::collections::BTreeSet;

use qdrant_client::qdrant::with_payload_selector::SelectorOptions as PayloadOptions;
use qdrant_client::qdrant::with_vectors_selector::SelectorOptions as VectorOptions;
use qdrant_client::qdrant::{
    CountPoints, GetPoints, PointId, QueryPoints, RetrievedPoint, ScoredPoint, ScrollPoints, WithPayloadSelector,
    WithVectorsSelector,
};

use super::super::mutation::refuse_shard_keys;
use super::super::order::Order;
use super::super::payload::Payload;
use super::super::point::{PointKey, StoredPoint};
use super::super::refusal::{Refusal, refuse_if};
use super::super::search::Plan;
use super::super::store::Store;

/// Points of a scroll page when the request names no limit.
const DEFAULT_PAGE: u32 = 10;

/// Which parts of a point the answer carries.
struct Parts {
    payload: PayloadPart,
    vectors: VectorPart,
}

enum PayloadPart {
    Whole,
    None,
    Only(BTreeSet<String>),
    Without(BTreeSet<String>),
}

enum VectorPart {
    All,
    None,
    Only(BTreeSet<String>),
}

impl Parts {
    /// Reads both selectors; the default for payloads differs between the calls.
    fn parse(
        payload: Option<&WithPayloadSelector>,
        vectors: Option<&WithVectorsSelector>,
        payload_by_default: bool,
    ) -> Result<Self, Refusal> {
        let whole = |wanted: bool| if wanted { PayloadPart::Whole } else { PayloadPart::None };
        let payload = match payload.and_then(|selector| selector.selector_options.as_ref()) {
            None => whole(payload_by_default),
            Some(PayloadOptions::Enable(wanted)) => whole(*wanted),
            Some(PayloadOptions::Include(only)) => PayloadPart::Only(top_level(&only.fields)?),
            Some(PayloadOptions::Exclude(without)) => PayloadPart::Without(top_level(&without.fields)?),
        };
        let vectors = match vectors.and_then(|selector| selector.selector_options.as_ref()) {
            None | Some(VectorOptions::Enable(false)) => VectorPart::None,
            Some(VectorOptions::Enable(true)) => VectorPart::All,
            Some(VectorOptions::Include(only)) => VectorPart::Only(only.names.iter().cloned().collect()),
        };
        Ok(Self { payload, vectors })
    }

    fn payload(&self, point: &StoredPoint) -> Payload {
        let pick = |wanted: &dyn Fn(&String) -> bool| {
            let kept = point.payload.iter().filter(|(key, _)| wanted(key));
            kept.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        match &self.payload {
            PayloadPart::Whole => point.payload.clone(),
            PayloadPart::None => Payload::new(),
            PayloadPart::Only(keys) => pick(&|key| keys.contains(key)),
            PayloadPart::Without(keys) => pick(&|key| !keys.contains(key)),
        }
    }

    fn vectors(&self, point: &StoredPoint) -> Option<qdrant_client::qdrant::VectorsOutput> {
        match &self.vectors {
            VectorPart::None => None,
            VectorPart::All => point.vectors_to_wire(|_| true),
            VectorPart::Only(names) => point.vectors_to_wire(|name| names.contains(name)),
        }
    }

    fn retrieved(&self, key: PointKey, point: &StoredPoint) -> RetrievedPoint {
        RetrievedPoint {
            id: Some(key.to_wire()),
            payload: self.payload(point),
            vectors: self.vectors(point),
            ..RetrievedPoint::default()
        }
    }
}

fn top_level(keys: &[String]) -> Result<BTreeSet<String>, Refusal> {
    refuse_if(keys.iter().any(|key| key.contains(['.', '['])), "nested keys in a payload selector")?;
    Ok(keys.iter().cloned().collect())
}

/// The points with these ids that exist, in the order that was asked.
pub(super) fn get(store: &Store, request: &GetPoints) -> Result<Vec<RetrievedPoint>, Refusal> {
    refuse_shard_keys(request.shard_key_selector.as_ref())?;
    let collection = store.collection(&request.collection_name)?;
    let parts = Parts::parse(request.with_payload.as_ref(), request.with_vectors.as_ref(), true)?;
    let keys = request.ids.iter().map(PointKey::parse).collect::<Result<Vec<_>, _>>()?;
    let found = keys.into_iter().filter_map(|key| Some(parts.retrieved(key, collection.points.get(&key)?)));
    Ok(found.collect())
}

/// One page of points, and where the next begins.
pub(super) fn scroll(store: &Store, request: &ScrollPoints) -> Result<(Vec<RetrievedPoint>, Option<PointId>), Refusal> {
    refuse_shard_keys(request.shard_key_selector.as_ref())?;
    let collection = store.collection(&request.collection_name)?;
    let parts = Parts::parse(request.with_payload.as_ref(), request.with_vectors.as_ref(), true)?;
    let filter = collection.read_filter(request.filter.as_ref())?;
    let limit = request.limit.unwrap_or(DEFAULT_PAGE) as usize;
    if limit == 0 {
        return Err(Refusal::invalid("limit must be at least 1"));
    }
    let passing = |(key, point): &(&PointKey, &StoredPoint)| filter.passes(**key, point);
    if let Some(order) = &request.order_by {
        if request.offset.is_some() {
            return Err(Refusal::invalid("Cannot use an `offset` when using `order_by`"));
        }
        let order = Order::parse(order, collection)?;
        let points = collection.points.iter().filter(passing).map(|(key, point)| (*key, point)).collect();
        let page = order.sort(points).into_iter().take(limit).map(|(key, point)| {
            let order_value = order.to_wire(point);
            RetrievedPoint { order_value, ..parts.retrieved(key, point) }
        });
        return Ok((page.collect(), None));
    }
    let start = request.offset.as_ref().map(PointKey::parse).transpose()?.unwrap_or(PointKey::Number(0));
    let mut points = collection.points.range(start..).filter(passing);
    let page = points.by_ref().take(limit).map(|(key, point)| parts.retrieved(*key, point)).collect();
    Ok((page, points.next().map(|(key, _)| key.to_wire())))
}

/// How many points pass.
pub(super) fn count(store: &Store, request: &CountPoints) -> Result<u64, Refusal> {
    refuse_shard_keys(request.shard_key_selector.as_ref())?;
    let collection = store.collection(&request.collection_name)?;
    let filter = collection.read_filter(request.filter.as_ref())?;
    Ok(collection.points.iter().filter(|(key, point)| filter.passes(**key, point)).count() as u64)
}

/// The points that a query finds.
pub(super) fn query(store: &Store, request: &QueryPoints) -> Result<Vec<ScoredPoint>, Refusal> {
    refuse_shard_keys(request.shard_key_selector.as_ref())?;
    let collection = store.collection(&request.collection_name)?;
    let parts = Parts::parse(request.with_payload.as_ref(), request.with_vectors.as_ref(), false)?;
    let found = Plan::parse(request, collection)?.run(collection);
    let points = found.into_iter().filter_map(|hit| {
        let point = collection.points.get(&hit.key)?;
        Some(ScoredPoint {
            id: Some(hit.key.to_wire()),
            payload: parts.payload(point),
            score: hit.score,
            version: point.version,
            vectors: parts.vectors(point),
            ..ScoredPoint::default()
        })
    });
    Ok(points.collect())
}
