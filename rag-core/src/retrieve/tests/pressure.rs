//! What decides the order behind the legs, what is left out when time is short, and what is said of it.

use super::*;

/// Prefers the text that holds a word, or does what a failing service does.
#[tokio::test]
async fn under_pressure_rerank_goes_first_then_the_lexical_leg_then_context() {
    let mut corpus = retention().await;
    corpus.retrieve = corpus.retrieve.reranking(Arc::new(RerankerDouble(Ok("monthly"))), 10);
    let all = [Degradation::RerankSkipped, Degradation::LexicalSkipped, Degradation::ContextShortened];
    // Far from each limit on either side, so that a slow machine decides nothing: an hour, and nothing at all.
    let calm = corpus.hurry(QUESTION, Duration::from_secs(3600)).await;
    assert_eq!((calm.degraded, calm.passages.len()), (vec![], 4));
    let hurried = corpus.hurry(QUESTION, Duration::ZERO).await;
    assert_eq!((hurried.degraded.as_slice(), hurried.passages.len()), (&all[..], 2));
    assert_eq!(found(&hurried)[0], "backup");
    assert!(RERANK_NEEDS > LEXICAL_NEEDS && LEXICAL_NEEDS > CONTEXT_NEEDS, "given up in this order");
}

#[tokio::test]
async fn a_reranker_decides_the_order_and_a_failing_one_is_skipped_and_said() {
    let mut corpus = retention().await;
    corpus.retrieve = corpus.retrieve.reranking(Arc::new(RerankerDouble(Ok("monthly"))), 10);
    let ordered = corpus.ask(QUESTION, Mode::Hybrid, 4).await;
    assert_eq!((found(&ordered)[0], ordered.degraded.len()), ("other", 0));
    assert_eq!(ordered.explanation.hits[0].reranked, Some(1.0));
    let broken = RerankError::Refused { address: "http://r".to_owned(), status: 500 };
    corpus.retrieve = corpus.retrieve.reranking(Arc::new(RerankerDouble(Err(broken))), 10);
    let fused = corpus.ask(QUESTION, Mode::Hybrid, 4).await;
    assert_eq!((found(&fused)[0], fused.degraded.as_slice()), ("backup", &[Degradation::RerankFailed][..]));
}

#[tokio::test]
async fn one_document_does_not_fill_every_place_unless_a_reranker_says_so() {
    let mut corpus = Corpus::empty().await;
    for ordinal in 0..4 {
        let text = format!("daily snapshots are kept long by rule {ordinal}");
        corpus.part("rules", "v", ordinal * 2, &text).await;
    }
    corpus.store("other", "v", "daily snapshots are kept long in the cellar by the keeper").await;
    for document in ["rules", "other"] {
        corpus.commit(document, "v").await;
    }
    let spread = corpus.ask(QUESTION, Mode::Dense, 3).await;
    assert!(found(&spread).contains(&"other"), "{:?}", found(&spread));
    assert!(spread.passages.is_sorted_by(|a, b| a.score >= b.score));
    corpus.retrieve = corpus.retrieve.reranking(Arc::new(RerankerDouble(Ok("rule"))), 10);
    assert_eq!(found(&corpus.ask(QUESTION, Mode::Dense, 3).await), ["rules"; 3]);
}

#[tokio::test]
async fn an_explanation_has_the_places_of_each_passage_in_each_leg() {
    let corpus = retention().await;
    let retrieved = corpus.ask(QUESTION, Mode::Hybrid, 4).await;
    let told = &retrieved.explanation;
    assert_eq!((told.mode.as_str(), told.evidence.as_str()), ("Hybrid", "near"));
    assert_eq!(told.stages.iter().map(|stage| stage.name.as_str()).collect::<Vec<_>>(), ["embed", "search"]);
    assert_eq!(told.hits.len(), retrieved.passages.len());
    let best = &told.hits[0];
    assert_eq!(best.chunk, retrieved.passages[0].chunk.id.0.to_string());
    assert_eq!((best.dense.map(|place| place.rank), best.lexical.map(|place| place.rank)), (Some(1), Some(1)));
    assert_eq!(told.best_cosine, best.dense.map(|place| place.score));
    let dense = corpus.ask(QUESTION, Mode::Dense, 4).await.explanation;
    assert_eq!((dense.candidates.lexical, dense.hits[0].lexical), (0, None));
}
