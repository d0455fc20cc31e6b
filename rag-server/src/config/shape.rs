//! What is allowed where, read from the JSON schema of the configuration's types, so that there is one list of keys.

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;

/// The JSON schema of a type, without references.
pub(super) fn schema<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

/// A place in the schema.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape<'s>(&'s Value);

/// What kind of value belongs there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Table,
    List,
    Text,
    Integer,
    Number,
    Flag,
}

impl<'s> Shape<'s> {
    /// The place that a schema describes; that of `T` for an `Option<T>`.
    pub(super) fn new(schema: &'s Value) -> Self {
        let not_null = |option: &&Value| option["type"] != "null";
        match schema["anyOf"].as_array().and_then(|options| options.iter().find(not_null)) {
            Some(option) => Self::new(option),
            None => Self(schema),
        }
    }

    /// The kind of value; none when the schema says something that the walk does not know.
    pub(super) fn kind(self) -> Option<Kind> {
        let name = match &self.0["type"] {
            Value::Array(names) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
            name => name.as_str(),
        };
        match name {
            Some("object") => Some(Kind::Table),
            Some("array") => Some(Kind::List),
            Some("string") => Some(Kind::Text),
            Some("integer") => Some(Kind::Integer),
            Some("number") => Some(Kind::Number),
            Some("boolean") => Some(Kind::Flag),
            // An enum whose variants are described: a list of constants, all of them text.
            None if !self.allowed().is_empty() => Some(Kind::Text),
            _ => None,
        }
    }

    /// The keys of a table, in the order of the alphabet.
    pub(super) fn keys(self) -> Vec<&'s str> {
        let keys = self.0["properties"].as_object().into_iter().flatten();
        let mut names = keys.map(|(name, _)| name.as_str()).collect::<Vec<_>>();
        // Whether a JSON object keeps its order depends on what else is built into the program.
        names.sort_unstable();
        names
    }

    /// What belongs under a key of a table.
    pub(super) fn key(self, key: &str) -> Option<Self> {
        self.0["properties"].as_object()?.get(key).map(Self::new)
    }

    /// What belongs into a list.
    pub(super) fn item(self) -> Option<Self> {
        self.0.get("items").map(Self::new)
    }

    /// Keys that a table must have.
    pub(super) fn required(self) -> Vec<&'s str> {
        texts(&self.0["required"])
    }

    /// The texts that are allowed; empty when any is.
    pub(super) fn allowed(self) -> Vec<&'s str> {
        let constants = self.0["oneOf"].as_array().into_iter().flatten();
        let listed = constants.filter_map(|variant| variant["const"].as_str()).collect::<Vec<_>>();
        if listed.is_empty() { texts(&self.0["enum"]) } else { listed }
    }

    /// Bytes of a text, or members of a list: at least, at most.
    pub(super) fn length(self) -> (Option<u64>, Option<u64>) {
        let at = |name: &str| self.0[name].as_u64();
        (at("minLength").or_else(|| at("minItems")), at("maxLength").or_else(|| at("maxItems")))
    }

    /// The smallest and the largest number.
    pub(super) fn range(self) -> (Option<f64>, Option<f64>) {
        (self.0["minimum"].as_f64(), self.0["maximum"].as_f64())
    }

    /// What a text has to look like.
    pub(super) fn format(self) -> Option<&'s str> {
        self.0["format"].as_str()
    }

    /// What belongs here, as the end of a sentence that begins with "it must be".
    pub(super) fn expectation(self) -> String {
        let allowed = self.allowed();
        let (least, most) = self.length();
        match self.kind() {
            Some(Kind::Text) if !allowed.is_empty() => {
                let allowed = allowed.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>();
                if allowed.len() == 1 { allowed.concat() } else { format!("one of {}", allowed.join(", ")) }
            }
            Some(Kind::Text) => match (self.format(), least, most) {
                (Some("ip:port"), ..) => "an IP address and a port, such as \"127.0.0.1:8080\"".to_owned(),
                (Some("http-url"), ..) => "a URL such as \"http://qdrant:6334\", without a user or a path".to_owned(),
                (Some("http-base-url"), ..) => {
                    "a URL such as \"https://api.example.com/v1\", without a user or a query".to_owned()
                }
                (Some("redis-url"), ..) => {
                    "a URL such as \"redis://redis:6379\" or \"rediss://redis:6379\", without a user, a password or a database".to_owned()
                }
                (_, Some(least), Some(most)) => format!("a text of {least} to {most} bytes"),
                _ => "a text".to_owned(),
            },
            Some(Kind::Integer) => format!("a whole number{}", self.range_text()),
            Some(Kind::Number) => format!("a number{}", self.range_text()),
            Some(Kind::Flag) => "true or false".to_owned(),
            Some(Kind::List) => most.map_or("a list".to_owned(), |most| format!("a list of at most {most}")),
            Some(Kind::Table) | None => "a table".to_owned(),
        }
    }

    fn range_text(self) -> String {
        match self.range() {
            (Some(least), Some(most)) => format!(" from {least} to {most}"),
            (Some(least), None) => format!(" of at least {least}"),
            (None, Some(most)) => format!(" of at most {most}"),
            (None, None) => String::new(),
        }
    }
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().map(|members| members.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{super::Config, *};

    fn all_places<'s>(shape: Shape<'s>, path: &str, places: &mut Vec<(String, Option<Kind>)>) {
        places.push((path.to_owned(), shape.kind()));
        for key in shape.keys() {
            all_places(shape.key(key).unwrap(), &format!("{path}.{key}"), places);
        }
        if let Some(item) = shape.item() {
            all_places(item, &format!("{path}[]"), places);
        }
    }

    #[test]
    fn every_key_has_a_kind_that_the_walk_knows() {
        let schema = schema::<Config>();
        let mut places = Vec::new();
        all_places(Shape::new(&schema), "", &mut places);
        assert_eq!(places.iter().filter(|(_, kind)| kind.is_none()).collect::<Vec<_>>(), Vec::<&(_, _)>::new());
        assert!(places.iter().any(|(path, _)| path == ".auth.api_keys[].role"), "{places:?}");
        assert!(places.iter().any(|(path, _)| path == ".vector_store.qdrant.url"), "{places:?}");
    }

    #[test]
    fn every_key_is_described() {
        fn undescribed(schema: &Value, path: &str, found: &mut Vec<String>) {
            for (key, value) in schema["properties"].as_object().into_iter().flatten() {
                let path = format!("{path}.{key}");
                if value["description"].as_str().is_none_or(str::is_empty) {
                    found.push(path.clone());
                }
                undescribed(Shape::new(value).0, &path, found);
            }
        }
        let mut found = Vec::new();
        undescribed(&schema::<Config>(), "", &mut found);
        assert_eq!(found, Vec::<String>::new());
    }
}
