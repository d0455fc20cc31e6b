//! How the parts outside are, as the calls that were made anyway saw them. Nobody is called to find that out.

use std::{
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use jiff::Timestamp;

use super::AddressClass;

/// How a part is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether the last call was answered.
    pub reachable: bool,
    /// Since when that is so.
    pub since: Timestamp,
    /// The class of what is wrong; none while it is reachable.
    pub cause: Option<String>,
}

/// What else calls of a part saw.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calls {
    /// How far away it is; none where it is part of the process, or not told.
    pub address: Option<AddressClass>,
    /// How long its last call took that came to an end; none before there was one.
    pub took: Option<Duration>,
    /// The class of its last failure, and when that was; none before there was one.
    pub failed: Option<(String, Timestamp)>,
}

/// What was seen of one part. Whoever calls the part tells what became of it.
#[derive(Debug)]
pub struct Sight {
    name: String,
    health: Mutex<Option<Health>>,
    address: OnceLock<AddressClass>,
    calls: Mutex<Calls>,
}

impl Sight {
    /// A part of this name that nobody has called yet.
    pub fn new(name: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            name: name.into(),
            health: Mutex::default(),
            address: OnceLock::new(),
            calls: Mutex::default(),
        })
    }

    /// It answered.
    pub fn answered(&self, now: Timestamp) {
        self.see(None, now);
    }

    /// It did not answer, for a reason of this class.
    pub fn failed(&self, cause: &str, now: Timestamp) {
        self.see(Some(cause), now);
    }

    /// It is at this address, of which only the class is kept. The first one that is told holds.
    pub fn is_at(&self, url: &str) {
        if let Some(class) = AddressClass::of_url(url) {
            self.address.get_or_init(|| class);
        }
    }

    /// Its last call took so long.
    pub fn took(&self, took: Duration) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).took = Some(took);
    }

    fn see(&self, cause: Option<&str>, now: Timestamp) {
        if let Some(cause) = cause {
            let failed = Some((cause.to_owned(), now));
            self.calls.lock().unwrap_or_else(PoisonError::into_inner).failed = failed;
        }
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let reachable = cause.is_none();
        let before = health.as_ref().map(|seen| seen.reachable);
        match health.as_mut().filter(|seen| seen.reachable == reachable) {
            // Its cause may become another one while it is away; since when it is away does not.
            Some(seen) if seen.cause.as_deref() != cause => seen.cause = cause.map(str::to_owned),
            Some(_) => {}
            None => *health = Some(Health { reachable, since: now, cause: cause.map(str::to_owned) }),
        }
        drop(health);
        match (before, cause) {
            (Some(false), None) => tracing::info!(part = self.name, "answers again"),
            (None | Some(true), Some(cause)) => tracing::warn!(part = self.name, cause, "does not answer"),
            (None | Some(true), None) | (Some(false), Some(_)) => {}
        }
    }

    /// The part, in words: `vector store`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What else its calls saw.
    pub fn calls(&self) -> Calls {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Calls { address: self.address.get().copied(), ..calls }
    }

    /// How it is as the last call saw it; none before there was one.
    pub fn last_seen(&self) -> Option<Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_state_lasts_since_the_first_call_that_saw_it_whatever_its_cause() {
        let sight = Sight::new("vector store");
        assert_eq!(sight.last_seen(), None);
        let seen = |reachable, since, cause: Option<&str>| {
            Some(Health { reachable, since: at(since), cause: cause.map(str::to_owned) })
        };
        sight.answered(at(1));
        sight.answered(at(2));
        assert_eq!(sight.last_seen(), seen(true, 1, None));
        sight.failed("timeout", at(3));
        sight.failed("unreachable", at(4));
        assert_eq!(sight.last_seen(), seen(false, 3, Some("unreachable")));
        sight.answered(at(5));
        assert_eq!(sight.last_seen(), seen(true, 5, None));
    }

    #[test]
    fn the_last_failure_is_known_also_when_it_is_over_and_an_address_by_its_class_alone() {
        let sight = Sight::new("provider far");
        assert_eq!(sight.calls(), Calls::default());
        sight.is_at("https://api.example.com/v1");
        sight.failed("timeout", at(1));
        sight.took(Duration::from_millis(7));
        sight.answered(at(2));
        let expected = Calls {
            address: Some(AddressClass::Public),
            took: Some(Duration::from_millis(7)),
            failed: Some(("timeout".to_owned(), at(1))),
        };
        assert_eq!(sight.calls(), expected);
        assert!(!format!("{sight:?}").contains("example.com"));
    }
}
