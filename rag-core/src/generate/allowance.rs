//! What a vendor's rate limit still allows, kept so that the limit is never hit by us.
//!
//! Pure: the time is passed in. Each call takes its share before it is made, so that calls side by side do not all rely on the same last word of the vendor; and what the vendor says with one answer does not give back the shares of those that it has not answered yet.
//! The vendor counts for the whole account, so what other replicas use is in its figures.
//! Caveat: a vendor's word that was overtaken by a later one may be a call too high; then the vendor refuses one, and is left alone.

use std::time::Duration;

use crate::ports::{RateLimit, Window};

/// When a window is full again of which the vendor does not say it: theirs are of a minute.
const USUAL_WINDOW: Duration = Duration::from_secs(60);
/// How long to stay away after a refusal that says nothing about it.
const USUAL_WAIT: Duration = Duration::from_secs(5);

/// What one provider allows.
#[derive(Debug, Clone, Default)]
pub(super) struct Allowance {
    requests: Counted,
    tokens: Counted,
    held_until: Duration,
}

/// What a call took, until it is answered or ends without an answer.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a share that nobody ends counts as under way for ever"]
pub(super) struct Share {
    tokens: u64,
}

/// One window of the limit.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    /// None while nothing is known about it.
    left: Option<Left>,
    /// What calls took that are not answered yet: the vendor's next word may not know of them.
    under_way: u64,
}

#[derive(Debug, Clone, Copy)]
struct Left {
    remaining: u64,
    until: Duration,
}

impl Allowance {
    /// Whether a request of so many tokens could be made at `now`, or how long to wait. Nothing is taken.
    pub(super) fn check(&mut self, tokens: u64, now: Duration) -> Result<(), Duration> {
        if now < self.held_until {
            return Err(self.held_until - now);
        }
        self.requests.check(1, now)?;
        self.tokens.check(tokens, now)
    }

    /// Takes one request of so many tokens at `now`, or says how long to wait.
    pub(super) fn take(&mut self, tokens: u64, now: Duration) -> Result<Share, Duration> {
        self.check(tokens, now)?;
        self.requests.take(1);
        self.tokens.take(tokens);
        Ok(Share { tokens })
    }

    /// The call was answered, or refused, and the vendor said this with it.
    pub(super) fn answered(&mut self, share: Share, said: &RateLimit, now: Duration) {
        self.ended(share);
        self.requests.learn(said.requests, now);
        self.tokens.learn(said.tokens, now);
        if let Some(wait) = said.retry_after {
            self.hold(wait, now);
        }
    }

    /// The call was refused for being over the limit, and the vendor said this with it.
    pub(super) fn refused(&mut self, share: Share, said: &RateLimit, now: Duration) {
        self.answered(share, said, now);
        let empty = |window: Option<Window>| window.filter(|window| window.remaining == 0)?.resets_in;
        let known = said.retry_after.or_else(|| empty(said.requests)).or_else(|| empty(said.tokens));
        self.hold(known.unwrap_or(USUAL_WAIT), now);
    }

    /// The call ended, and the vendor said nothing with it: it may have counted it.
    #[allow(clippy::needless_pass_by_value, reason = "a share is used up")]
    pub(super) fn ended(&mut self, share: Share) {
        self.requests.end(1);
        self.tokens.end(share.tokens);
    }

    /// The call was never sent.
    pub(super) fn give_back(&mut self, share: Share) {
        let tokens = share.tokens;
        self.ended(share);
        self.requests.give_back(1);
        self.tokens.give_back(tokens);
    }

    /// For how long nothing will be allowed after `now`.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        self.held_until.max(self.requests.empty_until()).max(self.tokens.empty_until()).saturating_sub(now)
    }

    /// Requests that are left, as far as the vendor said.
    pub(super) fn requests_left(&self) -> Option<u64> {
        self.requests.left.map(|left| left.remaining)
    }

    fn hold(&mut self, wait: Duration, now: Duration) {
        self.held_until = self.held_until.max(now.saturating_add(wait));
    }
}

impl Counted {
    fn check(&mut self, needed: u64, now: Duration) -> Result<(), Duration> {
        // A window that is over says nothing about the next one.
        self.left = self.left.filter(|left| now < left.until);
        match self.left.filter(|left| left.remaining < needed) {
            Some(Left { until, .. }) => Err(until - now),
            None => Ok(()),
        }
    }

    fn take(&mut self, needed: u64) {
        self.under_way = self.under_way.saturating_add(needed);
        self.change(|remaining| remaining.saturating_sub(needed));
    }

    fn end(&mut self, taken: u64) {
        self.under_way = self.under_way.saturating_sub(taken);
    }

    fn give_back(&mut self, taken: u64) {
        self.change(|remaining| remaining.saturating_add(taken));
    }

    fn learn(&mut self, said: Option<Window>, now: Duration) {
        let under_way = self.under_way;
        let left = |window: Window| Left {
            remaining: window.remaining.saturating_sub(under_way),
            until: now.saturating_add(window.resets_in.unwrap_or(USUAL_WINDOW)),
        };
        self.left = said.map(left).or(self.left);
    }

    fn change(&mut self, change: impl FnOnce(u64) -> u64) {
        self.left = self.left.map(|left| Left { remaining: change(left.remaining), ..left });
    }

    fn empty_until(&self) -> Duration {
        self.left.filter(|left| left.remaining == 0).map_or(Duration::ZERO, |left| left.until)
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

    /// An allowance that a first answer told this.
    fn told(said: &RateLimit, now: Duration) -> Allowance {
        let mut allowance = Allowance::default();
        let first = allowance.take(10, now).unwrap();
        allowance.answered(first, said, now);
        allowance
    }

    /// A call that is made and answered without a word about the limit.
    fn call(allowance: &mut Allowance, tokens: u64, now: Duration) -> Result<(), Duration> {
        allowance.take(tokens, now).map(|share| allowance.ended(share))
    }

    #[test]
    fn the_last_request_of_a_window_is_made_and_the_next_waits_for_the_next_window() {
        let mut allowance = told(&RateLimit { requests: window(2, 60), ..RateLimit::default() }, at(0));
        assert_eq!(call(&mut allowance, 10, at(1)), Ok(()));
        assert_eq!(call(&mut allowance, 10, at(1)), Ok(()));
        assert_eq!((call(&mut allowance, 10, at(1)), allowance.requests_left()), (Err(at(59)), Some(0)));
        assert_eq!(call(&mut allowance, 10, at(60)), Ok(()));
    }

    #[test]
    fn a_call_that_needs_more_tokens_than_are_left_is_not_made_and_a_smaller_one_is() {
        let said = RateLimit { tokens: window(100, 30), requests: window(1, 30), ..RateLimit::default() };
        let mut allowance = told(&said, at(0));
        assert_eq!(call(&mut allowance, 101, at(0)), Err(at(30)));
        assert_eq!(call(&mut allowance, 100, at(0)), Ok(()), "what was refused took nothing");
    }

    #[test]
    fn asking_whether_a_call_could_be_made_takes_nothing_and_one_that_was_never_sent_gives_back() {
        let said = RateLimit { tokens: window(100, 30), requests: window(1, 30), ..RateLimit::default() };
        let mut allowance = told(&said, at(0));
        for _ in 0..3 {
            assert_eq!(allowance.check(100, at(0)), Ok(()));
            let share = allowance.take(100, at(0)).unwrap();
            assert_eq!(allowance.requests_left(), Some(0));
            allowance.give_back(share);
        }
        assert_eq!(allowance.requests_left(), Some(1));
    }

    #[test]
    fn what_is_said_with_one_answer_does_not_give_back_what_others_took() {
        let said = |requests, tokens| RateLimit { requests, tokens, retry_after: None };
        let mut allowance = told(&said(window(3, 60), window(300, 60)), at(0));
        let shares = [(); 3].map(|()| allowance.take(100, at(1)).unwrap());
        let [first, second, third] = shares;
        // The vendor has seen the first of three.
        allowance.answered(first, &said(window(2, 59), window(200, 59)), at(2));
        assert_eq!((allowance.requests_left(), allowance.take(1, at(2))), (Some(0), Err(at(59))));
        allowance.ended(second);
        allowance.answered(third, &said(window(5, 50), window(500, 50)), at(3));
        assert_eq!(allowance.requests_left(), Some(5), "nothing is under way any more");
    }

    #[test]
    fn after_a_refusal_nothing_is_sent_for_as_long_as_the_vendor_asks() {
        for (said, wait) in [
            (RateLimit { retry_after: Some(at(7)), requests: window(0, 90), ..RateLimit::default() }, 7),
            (RateLimit { tokens: window(0, 12), ..RateLimit::default() }, 12),
            (RateLimit::default(), 5),
        ] {
            let mut allowance = Allowance::default();
            let refused = allowance.take(0, at(100)).unwrap();
            allowance.refused(refused, &said, at(100));
            assert_eq!(call(&mut allowance, 0, at(100)), Err(at(wait)), "{said:?}");
            let after = call(&mut allowance, 0, at(100 + wait));
            assert!(after.is_ok() || said.requests.is_some(), "{said:?}");
        }
    }
}
