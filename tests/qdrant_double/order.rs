//! Ordering by a payload number, for scrolling and for queries. Pure.

use qdrant_client::qdrant::order_value::Variant;
use qdrant_client::qdrant::start_from::Value as Start;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{Direction, OrderBy, OrderValue, PayloadSchemaType};

use super::collection::Collection;
use super::payload::{Path, number};
use super::point::{PointKey, StoredPoint};
use super::refusal::Refusal;

/// An order that can be applied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    path: Path,
    descending: bool,
    start: Option<f64>,
}

impl Order {
    /// Reads an order; as in the real server the key needs an index that knows ranges.
    pub(crate) fn parse(order: &OrderBy, collection: &Collection) -> Result<Self, Refusal> {
        let OrderBy { key, direction, start_from } = order;
        let index = collection.indexes.get(key).map(|index| index.kind);
        match index {
            Some(PayloadSchemaType::Integer | PayloadSchemaType::Float) => {}
            Some(PayloadSchemaType::Datetime) => return Err(Refusal::unsupported("ordering by a datetime")),
            _ => {
                return Err(Refusal::Invalid(format!(
                    "No range index for `order_by` key: `{key}`. Please create one to use `order_by`"
                )));
            }
        }
        let start = match start_from.as_ref().and_then(|start| start.value.as_ref()) {
            None => None,
            Some(Start::Float(float)) => Some(*float),
            Some(Start::Integer(integer)) => Some(*integer as f64),
            Some(_) => return Err(Refusal::unsupported("ordering by a datetime")),
        };
        let descending = *direction == Some(Direction::Desc as i32);
        Ok(Self { path: Path::parse(key)?, descending, start })
    }

    /// The points that have the value, in order; equal values by id.
    pub(crate) fn sort<'a>(&self, points: Vec<(PointKey, &'a StoredPoint)>) -> Vec<(PointKey, &'a StoredPoint)> {
        let mut ranked: Vec<(f64, (PointKey, &StoredPoint))> = points
            .into_iter()
            .filter_map(|(key, point)| Some((self.value(point)?, (key, point))))
            .filter(|(value, _)| match (self.start, self.descending) {
                (None, _) => true,
                (Some(start), false) => *value >= start,
                (Some(start), true) => *value <= start,
            })
            .collect();
        ranked.sort_by(|(a, (a_key, _)), (b, (b_key, _))| {
            let by_value = if self.descending { b.total_cmp(a) } else { a.total_cmp(b) };
            by_value.then(a_key.cmp(b_key))
        });
        ranked.into_iter().map(|(_, point)| point).collect()
    }

    /// The value that the point was ordered by, for the wire.
    pub(crate) fn to_wire(&self, point: &StoredPoint) -> Option<OrderValue> {
        let value = self.path.values(&point.payload).into_iter().find(|value| number(value).is_some())?;
        let variant = match value.kind.as_ref()? {
            Kind::IntegerValue(integer) => Variant::Int(*integer),
            Kind::DoubleValue(double) => Variant::Float(*double),
            _ => return None,
        };
        Some(OrderValue { variant: Some(variant) })
    }

    fn value(&self, point: &StoredPoint) -> Option<f64> {
        self.path.values(&point.payload).into_iter().find_map(number)
    }
}
