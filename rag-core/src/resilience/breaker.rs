//! When a provider that fails is left alone, and when it is trusted again.
//!
//! ```text
//! closed --failures in a row--> open --time--> half-open --successes in a row--> closed
//!                                 ^--------any failure---------'
//! ```
//!
//! Pure: the time is passed in, as the time since some fixed moment. Guarantees: while open nothing is admitted; while half-open one call at a time is; a verdict about a call that was admitted before the last change of state changes nothing.

use std::time::Duration;

/// When it opens and closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerPolicy {
    /// Failures in a row that open it.
    pub failures: u32,
    /// How long it stays open.
    pub open: Duration,
    /// Successes in a row that close it again.
    pub successes: u32,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything is admitted.
    Closed,
    /// Nothing is.
    Open,
    /// One call at a time is, on probation.
    HalfOpen,
}

impl BreakerState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open, Self::HalfOpen];

    /// The name, as a metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }

    /// The value of the metric: 0 closed, 1 open, 2 half-open.
    pub fn code(self) -> i64 {
        match self {
            Self::Closed => 0,
            Self::Open => 1,
            Self::HalfOpen => 2,
        }
    }
}

/// What became of an admitted call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It worked.
    Success,
    /// It failed through the provider's fault.
    Failure,
    /// It ended without saying anything about the provider, such as when the caller went away.
    Nothing,
}

/// Leave to make one call; the verdict about it is given with this.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a call that was admitted must be judged, or a breaker on probation waits for it"]
pub struct Ticket {
    round: u64,
}

/// One provider's breaker.
#[derive(Debug, Clone)]
pub struct Breaker {
    policy: BreakerPolicy,
    state: Inner,
    /// Counts changes of state, so that late verdicts are told from current ones.
    round: u64,
}

#[derive(Debug, Clone, Copy)]
enum Inner {
    Closed { failures: u32 },
    Open { until: Duration },
    HalfOpen { successes: u32, trial: bool },
}

impl Breaker {
    /// A closed one.
    pub fn new(policy: BreakerPolicy) -> Self {
        Self { policy, state: Inner::Closed { failures: 0 }, round: 0 }
    }

    /// Where it stands; open until somebody asks after its time is up.
    pub fn state(&self) -> BreakerState {
        match self.state {
            Inner::Closed { .. } => BreakerState::Closed,
            Inner::Open { .. } => BreakerState::Open,
            Inner::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// Leave for one call at `now`, or for how long there is none. The wait is zero while a call on probation is under way.
    pub fn admit(&mut self, now: Duration) -> Result<Ticket, Duration> {
        if let Inner::Open { until } = self.state {
            if now < until {
                return Err(until - now);
            }
            self.change(Inner::HalfOpen { successes: 0, trial: false });
        }
        if let Inner::HalfOpen { trial, .. } = &mut self.state {
            if *trial {
                return Err(Duration::ZERO);
            }
            *trial = true;
        }
        Ok(Ticket { round: self.round })
    }

    /// For how long nothing will be admitted after `now`, as far as that is known.
    pub fn wait(&self, now: Duration) -> Duration {
        match self.state {
            Inner::Open { until } => until.saturating_sub(now),
            Inner::Closed { .. } | Inner::HalfOpen { .. } => Duration::ZERO,
        }
    }

    /// What became of a call, told at `now`.
    #[allow(clippy::needless_pass_by_value, reason = "a ticket is used up")]
    pub fn judge(&mut self, ticket: Ticket, verdict: Verdict, now: Duration) {
        if ticket.round != self.round {
            return;
        }
        let next = match (self.state, verdict) {
            (Inner::Closed { .. }, Verdict::Success) => Inner::Closed { failures: 0 },
            (Inner::Closed { failures }, Verdict::Failure) if failures + 1 < self.policy.failures => {
                Inner::Closed { failures: failures + 1 }
            }
            (Inner::HalfOpen { successes, .. }, Verdict::Success) if successes + 1 < self.policy.successes => {
                Inner::HalfOpen { successes: successes + 1, trial: false }
            }
            (Inner::HalfOpen { successes, .. }, Verdict::Nothing) => Inner::HalfOpen { successes, trial: false },
            (Inner::HalfOpen { .. }, Verdict::Success) => return self.change(Inner::Closed { failures: 0 }),
            (Inner::Closed { .. } | Inner::HalfOpen { .. }, Verdict::Failure) => {
                return self.change(Inner::Open { until: now.saturating_add(self.policy.open) });
            }
            (state @ (Inner::Closed { .. } | Inner::Open { .. }), _) => state,
        };
        self.state = next;
    }

    /// Closes it whatever was seen before, because somebody says that the provider works again. The verdicts of calls that are under way come too late to change that.
    pub fn reset(&mut self) {
        self.change(Inner::Closed { failures: 0 });
    }

    fn change(&mut self, state: Inner) {
        self.state = state;
        self.round += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: BreakerPolicy = BreakerPolicy { failures: 5, open: Duration::from_secs(30), successes: 3 };

    fn at(second: u64) -> Duration {
        Duration::from_secs(second)
    }

    fn call(breaker: &mut Breaker, verdict: Verdict, now: Duration) {
        let ticket = breaker.admit(now).unwrap();
        breaker.judge(ticket, verdict, now);
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new(POLICY);
        (0..5).for_each(|_| call(&mut breaker, Verdict::Failure, at(0)));
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it_and_a_success_between_them_does_not() {
        let mut breaker = Breaker::new(POLICY);
        for verdict in [Verdict::Failure, Verdict::Nothing] {
            (0..4).for_each(|_| call(&mut breaker, verdict, at(0)));
        }
        call(&mut breaker, Verdict::Success, at(0));
        (0..4).for_each(|_| call(&mut breaker, Verdict::Failure, at(0)));
        assert_eq!(breaker.state(), BreakerState::Closed);
        call(&mut breaker, Verdict::Failure, at(0));
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn while_open_nothing_is_admitted_and_the_wait_is_told() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(at(0)), Err(at(30)));
        assert_eq!(breaker.admit(at(29)), Err(at(1)));
        assert!(breaker.admit(at(30)).is_ok());
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
    }

    #[test]
    fn on_probation_one_call_at_a_time_is_admitted_and_three_successes_close_it() {
        let mut breaker = opened();
        let trial = breaker.admit(at(30)).unwrap();
        assert_eq!(breaker.admit(at(30)), Err(Duration::ZERO));
        breaker.judge(trial, Verdict::Success, at(31));
        call(&mut breaker, Verdict::Nothing, at(31));
        call(&mut breaker, Verdict::Success, at(31));
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        call(&mut breaker, Verdict::Success, at(31));
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_failure_on_probation_opens_it_again_for_the_whole_time() {
        let mut breaker = opened();
        call(&mut breaker, Verdict::Success, at(30));
        call(&mut breaker, Verdict::Failure, at(40));
        assert_eq!(breaker.admit(at(69)), Err(at(1)));
        assert!(breaker.admit(at(70)).is_ok());
    }

    #[test]
    fn a_late_verdict_about_an_earlier_time_changes_nothing() {
        let mut breaker = Breaker::new(POLICY);
        let late: Vec<_> = (0..4).map(|_| breaker.admit(at(0)).unwrap()).collect();
        (0..5).for_each(|_| call(&mut breaker, Verdict::Failure, at(0)));
        let trial = breaker.admit(at(30)).unwrap();
        for (ticket, verdict) in
            late.into_iter().zip([Verdict::Success, Verdict::Failure, Verdict::Nothing, Verdict::Success])
        {
            breaker.judge(ticket, verdict, at(31));
            assert_eq!(breaker.state(), BreakerState::HalfOpen, "{verdict:?}");
            assert_eq!(breaker.admit(at(31)), Err(Duration::ZERO), "the trial is still under way");
        }
        breaker.judge(trial, Verdict::Failure, at(31));
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn a_reset_closes_it_at_once_and_what_was_under_way_does_not_open_it_again() {
        let mut breaker = opened();
        let trial = breaker.admit(at(30)).unwrap();
        breaker.reset();
        assert_eq!(breaker.state(), BreakerState::Closed);
        breaker.judge(trial, Verdict::Failure, at(31));
        (0..4).for_each(|_| call(&mut breaker, Verdict::Failure, at(31)));
        assert_eq!(breaker.state(), BreakerState::Closed, "failures before the reset count no more");
        call(&mut breaker, Verdict::Failure, at(31));
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    proptest! {
        /// Against the plainest model of the rule: the verdicts since the last change of state.
        #[test]
        fn any_sequence_of_calls_keeps_the_rule(
            failures in 1_u32..6,
            successes in 1_u32..5,
            calls in prop::collection::vec((0_u64..20, 0_u8..3), 0..200),
        ) {
            let policy = BreakerPolicy { failures, open: at(10), successes };
            let mut breaker = Breaker::new(policy);
            let (mut now, mut opened_at) = (Duration::ZERO, None);
            let (mut run_of_failures, mut run_of_successes) = (0, 0);
            for (pause, verdict) in calls {
                now += at(pause);
                let verdict = [Verdict::Success, Verdict::Failure, Verdict::Nothing][usize::from(verdict)];
                let before = breaker.state();
                match breaker.admit(now) {
                    Err(wait) => {
                        prop_assert_eq!(before, BreakerState::Open);
                        prop_assert_eq!(opened_at.map(|opened| opened + policy.open), Some(now + wait));
                        prop_assert!(wait > Duration::ZERO);
                    }
                    Ok(ticket) => {
                        if let Some(opened) = opened_at {
                            prop_assert!(before != BreakerState::Open || now >= opened + policy.open);
                        }
                        let probation = breaker.state() == BreakerState::HalfOpen;
                        if before == BreakerState::Open {
                            run_of_successes = 0;
                        }
                        breaker.judge(ticket, verdict, now);
                        match verdict {
                            Verdict::Success => { run_of_failures = 0; run_of_successes += 1; }
                            Verdict::Failure => { run_of_failures += 1; run_of_successes = 0; }
                            Verdict::Nothing => {}
                        }
                        let expected = match (probation, verdict) {
                            (true, Verdict::Failure) => BreakerState::Open,
                            (true, _) if run_of_successes >= policy.successes => BreakerState::Closed,
                            (true, _) => BreakerState::HalfOpen,
                            (false, Verdict::Failure) if run_of_failures >= policy.failures => BreakerState::Open,
                            (false, _) => BreakerState::Closed,
                        };
                        prop_assert_eq!(breaker.state(), expected);
                        if expected == BreakerState::Open {
                            opened_at = Some(now);
                            run_of_failures = 0;
                        }
                        if probation && expected == BreakerState::Closed {
                            opened_at = None;
                            run_of_failures = 0;
                        }
                    }
                }
            }
        }
    }
}
