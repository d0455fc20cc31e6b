//! What is kept in the archive of what was found out about snapshots.

use super::*;
use crate::snapshot::{Act, Evidence, MOST_EVIDENCE, Measured, Verdict};

fn drilled(minute: u32) -> Evidence {
    let at = format!("2026-11-28T09:{:02}:{:02}Z", minute / 60, minute % 60).parse().unwrap();
    let measured = Measured { rto_seconds: Some(12.5), found: Some(20), ..Measured::default() };
    Evidence {
        measured,
        asked_by: "RagRestore team-a/weekly".to_owned(),
        ..Evidence::new(at, Act::Drill, name("one"), Verdict::Passed)
    }
}

fn signed(archive: &Arc<ArchiveDouble>, secret: &str) -> Archived {
    Archived { key: Some(SigningKey::new(secret)), ..plain(archive) }
}

async fn kept(archived: &Archived, all: impl IntoIterator<Item = Evidence>) {
    for evidence in all {
        archived.keep_evidence(&evidence).await.unwrap();
    }
}

async fn findings(archived: &Archived) -> Vec<Result<Evidence, String>> {
    archived.evidence(10).await.unwrap().0.into_iter().map(|exhibit| exhibit.finding).collect()
}

#[tokio::test]
async fn what_was_found_out_is_read_as_it_was_kept_the_newest_first_and_outlives_its_snapshot() {
    let (archive, world) = (Arc::<ArchiveDouble>::default(), World::furnished().await);
    world.snapshot(&archive, "one").await.unwrap();
    let archived = plain(&archive);
    kept(&archived, [drilled(1), drilled(0), drilled(2), drilled(1)]).await;
    let remove = Remove { archived: archived.clone(), clock: Arc::new(SystemClock), even_last: true };
    remove.run(&[name("one")], &CancellationToken::new()).await.unwrap();
    assert_eq!(list(&*archive).await.unwrap(), []);
    assert_eq!(findings(&archived).await, [Ok(drilled(2)), Ok(drilled(1)), Ok(drilled(0))]);
    let (newest, all) = archived.evidence(1).await.unwrap();
    assert_eq!((newest.len(), all), (1, 3));
    assert!(newest[0].object.starts_with("evidence/20261128-090002-drill-one-"), "{}", newest[0].object);
}

#[tokio::test]
async fn with_a_key_only_what_was_signed_with_it_is_believed() {
    let archive = Arc::<ArchiveDouble>::default();
    kept(&plain(&archive), [drilled(0)]).await;
    kept(&signed(&archive, "another"), [drilled(1)]).await;
    kept(&signed(&archive, "ours"), [drilled(2)]).await;
    let believed = findings(&signed(&archive, "ours")).await;
    assert_eq!(believed[0], Ok(drilled(2)));
    assert!(believed[1].as_ref().unwrap_err().contains("signature does not fit"), "{believed:?}");
    assert!(believed[2].as_ref().unwrap_err().contains("is not signed"), "{believed:?}");
    for content in archive.objects().values_mut() {
        let text = String::from_utf8(std::mem::take(content)).unwrap();
        *content = text.replace("\"found\":20", "\"found\":19").into_bytes();
    }
    assert!(findings(&signed(&archive, "ours")).await.iter().all(Result::is_err));
    assert!(
        findings(&plain(&archive)).await.iter().all(|finding| finding.as_ref().unwrap().measured.found == Some(19))
    );
}

#[tokio::test]
async fn the_signature_of_a_manifest_signs_no_evidence() {
    let (archive, world) = (Arc::<ArchiveDouble>::default(), World::furnished().await);
    let key = SigningKey::new("ours");
    let line = serde_json::to_vec(&drilled(0)).unwrap();
    let object = manifest::object(line, Some(&key));
    archive.objects().insert("evidence/20261128-090000-drill-one-00000000.json".to_owned(), object);
    world.create(&archive, Some(key.clone())).run(name("one"), &CancellationToken::new(), &mut |_| {}).await.unwrap();
    assert!(findings(&signed(&archive, "ours")).await[0].is_err());
}

#[tokio::test]
async fn what_is_no_evidence_is_named_and_hides_nothing_else() {
    let archive = Arc::<ArchiveDouble>::default();
    kept(&plain(&archive), [drilled(0)]).await;
    let put = |name: &str, content: Vec<u8>| archive.objects().insert(format!("evidence/{name}"), content);
    put("z1", b"{}\n\n".to_vec());
    put("z2", b"cut".to_vec());
    put("z3", vec![b'x'; 20_000]);
    put("z4", serde_json::to_string(&drilled(0)).unwrap().replace("\"format\":1", "\"format\":2").into_bytes());
    archive.objects().get_mut("evidence/z4").unwrap().extend(b"\n\n");
    let found = findings(&plain(&archive)).await;
    let why = |index: usize| found[index].as_ref().unwrap_err();
    assert!(why(0).contains("format 2") && why(1).contains("20000 bytes"), "{found:?}");
    assert!(why(2).contains("its end is missing") && why(3).contains("cannot be read"), "{found:?}");
    assert_eq!(found[4], Ok(drilled(0)));
}

#[tokio::test]
async fn the_oldest_go_when_there_are_too_many() {
    let archive = Arc::<ArchiveDouble>::default();
    let most = u32::try_from(MOST_EVIDENCE).unwrap();
    kept(&plain(&archive), (0..most + 2).map(drilled)).await;
    let (newest, all) = plain(&archive).evidence(1).await.unwrap();
    assert_eq!((newest[0].finding.clone(), all), (Ok(drilled(most + 1)), MOST_EVIDENCE));
    let oldest = archive.objects().keys().next().unwrap().clone();
    assert!(oldest.starts_with("evidence/20261128-090002-"), "{oldest}");
}
