//! What the jobs of this process wait for that failed: kept in memory, because the records may be what fails.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::{Interrupted, jobs::JobId};
use crate::ports::{EmbedError, ProviderFailure};

/// Jobs of which a cause is kept; another replica may have ended one that is never heard of here again.
const MAX_JOBS: usize = 1024;

/// What held jobs up, in words that name no address and no file.
#[derive(Debug, Default)]
pub(super) struct Waits(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    jobs: HashMap<JobId, String>,
    /// Why no job can be taken up at all.
    line: Option<String>,
}

impl Waits {
    /// A job was interrupted.
    pub(super) fn interrupted(&self, job: JobId, why: &Interrupted) {
        self.change(|state| {
            if state.jobs.len() >= MAX_JOBS {
                state.jobs.clear();
            }
            state.jobs.insert(job, words(why));
        });
    }

    /// A turn of a job went well.
    pub(super) fn went_on(&self, job: &JobId) {
        self.change(|state| drop(state.jobs.remove(job)));
    }

    /// The line of jobs was read, or why it could not be.
    pub(super) fn looked_at_the_line(&self, failure: Option<&Interrupted>) {
        self.change(|state| state.line = failure.map(words));
    }

    /// What a job waits for.
    pub(super) fn of(&self, job: &JobId) -> Option<String> {
        self.read(|state| state.line.as_ref().or(state.jobs.get(job)).cloned())
    }

    /// What any job waits for.
    pub(super) fn any(&self) -> Option<String> {
        self.read(|state| state.line.as_ref().or(state.jobs.values().min()).cloned())
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn words(why: &Interrupted) -> String {
    match why {
        Interrupted::Store(error) => error.in_short(),
        Interrupted::Embed(EmbedError::Overloaded) => "the embedding model has too much to do".to_owned(),
        Interrupted::Embed(EmbedError::Unavailable { failure: ProviderFailure::OverBudget, .. }) => {
            "the budget is spent".to_owned()
        }
        Interrupted::Embed(EmbedError::Unavailable { failure: ProviderFailure::LimitKept, .. }) => {
            "the rate limit of the embedding provider is used up".to_owned()
        }
        Interrupted::Embed(_) => "the embedding model, or its provider, does not answer as it should".to_owned(),
        Interrupted::Outdated => "another epoch is searched now".to_owned(),
        Interrupted::Worker { .. } => "the work on it broke down".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::ports::StoreError;

    #[test]
    fn a_job_waits_for_what_interrupted_it_until_it_goes_on() {
        let (waits, [job, other]) = (Waits::default(), [(); 2].map(|()| JobId::new(Timestamp::UNIX_EPOCH)));
        let full = StoreError::Failed { store: "the records", cause: "/data: No space left on device".to_owned() };
        waits.interrupted(job.clone(), &Interrupted::Store(full));
        let full = Some("the records have no room left on their disk".to_owned());
        assert_eq!((waits.of(&job), waits.of(&other), waits.any()), (full.clone(), None, full));
        let away = Interrupted::Store(StoreError::Timeout { store: "the vector store", seconds: 10 });
        waits.looked_at_the_line(Some(&away));
        assert_eq!(waits.of(&other), Some("the vector store does not answer".to_owned()));
        waits.looked_at_the_line(None);
        waits.went_on(&job);
        assert_eq!((waits.of(&job), waits.any()), (None, None));
    }

    #[test]
    fn what_is_kept_of_jobs_that_are_never_heard_of_again_is_bounded() {
        let waits = Waits::default();
        for _ in 0..3 * MAX_JOBS {
            waits.interrupted(JobId::new(Timestamp::UNIX_EPOCH), &Interrupted::Outdated);
        }
        assert!(waits.read(|state| state.jobs.len()) <= MAX_JOBS);
    }
}
