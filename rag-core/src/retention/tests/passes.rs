//! What a pass removes, how much of it, and who makes it.

use super::*;

#[tokio::test]
async fn what_is_over_goes_what_is_not_stays_and_what_went_is_counted_by_kind() {
    let world = World::new().await;
    let sessions = Sessions::new(
        Arc::clone(&world.records) as _,
        Arc::clone(&world.clock) as _,
        std::time::Duration::from_secs(60),
    );
    let answer = answer("yes");
    let [old, young] = ["old", "young"].map(|id| SessionKey::new("a", id).unwrap());
    sessions.remember(&old, "first", &answer).await.unwrap();
    world.opinions(2).await;
    let server = world.server();
    world.clock.advance(SignedDuration::from_secs(59));
    sessions.remember(&young, "second", &answer).await.unwrap();
    server.pass().await.unwrap();
    assert_eq!((world.count(Kind::Session).await, world.count(Kind::Feedback).await), (2, 2), "nothing is over");
    server.pass_after(&world, SignedDuration::from_secs(1)).await;
    assert_eq!(sessions.get(&young).await.unwrap().unwrap().turns.len(), 1);
    assert_eq!((world.count(Kind::Session).await, world.removed(Kind::Session)), (1, 1));
    server.pass_after(&world, LIMITS.feedback).await;
    assert_eq!((world.count(Kind::Feedback).await, world.removed(Kind::Feedback)), (0, 2));
    assert_eq!(world.removed(Kind::Session), 2);
}

#[tokio::test]
async fn a_pass_removes_a_bounded_number_and_the_next_one_goes_on_also_in_another_process() {
    let world = World::new().await;
    world.opinions(2 * REMOVED_AT_ONCE + 7).await;
    world.clock.advance(LIMITS.feedback);
    for left in [REMOVED_AT_ONCE + 7, 7, 0] {
        world.pass().await;
        assert_eq!(world.count(Kind::Feedback).await, left as u64);
        // Each process ends after its pass.
        world.clock.advance(PAST);
    }
    assert_eq!(world.removed(Kind::Feedback), 2 * REMOVED_AT_ONCE as u64 + 7);
}

#[tokio::test]
async fn a_pass_looks_at_a_bounded_number_and_the_last_record_has_its_turn_all_the_same() {
    let world = World::new().await;
    world.put(Kind::Feedback, "z", json!({ "at": world.now() })).await;
    world.clock.advance(LIMITS.feedback);
    world.opinions(2 * PAGE * PAGES).await;
    for (pass, left) in [1, 1, 0].into_iter().enumerate() {
        let given = world.records.given();
        world.pass().await;
        assert!(world.records.given() - given <= PAGE * PAGES + 10, "pass {pass} looks at more");
        let last = world.records.get(Kind::Feedback, "z").await.unwrap();
        assert_eq!(usize::from(last.is_some()), left, "pass {pass}");
        world.clock.advance(PAST);
    }
}

#[tokio::test]
async fn of_several_processes_one_makes_passes() {
    let world = World::new().await;
    world.opinions(1).await;
    world.clock.advance(LIMITS.feedback);
    let other = Holds::new(Arc::clone(&world.records) as _, Arc::clone(&world.clock) as _);
    let hold = other.take(Kind::Lease, LEASE, |_| Value::Null).await.unwrap().unwrap();
    let server = world.server();
    server.pass().await.unwrap();
    assert_eq!(world.count(Kind::Feedback).await, 1);
    hold.give_back().await.unwrap();
    server.pass().await.unwrap();
    assert_eq!(world.count(Kind::Feedback).await, 0);
}

#[tokio::test]
async fn what_cannot_be_read_stays_and_is_in_nobody_s_way() {
    let world = World::new().await;
    for kind in [Kind::Session, Kind::Feedback, Kind::Job, Kind::Idempotency, Kind::Deletion] {
        world.put(kind, "0", json!({ "at": "once upon a time" })).await;
    }
    world.opinions(3).await;
    world.clock.advance(LIMITS.feedback);
    world.pass().await;
    assert_eq!(world.count(Kind::Feedback).await, 1);
    assert_eq!(world.count(Kind::Session).await + world.count(Kind::Deletion).await, 2);
}

#[tokio::test]
async fn a_kind_that_fails_is_said_and_the_next_pass_begins_where_it_was() {
    let world = World::new().await;
    world.opinions(3).await;
    let server = world.server();
    server.pass().await.unwrap();
    world.clock.advance(LIMITS.feedback);
    world.records.die_after(4);
    assert!(server.pass().await.is_err());
    world.records.die_after(i64::MAX);
    server.pass_after(&world, PAST).await;
    assert_eq!((world.count(Kind::Feedback).await, world.removed(Kind::Feedback)), (0, 3));
}

#[tokio::test]
async fn a_pass_whose_lease_was_taken_meanwhile_removes_nothing() {
    let world = World::new().await;
    world.opinions(1).await;
    world.pass().await;
    world.clock.advance(LIMITS.feedback);
    let lease = async || world.records.get(Kind::Lease, LEASE).await.unwrap().unwrap().version;
    let before = lease().await;
    world.records.linger();
    let server = world.server();
    let late = tokio::spawn(async move { server.pass().await });
    eventually("the pass took the lease", async || lease().await > before).await;
    world.clock.advance(PAST);
    let other = Holds::new(Arc::clone(&world.records) as _, Arc::clone(&world.clock) as _);
    let taken = tokio::spawn(async move { other.take(Kind::Lease, LEASE, |_| Value::Null).await });
    eventually("another process took it", async || lease().await > before + 1).await;
    world.records.answer();
    late.await.unwrap().unwrap();
    assert!(taken.await.unwrap().unwrap().is_some());
    assert_eq!(world.count(Kind::Feedback).await, 1);
}

#[tokio::test]
async fn what_changed_since_it_was_read_stays_and_is_not_counted() {
    let world = World::new().await;
    world.opinions(1).await;
    let read = world.records.get(Kind::Feedback, "00000").await.unwrap().unwrap();
    world.records.compare_and_set(Kind::Feedback, &read.id, read.version, json!({})).await.unwrap();
    assert_eq!(world.server().remove(Kind::Feedback, &read).await, Ok(false));
    assert_eq!((world.count(Kind::Feedback).await, world.removed(Kind::Feedback)), (1, 0));
}
