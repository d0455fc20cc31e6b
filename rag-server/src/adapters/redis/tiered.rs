//! The memory of this process in front, and Redis behind.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::{
    connection::Link,
    entry::{LAST_BYTE, opened, sealed},
    failure::Cause,
};
use crate::ports::{Cache, CacheKey, Held};

/// Most writes that are on their way at once. Each takes well under a millisecond, so more of them wait only for a Redis that is too slow; one that comes then is not made.
const MAX_WRITES: usize = 32;

/// What became of a read or a write that did not fail.
const FOUND: &str = "found";
const ABSENT: &str = "absent";
const FOREIGN: &str = "foreign";
const KEPT: &str = "kept";
const TOO_LARGE: &str = "too_large";
/// Redis was not asked: there is no connection, or it is left alone, or too much is on its way.
pub(super) const LEFT_ALONE: &str = "left_alone";

const GET: &str = "get";
const PUT: &str = "put";

/// Every command with everything that may become of it, besides the failures.
const USUAL: [(&str, &str); 7] =
    [(GET, FOUND), (GET, ABSENT), (GET, FOREIGN), (GET, LEFT_ALONE), (PUT, KEPT), (PUT, TOO_LARGE), (PUT, LEFT_ALONE)];

/// Every pair of a command and what may become of it.
pub static OUTCOMES: std::sync::LazyLock<Vec<(&'static str, &'static str)>> = std::sync::LazyLock::new(|| {
    let failures = Cause::ALL.into_iter().flat_map(|cause| [GET, PUT].map(|command| (command, cause.as_str())));
    USUAL.into_iter().chain(failures).collect()
});

/// Who is told a command, `get` or `put`, and what became of it.
type Told = dyn Fn(&'static str, &'static str) + Send + Sync;

/// Both of them as one cache.
pub struct TieredCache {
    memory: Arc<dyn Cache>,
    link: Arc<Link>,
    ttl: Duration,
    writes: Arc<Semaphore>,
    told: Arc<Told>,
}

impl TieredCache {
    /// The memory in front of the Redis at the end of `link`, where an entry is kept for `ttl`.
    pub fn new(
        memory: Arc<dyn Cache>,
        link: Arc<Link>,
        ttl: Duration,
        told: impl Fn(&'static str, &'static str) + Send + Sync + 'static,
    ) -> Self {
        Self { memory, link, ttl, writes: Arc::new(Semaphore::new(MAX_WRITES)), told: Arc::new(told) }
    }

    /// What Redis keeps under the key, if it is what was put there.
    async fn fetched(&self, key: &CacheKey) -> Option<Arc<[u8]>> {
        let name = self.link.names().entry(key);
        // A part of the value, so that whatever somebody put there takes no more memory than the longest entry.
        let mut command = redis::cmd("GETRANGE");
        command.arg(&name).arg(0).arg(LAST_BYTE);
        let (outcome, value) = match self.link.call::<Vec<u8>>(&command).await {
            Ok(Some(bytes)) if bytes.is_empty() => (ABSENT, None),
            Ok(Some(bytes)) => opened(&name, &bytes).map_or((FOREIGN, None), |value| (FOUND, Some(value))),
            Ok(None) => (FOREIGN, None),
            Err(no_answer) => (no_answer.as_str(), None),
        };
        (self.told)(GET, outcome);
        value
    }

    /// Sends a value to Redis beside the request.
    fn send(&self, key: &CacheKey, value: &[u8]) {
        let link = Arc::clone(&self.link);
        if !link.is_up() {
            return (self.told)(PUT, LEFT_ALONE);
        }
        let Ok(permit) = Arc::clone(&self.writes).try_acquire_owned() else {
            return (self.told)(PUT, LEFT_ALONE);
        };
        let name = link.names().entry(key);
        let Some(sealed) = sealed(&name, value) else { return (self.told)(PUT, TOO_LARGE) };
        let (told, seconds) = (Arc::clone(&self.told), self.ttl.as_secs());
        tokio::spawn(async move {
            let mut command = redis::cmd("SET");
            command.arg(name).arg(sealed).arg("EX").arg(seconds);
            let outcome = match link.call::<()>(&command).await {
                Ok(_) => {
                    link.takes_writes();
                    KEPT
                }
                Err(no_answer) => no_answer.as_str(),
            };
            drop(permit);
            told(PUT, outcome);
        });
    }
}

#[async_trait]
impl Cache for TieredCache {
    async fn get(&self, key: &CacheKey) -> Option<Arc<[u8]>> {
        if let Some(value) = self.memory.get(key).await {
            return Some(value);
        }
        let value = self.fetched(key).await?;
        self.memory.put(*key, Arc::clone(&value)).await;
        Some(value)
    }

    async fn put(&self, key: CacheKey, value: Arc<[u8]>) {
        self.send(&key, &value);
        self.memory.put(key, value).await;
    }

    /// What the memory of this process holds. What is in Redis belongs to all replicas, and Redis counts it.
    async fn held(&self) -> Held {
        self.memory.held().await
    }
}

#[cfg(test)]
mod tests {
    use super::{super::connection::NoAnswer, *};

    #[test]
    fn no_pair_of_a_command_and_an_outcome_is_listed_twice() {
        let mut pairs = OUTCOMES.clone();
        pairs.sort_unstable();
        assert!(pairs.windows(2).all(|pair| pair[0] != pair[1]), "{pairs:?}");
        assert!(pairs.contains(&(GET, NoAnswer::LeftAlone.as_str())));
        assert!(pairs.contains(&(PUT, NoAnswer::Failed(Cause::Full).as_str())));
    }
}
