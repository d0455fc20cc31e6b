//! One collection: its points, and how each change is first checked and then made. Pure.
//! A check never changes anything and a change never fails, so that the log can be written between the two.

use std::collections::{BTreeMap, BTreeSet};

use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use qdrant_client::qdrant::{PayloadIndexParams, PayloadSchemaType, PointsSelector, UpdateMode, UpsertPoints};

use super::filter::Filter;
use super::payload::{Path, Payload, merge};
use super::point::{PointKey, StoredPoint};
use super::refusal::Refusal;
use super::schema::Schema;

/// An index on a payload key; an exact scan needs none, strict mode and ordering ask for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldIndex {
    /// The type that was asked for.
    pub(crate) kind: PayloadSchemaType,
    /// Its settings, as given.
    pub(crate) params: Option<PayloadIndexParams>,
}

/// A checked change of a collection's points or indexes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// Points to write, which of the existing ones may be replaced, and how.
    Upsert(Vec<(PointKey, StoredPoint)>, Filter, UpdateMode),
    /// Points to remove.
    Delete(Target),
    /// Payload to change.
    Payload(Target, PayloadChange),
    /// An index to make.
    Index(String, FieldIndex),
    /// An index to drop.
    DropIndex(String),
}

/// What happens to a payload.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PayloadChange {
    /// Merge by key.
    Set(Payload),
    /// Replace the whole.
    Overwrite(Payload),
    /// Remove these keys.
    Delete(Vec<Path>),
    /// Remove everything.
    Clear,
}

/// The points that a change is about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Target {
    /// Those with these ids.
    Ids(BTreeSet<PointKey>),
    /// Those that pass.
    Matching(Filter),
}

impl Target {
    fn holds(&self, key: PointKey, point: &StoredPoint) -> bool {
        match self {
            Self::Ids(ids) => ids.contains(&key),
            Self::Matching(filter) => filter.passes(key, point),
        }
    }
}

/// A collection at rest.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Collection {
    /// What it accepts.
    pub(crate) schema: Schema,
    /// Its points, in the order that scrolling follows.
    pub(crate) points: BTreeMap<PointKey, StoredPoint>,
    /// Its payload indexes.
    pub(crate) indexes: BTreeMap<String, FieldIndex>,
}

impl Collection {
    /// An empty collection.
    pub(crate) fn new(schema: Schema) -> Self {
        Self { schema, points: BTreeMap::new(), indexes: BTreeMap::new() }
    }

    /// Reads a filter of a read request, and wants indexes where strict mode does.
    pub(crate) fn read_filter(&self, filter: Option<&qdrant_client::qdrant::Filter>) -> Result<Filter, Refusal> {
        self.checked(Filter::parse(filter)?, self.schema.reads_need_index())
    }

    fn write_filter(&self, filter: Option<&qdrant_client::qdrant::Filter>) -> Result<Filter, Refusal> {
        self.checked(Filter::parse(filter)?, self.schema.writes_need_index())
    }

    fn checked(&self, filter: Filter, needs_index: bool) -> Result<Filter, Refusal> {
        let unindexed = filter.keys().into_iter().find(|key| needs_index && !self.indexes.contains_key(*key));
        match unindexed {
            None => Ok(filter),
            Some(key) => Err(Refusal::Invalid(format!("Bad request: Index required but not found for \"{key}\""))),
        }
    }

    /// Checks an upsert.
    pub(crate) fn check_upsert(&self, request: &UpsertPoints) -> Result<Change, Refusal> {
        let mode = request.update_mode.map_or(Ok(UpdateMode::Upsert), UpdateMode::try_from);
        let mode = mode.map_err(|_| Refusal::invalid("the update mode is not known"))?;
        let parsed = request.points.iter().map(|point| StoredPoint::parse(point, &self.schema));
        let points = parsed.collect::<Result<Vec<_>, _>>()?;
        Ok(Change::Upsert(points, self.write_filter(request.update_filter.as_ref())?, mode))
    }

    /// Checks which points a change is about.
    pub(crate) fn check_target(&self, selector: Option<&PointsSelector>) -> Result<Target, Refusal> {
        match selector.and_then(|selector| selector.points_selector_one_of.as_ref()) {
            None => Err(Refusal::Invalid("Points selector is missing".to_owned())),
            Some(PointsSelectorOneOf::Points(list)) => {
                Ok(Target::Ids(list.ids.iter().map(PointKey::parse).collect::<Result<_, _>>()?))
            }
            Some(PointsSelectorOneOf::Filter(filter)) => Ok(Target::Matching(self.write_filter(Some(filter))?)),
        }
    }

    /// Checks a payload change; naming a point that is not there is an error, as in the real server.
    pub(crate) fn check_payload(
        &self,
        selector: Option<&PointsSelector>,
        change: PayloadChange,
    ) -> Result<Change, Refusal> {
        let target = self.check_target(selector)?;
        if let Target::Ids(ids) = &target
            && let Some(missing) = ids.iter().find(|key| !self.points.contains_key(*key))
        {
            return Err(Refusal::NotFound(format!("Not found: No point with id {missing:?} found")));
        }
        Ok(Change::Payload(target, change))
    }

    /// Makes a checked change under the number of its operation.
    pub(crate) fn make(&mut self, change: Change, operation: u64) {
        match change {
            Change::Upsert(points, filter, mode) => self.upsert(points, &filter, mode, operation),
            Change::Delete(target) => self.points.retain(|key, point| !target.holds(*key, point)),
            Change::Payload(target, change) => {
                for (key, point) in &mut self.points {
                    if target.holds(*key, point) {
                        change_payload(&mut point.payload, &change);
                        point.version = operation;
                    }
                }
            }
            Change::Index(key, index) => {
                self.indexes.insert(key, index);
            }
            Change::DropIndex(key) => {
                self.indexes.remove(&key);
            }
        }
    }

    /// Which points may be written is decided before the first of them is, as the real server resolves the filter once.
    fn upsert(&mut self, points: Vec<(PointKey, StoredPoint)>, filter: &Filter, mode: UpdateMode, operation: u64) {
        let allowed: Vec<bool> = points
            .iter()
            .map(|(key, _)| match (self.points.get(key), mode) {
                (None, mode) => mode != UpdateMode::UpdateOnly,
                (Some(_), UpdateMode::InsertOnly) => false,
                (Some(standing), _) => filter.passes(*key, standing),
            })
            .collect();
        for ((key, mut point), allowed) in points.into_iter().zip(allowed) {
            if allowed {
                point.version = operation;
                self.points.insert(key, point);
            }
        }
    }
}

fn change_payload(payload: &mut Payload, change: &PayloadChange) {
    match change {
        PayloadChange::Set(new) => merge(payload, new),
        PayloadChange::Overwrite(new) => payload.clone_from(new),
        PayloadChange::Delete(paths) => paths.iter().for_each(|path| path.remove_from(payload)),
        PayloadChange::Clear => payload.clear(),
    }
}
