//! The most servers that a cluster may have now.
//!
//! It is [`CEILING`], or what the most generous of the ScaleApprovals allows that stand. When none stands any more for the
//! servers that run, nothing grows, and their number is taken back step by step. What was granted is noted on the object that
//! holds the number, with the time of the last step: who starts anew, or finds the approval deleted, goes on from there, and a
//! number that nobody has granted is never taken for one.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::api::labels;
use crate::cluster::observed::{Approval, Observed};

/// The most servers that a cluster gets without an approval.
pub const CEILING: i32 = 20;

/// The pause between two steps: those that go finish what they began, and those that stay take over, before the next go.
pub const STEP_EVERY: SignedDuration = SignedDuration::from_secs(60);

/// A step takes a tenth of the servers, and one at least.
const STEP_PART: i32 = 10;

/// The most servers, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// The most servers in this pass.
    pub most: i32,
    /// When the last step down was taken, while there are more to come.
    pub lowered_at: Option<Timestamp>,
    /// When it changes although nothing happens.
    pub changes_at: Option<Timestamp>,
}

/// More than [`CEILING`], as noted on the object that holds the number of servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The most servers that the object may have.
    pub servers: i32,
    /// When the last step down was taken, while there are more to come.
    pub lowered_at: Option<Timestamp>,
}

impl Granted {
    /// What is noted in the annotations of an object.
    pub fn read(metadata: &ObjectMeta) -> Option<Self> {
        let annotations = metadata.annotations.as_ref()?;
        let servers = annotations.get(labels::GRANTED)?.parse().ok()?;
        let lowered_at = annotations.get(labels::LOWERED_AT).and_then(|at| at.parse().ok());
        Some(Self { servers, lowered_at })
    }
}

/// The approval that allows the most of those that stand.
pub fn standing(observed: &Observed) -> Option<&Approval> {
    let standing = observed.approvals.iter().filter(|approval| approval.stands(observed.now));
    standing.max_by_key(|approval| (approval.max_replicas, approval.expires_at))
}

/// The approval that ended last.
pub fn ended(observed: &Observed) -> Option<&Approval> {
    let ended = observed.approvals.iter().filter(|approval| !approval.stands(observed.now));
    ended.max_by_key(|approval| approval.expires_at)
}

/// The most servers of a cluster that asks for `asked` of them. `held` is what it was granted and has not lost yet.
pub fn ceiling(asked: i32, held: Option<&Granted>, observed: &Observed) -> Ceiling {
    let approval = standing(observed);
    let allowed = approval.map_or(CEILING, |approval| approval.max_replicas.max(CEILING));
    let over = held.map_or(0, |held| held.servers.min(asked));
    if over <= allowed {
        let changes_at = approval.map(|approval| approval.expires_at);
        return Ceiling { most: allowed, lowered_at: None, changes_at };
    }
    // A clock that was put back by more than a step has nothing to say about the last one.
    let is_recent = |at: &Timestamp| observed.now.duration_since(*at).abs() < STEP_EVERY;
    let (most, at) = match held.and_then(|held| held.lowered_at).filter(is_recent) {
        Some(at) => (over, at),
        None => (allowed.max(over - (over / STEP_PART).max(1)), whole_second(observed.now)),
    };
    let lowered_at = (most > allowed).then_some(at);
    let next_step = lowered_at.and_then(|at| at.checked_add(STEP_EVERY).ok());
    Ceiling { most, lowered_at, changes_at: next_step.or_else(|| approval.map(|approval| approval.expires_at)) }
}

/// As the API server keeps times: one that is read back is the one that was written.
fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures::{NOW, nothing};
    use proptest::prelude::{any, prop_assert, proptest};

    fn after(seconds: i64) -> Timestamp {
        NOW.parse::<Timestamp>().unwrap().checked_add(SignedDuration::from_secs(seconds)).unwrap()
    }

    /// Facts at a time, with approvals of so many servers until then.
    fn seen(seconds: i64, approvals: &[(i32, i64)]) -> Observed {
        let approvals = approvals.iter().enumerate().map(|(index, (max_replicas, end))| Approval {
            name: format!("approval-{index}"),
            max_replicas: *max_replicas,
            expires_at: after(*end),
        });
        Observed { now: after(seconds), approvals: approvals.collect(), ..nothing() }
    }

    fn granted(servers: i32, lowered: Option<i64>) -> Granted {
        Granted { servers, lowered_at: lowered.map(after) }
    }

    #[test]
    fn the_most_generous_approval_that_stands_counts_and_only_until_its_end() {
        /// Up to how many servers, and until when in seconds.
        type Approvals = &'static [(i32, i64)];
        let table: [(i64, Approvals, i32); 7] = [
            (0, &[], 20),
            (0, &[(25, 100)], 25),
            (99, &[(25, 100)], 25),
            (100, &[(25, 100)], 20),
            (0, &[(25, 100), (40, 50), (30, 200)], 40),
            (60, &[(25, 100), (40, 50), (30, 200)], 30),
            // What the definition refuses takes nothing away either.
            (0, &[(7, 100)], 20),
        ];
        for (seconds, approvals, most) in table {
            assert_eq!(ceiling(1000, None, &seen(seconds, approvals)).most, most, "{seconds} {approvals:?}");
        }
    }

    #[test]
    fn it_changes_at_the_end_of_the_approval_that_counts() {
        assert_eq!(ceiling(25, None, &seen(0, &[(25, 100), (22, 200)])).changes_at, Some(after(100)));
        assert_eq!(ceiling(25, None, &seen(100, &[(25, 100)])).changes_at, None);
    }

    #[test]
    fn after_the_end_a_tenth_goes_each_minute_until_20_are_left() {
        let mut held = granted(25, None);
        let mut steps = Vec::new();
        for seconds in 100..400 {
            let now = ceiling(30, Some(&held), &seen(seconds, &[(25, 100)]));
            if now.most != held.servers {
                steps.push((seconds, now.most));
            }
            let next_step = now.lowered_at.map(|at| at.checked_add(STEP_EVERY).unwrap());
            assert_eq!(now.changes_at, next_step, "{seconds}");
            held = Granted { servers: now.most, lowered_at: now.lowered_at };
        }
        assert_eq!(steps, [(100, 23), (160, 21), (220, 20)]);
        assert_eq!(held.lowered_at, None);
    }

    #[test]
    fn an_approval_that_is_deleted_ends_like_any_other_and_a_smaller_one_ends_the_steps() {
        assert_eq!(ceiling(30, Some(&granted(30, None)), &seen(0, &[])).most, 27);
        assert_eq!(ceiling(30, Some(&granted(24, Some(-60))), &seen(0, &[(23, 100)])).most, 23);
        let settled = ceiling(30, Some(&granted(23, Some(-1))), &seen(0, &[(23, 100)]));
        assert_eq!(settled, Ceiling { most: 23, lowered_at: None, changes_at: Some(after(100)) });
    }

    #[test]
    fn an_operator_that_was_away_goes_on_with_one_step_and_a_clock_that_was_put_back_stops_nothing() {
        let away = ceiling(40, Some(&granted(40, None)), &seen(9000, &[(40, 100)]));
        assert_eq!((away.most, away.lowered_at), (36, Some(after(9000))));
        assert_eq!(ceiling(40, Some(&granted(36, Some(9000))), &seen(9059, &[])).most, 36);
        assert_eq!(ceiling(40, Some(&granted(36, Some(9000))), &seen(0, &[])).most, 33);
    }

    #[test]
    fn whoever_asks_for_less_gets_less_at_once() {
        assert_eq!(ceiling(20, Some(&granted(40, None)), &seen(0, &[])).most, 20);
        assert_eq!(ceiling(22, Some(&granted(40, None)), &seen(0, &[])).most, 20);
    }

    proptest! {
        #[test]
        fn without_an_approval_nothing_grows_and_no_step_takes_more_than_a_fifth(
            asked in 1..1000i32, servers in 1..300i32, lowered in proptest::option::of(-200..200i64), noted in any::<bool>(),
        ) {
            let held = noted.then(|| granted(servers, lowered));
            let now = ceiling(asked, held.as_ref(), &seen(0, &[]));
            let over = if noted { servers.min(asked) } else { 0 };
            prop_assert!(now.most >= CEILING && now.most <= over.max(CEILING));
            prop_assert!(now.most == CEILING || now.most * 5 >= over * 4, "{over} to {}", now.most);
        }
    }
}
