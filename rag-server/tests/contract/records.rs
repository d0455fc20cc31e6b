//! The contract of `Records`, clause by clause.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use rag_server::ports::{Clock, Hold, Holds, Kind, Page, Put, Record, Records, StoreError, Swap, TTL};
use serde_json::{Value, json};

/// Storage of its own for one clause, and the way to it.
#[async_trait]
pub(crate) trait Storage: Send + Sync {
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

    /// A handle on it; several may be open at once.
    async fn open(&self) -> Arc<dyn Records>;
}

/// Makes one test of each clause for a [`Storage`].
macro_rules! records_suite {
    ($storage:ty) => {
        $crate::records::records_suite!($storage:
            a_record_is_put_once,
            a_write_needs_the_version_that_stands,
            a_removal_needs_the_version_that_stands_and_returns_what_it_removed,
            a_removed_record_can_be_put_again,
            a_version_never_comes_back,
            what_was_read_before_a_removal_never_writes_after_it,
            records_of_different_kinds_never_meet,
            a_listing_is_in_byte_order,
            a_listing_keeps_to_its_prefix,
            a_listing_comes_in_pages,
            a_page_may_start_after_a_record_that_is_gone,
            many_records_are_read_at_once,
            a_count_is_that_of_its_kind,
            of_racing_puts_exactly_one_wins,
            racing_writes_lose_no_increment,
            of_racing_removals_exactly_one_wins,
            a_handle_sees_what_another_was_acknowledged,
            a_body_comes_back_as_it_was,
            a_body_of_a_megabyte_comes_back_as_it_was,
            ids_have_one_to_1024_bytes,
            what_was_acknowledged_is_there_after_reopening,
            a_hold_has_one_holder_until_its_time_is_over_or_it_is_given_back,
            a_late_holder_is_fenced_off_also_after_its_successor_gave_back,
        );
    };
    ($storage:ty: $($clause:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $clause() {
                if let Some(why) = <$storage as $crate::records::Storage>::skipped() {
                    eprintln!("skipped, because {why}");
                    return;
                }
                for place in <$storage as $crate::records::Storage>::places() {
                    eprintln!("at {place}");
                    $crate::PLACE.scope(place, $crate::records::$clause::<$storage>()).await;
                }
            }
        )*
    };
}
pub(crate) use records_suite;

fn record(id: &str, version: u64, body: Value) -> Record {
    Record { id: id.to_owned(), version, body }
}

/// Puts a record that is not there yet.
pub(crate) async fn put(records: &dyn Records, kind: Kind, id: &str, body: Value) -> Record {
    match records.put_if_absent(kind, id, body).await {
        Ok(Put::Created(record)) => record,
        other => panic!("{id}: {other:?}"),
    }
}

async fn put_all(records: &dyn Records, kind: Kind, ids: &[&str]) -> Vec<Record> {
    let mut all = Vec::new();
    for id in ids {
        all.push(put(records, kind, id, json!({ "of": id })).await);
    }
    all
}

fn ids(page: &Page) -> Vec<&str> {
    page.records.iter().map(|record| record.id.as_str()).collect()
}

pub(crate) async fn a_record_is_put_once<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    assert_eq!(records.get(Kind::Document, "a").await, Ok(None));
    let first = put(&*records, Kind::Document, "a", json!({ "n": 1 })).await;
    assert_eq!(first, record("a", first.version, json!({ "n": 1 })));
    let second = records.put_if_absent(Kind::Document, "a", json!({ "n": 2 })).await;
    assert_eq!(second, Ok(Put::Existing(first.clone())));
    assert_eq!(records.get(Kind::Document, "a").await, Ok(Some(first)));
}

pub(crate) async fn a_write_needs_the_version_that_stands<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    assert_eq!(records.compare_and_set(Kind::Job, "a", 1, json!({})).await, Ok(Swap::Conflict(None)));
    let first = put(&*records, Kind::Job, "a", json!({ "n": 1 })).await.version;
    let second = record("a", first + 1, json!({ "n": 2 }));
    let swap = records.compare_and_set(Kind::Job, "a", first, json!({ "n": 2 })).await;
    assert_eq!(swap, Ok(Swap::Done(second.clone())));
    for stale in [0, first - 1, first, first + 2, u64::MAX] {
        let swap = records.compare_and_set(Kind::Job, "a", stale, json!({ "n": 3 })).await;
        assert_eq!(swap, Ok(Swap::Conflict(Some(second.clone()))), "expected {stale}");
    }
    assert_eq!(records.get(Kind::Job, "a").await, Ok(Some(second)));
}

pub(crate) async fn a_removal_needs_the_version_that_stands_and_returns_what_it_removed<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    assert_eq!(records.remove(Kind::Job, "a", 1).await, Ok(Swap::Conflict(None)));
    let stands = put(&*records, Kind::Job, "a", json!({ "of": "a" })).await;
    let version = stands.version;
    assert_eq!(records.remove(Kind::Job, "a", version + 1).await, Ok(Swap::Conflict(Some(stands.clone()))));
    assert_eq!(records.remove(Kind::Job, "a", version).await, Ok(Swap::Done(stands)));
    assert_eq!(records.get(Kind::Job, "a").await, Ok(None));
}

pub(crate) async fn a_removed_record_can_be_put_again<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    let first = put(&*records, Kind::Document, "a", json!({ "n": 1 })).await;
    records.remove(Kind::Document, "a", first.version).await.unwrap();
    let again = put(&*records, Kind::Document, "a", json!({ "n": 2 })).await;
    assert_eq!(records.get(Kind::Document, "a").await, Ok(Some(record("a", again.version, json!({ "n": 2 })))));
    assert_eq!(records.count(Kind::Document).await, Ok(1));
}

pub(crate) async fn a_version_never_comes_back<S: Storage>() {
    let storage = S::fresh().await;
    let (one, other) = (storage.open().await, storage.open().await);
    let mut last = 0;
    // Lives of different length, so that no count of a life's writes could pass for a version.
    for (life, writes) in [3, 0, 1, 5, 0, 0, 2].into_iter().enumerate() {
        let records = if life % 2 == 0 { &one } else { &other };
        let mut standing = put(&**records, Kind::Claim, "a", json!({ "life": life })).await;
        assert!(standing.version > last, "life {life} begins at {} after {last}", standing.version);
        for _ in 0..writes {
            let swap = records.compare_and_set(Kind::Claim, "a", standing.version, json!({ "life": life })).await;
            let Ok(Swap::Done(next)) = swap else { panic!("{swap:?}") };
            assert!(next.version > standing.version);
            standing = next;
        }
        last = standing.version;
        assert_eq!(records.remove(Kind::Claim, "a", last).await, Ok(Swap::Done(standing)));
        // Neither another record of the same kind nor the same id in another kind has a say in it.
        put(&**records, Kind::Claim, &format!("b{life}"), json!({})).await;
        records.put_if_absent(Kind::Lease, "a", json!({})).await.unwrap();
    }
}

pub(crate) async fn what_was_read_before_a_removal_never_writes_after_it<S: Storage>() {
    let storage = S::fresh().await;
    let (late, other) = (storage.open().await, storage.open().await);
    let mut read = vec![put(&*late, Kind::Claim, "a", json!({ "by": "late" })).await.version];
    let swap = late.compare_and_set(Kind::Claim, "a", read[0], json!({ "by": "late" })).await;
    assert!(matches!(swap, Ok(Swap::Done(_))), "{swap:?}");
    read.push(read[0] + 1);
    for life in 0..3 {
        other.remove(Kind::Claim, "a", read[read.len() - 1]).await.unwrap();
        let stands = put(&*other, Kind::Claim, "a", json!({ "by": "other", "life": life })).await;
        for version in &read {
            let conflict = Ok(Swap::Conflict(Some(stands.clone())));
            assert_eq!(late.compare_and_set(Kind::Claim, "a", *version, json!({ "by": "late" })).await, conflict);
            assert_eq!(late.remove(Kind::Claim, "a", *version).await, conflict);
        }
        read.push(stands.version);
    }
}

pub(crate) async fn records_of_different_kinds_never_meet<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    for kind in Kind::ALL {
        let put = records.put_if_absent(kind, "same", json!({ "kind": kind.as_str() })).await;
        assert!(matches!(put, Ok(Put::Created(_))), "{kind:?}");
    }
    for kind in Kind::ALL {
        let expected = records.get(kind, "same").await.unwrap().unwrap();
        assert_eq!(expected.body, json!({ "kind": kind.as_str() }));
        assert_eq!(records.list(kind, "", None, 10).await, Ok(Page { records: vec![expected], next: None }));
    }
}

pub(crate) async fn a_listing_is_in_byte_order<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    let mut names =
        ["b", "a", "A", "a/b", "a b", "a-b", "ab", "é", "e\u{301}", "日本", "\u{10ffff}", "ﬀ", "10", "9", "~"];
    put_all(&*records, Kind::Document, &names).await;
    names.sort_unstable();
    assert_eq!(ids(&records.list(Kind::Document, "", None, 100).await.unwrap()), names);
}

pub(crate) async fn a_listing_keeps_to_its_prefix<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    put_all(&*records, Kind::Pending, &["job", "job/1", "job/10", "job/2", "job0", "jo", "jobs/1", "JOB/1"]).await;
    let list = async |prefix: &str| records.list(Kind::Pending, prefix, None, 100).await.unwrap();
    assert_eq!(ids(&list("job/").await), ["job/1", "job/10", "job/2"]);
    assert_eq!(ids(&list("job").await), ["job", "job/1", "job/10", "job/2", "job0", "jobs/1"]);
    assert_eq!(list("job/3").await, Page::default());
    assert_eq!(list("%").await, Page::default());
    assert_eq!(list("job_1").await, Page::default());
}

pub(crate) async fn a_listing_comes_in_pages<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    let names: Vec<String> = (0..7).map(|n| format!("p/{n}")).collect();
    put_all(&*records, Kind::Document, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    put_all(&*records, Kind::Document, &["o", "q"]).await;
    for size in [1, 2, 3, 7, 8] {
        let (mut found, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = records.list(Kind::Document, "p/", after.as_deref(), size).await.unwrap();
            assert!(page.records.len() <= size, "a page of {size} has {}", page.records.len());
            found.extend(page.records.into_iter().map(|record| record.id));
            pages += 1;
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        assert_eq!(found, names, "in pages of {size}");
        assert_eq!(pages, names.len().div_ceil(size), "in pages of {size}");
    }
}

pub(crate) async fn a_page_may_start_after_a_record_that_is_gone<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    let there = put_all(&*records, Kind::Document, &["a", "b", "c"]).await;
    records.remove(Kind::Document, "b", there[1].version).await.unwrap();
    assert_eq!(ids(&records.list(Kind::Document, "", Some("b"), 10).await.unwrap()), ["c"]);
    assert_eq!(ids(&records.list(Kind::Document, "", Some("c"), 10).await.unwrap()), [""; 0]);
}

pub(crate) async fn many_records_are_read_at_once<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    let there: Vec<String> = (0..40).map(|n| format!("there/{n}")).collect();
    put_all(&*records, Kind::Document, &there.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let missing: Vec<String> = (0..1_500).map(|n| format!("missing/{n}")).collect();
    let asked: Vec<&str> = missing.iter().chain(&there).map(String::as_str).collect();
    let found = records.get_many(Kind::Document, &asked).await.unwrap();
    let found: BTreeSet<String> = found.into_iter().map(|record| record.id).collect();
    assert_eq!(found, there.into_iter().collect());
    assert_eq!(records.get_many(Kind::Document, &[]).await, Ok(vec![]));
    assert_eq!(records.get_many(Kind::Job, &["there/1"]).await, Ok(vec![]));
}

pub(crate) async fn a_count_is_that_of_its_kind<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    assert_eq!(records.count(Kind::Document).await, Ok(0));
    let there = put_all(&*records, Kind::Document, &["a", "b", "c"]).await;
    put_all(&*records, Kind::Job, &["a"]).await;
    records.compare_and_set(Kind::Document, "a", there[0].version, json!({})).await.unwrap();
    records.remove(Kind::Document, "b", there[1].version).await.unwrap();
    assert_eq!((records.count(Kind::Document).await, records.count(Kind::Job).await), (Ok(2), Ok(1)));
}

/// Two handles, several tasks on each.
async fn racers<S: Storage>(storage: &S, count: usize) -> Vec<Arc<dyn Records>> {
    let (one, other) = (storage.open().await, storage.open().await);
    (0..count).map(|n| Arc::clone(if n % 2 == 0 { &one } else { &other })).collect()
}

pub(crate) async fn of_racing_puts_exactly_one_wins<S: Storage>() {
    let storage = S::fresh().await;
    for round in 0..10 {
        let id = format!("r{round}");
        let tasks = racers(&storage, 8).await.into_iter().enumerate().map(|(n, records)| {
            let id = id.clone();
            tokio::spawn(async move { records.put_if_absent(Kind::Job, &id, json!({ "by": n })).await.unwrap() })
        });
        let mut created = Vec::new();
        let mut seen = BTreeSet::new();
        for task in tasks.collect::<Vec<_>>() {
            match task.await.unwrap() {
                Put::Created(record) => created.push(record.body.to_string()),
                Put::Existing(record) => drop(seen.insert(record.body.to_string())),
            }
        }
        assert_eq!(created.len(), 1, "round {round}");
        assert_eq!(seen, created.into_iter().collect(), "the others saw something else in round {round}");
    }
}

pub(crate) async fn racing_writes_lose_no_increment<S: Storage>() {
    let storage = S::fresh().await;
    let racers = racers(&storage, 6).await;
    let records = Arc::clone(&racers[0]);
    let first = put(&*records, Kind::Job, "counter", json!({ "n": 0 })).await.version;
    let tasks = racers.into_iter().map(|records| {
        tokio::spawn(async move {
            for _ in 0..5 {
                let mut stands = records.get(Kind::Job, "counter").await.unwrap().unwrap();
                loop {
                    let next = json!({ "n": stands.body["n"].as_i64().unwrap() + 1 });
                    match records.compare_and_set(Kind::Job, "counter", stands.version, next).await.unwrap() {
                        Swap::Done(_) => break,
                        Swap::Conflict(current) => stands = current.unwrap(),
                    }
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(records.get(Kind::Job, "counter").await, Ok(Some(record("counter", first + 30, json!({ "n": 30 })))));
}

pub(crate) async fn of_racing_removals_exactly_one_wins<S: Storage>() {
    let storage = S::fresh().await;
    for round in 0..5 {
        let id = format!("r{round}");
        let racers = racers(&storage, 6).await;
        let version = put(&*racers[0], Kind::Pending, &id, json!({})).await.version;
        let tasks = racers.into_iter().map(|records| {
            let id = id.clone();
            tokio::spawn(async move { records.remove(Kind::Pending, &id, version).await.unwrap() })
        });
        let mut won = 0;
        for task in tasks.collect::<Vec<_>>() {
            match task.await.unwrap() {
                Swap::Done(_) => won += 1,
                Swap::Conflict(_) => {}
            }
        }
        assert_eq!(won, 1, "round {round}");
    }
}

pub(crate) async fn a_handle_sees_what_another_was_acknowledged<S: Storage>() {
    let storage = S::fresh().await;
    let (writer, reader) = (storage.open().await, storage.open().await);
    let first = put(&*writer, Kind::Job, "a", json!({ "n": 0 })).await.version;
    for n in 1..=20 {
        assert_eq!(reader.get(Kind::Job, "a").await, Ok(Some(record("a", first + n - 1, json!({ "n": n - 1 })))));
        writer.compare_and_set(Kind::Job, "a", first + n - 1, json!({ "n": n })).await.unwrap();
    }
    writer.remove(Kind::Job, "a", first + 20).await.unwrap();
    assert_eq!(reader.list(Kind::Job, "", None, 10).await, Ok(Page::default()));
}

pub(crate) async fn a_body_comes_back_as_it_was<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    let body = json!({
        "text": "line\r\nline \0 nul \u{1} \"q\" \\ 日本語 👩‍👩‍👧 \u{feff}",
        "": null,
        "numbers": [0, -1, i64::MAX, i64::MIN, 0.5, -1.25e-9],
        "nested": { "a.b": [true, false, [], {}], "version": 7, "id": "mine", "kind": "x", "body": {} },
    });
    let written = put(&*records, Kind::Pending, "odd/é \"id\"?*%", body).await;
    assert_eq!(records.get(Kind::Pending, "odd/é \"id\"?*%").await, Ok(Some(written)));
}

pub(crate) async fn a_body_of_a_megabyte_comes_back_as_it_was<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    let body = json!({ "text": "0123456789abcdé\n".repeat(62_500) });
    let written = put(&*records, Kind::Pending, "big", body).await;
    assert_eq!(records.get(Kind::Pending, "big").await, Ok(Some(written.clone())));
    let listed = records.list(Kind::Pending, "b", None, 1).await.unwrap();
    assert_eq!(listed.records, [written]);
}

pub(crate) async fn ids_have_one_to_1024_bytes<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    let longest = "é".repeat(512);
    put_all(&*records, Kind::Document, &[&longest, &longest[..1022]]).await;
    assert_eq!(ids(&records.list(Kind::Document, "é", None, 9).await.unwrap()), [&longest[..1022], &longest]);
    for id in [String::new(), "x".repeat(1025)] {
        let refused = records.put_if_absent(Kind::Document, &id, json!({})).await;
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{} bytes: {refused:?}", id.len());
    }
}

pub(crate) async fn what_was_acknowledged_is_there_after_reopening<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    let there = put_all(&*records, Kind::Document, &["a", "b"]).await;
    let (a, b) = (there[0].version, there[1].version);
    records.compare_and_set(Kind::Document, "a", a, json!({ "n": 2 })).await.unwrap();
    records.remove(Kind::Document, "b", b).await.unwrap();
    records.close().await.unwrap();
    let records = storage.open().await;
    let page = records.list(Kind::Document, "", None, 10).await.unwrap();
    assert_eq!(page.records, [record("a", a + 1, json!({ "n": 2 }))]);
    assert!(put(&*records, Kind::Document, "b", json!({})).await.version > b, "removals are remembered as well");
}

/// A clock that stands until it is set.
#[derive(Clone, Default)]
struct Hands(Arc<std::sync::atomic::AtomicU64>);

impl Hands {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_secs(), std::sync::atomic::Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + i64::try_from(self.steady().as_secs()).unwrap()).unwrap()
    }

    fn steady(&self) -> Duration {
        Duration::from_secs(self.0.load(std::sync::atomic::Ordering::SeqCst))
    }
}

async fn holds(storage: &impl Storage, clock: &Hands) -> Holds {
    Holds::new(storage.open().await, Arc::new(clock.clone()))
}

async fn take(holds: &Holds) -> Option<Hold> {
    holds.take(Kind::Lease, "l", |_| Value::Null).await.unwrap()
}

pub(crate) async fn a_hold_has_one_holder_until_its_time_is_over_or_it_is_given_back<S: Storage>() {
    let (storage, clock) = (S::fresh().await, Hands::default());
    let (one, other) = (holds(&storage, &clock).await, holds(&storage, &clock).await);
    let hold = take(&one).await.unwrap();
    clock.advance(TTL / 2);
    assert!(take(&other).await.is_none());
    assert_eq!(hold.confirm().await, Ok(true));
    clock.advance(TTL / 2);
    assert!(take(&other).await.is_none(), "it was prolonged");
    assert_eq!(hold.give_back().await, Ok(true));
    let hold = take(&other).await.unwrap();
    drop(hold);
    assert!(take(&one).await.is_none());
    clock.advance(TTL);
    let racers = (0..6).map(|_| holds(&storage, &clock));
    let racers: Vec<Holds> = futures::future::join_all(racers).await;
    let taken = futures::future::join_all(racers.iter().map(take)).await;
    assert_eq!(taken.iter().flatten().count(), 1, "exactly one of the racing holders wins");
}

pub(crate) async fn a_late_holder_is_fenced_off_also_after_its_successor_gave_back<S: Storage>() {
    let (storage, clock) = (S::fresh().await, Hands::default());
    let (one, other) = (holds(&storage, &clock).await, holds(&storage, &clock).await);
    let late = take(&one).await.unwrap();
    clock.advance(TTL);
    assert_eq!(take(&other).await.unwrap().give_back().await, Ok(true));
    // As many writes as the late one made.
    let next = take(&other).await.unwrap();
    assert_eq!((late.check().await, late.give_back().await), (Ok(false), Ok(false)));
    assert_eq!(next.confirm().await, Ok(true), "what the late one tried ended another's hold");
}
