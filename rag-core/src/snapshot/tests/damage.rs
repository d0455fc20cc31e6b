//! Whatever happens to the objects of an archive, nothing is restored that is not what was taken.

use super::*;

async fn archived() -> Arc<ArchiveDouble> {
    let archive = Arc::default();
    let world = World::opened().await;
    for n in 0..500 {
        world.ingest(&format!("d{n:04}"), &format!("The valve {n} of the plant opens at {n} bar.")).await;
    }
    let taken = world.snapshot(&archive, "one").await.unwrap();
    assert!(taken.manifest.parts.len() >= 2);
    archive
}

async fn verified(archive: &Arc<ArchiveDouble>, key: Option<&SigningKey>) -> Result<Verified, SnapshotError> {
    let archived = Archived { key: key.cloned(), ..plain(archive) };
    verify(&archived, &name("one"), &CancellationToken::new(), &mut |_| {}).await
}

fn parts(archive: &ArchiveDouble) -> Vec<String> {
    archive.objects().keys().filter(|name| name.starts_with("parts/")).cloned().collect()
}

#[tokio::test]
async fn a_part_with_any_byte_flipped_is_refused_by_its_name_and_nothing_is_searched() {
    let archive = archived().await;
    let part = parts(&archive).remove(0);
    let whole = archive.objects()[&part].clone();
    for at in [0, 1, 5, whole.len() / 2, whole.len() - 1] {
        archive.objects().get_mut(&part).unwrap()[at] ^= 1;
        let refused = verified(&archive, None).await.unwrap_err();
        assert!(matches!(&refused, SnapshotError::Damaged { part: named, .. } if part.ends_with(named)), "{refused}");
        let target = World::default();
        assert!(matches!(target.restored(&archive, "one").await, Err(SnapshotError::Damaged { .. })));
        assert_eq!(target.store.active().await, Ok(None));
        archive.objects().insert(part.clone(), whole.clone());
    }
    assert!(verified(&archive, None).await.is_ok());
}

#[tokio::test]
async fn parts_that_are_swapped_shortened_or_gone_are_named() {
    let archive = archived().await;
    let [one, two] = parts(&archive)[..2].to_vec().try_into().unwrap();
    let object = |name: &String| archive.objects()[name].clone();
    let (first, second) = (object(&one), object(&two));
    archive.objects().insert(one.clone(), second.clone());
    archive.objects().insert(two.clone(), first.clone());
    assert!(matches!(verified(&archive, None).await, Err(SnapshotError::Damaged { .. })));
    archive.objects().insert(two.clone(), second);
    archive.objects().insert(one.clone(), first[..first.len() - 1].to_vec());
    let refused = verified(&archive, None).await.unwrap_err().to_string();
    assert!(refused.contains("bytes in the place of"), "{refused}");
    archive.objects().remove(&one);
    let refused = verified(&archive, None).await.unwrap_err();
    assert!(matches!(&refused, SnapshotError::Missing { part, .. } if one.ends_with(part)), "{refused}");
}

/// Changes the manifest as somebody would who can write to the archive.
pub(super) fn forge(archive: &ArchiveDouble, change: impl FnOnce(&mut serde_json::Value)) {
    let object = name("one").object();
    let mut objects = archive.objects();
    let text = String::from_utf8(objects[&object].clone()).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    change(&mut manifest);
    objects.insert(object, format!("{manifest}\n{}\n", text.lines().nth(1).unwrap_or_default()).into_bytes());
}

#[tokio::test]
async fn parts_that_the_manifest_names_in_another_order_or_not_at_all_are_refused() {
    type Forge = fn(&mut serde_json::Value);
    let forgeries: [Forge; 4] = [
        |manifest| manifest["parts"].as_array_mut().unwrap().reverse(),
        |manifest| drop(manifest["parts"].as_array_mut().unwrap().pop()),
        |manifest| {
            let part = manifest["parts"][0].clone();
            manifest["parts"].as_array_mut().unwrap().insert(0, part);
        },
        |manifest| manifest["chunks"] = json!(1),
    ];
    for forgery in forgeries {
        let archive = archived().await;
        forge(&archive, forgery);
        assert!(matches!(verified(&archive, None).await, Err(SnapshotError::Damaged { .. })));
    }
}

#[tokio::test]
async fn a_manifest_is_refused_for_what_is_wrong_with_it() {
    let archive = archived().await;
    let object = name("one").object();
    let whole = archive.objects()[&object].clone();
    let refused = async |bytes: &[u8]| {
        archive.objects().insert(object.clone(), bytes.to_vec());
        verified(&archive, None).await.unwrap_err()
    };
    assert!(matches!(refused(&whole[..whole.len() / 2]).await, SnapshotError::Unreadable { .. }));
    assert!(matches!(refused(b"").await, SnapshotError::Unreadable { .. }));
    assert!(matches!(refused(b"{}\n\n").await, SnapshotError::Unreadable { .. }));
    let newer = br#"{"format":2,"what":"was not known"}"#;
    let newer = refused(&[newer, &b"\n\n"[..]].concat()).await;
    assert!(matches!(newer, SnapshotError::Newer { found: 2, .. }), "{newer}");
    archive.objects().insert(name("two").object(), whole);
    let renamed = plain(&archive).read(&name("two")).await.unwrap_err().to_string();
    assert!(renamed.contains("that of snapshot one"), "{renamed}");
}

#[tokio::test]
async fn a_manifest_that_was_signed_with_another_key_or_not_at_all_is_refused() {
    let (archive, world): (Arc<ArchiveDouble>, _) = (Arc::default(), World::with(&DOCUMENTS).await);
    let (key, other) = (SigningKey::new("correct horse"), SigningKey::new("battery staple"));
    let create = world.create(&archive, Some(key.clone()));
    create.run(name("one"), &CancellationToken::new(), &mut |_| {}).await.unwrap();
    assert!(verified(&archive, Some(&key)).await.is_ok());
    assert!(verified(&archive, None).await.is_ok(), "who asks for no signature is not given trouble by one");
    assert_eq!(verified(&archive, Some(&other)).await, Err(SnapshotError::Forged(name("one"))));
    forge(&archive, |manifest| manifest["left_out"] = json!(1));
    assert_eq!(verified(&archive, Some(&key)).await, Err(SnapshotError::Forged(name("one"))));
    world.snapshot(&archive, "two").await.unwrap();
    let signed = Archived { key: Some(key.clone()), ..plain(&archive) };
    assert_eq!(signed.read(&name("two")).await, Err(SnapshotError::Unsigned(name("two"))));
    assert!(!format!("{key:?}").contains("horse"));
}

#[tokio::test]
async fn a_part_that_unpacks_to_more_than_any_part_is_refused() {
    let archive = archived().await;
    let bomb = zstd::encode_all(&vec![b'x'; 64 * 1024 * 1024][..], 3).unwrap();
    forge(&archive, |manifest| {
        manifest["parts"][0]["sha256"] = json!(part::sha256(&bomb));
        manifest["parts"][0]["bytes"] = json!(bomb.len());
    });
    let object = part::object_name(&part::sha256(&bomb));
    archive.objects().insert(object, bomb);
    let refused = verified(&archive, None).await.unwrap_err().to_string();
    assert!(refused.contains("which no part does"), "{refused}");
}

#[tokio::test]
async fn a_part_of_an_earlier_snapshot_that_was_spoiled_is_not_relied_upon() {
    let (archive, world) = (Arc::default(), World::with(&DOCUMENTS).await);
    world.snapshot(&archive, "one").await.unwrap();
    let part = parts(&archive).remove(0);
    archive.objects().insert(part.clone(), b"short".to_vec());
    assert_eq!(world.snapshot(&archive, "two").await, Err(SnapshotError::Spoiled(part)));
    assert_eq!(list(&*archive).await, Ok(vec![name("one")]));
}

#[tokio::test]
async fn a_chunk_that_does_not_find_itself_keeps_everything_from_being_searched() {
    let (archive, source, target) = (Arc::default(), World::with(&DOCUMENTS).await, World::default());
    source.snapshot(&archive, "one").await.unwrap();
    forge(&archive, |manifest| {
        manifest["golden"].as_array_mut().unwrap().push(json!({ "chunk": uuid::Uuid::nil() }));
    });
    let refused = target.restored(&archive, "one").await;
    assert!(matches!(refused, Err(SnapshotError::NotFound { missed: 1, .. })), "{refused:?}");
    assert_eq!(target.store.active().await, Ok(None));
}
