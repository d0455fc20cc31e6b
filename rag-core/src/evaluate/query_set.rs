//! Questions with the documents that answer them: the files of BEIR and TREC, and the limits of a set.
//!
//! Pure. A file is read as it is written, line by line; what is wrong is named with its line.
//!
//! ```text
//! queries   BEIR  {"_id": "q1", "text": "how long ...?"}      TREC  q1<TAB>how long ...?
//! qrels     BEIR  q1<TAB>ops/backup.md<TAB>1 (with a header)   TREC  q1 0 ops/backup.md 1
//! ```

use std::collections::{BTreeMap, BTreeSet};

use rand::{SeedableRng, rngs::StdRng, seq::index};
use serde::Deserialize;
use serde_json::Value;

use super::measures::Judgements;
use crate::model::{DocumentId, Query};

/// Questions of one evaluation.
pub const MAX_QUERIES: usize = 1_000;
/// Bytes of one question with its id and the ids of its documents.
pub const MAX_QUERY_BYTES: usize = 16 * 1024;
/// Draws the same questions each time.
pub(super) const SEED: u64 = 20_061;

/// A question, and which documents answer it how well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedQuery {
    /// Names it.
    pub id: String,
    /// The question.
    pub text: String,
    /// The grade of each judged document; at least one is not 0.
    pub relevant: Judgements<DocumentId>,
}

/// What a set of files comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuerySet {
    /// The questions that can be measured, in the order of their file.
    pub queries: Vec<JudgedQuery>,
    /// Questions that no document is relevant to.
    pub unjudged: usize,
    /// Judgements of questions that are not in the set.
    pub strange: usize,
}

/// Why a set of questions cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuerySetError {
    /// A line of the questions.
    #[error("queries, line {line}: {cause}")]
    Query {
        /// From 1.
        line: usize,
        /// What is wrong.
        cause: String,
    },
    /// A line of the judgements.
    #[error("qrels, line {line}: {cause}")]
    Judgement {
        /// From 1.
        line: usize,
        /// What is wrong.
        cause: String,
    },
    /// Nothing to measure.
    #[error(
        "no question has a relevant document: {queries} questions such as {query}, judgements of {judged} such as {judgement}; do both files name the same questions?"
    )]
    NothingJudged {
        /// Questions.
        queries: usize,
        /// One of them.
        query: String,
        /// Questions with judgements.
        judged: usize,
        /// One of them.
        judgement: String,
    },
}

/// One line of the questions in JSON.
#[derive(Deserialize)]
struct QueryLine {
    #[serde(rename = "_id", alias = "id")]
    id: Value,
    #[serde(alias = "query")]
    text: String,
}

impl QuerySet {
    /// Reads both files.
    pub fn read(queries: &str, qrels: &str) -> Result<Self, QuerySetError> {
        let mut judgements = judgements(qrels)?;
        let read = questions(queries)?;
        let about = |set: Option<&String>| set.map_or_else(|| "none".to_owned(), |id| format!("{id:?}"));
        let (first, judged) = (about(read.first().map(|(id, _)| id)), judgements.len());
        let (all, first_judged) = (read.len(), about(judgements.keys().next()));
        let mut queries = Vec::new();
        for (id, text) in read {
            let relevant = judgements.remove(&id).unwrap_or_default();
            if relevant.values().any(|grade| *grade > 0) {
                queries.push(JudgedQuery { id, text, relevant });
            }
        }
        if queries.is_empty() {
            let (query, judgement) = (first, first_judged);
            return Err(QuerySetError::NothingJudged { queries: all, query, judged, judgement });
        }
        Ok(Self { unjudged: all - queries.len(), strange: judgements.len(), queries })
    }
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines().enumerate().map(|(at, line)| (at + 1, line)).filter(|(_, line)| !line.trim().is_empty())
}

/// The id and the text of each question.
fn questions(text: &str) -> Result<Vec<(String, String)>, QuerySetError> {
    let (mut found, mut ids) = (Vec::new(), BTreeSet::new());
    for (line, content) in lines(text) {
        let wrong = |cause: String| QuerySetError::Query { line, cause };
        let (id, text) = question(content).map_err(wrong)?;
        check_text(&text).map_err(wrong)?;
        if !ids.insert(id.clone()) {
            return Err(wrong(format!("the id {id:?} stands twice")));
        }
        found.push((id, text));
    }
    Ok(found)
}

fn question(line: &str) -> Result<(String, String), String> {
    let line = line.trim();
    if line.starts_with('{') {
        let QueryLine { id, text } = serde_json::from_str(line)
            .map_err(|e| format!("{e}; a line of JSON has the members \"_id\" and \"text\""))?;
        let id = match id {
            Value::String(id) => id,
            Value::Number(id) => id.to_string(),
            _ => return Err("\"_id\" is neither a text nor a number".to_owned()),
        };
        return Ok((id, text));
    }
    let (id, text) = line
        .split_once('\t')
        .ok_or("write {\"_id\": \"q1\", \"text\": \"...\"} (BEIR), or the id, a tab and the question (TREC)")?;
    Ok((id.trim().to_owned(), text.trim().to_owned()))
}

/// The judgements of each question.
fn judgements(text: &str) -> Result<BTreeMap<String, Judgements<DocumentId>>, QuerySetError> {
    let mut found = BTreeMap::<String, Judgements<DocumentId>>::new();
    for (line, content) in lines(text) {
        let wrong = |cause: String| QuerySetError::Judgement { line, cause };
        let [query, document, grade] = judgement(content).ok_or_else(|| {
            wrong("write question, tab, document, tab, grade (BEIR), or question 0 document grade (TREC)".to_owned())
        })?;
        let Ok(grade) = grade.parse::<i64>() else {
            // BEIR names its columns.
            if line == 1 {
                continue;
            }
            return Err(wrong(format!("the grade {grade:?} is no whole number")));
        };
        let document = document.parse().map_err(|e| wrong(format!("{e}")))?;
        // TREC grades spam below 0.
        let grade = u32::try_from(grade.max(0)).unwrap_or(u32::MAX);
        found.entry(query.to_owned()).or_default().insert(document, grade);
    }
    Ok(found)
}

/// Question, document and grade of a line. A document's id may hold spaces.
fn judgement(line: &str) -> Option<[&str; 3]> {
    let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
    match fields[..] {
        [query, document, grade] | [query, _, document, grade] => return Some([query, document, grade]),
        _ => {}
    }
    let (query, rest) = line.trim().split_once(char::is_whitespace)?;
    let (_iteration, rest) = rest.trim_start().split_once(char::is_whitespace)?;
    let (document, grade) = rest.trim().rsplit_once(char::is_whitespace)?;
    Some([query, document.trim(), grade])
}

fn check_text(text: &str) -> Result<(), String> {
    match text.len() {
        _ if text.trim().is_empty() => Err("the question is empty".to_owned()),
        bytes if bytes > Query::MAX_TEXT_BYTES => {
            Err(format!("{bytes} bytes; a question has at most {}", Query::MAX_TEXT_BYTES))
        }
        _ => Ok(()),
    }
}

/// Whether a question may be measured.
pub fn check(query: &JudgedQuery) -> Result<(), String> {
    check_text(&query.text).map_err(|why| format!("text: {why}"))?;
    if !query.relevant.values().any(|grade| *grade > 0) {
        return Err("relevant: no document; name at least one".to_owned());
    }
    let ids: usize = query.relevant.keys().map(|document| document.as_str().len()).sum();
    match query.id.len() + query.text.len() + ids {
        bytes if bytes > MAX_QUERY_BYTES => {
            Err(format!("{bytes} bytes with its ids; a question has at most {MAX_QUERY_BYTES}"))
        }
        _ => Ok(()),
    }
}

/// Some of the items, in their order: the same ones each time.
pub fn drawn<T>(items: Vec<T>, most: usize) -> Vec<T> {
    if items.len() <= most {
        return items;
    }
    let chosen: BTreeSet<usize> =
        index::sample(&mut StdRng::seed_from_u64(SEED), items.len(), most).into_iter().collect();
    items.into_iter().enumerate().filter(|(at, _)| chosen.contains(at)).map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BEIR: &str =
        "{\"_id\": \"q1\", \"text\": \"how long?\", \"metadata\": {}}\n{\"_id\": 2, \"text\": \"why?\"}\n";

    fn read(queries: &str, qrels: &str) -> QuerySet {
        QuerySet::read(queries, qrels).unwrap()
    }

    fn refused(queries: &str, qrels: &str) -> String {
        QuerySet::read(queries, qrels).unwrap_err().to_string()
    }

    fn query(id: &str, text: &str, relevant: &[(&str, u32)]) -> JudgedQuery {
        let relevant = relevant.iter().map(|(id, grade)| (id.parse().unwrap(), *grade)).collect();
        JudgedQuery { id: id.to_owned(), text: text.to_owned(), relevant }
    }

    #[test]
    fn both_forms_say_the_same() {
        let expected = vec![query("q1", "how long?", &[("ops/a b.md", 2), ("c", 0)]), query("2", "why?", &[("c", 1)])];
        let beir = "query-id\tcorpus-id\tscore\nq1\tops/a b.md\t2\nq1\tc\t0\n2\tc\t1\n";
        let trec = "q1 0 ops/a b.md 2\nq1 0 c -1\n\n2  Q0  c   1\n";
        let tabbed = "q1\t0\tops/a b.md\t2\r\nq1\t0\tc\t0\r\n2\t0\tc\t1\r\n";
        for queries in
            [BEIR, "\u{feff}q1\thow long?\n2\twhy?\n", "{\"id\": \"q1\", \"query\": \"how long?\"}\n2\t why? "]
        {
            for qrels in [beir, trec, tabbed] {
                assert_eq!(read(queries, qrels).queries, expected, "{queries} {qrels}");
            }
        }
    }

    #[test]
    fn what_cannot_be_measured_is_counted() {
        let set = read(BEIR, "q1\td\t1\n2\td\t0\nq9\td\t1\n");
        assert_eq!((set.queries.len(), set.unjudged, set.strange), (1, 1, 1));
    }

    #[test]
    fn a_wrong_line_is_named_with_what_is_right() {
        let qrels = "q1\td\t1\n";
        for (queries, judgements, expected) in [
            ("<top>", qrels, "queries, line 1: write {\"_id\": \"q1\""),
            ("{\"_id\": \"q1\"}", qrels, "missing field `text`"),
            ("{\"_id\": [], \"text\": \"a\"}", qrels, "neither a text nor a number"),
            ("q1\ta\n\nq1\tb", qrels, "queries, line 3: the id \"q1\" stands twice"),
            ("q1\t ", qrels, "queries, line 1: write"),
            (BEIR, "q1 d 1\n", "qrels, line 1: write"),
            (BEIR, "q1\td\tx\nq1\td\ty\n", "qrels, line 2: the grade \"y\""),
            (BEIR, "q1\t\t1\n", "qrels, line 1: a document id is empty"),
            (BEIR, "q7\td\t1\n", "2 questions such as \"q1\", judgements of 1 such as \"q7\""),
            ("", "", "0 questions such as none"),
        ] {
            let said = refused(queries, judgements);
            assert!(said.contains(expected), "{queries} {judgements}: {said}");
        }
    }

    #[test]
    fn a_question_is_bounded_with_its_ids() {
        assert_eq!(check(&query("q", "a", &[("d", 1)])), Ok(()));
        let long = "x".repeat(Query::MAX_TEXT_BYTES + 1);
        let ids: Vec<String> = (0..40).map(|n| format!("{n}{}", "x".repeat(500))).collect();
        let many: Vec<(&str, u32)> = ids.iter().map(|id| (id.as_str(), 1)).collect();
        for (wrong, expected) in [
            (query("q", " ", &[("d", 1)]), "text: the question is empty"),
            (query("q", &long, &[("d", 1)]), "text: 8193 bytes"),
            (query("q", "a", &[("d", 0)]), "relevant: no document"),
            (query("q", "a", &many), "a question has at most 16384"),
        ] {
            let said = check(&wrong).unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn a_draw_is_the_same_each_time_and_keeps_the_order() {
        let all: Vec<u32> = (0..500).collect();
        let some = drawn(all.clone(), 100);
        assert_eq!((some.len(), &some), (100, &drawn(all.clone(), 100)));
        assert!(some.is_sorted() && some.last() > Some(&400), "drawn from everywhere: {some:?}");
        assert_eq!(drawn(all.clone(), 500), all);
    }

    proptest! {
        #[test]
        fn no_file_makes_it_panic(queries in "\\PC*", qrels in "(\\PC*\t?\n?)*") {
            let _either = QuerySet::read(&queries, &qrels);
        }
    }
}
