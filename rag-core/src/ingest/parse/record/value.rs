//! The values of a record, as far as its text needs them.
//!
//! Values are counted while they are read: a few bytes of JSON can become hundreds in a tree.

use std::{cell::Cell, collections::BTreeMap, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A value.
pub(in crate::ingest::parse) enum Value {
    /// `null`.
    Nothing,
    /// A text or a number.
    Plain(String),
    /// `true` or `false`.
    Flag(bool),
    /// A list of these, one after the other.
    List(String),
    /// A list with lists or objects in it.
    Many(Vec<Value>),
    /// Values by their names.
    Object(BTreeMap<String, Value>),
}

impl Value {
    pub(super) fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// The text, where it is one or a number.
    pub(super) fn plain(&self) -> Option<&str> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Nothing | Self::Flag(_) | Self::List(_) | Self::Many(_) | Self::Object(_) => None,
        }
    }
}

/// Why a text was not read.
pub(super) enum Unread {
    /// It has more values than it may have.
    TooMany,
    /// It is no JSON.
    NotJson(serde_json::Error),
}

/// Reads the values that a text consists of, at most so many; a list of texts, numbers and flags is one.
pub(super) fn read(text: &str, most: usize) -> Result<Vec<Value>, Unread> {
    let left = Left(Cell::new(Some(most)));
    let mut json = serde_json::Deserializer::from_str(text);
    let mut values = Vec::new();
    loop {
        match (left.deserialize(&mut json), left.0.get()) {
            (_, None) => return Err(Unread::TooMany),
            (Err(error), Some(_)) => return Err(Unread::NotJson(error)),
            (Ok(value), Some(_)) => values.push(value),
        }
        if json.end().is_ok() {
            return Ok(values);
        }
        if left.take::<serde_json::Error>().is_err() {
            return Err(Unread::TooMany);
        }
    }
}

/// How many values may still come; none once there were too many.
struct Left(Cell<Option<usize>>);

impl Left {
    fn take<E: Error>(&self) -> Result<(), E> {
        self.0.set(self.0.get().and_then(|left| left.checked_sub(1)));
        if self.0.get().is_some() { Ok(()) } else { Err(E::custom("too many values")) }
    }

    /// The rest of a list in which a list or an object came.
    fn mixed<'de, A: SeqAccess<'de>>(&self, before: &Joined, inner: Value, mut rest: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        for text in before.texts() {
            self.take()?;
            values.push(Value::Plain(text.to_owned()));
        }
        self.take()?;
        values.push(inner);
        while let Some(value) = rest.next_element_seed(self)? {
            self.take()?;
            values.push(value);
        }
        Ok(Value::Many(values))
    }
}

/// Texts with commas between them, and where each ends: a list of a million numbers takes no more than they.
#[derive(Default)]
struct Joined {
    text: String,
    ends: Vec<usize>,
}

impl Joined {
    const COMMA: &str = ", ";

    fn add(&mut self, text: &str) {
        if !self.ends.is_empty() {
            self.text.push_str(Self::COMMA);
        }
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|end| end + Self::COMMA.len()));
        starts.zip(&self.ends).map(|(start, end)| &self.text[start..*end])
    }
}

/// A flag as JSON has it.
pub(super) fn flag(yes: bool) -> &'static str {
    if yes { "true" } else { "false" }
}

impl<'de> DeserializeSeed<'de> for &Left {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Left {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nothing)
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Value, E> {
        Ok(Value::Flag(yes))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Plain(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Plain(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(serde_json::Number::from_f64(number).map_or(Value::Nothing, |number| Value::Plain(number.to_string())))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Plain(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Plain(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut joined = Joined::default();
        while let Some(value) = list.next_element_seed(self)? {
            match value {
                Value::Nothing => {}
                Value::Plain(text) => joined.add(&text),
                Value::Flag(yes) => joined.add(flag(yes)),
                inner => return self.mixed(&joined, inner, list),
            }
        }
        Ok(Value::List(joined.text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut read = BTreeMap::new();
        while let Some(name) = fields.next_key::<String>()? {
            self.take()?;
            read.insert(name, fields.next_value_seed(self)?);
        }
        Ok(Value::Object(read))
    }
}
