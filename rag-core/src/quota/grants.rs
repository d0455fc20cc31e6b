//! What was handed out of a vendor's quota to all replicas, as the record that they share keeps it.
//!
//! Pure: the time is passed in, in milliseconds since a moment that all who write the record agree on. What is handed out is used within [`LEASE`] or is lost; nothing is given back, so nobody has to be asked whether he is alive.
//! Invariant: what arrives at the vendor within any [`WINDOW`] is at most the quota, because what was handed out counts until nothing that arrives from then on shares a window with it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Vendors' limits are those of a minute, whenever they let it begin.
pub(super) const WINDOW: Duration = Duration::from_secs(60);
/// How long a replica may send what it was handed out: short, since what it does not send is lost.
pub(super) const LEASE: Duration = Duration::from_secs(5);
/// What is counted longer than a window: the clocks of two replicas may differ by five seconds, and a request may arrive five seconds later than it was sent, which is how long a connection may take.
pub(super) const SLACK: Duration = Duration::from_secs(10);
/// A replica is handed out at most one part of so many of what is left: two for each of twenty, so that the first one of them leaves something for the others.
const SHARES: u64 = 40;
/// Times in the record are rounded up to these milliseconds, so that it has at most one entry for each second that counts.
const GRAIN: u64 = 1_000;

/// Requests, and tokens of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Amount {
    /// How many requests.
    pub requests: u64,
    /// How many tokens they read and may write, as they are estimated.
    pub tokens: u64,
}

impl Amount {
    /// One request of so many tokens.
    pub fn request(tokens: u64) -> Self {
        Self { requests: 1, tokens }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        let sum = |a: u64, b: u64| a.saturating_add(b);
        Self { requests: sum(self.requests, other.requests), tokens: sum(self.tokens, other.tokens) }
    }

    pub(super) fn times(self, times: u64) -> Self {
        Self { requests: self.requests.saturating_mul(times), tokens: self.tokens.saturating_mul(times) }
    }

    /// What is left of this after `other`, if that is not more.
    pub(super) fn checked_minus(self, other: Self) -> Option<Self> {
        let requests = self.requests.checked_sub(other.requests)?;
        Some(Self { requests, tokens: self.tokens.checked_sub(other.tokens)? })
    }
}

/// What a vendor allows within a minute. None of both is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Requests.
    pub requests: Option<u64>,
    /// Tokens.
    pub tokens: Option<u64>,
}

impl Limits {
    /// Whether there is any.
    pub fn is_limited(self) -> bool {
        self.requests.is_some() || self.tokens.is_some()
    }

    pub(super) fn map(self, change: impl Fn(u64) -> u64) -> Self {
        Self { requests: self.requests.map(&change), tokens: self.tokens.map(&change) }
    }

    /// What is left after this was taken.
    fn minus(self, taken: Amount) -> Self {
        let left = |limit: Option<u64>, taken| limit.map(|limit| limit.saturating_sub(taken));
        Self { requests: left(self.requests, taken.requests), tokens: left(self.tokens, taken.tokens) }
    }

    /// The tighter of both, in each of its parts.
    fn and(self, other: Self) -> Self {
        let least = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
        Self { requests: least(self.requests, other.requests), tokens: least(self.tokens, other.tokens) }
    }

    fn allow(self, wanted: Amount) -> bool {
        let fits = |left: Option<u64>, wanted| left.is_none_or(|left| wanted <= left);
        fits(self.requests, wanted.requests) && fits(self.tokens, wanted.tokens)
    }
}

/// What a replica asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Want {
    /// Without it nothing is handed out.
    pub(super) need: Amount,
    /// What it expects to send within a lease; it may get less, and never less than it needs.
    pub(super) wish: Amount,
}

/// What the vendor itself said is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Told {
    /// Requests.
    pub(super) requests: Option<u64>,
    /// Tokens.
    pub(super) tokens: Option<u64>,
    /// From then on it says nothing any more.
    pub(super) until: u64,
}

impl Told {
    fn left(self) -> Limits {
        Limits { requests: self.requests, tokens: self.tokens }
    }
}

/// Handed out together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Grant {
    /// It is not sent after this.
    until: u64,
    amount: Amount,
}

/// What was handed out and still counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Grants {
    /// By their time.
    handed_out: Vec<Grant>,
    /// What is left by the vendor's last word, less what was handed out since.
    #[serde(default)]
    told: Option<Told>,
}

impl Grants {
    /// Hands out at `now` what is wanted, or a part of it, as far as `limits` allow; otherwise how many milliseconds later as much as is needed can be had, if nobody takes it before.
    pub(super) fn hand_out(&mut self, want: Want, limits: Limits, now: u64) -> Result<Amount, u64> {
        self.forget(now);
        let left = self.left(limits);
        if !left.allow(want.need) {
            return Err(self.wait(want.need, limits, now));
        }
        let part =
            |need: u64, wish: u64, left: Option<u64>| need.max(wish.min(left.map_or(wish, |left| left / SHARES)));
        let amount = Amount {
            requests: part(want.need.requests, want.wish.requests, left.requests),
            tokens: part(want.need.tokens, want.wish.tokens, left.tokens),
        };
        let until = now.saturating_add(millis(LEASE)).next_multiple_of(GRAIN);
        match self.handed_out.iter_mut().find(|grant| grant.until == until) {
            Some(grant) => grant.amount = grant.amount.plus(amount),
            None => self.handed_out.push(Grant { until, amount }),
        }
        self.told = self.told.map(|told| {
            let Limits { requests, tokens } = told.left().minus(amount);
            Told { requests, tokens, ..told }
        });
        Ok(amount)
    }

    /// The vendor said at `now` that only so much is left, which counts where it is less than is known: somebody else uses the account. What was handed out and may not have arrived yet is not in its figure.
    pub(super) fn tell(&mut self, said: Told, limits: Limits, now: u64) {
        self.forget(now);
        let known = self.left(limits);
        let is_news =
            |said: Option<u64>, known: Option<u64>| said.is_some_and(|said| known.is_none_or(|known| said < known));
        if !is_news(said.requests, known.requests) && !is_news(said.tokens, known.tokens) {
            return;
        }
        let may_be_on_its_way = |grant: &&Grant| grant.until.saturating_add(millis(SLACK)) > now;
        let on_its_way = self.handed_out.iter().filter(may_be_on_its_way).fold(Amount::default(), sum);
        let left = said.left().minus(on_its_way).and(self.told.map_or_else(Limits::default, Told::left));
        let until = self.told.map_or(said.until, |before| before.until.max(said.until));
        self.told = Some(Told { requests: left.requests, tokens: left.tokens, until });
    }

    /// How many entries it has.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.handed_out.len()
    }

    /// Lets go of what does not count any more.
    fn forget(&mut self, now: u64) {
        self.handed_out.retain(|grant| counts_until(grant) > now);
        self.told = self.told.filter(|told| told.until > now);
    }

    fn left(&self, limits: Limits) -> Limits {
        let handed_out = self.handed_out.iter().fold(Amount::default(), sum);
        limits.minus(handed_out).and(self.told.map_or_else(Limits::default, Told::left))
    }

    /// After how long enough of what was handed out does not count any more.
    fn wait(&self, need: Amount, limits: Limits, now: u64) -> u64 {
        let mut later = self.clone();
        let told = self.told.map(|told| told.until);
        let mut ends: Vec<u64> = self.handed_out.iter().map(counts_until).chain(told).collect();
        ends.sort_unstable();
        let enough = ends.iter().find(|end| {
            later.forget(**end);
            later.left(limits).allow(need)
        });
        // More than a whole minute allows is never allowed; a window later it is refused again.
        enough.map_or(millis(WINDOW), |end| end - now)
    }
}

fn sum(sum: Amount, grant: &Grant) -> Amount {
    sum.plus(grant.amount)
}

/// From then on nothing that is sent shares a window with what the grant allowed.
fn counts_until(grant: &Grant) -> u64 {
    grant.until.saturating_add(millis(WINDOW) + millis(SLACK))
}

/// The whole milliseconds of a duration.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
