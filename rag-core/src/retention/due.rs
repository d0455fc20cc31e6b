//! What is due: whether the time of a record is over, by what stands in it, how long things are kept, and the time. Pure.
//!
//! Guarantees: nothing is due that is not finished or that something may still ask for; what lies in the future, because a clock was wrong, is not due; a body that cannot be read is an error, and never due.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::ingest::{Job, JobId};

/// Finished jobs that are kept within their time; with more, the oldest go before it.
pub const MOST_JOBS: u64 = 1000;

/// How much older than everything that may need it a mark or a key must be before it goes: clocks differ, a submission takes its time, and the documents that a run from the command line looks at together
/// stand in no line while it works through them.
const MARGIN: SignedDuration = SignedDuration::from_hours(24);

/// How long things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A session after its last question, where it was not to be forgotten sooner anyway.
    pub sessions: SignedDuration,
    /// What somebody thinks of an answer, after it was said.
    pub feedback: SignedDuration,
    /// A job after it ended.
    pub jobs: SignedDuration,
    /// The mark of a deletion, which a restore of an older snapshot asks for; as long as anything waits that needs it, in any case.
    pub deletions: SignedDuration,
}

/// Whether something is due, or why that cannot be told.
pub(super) type Due = Result<bool, serde_json::Error>;

/// Whether a session is to be forgotten.
pub(super) fn session(body: &Value, limits: &Limits, now: Timestamp) -> Due {
    #[derive(Deserialize)]
    struct Turn {
        at: Timestamp,
    }
    #[derive(Deserialize)]
    struct Session {
        expires: Timestamp,
        turns: Vec<Turn>,
    }
    let Session { expires, turns } = Session::deserialize(body)?;
    Ok(expires <= now || turns.last().is_some_and(|turn| is_over(turn.at, limits.sessions, now)))
}

/// Whether an opinion is old.
pub(super) fn feedback(body: &Value, limits: &Limits, now: Timestamp) -> Due {
    Ok(is_over(At::deserialize(body)?.at, limits.feedback, now))
}

/// Whether a job is forgotten: never one that is not finished, and one that is when its time is over, or when there are too many.
pub(super) fn job(job: &Job, limits: &Limits, is_surplus: bool, now: Timestamp) -> bool {
    job.state.is_final() && (is_surplus || is_over(job.finished_at.unwrap_or(job.created_at), limits.jobs, now))
}

/// Whether a job that was accepted then may be due by its time; with its successors, none is.
pub(super) fn may_be_due(job: &Job, limits: &Limits, now: Timestamp) -> bool {
    is_over(job.created_at, limits.jobs, now)
}

/// The job that an idempotency key stands for, if it was accepted so long ago that a key without it was left behind.
pub(super) fn abandoned(body: &Value, now: Timestamp) -> Result<Option<JobId>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Key {
        job: JobId,
    }
    let Key { job } = Key::deserialize(body)?;
    Ok(is_over(job.submitted(), MARGIN, now).then_some(job))
}

/// Up to which time nobody needs the marks of deletions: until well before the oldest job that waits was accepted, and before now. None while a job waits and the clock cannot be relied on to tell which of them came first.
pub(super) fn marks_until(oldest_waiting: Option<Timestamp>, jumped: bool, now: Timestamp) -> Option<Timestamp> {
    match oldest_waiting {
        Some(_) if jumped => None,
        oldest => oldest.map_or(now, |oldest| oldest.min(now)).checked_sub(MARGIN).ok(),
    }
}

/// Whether a mark was left before this time.
pub(super) fn mark(body: &Value, until: Timestamp) -> Due {
    Ok(At::deserialize(body)?.at < until)
}

/// The field that tells when something was written.
#[derive(Deserialize)]
struct At {
    at: Timestamp,
}

fn is_over(from: Timestamp, kept: SignedDuration, now: Timestamp) -> bool {
    now.duration_since(from) >= kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const LIMITS: Limits = Limits {
        sessions: SignedDuration::from_hours(48),
        feedback: SignedDuration::from_hours(100),
        jobs: SignedDuration::from_hours(24),
        deletions: SignedDuration::ZERO,
    };

    fn now() -> Timestamp {
        "2026-11-21T08:00:00Z".parse().unwrap()
    }

    fn ago(hours: i64) -> Timestamp {
        now().checked_sub(SignedDuration::from_hours(hours)).unwrap()
    }

    fn a_job(state: &str, created: i64, finished: Option<i64>) -> Job {
        serde_json::from_value(json!({
            "id": "0", "state": state, "documents": [], "chunks_done": 0, "created_at": ago(created), "started_at": null,
            "finished_at": finished.map(ago), "error": null
        }))
        .unwrap()
    }

    #[test]
    fn a_session_goes_at_its_own_time_or_at_the_time_that_is_set_whichever_is_sooner() {
        let due = |expires: i64, last: i64| {
            let body = json!({ "expires": ago(expires), "turns": [{ "at": ago(900) }, { "at": ago(last) }] });
            session(&body, &LIMITS, now()).unwrap()
        };
        assert_eq!([due(0, 1), due(-1, 1), due(-1000, 47), due(-1000, 48)], [true, false, false, true]);
    }

    #[test]
    fn a_job_goes_so_long_after_it_ended_and_not_after_it_was_accepted() {
        let due = |state, created, finished, surplus| job(&a_job(state, created, finished), &LIMITS, surplus, now());
        assert!(!due("done", 500, Some(23), false) && due("done", 500, Some(24), false));
        assert!(due("failed", 2, Some(1), true), "there are too many");
        assert!(due("cancelled", 24, None, false), "an older server wrote no end");
        for state in ["queued", "running"] {
            assert!(!due(state, 10_000, None, true), "{state}: it is not finished");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_due() {
        for body in [json!({}), json!(7), json!({ "at": "yesterday" })] {
            assert!(session(&body, &LIMITS, now()).is_err() && feedback(&body, &LIMITS, now()).is_err());
            assert!(abandoned(&body, now()).is_err() && mark(&body, now()).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_mark_goes_that_is_younger_than_a_job_that_waits_or_than_a_day(waits in prop::option::of(-100_i64..100), left in -100_i64..200) {
            let Some(until) = marks_until(waits.map(ago), false, now()) else { return Ok(()) };
            if mark(&json!({ "at": ago(left) }), until).unwrap() {
                prop_assert!(left > 24 && waits.is_none_or(|waits| left > waits + 24));
            }
        }

        #[test]
        fn a_clock_that_is_set_back_makes_nothing_due(back in 1_i64..1_000_000) {
            let early = ago(back);
            let at = json!({ "at": now(), "expires": now(), "turns": [{ "at": now() }] });
            prop_assert!(!session(&at, &LIMITS, early).unwrap() && !feedback(&at, &LIMITS, early).unwrap());
            prop_assert!(!job(&a_job("done", 0, Some(0)), &LIMITS, false, early));
            prop_assert!(!mark(&at, marks_until(None, false, early).unwrap()).unwrap());
        }
    }

    #[test]
    fn a_mark_that_is_just_as_old_as_what_may_need_it_stays() {
        let until = marks_until(None, false, now()).unwrap();
        assert_eq!([24, 25].map(|hours| mark(&json!({ "at": ago(hours) }), until).unwrap()), [false, true]);
    }

    #[test]
    fn while_a_job_waits_the_times_of_a_clock_that_jumped_say_nothing_of_marks() {
        assert_eq!(marks_until(Some(ago(1)), true, now()), None);
        assert_eq!(marks_until(None, true, now()), marks_until(None, false, now()));
    }
}
