//! Questions that the budget keeps from being embedded.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::doubles::OverBudget;

async fn ask(retrieve: &Retrieve, text: &str, mode: Mode) -> Result<Retrieved, RetrieveError> {
    retrieve.retrieve(&Query { text: text.to_owned(), mode, top_k: 4, ..Query::default() }, None).await
}

fn is_over_budget(found: Result<Retrieved, RetrieveError>) -> bool {
    found.unwrap_err().is_over_budget()
}

#[tokio::test]
async fn a_question_that_is_not_embedded_is_found_by_its_words_and_that_is_said() {
    let retrieve = retention().await.retrieve.uncached(Arc::new(OverBudget::default())).searching_by_words(|| true);
    for mode in [Mode::Hybrid, Mode::Lexical] {
        let retrieved = ask(&retrieve, "how long are daily snapshots kept", mode).await.unwrap();
        assert_eq!(found(&retrieved)[0], "backup");
        assert_eq!(retrieved.degraded, [Degradation::DenseSkipped]);
        assert!(matches!(retrieved.evidence, Evidence::Covered(share) if (0.5..=1.0).contains(&share)));
        assert_eq!((retrieved.explanation.evidence.as_str(), retrieved.explanation.best_cosine), ("covered", None));
    }
}

#[tokio::test]
async fn without_evidence_in_its_words_there_is_an_error_and_no_empty_result() {
    let retrieve = retention().await.retrieve.uncached(Arc::new(OverBudget::default())).searching_by_words(|| true);
    for (text, mode) in [
        ("which football club won the league", Mode::Hybrid),
        ("daily football results of the league", Mode::Hybrid),
        ("??", Mode::Lexical),
        ("how long are daily snapshots kept", Mode::Dense),
    ] {
        assert!(is_over_budget(ask(&retrieve, text, mode).await), "{text}");
    }
}

#[tokio::test]
async fn words_alone_are_searched_only_while_that_is_allowed() {
    let corpus = retention().await;
    let unpaid = || corpus.retrieve.uncached(Arc::new(OverBudget::default()));
    let allowed = Arc::new(AtomicBool::new(false));
    let followed = Arc::clone(&allowed);
    let retrieve = unpaid().searching_by_words(move || followed.load(Ordering::SeqCst));
    let question = "how long are daily snapshots kept";
    assert!(is_over_budget(ask(&unpaid(), question, Mode::Hybrid).await), "nobody said that it may");
    assert!(is_over_budget(ask(&retrieve, question, Mode::Hybrid).await));
    allowed.store(true, Ordering::SeqCst);
    assert!(ask(&retrieve, question, Mode::Hybrid).await.is_ok());
    let measured = retrieve.uncached(Arc::new(OverBudget::default()));
    assert!(is_over_budget(ask(&measured, question, Mode::Hybrid).await), "who measures the search measures no other");
}
