//! Filters as the engine takes them.

use qdrant_edge::{Condition, FieldCondition, Filter, JsonPath, Match, MatchValue, ValueVariants};

use super::shard::{LABELS, TENANT, refused};
use crate::ports::{Only, StoreError};

/// The filter of a search; none where it looks at everything.
pub(super) fn only(Only { tenant, labels }: &Only) -> Result<Option<Filter>, StoreError> {
    let tenant = match tenant {
        None => None,
        Some(tenant) if tenant.is_default() => {
            Some(Condition::Field(FieldCondition::new_is_empty(json_path(TENANT)?, true)))
        }
        Some(tenant) => Some(equals(TENANT, tenant.as_str())?),
    };
    let group = |labels: &Vec<String>| {
        let any = labels.iter().map(|label| equals(LABELS, label)).collect::<Result<Vec<_>, _>>()?;
        Ok(Condition::Filter(Filter { should: Some(any), ..Filter::default() }))
    };
    let groups = labels.iter().map(group).collect::<Result<Vec<_>, StoreError>>()?;
    let must: Vec<_> = tenant.into_iter().chain(groups).collect();
    Ok((!must.is_empty()).then(|| Filter { must: Some(must), ..Filter::default() }))
}

pub(super) fn equals(field: &str, value: &str) -> Result<Condition, StoreError> {
    let value = Match::Value(MatchValue { value: ValueVariants::String(value.to_owned()) });
    Ok(Condition::Field(FieldCondition::new_match(json_path(field)?, value)))
}

pub(super) fn json_path(field: &str) -> Result<JsonPath, StoreError> {
    JsonPath::try_from(field).map_err(|()| refused(format!("{field} is no payload field")))
}
