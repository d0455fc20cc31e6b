//! Puts the layers over each other: defaults, file, environment, flags.

use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use toml::de::{DeTable, DeValue};

use super::{
    Config,
    problem::{Origin, Problem, Problems},
    rules,
    shape::{self, Kind, Shape},
    walk::{self, Origins, Walk},
};

/// Largest configuration file; what Kubernetes allows a ConfigMap.
const MAX_FILE_BYTES: usize = 1024 * 1024;

/// A value that was set outside the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Where.
    pub origin: Origin,
    /// The key's dotted path.
    pub key: String,
    /// The value: text as it is, everything else as in TOML.
    pub value: String,
}

/// What a configuration is made of; the later layer wins.
#[derive(Debug, Clone, Default)]
pub struct Layers<'a> {
    /// Name and bytes of the file.
    pub file: Option<(&'a str, &'a [u8])>,
    /// Settings from the environment and from flags, in this order.
    pub settings: Vec<Setting>,
}

/// A configuration that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// SHA-256 of the file's exact bytes, in hex; that of no bytes without a file.
    pub sha256: String,
}

impl Setting {
    /// What marks a variable of the environment as a setting.
    const PREFIX: &'static str = "RAG__";

    /// The settings among variables of the environment: `RAG__SERVER__LISTEN` sets `server.listen`.
    pub fn from_environment(variables: impl IntoIterator<Item = (String, String)>) -> Vec<Self> {
        let mut settings = variables
            .into_iter()
            .filter_map(|(name, value)| {
                let key = name.strip_prefix(Self::PREFIX)?.to_lowercase().replace("__", ".");
                Some(Self { origin: Origin::Environment(name), key, value })
            })
            .collect::<Vec<_>>();
        // A table before its members, whatever the order of the environment.
        settings.sort_by(|a, b| a.key.cmp(&b.key));
        settings
    }
}

impl Layers<'_> {
    /// The effective configuration, or everything that is wrong with it.
    pub fn load(&self) -> Result<Loaded, Problems> {
        let schema = shape::schema::<Config>();
        let (mut origins, mut problems) = (Origins::new(), Vec::new());
        let mut merged = match self.file {
            Some((name, bytes)) => read(Shape::new(&schema), name, bytes, &mut origins, &mut problems)?,
            None => toml::Table::new(),
        };
        for setting in &self.settings {
            apply(&schema, setting, &mut merged, (&mut origins, &mut problems));
        }
        require(Shape::new(&schema), &merged, "", (&origins, &mut problems));
        Problems::in_order(problems)?;
        let config = Config::deserialize_merged(merged)?;
        Problems::in_order(rules::problems(&config, &origins))?;
        Ok(Loaded { config, sha256: sha256(self.file.map_or(b"", |(_, bytes)| bytes)) })
    }
}

impl Config {
    /// The walk has checked everything before; what is still wrong has no place.
    fn deserialize_merged(merged: toml::Table) -> Result<Self, Problems> {
        merged.try_into().map_err(|e: toml::de::Error| {
            let origin = Origin::Absent("configuration".to_owned());
            Problem { origin, message: e.message().to_owned() }.into()
        })
    }
}

/// SHA-256 in hex.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The allowed part of a file. What is no TOML ends the reading.
pub(super) fn read(
    shape: Shape<'_>,
    name: &str,
    bytes: &[u8],
    origins: &mut Origins,
    problems: &mut Vec<Problem>,
) -> Result<toml::Table, Problems> {
    let at = |line| Origin::File { name: name.to_owned(), line };
    if bytes.len() > MAX_FILE_BYTES {
        let message = format!("the file has {} bytes; at most {MAX_FILE_BYTES} are read", bytes.len());
        return Err(Problem { origin: at(1), message }.into());
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let origin = at(line(bytes, e.valid_up_to()));
        Problems::from(Problem { origin, message: "the file is not UTF-8".to_owned() })
    })?;
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let problem = |e: &toml::de::Error| Problem {
            origin: at(line(bytes, e.span().map_or(0, |span| span.start))),
            message: format!("not TOML: {}", e.message().replace('\n', ", ")),
        };
        return Err(Problems(errors.iter().map(problem).collect()));
    }
    let origin = |span: std::ops::Range<usize>| at(line(bytes, span.start));
    Ok(Walk { origin: &origin, origins, problems }.table(shape, table.get_ref(), ""))
}

fn line(bytes: &[u8], offset: usize) -> usize {
    bytes.iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

/// Puts one setting over what is there.
fn apply(
    schema: &Json,
    setting: &Setting,
    merged: &mut toml::Table,
    (origins, problems): (&mut Origins, &mut Vec<Problem>),
) {
    let mut refuse = |message| problems.push(Problem { origin: setting.origin.clone(), message });
    let mut shape = Shape::new(schema);
    let mut path = String::new();
    for key in setting.key.split('.') {
        shape = match shape.key(key) {
            Some(inner) => inner,
            None => return refuse(walk::unknown_key(key, &shape.keys(), &path)),
        };
        path = walk::join(&path, key);
    }
    let text = DeValue::String(setting.value.as_str().into());
    let parsed = match shape.kind() {
        Some(Kind::Text) => toml::Spanned::new(0..0, text),
        _ => DeValue::parse(&setting.value).unwrap_or_else(|_| toml::Spanned::new(0..0, text)),
    };
    let origin = |_| setting.origin.clone();
    let value = Walk { origin: &origin, origins, problems }.value(shape, &parsed, &path);
    if let Some(value) = value {
        origins.insert(path, setting.origin.clone());
        put(merged, &setting.key, value);
    }
}

fn put(table: &mut toml::Table, key: &str, value: toml::Value) {
    match key.split_once('.') {
        None => match (table.get_mut(key), value) {
            (Some(toml::Value::Table(standing)), toml::Value::Table(new)) => standing.extend(new),
            (_, value) => drop(table.insert(key.to_owned(), value)),
        },
        Some((first, rest)) => {
            let inner = table.entry(first).or_insert_with(|| toml::Table::new().into());
            if let toml::Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// Tells every key that has to be there and is not.
fn require(shape: Shape<'_>, table: &toml::Table, path: &str, (origins, problems): (&Origins, &mut Vec<Problem>)) {
    for key in shape.required().into_iter().filter(|key| !table.contains_key(*key)) {
        let origin = origins.get(path).cloned().unwrap_or_else(|| Origin::Absent("configuration".to_owned()));
        let path = walk::join(path, key);
        // A value that was refused is missing too, and was told already.
        if !origins.contains_key(&path) {
            let expected = shape.key(key).map(Shape::expectation).unwrap_or_default();
            problems.push(Problem { origin, message: format!("{path} is missing; it must be {expected}") });
        }
    }
    for (key, value) in table {
        let Some(shape) = shape.key(key) else { continue };
        let path = walk::join(path, key);
        match value {
            toml::Value::Table(inner) => require(shape, inner, &path, (origins, problems)),
            toml::Value::Array(members) => {
                for (index, member) in members.iter().enumerate() {
                    if let (Some(item), Some(inner)) = (shape.item(), member.as_table()) {
                        require(item, inner, &format!("{path}[{index}]"), (origins, problems));
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        Config::from_toml(text.as_bytes(), "config.toml").unwrap_err().0.iter().map(Problem::to_string).collect()
    }

    fn flag(key: &str, value: &str) -> Setting {
        Setting { origin: Origin::Flag(format!("--set {key}")), key: key.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_nearest_key() {
        assert_eq!(
            problems("owner = \"a/b\"\n\n[retreival]\ntop_k = 3\n"),
            ["config.toml line 3: unknown key \"retreival\"; did you mean \"retrieval\"?"]
        );
        assert_eq!(
            problems("[retrieval]\nexplain = true\n"),
            [
                "config.toml line 2: unknown key \"explain\"; the keys of retrieval are fusion, min_score, mode, rerank, top_k"
            ]
        );
    }

    #[test]
    fn all_problems_are_told_at_once_each_with_what_is_allowed() {
        let text = "[retrieval]\nmode = \"hybrid\"\ntop_k = 0\nmin_score = nan\n[server]\nlisten = \"localhost\"\n[vector_store.qdrant]\nurl = \"http://user:secret@q\"\n";
        assert_eq!(
            problems(text),
            [
                "config.toml line 2: retrieval.mode is \"hybrid\"; it must be one of \"Hybrid\", \"Dense\", \"Lexical\"",
                "config.toml line 3: retrieval.top_k is 0; it must be a whole number from 1 to 50",
                "config.toml line 4: retrieval.min_score is nan; it must be a number from 0 to 1",
                "config.toml line 6: server.listen is \"localhost\"; it must be an IP address and a port, such as \"127.0.0.1:8080\"",
                "config.toml line 7: vector_store.qdrant.collection is missing; it must be a text of 1 to 200 bytes",
                "config.toml line 8: vector_store.qdrant.url is not such a URL; it must be a URL such as \"http://qdrant:6334\", without a user or a path",
            ]
        );
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_line() {
        let told = problems("owner = \"a\"\n[server\n");
        assert!(told[0].starts_with("config.toml line 2: not TOML: "), "{told:?}");
        assert_eq!(
            Config::from_toml(b"owner = \"\xff\"", "c").unwrap_err().to_string(),
            "c line 1: the file is not UTF-8"
        );
    }

    #[test]
    fn the_environment_goes_over_the_file_and_flags_over_both() {
        let file = b"[retrieval]\ntop_k = 1\nmode = \"Dense\"\nmin_score = 0.1\n";
        let environment = [("RAG__RETRIEVAL__TOP_K", "2"), ("RAG__RETRIEVAL__MODE", "Lexical"), ("PATH", "/bin")];
        let mut settings = Setting::from_environment(environment.map(|(k, v)| (k.to_owned(), v.to_owned())));
        settings.push(flag("retrieval.top_k", "3"));
        let loaded = Layers { file: Some(("c", file)), settings }.load().unwrap();
        let retrieval = loaded.config.retrieval;
        assert_eq!((retrieval.top_k, retrieval.mode), (3, crate::model::Mode::Lexical));
        assert_eq!(retrieval.min_score, Some(0.1));
        assert_eq!(loaded.sha256, sha256(file));
    }

    #[test]
    fn a_setting_outside_the_file_is_checked_like_one_in_it() {
        let environment = [("RAG__RETRIEVAL__TOPK", "2"), ("RAG__SERVER__DRAIN_SECONDS", "soon")];
        let settings = Setting::from_environment(environment.map(|(k, v)| (k.to_owned(), v.to_owned())));
        let told = Layers { file: None, settings }.load().unwrap_err();
        assert_eq!(
            told.0.iter().map(Problem::to_string).collect::<Vec<_>>(),
            [
                "environment variable RAG__RETRIEVAL__TOPK: unknown key \"topk\"; did you mean \"top_k\"?",
                "environment variable RAG__SERVER__DRAIN_SECONDS: server.drain_seconds is \"soon\"; it must be a whole number from 0 to 3600",
            ]
        );
    }

    #[test]
    fn tables_and_lists_are_set_as_inline_toml() {
        let settings = vec![
            flag("vector_store.qdrant", "{ url = \"http://q:6334\", collection = \"c\" }"),
            flag("auth.api_keys", "[{ name = \"a\", role = \"Reader\" }]"),
            flag("auth.credentials_dir", "/keys"),
        ];
        let config = Layers { file: None, settings }.load().unwrap().config;
        assert_eq!(config.vector_store.qdrant.map(|qdrant| qdrant.collection), Some("c".to_owned()));
        assert_eq!(config.auth.api_keys[0].name, "a");
    }
}
