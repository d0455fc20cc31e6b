//! Forty questions in four languages, by the words alone: what the lexical leg finds where no model knows the language.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;

const CORPUS: &str = include_str!("../../../../tests/eval/languages/corpus.jsonl");
const QUERIES: &str = include_str!("../../../../tests/eval/languages/queries.jsonl");
const QRELS: &str = include_str!("../../../../tests/eval/languages/qrels.tsv");

fn lines(text: &str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

/// Of each language how many of its questions there are, and of how many the rule is the first, and one of five passages.
async fn found_by_words() -> BTreeMap<String, (u32, u32, u32)> {
    let mut corpus = Corpus::empty().await;
    let (store, records) = (Arc::clone(&corpus.store), Arc::clone(&corpus.records));
    let settings = Settings { min_score: MinScore::Fixed(-1.0), ..Settings::default() };
    corpus.retrieve = Retrieve::new(store, records, Arc::<EmbedderDouble>::default(), settings);
    for document in lines(CORPUS) {
        let field = |name: &str| document[name].as_str().unwrap().to_owned();
        corpus.ingested("", &field("_id"), &[], &format!("{}\n\n{}", field("title"), field("text"))).await;
    }
    let relevant: BTreeMap<&str, &str> = QRELS
        .lines()
        .skip(1)
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .map(|fields| (fields[0], fields[1]))
        .collect();
    let mut languages = BTreeMap::<String, (u32, u32, u32)>::new();
    for question in lines(QUERIES) {
        let (id, text) = (question["_id"].as_str().unwrap(), question["text"].as_str().unwrap());
        let answer = corpus.ask(text, Mode::Lexical, 5).await;
        let found = found(&answer);
        let (all, first, five) = languages.entry(id[..2].to_owned()).or_default();
        *all += 1;
        *first += u32::from(found.first() == Some(&relevant[id]));
        *five += u32::from(found.contains(&relevant[id]));
        if found.first() != Some(&relevant[id]) {
            println!("{id} {text}: {found:?}");
        }
    }
    languages
}

#[tokio::test]
async fn rules_in_four_languages_are_found_by_other_forms_of_their_words() {
    let languages = found_by_words().await;
    println!("language (questions, first, in five): {languages:?}");
    assert_eq!(languages.len(), 4);
    for (language, (all, first, five)) in languages {
        assert!(all == 10 && first >= 9 && five == 10, "{language}: first {first}, in five {five} of {all}");
    }
}
