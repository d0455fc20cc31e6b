//! Finished jobs, and the idempotency keys that name them.

use super::*;

#[tokio::test]
async fn a_finished_job_goes_a_day_after_its_end_and_with_it_its_key_which_is_free_again() {
    let world = World::new().await;
    let (ingest, server) = (world.ingest(), world.server());
    let key = IdempotencyKey::new("sender", "k").unwrap();
    ingest.ingest(text("a.txt", "one")).await.result.unwrap();
    // It has its outcome from the start.
    let first = ingest.submit_once(&key, vec![text("a.txt", "one")]).await.unwrap();
    server.pass_after(&world, SignedDuration::from_hours(23)).await;
    assert_eq!(ingest.submit_once(&key, vec![text("a.txt", "one")]).await, Ok(first.clone()));
    server.pass_after(&world, SignedDuration::from_hours(1)).await;
    assert!(ingest.job(&first).await.unwrap().is_none());
    assert_eq!(world.count(Kind::Idempotency).await, 0, "it takes no room");
    assert_eq!((world.removed(Kind::Job), world.removed(Kind::Idempotency)), (1, 1));
    assert_ne!(ingest.submit_once(&key, vec![text("a.txt", "two")]).await.unwrap(), first);
}

#[tokio::test]
async fn a_job_that_is_not_finished_stays_however_old_it_is_and_however_many_there_are() {
    let world = World::new().await;
    let waits = world.job(0, "queued").await;
    let mut done = Vec::new();
    for number in 1..=MOST_JOBS as u32 + 3 {
        done.push(world.job(number, "done").await);
    }
    world.pass().await;
    // One too many for each that is not finished, too.
    assert_eq!(world.removed(Kind::Job), 4);
    for (number, job) in done.iter().enumerate() {
        assert_eq!(world.records.get(Kind::Job, job).await.unwrap().is_some(), number >= 4, "the oldest go");
    }
    world.clock.advance(SignedDuration::from_hours(48));
    while world.count(Kind::Job).await > 1 {
        let before = world.removed(Kind::Job);
        world.pass().await;
        assert!((1..=REMOVED_AT_ONCE as u64).contains(&(world.removed(Kind::Job) - before)), "a bounded number");
        world.clock.advance(PAST);
    }
    assert!(world.records.get(Kind::Job, &waits).await.unwrap().is_some());
}

#[tokio::test]
async fn a_key_whose_job_is_forgotten_goes_after_a_day_and_no_other_key_does() {
    let world = World::new().await;
    let known = world.job(1, "running").await;
    let gone = world.job(2, "done").await;
    let standing = world.records.get(Kind::Job, &gone).await.unwrap().unwrap();
    world.records.remove(Kind::Job, &gone, standing.version).await.unwrap();
    for (key, job) in [("of-known", &known), ("of-gone", &gone)] {
        world.put(Kind::Idempotency, key, json!({ "request": "r", "job": job })).await;
    }
    let server = world.server();
    server.pass_after(&world, SignedDuration::from_hours(23)).await;
    assert_eq!(world.count(Kind::Idempotency).await, 2, "its job may still come");
    server.pass_after(&world, SignedDuration::from_hours(1)).await;
    assert!(world.records.get(Kind::Idempotency, "of-known").await.unwrap().is_some());
    assert_eq!(world.count(Kind::Idempotency).await, 1);
}

#[tokio::test]
async fn a_key_that_stands_for_another_job_by_now_stays_when_the_first_one_goes() {
    let world = World::new().await;
    let (first, next) = (world.job(1, "done").await, world.job(2, "running").await);
    world.put(Kind::Idempotency, "k", json!({ "request": "r", "job": next })).await;
    let Record { version, mut body, .. } = world.records.get(Kind::Job, &first).await.unwrap().unwrap();
    body["idempotency"] = json!("k");
    world.records.compare_and_set(Kind::Job, &first, version, body).await.unwrap();
    world.clock.advance(LIMITS.jobs);
    world.pass().await;
    assert_eq!((world.removed(Kind::Job), world.count(Kind::Idempotency).await), (1, 1));
}

#[tokio::test]
async fn a_key_has_its_turn_however_many_stand_before_it() {
    let world = World::new().await;
    let (known, gone) = (world.job(1, "running").await, world.job(2, "done").await);
    for number in 0..PAGE {
        world.put(Kind::Idempotency, &format!("{number:05}"), json!({ "request": "r", "job": known })).await;
    }
    world.put(Kind::Idempotency, "last", json!({ "request": "r", "job": gone })).await;
    let server = world.server();
    for left in [PAGE + 1, PAGE] {
        server.pass_after(&world, LIMITS.jobs).await;
        assert_eq!(world.count(Kind::Idempotency).await, left as u64);
    }
}
