//! The contract of `VectorStore`, clause by clause.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use async_trait::async_trait;
use rag_server::{
    model::{Chunk, ChunkId, ChunkPlace, ContentHash, DocumentId, Hit, Legs, Point, Scored, SparseVector, Tenant},
    ports::{Epoch, Only, Scan, Search, StoreError, VectorStore},
};

/// Length of the vectors in this suite.
pub(crate) const DIMENSION: usize = 4;

const FIRST: Epoch = Epoch(1);

/// Storage of its own for one clause, and the way to it.
#[async_trait]
pub(crate) trait Storage: Send + Sync {
    /// Whether two handles may be open at once.
    const SHARED: bool;

    /// Why this storage cannot be had here, if it cannot.
    fn skipped() -> Option<String> {
        None
    }

    /// Where there is such storage; the suite runs at each place, and [`PLACE`](crate::PLACE) tells `fresh` at which.
    fn places() -> Vec<String> {
        vec!["here".to_owned()]
    }

    /// New, empty storage.
    async fn fresh() -> Self;

    /// A handle on it.
    async fn open(&self) -> Arc<dyn VectorStore>;
}

/// Makes one test of each clause for a [`Storage`].
macro_rules! vector_store_suite {
    ($storage:ty) => {
        $crate::vector_store::vector_store_suite!($storage:
            before_the_first_activation_a_search_finds_nothing,
            making_an_epoch_again_changes_nothing,
            an_epoch_that_does_not_exist_is_neither_activated_nor_searched,
            what_was_acknowledged_is_there_after_reopening,
            repeating_a_write_changes_nothing,
            a_later_write_of_the_same_chunk_replaces_it,
            the_dense_leg_ranks_by_cosine,
            a_distance_is_never_ranked_as_a_similarity,
            the_lexical_leg_ranks_by_weight_and_rarity,
            a_leg_is_bounded_and_empty_unless_asked_for,
            text_comes_back_byte_for_byte,
            chunks_are_read_from_the_active_epoch_and_missing_ones_left_out,
            a_new_epoch_is_searched_only_once_it_is_activated,
            a_purge_removes_the_named_version_and_nothing_else,
            a_purge_of_what_was_never_there_changes_nothing,
            a_purge_is_there_after_reopening,
            writers_at_once_lose_nothing,
            a_handle_sees_what_another_was_acknowledged,
            a_stored_chunk_comes_back_with_its_vector,
            a_vector_of_another_length_is_refused,
            a_large_write_is_taken_whole,
            a_tenant_is_searched_before_the_best_are_chosen,
            labels_are_looked_at_before_the_best_are_chosen,
            a_scan_gives_every_chunk_once_in_the_order_of_ids,
            a_scan_beside_writers_misses_nothing_that_stays,
            a_scan_needs_an_epoch_that_exists,
            a_dropped_epoch_is_gone_and_takes_no_write,
            the_active_epoch_is_not_dropped,
            the_index_is_told_of_an_epoch_that_exists_and_of_no_other,
        );
    };
    ($storage:ty: $($clause:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $clause() {
                if let Some(why) = <$storage as $crate::vector_store::Storage>::skipped() {
                    eprintln!("skipped, because {why}");
                    return;
                }
                for place in <$storage as $crate::vector_store::Storage>::places() {
                    eprintln!("at {place}");
                    $crate::PLACE.scope(place, $crate::vector_store::$clause::<$storage>()).await;
                }
            }
        )*
    };
}
pub(crate) use vector_store_suite;

/// A chunk of a document with the given vectors; its text is its place.
pub(crate) fn point(
    document: &str,
    version: &str,
    ordinal: u32,
    dense: [f32; DIMENSION],
    terms: &[(u32, f32)],
) -> Point {
    let document: DocumentId = document.parse().unwrap();
    let version = ContentHash(version.to_owned());
    let id = ChunkId::new(&document, &version, ordinal);
    let text = format!("{document} {} {ordinal}", version.0);
    let chunk =
        Chunk { id, document, version, ordinal, title: "A title".to_owned(), headings: vec!["One".to_owned()], text };
    let (indices, values) = terms.iter().copied().unzip();
    let length = dense.iter().map(|x| x * x).sum::<f32>().sqrt();
    Point {
        chunk,
        dense: dense.iter().map(|x| x / length).collect(),
        sparse: SparseVector { indices, values },
        labels: Vec::new(),
    }
}

async fn prepared(storage: &impl Storage, points: Vec<Point>) -> Arc<dyn VectorStore> {
    let store = storage.open().await;
    store.create_epoch(FIRST, DIMENSION).await.unwrap();
    store.upsert(FIRST, points).await.unwrap();
    store.activate(FIRST).await.unwrap();
    store
}

/// The same chunk as a tenant's, with labels.
fn owned(tenant: &str, labels: &[&str], point: Point) -> Point {
    let tenant: Tenant = tenant.to_owned().try_into().unwrap();
    let Point { mut chunk, dense, sparse, .. } = point;
    chunk.document = chunk.document.of(&tenant);
    chunk.id = ChunkId::new(&chunk.document, &chunk.version, chunk.ordinal);
    Point { chunk, dense, sparse, labels: labels.iter().map(|label| (*label).to_owned()).collect() }
}

/// A search of both legs for one tenant, or for all.
fn only(tenant: Option<&str>, labels: &[&[&str]]) -> Search {
    let group = |labels: &&[&str]| labels.iter().map(|label| (*label).to_owned()).collect();
    let tenant = tenant.map(|name| name.to_owned().try_into().unwrap());
    let only = Only { tenant, labels: labels.iter().map(group).collect() };
    Search { dense: Some(vec![1.0, 0.0, 0.0, 0.0]), only, ..lexical(&[7], 2) }
}

/// Names of tenants and documents of the hits of both legs, which must be the same.
async fn found(store: &dyn VectorStore, search: &Search) -> BTreeSet<(String, String)> {
    let legs = whole(store, search).await;
    let names = |hits: &[Hit]| -> BTreeSet<_> {
        let name = |hit: &Hit| (hit.chunk.document.tenant().as_str().to_owned(), hit.chunk.document.to_string());
        hits.iter().map(name).collect()
    };
    assert_eq!(names(&legs.dense), names(&legs.lexical));
    names(&legs.dense)
}

/// What was found with what it says, each leg best first.
#[derive(Debug)]
struct Whole {
    dense: Vec<Hit>,
    lexical: Vec<Hit>,
}

/// Searches, and reads whatever was found.
async fn whole(store: &dyn VectorStore, search: &Search) -> Whole {
    let legs = store.search(search).await.unwrap();
    let ids: Vec<ChunkId> = legs.dense.iter().chain(&legs.lexical).map(|hit| hit.chunk).collect();
    let chunks: BTreeMap<ChunkId, Chunk> =
        store.chunks(search.epoch, &ids).await.unwrap().into_iter().map(|chunk| (chunk.id, chunk)).collect();
    let read = |leg: Vec<Scored>| -> Vec<Hit> {
        leg.into_iter().map(|hit| Hit { chunk: chunks[&hit.chunk].clone(), score: hit.score }).collect()
    };
    Whole { dense: read(legs.dense), lexical: read(legs.lexical) }
}

fn named(names: &[(&str, &str)]) -> BTreeSet<(String, String)> {
    names.iter().map(|(tenant, document)| ((*tenant).to_owned(), (*document).to_owned())).collect()
}

/// However near the chunks of others are, they take no place among the hits.
pub(crate) async fn a_tenant_is_searched_before_the_best_are_chosen<S: Storage>() {
    let storage = S::fresh().await;
    let near = |document: &str, ordinal| point(document, "v", ordinal, [1.0, 0.1, 0.0, 0.0], &[(7, 2.0)]);
    let far = |document: &str| point(document, "v", 0, [0.4, 1.0, 0.0, 0.0], &[(7, 0.5)]);
    let mut points: Vec<_> = (0..5).map(|ordinal| owned("acme", &[], near("a", ordinal))).collect();
    points.extend([owned("", &[], far("a")), owned("other", &[], far("a")), owned("", &[], far("b"))]);
    let store = prepared(&storage, points).await;
    for (tenant, names) in [
        (Some(""), &[("", "a"), ("", "b")][..]),
        (Some("acme"), &[("acme", "a")]),
        (Some("other"), &[("other", "a")]),
        (Some("nobody"), &[]),
        (None, &[("acme", "a")]),
    ] {
        assert_eq!(found(&*store, &only(tenant, &[])).await, named(names), "{tenant:?}");
    }
    // Of the same name, only the one of the tenant goes.
    let document = "a".parse::<DocumentId>().unwrap();
    store.purge(FIRST, &document.clone().of(&"acme".parse().unwrap()), &version("v")).await.unwrap();
    assert_eq!(found(&*store, &only(Some("acme"), &[])).await, named(&[]));
    assert_eq!(found(&*store, &only(Some("other"), &[])).await, named(&[("other", "a")]));
}

/// One label of each group, before the best are chosen; and labels can be replaced.
pub(crate) async fn labels_are_looked_at_before_the_best_are_chosen<S: Storage>() {
    let storage = S::fresh().await;
    let with = |document: &str, labels: &[&str], near: f32| {
        owned("", labels, point(document, "v", 0, [near, 1.0, 0.0, 0.0], &[(7, near)]))
    };
    let points = vec![
        with("none", &[], 3.0),
        with("plain", &[], 2.5),
        with("en", &["lang-en", "team-a"], 0.5),
        with("de", &["lang-de", "team-a"], 0.4),
        with("fr", &["lang-fr", "team-b"], 0.3),
    ];
    let store = prepared(&storage, points).await;
    for (groups, names) in [
        (&[][..], &[("", "none"), ("", "plain")][..]),
        (&[&["lang-en"][..]], &[("", "en")]),
        (&[&["lang-de", "lang-fr"][..]], &[("", "de"), ("", "fr")]),
        (&[&["lang-en", "lang-fr"][..], &["team-b"][..]], &[("", "fr")]),
        (&[&["lang-it"][..]], &[]),
    ] {
        assert_eq!(found(&*store, &only(None, groups)).await, named(names), "{groups:?}");
    }
    store.relabel(FIRST, &"fr".parse().unwrap(), &["lang-it".to_owned()]).await.unwrap();
    assert_eq!(found(&*store, &only(None, &[&["lang-it"]])).await, named(&[("", "fr")]));
    assert_eq!(found(&*store, &only(None, &[&["team-b"]])).await, named(&[]));
    let both: Vec<_> = ["none", "fr"].map(|document| point(document, "v", 0, [1.0; DIMENSION], &[]).chunk.id).into();
    let mut stored = store.embedded(FIRST, &both).await.unwrap();
    stored.sort_by(|a, b| a.labels.cmp(&b.labels));
    assert_eq!(
        stored.iter().map(|stored| stored.labels.as_slice()).collect::<Vec<_>>(),
        [&[][..], &["lang-it".to_owned()]]
    );
    store.close().await.unwrap();
    let later = storage.open().await;
    assert_eq!(found(&*later, &only(Some(""), &[&["lang-it"]])).await, named(&[("", "fr")]));
}

fn dense(vector: [f32; DIMENSION], limit: usize) -> Search {
    Search { dense: Some(vector.to_vec()), limit, ..Search::default() }
}

fn lexical(terms: &[u32], limit: usize) -> Search {
    let lexical = SparseVector { indices: terms.to_vec(), values: vec![1.0; terms.len()] };
    Search { lexical: Some(lexical), limit, ..Search::default() }
}

fn texts(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| hit.chunk.text.as_str()).collect()
}

async fn all(store: &dyn VectorStore) -> BTreeSet<String> {
    let legs = whole(store, &dense([1.0, 0.0, 0.0, 0.0], 10_000)).await;
    texts(&legs.dense).into_iter().map(str::to_owned).collect()
}

fn close_to(found: f32, expected: f32) -> bool {
    (found - expected).abs() < 1e-3
}

pub(crate) async fn before_the_first_activation_a_search_finds_nothing<S: Storage>() {
    let storage = S::fresh().await;
    let store = storage.open().await;
    assert_eq!(store.active().await, Ok(None));
    assert_eq!(store.search(&dense([1.0, 0.0, 0.0, 0.0], 5)).await, Ok(Legs::default()));
    store.create_epoch(FIRST, DIMENSION).await.unwrap();
    assert_eq!(store.active().await, Ok(None));
    assert_eq!(store.search(&lexical(&[7], 5)).await, Ok(Legs::default()));
}

pub(crate) async fn making_an_epoch_again_changes_nothing<S: Storage>() {
    let storage = S::fresh().await;
    let store = prepared(&storage, vec![point("a", "v1", 0, [1.0, 0.0, 0.0, 0.0], &[])]).await;
    store.create_epoch(FIRST, DIMENSION).await.unwrap();
    store.activate(FIRST).await.unwrap();
    assert_eq!(store.count(FIRST).await, Ok(1));
    assert_eq!(all(&*store).await, BTreeSet::from(["a v1 0".to_owned()]));
}

pub(crate) async fn the_index_is_told_of_an_epoch_that_exists_and_of_no_other<S: Storage>() {
    let storage = S::fresh().await;
    let store = prepared(&storage, vec![point("a", "v1", 0, [1.0, 0.0, 0.0, 0.0], &[(1, 1.0)])]).await;
    let index = store.index(FIRST).await.unwrap();
    assert!(index.is_some_and(|index| index.segments > 0), "{index:?}");
    assert!(store.index(Epoch(9)).await.is_err());
}

pub(crate) async fn an_epoch_that_does_not_exist_is_neither_activated_nor_searched<S: Storage>() {
    let storage = S::fresh().await;
    let store = prepared(&storage, vec![]).await;
    let refused = store.activate(Epoch(9)).await.unwrap_err();
    assert!(!refused.is_transient(), "{refused}");
    assert_eq!(store.active().await, Ok(Some(FIRST)));
    let ninth = Search { epoch: Some(Epoch(9)), ..dense([1.0, 0.0, 0.0, 0.0], 5) };
    assert!(store.search(&ninth).await.is_err() && store.chunks(Some(Epoch(9)), &[absent()]).await.is_err());
}

pub(crate) async fn what_was_acknowledged_is_there_after_reopening<S: Storage>() {
    let storage = S::fresh().await;
    let points = (0..20).map(|n| point("a", "v1", n, [1.0, n as f32, 0.0, 0.0], &[(n, 1.0)])).collect();
    prepared(&storage, points).await.close().await.unwrap();
    let store = storage.open().await;
    assert_eq!(store.active().await, Ok(Some(FIRST)));
    assert_eq!(store.count(FIRST).await, Ok(20));
    let legs = whole(&*store, &lexical(&[13], 5)).await;
    assert_eq!(texts(&legs.lexical), ["a v1 13"]);
}

pub(crate) async fn repeating_a_write_changes_nothing<S: Storage>() {
    let storage = S::fresh().await;
    let points: Vec<Point> = (0..8).map(|n| point("a", "v1", n, [1.0, n as f32, 0.0, 0.0], &[(n, 1.0)])).collect();
    let store = prepared(&storage, points.clone()).await;
    let before = whole(&*store, &dense([1.0, 2.0, 0.0, 0.0], 8)).await;
    store.upsert(FIRST, points.clone()).await.unwrap();
    store.upsert(FIRST, points).await.unwrap();
    assert_eq!(store.count(FIRST).await, Ok(8));
    assert_eq!(texts(&whole(&*store, &dense([1.0, 2.0, 0.0, 0.0], 8)).await.dense), texts(&before.dense));
}

pub(crate) async fn a_later_write_of_the_same_chunk_replaces_it<S: Storage>() {
    let storage = S::fresh().await;
    let store = prepared(&storage, vec![point("a", "v1", 0, [1.0, 0.0, 0.0, 0.0], &[(1, 1.0)])]).await;
    store.upsert(FIRST, vec![point("a", "v1", 0, [0.0, 1.0, 0.0, 0.0], &[(2, 1.0)])]).await.unwrap();
    let legs = store.search(&dense([0.0, 1.0, 0.0, 0.0], 5)).await.unwrap();
    assert!(legs.dense.len() == 1 && close_to(legs.dense[0].score.0, 1.0), "{legs:?}");
    assert!(store.search(&lexical(&[1], 5)).await.unwrap().lexical.is_empty());
    assert_eq!(store.search(&lexical(&[2], 5)).await.unwrap().lexical.len(), 1);
}

pub(crate) async fn the_dense_leg_ranks_by_cosine<S: Storage>() {
    let storage = S::fresh().await;
    let points = vec![
        point("opposite", "v", 0, [-1.0, 0.0, 0.0, 0.0], &[]),
        point("near", "v", 0, [0.8, 0.6, 0.0, 0.0], &[]),
        point("same", "v", 0, [1.0, 0.0, 0.0, 0.0], &[]),
        point("right angle", "v", 0, [0.0, 0.0, 1.0, 0.0], &[]),
    ];
    let store = prepared(&storage, points).await;
    let hits = whole(&*store, &dense([1.0, 0.0, 0.0, 0.0], 4)).await.dense;
    assert_eq!(texts(&hits), ["same v 0", "near v 0", "right angle v 0", "opposite v 0"]);
    for (hit, expected) in hits.iter().zip([1.0, 0.8, 0.0, -1.0]) {
        assert!(close_to(hit.score.0, expected), "{hit:?}");
    }
}

pub(crate) async fn a_distance_is_never_ranked_as_a_similarity<S: Storage>() {
    let storage = S::fresh().await;
    // Each further from the question than the one before; a store that gave distances would put the farthest of its candidates first.
    let angle = |n: u32| f32::to_radians(n as f32 * 4.0);
    let points = (0..40).map(|n| point("a", "v", n, [angle(n).cos(), angle(n).sin(), 0.0, 0.0], &[])).collect();
    let store = prepared(&storage, points).await;
    let hits = whole(&*store, &dense([1.0, 0.0, 0.0, 0.0], 15)).await.dense;
    assert_eq!(hits.iter().map(|hit| hit.chunk.ordinal).collect::<Vec<_>>(), (0..15).collect::<Vec<_>>());
    for hit in &hits {
        assert!(close_to(hit.score.0, angle(hit.chunk.ordinal).cos()), "{hit:?} has another score than its cosine");
    }
}

pub(crate) async fn the_lexical_leg_ranks_by_weight_and_rarity<S: Storage>() {
    let storage = S::fresh().await;
    let (common, rare) = (11, 4_000_000_000);
    let mut points: Vec<Point> =
        (0..9).map(|n| point("common", "v", n, [1.0, 0.0, 0.0, 0.0], &[(common, 1.0 + n as f32 / 10.0)])).collect();
    points.push(point("rare", "v", 0, [1.0, 0.0, 0.0, 0.0], &[(rare, 1.0)]));
    let store = prepared(&storage, points).await;
    let hits = whole(&*store, &lexical(&[common, rare], 10)).await.lexical;
    // The inverse document frequency of BM25, over 10 chunks.
    let idf = |n: f32| (1.0 + (10.0 - n + 0.5) / (n + 0.5)).ln();
    assert_eq!(texts(&hits[..2]), ["rare v 0", "common v 8"]);
    assert!(close_to(hits[0].score.0, idf(1.0)), "{} is not {}", hits[0].score.0, idf(1.0));
    assert!(close_to(hits[1].score.0, 1.8 * idf(9.0)), "{} is not {}", hits[1].score.0, 1.8 * idf(9.0));
    assert_eq!(hits.len(), 10);
    assert!(hits.is_sorted_by(|a, b| a.score.0 >= b.score.0));
}

pub(crate) async fn a_leg_is_bounded_and_empty_unless_asked_for<S: Storage>() {
    let storage = S::fresh().await;
    let points = (0..6).map(|n| point("a", "v", n, [1.0, n as f32, 0.0, 0.0], &[(3, 1.0)])).collect();
    let store = prepared(&storage, points).await;
    let count = |legs: Legs| (legs.dense.len(), legs.lexical.len());
    assert_eq!(count(store.search(&dense([1.0, 0.0, 0.0, 0.0], 2)).await.unwrap()), (2, 0));
    assert_eq!(count(store.search(&lexical(&[3], 4)).await.unwrap()), (0, 4));
    let both = Search { dense: Some(vec![1.0, 0.0, 0.0, 0.0]), ..lexical(&[3], 5) };
    assert_eq!(count(store.search(&both).await.unwrap()), (5, 5));
    assert_eq!(count(store.search(&lexical(&[], 5)).await.unwrap()), (0, 0));
    assert_eq!(count(store.search(&lexical(&[999], 5)).await.unwrap()), (0, 0));
}

pub(crate) async fn text_comes_back_byte_for_byte<S: Storage>() {
    let storage = S::fresh().await;
    let texts = [
        "line\r\nline\rline\n\n  indented\ttab ",
        "| a | b |\n|---|---|\n| 1 | \\| |",
        "日本語 ﷽ e\u{301} é \u{202e}right\u{202c} 👩‍👩‍👧‍👦 \u{feff}bom \u{10ffff}",
        "nul \0 and \u{1} and \u{7f} \"quoted\" \\u0041",
        "",
    ];
    let points = texts.iter().zip(0..).map(|(text, n)| {
        let mut point = point("ops/日本語 & co.md", "v1", n, [1.0, 0.0, 0.0, 0.0], &[]);
        point.chunk.text = (*text).to_owned();
        point.chunk.title = format!("T{text}");
        point.chunk.headings = vec![(*text).to_owned(), String::new()];
        point
    });
    let points: Vec<Point> = points.collect();
    let store = prepared(&storage, points.clone()).await;
    let mut found: Vec<Chunk> =
        whole(&*store, &dense([1.0, 0.0, 0.0, 0.0], 9)).await.dense.into_iter().map(|hit| hit.chunk).collect();
    found.sort_by_key(|chunk| chunk.ordinal);
    assert_eq!(found, points.into_iter().map(|point| point.chunk).collect::<Vec<_>>());
}

pub(crate) async fn a_new_epoch_is_searched_only_once_it_is_activated<S: Storage>() {
    let storage = S::fresh().await;
    let store = prepared(&storage, vec![point("old", "v", 0, [1.0, 0.0, 0.0, 0.0], &[])]).await;
    let second = Epoch(2);
    store.create_epoch(second, DIMENSION).await.unwrap();
    store.upsert(second, vec![point("new", "v", 0, [1.0, 0.0, 0.0, 0.0], &[])]).await.unwrap();
    assert_eq!(all(&*store).await, BTreeSet::from(["old v 0".to_owned()]));
    let of_the_new = Search { epoch: Some(second), ..dense([1.0, 0.0, 0.0, 0.0], 5) };
    assert_eq!(texts(&whole(&*store, &of_the_new).await.dense), ["new v 0"], "unless it is asked for by its number");
    store.activate(second).await.unwrap();
    assert_eq!(store.active().await, Ok(Some(second)));
    assert_eq!(all(&*store).await, BTreeSet::from(["new v 0".to_owned()]));
    assert_eq!((store.count(FIRST).await, store.count(second).await), (Ok(1), Ok(1)));
    store.close().await.unwrap();
    assert_eq!(storage.open().await.active().await, Ok(Some(second)));
}

pub(crate) async fn chunks_are_read_from_the_active_epoch_and_missing_ones_left_out<S: Storage>() {
    let storage = S::fresh().await;
    let old = point("old", "v", 0, [1.0, 0.0, 0.0, 0.0], &[]);
    let new = point("new", "v", 0, [1.0, 0.0, 0.0, 0.0], &[]);
    let ids = [old.chunk.id, new.chunk.id];
    let store = storage.open().await;
    assert_eq!(store.chunks(None, &ids).await, Ok(vec![]));
    store.create_epoch(FIRST, DIMENSION).await.unwrap();
    store.upsert(FIRST, vec![old.clone()]).await.unwrap();
    assert_eq!(store.chunks(None, &ids).await, Ok(vec![]), "nothing is active yet");
    store.activate(FIRST).await.unwrap();
    assert_eq!(store.chunks(None, &ids).await, Ok(vec![old.chunk]));
    let second = Epoch(2);
    store.create_epoch(second, DIMENSION).await.unwrap();
    store.upsert(second, vec![new.clone()]).await.unwrap();
    store.activate(second).await.unwrap();
    assert_eq!(store.chunks(None, &ids).await, Ok(vec![new.chunk]));
    assert_eq!(store.chunks(None, &[]).await, Ok(vec![]));
}

fn absent() -> ChunkId {
    ChunkId::new(&"absent".parse().unwrap(), &ContentHash("v".to_owned()), 0)
}

fn version(name: &str) -> ContentHash {
    ContentHash(name.to_owned())
}

fn two_documents() -> Vec<Point> {
    let at = [1.0, 0.0, 0.0, 0.0];
    let mut points: Vec<Point> = (0..3).map(|n| point("a", "v1", n, at, &[(1, 1.0)])).collect();
    points.extend((0..2).map(|n| point("a", "v2", n, at, &[(1, 1.0)])));
    points.push(point("a/b", "v1", 0, at, &[(1, 1.0)]));
    points.push(point("A", "v1", 0, at, &[(1, 1.0)]));
    points
}

pub(crate) async fn a_purge_removes_the_named_version_and_nothing_else<S: Storage>() {
    let storage = S::fresh().await;
    let store = prepared(&storage, two_documents()).await;
    let document = "a".parse().unwrap();
    for _again in 0..2 {
        store.purge(FIRST, &document, &version("v1")).await.unwrap();
        assert_eq!(all(&*store).await, ["A v1 0", "a v2 0", "a v2 1", "a/b v1 0"].map(str::to_owned).into());
        assert_eq!(store.count(FIRST).await, Ok(4));
    }
    assert_eq!(store.search(&lexical(&[1], 9)).await.unwrap().lexical.len(), 4);
}

pub(crate) async fn a_purge_of_what_was_never_there_changes_nothing<S: Storage>() {
    let storage = S::fresh().await;
    let store = prepared(&storage, two_documents()).await;
    store.purge(FIRST, &"a".parse().unwrap(), &version("v3")).await.unwrap();
    store.purge(FIRST, &"never there".parse().unwrap(), &version("v1")).await.unwrap();
    assert_eq!(store.count(FIRST).await, Ok(7));
}

pub(crate) async fn a_purge_is_there_after_reopening<S: Storage>() {
    let storage = S::fresh().await;
    let store = prepared(&storage, two_documents()).await;
    for version in [version("v1"), version("v2")] {
        store.purge(FIRST, &"a".parse().unwrap(), &version).await.unwrap();
    }
    store.close().await.unwrap();
    let store = storage.open().await;
    assert_eq!(all(&*store).await, ["A v1 0", "a/b v1 0"].map(str::to_owned).into());
    // And a chunk may come back.
    store.upsert(FIRST, vec![point("a", "v1", 0, [1.0, 0.0, 0.0, 0.0], &[])]).await.unwrap();
    assert_eq!(store.count(FIRST).await, Ok(3));
}

pub(crate) async fn writers_at_once_lose_nothing<S: Storage>() {
    let storage = S::fresh().await;
    let first = prepared(&storage, vec![]).await;
    let second = if S::SHARED { storage.open().await } else { Arc::clone(&first) };
    let writers = (0..16).map(|writer| {
        let store = Arc::clone(if writer % 2 == 0 { &first } else { &second });
        tokio::spawn(async move {
            for ordinal in 0..5 {
                // Two writers for each document, so that they also race for the same chunks.
                let name = format!("d{}", writer / 2);
                store.upsert(FIRST, vec![point(&name, "v", ordinal, [1.0, 0.0, 0.0, 0.0], &[])]).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(first.count(FIRST).await, Ok(40));
    assert_eq!(all(&*second).await.len(), 40);
}

pub(crate) async fn a_handle_sees_what_another_was_acknowledged<S: Storage>() {
    let storage = S::fresh().await;
    let writer = prepared(&storage, vec![]).await;
    let reader = if S::SHARED { storage.open().await } else { Arc::clone(&writer) };
    for ordinal in 0..10 {
        writer.upsert(FIRST, vec![point("a", "v", ordinal, [1.0, 0.0, 0.0, 0.0], &[])]).await.unwrap();
        assert_eq!(all(&*reader).await.len(), ordinal as usize + 1);
    }
    writer.create_epoch(Epoch(2), DIMENSION).await.unwrap();
    writer.activate(Epoch(2)).await.unwrap();
    assert_eq!(reader.active().await, Ok(Some(Epoch(2))));
    assert!(all(&*reader).await.is_empty());
}

pub(crate) async fn a_stored_chunk_comes_back_with_its_vector<S: Storage>() {
    let storage = S::fresh().await;
    let points: Vec<_> = (0..300).map(|n| point("a", "v1", n, [1.0, n as f32, 0.5, 0.0], &[(n, 1.0)])).collect();
    let store = prepared(&storage, points.clone()).await;
    let missing = point("b", "v1", 0, [1.0, 0.0, 0.0, 0.0], &[]).chunk.id;
    let asked: Vec<_> = points.iter().step_by(2).map(|point| point.chunk.id).chain([missing]).collect();
    let found = store.embedded(FIRST, &asked).await.unwrap();
    assert_eq!(found.len(), 150);
    for found in found {
        let wanted = points.iter().find(|point| point.chunk.id == found.chunk.id).unwrap();
        assert_eq!(found.chunk, wanted.chunk);
        assert_eq!(found.dense.len(), DIMENSION);
        assert!(found.dense.iter().zip(&wanted.dense).all(|(a, b)| close_to(*a, *b)), "{found:?}");
    }
    assert_eq!(store.embedded(FIRST, &[]).await, Ok(vec![]));
}

/// All pages of a scan.
async fn scanned(store: &dyn VectorStore, limit: usize) -> Vec<ChunkPlace> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = store.scan(FIRST, after, limit).await.unwrap();
        assert!(page.held.len() <= limit, "a page of {limit} has {}", page.held.len());
        assert!(page.next.is_none() || page.next == page.held.last().map(|held| held.id));
        all.extend(page.held);
        match page.next {
            Some(next) => after = Some(next),
            None => return all,
        }
    }
}

pub(crate) async fn a_scan_gives_every_chunk_once_in_the_order_of_ids<S: Storage>() {
    let storage = S::fresh().await;
    let at = [1.0, 0.0, 0.0, 0.0];
    let mut points: Vec<Point> = (0..40).map(|n| point("a/日本.md", "v1", n, at, &[(1, 1.0)])).collect();
    points.extend((0..5).map(|n| owned("acme", &["l"], point("b", "v2", n, at, &[]))));
    let store = prepared(&storage, points.clone()).await;
    let held = |Point { chunk, .. }: Point| ChunkPlace {
        id: chunk.id,
        document: chunk.document,
        version: chunk.version,
        ordinal: chunk.ordinal,
    };
    let mut expected: Vec<ChunkPlace> = points.into_iter().map(held).collect();
    expected.sort_by_key(|held| held.id);
    for limit in [1, 7, 45, 46, 100_000] {
        assert_eq!(scanned(&*store, limit).await, expected, "in pages of {limit}");
    }
    // Between two ids, and behind the last one that there can be.
    let between = ChunkId(uuid::Uuid::from_u128(expected[9].id.0.as_u128() + 1));
    assert_eq!(store.scan(FIRST, Some(between), 1).await.unwrap().held, expected[10..11]);
    assert_eq!(store.scan(FIRST, Some(ChunkId(uuid::Uuid::max())), 9).await, Ok(Scan::default()));
    store.purge(FIRST, &"a/日本.md".parse().unwrap(), &version("v1")).await.unwrap();
    assert_eq!(scanned(&*store, 2).await.len(), 5);
}

pub(crate) async fn a_scan_beside_writers_misses_nothing_that_stays<S: Storage>() {
    let storage = S::fresh().await;
    let at = [1.0, 0.0, 0.0, 0.0];
    let stays: Vec<Point> = (0..60).map(|n| point("stays", "v", n, at, &[])).collect();
    let ids: BTreeSet<ChunkId> = stays.iter().map(|point| point.chunk.id).collect();
    let store = prepared(&storage, stays).await;
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = tokio::spawn({
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        async move {
            let mut round = 0;
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                let (name, version) = (format!("goes{}", round % 3), format!("v{round}"));
                store.upsert(FIRST, (0..120).map(|n| point(&name, &version, n, at, &[])).collect()).await.unwrap();
                store.relabel(FIRST, &"stays".parse().unwrap(), std::slice::from_ref(&version)).await.unwrap();
                store.purge(FIRST, &name.parse().unwrap(), &ContentHash(version)).await.unwrap();
                round += 1;
            }
        }
    });
    for limit in [7, 20, 50].into_iter().cycle().take(9) {
        let held = scanned(&*store, limit).await;
        let found: Vec<ChunkId> = held.iter().map(|held| held.id).filter(|id| ids.contains(id)).collect();
        assert_eq!((found.len(), found.into_iter().collect::<BTreeSet<_>>()), (60, ids.clone()), "pages of {limit}");
    }
    done.store(true, std::sync::atomic::Ordering::SeqCst);
    writer.await.unwrap();
}

pub(crate) async fn a_scan_needs_an_epoch_that_exists<S: Storage>() {
    let storage = S::fresh().await;
    let store = prepared(&storage, vec![]).await;
    assert_eq!(store.scan(FIRST, None, 9).await, Ok(Scan::default()));
    let refused = store.scan(Epoch(9), None, 9).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused:?}");
}

pub(crate) async fn a_dropped_epoch_is_gone_and_takes_no_write<S: Storage>() {
    let storage = S::fresh().await;
    let store = prepared(&storage, two_documents()).await;
    let second = Epoch(12);
    assert_eq!(store.epochs().await, Ok(vec![FIRST]));
    store.create_epoch(second, DIMENSION).await.unwrap();
    store.upsert(second, two_documents()).await.unwrap();
    assert_eq!(store.epochs().await, Ok(vec![FIRST, second]));
    for _again in 0..2 {
        store.drop_epoch(second).await.unwrap();
        assert_eq!(store.epochs().await, Ok(vec![FIRST]));
    }
    let late = store.upsert(second, two_documents()).await.unwrap_err();
    assert!(matches!(late, StoreError::Refused { .. }), "{late:?}");
    assert!(store.count(second).await.is_err() && store.activate(second).await.is_err());
    assert_eq!(store.epochs().await, Ok(vec![FIRST]));
    store.close().await.unwrap();
    let store = storage.open().await;
    assert_eq!(store.epochs().await, Ok(vec![FIRST]));
    store.create_epoch(second, DIMENSION).await.unwrap();
    assert_eq!((store.count(FIRST).await, store.count(second).await), (Ok(7), Ok(0)));
}

pub(crate) async fn the_active_epoch_is_not_dropped<S: Storage>() {
    let storage = S::fresh().await;
    let store = prepared(&storage, two_documents()).await;
    let refused = store.drop_epoch(FIRST).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused:?}");
    assert_eq!((store.active().await, store.count(FIRST).await), (Ok(Some(FIRST)), Ok(7)));
    store.create_epoch(Epoch(2), DIMENSION).await.unwrap();
    store.activate(Epoch(2)).await.unwrap();
    store.drop_epoch(FIRST).await.unwrap();
    assert_eq!(store.epochs().await, Ok(vec![Epoch(2)]));
}

pub(crate) async fn a_vector_of_another_length_is_refused<S: Storage>() {
    let storage = S::fresh().await;
    let store = prepared(&storage, vec![]).await;
    let mut wrong = point("a", "v", 0, [1.0, 0.0, 0.0, 0.0], &[]);
    wrong.dense.push(0.5);
    let refused = store.upsert(FIRST, vec![wrong]).await.unwrap_err();
    assert!(matches!(refused, StoreError::Refused { .. }), "{refused:?}");
    assert_eq!(store.count(FIRST).await, Ok(0));
}

pub(crate) async fn a_large_write_is_taken_whole<S: Storage>() {
    let storage = S::fresh().await;
    let points = (0..1_000).map(|n| {
        let mut point = point("a", "v", n, [1.0, n as f32, 0.0, 0.0], &[(n, 1.0)]);
        point.chunk.text = "x".repeat(2_000);
        point
    });
    let store = prepared(&storage, points.collect()).await;
    assert_eq!(store.count(FIRST).await, Ok(1_000));
    assert_eq!(store.search(&lexical(&[999], 5)).await.unwrap().lexical.len(), 1);
}
