//! Documents that are kept until a time.

use super::*;

#[tokio::test]
async fn a_document_goes_after_its_time_with_its_chunks_and_no_other_one_does() {
    let world = World::new().await;
    let (ingest, server) = (world.ingest(), world.server());
    let at = world.in_hours(1);
    ingest.ingest(until(at, "short.txt", "snapshots are kept")).await.result.unwrap();
    ingest.ingest(text("long.txt", "backups are kept")).await.result.unwrap();
    server.pass_after(&world, SignedDuration::from_mins(59)).await;
    assert!(ingest.document(&id("short.txt")).await.unwrap().is_some());
    server.pass_after(&world, SignedDuration::from_mins(1)).await;
    assert_eq!(ingest.document(&id("short.txt")).await, Ok(None));
    assert!(ingest.document(&id("long.txt")).await.unwrap().is_some());
    assert_eq!(world.removed(Kind::Document), 1);
    let dense = Some(vec![1.0; 512]);
    let all = Search { dense, limit: 10, ..Search::default() };
    assert_eq!(world.store.search(&all).await.unwrap().dense.len(), 1, "its chunks are gone");
    assert_eq!(world.count(Kind::Expiry).await + world.count(Kind::Claim).await + world.count(Kind::Deletion).await, 0);
    assert_eq!(ingest.ingest(text("short.txt", "snapshots are kept")).await.result, Ok(Outcome::Created));
}

#[tokio::test]
async fn a_document_that_got_another_time_or_none_or_that_is_written_just_now_stays() {
    let world = World::new().await;
    let (ingest, server) = (world.ingest(), world.server());
    let kept = |name: &str, at| Source { expires_at: at, ..text(name, name) };
    let (soon, late) = (Some(world.in_hours(1)), Some(world.in_hours(9)));
    for (name, first, second) in [("later", soon, late), ("for-good", soon, None)] {
        assert_eq!(ingest.ingest(kept(name, first)).await.result, Ok(Outcome::Created));
        assert_eq!(ingest.ingest(kept(name, second)).await.result, Ok(Outcome::MetadataOnly));
        assert_eq!(ingest.ingest(kept(name, second)).await.result, Ok(Outcome::Unchanged));
        assert_eq!(ingest.document(&id(name)).await.unwrap().unwrap().expires_at, second);
    }
    assert_eq!(world.count(Kind::Expiry).await, 1, "of times that do not hold any more nothing is left");
    ingest.ingest(kept("in-work", soon)).await.result.unwrap();
    let holds = Holds::new(Arc::clone(&world.records) as _, Arc::clone(&world.clock) as _);
    world.clock.advance(SignedDuration::from_hours(2));
    let _writer = holds.take(Kind::Claim, "in-work", |_| json!({ "versions": [] })).await.unwrap().unwrap();
    server.pass().await.unwrap();
    for name in ["later", "for-good", "in-work"] {
        assert!(ingest.document(&id(name)).await.unwrap().is_some(), "{name}");
    }
    assert_eq!(world.removed(Kind::Document), 0);
}

#[tokio::test]
async fn what_was_accepted_of_a_document_before_its_time_was_over_is_written_after_it() {
    let world = World::new().await;
    let ingest = world.ingest();
    let at = world.in_hours(1);
    ingest.ingest(until(at, "a.txt", "old")).await.result.unwrap();
    let job = ingest.submit(vec![text("a.txt", "new")]).await.unwrap();
    world.clock.advance(SignedDuration::from_hours(2));
    world.pass().await;
    assert_eq!(ingest.document(&id("a.txt")).await, Ok(None));
    world.work(&ingest, &job).await;
    assert!(ingest.document(&id("a.txt")).await.unwrap().is_some_and(|document| document.expires_at.is_none()));
}

#[tokio::test]
async fn what_is_noted_of_a_document_that_was_never_committed_or_is_deleted_goes() {
    let world = World::new().await;
    let ingest = world.ingest();
    let at = world.in_hours(1);
    ingest.ingest(until(at, "deleted", "d")).await.result.unwrap();
    assert_eq!(ingest.delete(&id("deleted")).await, Ok(Deleted::Gone));
    assert_eq!(world.count(Kind::Expiry).await, 0);
    world.put(Kind::Expiry, "000000000001/never", json!({})).await;
    world.put(Kind::Expiry, "000000000001/place", json!({})).await;
    world.put(Kind::Document, "place", place()).await;
    world.put(Kind::Expiry, "nonsense", json!({})).await;
    world.pass().await;
    assert_eq!((world.count(Kind::Expiry).await, world.removed(Kind::Document)), (0, 0));
}

#[tokio::test]
async fn a_pass_that_dies_anywhere_while_it_removes_a_document_leaves_nothing_behind() {
    for calls in 0.. {
        let world = World::new().await;
        let ingest = world.ingest();
        let at = world.in_hours(1);
        ingest.ingest(until(at, "a.txt", "text")).await.result.unwrap();
        world.clock.advance(SignedDuration::from_hours(2));
        world.records.die_after(calls);
        let ended = world.server().pass().await;
        world.records.die_after(i64::MAX);
        world.clock.advance(PAST);
        let next = world.ingest();
        world.pass().await;
        next.clean_up().await.unwrap();
        world.clock.advance(PAST);
        world.pass().await;
        assert_eq!(next.document(&id("a.txt")).await, Ok(None), "after {calls} calls");
        assert_eq!(world.store.count(Epoch(1)).await, Ok(0), "after {calls} calls");
        assert_eq!(world.count(Kind::Expiry).await + world.count(Kind::Claim).await, 0, "after {calls} calls");
        if ended.is_ok() {
            assert!(calls > 8, "the pass made only {calls} calls");
            break;
        }
    }
}

#[tokio::test]
async fn a_time_that_is_over_is_refused_document_by_document_and_one_that_passes_in_the_line_is_not() {
    let world = World::new().await;
    let ingest = world.ingest();
    let report = ingest.ingest(until(world.now(), "past", "past")).await;
    assert_eq!(report.result.unwrap_err().class(), "expired");
    let soon = world.now().checked_add(SignedDuration::from_secs(1)).unwrap();
    let job = ingest.submit(vec![until(world.now(), "past", "past"), until(soon, "soon", "soon")]).await.unwrap();
    let failed = ingest.job(&job).await.unwrap().unwrap().job.documents[0].error().map(|error| error.class());
    assert_eq!(failed, Some("expired"));
    world.clock.advance(SignedDuration::from_secs(2));
    world.work(&ingest, &job).await;
    assert_eq!(ingest.document(&id("soon")).await.unwrap().unwrap().expires_at, Some(soon));
    world.pass().await;
    assert_eq!(ingest.document(&id("soon")).await, Ok(None));
}
