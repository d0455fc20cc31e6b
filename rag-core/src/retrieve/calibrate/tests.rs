use std::sync::Arc;

use super::*;
use crate::{
    doubles::{EmbedderDouble, RecordsDouble, StoreDouble},
    lexical,
    model::{Chunk, ChunkId, ContentHash, Point},
    ports::{Embedder as _, Records as _, VectorStore as _},
};

async fn corpus(texts: impl IntoIterator<Item = String>) -> (Arc<StoreDouble>, Arc<RecordsDouble>) {
    let (store, embedder) = (Arc::<StoreDouble>::default(), EmbedderDouble::default());
    store.create_epoch(Epoch(1), embedder.model().dimension).await.unwrap();
    store.activate(Epoch(1)).await.unwrap();
    add(&store, texts).await;
    (store, Arc::default())
}

async fn add(store: &StoreDouble, texts: impl IntoIterator<Item = String>) {
    let (embedder, mut points) = (EmbedderDouble::default(), Vec::new());
    let first = u32::try_from(store.count(Epoch(1)).await.unwrap()).unwrap();
    for (ordinal, text) in (first..).zip(texts) {
        let (document, version) = ("d".parse().unwrap(), ContentHash("v".to_owned()));
        let dense = embedder.embed_query(&text).await.unwrap();
        let sparse = lexical::passage("", &[], &text);
        let id = ChunkId::new(&document, &version, ordinal);
        let (title, headings) = (String::new(), Vec::new());
        let chunk = Chunk { id, document, version, ordinal, title, headings, text };
        points.push(Point { chunk, dense, sparse, labels: Vec::new() });
    }
    store.upsert(Epoch(1), points).await.unwrap();
}

fn retrieve(store: &Arc<StoreDouble>, records: &Arc<RecordsDouble>, min_score: MinScore) -> Retrieve {
    over(store, records, Settings { min_score, ..Settings::default() })
}

fn over(store: &Arc<StoreDouble>, records: &Arc<RecordsDouble>, settings: Settings) -> Retrieve {
    let (store, records) = (Arc::clone(store), Arc::clone(records));
    Retrieve::new(store, records, Arc::<EmbedderDouble>::default(), settings)
}

/// Texts that share no word with the cohort.
fn unrelated(count: usize) -> impl Iterator<Item = String> + Clone {
    (0..count).map(|n| format!("zq{n} xq{n} wq{n}"))
}

#[test]
fn the_cohort_is_large_and_has_no_question_twice() {
    let different: std::collections::BTreeSet<_> = COHORT.lines().collect();
    assert_eq!((COHORT.lines().count(), different.len()), (100, 100));
}

#[test]
fn the_threshold_stands_two_deviations_above_the_median_and_outliers_do_not_move_it() {
    let reached: Vec<f32> = (0..=100).map(|n| n as f32 / 100.0).collect();
    // Median 0.5, median absolute deviation 0.25.
    assert!((above(reached) - (0.5 + 2.054 * 1.4826 * 0.25)).abs() < 1e-6);
    let misled = [vec![0.2; 90], vec![1.2; 10]].concat();
    assert!((above(misled) - 0.2).abs() < 1e-6);
    // A third of the cohort is answered. By deviations to both sides the threshold would be 0.354, by those below it is 0.326, and without the answered ones 0.285.
    let narrow = |n: i32| 0.2 + n as f32 / 1000.0;
    let answered: Vec<f32> = (0..=66).map(narrow).chain((0..34).map(|n| 0.9 + n as f32 / 100.0)).collect();
    assert!((above(answered) - 0.326).abs() < 1e-3);
    assert_eq!(above(Vec::new()), 0.0);
}

#[tokio::test]
async fn a_collection_that_unrelated_questions_do_not_reach_gets_the_lowest_threshold_and_one_that_they_do_a_higher_one()
 {
    let (store, records) = corpus(unrelated(200)).await;
    let found = retrieve(&store, &records, MinScore::LOCAL);
    found.calibrate().await.unwrap();
    assert_eq!(found.min_score(), 0.30);
    let (store, records) = corpus(COHORT.lines().cycle().take(200).map(str::to_owned)).await;
    let found = retrieve(&store, &records, MinScore::LOCAL);
    found.calibrate().await.unwrap();
    assert_eq!(found.min_score(), 0.55);
}

#[tokio::test]
async fn the_threshold_is_found_once_and_used_by_every_replica_until_the_collection_changes() {
    let (store, records) = corpus(unrelated(200)).await;
    retrieve(&store, &records, MinScore::LOCAL).calibrate().await.unwrap();
    let other = retrieve(&store, &records, MinScore::LOCAL);
    assert_eq!(other.min_score(), 0.40);
    other.recall_threshold().await.unwrap();
    assert_eq!(other.min_score(), 0.30);
    let before = records.get(Kind::Corpus, "calibration-e1").await.unwrap().unwrap();
    other.calibrate().await.unwrap();
    assert_eq!(records.get(Kind::Corpus, "calibration-e1").await.unwrap().unwrap(), before);
}

#[tokio::test]
async fn a_collection_that_changed_by_more_than_a_fifth_is_measured_again() {
    let (store, records) = corpus(unrelated(200)).await;
    retrieve(&store, &records, MinScore::LOCAL).calibrate().await.unwrap();
    let recorded = async |chunks: u64| {
        let record = records.get(Kind::Corpus, "calibration-e1").await.unwrap().unwrap();
        record.body["chunks"] == chunks
    };
    for (more, measured) in [(40, 200), (1, 241)] {
        add(&store, COHORT.lines().cycle().take(more).map(str::to_owned)).await;
        // One that knows nothing of the size that was.
        retrieve(&store, &records, MinScore::LOCAL).calibrate().await.unwrap();
        assert!(recorded(measured).await, "{more} chunks more");
    }
}

#[tokio::test]
async fn a_small_collection_and_a_configured_threshold_are_left_alone() {
    let (store, records) = corpus(unrelated(99)).await;
    let small = retrieve(&store, &records, MinScore::LOCAL);
    small.calibrate().await.unwrap();
    assert_eq!(small.min_score(), 0.40);
    let (store, records) = corpus(unrelated(200)).await;
    let fixed = retrieve(&store, &records, MinScore::Fixed(0.7));
    fixed.recall_threshold().await.unwrap();
    fixed.calibrate().await.unwrap();
    assert_eq!(fixed.min_score(), 0.7);
    // Another one that finds the record is configured otherwise, and uses what was measured.
    let other = retrieve(&store, &records, MinScore::LOCAL);
    other.recall_threshold().await.unwrap();
    assert_eq!(other.min_score(), 0.30);
}

#[tokio::test]
async fn what_unrelated_texts_reach_is_measured_whatever_the_threshold_is_and_in_the_smallest_collection_of_an_unknown_model()
 {
    let settings = |min_score, unrelated| Settings { min_score, unrelated, ..Settings::default() };
    for (texts, min_score, rule, expected) in [
        // Nothing is nearer than nothing.
        (unrelated(1).collect::<Vec<_>>(), MinScore::UNKNOWN, Unrelated::UNKNOWN, 0.0),
        (unrelated(3).collect(), MinScore::LOCAL, Unrelated::LOCAL, 0.30),
        (unrelated(1).cycle().take(200).collect(), MinScore::Fixed(0.7), Unrelated::LOCAL, 0.25),
        (COHORT.lines().map(str::to_owned).collect(), MinScore::Fixed(0.7), Unrelated::LOCAL, 1.0),
        (Vec::new(), MinScore::UNKNOWN, Unrelated::UNKNOWN, 0.85),
    ] {
        let (store, records) = corpus(texts).await;
        let found = over(&store, &records, settings(min_score, rule));
        assert_eq!(found.unrelated(), rule.start);
        found.calibrate().await.unwrap();
        assert!((found.unrelated() - expected).abs() < 1e-5, "{} of {rule:?}", found.unrelated());
        let replica = over(&store, &records, settings(min_score, rule));
        replica.recall_threshold().await.unwrap();
        assert_eq!(replica.unrelated(), found.unrelated());
    }
}

#[tokio::test]
async fn a_small_collection_is_measured_again_once_it_tells_enough() {
    let (store, records) = corpus(unrelated(3)).await;
    let settings = Settings { min_score: MinScore::UNKNOWN, unrelated: Unrelated::UNKNOWN, ..Settings::default() };
    over(&store, &records, settings).calibrate().await.unwrap();
    let recorded = async || records.get(Kind::Corpus, "calibration-e1").await.unwrap().unwrap();
    let first = recorded().await;
    assert_eq!(first.body["min_score"], serde_json::Value::Null);
    add(&store, unrelated(90)).await;
    over(&store, &records, settings).calibrate().await.unwrap();
    assert_eq!(recorded().await, first);
    add(&store, unrelated(90)).await;
    over(&store, &records, settings).calibrate().await.unwrap();
    assert_eq!(recorded().await.body["chunks"], 183);
}
