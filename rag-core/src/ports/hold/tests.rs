use futures::FutureExt as _;
use serde_json::json;

use super::*;
use crate::doubles::{InterruptedClock, RecordsDouble, SetClock, eventually};

const KIND: Kind = Kind::Lease;
const PAST: SignedDuration = SignedDuration::from_secs(31);

#[derive(Default)]
struct World {
    records: Arc<RecordsDouble>,
    clock: Arc<SetClock>,
}

impl World {
    /// Another process, whose hearts beat when they are told to and not by themselves.
    fn process(&self) -> Holds {
        self.beating(Duration::from_secs(3600))
    }

    fn beating(&self, beat: Duration) -> Holds {
        Holds::new(Arc::clone(&self.records) as _, Arc::clone(&self.clock) as _).beating_each(beat)
    }

    async fn until(&self) -> Timestamp {
        let record = self.records.get(KIND, "x").await.unwrap().unwrap();
        read("x", record.body).unwrap().until
    }
}

async fn take(holds: &Holds) -> Option<Hold> {
    holds.take(KIND, "x", |_| Value::Null).await.unwrap()
}

#[tokio::test]
async fn what_is_held_is_nobody_elses_until_it_is_given_back() {
    let world = World::default();
    let (one, other) = (world.process(), world.process());
    let hold = take(&one).await.unwrap();
    assert!(take(&other).await.is_none() && take(&one).await.is_none());
    assert_eq!(hold.give_back().await, Ok(true));
    assert_eq!(hold.check().await, Ok(false), "what is given back is not held");
    assert!(take(&other).await.unwrap().inherited().is_none());
}

#[tokio::test]
async fn what_is_given_back_between_two_looks_is_taken_and_nobody_is_said_to_hold_it() {
    let world = World::default();
    let hold = take(&world.process()).await.unwrap();
    // It asks for the time when it writes its hold, and when it finds another one there.
    let happens = move || assert_eq!(hold.give_back().now_or_never(), Some(Ok(true)));
    let clock = InterruptedClock::new(&world.clock, 2, happens);
    let other = Holds::new(Arc::clone(&world.records) as _, Arc::new(clock));
    assert!(other.take_or_holder(KIND, "x", |_| Value::Null).await.unwrap().is_ok());
}

#[tokio::test]
async fn a_hold_is_prolonged_while_its_holder_works_however_long_that_takes() {
    let world = World::default();
    let other = world.process();
    let hold = take(&world.beating(Duration::from_millis(1))).await.unwrap();
    for _ in 0..5 {
        let before = world.until().await;
        world.clock.advance(SignedDuration::from_secs(20));
        eventually("the heart beats", async || world.until().await > before).await;
        assert!(take(&other).await.is_none(), "after 20 s more it is held still");
    }
    assert_eq!(hold.check().await, Ok(true));
}

#[tokio::test]
async fn a_holder_that_was_stopped_notices_that_another_took_its_place_before_it_does_anything() {
    let world = World::default();
    let (one, other) = (world.process(), world.process());
    let stopped = take(&one).await.unwrap();
    world.clock.advance(PAST);
    let next = take(&other).await.unwrap();
    assert_eq!(stopped.check().await, Ok(false));
    assert_eq!((stopped.confirm().await, stopped.give_back().await), (Ok(false), Ok(false)));
    assert_eq!(next.check().await, Ok(true), "what the late one tried ended nobody else's");
    stopped.lost().await;
}

#[tokio::test]
async fn a_holder_that_was_stopped_goes_on_where_nobody_took_its_place() {
    let world = World::default();
    let one = world.process();
    let hold = take(&one).await.unwrap();
    world.clock.advance(PAST);
    let until = world.until().await;
    assert_eq!(hold.check().await, Ok(true));
    assert!(world.until().await > until, "it says so");
}

#[tokio::test]
async fn a_check_within_its_time_asks_nobody() {
    let world = World::default();
    let hold = take(&world.process()).await.unwrap();
    world.records.fail();
    assert_eq!(hold.check().await, Ok(true));
    world.clock.advance(PAST);
    assert!(hold.check().await.is_err(), "after it, nobody knows");
}

#[tokio::test]
async fn a_wall_clock_that_is_set_takes_a_hold_too_early_and_its_holder_finds_out_with_the_next_beat() {
    let world = World::default();
    let other = world.process();
    let hold = take(&world.beating(Duration::from_millis(1))).await.unwrap();
    world.clock.set(SignedDuration::from_hours(1));
    // Either the heart was faster, or the other one has it.
    let next = take(&other).await;
    match &next {
        Some(next) => {
            hold.lost().await;
            assert_eq!((hold.check().await, next.check().await), (Ok(false), Ok(true)));
        }
        None => assert_eq!(hold.confirm().await, Ok(true)),
    }
}

#[tokio::test]
async fn a_late_holder_is_fenced_off_also_after_its_successor_gave_back_and_took_again() {
    let world = World::default();
    let (one, other) = (world.process(), world.process());
    let late = take(&one).await.unwrap();
    world.clock.advance(PAST);
    assert_eq!(take(&other).await.unwrap().give_back().await, Ok(true));
    let again = take(&other).await.unwrap();
    assert_eq!((late.check().await, late.give_back().await), (Ok(false), Ok(false)));
    assert_eq!(again.confirm().await, Ok(true));
}

#[tokio::test]
async fn the_next_holder_is_told_what_a_dead_one_left() {
    let world = World::default();
    let (one, other) = (world.process(), world.process());
    let note = |before: Option<&Value>| json!([before.cloned(), 1]);
    let dead = one.take(KIND, "x", note).await.unwrap().unwrap();
    assert_eq!(dead.leave_note(json!("half done")).await, Ok(true));
    drop(dead);
    assert!(take(&other).await.is_none(), "it may be alive for all that another process knows");
    world.clock.advance(PAST);
    let next = other.take(KIND, "x", note).await.unwrap().unwrap();
    assert_eq!(next.inherited(), Some(&json!("half done")));
    drop(next);
    // Its own process knows at once.
    let third = other.take(KIND, "x", note).await.unwrap().unwrap();
    assert_eq!(third.inherited(), Some(&json!(["half done", 1])));
}

#[tokio::test]
async fn records_that_do_not_answer_for_its_time_end_a_hold() {
    let world = World::default();
    let hold = take(&world.beating(Duration::from_millis(1))).await.unwrap();
    world.records.fail();
    world.clock.advance(PAST);
    hold.lost().await;
    assert_eq!(hold.check().await, Ok(false));
}

#[tokio::test]
async fn what_an_older_server_wrote_is_read() {
    let world = World::default();
    let body = json!({ "holder": "old", "fence": 7, "until": world.clock.now() });
    world.records.put_if_absent(KIND, "x", body).await.unwrap();
    let hold = take(&world.process()).await.unwrap();
    assert_eq!(hold.inherited(), Some(&Value::Null));
}
