//! Who is computed next: questions before passages, short questions together.
//!
//! All lanes are bounded. A passage waits for questions, but not for ever: an ingestion goes on under a steady load of questions, only slower.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::ports::EmbedError;

/// Questions that may wait: at about 2 ms each this is half a second of work for one core, after which nobody wants the answer.
const MAX_QUESTIONS: usize = 256;

/// Passages of each kind that may wait; each is at most a kilobyte of token ids.
const MAX_PASSAGES: usize = 8192;

/// Questions in one batch: beyond this the gain is small and the first one waits for the last.
const MAX_BATCH: usize = 8;

/// Ids of a short question, which is worth sharing a batch: longer ones gain nothing and would pad the short ones.
const SHORT: usize = 32;

/// How long a passage gives way to questions: about the time of three passages.
const GIVE_WAY: Duration = Duration::from_millis(60);

/// A text on its way to a vector.
pub(super) struct Job {
    /// Its token ids.
    pub(super) ids: Vec<u32>,
    /// Where the vector goes. When nobody waits any more, the work is skipped.
    pub(super) reply: oneshot::Sender<Result<Vec<f32>, EmbedError>>,
}

/// Whose passages they are. While both kinds wait they take turns, so that neither keeps the other out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// Of documents that are ingested.
    Documents,
    /// Of callers who want their vectors alone.
    Callers,
}

/// Passages that wait.
#[derive(Default)]
struct Passages {
    documents: VecDeque<Job>,
    callers: VecDeque<Job>,
    /// Whether a caller's was taken last.
    callers_had_their_turn: bool,
}

impl Passages {
    fn of(&mut self, whose: Whose) -> &mut VecDeque<Job> {
        match whose {
            Whose::Documents => &mut self.documents,
            Whose::Callers => &mut self.callers,
        }
    }

    fn is_empty(&self) -> bool {
        self.documents.is_empty() && self.callers.is_empty()
    }

    fn next(&mut self) -> Option<Job> {
        let callers = !self.callers.is_empty() && (self.documents.is_empty() || !self.callers_had_their_turn);
        self.callers_had_their_turn = callers;
        self.of(if callers { Whose::Callers } else { Whose::Documents }).pop_front()
    }

    fn clear(&mut self) {
        self.documents.clear();
        self.callers.clear();
    }
}

/// The lanes.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    question: Condvar,
    passage: Condvar,
}

#[derive(Default)]
struct State {
    questions: VecDeque<Job>,
    passages: Passages,
    /// Threads that wait for a question: they share what is there.
    idle: usize,
    /// Batches of questions that are being computed.
    running: usize,
    stopping: bool,
}

impl Queue {
    /// Queues a question.
    pub(super) fn ask(&self, job: Job) -> Result<(), EmbedError> {
        let mut state = self.lock();
        if state.stopping {
            return Err(EmbedError::Stopping);
        }
        if state.questions.len() >= MAX_QUESTIONS {
            state.questions.retain(|job| !job.reply.is_closed());
        }
        if state.questions.len() >= MAX_QUESTIONS {
            return Err(EmbedError::Overloaded);
        }
        state.questions.push_back(job);
        self.question.notify_one();
        Ok(())
    }

    /// Queues passages, all or none.
    pub(super) fn add(&self, jobs: Vec<Job>, whose: Whose) -> Result<(), EmbedError> {
        let mut state = self.lock();
        if state.stopping {
            return Err(EmbedError::Stopping);
        }
        let waiting = state.passages.of(whose);
        if waiting.len() + jobs.len() > MAX_PASSAGES {
            waiting.retain(|job| !job.reply.is_closed());
        }
        if waiting.len() + jobs.len() > MAX_PASSAGES {
            return Err(EmbedError::Overloaded);
        }
        waiting.extend(jobs);
        self.passage.notify_all();
        Ok(())
    }

    /// The next batch of questions; none when the queue stops. Each batch must be followed by [`Self::answered`].
    pub(super) fn next_questions(&self) -> Option<Vec<Job>> {
        let mut state = self.lock();
        state.idle += 1;
        while state.questions.is_empty() && !state.stopping {
            state = self.question.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let share = state.questions.len().div_ceil(state.idle.max(1));
        state.idle -= 1;
        if state.stopping {
            return None;
        }
        let batch = take_batch(&mut state.questions, share.min(MAX_BATCH));
        state.running += 1;
        Some(batch)
    }

    /// A batch of questions is done.
    pub(super) fn answered(&self) {
        let mut state = self.lock();
        state.running -= 1;
        if state.running == 0 && state.questions.is_empty() {
            self.passage.notify_all();
        }
    }

    /// The next passage; none when the queue stops.
    pub(super) fn next_passage(&self) -> Option<Job> {
        let mut state = self.lock();
        let mut since: Option<Instant> = None;
        loop {
            if state.stopping {
                return None;
            }
            if state.passages.is_empty() {
                since = None;
                state = self.passage.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let quiet = state.questions.is_empty() && state.running == 0;
            let waited = since.get_or_insert_with(Instant::now).elapsed();
            if quiet || waited >= GIVE_WAY {
                return state.passages.next();
            }
            let rest = GIVE_WAY.saturating_sub(waited);
            (state, _) = self.passage.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends every thread that waits and drops what is queued.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopping = true;
        state.questions.clear();
        state.passages.clear();
        self.question.notify_all();
        self.passage.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first question, and with it, if it is short, the next short ones up to `size` in all.
fn take_batch(questions: &mut VecDeque<Job>, size: usize) -> Vec<Job> {
    let mut batch: Vec<Job> = questions.pop_front().into_iter().collect();
    if batch.iter().any(|first| first.ids.len() > SHORT) {
        return batch;
    }
    let mut position = 0;
    while batch.len() < size && position < questions.len() {
        if questions.get(position).is_some_and(|job| job.ids.len() <= SHORT) {
            batch.extend(questions.remove(position));
        } else {
            position += 1;
        }
    }
    batch
}

#[cfg(test)]
mod tests {
    use super::*;

    type Reply = oneshot::Receiver<Result<Vec<f32>, EmbedError>>;

    fn job(ids: usize) -> (Job, Reply) {
        let (reply, receiver) = oneshot::channel();
        (Job { ids: vec![1; ids], reply }, receiver)
    }

    fn lengths(jobs: &[Job]) -> Vec<usize> {
        jobs.iter().map(|job| job.ids.len()).collect()
    }

    #[test]
    fn short_questions_share_a_batch_and_a_long_one_runs_alone() {
        let queue = Queue::default();
        let waiting: Vec<Reply> =
            [5, 6, 200, 7].map(job).into_iter().map(|(job, reply)| (queue.ask(job), reply).1).collect();
        assert_eq!(lengths(&queue.next_questions().unwrap()), [5, 6, 7]);
        assert_eq!(lengths(&queue.next_questions().unwrap()), [200]);
        drop(waiting);
    }

    #[test]
    fn a_batch_never_holds_more_than_its_limit() {
        let mut questions: VecDeque<Job> = (0..20).map(|_| job(4).0).collect();
        assert_eq!(take_batch(&mut questions, MAX_BATCH).len(), MAX_BATCH);
        assert_eq!(questions.len(), 12);
    }

    #[test]
    fn a_full_lane_refuses_and_makes_room_when_the_askers_are_gone() {
        let queue = Queue::default();
        let waiting: Vec<Reply> = (0..MAX_QUESTIONS)
            .map(|_| {
                let (job, reply) = job(4);
                queue.ask(job).unwrap();
                reply
            })
            .collect();
        assert_eq!(queue.ask(job(4).0), Err(EmbedError::Overloaded));
        drop(waiting);
        let (late, _reply) = job(4);
        assert_eq!(queue.ask(late), Ok(()));
    }

    #[test]
    fn passages_are_queued_all_or_none() {
        let queue = Queue::default();
        let (many, _replies): (Vec<Job>, Vec<Reply>) = (0..=MAX_PASSAGES).map(|_| job(4)).unzip();
        assert_eq!(queue.add(many, Whose::Documents), Err(EmbedError::Overloaded));
        let (one, _reply) = job(9);
        queue.add(vec![one], Whose::Documents).unwrap();
        assert_eq!(queue.next_passage().unwrap().ids.len(), 9);
    }

    #[test]
    fn callers_and_documents_have_lanes_of_their_own_and_take_turns() {
        let queue = Queue::default();
        let (callers, _replies): (Vec<Job>, Vec<Reply>) = (0..MAX_PASSAGES).map(|_| job(1)).unzip();
        queue.add(callers, Whose::Callers).unwrap();
        assert_eq!(queue.add(vec![job(1).0], Whose::Callers), Err(EmbedError::Overloaded));
        let (documents, _replies): (Vec<Job>, Vec<Reply>) = (0..3).map(|_| job(2)).unzip();
        queue.add(documents, Whose::Documents).unwrap();
        let taken: Vec<usize> = (0..8).map(|_| queue.next_passage().unwrap().ids.len()).collect();
        assert_eq!(taken, [1, 2, 1, 2, 1, 2, 1, 1]);
    }

    #[test]
    fn a_passage_goes_on_under_a_question_that_never_ends() {
        let queue = Queue::default();
        let (question, _answer) = job(4);
        queue.ask(question).unwrap();
        let _never_answered = queue.next_questions().unwrap();
        let (passage, _vector) = job(9);
        queue.add(vec![passage], Whose::Documents).unwrap();
        assert_eq!(queue.next_passage().unwrap().ids.len(), 9);
    }

    #[test]
    fn a_stopped_queue_ends_its_threads_and_its_callers() {
        let queue = Queue::default();
        let (question, mut answer) = job(4);
        queue.ask(question).unwrap();
        queue.stop();
        assert!(queue.next_questions().is_none() && queue.next_passage().is_none());
        assert_eq!(answer.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert_eq!(queue.ask(job(4).0), Err(EmbedError::Stopping));
    }
}
