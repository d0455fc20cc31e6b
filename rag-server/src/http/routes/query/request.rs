//! What may be asked, and the checks of it.

use serde::Deserialize;
use utoipa::ToSchema;

use super::super::super::{
    error::{Code, Problem},
    extract::{Client, FromBody},
    filter::FilterView,
    question,
};
use crate::{
    config::Retrieval,
    generate::{Ask, SessionKey},
    model::{Mode, Query, Sampling, Scope, Tenant},
    resilience::Deadline,
};

/// Bytes of a selection; more is a document, and belongs into the index.
const MAX_SELECTION_BYTES: usize = 32 * 1024;

/// A question to the search.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in super::super) struct QueryRequest {
    /// The question, up to 8192 bytes.
    #[schema(min_length = 1, max_length = 8192)]
    query: String,
    /// How many passages may be cited, 1 to 50; the configured number without it.
    #[schema(minimum = 1, maximum = 50)]
    top_k: Option<usize>,
    /// Which legs are searched; the configured ones without it.
    mode: Option<Mode>,
    /// Which documents are searched, by their metadata: for each key the value, or a list of values of which one must be there.
    #[serde(default)]
    #[schema(value_type = std::collections::BTreeMap<String, Vec<String>>)]
    filter: FilterView,
}

impl FromBody for QueryRequest {
    const MAX_BYTES: Option<usize> = Some(64 * 1024);
}

impl QueryRequest {
    pub(in super::super) fn checked(self, defaults: &Retrieval, tenant: &Tenant) -> Result<Query, Problem> {
        let text = self.query;
        question::check(&text).map_err(|why| invalid(format!("query: {why}")))?;
        let top_k = self.top_k.unwrap_or(defaults.top_k);
        if !(1..=Retrieval::MAX_TOP_K).contains(&top_k) {
            return Err(invalid(format!("top_k: {top_k}; it must be from 1 to {}", Retrieval::MAX_TOP_K)));
        }
        let (mode, filter) = (self.mode.unwrap_or(defaults.mode), self.filter.checked()?);
        Ok(Query { text, mode, top_k, tenant: tenant.clone(), filter })
    }
}

fn invalid(detail: String) -> Problem {
    Problem::new(Code::InvalidValue, detail)
}

/// A question to be answered.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AskRequest {
    /// The question, up to 8192 bytes.
    #[schema(min_length = 1, max_length = 8192)]
    query: String,
    /// How many passages may be cited, 1 to 50; the configured number without it.
    #[schema(minimum = 1, maximum = 50)]
    top_k: Option<usize>,
    /// Where the answer may come from; all documents, by the configured search, without it.
    mode: Option<AskMode>,
    /// Which documents are searched, by their metadata: for each key the value, or a list of values of which one must be there.
    #[serde(default)]
    #[schema(value_type = std::collections::BTreeMap<String, Vec<String>>)]
    filter: FilterView,
    /// The text to answer from, with the mode `selection`. Nothing is searched.
    selection: Option<Selection>,
    /// Whether the answer comes as server-sent events while it is written.
    #[serde(default)]
    stream: bool,
    /// Whether the answer says how it came about.
    #[serde(default)]
    explain: bool,
    /// A conversation that the server remembers: any name of 1 to 128 letters, digits and `-_.:`. It begins with its first question.
    #[schema(min_length = 1, max_length = 128)]
    session: Option<String>,
    /// How freely a language model writes, 0 to 2; its own default without it.
    #[schema(minimum = 0.0, maximum = 2.0)]
    temperature: Option<f64>,
    /// Longest answer of a language model in tokens; the configured limit holds, too.
    #[schema(minimum = 1)]
    max_tokens: Option<u32>,
    /// The same seed gives the same text, as far as the language model keeps that.
    seed: Option<i64>,
}

/// Where an answer may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
enum AskMode {
    /// All documents, dense and lexical.
    Hybrid,
    /// All documents, only by the dense embedding.
    Dense,
    /// All documents, only by BM25.
    Lexical,
    /// All documents, by the configured search.
    #[serde(rename = "full_book")]
    FullBook,
    /// The text that comes with the question, and nothing else.
    #[serde(rename = "selection")]
    Selection,
}

/// A text that is brought along.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Selection {
    /// The text, up to 32768 bytes.
    #[schema(min_length = 1, max_length = 32768)]
    text: String,
}

impl FromBody for AskRequest {
    const MAX_BYTES: Option<usize> = Some(64 * 1024);
}

impl AskRequest {
    pub(super) fn streams(&self) -> bool {
        self.stream
    }

    pub(super) fn explain(&self) -> bool {
        self.explain
    }

    pub(super) fn checked(self, defaults: &Retrieval, client: &Client, deadline: Deadline) -> Result<Ask, Problem> {
        let scope = self.scope()?;
        let sampling = self.sampling()?;
        let session = self.session.as_deref().map(|id| {
            let wrong = || invalid("session: it must be 1 to 128 letters, digits and -_.:".to_owned());
            SessionKey::new(&client.owner(), id).ok_or_else(wrong)
        });
        let mode = match self.mode {
            Some(AskMode::Hybrid) => Some(Mode::Hybrid),
            Some(AskMode::Dense) => Some(Mode::Dense),
            Some(AskMode::Lexical) => Some(Mode::Lexical),
            Some(AskMode::FullBook | AskMode::Selection) | None => None,
        };
        let query = QueryRequest { query: self.query, top_k: self.top_k, mode, filter: self.filter };
        let query = query.checked(defaults, client.tenant())?;
        Ok(Ask { scope, sampling, deadline, session: session.transpose()?, ..query.into() })
    }

    fn scope(&self) -> Result<Scope, Problem> {
        let Some(Selection { text }) = &self.selection else {
            return match self.mode {
                Some(AskMode::Selection) => {
                    Err(invalid("selection: the mode \"selection\" needs the text, as {\"text\": \"...\"}".to_owned()))
                }
                _ => Ok(Scope::FullBook),
            };
        };
        if !matches!(self.mode, None | Some(AskMode::Selection)) {
            return Err(invalid(
                "selection: only the mode \"selection\" answers from it; leave one of them out".to_owned(),
            ));
        }
        if text.trim().is_empty() {
            return Err(invalid("selection.text: the text is empty".to_owned()));
        }
        if text.len() > MAX_SELECTION_BYTES {
            let detail =
                format!("selection.text: {} bytes; at most {MAX_SELECTION_BYTES} are read, ingest more", text.len());
            return Err(invalid(detail));
        }
        Ok(Scope::Selection(text.clone()))
    }

    fn sampling(&self) -> Result<Sampling, Problem> {
        if self.temperature.is_some_and(|temperature| !(0.0..=2.0).contains(&temperature)) {
            return Err(invalid("temperature: it must be from 0 to 2".to_owned()));
        }
        if self.max_tokens == Some(0) {
            return Err(invalid("max_tokens: it must be at least 1".to_owned()));
        }
        let Self { temperature, max_tokens, seed, .. } = *self;
        Ok(Sampling { temperature, max_tokens, seed, ..Sampling::default() })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;

    fn checked(body: Value) -> Result<Ask, String> {
        let request: AskRequest = serde_json::from_value(body).map_err(|e| e.to_string())?;
        let deadline = Deadline::after(Duration::from_secs(60));
        request
            .checked(&Retrieval::default(), &Client::anonymous(), deadline)
            .map_err(|problem| problem.detail.into_owned())
    }

    #[test]
    fn a_selection_is_the_only_source_and_needs_its_text() {
        let text = json!({"text": "Kept."});
        let scope = |body| checked(body).map(|ask| ask.scope);
        let selection = Ok(Scope::Selection("Kept.".to_owned()));
        assert_eq!(scope(json!({"query": "q", "selection": text})), selection);
        assert_eq!(scope(json!({"query": "q", "selection": text, "mode": "selection"})), selection);
        assert_eq!(scope(json!({"query": "q", "mode": "full_book"})), Ok(Scope::FullBook));
        assert_eq!(checked(json!({"query": "q", "mode": "Dense"})).unwrap().query.mode, Mode::Dense);
        for wrong in [
            json!({"query": "q", "mode": "selection"}),
            json!({"query": "q", "mode": "Dense", "selection": text}),
            json!({"query": "q", "selection": {"text": " "}}),
            json!({"query": "q", "selection": {"text": "x".repeat(MAX_SELECTION_BYTES + 1)}}),
            json!({"query": "q", "selection": {}}),
        ] {
            let problem = scope(wrong.clone()).unwrap_err();
            assert!(problem.contains("selection") || problem.contains("text"), "{wrong}: {problem}");
        }
    }

    #[test]
    fn wrong_values_are_refused_by_name() {
        for (field, value) in [
            ("query", json!("")),
            ("query", json!("x".repeat(question::MAX_QUESTION_BYTES + 1))),
            ("top_k", json!(0)),
            ("temperature", json!(2.1)),
            ("max_tokens", json!(0)),
            ("session", json!("a/b")),
            ("session", json!("")),
            ("filter", json!({"lang": []})),
        ] {
            let mut body = json!({"query": "q"});
            body[field] = value;
            let problem = checked(body).unwrap_err();
            assert!(problem.starts_with(field), "{problem}");
        }
        assert!(checked(json!({"query": "q", "temprature": 1})).unwrap_err().contains("unknown field"));
    }
}
