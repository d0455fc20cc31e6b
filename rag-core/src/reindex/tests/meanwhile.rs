//! Others write, delete or change the epoch meanwhile.

use super::*;

#[tokio::test]
async fn metadata_that_changed_since_are_those_that_a_filter_finds() {
    let corpus = Corpus::with(&DOCUMENTS).await;
    corpus.reindex(new()).await.unwrap();
    let (store, records) = (Arc::clone(&corpus.store), Arc::clone(&corpus.records));
    let ingest = Ingest::new(store, records, Arc::new(new()), Arc::new(SystemClock), Epoch(2));
    let (id, text) = DOCUMENTS[0];
    let metadata = BTreeMap::from([("lang".to_owned(), "en".to_owned())]);
    let source = Source::text(id.parse().unwrap(), Format::Text, text);
    let changed = ingest.ingest(Source { metadata: Some(metadata), ..source }).await;
    assert_eq!(changed.result, Ok(Outcome::MetadataOnly));
    let back = corpus.reindex(old()).await;
    assert_eq!(back, Ok(Reindexed::Activated { from: Epoch(2), to: Epoch(1), embedded: 0 }));
    let document = ingest.document(&id.parse().unwrap()).await.unwrap().unwrap();
    let chunk = ChunkId::new(&document.id, &document.version, 0);
    let labels = corpus.store.embedded(Epoch(1), &[chunk]).await.unwrap().remove(0).labels;
    assert_eq!(labels, Filter::labels(&document.metadata));
    assert_eq!(labels.len(), 1);
}

#[tokio::test]
async fn a_writer_that_does_not_know_of_the_change_commits_nothing_and_what_it_had_is_brought_over() {
    let corpus = Corpus::with(&DOCUMENTS).await;
    let writer = || {
        let (store, records) = (Arc::clone(&corpus.store), Arc::clone(&corpus.records));
        Ingest::new(store, records, Arc::new(old()), Arc::new(SystemClock), Epoch(1))
    };
    let text = |id: &str| Source::text(id.parse::<DocumentId>().unwrap(), Format::Text, "Visitors ring the bell.");
    corpus.reindex(new()).await.unwrap();
    let late = writer().ingest_all(vec![text("late")], &CancellationToken::new(), &mut |_| {}).await;
    assert_eq!(late, Err(Interrupted::Outdated));
    assert_eq!(writer().document(&"late".parse().unwrap()).await, Ok(None));
    let (id, stands) = DOCUMENTS[0];
    let metadata = BTreeMap::from([("lang".to_owned(), "en".to_owned())]);
    let source = Source::text(id.parse().unwrap(), Format::Text, stands);
    let labelled = vec![Source { metadata: Some(metadata), ..source }];
    let late = writer().ingest_all(labelled, &CancellationToken::new(), &mut |_| {}).await;
    assert_eq!(late, Err(Interrupted::Outdated));
    let left = (corpus.records.count(Kind::Document).await, corpus.records.count(Kind::Claim).await);
    assert_eq!(left, (Ok(3), Ok(0)), "neither a place nor a claim is left for others to wait for");
    // Committed between the last look and the change: the change is put off by hand for that.
    corpus.store.activate(Epoch(1)).await.unwrap();
    writer().ingest(text("visit")).await.result.unwrap();
    corpus.store.activate(Epoch(2)).await.unwrap();
    let run = corpus.run("local", new());
    let stop = CancellationToken::new();
    assert_eq!(run.catch_up(old().model(), Epoch(2), &stop).await, Ok(1));
    assert_eq!(corpus.found(new(), "Who rings the bell?").await, ["visit"]);
    assert_eq!(run.catch_up(old().model(), Epoch(2), &stop).await, Ok(0));
    // What was written since the change is newer than what the old epoch has.
    corpus.ingest(new(), Epoch(2), "visit", "Visitors blow the horn.").await;
    assert_eq!(run.catch_up(old().model(), Epoch(2), &stop).await, Ok(0));
    assert_eq!(corpus.found(new(), "Who blows the horn?").await, ["visit"]);
    assert_eq!(corpus.store.count(Epoch(2)).await, Ok(4));
}

#[tokio::test]
async fn a_document_that_is_deleted_while_an_epoch_is_built_is_in_no_epoch() {
    let corpus = Corpus::with(&DOCUMENTS).await;
    let (store, records) = (Arc::clone(&corpus.store), Arc::clone(&corpus.records));
    let ingest = Ingest::new(store, records, Arc::new(old()), Arc::new(SystemClock), Epoch(1));
    let deleted = async |built| {
        assert_eq!(corpus.store.count(built).await, Ok(3));
        ingest.delete(&"pump".parse().unwrap()).await.unwrap();
        Ok(true)
    };
    corpus.judged(new(), deleted).await.unwrap();
    for epoch in [Epoch(1), Epoch(2)] {
        assert_eq!(corpus.store.count(epoch).await, Ok(2), "{epoch:?}");
    }
}

#[tokio::test]
async fn a_run_that_lost_its_place_to_another_one_neither_writes_nor_activates() {
    let corpus = Corpus::with(&DOCUMENTS).await;
    let clock = Arc::<SetClock>::default();
    let process = || Holds::new(Arc::clone(&corpus.records) as _, Arc::clone(&clock) as _);
    let (one, other) = (process(), process());
    let stalled = Arc::new(hold(&one, "one").await.unwrap());
    let run = corpus.run("local", new()).under(stalled);
    clock.advance(jiff::SignedDuration::from_secs(31));
    let next = Arc::new(hold(&other, "other").await.unwrap());
    let ended = run.run(&CancellationToken::new(), |_, _| {}, approved).await;
    assert_eq!(ended, Err(ReindexError::TakenOver));
    assert_eq!((corpus.store.count(Epoch(2)).await, corpus.store.active().await), (Ok(0), Ok(Some(Epoch(1)))));
    let run = corpus.run("local", new()).under(next);
    assert!(matches!(
        run.run(&CancellationToken::new(), |_, _| {}, approved).await,
        Ok(Reindexed::Activated { embedded: 3, .. })
    ));
}

#[tokio::test]
async fn of_two_that_change_the_epoch_of_one_store_the_second_is_told_who_does_and_until_when() {
    let (records, clock) = (Arc::<RecordsDouble>::default(), Arc::<SetClock>::default());
    let process = || Holds::new(Arc::clone(&records) as _, Arc::clone(&clock) as _);
    let (one, other) = (process(), process());
    let first = hold(&one, "rag-server reindex (process 7 on pod-a)").await.unwrap();
    let refused = hold(&other, "rag-server serve (process 8 on pod-b)").await.err().unwrap();
    let (by, until) = ("rag-server reindex (process 7 on pod-a)".to_owned(), "2026-11-21T08:00:30Z");
    assert_eq!(refused, ReindexError::Held { by: by.clone(), until: until.parse().unwrap() });
    let said = refused.to_string();
    assert!(said.starts_with(&by) && said.contains(&format!("until {until},")), "{said}");
    assert_eq!(first.give_back().await, Ok(true));
    assert!(hold(&other, "other").await.is_ok(), "what is given back is free at once");
}

#[tokio::test]
async fn the_change_of_a_server_that_does_not_say_its_name_is_told_as_well() {
    let (records, clock) = (Arc::<RecordsDouble>::default(), Arc::<SetClock>::default());
    let body = serde_json::json!({ "holder": "older/0", "until": "2026-11-21T08:00:20Z" });
    records.put_if_absent(Kind::Lease, "move", body).await.unwrap();
    let holds = Holds::new(Arc::clone(&records) as _, Arc::clone(&clock) as _);
    let refused = hold(&holds, "me").await.err().unwrap().to_string();
    assert!(refused.starts_with("another server changes the searched epoch"), "{refused}");
    clock.advance(jiff::SignedDuration::from_secs(21));
    assert!(hold(&holds, "me").await.is_ok());
}
