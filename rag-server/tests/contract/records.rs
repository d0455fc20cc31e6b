//! The contract of `Records`, clause by clause.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use rag_server::ports::{Kind, Page, Put, Record, Records, StoreError, Swap, acquire, release, renew};
use serde_json::{Value, json};

/// Storage of its own for one clause, and the way to it.
#[async_trait]
pub(crate) trait Storage: Send + Sync {
    /// Why this storage cannot be had here, if it cannot.
    fn skipped() -> Option<String> {
        None
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
            a_lease_has_one_holder_until_it_ends,
            a_lease_is_fenced,
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
                $crate::records::$clause::<$storage>().await;
            }
        )*
    };
}
pub(crate) use records_suite;

fn record(id: &str, version: u64, body: Value) -> Record {
    Record { id: id.to_owned(), version, body }
}

async fn put_all(records: &dyn Records, kind: Kind, ids: &[&str]) {
    for id in ids {
        assert!(matches!(records.put_if_absent(kind, id, json!({ "of": id })).await, Ok(Put::Created(_))), "{id}");
    }
}

fn ids(page: &Page) -> Vec<&str> {
    page.records.iter().map(|record| record.id.as_str()).collect()
}

pub(crate) async fn a_record_is_put_once<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    assert_eq!(records.get(Kind::Document, "a").await, Ok(None));
    let first = record("a", 1, json!({ "n": 1 }));
    assert_eq!(records.put_if_absent(Kind::Document, "a", json!({ "n": 1 })).await, Ok(Put::Created(first.clone())));
    let second = records.put_if_absent(Kind::Document, "a", json!({ "n": 2 })).await;
    assert_eq!(second, Ok(Put::Existing(first.clone())));
    assert_eq!(records.get(Kind::Document, "a").await, Ok(Some(first)));
}

pub(crate) async fn a_write_needs_the_version_that_stands<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    assert_eq!(records.compare_and_set(Kind::Job, "a", 1, json!({})).await, Ok(Swap::Conflict(None)));
    put_all(&*records, Kind::Job, &["a"]).await;
    let second = record("a", 2, json!({ "n": 2 }));
    let swap = records.compare_and_set(Kind::Job, "a", 1, json!({ "n": 2 })).await;
    assert_eq!(swap, Ok(Swap::Done(second.clone())));
    for stale in [0, 1, 3, u64::MAX] {
        let swap = records.compare_and_set(Kind::Job, "a", stale, json!({ "n": 3 })).await;
        assert_eq!(swap, Ok(Swap::Conflict(Some(second.clone()))), "expected {stale}");
    }
    assert_eq!(records.get(Kind::Job, "a").await, Ok(Some(second)));
}

pub(crate) async fn a_removal_needs_the_version_that_stands_and_returns_what_it_removed<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    assert_eq!(records.remove(Kind::Job, "a", 1).await, Ok(Swap::Conflict(None)));
    put_all(&*records, Kind::Job, &["a"]).await;
    let stands = record("a", 1, json!({ "of": "a" }));
    assert_eq!(records.remove(Kind::Job, "a", 2).await, Ok(Swap::Conflict(Some(stands.clone()))));
    assert_eq!(records.remove(Kind::Job, "a", 1).await, Ok(Swap::Done(stands)));
    assert_eq!(records.get(Kind::Job, "a").await, Ok(None));
}

pub(crate) async fn a_removed_record_can_be_put_again<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    put_all(&*records, Kind::Document, &["a"]).await;
    records.remove(Kind::Document, "a", 1).await.unwrap();
    let again = records.put_if_absent(Kind::Document, "a", json!({ "n": 2 })).await;
    assert!(matches!(&again, Ok(Put::Created(record)) if record.body == json!({ "n": 2 })), "{again:?}");
    assert_eq!(records.count(Kind::Document).await, Ok(1));
}

pub(crate) async fn records_of_different_kinds_never_meet<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    for kind in Kind::ALL {
        let put = records.put_if_absent(kind, "same", json!({ "kind": kind.as_str() })).await;
        assert!(matches!(put, Ok(Put::Created(_))), "{kind:?}");
    }
    for kind in Kind::ALL {
        let expected = record("same", 1, json!({ "kind": kind.as_str() }));
        assert_eq!(records.get(kind, "same").await, Ok(Some(expected.clone())));
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
    put_all(&*records, Kind::Document, &["a", "b", "c"]).await;
    records.remove(Kind::Document, "b", 1).await.unwrap();
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
    put_all(&*records, Kind::Document, &["a", "b", "c"]).await;
    put_all(&*records, Kind::Job, &["a"]).await;
    records.compare_and_set(Kind::Document, "a", 1, json!({})).await.unwrap();
    records.remove(Kind::Document, "b", 1).await.unwrap();
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
    records.put_if_absent(Kind::Job, "counter", json!({ "n": 0 })).await.unwrap();
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
    assert_eq!(records.get(Kind::Job, "counter").await, Ok(Some(record("counter", 31, json!({ "n": 30 })))));
}

pub(crate) async fn of_racing_removals_exactly_one_wins<S: Storage>() {
    let storage = S::fresh().await;
    for round in 0..5 {
        let id = format!("r{round}");
        let racers = racers(&storage, 6).await;
        racers[0].put_if_absent(Kind::Pending, &id, json!({})).await.unwrap();
        let tasks = racers.into_iter().map(|records| {
            let id = id.clone();
            tokio::spawn(async move { records.remove(Kind::Pending, &id, 1).await.unwrap() })
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
    for version in 1..=20 {
        match version {
            1 => drop(writer.put_if_absent(Kind::Job, "a", json!({ "n": 1 })).await.unwrap()),
            _ => drop(writer.compare_and_set(Kind::Job, "a", version - 1, json!({ "n": version })).await.unwrap()),
        }
        assert_eq!(reader.get(Kind::Job, "a").await, Ok(Some(record("a", version, json!({ "n": version })))));
    }
    writer.remove(Kind::Job, "a", 20).await.unwrap();
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
    records.put_if_absent(Kind::Pending, "odd/é \"id\"?*%", body.clone()).await.unwrap();
    assert_eq!(records.get(Kind::Pending, "odd/é \"id\"?*%").await, Ok(Some(record("odd/é \"id\"?*%", 1, body))));
}

pub(crate) async fn a_body_of_a_megabyte_comes_back_as_it_was<S: Storage>() {
    let storage = S::fresh().await;
    let records = storage.open().await;
    let body = json!({ "text": "0123456789abcdé\n".repeat(62_500) });
    records.put_if_absent(Kind::Pending, "big", body.clone()).await.unwrap();
    assert_eq!(records.get(Kind::Pending, "big").await, Ok(Some(record("big", 1, body.clone()))));
    let listed = records.list(Kind::Pending, "b", None, 1).await.unwrap();
    assert_eq!(listed.records, [record("big", 1, body)]);
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
    put_all(&*records, Kind::Document, &["a", "b"]).await;
    records.compare_and_set(Kind::Document, "a", 1, json!({ "n": 2 })).await.unwrap();
    records.remove(Kind::Document, "b", 1).await.unwrap();
    records.close().await.unwrap();
    let records = storage.open().await;
    let page = records.list(Kind::Document, "", None, 10).await.unwrap();
    assert_eq!(page.records, [record("a", 2, json!({ "n": 2 }))]);
}

const TTL: SignedDuration = SignedDuration::from_secs(10);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub(crate) async fn a_lease_has_one_holder_until_it_ends<S: Storage>() {
    let storage = S::fresh().await;
    let (one, other) = (storage.open().await, storage.open().await);
    let lease = acquire(&*one, "l", "one", at(0), TTL).await.unwrap().unwrap();
    assert_eq!(acquire(&*other, "l", "other", at(9), TTL).await, Ok(None));
    let lease = renew(&*one, &lease, "one", at(9), TTL).await.unwrap().unwrap();
    assert_eq!(acquire(&*other, "l", "other", at(18), TTL).await, Ok(None));
    release(&*one, &lease, at(18)).await.unwrap();
    assert!(acquire(&*other, "l", "other", at(18), TTL).await.unwrap().is_some());
}

pub(crate) async fn a_lease_is_fenced<S: Storage>() {
    let storage = S::fresh().await;
    let (one, other) = (storage.open().await, storage.open().await);
    let late = acquire(&*one, "l", "one", at(0), TTL).await.unwrap().unwrap();
    let next = acquire(&*other, "l", "other", at(10), TTL).await.unwrap().unwrap();
    assert!(next.fence > late.fence);
    assert_eq!(renew(&*one, &late, "one", at(10), TTL).await, Ok(None));
    release(&*one, &late, at(11)).await.unwrap();
    assert!(
        renew(&*other, &next, "other", at(11), TTL).await.unwrap().is_some(),
        "a late release ended another's lease"
    );
    let racers = racers(&storage, 6).await.into_iter().enumerate().map(|(n, records)| {
        tokio::spawn(async move { acquire(&*records, "l", &format!("r{n}"), at(60), TTL).await.unwrap() })
    });
    let mut fences = Vec::new();
    for racer in racers.collect::<Vec<_>>() {
        fences.extend(racer.await.unwrap().map(|lease| lease.fence));
    }
    assert_eq!(fences, [next.fence + 1], "exactly one of the racing holders wins");
}
