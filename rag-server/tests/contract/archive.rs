//! The contract of `Archive`, clause by clause, and the adapters that keep it: a folder, and a bucket of a real server that speaks S3.

use std::sync::Arc;

use async_trait::async_trait;
use rag_core::doubles::ArchiveDouble;
use rag_server::{
    adapters::archive::ObjectArchive,
    ports::{Archive, ArchiveError},
};
use tempfile::TempDir;

/// An archive for one clause.
#[async_trait]
trait Storage: Send + Sync + Sized {
    /// A new, empty one; none, and why, where there cannot be one.
    async fn fresh() -> Result<Self, String>;

    /// What reaches it.
    fn open(&self) -> Arc<dyn Archive>;
}

/// Makes one test of each clause for a [`Storage`].
macro_rules! archive_suite {
    ($storage:ty) => {
        archive_suite!($storage:
            what_was_never_put_is_not_there,
            an_object_comes_back_as_it_was,
            an_object_is_never_replaced,
            of_many_writers_of_one_name_one_wins,
            a_folder_is_listed_in_the_order_of_the_names,
            what_is_removed_is_gone_and_its_name_is_free,
        );
    };
    ($storage:ty: $($clause:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $clause() {
                match <$storage as crate::archive::Storage>::fresh().await {
                    Ok(storage) => crate::archive::$clause(&storage).await,
                    Err(why) => eprintln!("skipped, because {why}"),
                }
            }
        )*
    };
}

mod s3;
mod weed;

async fn what_was_never_put_is_not_there<S: Storage>(storage: &S) {
    let archive = storage.open();
    assert_eq!(archive.get("parts/a").await, Ok(None));
    assert_eq!(archive.size("parts/a").await, Ok(None));
    assert_eq!(archive.list("parts/").await, Ok(Vec::new()));
}

async fn an_object_comes_back_as_it_was<S: Storage>(storage: &S) {
    let bytes: Vec<u8> = (0..=255).cycle().take(6 << 20).collect();
    for (name, bytes) in [("parts/large", bytes), ("parts/empty", Vec::new())] {
        assert_eq!(storage.open().put_if_absent(name, bytes.clone()).await, Ok(true));
        assert_eq!(storage.open().size(name).await, Ok(Some(bytes.len() as u64)));
        assert!(storage.open().get(name).await.unwrap() == Some(bytes), "{name}");
    }
}

async fn an_object_is_never_replaced<S: Storage>(storage: &S) {
    let archive = storage.open();
    assert_eq!(archive.put_if_absent("manifests/one.json", b"first".to_vec()).await, Ok(true));
    assert_eq!(archive.put_if_absent("manifests/one.json", b"other".to_vec()).await, Ok(false));
    assert_eq!(archive.get("manifests/one.json").await, Ok(Some(b"first".to_vec())));
}

async fn of_many_writers_of_one_name_one_wins<S: Storage>(storage: &S) {
    let writers = (0..8_u8).map(|writer| {
        let archive = storage.open();
        async move { archive.put_if_absent("manifests/one.json", vec![writer; 1_000]).await.unwrap() }
    });
    let wins = futures::future::join_all(writers).await;
    assert_eq!(wins.iter().filter(|won| **won).count(), 1, "{wins:?}");
    let winner = wins.iter().position(|won| *won).unwrap();
    let stands = storage.open().get("manifests/one.json").await.unwrap().unwrap();
    assert_eq!(stands, vec![u8::try_from(winner).unwrap(); 1_000]);
}

async fn a_folder_is_listed_in_the_order_of_the_names<S: Storage>(storage: &S) {
    let archive = storage.open();
    for name in ["manifests/b.json", "parts/x", "manifests/a.json", "manifests-old/c.json", "manifests/a-1.json"] {
        assert_eq!(archive.put_if_absent(name, b"x".to_vec()).await, Ok(true));
    }
    assert_eq!(archive.put_if_absent("manifests/empty.json", Vec::new()).await, Ok(true));
    let listed = archive.list("manifests/").await.unwrap();
    let listed: Vec<_> = listed.iter().map(|object| (object.name.as_str(), object.bytes)).collect();
    let expected =
        [("a-1", 1), ("a", 1), ("b", 1), ("empty", 0)].map(|(name, bytes)| (format!("manifests/{name}.json"), bytes));
    assert_eq!(listed, expected.each_ref().map(|(name, bytes)| (name.as_str(), *bytes)));
}

async fn what_is_removed_is_gone_and_its_name_is_free<S: Storage>(storage: &S) {
    let archive = storage.open();
    for name in ["parts/a", "parts/b"] {
        assert_eq!(archive.put_if_absent(name, b"first".to_vec()).await, Ok(true));
    }
    assert_eq!(archive.remove("parts/a").await, Ok(()));
    assert_eq!(archive.remove("parts/a").await, Ok(()), "what is not there is removed");
    let other = storage.open();
    assert_eq!((other.get("parts/a").await, other.size("parts/a").await), (Ok(None), Ok(None)));
    let names: Vec<_> = other.list("parts/").await.unwrap().into_iter().map(|object| object.name).collect();
    assert_eq!(names, ["parts/b"]);
    assert_eq!(other.put_if_absent("parts/a", b"second".to_vec()).await, Ok(true));
    assert_eq!(archive.get("parts/a").await, Ok(Some(b"second".to_vec())));
}

struct Double(Arc<ArchiveDouble>);

#[async_trait]
impl Storage for Double {
    async fn fresh() -> Result<Self, String> {
        Ok(Self(Arc::default()))
    }

    fn open(&self) -> Arc<dyn Archive> {
        Arc::clone(&self.0) as _
    }
}

mod double {
    archive_suite!(super::Double);
}

struct Folder(TempDir);

#[async_trait]
impl Storage for Folder {
    async fn fresh() -> Result<Self, String> {
        Ok(Self(TempDir::new().unwrap()))
    }

    fn open(&self) -> Arc<dyn Archive> {
        Arc::new(ObjectArchive::folder(self.0.path()).unwrap())
    }
}

mod folder {
    archive_suite!(super::Folder);
}

#[test]
fn a_folder_that_is_not_there_is_named_and_not_made_by_who_reads() {
    let home = TempDir::new().unwrap();
    let folder = home.path().join("gone");
    let refused = ObjectArchive::folder(&folder).unwrap_err();
    assert_eq!(refused, ArchiveError::NoPlace { place: folder.display().to_string() });
    assert!(!folder.exists());
    assert!(ObjectArchive::new_folder(&folder).is_ok() && folder.is_dir());
}
