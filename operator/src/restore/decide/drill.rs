//! A drill: the restore is tried beside what is served, measured, and removed again, all by one command.

use std::sync::Arc;

use jiff::SignedDuration;

use super::super::observed::{Seen, Task};
use super::{Asked, Deed, check, in_turn, min_recall_percent, settle, step, task};
use crate::api::restore::RestoreResult;
use crate::steps::{Disruption, Look, Step};

/// Drills of a cluster go one after the other, and each Job ends by itself after [`super::super::build::JOB_WITHIN`].
const DRILL_WITHIN: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn steps(asked: &Arc<Asked>) -> Vec<Step<Seen, Deed>> {
    vec![check(asked), drill(asked), settle(asked)]
}

fn drill(asked: &Arc<Asked>) -> Step<Seen, Deed> {
    let asked = Arc::clone(asked);
    Step::new(step::DRILL, Disruption::None, DRILL_WITHIN, move |seen: &Seen, at| {
        let begin = || in_turn(&asked, seen, step::DRILL, || asked.start(Task::Drill, 1));
        let done = |result: &RestoreResult| verdict(result, min_recall_percent(&asked.spec, seen));
        task::look((&asked, Task::Drill), (seen, at.now), begin, done)
    })
}

/// Passed only where the figure says so: a report without it proves nothing.
pub(super) fn verdict(result: &RestoreResult, min_recall_percent: i32) -> Look<Deed> {
    match result.recall_percent {
        Some(found) if found >= f64::from(min_recall_percent) => {
            let rto = result.rto.as_deref().unwrap_or("an unknown time");
            Look::Done(format!("restored in {rto}; {found:.1}% of the recorded passages were found again"))
        }
        Some(found) => Look::Failed(format!(
            "only {found:.1}% of the recorded passages were found again, and {min_recall_percent}% must be"
        )),
        None => Look::Failed("the report does not say how many of the recorded passages were found again".to_owned()),
    }
}
