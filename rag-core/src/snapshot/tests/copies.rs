//! Copies of snapshots, files that go with them, and those that are asked for twice.

use super::*;

fn download(from: &Arc<ArchiveDouble>, to: &Arc<ArchiveDouble>) -> Download {
    Download { from: plain(from), to: Arc::clone(to) as _, clock: Arc::new(SystemClock) }
}

async fn downloaded(from: &Arc<ArchiveDouble>, to: &Arc<ArchiveDouble>) -> Result<Downloaded, SnapshotError> {
    download(from, to).run(&name("one"), &CancellationToken::new(), &mut |_| {}).await
}

async fn whole(archive: &Arc<ArchiveDouble>) -> Result<Verified, SnapshotError> {
    verify(&plain(archive), &name("one"), &CancellationToken::new(), &mut |_| {}).await
}

fn attached() -> Vec<AttachedFile> {
    let file = |name: &str, content: Vec<u8>| AttachedFile { name: name.to_owned(), content };
    vec![
        file("empty", Vec::new()),
        file("large", vec![b'x'; MOST_FILE_BYTES]),
        file("rag.yaml", b"kind: RagCluster\n".to_vec()),
    ]
}

#[tokio::test]
async fn a_copy_that_dies_at_any_call_is_not_listed_and_the_next_one_ends_it() {
    let (from, world) = (Arc::<ArchiveDouble>::default(), World::furnished().await);
    let create = Create { attached: attached(), ..world.create(&from, None) };
    let taken = create.run(name("one"), &CancellationToken::new(), &mut |_| {}).await.unwrap();
    for dying in 0..2 {
        for calls in 0.. {
            let to: Arc<ArchiveDouble> = Arc::default();
            let dies = if dying == 0 { &from } else { &to };
            dies.die_after(calls);
            let ended = downloaded(&from, &to).await;
            dies.die_after(i64::MAX);
            if !list(&*to).await.unwrap().is_empty() {
                whole(&to).await.unwrap();
            }
            let again = downloaded(&from, &to).await.unwrap();
            assert_eq!(again.manifest, taken.manifest, "the object is the same, too");
            assert_eq!(again.progress.written_bytes + again.progress.kept_bytes, taken.manifest.bytes());
            whole(&to).await.unwrap();
            if ended.is_ok() {
                assert!(calls > 3 && again.progress.written_bytes == 0, "{calls} calls, {again:?}");
                break;
            }
        }
    }
    let target = World::default();
    let to = Arc::default();
    downloaded(&from, &to).await.unwrap();
    target.restored(&to, "one").await.unwrap();
    assert_eq!(target.found("When do backups run?").await, ["backup"]);
}

#[tokio::test]
async fn a_copy_mends_what_is_damaged_there_and_takes_nothing_that_is_damaged_here() {
    let (from, world) = (Arc::<ArchiveDouble>::default(), World::with(&DOCUMENTS).await);
    world.snapshot(&from, "one").await.unwrap();
    let to: Arc<ArchiveDouble> = Arc::default();
    downloaded(&from, &to).await.unwrap();
    let part = to.objects().keys().find(|name| name.starts_with("parts/")).unwrap().clone();
    for spoil in [|part: &mut Vec<u8>| part[9] ^= 1, |part: &mut Vec<u8>| part.truncate(3)] {
        spoil(to.objects().get_mut(&part).unwrap());
        assert!(whole(&to).await.is_err());
        assert!(downloaded(&from, &to).await.unwrap().progress.written_bytes > 0);
        whole(&to).await.unwrap();
    }
    from.objects().get_mut(&part).unwrap()[9] ^= 1;
    let fresh: Arc<ArchiveDouble> = Arc::default();
    assert!(matches!(downloaded(&from, &fresh).await, Err(SnapshotError::Damaged { .. })));
    assert!(fresh.objects().is_empty(), "no part, and no mark");
    to.objects().insert(name("one").object(), b"{}\n\n".to_vec());
    from.objects().get_mut(&part).unwrap()[9] ^= 1;
    assert_eq!(downloaded(&from, &to).await, Err(SnapshotError::Exists(name("one"))));
}

#[tokio::test]
async fn files_go_with_a_snapshot_and_are_checked_with_it() {
    let (archive, world): (Arc<ArchiveDouble>, _) = (Arc::default(), World::with(&DOCUMENTS).await);
    let create = Create { attached: attached(), ..world.create(&archive, None) };
    let manifest = create.run(name("one"), &CancellationToken::new(), &mut |_| {}).await.unwrap().manifest;
    assert_eq!(whole(&archive).await.unwrap().bytes, manifest.bytes());
    for (file, attached) in attached().iter().zip(&manifest.attached) {
        assert_eq!(file.name, attached.file);
        assert_eq!(content(&plain(&archive), &manifest, attached).await.as_ref(), Ok(&file.content));
    }
    let again = create.run(name("two"), &CancellationToken::new(), &mut |_| {}).await.unwrap();
    assert_eq!(again.progress.written_bytes, 0);
    let held = part::object_name(manifest.attached[2].part.called());
    archive.objects().get_mut(&held).unwrap()[6] ^= 1;
    let refused = whole(&archive).await.unwrap_err();
    assert!(matches!(&refused, SnapshotError::Damaged { part, .. } if held.ends_with(part)), "{refused}");
    let mut climbing = manifest.attached[0].clone();
    climbing.file = "../up".to_owned();
    assert!(content(&plain(&archive), &manifest, &climbing).await.is_err());
    for bad in ["", "..", ".hidden", "a/b", "a b", "ä", &"a".repeat(254)] {
        assert!(!is_file_name(bad), "{bad:?}");
    }
}

#[tokio::test]
async fn what_was_taken_for_the_same_is_not_taken_again_and_for_others_it_is_there() {
    let (archive, world): (Arc<ArchiveDouble>, _) = (Arc::default(), World::with(&DOCUMENTS).await);
    let take = async |taken_for: Option<&str>| {
        let create = Create { taken_for: taken_for.map(str::to_owned), ..world.create(&archive, None) };
        create.run(name("one"), &CancellationToken::new(), &mut |_| {}).await
    };
    let taken = take(Some("uid-1")).await.unwrap();
    assert!(!taken.was_there);
    world.ingest("more", "Tea is served at four.").await;
    let again = take(Some("uid-1")).await.unwrap();
    assert_eq!((again.was_there, &again.manifest), (true, &taken.manifest));
    assert_eq!(again.progress, Progress::default());
    for other in [Some("uid-2"), None] {
        assert_eq!(take(other).await, Err(SnapshotError::Exists(name("one"))));
    }
}

#[tokio::test]
async fn a_snapshot_whose_process_died_after_its_manifest_is_there_for_whoever_asks_again() {
    let world = World::with(&DOCUMENTS).await;
    let mut found = 0;
    for calls in 0.. {
        let archive: Arc<ArchiveDouble> = Arc::default();
        let create = Create { taken_for: Some("uid-1".to_owned()), ..world.create(&archive, None) };
        archive.die_after(calls);
        let ended = create.run(name("one"), &CancellationToken::new(), &mut |_| {}).await;
        archive.die_after(i64::MAX);
        let again = create.run(name("one"), &CancellationToken::new(), &mut |_| {}).await.unwrap();
        found += usize::from(ended.is_err() && again.was_there);
        whole(&archive).await.unwrap();
        if ended.is_ok() {
            break;
        }
    }
    assert!(found > 0);
}
