//! What is called supported, with the real model: a set of sentences beside the passages that they are made from, some true to them and some changed.
//!
//! The set (`fixtures/claims.txt`) has two halves, by a hash of the passage. The checks and their constants were chosen on the one; what they are worth shows the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use rag_server::{
    generate,
    model::{Chunk, ChunkId, ContentHash},
    ports::Passage,
};

use super::embedder::embedder;

/// What unrelated texts reach with the local model where nothing was measured.
const UNRELATED: f32 = 0.30;

fn passage(text: &str) -> Passage {
    let (document, version) = ("d".parse().unwrap(), ContentHash("v".to_owned()));
    let id = ChunkId::new(&document, &version, 0);
    let (title, headings, text) = (String::new(), Vec::new(), text.to_owned());
    Passage { chunk: Chunk { id, document, version, ordinal: 0, title, headings, text }, score: 1.0 }
}

/// Whether every sentence of a claim is supported, and why one is not.
async fn judged(claim: &str, text: &str) -> (bool, Option<String>) {
    let judged = generate::judge(&format!("{claim} [1]"), &[passage(text)], &*embedder(), UNRELATED).await;
    assert!(!judged.is_empty(), "{claim}");
    let reason = judged.iter().find_map(|sentence| sentence.reason.clone());
    (judged.iter().all(|sentence| sentence.supported), reason)
}

async fn none_is_supported(text: &str, claims: &[&str]) {
    for claim in claims {
        let (supported, reason) = judged(claim, text).await;
        assert!(!supported && reason.is_some(), "{claim:?} is called supported by {text:?}");
    }
}

async fn each_is_supported(text: &str, claims: &[&str]) {
    for claim in claims {
        let (supported, reason) = judged(claim, text).await;
        assert!(supported, "{claim:?} by {text:?}: {reason:?}");
    }
}

#[tokio::test]
async fn a_figure_that_ends_another_figure_is_not_supported_by_it() {
    none_is_supported("25 GB are allowed per user and day.", &["5 GB are allowed per user and day."]).await;
    none_is_supported("1,250 users are allowed.", &["250 users are allowed.", "50 users are allowed."]).await;
    none_is_supported("25 GB sind pro Nutzer und Tag erlaubt.", &["5 GB sind pro Nutzer und Tag erlaubt."]).await;
}

#[tokio::test]
async fn a_sentence_that_says_the_opposite_of_its_passage_is_not_supported() {
    let stored = "Daily snapshots are kept for 7 days.";
    let wrong = [
        "Daily snapshots are never kept and are erased at once.",
        "Daily snapshots are kept forever.",
        "Nobody keeps daily snapshots.",
        "Daily snapshots are stored on tape in Berlin by the janitor.",
        "Daily snapshots are kept for nine days.",
        "Weekly snapshots are kept for 7 days.",
    ];
    none_is_supported(stored, &wrong).await;
    each_is_supported(stored, &["Daily snapshots are kept for seven days.", "Daily snapshots are kept for a week."])
        .await;
    none_is_supported("It is false that snapshots are kept for 7 days.", &["Snapshots are kept for 7 days."]).await;
}

#[tokio::test]
async fn a_german_sentence_that_says_the_opposite_of_its_passage_is_not_supported() {
    let stored = "Tägliche Sicherungen werden 7 Tage aufbewahrt.";
    let wrong = [
        "Tägliche Sicherungen werden nie aufbewahrt und sofort gelöscht.",
        "Tägliche Sicherungen werden für immer aufbewahrt.",
        "Niemand bewahrt tägliche Sicherungen auf.",
        "Tägliche Sicherungen werden vom Hausmeister in Berlin auf Band aufbewahrt.",
        "Tägliche Sicherungen werden neun Tage aufbewahrt.",
        "Wöchentliche Sicherungen werden 7 Tage aufbewahrt.",
        "Tägliche Sicherungen werden 7 Tage nicht aufbewahrt.",
    ];
    none_is_supported(stored, &wrong).await;
    each_is_supported(stored, &["Tägliche Sicherungen werden sieben Tage aufbewahrt."]).await;
    none_is_supported(
        "Es ist falsch, dass Sicherungen 7 Tage aufbewahrt werden.",
        &["Sicherungen werden 7 Tage aufbewahrt."],
    )
    .await;
}

/// A sentence of the set.
struct Case {
    passage: String,
    /// What was changed; none where nothing was.
    change: Option<String>,
    claim: String,
    /// Of the half on which the checks were chosen.
    chosen_on: bool,
}

fn cases() -> Vec<Case> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rag-core/tests/fixtures/claims.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let mut cases = Vec::new();
    for block in text.split("\n\n") {
        let mut lines = block.lines();
        let passage = lines.next().and_then(|line| line.strip_prefix("> ")).expect("a block begins with its passage");
        let hash =
            passage.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        for line in lines {
            let (change, claim) = match line.strip_prefix("= ") {
                Some(claim) => (None, claim),
                None => line.split_once(": ").map(|(change, claim)| (Some(change.to_owned()), claim)).unwrap(),
            };
            let chosen_on = (hash >> 7) & 1 == 0;
            cases.push(Case { passage: passage.to_owned(), change, claim: claim.to_owned(), chosen_on });
        }
    }
    cases
}

#[tokio::test]
async fn of_changed_sentences_hardly_one_is_called_supported_and_of_true_ones_most_are() {
    let cases = cases();
    let changed = cases.iter().filter(|case| case.change.is_some()).count();
    assert!(changed >= 200 && cases.len() - changed >= 60, "the set is large enough to say something");
    let mut table = Table::new();
    for case in &cases {
        let (supported, reason) = judged(&case.claim, &case.passage).await;
        let kind = case.change.as_deref().unwrap_or(TRUE);
        let all = case.change.is_some().then_some(CHANGED);
        for kind in [kind].into_iter().chain(all) {
            let count = table.entry((kind.to_owned(), case.chosen_on)).or_default();
            count.0 += usize::from(supported);
            count.1 += 1;
        }
        // What goes wrong in the other half stays unseen.
        if case.chosen_on && supported == case.change.is_some() {
            println!("{:?}: {:?} by {:?}: {:?}", case.change, case.claim, case.passage, reason);
        }
    }
    print(&table);
    for chosen_on in [true, false] {
        let share = |kind: &str| {
            let (supported, of) = table[&(kind.to_owned(), chosen_on)];
            supported as f64 / of as f64
        };
        assert!(share(CHANGED) <= 0.05, "{:.3} of the changed sentences are called supported", share(CHANGED));
        assert!(share(TRUE) >= 0.85, "{:.3} of the true sentences are called supported", share(TRUE));
    }
}

/// Sentences by what was changed in them and the half that they are of: how many are called supported, and of how many.
type Table = BTreeMap<(String, bool), (usize, usize)>;

/// Sentences in which nothing was changed.
const TRUE: &str = "nothing";
/// Those in which something was, whatever it is.
const CHANGED: &str = "anything";

/// Prints the counts as a table of Markdown. Precision is the share of true ones among what is called supported, of them and of those with this change; recall the share of the true ones that is called so.
fn print(table: &Table) {
    let halves =
        |kind: &str| [true, false].map(|half| table.get(&(kind.to_owned(), half)).copied().unwrap_or_default());
    let percent = |part: usize, of: usize| format!("{:.1} %", 100.0 * part as f64 / of.max(1) as f64);
    let kinds: BTreeSet<&str> = table.keys().map(|(kind, _)| kind.as_str()).collect();
    let [_, (true_ones, _)] = halves(TRUE);
    println!(
        "| what was changed | called supported, chosen on | called supported, the other half | precision, the other half | recall, the other half |"
    );
    println!("| --- | --- | --- | --- | --- |");
    for kind in kinds {
        let [(on, of_on), (other, of_other)] = halves(kind);
        let (precision, recall) = match kind {
            TRUE => (String::new(), percent(other, of_other)),
            _ => (percent(true_ones, true_ones + other), String::new()),
        };
        println!("| {kind} | {on} of {of_on} | {other} of {of_other} | {precision} | {recall} |");
    }
}
