//! A filter as it is sent: for each key of the metadata a value, or a list of values.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::error::{Code, Problem};
use crate::model::Filter;

/// Keys that a filter may name; each is a condition of every search.
const MAX_KEYS: usize = 16;
/// Values of one key.
const MAX_VALUES: usize = 64;

/// A filter that is not checked yet.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct FilterView(BTreeMap<String, Values>);

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "send a string, or a list of strings")]
enum Values {
    One(String),
    Any(Vec<String>),
}

impl FilterView {
    /// The filter, or why it is none.
    pub(super) fn checked(self) -> Result<Filter, Problem> {
        let invalid = |detail: String| Problem::new(Code::InvalidValue, detail);
        if self.0.len() > MAX_KEYS {
            return Err(invalid(format!("filter: {} keys; at most {MAX_KEYS} are looked at", self.0.len())));
        }
        let of_key = |(key, values): (String, Values)| {
            let values = match values {
                Values::One(value) => vec![value],
                Values::Any(values) => values,
            };
            match values.len() {
                1..=MAX_VALUES => Ok((key, values)),
                many => Err(invalid(format!("filter.{key}: {many} values; send 1 to {MAX_VALUES}"))),
            }
        };
        Ok(Filter(self.0.into_iter().map(of_key).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn checked(filter: Value) -> Result<Filter, String> {
        let view: FilterView = serde_json::from_value(filter).map_err(|e| e.to_string())?;
        view.checked().map_err(|problem| problem.detail.into_owned())
    }

    #[test]
    fn a_value_is_a_list_of_one() {
        assert_eq!(checked(json!({"lang": "en"})), checked(json!({"lang": ["en"]})));
        assert_eq!(checked(json!({})), Ok(Filter::default()));
    }

    #[test]
    fn filters_are_bounded_and_wrong_ones_are_named() {
        let keys: serde_json::Map<_, _> = (0..17).map(|n| (n.to_string(), json!("v"))).collect();
        for (filter, told) in [
            (Value::Object(keys), "17 keys"),
            (json!({"lang": []}), "filter.lang: 0 values"),
            (json!({"lang": vec!["v"; 65]}), "filter.lang: 65 values"),
            (json!({"lang": 1}), "a string, or a list of strings"),
            (json!({"lang": {"gt": "a"}}), "a string, or a list of strings"),
        ] {
            let problem = checked(filter).unwrap_err();
            assert!(problem.contains(told), "{problem}");
        }
    }
}
