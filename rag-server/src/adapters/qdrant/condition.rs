//! Conditions of filters, spelled out.

use qdrant_client::qdrant::{
    Condition, FieldCondition, Filter, Match, Range, condition::ConditionOneOf, r#match::MatchValue,
};

/// The field is exactly this text.
///
/// The client's own conversion makes a full-text condition of any text with a space in it, which finds parts of other texts.
pub(super) fn is(field: &str, text: impl Into<String>) -> Condition {
    let value = Match { match_value: Some(MatchValue::Keyword(text.into())) };
    condition(FieldCondition { key: field.to_owned(), r#match: Some(value), ..FieldCondition::default() })
}

/// The field is a number in this range.
pub(super) fn within(field: &str, range: Range) -> Condition {
    condition(FieldCondition { key: field.to_owned(), range: Some(range), ..FieldCondition::default() })
}

/// The field is missing, or has no value.
pub(super) fn is_empty(field: &str) -> Condition {
    condition(FieldCondition { key: field.to_owned(), is_empty: Some(true), ..FieldCondition::default() })
}

/// One of the conditions.
pub(super) fn any(conditions: Vec<Condition>) -> Condition {
    let filter = Filter { should: conditions, ..Filter::default() };
    Condition { condition_one_of: Some(ConditionOneOf::Filter(filter)) }
}

fn condition(field: FieldCondition) -> Condition {
    Condition { condition_one_of: Some(ConditionOneOf::Field(field)) }
}
