//! One service behind its breaker, for all calls of a process.
//!
//! Guarantee: every call that was admitted is judged, also one whose caller went away.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{Breaker, BreakerPolicy, BreakerState, Ticket, Verdict};

/// Who is told the name of a service, where its breaker stands, and whether that is a change.
pub type Told = Box<dyn Fn(&str, BreakerState, bool) + Send + Sync>;

/// A service and its breaker.
pub struct Guard {
    name: String,
    breaker: Mutex<Breaker>,
    /// The moment from which the breaker counts.
    began: Instant,
    told: Told,
    logs: bool,
}

/// Leave for one call. Dropped without a verdict, the call was given up by its caller, which says nothing about the service.
#[must_use = "a call that is dropped at once was not made"]
pub struct Pass<'g> {
    guard: &'g Guard,
    ticket: Option<Ticket>,
}

impl Guard {
    /// A service that is trusted; `told` learns so at once.
    pub fn new(name: impl Into<String>, policy: BreakerPolicy, told: Told) -> Self {
        let (name, breaker) = (name.into(), Breaker::new(policy));
        told(&name, breaker.state(), false);
        Self { name, breaker: Mutex::new(breaker), began: Instant::now(), told, logs: true }
    }

    /// Leaves it to whoever calls the service to say that it is away: for one that is asked again so often that each try would fill the log.
    #[must_use]
    pub fn unlogged(self) -> Self {
        Self { logs: false, ..self }
    }

    /// The service's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its breaker stands; open until somebody asks after its time is up.
    pub fn state(&self) -> BreakerState {
        self.breaker().state()
    }

    /// Leave for one call, or for how long there is none; zero while a call on probation is under way.
    pub fn admit(&self) -> Result<Pass<'_>, Duration> {
        let ticket = self.changed(|breaker, now| breaker.admit(now))?;
        Ok(Pass { guard: self, ticket: Some(ticket) })
    }

    /// For how long nothing will be admitted, as far as that is known.
    pub fn wait(&self) -> Duration {
        self.breaker().wait(self.began.elapsed())
    }

    /// Trusts the service again, whatever its calls came to.
    pub fn reset(&self) {
        self.changed(|breaker, _| breaker.reset());
    }

    /// Changes the breaker, and tells where it stands then.
    fn changed<T>(&self, change: impl FnOnce(&mut Breaker, Duration) -> T) -> T {
        let mut breaker = self.breaker();
        let before = breaker.state();
        let changed = change(&mut breaker, self.began.elapsed());
        let state = breaker.state();
        if state != before && self.logs {
            tracing::warn!(
                provider = self.name,
                from = before.as_str(),
                to = state.as_str(),
                "a circuit breaker changed"
            );
        }
        (self.told)(&self.name, state, state != before);
        changed
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// What became of the call.
    pub fn judge(mut self, verdict: Verdict) {
        self.end(verdict);
    }

    fn end(&mut self, verdict: Verdict) {
        if let Some(ticket) = self.ticket.take() {
            self.guard.changed(|breaker, now| breaker.judge(ticket, verdict, now));
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.end(Verdict::Nothing);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn every_change_is_told_with_the_name_and_a_call_that_is_given_up_leaves_room_for_the_next_trial() {
        let told = Arc::<Mutex<Vec<(String, BreakerState)>>>::default();
        let tells = Arc::clone(&told);
        let policy = BreakerPolicy { failures: 2, open: Duration::ZERO, successes: 1 };
        let note = move |name: &str, state, changed: bool| {
            if changed {
                tells.lock().unwrap().push((name.to_owned(), state));
            }
        };
        let guard = Guard::new("far", policy, Box::new(note));
        for _ in 0..2 {
            guard.admit().unwrap_or_else(|_| panic!("closed")).judge(Verdict::Failure);
        }
        let trial = guard.admit().unwrap_or_else(|_| panic!("its time is up"));
        assert_eq!(guard.admit().err(), Some(Duration::ZERO), "one trial at a time");
        drop(trial);
        guard.admit().unwrap_or_else(|_| panic!("the trial before was given up")).judge(Verdict::Success);
        let states = [BreakerState::Open, BreakerState::HalfOpen, BreakerState::Closed];
        assert_eq!(*told.lock().unwrap(), states.map(|state| ("far".to_owned(), state)));
    }
}
