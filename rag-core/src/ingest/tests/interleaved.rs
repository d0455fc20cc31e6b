//! The real flow, its calls to the stores in any order: writers, a deletion, somebody who cleans up, and the sweep, while clocks jump and processes are killed.
//!
//! Each call waits until the schedule lets it through. What the model says of the protocol is asked here of the code, after each call.

use std::sync::Arc;

use jiff::SignedDuration;
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::task::JoinHandle;

use super::{
    super::{FailureReason, Ingest, Interrupted, chunk::Draft, deletion::Mark, open::Plan, write::Writer},
    world::{SetClock, World, replica},
};
use crate::{
    doubles::eventually,
    model::{ContentHash, DocumentId, Filter, Notices, Outcome},
    ports::Kind,
};

/// Chunks of a text, each stored with a call of its own.
const CHUNKS: u32 = 3;
/// Longer than anything may be held without a sign of life.
const LONG: SignedDuration = SignedDuration::from_secs(31);

fn id() -> DocumentId {
    "a.md".parse().unwrap()
}

type Written = Result<Result<Outcome, FailureReason>, Interrupted>;

/// Writes a text as a job does, in a language that filters look at.
async fn write(flow: Ingest, text: u8, language: &str, after: Option<Mark>) -> Written {
    let plan = Plan {
        id: id(),
        content: ContentHash(format!("content {text}")),
        bytes: 1,
        title: Some(format!("Text {text}")),
        metadata: Some([("lang".to_owned(), language.to_owned())].into()),
        expires_at: None,
        after,
    };
    let mut writer = Writer::new(&flow);
    if writer.begin(plan).await? {
        for number in 0..CHUNKS {
            let draft = Draft { headings: Vec::new(), text: format!("text {text}, part {number}"), repeated: 0 };
            writer.chunk(draft, None).await?;
            writer.flush().await?;
        }
        writer.end(Notices::default()).await?;
    }
    writer.flush().await?;
    Ok(writer.reports().remove(0).result)
}

/// A writer, and what was known when its text was accepted.
struct Accepted {
    task: JoinHandle<Written>,
    before_deletion: bool,
    after_deletion: bool,
}

/// What is played.
struct Play {
    world: Arc<World>,
    clock: Arc<SetClock>,
    random: StdRng,
    writers: Vec<Accepted>,
    deletion: Option<JoinHandle<bool>>,
    others: Vec<JoinHandle<()>>,
    /// Whether a writer was killed. One that had lost its claim and was killed between its labels and its look at the record leaves them to nobody.
    killed: bool,
}

impl Play {
    fn new(seed: u64) -> Self {
        let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
        world.schedule();
        let random = StdRng::seed_from_u64(seed);
        Self { world, clock, random, writers: Vec::new(), deletion: None, others: Vec::new(), killed: false }
    }

    fn process(&self) -> Ingest {
        replica(&self.world, &self.clock)
    }

    async fn accept(&mut self) {
        let mark = self.world.unscheduled(self.process().marks(&[id().key()])).await.unwrap().remove(id().key());
        let before_deletion = self.deletion.is_none();
        let after_deletion = self.deletion.as_ref().is_some_and(JoinHandle::is_finished);
        // Two of three have the same text, as a job that is tried again.
        let text = self.random.random_range(0..3_u8) / 2;
        let language = ["en", "de", "da"][self.random.random_range(0..3)];
        let task = tokio::spawn(write(self.process(), text, language, mark));
        self.writers.push(Accepted { task, before_deletion, after_deletion });
    }

    /// One thing that happens.
    async fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..3 if self.writers.len() < 5 => self.accept().await,
            3..6 => self.clock.advance(LONG),
            6..7 => self.clock.set(LONG),
            7..8 if self.deletion.is_none() => {
                let flow = self.process();
                self.deletion = Some(tokio::spawn(async move { flow.delete(&id()).await.is_ok() }));
            }
            8..10 if self.others.len() < 6 => {
                let flow = self.process();
                self.others.push(tokio::spawn(async move { drop(flow.clean_up().await) }));
            }
            10..12 if self.others.len() < 6 => {
                let flow = self.process();
                self.others.push(tokio::spawn(async move { drop(flow.sweep().await) }));
            }
            12..13 => {
                let victim = self.random.random_range(0..self.writers.len().max(1));
                if let Some(writer) = self.writers.get(victim) {
                    writer.task.abort();
                    self.killed = true;
                }
            }
            _ => self.let_one_through().await,
        }
    }

    async fn let_one_through(&mut self) {
        // Everybody gets as far as the next call.
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        let waiting = self.world.waiting();
        if waiting == 0 {
            let goes_on = async || self.world.waiting() > 0 || self.is_over();
            return eventually("a call waits, or all is over", goes_on).await;
        }
        let next = self.random.random_range(0..waiting);
        self.world.let_through(next);
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        assert_eq!(self.world.torn().await, Vec::<String>::new(), "a record's chunks are all there");
    }

    fn is_over(&self) -> bool {
        let writers = self.writers.iter().map(|writer| writer.task.is_finished());
        let others = self.others.iter().map(JoinHandle::is_finished);
        writers.chain(others).chain(self.deletion.iter().map(JoinHandle::is_finished)).all(|over| over)
    }

    async fn run(mut self) {
        self.accept().await;
        self.accept().await;
        for _ in 0..250 {
            self.step().await;
        }
        while !self.is_over() {
            self.let_one_through().await;
        }
        self.check().await;
    }

    async fn check(self) {
        let Self { world, clock, writers, deletion, killed, .. } = self;
        let deleted = deletion.is_some();
        if let Some(deletion) = deletion {
            assert!(deletion.await.unwrap());
        }
        world.unschedule();
        clock.advance(LONG);
        let flow = replica(&world, &clock);
        flow.clean_up().await.unwrap();
        flow.sweep().await.unwrap();
        assert_eq!(world.torn().await, Vec::<String>::new());
        let state = world.state().await;
        assert_eq!(state.left[&Kind::Claim], 0, "{state:?}");
        let stands = state.documents.contains_key("a.md");
        let held: u32 = state.documents.values().map(|(_, _, chunks, _)| *chunks).sum();
        assert_eq!(world.chunks("a.md").len(), held as usize, "nothing is left of what no record holds");
        for document in world.standing().await.into_iter().filter(|_| !killed) {
            assert_eq!(world.labels("a.md"), [Filter::labels(&document.metadata)].into(), "filters find it as it is");
        }
        let (mut may_stand, mut must_stand) = (false, false);
        for writer in writers {
            let is_acknowledged = matches!(writer.task.await, Ok(Ok(Ok(_))));
            may_stand |= !(deleted && writer.before_deletion);
            must_stand |= is_acknowledged && (writer.after_deletion || !deleted);
        }
        assert!(!stands || may_stand, "a deleted text is never found again");
        assert!(stands || !must_stand, "an acknowledged document is never lost");
    }
}

/// Lets one of the tasks that wait make so many calls, or all of them if it makes fewer; whether it is over. The other, if there is one, waits at the call that it waited at longest.
async fn let_make(world: &World, task: &JoinHandle<Written>, calls: usize) -> bool {
    let mut made = 0;
    while made < calls && !task.is_finished() {
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        if let Some(newest) = world.waiting().checked_sub(1) {
            world.let_through(newest);
            made += 1;
        }
    }
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
    task.is_finished()
}

#[tokio::test]
async fn whoever_replaces_a_document_late_while_another_changes_its_metadata_leaves_it_whole() {
    for before in 0.. {
        let mut was_over = false;
        for calls in 0.. {
            let (world, clock) = (Arc::<World>::default(), Arc::<SetClock>::default());
            write(replica(&world, &clock), 1, "en", None).await.unwrap().unwrap();
            world.schedule();
            let late = tokio::spawn(write(replica(&world, &clock), 0, "da", None));
            was_over = let_make(&world, &late, before).await;
            // Somebody sets the wall clock: the claim is over for others, and its holder notices nothing.
            clock.set(LONG);
            let metadata = tokio::spawn(write(replica(&world, &clock), 1, "de", None));
            let is_over = let_make(&world, &metadata, calls).await;
            // It goes on with the call that it was at, and ends before the other one goes on.
            world.let_through(0);
            let_make(&world, &late, usize::MAX).await;
            world.unschedule();
            let _ended = (late.await.unwrap(), metadata.await.unwrap());
            assert_eq!(world.torn().await, Vec::<String>::new(), "after {before} calls and {calls}");
            if is_over || was_over {
                break;
            }
        }
        if was_over {
            assert!(before > 10, "it made only {before} calls");
            break;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn whatever_the_order_of_calls_documents_are_whole_and_deletions_last(seed: u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(Play::new(seed).run());
    }
}
