//! What is encrypted is read by nobody without the key, is not written twice, and is refused where any byte of it is another.

use age::{secrecy::ExposeSecret as _, x25519};

use super::*;

struct Keys(x25519::Identity);

impl Keys {
    fn new() -> Self {
        Self(x25519::Identity::generate())
    }

    fn recipients(&self) -> Option<Recipients> {
        Some(Recipients::parse(&self.0.to_public().to_string()).unwrap())
    }

    fn identities(&self) -> Option<Identities> {
        Some(Identities::parse(self.0.to_string().expose_secret()).unwrap())
    }

    fn both(&self) -> Encryption {
        Encryption { recipients: self.recipients(), identities: self.identities() }
    }
}

fn with(archive: &Arc<ArchiveDouble>, encryption: Encryption) -> Archived {
    Archived { encryption, ..plain(archive) }
}

impl World {
    async fn take(&self, archived: Archived, as_name: &str) -> Result<Created, SnapshotError> {
        let create = Create { archived, ..self.create(&Arc::default(), None) };
        create.run(name(as_name), &CancellationToken::new(), &mut |_| {}).await
    }

    async fn restore_of(&self, archived: Archived, of: &str) -> Result<Restored, SnapshotError> {
        let restore = Restore { archived, ..self.restore(&Arc::default()) };
        restore.run(&name(of), &CancellationToken::new(), &mut |_| {}).await
    }
}

async fn whole(archived: &Archived, of: &str) -> Result<Verified, SnapshotError> {
    verify(archived, &name(of), &CancellationToken::new(), &mut |_| {}).await
}

fn part_names(archive: &ArchiveDouble) -> Vec<String> {
    archive.objects().keys().filter(|name| name.starts_with("parts/")).cloned().collect()
}

#[tokio::test]
async fn what_is_encrypted_comes_back_and_a_second_snapshot_of_it_writes_nothing() {
    let (archive, world, keys): (Arc<ArchiveDouble>, _, _) = (Arc::default(), World::furnished().await, Keys::new());
    let archived = with(&archive, keys.both());
    let taken = world.take(archived.clone(), "one").await.unwrap();
    assert!(taken.manifest.seal.encrypted && taken.progress.written_bytes == taken.manifest.bytes());
    let again = world.take(archived.clone(), "two").await.unwrap();
    assert_eq!((again.progress.written_bytes, &again.manifest.parts), (0, &taken.manifest.parts));
    assert_eq!(whole(&archived, "two").await.unwrap().manifest, again.manifest);
    let target = World::default();
    target.restore_of(archived, "two").await.unwrap();
    assert_eq!(target.found("When do backups run?").await, ["backup"]);
    let plainly = target.snapshot(&Arc::default(), "plain").await.unwrap();
    let inside = |parts: &[PartRef]| parts.iter().map(|part| part.sha256.clone()).collect::<Vec<_>>();
    assert_eq!(inside(&plainly.manifest.parts), inside(&taken.manifest.parts), "it is what was encrypted");
}

#[tokio::test]
async fn no_object_tells_what_is_in_it_by_its_content_or_its_name() {
    let (archive, world, keys): (Arc<ArchiveDouble>, _, _) =
        (Arc::default(), World::with(&DOCUMENTS).await, Keys::new());
    let taken = world.take(with(&archive, keys.both()), "one").await.unwrap();
    let plainly: Arc<ArchiveDouble> = Arc::default();
    world.snapshot(&plainly, "one").await.unwrap();
    let names = part_names(&plainly);
    for (name, object) in archive.objects().iter() {
        assert!(!names.contains(name), "whoever knows a document must not find it by the hash of its part");
        let shown = String::from_utf8_lossy(object).into_owned();
        for secret in ["backup", "menu", &taken.manifest.parts[0].sha256, "local", "EmbedderDouble", "documents"] {
            assert!(!shown.contains(secret), "{name} shows {secret}");
        }
        assert!(zstd::decode_all(object.as_slice()).is_err());
    }
}

#[tokio::test]
async fn without_the_key_a_snapshot_is_listed_and_not_read() {
    let (archive, world, keys): (Arc<ArchiveDouble>, _, _) =
        (Arc::default(), World::with(&DOCUMENTS).await, Keys::new());
    let taken = world.take(with(&archive, keys.both()), "one").await.unwrap();
    let fingerprint = keys.recipients().unwrap().fingerprints()[0].clone();
    let other = Keys::new();
    for (identities, says) in
        [(None, "no identity is configured"), (other.identities(), "the identity here is that of")]
    {
        let archived = with(&archive, Encryption { recipients: None, identities });
        let refused = whole(&archived, "one").await.unwrap_err();
        assert!(matches!(refused, SnapshotError::NoKey { .. }), "{refused}");
        assert!(refused.to_string().contains(&fingerprint) && refused.to_string().contains(says), "{refused}");
        let target = World::default();
        assert!(matches!(target.restore_of(archived.clone(), "one").await, Err(SnapshotError::NoKey { .. })));
        assert_eq!(target.store.active().await, Ok(None));
        let outline = archived.outline(&name("one")).await.unwrap();
        assert_eq!((outline.began, outline.bytes), (taken.manifest.began, taken.manifest.bytes()));
        assert_eq!(outline.manifest, None);
    }
}

#[tokio::test]
async fn whoever_takes_needs_no_identity_and_finds_parts_again_by_the_signing_key() {
    let (archive, world, keys): (Arc<ArchiveDouble>, _, _) =
        (Arc::default(), World::with(&DOCUMENTS).await, Keys::new());
    let only_recipients = || Encryption { recipients: keys.recipients(), identities: None };
    let signed = Archived { key: Some(SigningKey::new("a secret")), ..with(&archive, only_recipients()) };
    world.take(signed.clone(), "one").await.unwrap();
    assert_eq!(world.take(signed.clone(), "two").await.unwrap().progress.written_bytes, 0);
    let unsigned = with(&archive, only_recipients());
    for fresh in ["three", "four"] {
        let taken = world.take(unsigned.clone(), fresh).await.unwrap();
        assert_eq!(taken.progress.kept_bytes, 0, "without a secret nothing is found again");
    }
    for of in ["one", "two", "three", "four"] {
        whole(&with(&archive, keys.both()), of).await.unwrap();
    }
}

#[tokio::test]
async fn other_recipients_get_parts_of_their_own() {
    let (archive, world) = (Arc::<ArchiveDouble>::default(), World::with(&DOCUMENTS).await);
    let (old, new) = (Keys::new(), Keys::new());
    world.take(with(&archive, old.both()), "one").await.unwrap();
    // The old identity is still at hand, and is the first, as in the midst of a rotation.
    let secrets = [&old, &new].map(|keys| keys.0.to_string().expose_secret().to_owned()).join("\n");
    let identities = Some(Identities::parse(&secrets).unwrap());
    let rotated = with(&archive, Encryption { recipients: new.recipients(), identities });
    let taken = world.take(rotated.clone(), "two").await.unwrap();
    assert_eq!(taken.progress.kept_bytes, 0, "what is there cannot be read with the new key");
    whole(&with(&archive, new.both()), "two").await.unwrap();
    whole(&rotated, "one").await.unwrap();
    assert!(matches!(whole(&with(&archive, new.both()), "one").await, Err(SnapshotError::NoKey { .. })));
}

#[tokio::test]
async fn parts_are_removed_without_the_key() {
    let (archive, world, keys): (Arc<ArchiveDouble>, _, _) =
        (Arc::default(), World::with(&DOCUMENTS).await, Keys::new());
    world.take(with(&archive, keys.both()), "one").await.unwrap();
    world.ingest("more", "Tea is served at four.").await;
    world.take(with(&archive, keys.both()), "two").await.unwrap();
    assert_eq!(part_names(&archive).len(), 2);
    let remove = Remove { archived: plain(&archive), clock: Arc::clone(&world.clock) as _, even_last: false };
    let removed = remove.run(&[name("one")], &CancellationToken::new()).await.unwrap();
    assert_eq!((removed.parts, removed.left), (1, None));
    whole(&with(&archive, keys.both()), "two").await.unwrap();
}

/// A signed and encrypted archive with two snapshots, the later of which has one part in common with the earlier.
async fn archive_of_two(keys: &Keys) -> (Arc<ArchiveDouble>, Archived) {
    let (archive, world): (Arc<ArchiveDouble>, _) = (Arc::default(), World::opened().await);
    let archived = Archived { key: Some(SigningKey::new("a secret")), ..with(&archive, keys.both()) };
    for n in 0..450 {
        world.ingest(&format!("d{n:04}"), &format!("The valve {n} of the plant opens at {n} bar.")).await;
    }
    world.take(archived.clone(), "one").await.unwrap();
    world.ingest("d9999", "The last valve.").await;
    let taken = world.take(archived.clone(), "two").await.unwrap();
    assert!(taken.manifest.parts.len() >= 2 && taken.progress.kept_bytes > 0);
    (archive, archived)
}

#[tokio::test]
async fn any_byte_of_any_encrypted_object_counts_and_its_part_is_named() {
    let keys = Keys::new();
    let (archive, archived) = archive_of_two(&keys).await;
    let named: Vec<String> = archived.outline(&name("two")).await.unwrap().parts;
    for object in named.iter().map(|part| part::object_name(part)).chain([name("two").object()]) {
        let bytes = archive.objects()[&object].clone();
        let ends = (0..bytes.len().min(400)).chain(bytes.len().saturating_sub(100)..bytes.len());
        for at in ends.chain((0..bytes.len()).step_by(bytes.len() / 40)) {
            archive.objects().get_mut(&object).unwrap()[at] ^= 1;
            let refused = whole(&archived, "two").await.unwrap_err();
            let fits = match &refused {
                SnapshotError::Damaged { part, .. } => object == part::object_name(part),
                SnapshotError::Forged(_) | SnapshotError::Unsigned(_) | SnapshotError::Unreadable { .. } => {
                    object.starts_with("manifests/")
                }
                _ => false,
            };
            assert!(fits, "byte {at} of {object}: {refused}");
            archive.objects().insert(object.clone(), bytes.clone());
        }
    }
    whole(&archived, "two").await.unwrap();
}

#[tokio::test]
async fn encrypted_parts_that_are_swapped_or_of_somebody_elses_making_are_named() {
    let keys = Keys::new();
    let (archive, archived) = archive_of_two(&keys).await;
    let manifest = archived.read(&name("two")).await.unwrap();
    let [one, two] = [0, 1].map(|n| part::object_name(manifest.parts[n].called()));
    let first = archive.objects()[&one].clone();
    let second = archive.objects()[&two].clone();
    archive.objects().insert(one.clone(), second.clone());
    archive.objects().insert(two.clone(), first.clone());
    let refused = whole(&archived, "two").await.unwrap_err();
    assert!(matches!(&refused, SnapshotError::Damaged { part, .. } if one.ends_with(part)), "{refused}");
    archive.objects().insert(two, second);
    // Whoever knows the recipient can encrypt for it: only the hash inside tells.
    let forged = keys.recipients().unwrap().encrypt(b"Soup is served at midnight.").unwrap();
    let refused = archived.unsealed(&manifest, &manifest.parts[0], forged.clone()).unwrap_err();
    assert!(matches!(&refused, SnapshotError::Damaged { part, .. } if one.ends_with(part)), "{refused}");
    assert!(refused.to_string().contains("holds something else than what the manifest says"), "{refused}");
    archive.objects().insert(one.clone(), forged);
    assert!(matches!(whole(&archived, "two").await, Err(SnapshotError::Damaged { .. })));
    archive.objects().remove(&one);
    let refused = whole(&archived, "two").await.unwrap_err();
    assert!(matches!(&refused, SnapshotError::Missing { part, .. } if one.ends_with(part)), "{refused}");
}

#[tokio::test]
async fn an_old_manifest_in_the_place_of_a_new_one_is_refused_and_a_dropped_one_is_not_listed() {
    let keys = Keys::new();
    let (archive, archived) = archive_of_two(&keys).await;
    let [one, two] = ["one", "two"].map(|of| name(of).object());
    let old = archive.objects()[&one].clone();
    let new = archive.objects().insert(two.clone(), old).unwrap();
    let refused = whole(&archived, "two").await.unwrap_err().to_string();
    assert!(refused.contains("it is that of snapshot one"), "{refused}");
    archive.objects().remove(&two);
    assert_eq!(list(&*archive).await, Ok(vec![name("one")]));
    assert_eq!(whole(&archived, "two").await, Err(SnapshotError::Unknown(name("two"))));
    // Whoever may write and has no signing key cannot dress a manifest of another name up.
    let text = String::from_utf8(new).unwrap().replace("\"name\":\"two\"", "\"name\":\"six\"");
    archive.objects().insert(name("six").object(), text.into_bytes());
    assert_eq!(whole(&archived, "six").await, Err(SnapshotError::Forged(name("six"))));
    let unsigned = with(&archive, keys.both());
    assert!(matches!(whole(&unsigned, "six").await, Err(SnapshotError::Unreadable { .. })));
}
