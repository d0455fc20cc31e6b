//! What a wall clock that is wrong costs: nothing.

use super::*;

#[tokio::test]
async fn a_clock_that_jumps_ahead_by_years_removes_nothing_for_an_hour_and_then_a_bounded_number() {
    let world = World::new().await;
    world.opinions(REMOVED_AT_ONCE + 1).await;
    let server = world.server();
    server.pass().await.unwrap();
    world.clock.set(YEARS);
    for _ in 0..3 {
        server.pass().await.unwrap();
        world.clock.advance(SignedDuration::from_secs(10));
    }
    assert_eq!(world.count(Kind::Feedback).await, REMOVED_AT_ONCE as u64 + 1);
    // Nobody set it back.
    server.pass_after(&world, SignedDuration::from_hours(1)).await;
    assert_eq!(world.count(Kind::Feedback).await, 1);
}

#[tokio::test]
async fn a_server_that_starts_under_a_clock_that_is_years_ahead_rests_as_well() {
    let world = World::new().await;
    world.opinions(1).await;
    world.pass().await;
    world.clock.set(YEARS);
    world.pass().await;
    assert_eq!(world.count(Kind::Feedback).await, 1);
}

#[tokio::test]
async fn a_clock_that_is_set_back_and_right_again_costs_nothing() {
    let world = World::new().await;
    world.opinions(2).await;
    let done = world.job(1, "done").await;
    let server = world.server();
    for by in [-YEARS, SignedDuration::ZERO, YEARS] {
        world.clock.set(by);
        server.pass().await.unwrap();
        server.pass_after(&world, SignedDuration::from_hours(2)).await;
    }
    assert_eq!(world.count(Kind::Feedback).await, 2);
    assert!(world.records.get(Kind::Job, &done).await.unwrap().is_some());
}
