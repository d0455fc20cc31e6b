//! The trials of a restore beside each other: the last ones, and whether the newest took longer than those before it. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::snapshots::outcome;
use crate::api::cluster::TriedRestore;
use crate::cluster::observed::{Observed, Restore, RestoreState};

/// As many as are kept as objects.
const DRILLS_MAX: usize = 12;

/// Trials that have ended, the newest first.
pub(super) fn ended(observed: &Observed) -> Vec<(&Restore, Timestamp)> {
    let drills = observed.restores.iter().filter(|restore| restore.is_telling_drill());
    let mut ended: Vec<_> = drills.filter_map(|drill| Some((drill, drill.state.ended_at()?))).collect();
    ended.sort_by_key(|(drill, at)| std::cmp::Reverse((*at, drill.name.as_str())));
    ended
}

/// The last of them.
pub(super) fn drills(observed: &Observed) -> Vec<TriedRestore> {
    let tried = |(drill, at): (&Restore, Timestamp)| {
        let result = drill.result.as_ref();
        Some(TriedRestore {
            name: drill.name.clone(),
            at: Time(at),
            outcome: outcome(&drill.state)?,
            full: drill.is_full,
            rto_seconds: result.and_then(|result| result.rto_seconds),
            rpo_seconds: result.and_then(|result| result.rpo_seconds),
            recall_percent: result.and_then(|result| result.recall_percent),
        })
    };
    ended(observed).into_iter().filter_map(tried).take(DRILLS_MAX).collect()
}

/// How long the newest took beside those of its kind before it that passed, in words; nothing where it did not pass, or is the
/// first. A full drill also starts a store and servers, and is compared with full ones.
pub(super) fn compared(observed: &Observed) -> Option<String> {
    let took = |(drill, _): &(&Restore, Timestamp)| {
        let has_passed = matches!(drill.state, RestoreState::Passed { .. });
        drill.result.as_ref().filter(|_| has_passed)?.rto_seconds
    };
    let mut ended = ended(observed);
    let (newest, is_full) = (took(ended.first()?)?, ended.first()?.0.is_full);
    ended.retain(|(drill, _)| drill.is_full == is_full);
    let mut before: Vec<f64> = ended.iter().take(DRILLS_MAX).skip(1).filter_map(took).collect();
    let median = median(&mut before)?;
    let of = match before.len() {
        1 => "the one before it took".to_owned(),
        number => format!("the median of the {number} before it is"),
    };
    Some(format!("took {newest:.1} s, {of} {median:.1} s"))
}

/// The middle one, or the mean of the two in the middle; nothing of none.
fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle_whatever_the_order() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [7.0]), Some(7.0));
        assert_eq!(median(&mut [9.0, 1.0, 4.0]), Some(4.0));
        assert_eq!(median(&mut [100.0, 1.0, 3.0, 5.0]), Some(4.0));
    }
}
