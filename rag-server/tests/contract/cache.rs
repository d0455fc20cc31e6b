//! The contract of `Cache`, clause by clause, and the adapters that keep it.

use std::sync::Arc;

use async_trait::async_trait;
use rag_server::{
    adapters::{counted_cache::CountedCache, memory_cache::MemoryCache},
    ports::{Cache, CacheKey, CacheKind, Held},
};

/// A cache for one clause.
#[async_trait]
pub(crate) trait Storage: Send + Sync {
    /// Why this cache cannot be had here, if it cannot.
    fn skipped() -> Option<String> {
        None
    }

    /// A new, empty cache with room for about this many bytes.
    async fn fresh(max_bytes: u64) -> Arc<dyn Cache>;
}

/// Makes one test of each clause for a [`Storage`].
macro_rules! cache_suite {
    ($storage:ty) => {
        $crate::cache::cache_suite!($storage:
            what_was_never_put_is_not_there,
            a_value_comes_back_as_it_was,
            a_later_value_replaces_the_earlier_one,
            values_of_different_kinds_never_meet,
            it_holds_no_more_than_it_may,
            a_value_that_is_larger_than_the_cache_is_not_kept,
            many_may_use_it_at_once,
            it_says_how_much_it_holds,
        );
    };
    ($storage:ty: $($clause:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $clause() {
                if let Some(why) = <$storage as $crate::cache::Storage>::skipped() {
                    eprintln!("skipped, because {why}");
                    return;
                }
                $crate::cache::$clause::<$storage>().await;
            }
        )*
    };
}
pub(crate) use cache_suite;

pub(crate) const ROOM: u64 = 1 << 20;

pub(crate) fn key(name: &str) -> CacheKey {
    CacheKey::new(CacheKind::Retrieval, &[name.as_bytes()])
}

pub(crate) fn value(text: &str) -> Arc<[u8]> {
    text.as_bytes().into()
}

pub(crate) async fn what_was_never_put_is_not_there<S: Storage>() {
    let cache = S::fresh(ROOM).await;
    cache.put(key("a"), value("1")).await;
    assert_eq!(cache.get(&key("b")).await, None);
}

pub(crate) async fn a_value_comes_back_as_it_was<S: Storage>() {
    let cache = S::fresh(ROOM).await;
    let bytes: Arc<[u8]> = (0..=255).cycle().take(10_000).collect::<Vec<u8>>().into();
    for (name, value) in [("a", bytes.clone()), ("empty", value(""))] {
        cache.put(key(name), value.clone()).await;
        assert_eq!(cache.get(&key(name)).await, Some(value));
    }
}

pub(crate) async fn a_later_value_replaces_the_earlier_one<S: Storage>() {
    let cache = S::fresh(ROOM).await;
    cache.put(key("a"), value("1")).await;
    cache.put(key("a"), value("2")).await;
    assert_eq!(cache.get(&key("a")).await, Some(value("2")));
}

pub(crate) async fn it_says_how_much_it_holds<S: Storage>() {
    let cache = S::fresh(ROOM).await;
    assert_eq!(cache.held().await, Held { entries: 0, bytes: 0 });
    for name in ["a", "b", "a"] {
        cache.put(key(name), value("a text of some length")).await;
    }
    let Held { entries, bytes } = cache.held().await;
    assert!(entries == 2 && bytes >= 42, "{entries} entries, {bytes} bytes");
}

pub(crate) async fn values_of_different_kinds_never_meet<S: Storage>() {
    let cache = S::fresh(ROOM).await;
    for kind in CacheKind::ALL {
        cache.put(CacheKey::new(kind, &[b"same"]), value(kind.as_str())).await;
    }
    for kind in CacheKind::ALL {
        assert_eq!(cache.get(&CacheKey::new(kind, &[b"same"])).await, Some(value(kind.as_str())));
    }
}

pub(crate) async fn it_holds_no_more_than_it_may<S: Storage>() {
    let cache = S::fresh(ROOM).await;
    let large: Arc<[u8]> = vec![7; 16 * 1024].into();
    for number in 0..1000 {
        cache.put(key(&number.to_string()), Arc::clone(&large)).await;
    }
    let mut held = 0;
    for number in 0..1000 {
        held += cache.get(&key(&number.to_string())).await.map_or(0, |value| value.len() as u64);
    }
    assert!(held <= ROOM, "{held} bytes of {ROOM}");
}

pub(crate) async fn a_value_that_is_larger_than_the_cache_is_not_kept<S: Storage>() {
    let cache = S::fresh(ROOM).await;
    cache.put(key("small"), value("1")).await;
    cache.put(key("large"), vec![0; 2 * ROOM as usize].into()).await;
    // What is evicted may go a moment later.
    for number in 0..1000 {
        cache.put(key(&number.to_string()), value("")).await;
    }
    assert_eq!(cache.get(&key("large")).await, None);
    assert_eq!(cache.get(&key("small")).await, Some(value("1")), "it drove others out");
}

pub(crate) async fn many_may_use_it_at_once<S: Storage>() {
    let cache = S::fresh(ROOM).await;
    let tasks = (0..16_u8).map(|task| {
        let cache = Arc::clone(&cache);
        tokio::spawn(async move {
            for number in 0..200 {
                let name = format!("{task}-{number}");
                cache.put(key(&name), value(&name)).await;
                let found = cache.get(&key(&name)).await;
                assert!(found.is_none_or(|found| found == value(&name)), "another value under {name}");
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

mod in_memory {
    use super::*;

    struct InMemory;

    #[async_trait]
    impl Storage for InMemory {
        async fn fresh(max_bytes: u64) -> Arc<dyn Cache> {
            Arc::new(MemoryCache::new(max_bytes))
        }
    }

    cache_suite!(InMemory);

    #[tokio::test]
    async fn bytes_are_accounted_for_with_what_an_entry_takes_besides() {
        let cache = MemoryCache::new(ROOM);
        for number in 0..10_000 {
            cache.put(key(&number.to_string()), value("")).await;
        }
        let Held { bytes, entries } = cache.held().await;
        assert!(entries > 0 && entries < 10_000, "{entries}");
        assert!(bytes > 0 && bytes <= ROOM, "{bytes}");
    }

    #[tokio::test]
    async fn without_room_nothing_is_kept() {
        let cache = MemoryCache::new(0);
        cache.put(key("a"), value("1")).await;
        assert_eq!(cache.held().await, Held { entries: 0, bytes: 0 });
        assert_eq!(cache.get(&key("a")).await, None);
    }
}

mod counted {
    use std::sync::Mutex;

    use super::*;

    struct Counted;

    #[async_trait]
    impl Storage for Counted {
        async fn fresh(max_bytes: u64) -> Arc<dyn Cache> {
            Arc::new(CountedCache::new(Arc::new(MemoryCache::new(max_bytes)), |_, _| {}))
        }
    }

    cache_suite!(Counted);

    #[tokio::test]
    async fn every_question_is_counted_with_its_kind_and_whether_it_was_answered() {
        let counted = Arc::<Mutex<Vec<(CacheKind, bool)>>>::default();
        let counts = Arc::clone(&counted);
        let cache = CountedCache::new(Arc::new(MemoryCache::new(ROOM)), move |kind, found| {
            counts.lock().unwrap().push((kind, found));
        });
        cache.get(&key("a")).await;
        cache.put(key("a"), value("1")).await;
        cache.get(&key("a")).await;
        assert_eq!(*counted.lock().unwrap(), [(CacheKind::Retrieval, false), (CacheKind::Retrieval, true)]);
    }
}
