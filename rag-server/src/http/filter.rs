//! A filter as it is sent: for each key of the metadata a value, or a list of values. A key that is `null` is refused: without it more would be found than was asked for.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    error::{Code, Problem},
    plain::Plain,
};
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
#[serde(untagged, expecting = "send a text, a number or a boolean, or a list of them")]
enum Values {
    One(Plain),
    Any(Vec<Plain>),
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
                1..=MAX_VALUES => Ok((key, values.into_iter().map(|Plain(value)| value).collect())),
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
        // As metadata is read.
        assert_eq!(checked(json!({"year": [2031, true]})), checked(json!({"year": ["2031", "true"]})));
    }

    #[test]
    fn filters_are_bounded_and_wrong_ones_are_named() {
        let keys: serde_json::Map<_, _> = (0..17).map(|n| (n.to_string(), json!("v"))).collect();
        for (filter, told) in [
            (Value::Object(keys), "17 keys"),
            (json!({"lang": []}), "filter.lang: 0 values"),
            (json!({"lang": vec!["v"; 65]}), "filter.lang: 65 values"),
            (json!({"lang": [["a"]]}), "a text, a number or a boolean"),
            (json!({"lang": {"gt": "a"}}), "a text, a number or a boolean"),
            // It would find what the caller wanted left out.
            (json!({"lang": null}), "a text, a number or a boolean"),
        ] {
            let problem = checked(filter).unwrap_err();
            assert!(problem.contains(told), "{problem}");
        }
    }
}
