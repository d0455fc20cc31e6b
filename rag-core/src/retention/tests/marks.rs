//! Marks of deletions.

use super::*;

#[tokio::test]
async fn marks_of_deletions_go_once_nothing_that_waits_is_older() {
    let world = World::new().await;
    let (ingest, server) = (world.ingest(), world.server());
    let job = ingest.submit(vec![text("a.txt", "text")]).await.unwrap();
    world.clock.advance(SignedDuration::from_mins(1));
    ingest.delete(&id("a.txt")).await.unwrap();
    server.pass_after(&world, SignedDuration::from_hours(100)).await;
    assert_eq!(world.count(Kind::Deletion).await, 1, "a job waits that was accepted before it");
    leave(&world, job.as_str()).await;
    ingest.delete(&id("b.txt")).await.unwrap();
    server.pass().await.unwrap();
    assert_eq!(world.count(Kind::Deletion).await, 1, "a submission may be under way that began before the younger one");
    server.pass_after(&world, SignedDuration::from_hours(20)).await;
    assert_eq!(
        world.count(Kind::Deletion).await,
        1,
        "so may a long run from the command line, which stands in no line"
    );
    server.pass_after(&world, SignedDuration::from_hours(5)).await;
    assert_eq!((world.count(Kind::Deletion).await, world.removed(Kind::Deletion)), (0, 2));
}

#[tokio::test]
async fn a_mark_that_was_left_while_the_clock_was_wrong_stays_while_a_job_waits_that_is_older() {
    let world = World::new().await;
    let ingest = world.ingest();
    world.pass().await;
    let job = ingest.submit(vec![text("a.txt", "text")]).await.unwrap();
    // By the wall clock the deletion is years older than the job.
    world.clock.set(-YEARS);
    ingest.delete(&id("a.txt")).await.unwrap();
    let server = world.server();
    server.pass().await.unwrap();
    world.clock.set(YEARS);
    server.pass().await.unwrap();
    server.pass_after(&world, SignedDuration::from_hours(2)).await;
    // Another process knows it from what the one before left.
    let other = world.server();
    other.pass_after(&world, PAST).await;
    assert_eq!(world.count(Kind::Deletion).await, 1, "the job would bring the document back");
    leave(&world, job.as_str()).await;
    other.pass_after(&world, SignedDuration::from_hours(25)).await;
    assert_eq!(world.count(Kind::Deletion).await, 0);
}

/// A job leaves the line.
async fn leave(world: &World, job: &str) {
    let place = world.records.get(Kind::Waiting, job).await.unwrap().unwrap();
    world.records.remove(Kind::Waiting, job, place.version).await.unwrap();
}

#[tokio::test]
async fn marks_of_deletions_stay_for_as_long_as_a_snapshot_may_be_older() {
    let world = World::new().await;
    let limits = Limits { deletions: SignedDuration::from_hours(400 * 24), ..LIMITS };
    world.ingest().delete(&id("a.txt")).await.unwrap();
    for (hours, left) in [(399 * 24, 1), (25, 0)] {
        // A server that ran all the time: no jump of its clock.
        let (records, clock) = (Arc::clone(&world.records), Arc::clone(&world.clock));
        let server = Retention::new(records, world.ingest(), clock, limits);
        server.pass_after(&world, SignedDuration::from_hours(hours)).await;
        assert_eq!(world.count(Kind::Deletion).await, left);
    }
}
