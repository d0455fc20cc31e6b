//! What a vendor's rate limit still allows, kept so that the limit is never hit by us.
//!
//! Pure: the time is passed in. Each call takes its share before it is made, so that calls side by side do not all rely on the same last word of the vendor.
//! The vendor counts for the whole account, so what other replicas use is in its figures.

use std::time::Duration;

use crate::ports::{RateLimit, Window};

/// When a window is full again of which the vendor does not say it: theirs are of a minute.
const USUAL_WINDOW: Duration = Duration::from_secs(60);
/// How long to stay away after a refusal that says nothing about it.
const USUAL_WAIT: Duration = Duration::from_secs(5);

/// What one provider allows.
#[derive(Debug, Clone, Default)]
pub(super) struct Allowance {
    requests: Option<Left>,
    tokens: Option<Left>,
    held_until: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Left {
    remaining: u64,
    until: Duration,
}

impl Allowance {
    /// Takes one request of so many tokens at `now`, or says how long to wait.
    pub(super) fn take(&mut self, tokens: u64, now: Duration) -> Result<(), Duration> {
        if now < self.held_until {
            return Err(self.held_until - now);
        }
        for (left, needed) in [(&mut self.requests, 1), (&mut self.tokens, tokens)] {
            // A window that is over says nothing about the next one.
            *left = left.filter(|left| now < left.until);
            if let Some(Left { until, .. }) = left.filter(|left| left.remaining < needed) {
                return Err(until - now);
            }
        }
        for (left, needed) in [(&mut self.requests, 1), (&mut self.tokens, tokens)] {
            if let Some(left) = left {
                left.remaining -= needed;
            }
        }
        Ok(())
    }

    /// Learns what the vendor said with an answer.
    pub(super) fn learn(&mut self, said: &RateLimit, now: Duration) {
        let left = |window: Window| Left {
            remaining: window.remaining,
            until: now.saturating_add(window.resets_in.unwrap_or(USUAL_WINDOW)),
        };
        self.requests = said.requests.map(left).or(self.requests);
        self.tokens = said.tokens.map(left).or(self.tokens);
        if let Some(wait) = said.retry_after {
            self.hold(wait, now);
        }
    }

    /// Learns that a call was refused for being over the limit.
    pub(super) fn refused(&mut self, said: &RateLimit, now: Duration) {
        self.learn(said, now);
        let empty = |window: Option<Window>| window.filter(|window| window.remaining == 0)?.resets_in;
        let known = said.retry_after.or_else(|| empty(said.requests)).or_else(|| empty(said.tokens));
        self.hold(known.unwrap_or(USUAL_WAIT), now);
    }

    /// For how long nothing will be allowed after `now`.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        let empty =
            |left: Option<Left>| left.filter(|left| left.remaining == 0).map_or(Duration::ZERO, |left| left.until);
        self.held_until.max(empty(self.requests)).max(empty(self.tokens)).saturating_sub(now)
    }

    /// Requests that are left, as far as the vendor said.
    pub(super) fn requests_left(&self) -> Option<u64> {
        self.requests.map(|left| left.remaining)
    }

    fn hold(&mut self, wait: Duration, now: Duration) {
        self.held_until = self.held_until.max(now.saturating_add(wait));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    fn window(remaining: u64, seconds: u64) -> Option<Window> {
        Some(Window { remaining, resets_in: Some(at(seconds)) })
    }

    #[test]
    fn the_last_request_of_a_window_is_made_and_the_next_waits_for_the_next_window() {
        let mut allowance = Allowance::default();
        assert_eq!(allowance.take(10, at(0)), Ok(()));
        allowance.learn(&RateLimit { requests: window(2, 60), ..RateLimit::default() }, at(0));
        assert_eq!(allowance.take(10, at(1)), Ok(()));
        assert_eq!(allowance.take(10, at(1)), Ok(()));
        assert_eq!((allowance.take(10, at(1)), allowance.requests_left()), (Err(at(59)), Some(0)));
        assert_eq!(allowance.take(10, at(60)), Ok(()));
    }

    #[test]
    fn a_call_that_needs_more_tokens_than_are_left_is_not_made_and_a_smaller_one_is() {
        let mut allowance = Allowance::default();
        allowance.learn(&RateLimit { tokens: window(100, 30), requests: window(1, 30), ..RateLimit::default() }, at(0));
        assert_eq!(allowance.take(101, at(0)), Err(at(30)));
        assert_eq!(allowance.take(100, at(0)), Ok(()), "what was refused took nothing");
    }

    #[test]
    fn after_a_refusal_nothing_is_sent_for_as_long_as_the_vendor_asks() {
        for (said, wait) in [
            (RateLimit { retry_after: Some(at(7)), requests: window(0, 90), ..RateLimit::default() }, 7),
            (RateLimit { tokens: window(0, 12), ..RateLimit::default() }, 12),
            (RateLimit::default(), 5),
        ] {
            let mut allowance = Allowance::default();
            allowance.refused(&said, at(100));
            assert_eq!(allowance.take(0, at(100)), Err(at(wait)), "{said:?}");
            let after = allowance.take(0, at(100 + wait));
            assert!(after.is_ok() || said.requests.is_some(), "{said:?}");
        }
    }
}
