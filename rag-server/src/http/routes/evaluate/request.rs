//! What may be evaluated, and the checks of it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use utoipa::ToSchema;

use super::super::super::{
    error::{Code, Problem},
    extract::FromBody,
};
use crate::{
    evaluate::{
        DEFAULT_K, MAX_K,
        query_set::{self, JudgedQuery, MAX_QUERIES},
        report::Settings,
    },
    model::{DocumentId, Mode},
};

/// Bytes of an id of a question.
const MAX_ID_BYTES: usize = 512;

/// Questions to measure the search with: either `queries` or `sample`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EvaluateRequest {
    /// Questions with the documents that answer them, 1 to 1000.
    #[schema(min_items = 1, max_items = 1000)]
    queries: Option<Vec<NewQuery>>,
    /// So many headings of the stored documents are asked as questions, 1 to 1000; their documents are what should be found.
    #[schema(minimum = 1, maximum = 1000)]
    sample: Option<usize>,
    /// The modes to measure beside the configured one; all without it.
    modes: Option<Vec<Mode>>,
    /// Places that recall and the reciprocal rank look at, 1 to 50; 10 without it.
    #[schema(minimum = 1, maximum = 50)]
    k: Option<usize>,
    /// Whether server-sent events tell how far it is; then it may take longer than one request.
    #[serde(default)]
    stream: bool,
}

/// A question with the documents that answer it; 16384 bytes together.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewQuery {
    /// Names it; its place from 1 without it.
    #[schema(max_length = 512)]
    id: Option<String>,
    /// The question, up to 8192 bytes.
    #[schema(min_length = 1, max_length = 8192)]
    text: String,
    /// The documents that answer it: a list of ids, or an object with the grade of each id (0 is not relevant).
    relevant: Relevant,
}

/// Documents that answer a question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected a list of document ids, or an object with a whole number for each id")]
enum Relevant {
    /// Each is as good as the others.
    Ids(Vec<String>),
    /// The grade of each.
    Grades(BTreeMap<String, u32>),
}

impl FromBody for EvaluateRequest {
    const MAX_BYTES: Option<usize> = None;
}

/// What is asked.
pub(super) enum Asked {
    /// These questions.
    Queries(Vec<JudgedQuery>),
    /// So many headings.
    Sample(usize),
}

/// A request that may be carried out.
pub(super) struct Checked {
    pub(super) asked: Asked,
    pub(super) settings: Settings,
    pub(super) stream: bool,
}

impl EvaluateRequest {
    pub(super) fn checked(self, configured: Mode) -> Result<Checked, Problem> {
        let asked = match (self.queries, self.sample) {
            (Some(queries), None) => Asked::Queries(judged(queries)?),
            (None, Some(sample)) => Asked::Sample(within("sample", sample, MAX_QUERIES)?),
            (Some(_), Some(_)) => return Err(invalid("sample: leave it out where queries are given".to_owned())),
            (None, None) => {
                return Err(invalid(format!(
                    "queries: send 1 to {MAX_QUERIES} questions with their relevant documents, or a sample of headings to ask as {{\"sample\": 200}}"
                )));
            }
        };
        let k = within("k", self.k.unwrap_or(DEFAULT_K), MAX_K)?;
        let modes = self.modes.unwrap_or_else(|| Mode::ALL.to_vec());
        Ok(Checked { asked, settings: Settings { configured, modes, k }, stream: self.stream })
    }
}

fn judged(queries: Vec<NewQuery>) -> Result<Vec<JudgedQuery>, Problem> {
    if !(1..=MAX_QUERIES).contains(&queries.len()) {
        return Err(invalid(format!(
            "queries: {} in one request; send 1 to {MAX_QUERIES}, drawn at random where there are more",
            queries.len()
        )));
    }
    let mut ids = BTreeSet::new();
    let numbered = queries.into_iter().enumerate().map(|(at, query)| {
        let judged = query.judged(at).map_err(|why| invalid(format!("queries[{at}].{why}")))?;
        if !ids.insert(judged.id.clone()) {
            return Err(invalid(format!("queries[{at}].id: it stands twice")));
        }
        Ok(judged)
    });
    numbered.collect()
}

impl NewQuery {
    fn judged(self, at: usize) -> Result<JudgedQuery, String> {
        let id = self.id.unwrap_or_else(|| (at + 1).to_string());
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            return Err(format!("id: {} bytes; give it 1 to {MAX_ID_BYTES}", id.len()));
        }
        let graded: Vec<(String, u32)> = match self.relevant {
            Relevant::Ids(ids) => ids.into_iter().map(|id| (id, 1)).collect(),
            Relevant::Grades(grades) => grades.into_iter().collect(),
        };
        let graded = graded.into_iter().map(|(id, grade)| Ok((DocumentId::try_from(id)?, grade)));
        let relevant = graded.collect::<Result<_, crate::model::InvalidDocumentId>>();
        let judged = JudgedQuery { id, text: self.text, relevant: relevant.map_err(|e| format!("relevant: {e}"))? };
        query_set::check(&judged)?;
        Ok(judged)
    }
}

fn within(field: &str, number: usize, most: usize) -> Result<usize, Problem> {
    match number {
        _ if (1..=most).contains(&number) => Ok(number),
        _ => Err(invalid(format!("{field}: {number}; it must be from 1 to {most}"))),
    }
}

fn invalid(detail: String) -> Problem {
    Problem::new(Code::InvalidValue, detail)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn checked(body: Value) -> Result<Checked, String> {
        let request: EvaluateRequest = serde_json::from_value(body).map_err(|e| e.to_string())?;
        request.checked(Mode::Dense).map_err(|problem| problem.detail.into_owned())
    }

    fn queries(body: Value) -> Vec<JudgedQuery> {
        match checked(json!({"queries": body})).map(|checked| checked.asked) {
            Ok(Asked::Queries(queries)) => queries,
            Ok(Asked::Sample(_)) => panic!("queries were given"),
            Err(why) => panic!("{why}"),
        }
    }

    #[test]
    fn a_list_of_ids_means_the_grade_1_and_a_question_without_an_id_is_named_by_its_place() {
        let found = queries(
            json!([{"text": "why?", "relevant": ["a", "b"]}, {"id": "q", "text": "how?", "relevant": {"a": 2, "b": 0}}]),
        );
        let grades = |query: &JudgedQuery| query.relevant.values().copied().collect::<Vec<_>>();
        assert_eq!((found[0].id.as_str(), grades(&found[0])), ("1", vec![1, 1]));
        assert_eq!((found[1].id.as_str(), grades(&found[1])), ("q", vec![2, 0]));
    }

    #[test]
    fn all_modes_and_ten_places_are_measured_unless_it_is_said() {
        let found = checked(json!({"sample": 5})).ok().unwrap();
        assert_eq!(found.settings, Settings { configured: Mode::Dense, modes: Mode::ALL.to_vec(), k: 10 });
        let found = checked(json!({"sample": 5, "k": 3, "modes": ["Lexical"]})).ok().unwrap();
        assert_eq!(found.settings.modes(), [Mode::Dense, Mode::Lexical]);
    }

    #[test]
    fn wrong_values_are_refused_with_their_place_and_the_limit() {
        let query = |id: &str, text: &str, relevant: Value| json!({"id": id, "text": text, "relevant": relevant});
        let many: Vec<Value> = (0..=MAX_QUERIES).map(|n| query(&n.to_string(), "a", json!(["d"]))).collect();
        for (wrong, expected) in [
            (json!({}), "queries: send 1 to 1000"),
            (json!({"queries": []}), "queries: 0 in one request; send 1 to 1000"),
            (json!({"queries": many}), "queries: 1001 in one request; send 1 to 1000"),
            (json!({"queries": [], "sample": 1}), "sample: leave it out"),
            (json!({"sample": 0}), "sample: 0; it must be from 1 to 1000"),
            (json!({"sample": 1001}), "sample: 1001;"),
            (json!({"sample": 1, "k": 51}), "k: 51; it must be from 1 to 50"),
            (json!({"queries": [query("q", " ", json!(["d"]))]}), "queries[0].text: the question is empty"),
            (json!({"queries": [query("q", &"x".repeat(8193), json!(["d"]))]}), "queries[0].text: 8193 bytes"),
            (json!({"queries": [query("q", "a", json!([]))]}), "queries[0].relevant: no document"),
            (json!({"queries": [query("q", "a", json!(["a\nb"]))]}), "queries[0].relevant: a document id holds"),
            (json!({"queries": [query("q", "a", json!(3))]}), "expected a list of document ids"),
            (
                json!({"queries": [query("q", "a", json!(["d"])), query("q", "b", json!(["d"]))]}),
                "queries[1].id: it stands twice",
            ),
            (json!({"queries": [query(&"x".repeat(513), "a", json!(["d"]))]}), "queries[0].id: 513 bytes"),
            (json!({"sample": 1, "mdoes": []}), "unknown field"),
        ] {
            let said = checked(wrong).err().unwrap();
            assert!(said.contains(expected), "{said}");
        }
    }
}
