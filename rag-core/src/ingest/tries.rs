//! How often something that failed is tried again, and after how long. Pure.
//!
//! Two kinds of failure are told apart. A document that fails while others go through has a number of tries of its own and then fails alone. Where nothing goes through, nobody is to blame: jobs wait, and fail
//! only when that has gone on for a day.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    failure::{DocumentReport, FailureReason},
    jobs::DocumentState,
};

/// Tries of a document on which the provider of the embedding model fails; about ten minutes from the first to the last.
pub(super) const MAX_TRIES: u32 = 6;
/// Pause after a document's first try; it triples each time.
const FIRST_RETRY: SignedDuration = SignedDuration::from_secs(5);
/// Pause before another look at a document that another writer has just now.
const TAKEN_OVER: SignedDuration = SignedDuration::from_secs(1);
/// Pause after a job's first turn that came to nothing; it doubles each time, up to the longest.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(1);
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_secs(60);
/// How long the turns of a job may come to nothing before it fails.
const LONGEST_HOLD_UP: SignedDuration = SignedDuration::from_hours(24);

/// What a report means for its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It has its outcome.
    Ended(DocumentState),
    /// It is tried again.
    Again {
        /// Tries that count against it.
        tries: u32,
        /// When.
        at: Timestamp,
    },
}

impl Verdict {
    /// The verdict on a document that was tried so often before.
    pub(super) fn of(report: DocumentReport, tries: u32, now: Timestamp) -> Self {
        match report.result {
            Ok(outcome) => Self::Ended(DocumentState::Done { outcome, notices: report.notices }),
            Err(FailureReason::TakenOver | FailureReason::Cancelled) => {
                Self::Again { tries, at: later(now, TAKEN_OVER) }
            }
            Err(FailureReason::Provider { cause, .. }) => {
                let tries = tries.saturating_add(1);
                if tries >= MAX_TRIES {
                    let error = FailureReason::Provider { cause, tries };
                    return Self::Ended(DocumentState::Failed { error });
                }
                let pause = FIRST_RETRY.saturating_mul(3_i32.saturating_pow(tries - 1));
                Self::Again { tries, at: later(now, pause) }
            }
            Err(error) => Self::Ended(DocumentState::Failed { error }),
        }
    }
}

/// Since when, and how often, the turns of a job came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeldUp {
    since: Timestamp,
    times: u32,
}

impl HeldUp {
    /// One more turn came to nothing.
    pub(super) fn again(before: Option<Self>, now: Timestamp) -> Self {
        let Self { since, times } = before.unwrap_or(Self { since: now, times: 0 });
        Self { since, times: times.saturating_add(1) }
    }

    /// When the next turn is due.
    pub(super) fn until(self, now: Timestamp) -> Timestamp {
        let pause = FIRST_PAUSE.saturating_mul(2_i32.saturating_pow(self.times.saturating_sub(1).min(16)));
        later(now, pause.min(LONGEST_PAUSE))
    }

    /// Whether it has gone on for too long.
    pub(super) fn is_over(self, now: Timestamp) -> bool {
        now.duration_since(self.since) >= LONGEST_HOLD_UP
    }
}

fn later(now: Timestamp, by: SignedDuration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Notices, Outcome};

    fn now() -> Timestamp {
        "2026-11-21T08:00:00Z".parse().unwrap()
    }

    fn failed(reason: FailureReason) -> DocumentReport {
        DocumentReport::failed("a.md", reason)
    }

    fn by_the_provider() -> DocumentReport {
        failed(FailureReason::Provider { cause: "status 500".to_owned(), tries: 1 })
    }

    #[test]
    fn a_document_on_which_the_provider_fails_is_tried_for_about_ten_minutes_and_fails_with_the_number_of_tries() {
        let (mut tries, mut at) = (0, now());
        loop {
            match Verdict::of(by_the_provider(), tries, at) {
                Verdict::Again { tries: counted, at: next } => {
                    assert_eq!(counted, tries + 1);
                    assert!(next > at);
                    (tries, at) = (counted, next);
                }
                Verdict::Ended(state) => {
                    let error = FailureReason::Provider { cause: "status 500".to_owned(), tries: MAX_TRIES };
                    assert_eq!(state, DocumentState::Failed { error });
                    break;
                }
            }
        }
        let minutes = at.duration_since(now()).as_secs() / 60;
        assert!((8..=12).contains(&minutes), "{minutes}");
    }

    #[test]
    fn only_failures_of_the_provider_count_as_tries_and_all_others_are_outcomes() {
        let again = Verdict::of(failed(FailureReason::TakenOver), 3, now());
        assert!(matches!(again, Verdict::Again { tries: 3, .. }), "{again:?}");
        let broken = Verdict::of(failed(FailureReason::NoText), 0, now());
        assert_eq!(broken, Verdict::Ended(DocumentState::Failed { error: FailureReason::NoText }));
        let (name, result, notices) = ("a.md".to_owned(), Ok(Outcome::Created), Notices::NONE);
        let done = DocumentReport { name, result, chunks: 1, notices };
        assert_eq!(Verdict::of(done, 5, now()), Verdict::Ended(DocumentState::done(Outcome::Created)));
    }

    #[test]
    fn a_job_that_is_held_up_waits_for_longer_each_time_up_to_a_minute_and_is_given_up_after_a_day() {
        let (mut held, mut at, mut last) = (None, now(), SignedDuration::ZERO);
        let mut times = 0;
        loop {
            let hold_up = HeldUp::again(held, at);
            if hold_up.is_over(at) {
                break;
            }
            let pause = hold_up.until(at).duration_since(at);
            assert!(pause >= last && pause <= LONGEST_PAUSE, "{pause:?} after {last:?}");
            (held, last, times) = (Some(hold_up), pause, times + 1);
            at = hold_up.until(at);
        }
        let hours = at.duration_since(now()).as_hours();
        assert!(hours == 24 && times > 1000, "{hours} hours, {times} times");
    }
}
