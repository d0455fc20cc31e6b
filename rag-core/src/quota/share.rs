//! What one replica may send of a vendor's quota: what it was handed out, and a small part where it cannot be handed out anything.
//!
//! Pure: the time is passed in, by a clock that nobody sets. A replica that does not reach the records sends nothing at first, and a window later the part that is kept for that, whatever becomes of the others.

use std::time::Duration;

use super::grants::{Amount, Grants, LEASE, Limits, SLACK, Told, WINDOW, Want, millis};

/// Replicas for which a part is kept: the twenty that a cluster may have without an approval, and as many that take their place meanwhile.
const REPLICAS: u64 = 40;
/// A tenth of the quota is kept for replicas that do not reach the records, which leaves nothing of a small one.
const KEPT: u64 = 10;
/// A vendor's word that leaves fewer requests than this is shared: two for each of twenty replicas.
const FEW_REQUESTS: u64 = 40;
/// The same of tokens: what forty answers of the usual length take.
const FEW_TOKENS: u64 = 40_000;

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// It may.
    Granted,
    /// It is to be asked for; this much.
    Ask(Want),
    /// Not before so much time passed.
    Wait(Duration),
}

/// What one replica may send.
#[derive(Debug, Clone)]
pub(super) struct Share {
    limits: Limits,
    /// What it was handed out and did not send yet.
    purse: Amount,
    /// When that is lost.
    until: Duration,
    /// What was sent since it was handed out something last.
    sent: Amount,
    /// So much cannot be had before that moment.
    dry: Option<(Amount, Duration)>,
    /// What it sent without being handed out anything.
    alone: Grants,
    /// When the records answered last.
    heard: Duration,
    /// The vendor's word, to be told to the others with the next request for more; by the clock of this replica.
    few: Option<Told>,
}

impl Share {
    /// Nothing was handed out yet at `now`.
    pub(super) fn new(limits: Limits, now: Duration) -> Self {
        let (purse, sent) = (Amount::default(), Amount::default());
        Self { limits, purse, until: now, sent, dry: None, alone: Grants::default(), heard: now, few: None }
    }

    /// Sends what is needed at `now`, if that may be done.
    pub(super) fn take(&mut self, need: Amount, now: Duration) -> Leave {
        self.few = self.few.filter(|told| millis(now) < told.until);
        if !self.limits.is_limited() && self.few.is_none() {
            return Leave::Granted;
        }
        if now < self.until && self.spend(need) {
            return Leave::Granted;
        }
        match self.dry {
            Some((dry, until)) if now < until && need.checked_minus(dry).is_some() => Leave::Wait(until - now),
            // Who sent all of it while the lease went on needs more the next time, and so asks less often the more it sends.
            _ => Leave::Ask(Want { need, wish: self.sent.times(if now < self.until { 2 } else { 1 }) }),
        }
    }

    /// Asks the record of all for it: the time is that which all who write it agree on, and `now` that of this replica.
    pub(super) fn ask(&self, grants: &mut Grants, want: Want, (time, now): (u64, Duration)) -> Result<Amount, u64> {
        self.tell(grants, (time, now));
        grants.hand_out(want, self.handed_out_of(), time)
    }

    /// Tells the record of all what the vendor said, if it is remembered.
    pub(super) fn tell(&self, grants: &mut Grants, (time, now): (u64, Duration)) {
        if let Some(told) = self.few {
            let left = told.until.saturating_sub(millis(now));
            grants.tell(Told { until: time.saturating_add(left), ..told }, self.handed_out_of(), time);
        }
    }

    /// This is what the record said; it was asked at `asked`, by the clock of this replica, and what is needed is sent if it may be.
    pub(super) fn answered(
        &mut self,
        want: Want,
        said: Result<Amount, u64>,
        (asked, now): (Duration, Duration),
    ) -> Leave {
        self.heard = now;
        match said {
            Ok(amount) => {
                // What is left of an older lease lasts no longer than that one.
                (self.purse, self.until, self.sent, self.dry) = (amount, asked + LEASE, Amount::default(), None);
                if now < self.until && self.spend(want.need) { Leave::Granted } else { Leave::Wait(Duration::ZERO) }
            }
            Err(wait) => {
                let until = asked + Duration::from_millis(wait);
                self.dry = Some((want.need, until));
                Leave::Wait(until.saturating_sub(now))
            }
        }
    }

    /// The records do not answer: it is sent if the part allows it that is kept for this.
    pub(super) fn unanswered(&mut self, need: Amount, now: Duration) -> Leave {
        if !self.limits.is_limited() {
            // Nobody set a limit, and what the vendor said is kept by whoever heard it.
            return Leave::Granted;
        }
        // Before a whole window passed it is not known what a process before this one sent without being handed out anything.
        let known = self.heard + WINDOW + LEASE + SLACK;
        if now < known {
            return Leave::Wait(known - now);
        }
        match self.alone.hand_out(Want { need, wish: need }, kept(self.limits), millis(now)) {
            Ok(_) => Leave::Granted,
            Err(wait) => Leave::Wait(Duration::from_millis(wait)),
        }
    }

    /// The vendor said this; it is remembered where little is left.
    pub(super) fn told(&mut self, requests: Option<u64>, tokens: Option<u64>, until: Duration) {
        let is_little =
            requests.is_some_and(|left| left < FEW_REQUESTS) || tokens.is_some_and(|left| left < FEW_TOKENS);
        self.few = is_little.then_some(Told { requests, tokens, until: millis(until) });
    }

    /// For how long nothing will be granted, as far as it is known.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        self.dry.map_or(Duration::ZERO, |(_, until)| until.saturating_sub(now))
    }

    /// What the record hands out of: the quota without the parts that are kept.
    fn handed_out_of(&self) -> Limits {
        self.limits.map(|limit| limit - limit / (REPLICAS * KEPT) * REPLICAS)
    }

    fn spend(&mut self, need: Amount) -> bool {
        let few = self.few.unwrap_or_default();
        let counts = |limit: Option<u64>, few: Option<u64>| u64::from(limit.is_some() || few.is_some());
        // What has no limit is not handed out in parts.
        let counted = Amount {
            requests: need.requests * counts(self.limits.requests, few.requests),
            tokens: need.tokens * counts(self.limits.tokens, few.tokens),
        };
        let left = self.purse.checked_minus(counted);
        if let Some(left) = left {
            (self.purse, self.sent) = (left, self.sent.plus(need));
        }
        left.is_some()
    }
}

/// What each replica may send within a window without being handed out anything.
fn kept(limits: Limits) -> Limits {
    limits.map(|limit| limit / (REPLICAS * KEPT))
}
