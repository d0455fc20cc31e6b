//! Reading payloads: the values at a dotted path, with arrays flattened the way filters see them. Pure.

use std::collections::HashMap;

use qdrant_client::qdrant::Value;
use qdrant_client::qdrant::value::Kind;

use super::refusal::Refusal;

/// The payload of one point, as it travels on the wire.
pub(crate) type Payload = HashMap<String, Value>;

/// A path such as `document` or `source.name`; array brackets are not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    text: String,
    steps: Vec<String>,
}

impl Path {
    /// Parses a key, and refuses the forms that would otherwise be looked up wrongly.
    pub(crate) fn parse(key: &str) -> Result<Self, Refusal> {
        if key.is_empty() {
            return Err(Refusal::invalid("a payload key must not be empty"));
        }
        if key.contains(['[', ']', '"']) {
            return Err(Refusal::unsupported("brackets and quotes in payload keys"));
        }
        Ok(Self { text: key.to_owned(), steps: key.split('.').map(str::to_owned).collect() })
    }

    /// The key as it was written, which is also the name of its index.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// All values at this path; an array counts as its elements.
    pub(crate) fn values<'a>(&self, payload: &'a Payload) -> Vec<&'a Value> {
        self.at(payload).map(flatten).unwrap_or_default()
    }

    /// Missing, null and the empty array are empty.
    pub(crate) fn is_empty_in(&self, payload: &Payload) -> bool {
        match self.at(payload).and_then(|value| value.kind.as_ref()) {
            None | Some(Kind::NullValue(_)) => true,
            Some(Kind::ListValue(list)) => list.values.is_empty(),
            Some(_) => false,
        }
    }

    /// Present, and null.
    pub(crate) fn is_null_in(&self, payload: &Payload) -> bool {
        self.at(payload).is_some_and(|value| matches!(value.kind, None | Some(Kind::NullValue(_))))
    }

    /// Removes the value at this path, if there is one.
    pub(crate) fn remove_from(&self, payload: &mut Payload) {
        let Some((last, parents)) = self.steps.split_last() else { return };
        let mut fields = payload;
        for step in parents {
            match fields.get_mut(step).and_then(|value| value.kind.as_mut()) {
                Some(Kind::StructValue(inner)) => fields = &mut inner.fields,
                _ => return,
            }
        }
        fields.remove(last);
    }

    fn at<'a>(&self, payload: &'a Payload) -> Option<&'a Value> {
        let mut fields = payload;
        let (last, parents) = self.steps.split_last()?;
        for step in parents {
            match fields.get(step)?.kind.as_ref()? {
                Kind::StructValue(inner) => fields = &inner.fields,
                _ => return None,
            }
        }
        fields.get(last)
    }
}

fn flatten(value: &Value) -> Vec<&Value> {
    match value.kind.as_ref() {
        Some(Kind::ListValue(list)) => list.values.iter().flat_map(flatten).collect(),
        _ => vec![value],
    }
}

/// The number in a value, if it is one.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value.kind.as_ref()? {
        // Filters compare in doubles, as the real server does.
        Kind::IntegerValue(integer) => Some(*integer as f64),
        Kind::DoubleValue(double) => Some(*double),
        _ => None,
    }
}

/// Merges by key; null removes, as `set_payload` does.
pub(crate) fn merge(into: &mut Payload, from: &Payload) {
    for (key, value) in from {
        if matches!(value.kind, None | Some(Kind::NullValue(_))) {
            into.remove(key);
        } else {
            into.insert(key.clone(), value.clone());
        }
    }
}
