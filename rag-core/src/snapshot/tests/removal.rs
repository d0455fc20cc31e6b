//! What is removed goes with its parts, and no part goes that another snapshot has: in every order of two that work side by side, whoever dies where, and however long somebody is silent.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll},
};

use async_trait::async_trait;
use futures::task::noop_waker;

use super::*;
use crate::ports::{Archive, ArchiveError, Object};

type Objects = BTreeMap<String, Vec<u8>>;

fn remove(archive: &Arc<ArchiveDouble>, world: &World) -> Remove {
    Remove { archived: plain(archive), clock: Arc::clone(&world.clock) as _, even_last: false }
}

async fn removed(archive: &Arc<ArchiveDouble>, world: &World, names: &[&str]) -> Result<Removed, SnapshotError> {
    let names: Vec<_> = names.iter().map(|text| name(text)).collect();
    remove(archive, world).run(&names, &CancellationToken::new()).await
}

async fn names_and_parts(archive: &Arc<ArchiveDouble>) -> (Vec<Name>, usize) {
    let parts = archive.objects().keys().filter(|name| name.starts_with("parts/")).count();
    (list(&**archive).await.unwrap(), parts)
}

async fn all_are_whole(archive: &Arc<ArchiveDouble>) -> Result<(), SnapshotError> {
    for name in list(&**archive).await? {
        verify(&plain(archive), &name, &CancellationToken::new(), &mut |_| {}).await?;
    }
    Ok(())
}

/// Two worlds, and an archive with a snapshot of each, which have no part in common: `old` of the first, `other` of the second.
async fn archive_of_two() -> (World, World, Objects) {
    let archive: Arc<ArchiveDouble> = Arc::default();
    let first = World::with(&DOCUMENTS).await;
    let second = World::with(&[("water", "Water boils at 100 degrees.")]).await;
    first.snapshot(&archive, "old").await.unwrap();
    second.snapshot(&archive, "other").await.unwrap();
    assert_eq!(names_and_parts(&archive).await.1, 2);
    let objects = archive.objects().clone();
    (first, second, objects)
}

fn archive_of(objects: &Objects) -> Arc<ArchiveDouble> {
    let archive: Arc<ArchiveDouble> = Arc::default();
    *archive.objects() = objects.clone();
    archive
}

#[tokio::test]
async fn a_snapshot_goes_with_the_parts_that_no_other_one_has() {
    let (first, _, objects) = archive_of_two().await;
    let archive = archive_of(&objects);
    first.snapshot(&archive, "new").await.unwrap();
    let gone = removed(&archive, &first, &["old"]).await.unwrap();
    assert_eq!((gone.removed, gone.parts, gone.left), (vec![name("old")], 0, None));
    let before: usize = archive.objects().values().map(Vec::len).sum();
    let gone = removed(&archive, &first, &["new", "old"]).await.unwrap();
    assert_eq!((gone.removed, gone.parts, gone.left), (vec![name("new")], 1, None));
    let after: usize = archive.objects().values().map(Vec::len).sum();
    assert_eq!(gone.freed_bytes, (before - after) as u64);
    assert_eq!(names_and_parts(&archive).await, (vec![name("other")], 1));
    all_are_whole(&archive).await.unwrap();
    assert!(archive.objects().keys().all(|name| name.starts_with("manifests/") || name.starts_with("parts/")));
}

#[tokio::test]
async fn the_last_one_goes_only_when_somebody_says_so() {
    let (first, _, objects) = archive_of_two().await;
    let archive = archive_of(&objects);
    assert_eq!(removed(&archive, &first, &["old", "other"]).await, Err(SnapshotError::Last));
    removed(&archive, &first, &["old"]).await.unwrap();
    assert_eq!(removed(&archive, &first, &["other"]).await, Err(SnapshotError::Last));
    assert_eq!(names_and_parts(&archive).await, (vec![name("other")], 1));
    assert_eq!(removed(&archive, &first, &["old"]).await, Ok(Removed::default()), "what is gone is no failure");
    let even_last = Remove { even_last: true, ..remove(&archive, &first) };
    even_last.run(&[name("other")], &CancellationToken::new()).await.unwrap();
    assert!(archive.objects().is_empty());
}

#[tokio::test]
async fn what_cannot_be_read_may_need_any_part() {
    let (first, _, objects) = archive_of_two().await;
    let other = name("other").object();
    let damaged: [(&str, Option<&[u8]>); 4] = [
        (&other, Some(b"{}\n\n")),
        (&other, Some(b"{\"format\":9}\n\n")),
        (&other, None),
        ("manifests/README", Some(b"Do not touch.")),
    ];
    for (object, content) in damaged {
        let archive = archive_of(&objects);
        let content = content.map_or_else(|| objects[object][..40].to_vec(), <[u8]>::to_vec);
        archive.objects().insert(object.to_owned(), content);
        let gone = removed(&archive, &first, &["old"]).await.unwrap();
        assert_eq!((gone.removed, gone.parts), (vec![name("old")], 0), "{object}");
        assert!(gone.left.unwrap().starts_with("no part was removed, because"), "{object}");
        assert_eq!(names_and_parts(&archive).await.1, 2);
    }
}

#[tokio::test]
async fn a_removal_that_dies_at_any_call_takes_no_part_that_is_needed_and_the_next_one_ends_it() {
    let (first, _, objects) = archive_of_two().await;
    for calls in 0.. {
        let archive = archive_of(&objects);
        archive.die_after(calls);
        let ended = removed(&archive, &first, &["old"]).await;
        archive.die_after(i64::MAX);
        all_are_whole(&archive).await.unwrap();
        if ended.is_err() {
            // The mark of one that died counts for a while.
            first.clock.advance(jiff::SignedDuration::from_mins(11));
            removed(&archive, &first, &["old"]).await.unwrap();
        }
        assert_eq!(names_and_parts(&archive).await, (vec![name("other")], 1), "after {calls} calls");
        if ended.is_ok() {
            assert!(calls > 6, "it made only {calls} calls");
            break;
        }
    }
}

#[tokio::test]
async fn parts_of_a_snapshot_that_was_cut_short_go_when_its_mark_counts_no_more() {
    let (first, _, objects) = archive_of_two().await;
    let archive = archive_of(&objects);
    first.ingest("more", "Tea is served at four.").await;
    // It dies once its new part is written.
    let parts = names_and_parts(&archive).await.1;
    for calls in 1.. {
        archive.die_after(calls);
        assert!(first.snapshot(&archive, "new").await.is_err());
        archive.die_after(i64::MAX);
        if names_and_parts(&archive).await.1 > parts {
            break;
        }
    }
    let gone = removed(&archive, &first, &["none"]).await.unwrap();
    assert!(gone.left.unwrap().contains("a snapshot is being taken, or was cut short"));
    assert_eq!(names_and_parts(&archive).await.1, parts + 1);
    first.clock.advance(jiff::SignedDuration::from_hours(7));
    let gone = removed(&archive, &first, &["none"]).await.unwrap();
    assert_eq!((gone.parts, gone.left), (1, None));
    assert_eq!(archive.objects().clone(), objects);
}

/// An archive in which somebody else may do anything before each call: a future over it is pending once before each.
struct Turns {
    archive: Arc<ArchiveDouble>,
    /// The call that it is about to make.
    next: Mutex<String>,
}

impl Turns {
    fn over(archive: &Arc<ArchiveDouble>) -> Arc<Self> {
        Arc::new(Self { archive: Arc::clone(archive), next: Mutex::default() })
    }

    async fn turn(&self, call: &str, name: &str) {
        *self.next.lock().unwrap() = format!("{call} {name}");
        let mut waited = false;
        std::future::poll_fn(|_| if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending })
            .await;
    }
}

#[async_trait]
impl Archive for Turns {
    async fn put_if_absent(&self, name: &str, bytes: Vec<u8>) -> Result<bool, ArchiveError> {
        self.turn("put", name).await;
        self.archive.put_if_absent(name, bytes).await
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        self.turn("get", name).await;
        self.archive.get(name).await
    }

    async fn size(&self, name: &str) -> Result<Option<u64>, ArchiveError> {
        self.turn("size", name).await;
        self.archive.size(name).await
    }

    async fn list(&self, folder: &str) -> Result<Vec<Object>, ArchiveError> {
        self.turn("list", folder).await;
        self.archive.list(folder).await
    }

    async fn remove(&self, name: &str) -> Result<(), ArchiveError> {
        self.turn("remove", name).await;
        self.archive.remove(name).await
    }

    fn place(&self) -> &str {
        self.archive.place()
    }
}

/// One of the two, call by call.
struct Actor<'a> {
    work: Pin<Box<dyn Future<Output = Result<(), SnapshotError>> + 'a>>,
    ended: Option<Result<(), SnapshotError>>,
    turns: Arc<Turns>,
}

impl<'a> Actor<'a> {
    fn takes(world: &'a World, archive: &Arc<ArchiveDouble>) -> Self {
        let turns = Turns::over(archive);
        let mut create = world.create(archive, None);
        create.archived.archive = Arc::clone(&turns) as _;
        let work = async move { create.run(name("new"), &CancellationToken::new(), &mut |_| {}).await.map(drop) };
        Self { work: Box::pin(tokio::task::unconstrained(work)), ended: None, turns }
    }

    fn removes(world: &'a World, archive: &Arc<ArchiveDouble>) -> Self {
        let turns = Turns::over(archive);
        let mut remove = remove(archive, world);
        remove.archived.archive = Arc::clone(&turns) as _;
        let work = async move { remove.run(&[name("old")], &CancellationToken::new()).await.map(drop) };
        Self { work: Box::pin(tokio::task::unconstrained(work)), ended: None, turns }
    }

    /// Makes so many calls, or fewer where it ends; says whether it goes on.
    fn makes(&mut self, calls: usize) -> bool {
        for _ in 0..calls {
            if self.ended.is_some() {
                return false;
            }
            if let Poll::Ready(ended) = self.work.as_mut().poll(&mut Context::from_waker(&noop_waker())) {
                self.ended = Some(ended);
            }
        }
        self.ended.is_none()
    }

    fn ends(&mut self) {
        assert!(!self.makes(200), "it waits for something else than the archive");
    }

    fn next(&self) -> String {
        self.turns.next.lock().unwrap().clone()
    }
}

/// Calls that either of the two makes at most, and one more.
const CALLS: usize = 24;

#[tokio::test]
async fn in_every_order_of_a_snapshot_and_a_removal_what_is_listed_is_whole() {
    let (world, _, objects) = archive_of_two().await;
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for removal_first in [false, true] {
        for first in 0..CALLS {
            for second in 0..CALLS {
                for third in 0..CALLS {
                    let archive = archive_of(&objects);
                    let (mut takes, mut removes) = (Actor::takes(&world, &archive), Actor::removes(&world, &archive));
                    let (one, two) =
                        if removal_first { (&mut removes, &mut takes) } else { (&mut takes, &mut removes) };
                    one.makes(first);
                    let goes_on = two.makes(second) && one.makes(third);
                    two.ends();
                    one.ends();
                    let order = format!("{removal_first} {first} {second} {third}");
                    all_are_whole(&archive).await.unwrap_or_else(|error| panic!("{order}: {error}"));
                    let ended = format!("{:?} {:?}", takes.ended.unwrap(), removes.ended.unwrap());
                    *seen.entry(ended.chars().take(60).collect()).or_default() += 1;
                    drop((takes.work, removes.work));
                    // What was left goes with the next one: nothing stays that nobody needs.
                    removed(&archive, &world, &["old"]).await.unwrap();
                    let taken = list(&*archive).await.unwrap().contains(&name("new"));
                    assert_eq!(names_and_parts(&archive).await.1, 1 + usize::from(taken), "{order}");
                    if !goes_on {
                        break;
                    }
                }
            }
        }
    }
    assert!(seen.keys().any(|ended| ended.starts_with("Ok(()) Ok(())")), "{seen:?}");
    assert!(seen.keys().any(|ended| ended.contains("Err(Removing")), "they do meet: {seen:?}");
}

#[tokio::test]
async fn whoever_of_the_two_dies_what_is_listed_is_whole() {
    let (world, _, objects) = archive_of_two().await;
    for (taker_dies, calls) in [true, false].into_iter().flat_map(|who| (0..CALLS).map(move |calls| (who, calls))) {
        for before in 0..CALLS {
            let archive = archive_of(&objects);
            let (mut takes, mut removes) = (Actor::takes(&world, &archive), Actor::removes(&world, &archive));
            let (mut dies, mut lives) = if taker_dies { (takes, removes) } else { (removes, takes) };
            lives.makes(before);
            dies.makes(calls);
            drop(dies);
            lives.ends();
            all_are_whole(&archive).await.unwrap_or_else(|error| panic!("{taker_dies} {calls} {before}: {error}"));
            drop(lives);
            (takes, removes) = (Actor::takes(&world, &archive), Actor::removes(&world, &archive));
            takes.ends();
            removes.ends();
            all_are_whole(&archive).await.unwrap_or_else(|error| panic!("{taker_dies} {calls} {before}: {error}"));
        }
    }
}

#[tokio::test]
async fn whoever_is_silent_for_hours_breaks_nothing_when_it_goes_on() {
    let (world, _, objects) = archive_of_two().await;
    for (taker_sleeps, calls) in [true, false].into_iter().flat_map(|who| (0..CALLS).map(move |calls| (who, calls))) {
        let archive = archive_of(&objects);
        let (takes, removes) = (Actor::takes(&world, &archive), Actor::removes(&world, &archive));
        let (mut sleeps, mut other) = if taker_sleeps { (takes, removes) } else { (removes, takes) };
        let goes_on = sleeps.makes(calls);
        // A removal that sleeps between its look at the clock and this call is what nothing can keep from being made.
        if !goes_on || sleeps.next().starts_with("remove parts/") {
            continue;
        }
        world.clock.advance(jiff::SignedDuration::from_hours(7));
        other.ends();
        sleeps.ends();
        all_are_whole(&archive).await.unwrap_or_else(|error| panic!("{taker_sleeps} {calls}: {error}"));
    }
}
