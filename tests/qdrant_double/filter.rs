//! Filters: read from the wire into a form that is complete or refused, then asked of one point at a time. Pure.

use std::collections::BTreeSet;

use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::{Condition as WireCondition, FieldCondition, Filter as WireFilter, Range, Value};

use super::payload::{Path, number};
use super::point::{PointKey, StoredPoint};
use super::refusal::{Refusal, refuse_if};

/// Conditions nest; a hostile filter must not overflow the stack.
const MAX_DEPTH: usize = 32;

/// A filter that can be asked. The default passes every point.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Filter {
    must: Vec<Condition>,
    should: Vec<Condition>,
    must_not: Vec<Condition>,
    min_should: Option<(Vec<Condition>, u64)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    Field(Path, Test),
    HasId(BTreeSet<PointKey>),
    Nested(Filter),
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Keywords(BTreeSet<String>),
    Integers(BTreeSet<i64>),
    Boolean(bool),
    ExceptKeywords(BTreeSet<String>),
    ExceptIntegers(BTreeSet<i64>),
    Range(Range),
    Empty(bool),
    Null(bool),
}

impl Filter {
    /// Reads an optional filter; absent passes every point.
    pub(crate) fn parse(filter: Option<&WireFilter>) -> Result<Self, Refusal> {
        filter.map_or_else(|| Ok(Self::default()), |filter| Self::parse_at(filter, 0))
    }

    fn parse_at(filter: &WireFilter, depth: usize) -> Result<Self, Refusal> {
        if depth > MAX_DEPTH {
            return Err(Refusal::invalid(format!("the filter nests deeper than {MAX_DEPTH}")));
        }
        let WireFilter { should, must, must_not, min_should } = filter;
        let min_should = match min_should {
            None => None,
            Some(least) => Some((conditions(&least.conditions, depth)?, least.min_count)),
        };
        Ok(Self {
            must: conditions(must, depth)?,
            should: conditions(should, depth)?,
            must_not: conditions(must_not, depth)?,
            min_should,
        })
    }

    /// Whether the point passes.
    pub(crate) fn passes(&self, key: PointKey, point: &StoredPoint) -> bool {
        let holds = |condition: &Condition| condition.holds(key, point);
        self.must.iter().all(holds)
            && !self.must_not.iter().any(holds)
            && (self.should.is_empty() || self.should.iter().any(holds))
            && self.min_should.as_ref().is_none_or(|(conditions, least)| {
                conditions.iter().filter(|condition| condition.holds(key, point)).count() as u64 >= *least
            })
    }

    /// The payload keys that it looks at; strict mode wants an index on each.
    pub(crate) fn keys(&self) -> BTreeSet<&str> {
        let extra = self.min_should.iter().flat_map(|(conditions, _)| conditions);
        self.must
            .iter()
            .chain(&self.should)
            .chain(&self.must_not)
            .chain(extra)
            .flat_map(|condition| match condition {
                Condition::Field(path, _) => BTreeSet::from([path.as_str()]),
                Condition::Nested(filter) => filter.keys(),
                Condition::HasId(_) => BTreeSet::new(),
            })
            .collect()
    }
}

impl Condition {
    fn parse(condition: &WireCondition, depth: usize) -> Result<Self, Refusal> {
        let one_of = condition.condition_one_of.as_ref();
        match one_of.ok_or_else(|| Refusal::invalid("a filter condition is empty"))? {
            ConditionOneOf::Field(field) => Self::field(field),
            ConditionOneOf::IsEmpty(empty) => Ok(Self::Field(Path::parse(&empty.key)?, Test::Empty(true))),
            ConditionOneOf::IsNull(null) => Ok(Self::Field(Path::parse(&null.key)?, Test::Null(true))),
            ConditionOneOf::HasId(ids) => {
                Ok(Self::HasId(ids.has_id.iter().map(PointKey::parse).collect::<Result<_, _>>()?))
            }
            ConditionOneOf::Filter(filter) => Ok(Self::Nested(Filter::parse_at(filter, depth + 1)?)),
            ConditionOneOf::Nested(_) => Err(Refusal::unsupported("nested filter conditions")),
            ConditionOneOf::HasVector(_) => Err(Refusal::unsupported("has_vector conditions")),
            ConditionOneOf::Slice(_) => Err(Refusal::unsupported("slice conditions")),
        }
    }

    fn field(field: &FieldCondition) -> Result<Self, Refusal> {
        let FieldCondition { key, r#match, range, .. } = field;
        let geo = field.geo_bounding_box.is_some() || field.geo_radius.is_some() || field.geo_polygon.is_some();
        refuse_if(geo, "geo conditions")?;
        refuse_if(field.values_count.is_some(), "values_count conditions")?;
        refuse_if(field.datetime_range.is_some(), "datetime_range conditions")?;
        let tests = [
            r#match.as_ref().map(|wanted| matching(wanted.match_value.as_ref())).transpose()?,
            range.map(Test::Range),
            field.is_empty.map(Test::Empty),
            field.is_null.map(Test::Null),
        ];
        let mut tests = tests.into_iter().flatten();
        match (tests.next(), tests.next()) {
            (Some(test), None) => Ok(Self::Field(Path::parse(key)?, test)),
            (None, _) => Err(Refusal::invalid(format!("the condition on {key} tests nothing"))),
            (Some(_), Some(_)) => Err(Refusal::unsupported("two tests in one field condition")),
        }
    }

    fn holds(&self, key: PointKey, point: &StoredPoint) -> bool {
        match self {
            Self::HasId(ids) => ids.contains(&key),
            Self::Nested(filter) => filter.passes(key, point),
            Self::Field(path, Test::Empty(wanted)) => path.is_empty_in(&point.payload) == *wanted,
            Self::Field(path, Test::Null(wanted)) => path.is_null_in(&point.payload) == *wanted,
            Self::Field(path, test) => path.values(&point.payload).into_iter().any(|value| test.holds(value)),
        }
    }
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match (self, value.kind.as_ref()) {
            (Self::Keywords(wanted), Some(Kind::StringValue(text))) => wanted.contains(text),
            (Self::Integers(wanted), Some(Kind::IntegerValue(integer))) => wanted.contains(integer),
            (Self::Boolean(wanted), Some(Kind::BoolValue(boolean))) => wanted == boolean,
            (Self::ExceptKeywords(refused), Some(Kind::StringValue(text))) => !refused.contains(text),
            (Self::ExceptIntegers(refused), Some(Kind::IntegerValue(integer))) => !refused.contains(integer),
            // A value of another type is by definition none of those listed.
            (Self::ExceptKeywords(_) | Self::ExceptIntegers(_), Some(kind)) => !matches!(kind, Kind::NullValue(_)),
            (Self::Range(range), Some(_)) => number(value).is_some_and(|number| within(range, number)),
            _ => false,
        }
    }
}

fn conditions(wire: &[WireCondition], depth: usize) -> Result<Vec<Condition>, Refusal> {
    wire.iter().map(|condition| Condition::parse(condition, depth)).collect()
}

fn matching(value: Option<&MatchValue>) -> Result<Test, Refusal> {
    match value.ok_or_else(|| Refusal::invalid("a match condition has no value"))? {
        MatchValue::Keyword(keyword) => Ok(Test::Keywords(BTreeSet::from([keyword.clone()]))),
        MatchValue::Keywords(keywords) => Ok(Test::Keywords(keywords.strings.iter().cloned().collect())),
        MatchValue::Integer(integer) => Ok(Test::Integers(BTreeSet::from([*integer]))),
        MatchValue::Integers(integers) => Ok(Test::Integers(integers.integers.iter().copied().collect())),
        MatchValue::Boolean(boolean) => Ok(Test::Boolean(*boolean)),
        MatchValue::ExceptKeywords(keywords) => Ok(Test::ExceptKeywords(keywords.strings.iter().cloned().collect())),
        MatchValue::ExceptIntegers(integers) => Ok(Test::ExceptIntegers(integers.integers.iter().copied().collect())),
        MatchValue::Text(_) | MatchValue::Phrase(_) | MatchValue::TextAny(_) => {
            Err(Refusal::unsupported("full-text conditions"))
        }
        MatchValue::Prefix(_) | MatchValue::Substring(_) => {
            Err(Refusal::unsupported("prefix and substring conditions"))
        }
    }
}

fn within(range: &Range, number: f64) -> bool {
    range.lt.is_none_or(|bound| number < bound)
        && range.gt.is_none_or(|bound| number > bound)
        && range.gte.is_none_or(|bound| number >= bound)
        && range.lte.is_none_or(|bound| number <= bound)
}
