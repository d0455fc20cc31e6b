//! A value of metadata as it is sent: a text, or a number or a boolean, which is taken as its text. What is stored and what is filtered by are read alike, so that one finds the other.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, de::Visitor};

/// A text, or a number or a boolean as its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plain(pub(super) String);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;

        impl Visitor<'_> for Value {
            type Value = Plain;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a number, true or false")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Plain, E> {
                Ok(Plain(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Plain, E> {
                Ok(Plain(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Plain, E> {
                Ok(Plain(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Plain, E> {
                // As JSON is written: `1e+300`, and not 300 zeros.
                Ok(Plain(serde_json::Value::from(value).to_string()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Plain, E> {
                Ok(Plain(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Plain, E> {
                Ok(Plain(text))
            }
        }

        deserializer.deserialize_any(Value)
    }
}

/// Metadata of a document. A key whose value is `null` is absent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct Metadata(BTreeMap<String, Option<Plain>>);

impl From<Metadata> for BTreeMap<String, String> {
    fn from(Metadata(values): Metadata) -> Self {
        values.into_iter().filter_map(|(key, value)| Some((key, value?.0))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::json;

    #[test]
    fn numbers_and_booleans_of_metadata_are_taken_as_their_text() {
        let mut given =
            br#"{"year": 2031, "share": 0.5, "whole": 3.0, "below": -4, "draft": false, "team": "ops", "gone": null}"#
                .to_vec();
        let metadata: BTreeMap<String, String> = json::read::<Metadata>(&mut given).unwrap().into();
        let expected =
            [("year", "2031"), ("share", "0.5"), ("whole", "3"), ("below", "-4"), ("draft", "false"), ("team", "ops")];
        assert_eq!(metadata, expected.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
        let nested = json::read::<Metadata>(&mut br#"{"tags": ["a"]}"#.to_vec()).unwrap_err();
        assert_eq!(nested.to_string(), "tags: invalid type: sequence, expected a text, a number, true or false");
    }
}
