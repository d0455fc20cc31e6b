//! The cache in a real Redis: the suite of the port, and what happens when Redis is stopped, stalled, emptied, full, locked, or none that a cache can be kept in.

// One test's Redis; the tests of the server start theirs with the same words.
#[path = "../redis_server/mod.rs"]
#[allow(dead_code, reason = "only a part of it is used here")]
mod redis_server;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use rag_core::doubles::eventually;
use rag_server::{
    adapters::{
        memory_cache::MemoryCache,
        redis::{Link, Names, RedisSettings, TieredCache},
    },
    outside,
    ports::{Cache, CacheKey, CacheKind, Health, Held, Sight},
    resilience::{BreakerPolicy, Guard},
};

use self::redis_server::RedisServer;
use crate::{
    cache::{ROOM, Storage, cache_suite, key, value},
    certificates,
};

/// Long enough for a busy machine: what is slow is made so on purpose.
const BUDGET: Duration = Duration::from_secs(10);
/// For tests that wait until it is over.
const SHORT_BUDGET: Duration = Duration::from_millis(50);
const TTL: Duration = Duration::from_secs(3600);

/// The cache of one replica.
struct Replica {
    cache: TieredCache,
    sight: Arc<Sight>,
    counted: Counted,
}

type Counted = Arc<Mutex<BTreeMap<(&'static str, &'static str), u32>>>;

/// How a replica reaches Redis.
struct Way {
    url: String,
    owner: (&'static str, Option<&'static str>),
    password_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    budget: Duration,
    memory: u64,
}

impl Way {
    fn to(server: &RedisServer) -> Self {
        let owner = ("team-a/handbook", Some("1"));
        Self { url: server.url(), owner, password_file: None, ca_file: None, budget: BUDGET, memory: ROOM }
    }

    fn replica(self) -> Replica {
        let sight = Sight::new("cache");
        // One failure opens it, and it is tried again at the next call: what is tested waits for no pause.
        let policy = BreakerPolicy { failures: 1, open: Duration::ZERO, successes: 1 };
        let guard = Arc::new(Guard::new("redis", policy, Box::new(|_, _, _| {})).unlogged());
        let Self { url, owner: (owner, id), password_file, ca_file, budget, memory } = self;
        let settings = RedisSettings { url, user_file: None, password_file, ca_file, budget };
        let link = Link::new(settings, Names::of(owner, id), guard, Arc::clone(&sight)).unwrap();
        let counted = Counted::default();
        let counts = Arc::clone(&counted);
        let told = move |command, outcome| *counts.lock().unwrap().entry((command, outcome)).or_default() += 1;
        let cache = TieredCache::new(Arc::new(MemoryCache::new(memory)), link, TTL, told);
        Replica { cache, sight, counted }
    }

    /// The replica, once it has its connection.
    async fn connected(self) -> Replica {
        let replica = self.replica();
        replica.await_answers().await;
        replica
    }
}

impl Replica {
    fn count(&self, command: &'static str, outcome: &'static str) -> u32 {
        self.counted.lock().unwrap().get(&(command, outcome)).copied().unwrap_or_default()
    }

    fn health(&self) -> Option<Health> {
        self.sight.last_seen()
    }

    fn cause(&self) -> Option<String> {
        self.health()?.cause
    }

    /// Until a read is answered, as by then there is a connection.
    async fn await_answers(&self) {
        let before = self.count("get", "absent");
        eventually("it is answered", async || {
            self.cache.get(&key("nobody put this")).await;
            self.count("get", "absent") > before
        })
        .await;
    }

    async fn await_cause(&self, cause: &str) {
        eventually(cause, async || {
            self.cache.get(&key("nobody put this")).await;
            self.cause().as_deref() == Some(cause)
        })
        .await;
    }

    /// How often anything became of a write.
    fn writes(&self) -> u32 {
        self.counted.lock().unwrap().iter().filter(|((command, _), _)| *command == "put").map(|(_, count)| count).sum()
    }

    /// Puts a value, until it is in Redis.
    async fn put(&self, name: &str, text: &str) {
        let kept = self.count("put", "kept");
        eventually("it is kept", async || {
            let before = self.writes();
            self.cache.put(key(name), value(text)).await;
            eventually("something became of it", async || self.writes() > before).await;
            self.count("put", "kept") > kept
        })
        .await;
    }

    async fn found(&self, name: &str) -> Option<String> {
        let found = self.cache.get(&key(name)).await?;
        Some(String::from_utf8(found.to_vec()).unwrap())
    }
}

/// Whether there is no Redis to test with; it is said then.
fn is_skipped() -> bool {
    let missing = RedisServer::missing();
    if let Some(why) = &missing {
        eprintln!("skipped, because {why}");
    }
    missing.is_some()
}

mod suite {
    use super::*;

    /// Half of the room is in memory, half of it in a Redis that forgets what was used least.
    struct InRedis;

    /// A cache and the server behind it.
    struct Behind {
        cache: TieredCache,
        _server: RedisServer,
    }

    #[async_trait]
    impl Storage for InRedis {
        fn skipped() -> Option<String> {
            RedisServer::missing()
        }

        async fn fresh(max_bytes: u64) -> Arc<dyn Cache> {
            // A future of a client's command cannot be shown to be `Send` behind the trait.
            let begun = move || tokio::runtime::Handle::current().block_on(begin(max_bytes));
            Arc::new(tokio::task::spawn_blocking(begun).await.unwrap())
        }
    }

    async fn begin(max_bytes: u64) -> Behind {
        let server = RedisServer::start().await;
        let info: String = server.ask(redis::cmd("INFO").arg("memory")).await;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse::<u64>().ok());
        let max_memory = used.unwrap() + max_bytes / 2;
        for (name, value) in [("maxmemory", max_memory.to_string()), ("maxmemory-policy", "allkeys-lru".to_owned())] {
            server.ask::<()>(redis::cmd("CONFIG").arg("SET").arg(name).arg(value)).await;
        }
        let Replica { cache, .. } = Way { memory: max_bytes / 2, ..Way::to(&server) }.connected().await;
        Behind { cache, _server: server }
    }

    #[async_trait]
    impl Cache for Behind {
        async fn get(&self, key: &CacheKey) -> Option<Arc<[u8]>> {
            self.cache.get(key).await
        }

        async fn put(&self, key: CacheKey, value: Arc<[u8]>) {
            self.cache.put(key, value).await;
        }

        async fn held(&self) -> Held {
            self.cache.held().await
        }
    }

    cache_suite!(InRedis);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_computed_another_finds_and_keeps_in_its_memory() {
    if is_skipped() {
        return;
    }
    let mut server = RedisServer::start().await;
    let (here, there) = (Way::to(&server).connected().await, Way::to(&server).connected().await);
    here.put("a", "1").await;
    assert_eq!(there.found("a").await.as_deref(), Some("1"));
    assert_eq!(there.count("get", "found"), 1);
    assert_eq!(there.cache.held().await.entries, 1, "held is what the memory of this process holds");
    server.kill();
    assert_eq!(there.found("a").await.as_deref(), Some("1"));
    assert_eq!(here.found("a").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_clusters_on_one_redis_never_meet() {
    if is_skipped() {
        return;
    }
    let server = RedisServer::start().await;
    let here = Way::to(&server).connected().await;
    here.put("a", "1").await;
    for owner in [("team-a/handbook", Some("2")), ("team-a/handbook", None), ("team-b/handbook", Some("1"))] {
        let other = Way { owner, ..Way::to(&server) }.connected().await;
        assert_eq!(other.found("a").await, None, "{owner:?}");
        assert!(other.count("get", "absent") >= 2 && other.count("get", "foreign") == 0);
    }
    assert_eq!(Way::to(&server).connected().await.found("a").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_damaged_or_put_there_by_somebody_else_is_as_good_as_absent() {
    if is_skipped() {
        return;
    }
    let server = RedisServer::start().await;
    let here = Way::to(&server).connected().await;
    here.put("a", "what was computed").await;
    let name = server.only_name("retrieval").await;
    let whole: Vec<u8> = server.ask(redis::cmd("GET").arg(&name)).await;
    here.cache.put(CacheKey::new(CacheKind::Response, &[b"b"]), value("another")).await;
    eventually("both are there", async || {
        server.names().await.iter().filter(|name| !name.ends_with("trial")).count() == 2
    })
    .await;
    let another: Vec<u8> = server.ask(redis::cmd("GET").arg(server.only_name("response").await)).await;
    let mut damaged = whole.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let cut_off = whole[..whole.len() - 1].to_vec();
    for bytes in [damaged, cut_off, another, b"what was computed".to_vec(), vec![b'x'; 3 << 20]] {
        server.ask::<()>(redis::cmd("SET").arg(&name).arg(&bytes)).await;
        let there = Way::to(&server).connected().await;
        assert_eq!(there.found("a").await, None, "{} bytes", bytes.len());
        assert_eq!((there.count("get", "foreign"), there.cause()), (1, None));
    }
    server.ask::<()>(redis::cmd("DEL").arg(&name)).await;
    server.ask::<()>(redis::cmd("LPUSH").arg(&name).arg("a list")).await;
    let there = Way::to(&server).connected().await;
    assert_eq!(there.found("a").await, None);
    assert_eq!((there.count("get", "foreign"), there.cause()), (1, None));
    there.put("a", "computed again").await;
    assert_eq!(Way::to(&server).connected().await.found("a").await.as_deref(), Some("computed again"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_ends_by_itself_and_one_that_is_too_large_is_not_sent() {
    if is_skipped() {
        return;
    }
    let server = RedisServer::start().await;
    let here = Way { memory: 64 << 20, ..Way::to(&server) }.connected().await;
    here.put("a", "1").await;
    let millis: i64 = server.ask(redis::cmd("PTTL").arg(server.only_name("retrieval").await)).await;
    assert!(millis > 0 && millis <= i64::try_from(TTL.as_millis()).unwrap(), "{millis}");
    here.cache.put(key("large"), vec![7; (1 << 20) + 1].into()).await;
    assert_eq!(here.count("put", "too_large"), 1);
    assert!(here.cache.get(&key("large")).await.is_some(), "the memory has room for it");
    server.only_name("retrieval").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_stopped_the_memory_works_alone_and_it_is_used_again_by_itself() {
    if is_skipped() {
        return;
    }
    let mut server = RedisServer::start().await;
    let here = Way::to(&server).connected().await;
    server.kill();
    here.await_cause("unreachable").await;
    here.cache.put(key("a"), value("1")).await;
    assert_eq!(here.found("a").await.as_deref(), Some("1"));
    assert!(here.count("put", "left_alone") > 0, "nothing is sent without a connection");
    let since = here.health().unwrap().since;
    here.await_cause("unreachable").await;
    assert_eq!(here.health().unwrap().since, since, "it is one absence");
    server.come_back().await;
    here.put("b", "2").await;
    assert_eq!(here.cause(), None);
    assert_eq!(Way::to(&server).connected().await.found("b").await.as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_was_there_too_late_is_used_from_then_on() {
    if is_skipped() {
        return;
    }
    let mut server = RedisServer::start().await;
    server.kill();
    let here = Way::to(&server).replica();
    here.await_cause("unreachable").await;
    server.come_back().await;
    here.put("a", "1").await;
    assert_eq!(Way::to(&server).connected().await.found("a").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_stands_still_is_given_up_like_one_that_is_away() {
    if is_skipped() {
        return;
    }
    let server = RedisServer::start().await;
    let here = Way { budget: SHORT_BUDGET, ..Way::to(&server) }.replica();
    here.put("a", "1").await;
    server.stall();
    here.await_cause("timeout").await;
    // No call waits for an answer that does not come, or this would not end: nothing else ends a call.
    for number in 0..1000 {
        let name = number.to_string();
        here.cache.put(key(&name), value(&name)).await;
        assert_eq!(here.found(&name).await, Some(name));
        assert_eq!(here.found("nobody put this").await, None);
    }
    assert!(here.count("get", "left_alone") > 900, "{:?}", here.counted);
    server.go_on();
    here.put("b", "2").await;
    assert_eq!(here.cause(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_was_emptied_is_filled_again() {
    if is_skipped() {
        return;
    }
    let server = RedisServer::start().await;
    let (here, there) = (Way::to(&server).connected().await, Way::to(&server).connected().await);
    here.put("a", "1").await;
    server.ask::<()>(&redis::cmd("FLUSHALL")).await;
    assert_eq!(there.found("a").await, None);
    there.put("a", "computed again").await;
    assert_eq!(Way::to(&server).connected().await.found("a").await.as_deref(), Some("computed again"));
    assert_eq!((here.cause(), there.cause()), (None, None));
}

fn written(folder: &Path, password: &str) -> PathBuf {
    let (path, new) = (folder.join("password"), folder.join("password.new"));
    std::fs::write(&new, format!("{password}\n")).unwrap();
    std::fs::rename(new, &path).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_read_from_its_file_whenever_redis_refuses_the_one_before() {
    if is_skipped() {
        return;
    }
    let mut server = RedisServer::start_with(&["--requirepass", "first-password"]).await;
    Way::to(&server).replica().await_cause("auth_failed").await;
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), "wrong-password");
    let here = Way { password_file: Some(file.clone()), ..Way::to(&server) }.replica();
    here.await_cause("auth_failed").await;
    here.cache.put(key("a"), value("1")).await;
    assert_eq!(here.found("a").await.as_deref(), Some("1"), "the memory works alone");
    written(folder.path(), "first-password");
    here.put("b", "2").await;

    // Rotated: whoever was let in stays so, until the connection ends.
    server.ask::<()>(redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("second-password")).await;
    server.show_password("second-password");
    here.put("c", "3").await;
    server.ask::<i64>(redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes")).await;
    here.await_cause("auth_failed").await;
    written(folder.path(), "second-password");
    here.put("d", "4").await;
    std::fs::remove_file(&file).unwrap();
    server.ask::<i64>(redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes")).await;
    here.await_cause("auth_failed").await;
    assert_eq!(here.found("d").await.as_deref(), Some("4"));
}

/// A Secret may hold the authority of its certificate alone.
#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_no_file_of_a_password_none_is_sent() {
    if is_skipped() {
        return;
    }
    let server = RedisServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let here = Way { password_file: Some(folder.path().join("password")), ..Way::to(&server) }.replica();
    here.put("a", "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_only_the_redis_that_was_meant_is_used_and_one_that_was_put_right_is_used_by_itself() {
    if is_skipped() {
        return;
    }
    outside::choose_cryptography();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    certificates::authority(folder.path(), "ca", certificates::DAYS);
    certificates::authority(folder.path(), "foreign", certificates::DAYS);
    certificates::signed(folder.path(), "ca", "localhost", certificates::DAYS);
    let server = RedisServer::start_tls(folder.path()).await;
    let trust = |name: &str| {
        std::fs::copy(path(name), path("new")).unwrap();
        std::fs::rename(path("new"), path("trusted.crt")).unwrap();
    };
    let way = || Way { url: server.tls_url("localhost"), ca_file: Some(path("trusted.crt")), ..Way::to(&server) };
    let end_connections = async || {
        server.ask::<i64>(redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal").arg("SKIPME").arg("yes")).await;
    };

    way().replica().await_cause("tls").await;
    trust("foreign.crt");
    let here = way().replica();
    here.await_cause("tls").await;
    here.cache.put(key("a"), value("1")).await;
    assert_eq!(here.found("a").await.as_deref(), Some("1"), "the memory works alone");
    trust("ca.crt");
    here.put("b", "2").await;
    assert_eq!(way().connected().await.found("b").await.as_deref(), Some("2"), "another replica finds it over TLS");

    for (host, days) in [("localhost", -1), ("another.example.com", certificates::DAYS)] {
        certificates::signed(folder.path(), "ca", host, days);
        server.reload_certificate().await;
        end_connections().await;
        here.await_cause("tls").await;
        certificates::signed(folder.path(), "ca", "localhost", certificates::DAYS);
        server.reload_certificate().await;
        here.put(&format!("after {host}"), "3").await;
    }

    server.ask::<()>(redis::cmd("CONFIG").arg("SET").arg("tls-auth-clients").arg("yes")).await;
    end_connections().await;
    here.await_cause("tls").await;
    server.ask::<()>(redis::cmd("CONFIG").arg("SET").arg("tls-auth-clients").arg("no")).await;
    here.put("c", "4").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_its_own_needs_no_more_than_is_said_and_less_is_said_as_what_it_is() {
    if is_skipped() {
        return;
    }
    let server = RedisServer::start().await;
    let user = async |rights: &[&str]| {
        let mut command = redis::cmd("ACL");
        command
            .arg("SETUSER")
            .arg("default")
            .arg("reset")
            .arg("on")
            .arg("nopass")
            .arg("+acl")
            .arg("+client")
            .arg(rights);
        server.ask::<()>(&command).await;
    };
    for rights in [&["~ragops:*", "+getrange", "+set", "+hello"][..], &["~ragops:*", "+getrange", "+set"]] {
        user(rights).await;
        Way::to(&server).replica().put("a", "1").await;
    }
    for rights in [&["~other:*", "+getrange", "+set"][..], &["~ragops:*", "+getrange"], &["~ragops:*", "+set"]] {
        user(rights).await;
        Way::to(&server).replica().await_cause("forbidden").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_and_a_node_of_a_cluster_are_said_as_what_they_are() {
    if is_skipped() {
        return;
    }
    let primary = RedisServer::start().await;
    let port = primary.port().to_string();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]).await;
    let node = RedisServer::start_with(&["--cluster-enabled", "yes"]).await;
    Way::to(&replica).replica().await_cause("replica").await;
    Way::to(&node).replica().await_cause("cluster").await;
    // One that becomes a replica while it is used, as in a failover, is given up when it refuses a write.
    let here = Way::to(&primary).connected().await;
    here.put("a", "1").await;
    let other = RedisServer::start().await;
    primary.ask::<()>(redis::cmd("REPLICAOF").arg("127.0.0.1").arg(other.port())).await;
    eventually("it is said", async || {
        here.cache.put(key("b"), value("2")).await;
        here.cause().as_deref() == Some("replica")
    })
    .await;
    primary.ask::<()>(redis::cmd("REPLICAOF").arg("NO").arg("ONE")).await;
    here.put("c", "3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_full_and_forgets_nothing_is_read_all_the_same() {
    if is_skipped() {
        return;
    }
    let server = RedisServer::start().await;
    let here = Way::to(&server).connected().await;
    here.put("a", "1").await;
    server.ask::<()>(redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1")).await;
    here.cache.put(key("b"), value("2")).await;
    eventually("the write is refused", async || here.count("put", "full") == 1).await;
    let there = Way::to(&server).connected().await;
    assert_eq!(there.found("a").await.as_deref(), Some("1"));
    assert_eq!((here.cause(), there.cause()), (None, None));
    server.ask::<()>(redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("0")).await;
    here.put("b", "2").await;
}
