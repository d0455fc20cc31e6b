//! Which job gets the next turn. Pure: the line, what this replica works on and the time are passed in.
//!
//! Guarantees: tenants take turns, so that a tenant's job waits for one turn of each other tenant and not for their jobs; within a tenant the job that has waited longest is next; a job that is to wait is
//! passed over; the last place is left to a tenant that has none.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{jobs::JobId, line::Queued};
use crate::model::Tenant;

/// Jobs that a replica works on at once: one that waits for its provider or its reader does not hold up the others.
pub(super) const PLACES: usize = 3;
/// Of these, how many one tenant may have.
const PLACES_OF_ONE: usize = PLACES - 1;

/// The turns that a replica gave.
#[derive(Debug, Default)]
pub(super) struct Turns {
    running: BTreeMap<JobId, Tenant>,
    /// The number of each tenant's last turn.
    last: BTreeMap<Tenant, u64>,
    given: u64,
}

impl Turns {
    /// A job's turn begins.
    pub(super) fn begin(&mut self, job: &Queued) {
        self.given += 1;
        self.last.insert(job.place.tenant.clone(), self.given);
        self.running.insert(job.id.clone(), job.place.tenant.clone());
    }

    /// A job's turn ended.
    pub(super) fn end(&mut self, job: &JobId) {
        self.running.remove(job);
    }

    fn running_of(&self, tenant: &Tenant) -> usize {
        self.running.values().filter(|running| *running == tenant).count()
    }
}

/// The place in the line of the job that is next; none while nothing is due, or no more can be worked on.
pub(super) fn pick(line: &[Queued], turns: &Turns, now: Timestamp) -> Option<usize> {
    if turns.running.len() >= PLACES {
        return None;
    }
    let due = |job: &Queued| job.place.is_due(now) && !turns.running.contains_key(&job.id);
    let has_room = |job: &Queued| turns.running_of(&job.place.tenant) < PLACES_OF_ONE;
    let order = |job: &Queued| {
        let tenant = &job.place.tenant;
        let last = turns.last.get(tenant).copied().unwrap_or_default();
        (turns.running_of(tenant), last, job.place.since, job.id.clone())
    };
    let candidates = line.iter().enumerate().filter(|(_, job)| due(job) && has_room(job));
    candidates.min_by_key(|(_, job)| order(job)).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::{super::line::Place, *};

    fn start() -> Timestamp {
        "2026-11-21T08:00:00Z".parse().unwrap()
    }

    fn at(second: i64) -> Timestamp {
        start().checked_add(SignedDuration::from_secs(second)).unwrap()
    }

    fn job(tenant: u8, second: i64) -> Queued {
        let tenant = format!("t{tenant}").parse().unwrap();
        Queued { id: JobId::new(at(second)), place: Place::new(tenant, 1, at(second)) }
    }

    /// Jobs of some tenants, each with the number of turns that it needs.
    fn jobs() -> impl Strategy<Value = Vec<(Queued, u32)>> {
        let one = (0_u8..5, 0_i64..20, 1_u32..30).prop_map(|(tenant, second, needs)| (job(tenant, second), needs));
        prop::collection::vec(one, 1..40)
    }

    proptest! {
        #[test]
        fn no_tenant_gets_a_second_turn_while_another_waits_for_its_first(mut left in jobs()) {
            let (mut turns, mut order, mut second) = (Turns::default(), Vec::<Tenant>::new(), 100);
            while !left.is_empty() {
                let line: Vec<Queued> = left.iter().map(|(job, _)| job.clone()).collect();
                let next = pick(&line, &turns, at(second)).expect("something is due");
                let tenant = line[next].place.tenant.clone();
                for waiting in line.iter().map(|job| &job.place.tenant).filter(|waiting| **waiting != tenant) {
                    let since = order.iter().rev().take_while(|served| *served != waiting);
                    prop_assert!(since.filter(|served| **served == tenant).count() == 0, "{waiting} was passed over");
                }
                turns.begin(&line[next]);
                turns.end(&line[next].id);
                order.push(tenant);
                second += 1;
                left[next].0.place.since = at(second);
                left[next].1 -= 1;
                left.retain(|(_, needs)| *needs > 0);
            }
        }

        #[test]
        fn within_a_tenant_the_job_that_has_waited_longest_is_next(left in jobs()) {
            let line: Vec<Queued> = left.into_iter().map(|(job, _)| job).collect();
            let next = &line[pick(&line, &Turns::default(), at(100)).unwrap()];
            let own = line.iter().filter(|job| job.place.tenant == next.place.tenant);
            prop_assert_eq!(own.map(|job| job.place.since).min(), Some(next.place.since));
        }

        #[test]
        fn a_job_that_is_to_wait_is_passed_over_and_no_other_one(left in jobs(), waits in prop::collection::vec(any::<bool>(), 40)) {
            let line = left.into_iter().zip(&waits).map(|((mut job, _), waits)| {
                job.place.until = waits.then(|| at(101));
                job
            });
            let line: Vec<Queued> = line.collect();
            match pick(&line, &Turns::default(), at(100)) {
                Some(next) => prop_assert_eq!(line[next].place.until, None),
                None => prop_assert!(line.iter().all(|job| job.place.until.is_some())),
            }
            prop_assert!(pick(&line, &Turns::default(), at(101)).is_some(), "its time has come");
        }
    }

    #[test]
    fn a_place_is_left_to_a_tenant_that_has_none() {
        let (mut turns, mine) = (Turns::default(), [job(1, 0), job(1, 1), job(1, 2), job(1, 3)]);
        for expected in [Some(0), Some(1), None] {
            let next = pick(&mine, &turns, at(100));
            assert_eq!(next, expected);
            next.into_iter().for_each(|next| turns.begin(&mine[next]));
        }
        let line = [&mine[..], &[job(2, 50)]].concat();
        assert_eq!(pick(&line, &turns, at(100)), Some(4));
        turns.begin(&line[4]);
        assert_eq!(pick(&[job(3, 60)], &turns, at(100)), None, "all places are taken");
        turns.end(&line[0].id);
        assert_eq!(pick(&[job(3, 60)], &turns, at(100)), Some(0));
    }
}
