//! Compares what was written with what is allowed, place by place, and remembers where each value was said.

use std::{collections::BTreeMap, net::SocketAddr};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    problem::{Origin, Problem},
    shape::{Kind, Shape},
};

/// Where each key was set last, by its dotted path.
pub(super) type Origins = BTreeMap<String, Origin>;

/// One pass over one source.
pub(super) struct Walk<'a> {
    /// Names the place of a span of the source.
    pub(super) origin: &'a dyn Fn(std::ops::Range<usize>) -> Origin,
    /// Where each key was set.
    pub(super) origins: &'a mut Origins,
    /// What is wrong so far.
    pub(super) problems: &'a mut Vec<Problem>,
}

impl Walk<'_> {
    /// The allowed part of a table.
    pub(super) fn table(&mut self, shape: Shape<'_>, table: &DeTable<'_>, path: &str) -> toml::Table {
        let mut kept = toml::Table::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let origin = (self.origin)(key.span());
            let Some(shape) = shape.key(name) else {
                self.problems.push(Problem { origin, message: unknown_key(name, &shape.keys(), path) });
                continue;
            };
            let path = join(path, name);
            self.origins.insert(path.clone(), origin);
            if let Some(value) = self.value(shape, value, &path) {
                kept.insert(name.to_owned(), value);
            }
        }
        kept
    }

    /// A value, if it is allowed.
    pub(super) fn value(&mut self, shape: Shape<'_>, value: &Spanned<DeValue<'_>>, path: &str) -> Option<toml::Value> {
        let converted = match (shape.kind()?, value.get_ref()) {
            (Kind::Table, DeValue::Table(table)) => Some(toml::Value::Table(self.table(shape, table, path))),
            (Kind::List, DeValue::Array(members)) if within(shape, members.len()) => {
                let item = shape.item()?;
                let members = members.iter().enumerate();
                let kept = members.filter_map(|(index, member)| {
                    let path = format!("{path}[{index}]");
                    self.origins.insert(path.clone(), (self.origin)(member.span()));
                    self.value(item, member, &path)
                });
                Some(toml::Value::Array(kept.collect()))
            }
            (kind, value) => scalar(shape, kind, value),
        };
        if converted.is_none() {
            let message = format!("{path} is {}; it must be {}", found(shape, value.get_ref()), shape.expectation());
            self.problems.push(Problem { origin: (self.origin)(value.span()), message });
        }
        converted
    }
}

/// A path one key deeper.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What to say about a key that does not exist.
pub(super) fn unknown_key(key: &str, known: &[&str], path: &str) -> String {
    let nearest = known.iter().map(|known| (strsim::damerau_levenshtein(key, known), known)).min();
    match nearest {
        // One slip in three letters is a typing error; more is another word.
        Some((distance, near)) if distance <= (near.len() / 3).max(1) => {
            format!("unknown key {key:?}; did you mean {near:?}?")
        }
        _ if known.is_empty() => format!("unknown key {key:?}; {path} has no keys"),
        _ if path.is_empty() => format!("unknown key {key:?}; the keys here are {}", known.join(", ")),
        _ => format!("unknown key {key:?}; the keys of {path} are {}", known.join(", ")),
    }
}

fn scalar(shape: Shape<'_>, kind: Kind, value: &DeValue<'_>) -> Option<toml::Value> {
    match (kind, value) {
        (Kind::Text, DeValue::String(text)) => text_is_allowed(shape, text).then(|| text.as_ref().into()),
        (Kind::Flag, DeValue::Boolean(flag)) => Some((*flag).into()),
        (Kind::Integer, DeValue::Integer(digits)) => {
            let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok()?;
            in_range(shape, number as f64).then(|| number.into())
        }
        (Kind::Number, DeValue::Integer(digits)) => {
            let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok()? as f64;
            in_range(shape, number).then(|| number.into())
        }
        (Kind::Number, DeValue::Float(digits)) => {
            let number = digits.as_str().parse::<f64>().ok()?;
            in_range(shape, number).then(|| number.into())
        }
        _ => None,
    }
}

fn text_is_allowed(shape: Shape<'_>, text: &str) -> bool {
    let allowed = shape.allowed();
    let looks_right = match shape.format() {
        Some("ip:port") => text.parse::<SocketAddr>().is_ok(),
        Some("http-url") => is_http_url(text) && text.parse::<http::Uri>().is_ok_and(|uri| uri.path() == "/"),
        Some("http-base-url") => is_http_url(text),
        Some("redis-url") => is_redis_url(text),
        _ => true,
    };
    (allowed.is_empty() || allowed.contains(&text)) && within(shape, text.len()) && looks_right
}

fn is_http_url(text: &str) -> bool {
    is_url(text, &["http", "https"])
}

/// A server and no database of it: entries have names of their own.
fn is_redis_url(text: &str) -> bool {
    is_url(text, &["redis", "rediss"]) && text.parse::<http::Uri>().is_ok_and(|uri| matches!(uri.path(), "" | "/"))
}

fn is_url(text: &str, schemes: &[&str]) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| {
        let scheme = uri.scheme_str().is_some_and(|scheme| schemes.contains(&scheme));
        let host =
            uri.authority().is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
        scheme && host && uri.query().is_none()
    })
}

fn within(shape: Shape<'_>, length: usize) -> bool {
    let (least, most) = shape.length();
    let length = length as u64;
    least.is_none_or(|least| length >= least) && most.is_none_or(|most| length <= most)
}

/// A number that is not one is in no range.
fn in_range(shape: Shape<'_>, number: f64) -> bool {
    let (least, most) = shape.range();
    number.is_finite() && least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most)
}

/// What was found, for a message. A URL is not repeated: somebody may have put a password into it.
fn found(shape: Shape<'_>, value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) if matches!(shape.format(), Some("http-url" | "http-base-url" | "redis-url")) => {
            "not such a URL".to_owned()
        }
        DeValue::String(text) if text.len() > 60 => format!("a text of {} bytes", text.len()),
        DeValue::String(text) => format!("{:?}", text.as_ref()),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(members) => format!("a list of {}", members.len()),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
