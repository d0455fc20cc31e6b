//! What the election does next, given the Lease as it was read and when that was. Pure.
//!
//! Every moment is one of this process's own steady clock. The times that a Lease carries were written by the clock of another
//! machine and decide nothing. What decides is how long a Lease has been seen unchanged: a holder that has not renewed it for as
//! long as it may go without doing so has stopped working by then.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use tokio::time::Instant;

use super::Terms;

/// A long lease is no reason to wait long for one answer.
const LONGEST_PATIENCE: Duration = Duration::from_secs(10);

/// A standby looks at least this often, so that a lease which is freed is taken up soon.
const LONGEST_LOOK: Duration = Duration::from_secs(2);

/// An API server that refuses is asked again at least this often.
const LONGEST_RETRY: Duration = Duration::from_secs(1);

/// The rhythm of requests that the length of a lease leads to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace(Duration);

impl Pace {
    pub(super) fn of(terms: &Terms) -> Self {
        Self(Duration::from_secs(terms.seconds))
    }

    /// How long one request may take.
    pub(super) fn patience(self) -> Duration {
        (self.0 / 4).min(LONGEST_PATIENCE)
    }

    /// The pause after a request that failed.
    pub(super) fn retry(self) -> Duration {
        (self.0 / 16).min(LONGEST_RETRY)
    }

    /// The pause between two looks of a standby.
    pub(super) fn look(self) -> Duration {
        (self.0 / 8).min(LONGEST_LOOK)
    }

    /// When a lease is renewed that was renewed last at `renewed`. After an attempt without an answer a second one fits before
    /// [`Pace::end`].
    pub(super) fn renewal(self, renewed: Instant) -> Instant {
        renewed + self.0 / 3
    }

    /// When its holder stops. Others may take the lease over one patience later: that is for requests which are still on their
    /// way, and for clocks that do not run equally fast.
    pub(super) fn end(self, renewed: Instant) -> Instant {
        renewed + self.0.saturating_sub(self.patience())
    }
}

/// A Lease as it was read, and since when it has been known to be like that.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) lease: Lease,
    pub(super) since: Instant,
}

impl Seen {
    /// `now` is the moment after the answer: what the answer says was written before.
    pub(super) fn next(before: Option<Self>, lease: Lease, now: Instant) -> Self {
        let version = &lease.metadata.resource_version;
        let unchanged = before.filter(|before| before.lease.metadata.resource_version == *version);
        Self { since: unchanged.map_or(now, |before| before.since), lease }
    }
}

/// What a process that does not lead does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Writes its name into the lease.
    Claim,
    /// Looks again after a pause.
    Wait(Duration),
}

/// What a process that does not lead does next.
pub(super) fn step(seen: &Seen, terms: &Terms, now: Instant) -> Step {
    match holder(&seen.lease) {
        None => Step::Claim,
        // A claim of ours whose answer was lost.
        Some(holder) if holder == terms.identity => Step::Claim,
        Some(_) => {
            let free_at = seen.since + length(&seen.lease).unwrap_or(Duration::from_secs(terms.seconds));
            let left = free_at.saturating_duration_since(now);
            if left.is_zero() { Step::Claim } else { Step::Wait(left.min(Pace::of(terms).look())) }
        }
    }
}

/// Whether the lease is in this process's name.
pub(super) fn is_held_by(lease: &Lease, identity: &str) -> bool {
    holder(lease) == Some(identity)
}

/// The lease in this process's name from now on. The version that was read stays in it, so that only one claim on it succeeds.
pub(super) fn claimed(lease: &Lease, terms: &Terms, clock: Timestamp) -> Lease {
    let mut lease = lease.clone();
    let changes_hands = !is_held_by(&lease, &terms.identity);
    let spec = lease.spec.get_or_insert_default();
    if changes_hands {
        spec.holder_identity = Some(terms.identity.clone());
        spec.acquire_time = Some(MicroTime(clock));
        spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
    }
    spec.lease_duration_seconds = Some(i32::try_from(terms.seconds).unwrap_or(i32::MAX));
    spec.renew_time = Some(MicroTime(clock));
    lease
}

/// The lease in nobody's name.
pub(super) fn freed(lease: &Lease) -> Lease {
    let mut lease = lease.clone();
    if let Some(spec) = &mut lease.spec {
        spec.holder_identity = None;
        spec.lease_duration_seconds = None;
        spec.acquire_time = None;
        spec.renew_time = None;
    }
    lease
}

fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// How long its holder may go without renewing it: the holder's own word, whose length may be set otherwise than ours.
fn length(lease: &Lease) -> Option<Duration> {
    let seconds = lease.spec.as_ref()?.lease_duration_seconds?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SECOND: Duration = Duration::from_secs(1);

    fn terms(seconds: u64) -> Terms {
        Terms { namespace: "ns".into(), name: "lease".into(), identity: "me".into(), seconds }
    }

    fn lease(version: u32, holder: Option<&str>, seconds: Option<i32>) -> Lease {
        let spec = json!({"holderIdentity": holder, "leaseDurationSeconds": seconds, "leaseTransitions": 4});
        let metadata = json!({"name": "lease", "resourceVersion": version.to_string(), "labels": {"team": "blue"}});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    #[test]
    fn a_standby_claims_what_is_free_its_own_or_unchanged_for_as_long_as_its_holder_said() {
        let start = Instant::now();
        // Holder, its length, how long it has been seen unchanged, what follows.
        let table = [
            (None, None, 0, Step::Claim),
            (Some(""), Some(15), 0, Step::Claim),
            (Some("me"), Some(15), 0, Step::Claim),
            (Some("other"), Some(15), 0, Step::Wait(SECOND * 15 / 8)),
            (Some("other"), Some(15), 14, Step::Wait(SECOND)),
            (Some("other"), Some(15), 15, Step::Claim),
            (Some("other"), Some(60), 15, Step::Wait(SECOND * 15 / 8)),
            (Some("other"), Some(60), 60, Step::Claim),
            (Some("other"), Some(5), 5, Step::Claim),
            (Some("other"), None, 14, Step::Wait(SECOND)),
            (Some("other"), Some(-1), 15, Step::Claim),
        ];
        for (holder, seconds, unchanged, expected) in table {
            let seen = Seen { lease: lease(1, holder, seconds), since: start };
            let found = step(&seen, &terms(15), start + SECOND * unchanged);
            assert_eq!(found, expected, "{holder:?} {seconds:?} {unchanged}");
        }
    }

    #[test]
    fn a_lease_without_a_spec_is_free() {
        let seen = Seen { lease: Lease::default(), since: Instant::now() };
        assert_eq!(step(&seen, &terms(15), seen.since), Step::Claim);
    }

    #[test]
    fn every_write_to_the_lease_begins_a_new_wait_and_a_look_does_not() {
        let start = Instant::now();
        let first = Seen::next(None, lease(1, Some("other"), Some(15)), start);
        let again = Seen::next(Some(first), lease(1, Some("other"), Some(15)), start + SECOND);
        assert_eq!(again.since, start);
        let renewed = Seen::next(Some(again), lease(2, Some("other"), Some(15)), start + SECOND * 2);
        assert_eq!(renewed.since, start + SECOND * 2);
    }

    #[test]
    fn a_claim_counts_a_change_of_hands_and_keeps_what_others_wrote() {
        let clock = Timestamp::from_second(1_000).unwrap();
        let taken = claimed(&lease(7, Some("other"), Some(30)), &terms(15), clock);
        assert_eq!(taken.metadata, lease(7, None, None).metadata);
        let spec = taken.spec.as_ref().unwrap();
        assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("me"), Some(5)));
        assert_eq!(spec.lease_duration_seconds, Some(15));
        assert_eq!((&spec.acquire_time, &spec.renew_time), (&Some(MicroTime(clock)), &Some(MicroTime(clock))));

        let later = Timestamp::from_second(1_005).unwrap();
        let renewed = claimed(&taken, &terms(15), later).spec.unwrap();
        assert_eq!((renewed.lease_transitions, renewed.acquire_time), (Some(5), Some(MicroTime(clock))));
        assert_eq!(renewed.renew_time, Some(MicroTime(later)));
    }

    #[test]
    fn a_freed_lease_is_in_nobodys_name_and_remembers_how_often_it_changed_hands() {
        let spec = freed(&lease(7, Some("me"), Some(15))).spec.unwrap();
        assert_eq!((spec.holder_identity, spec.lease_duration_seconds, spec.lease_transitions), (None, None, Some(4)));
    }

    #[test]
    fn a_holder_tries_twice_before_it_stops_and_stops_before_others_may_begin() {
        let renewed = Instant::now();
        for seconds in 2..=600 {
            let pace = Pace::of(&terms(seconds));
            let second_attempt = pace.renewal(renewed) + pace.patience() + pace.retry();
            assert!(second_attempt + pace.patience() / 3 <= pace.end(renewed), "{seconds}");
            assert!(pace.end(renewed) + pace.patience() <= renewed + Duration::from_secs(seconds), "{seconds}");
            assert!(pace.patience() > Duration::ZERO && pace.look() > Duration::ZERO && pace.retry() > Duration::ZERO);
        }
    }
}
