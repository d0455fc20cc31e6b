//! The embedded adapters: the engine's vector store, and records in SQLite.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::Arc,
};

use async_trait::async_trait;
use rag_server::{adapters::sqlite::SqliteRecords, ports::Records};
use tempfile::TempDir;

use crate::records;

/// Names the folder for a process that writes until it is killed.
const VICTIM: &str = "RAG_TEST_VICTIM";

/// Starts the test that calls this once more, as the process that is to be killed: after so many acknowledgements, which it returns.
fn killed_after(test: &str, folder: &TempDir, acknowledgements: usize) -> Vec<String> {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", test])
        .env(VICTIM, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut acknowledged = lines.filter_map(|line| line.strip_prefix("ack ").map(str::to_owned));
    let mut seen: Vec<String> = acknowledged.by_ref().take(acknowledgements).collect();
    victim.kill().unwrap();
    victim.wait().unwrap();
    // What it had said before it died counts, too.
    seen.extend(acknowledged);
    assert!(seen.len() >= acknowledgements, "{test} ended by itself after {} acknowledgements", seen.len());
    seen
}

fn acknowledge(what: impl std::fmt::Display) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    writeln!(out, "ack {what}").unwrap();
    out.flush().unwrap();
}

/// A SQLite file in a folder of its own.
struct Sqlite(TempDir);

#[async_trait]
impl records::Storage for Sqlite {
    async fn fresh() -> Self {
        Self(TempDir::new().unwrap())
    }

    async fn open(&self) -> Arc<dyn Records> {
        Arc::new(SqliteRecords::open(&self.0.path().join("data").join("records.sqlite")).await.unwrap())
    }
}

mod sqlite {
    use std::path::PathBuf;

    use rag_server::ports::{Kind, Records as _, StoreError};
    use serde_json::json;

    use super::{Arc, Sqlite, SqliteRecords, VICTIM, acknowledge, killed_after, records::Storage};
    use crate::records::records_suite;

    records_suite!(Sqlite);

    #[tokio::test(flavor = "multi_thread")]
    async fn several_may_make_the_file_at_once() {
        let storage = Arc::new(Sqlite::fresh().await);
        let tasks = (0..8).map(|_| {
            let storage = Arc::clone(&storage);
            tokio::spawn(async move { storage.open().await.count(Kind::Document).await })
        });
        for task in tasks.collect::<Vec<_>>() {
            assert_eq!(task.await.unwrap(), Ok(0));
        }
    }

    #[tokio::test]
    async fn a_file_that_is_no_database_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        std::fs::write(&path, "this is not a database, however long it may be".repeat(100)).unwrap();
        let error = SqliteRecords::open(&path).await.unwrap_err();
        assert!(matches!(&error, StoreError::Corrupt { what, .. } if what.ends_with("records.sqlite")), "{error}");
    }

    #[tokio::test]
    async fn a_file_of_a_newer_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        SqliteRecords::open(&path).await.unwrap().close().await.unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        // The user version is the big-endian number at byte 60 of the header.
        bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
        std::fs::write(&path, bytes).unwrap();
        let error = SqliteRecords::open(&path).await.unwrap_err().to_string();
        assert!(error.contains("newer version (schema 99"), "{error}");
    }

    #[tokio::test]
    async fn a_file_is_open_to_one_process_alone_or_to_several_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        let in_use =
            |refused: StoreError| matches!(refused, StoreError::InUse { path } if path.ends_with("records.sqlite"));
        let alone = SqliteRecords::open_alone(&path).await.unwrap();
        assert!(alone.exclusive());
        assert!(in_use(SqliteRecords::open(&path).await.unwrap_err()));
        assert!(in_use(SqliteRecords::open_alone(&path).await.unwrap_err()));
        alone.close().await.unwrap();
        let (one, other) = (SqliteRecords::open(&path).await.unwrap(), SqliteRecords::open(&path).await.unwrap());
        assert!(!one.exclusive() && !other.exclusive());
        assert!(in_use(SqliteRecords::open_alone(&path).await.unwrap_err()));
    }

    #[tokio::test]
    async fn a_file_of_the_first_schema_is_read_and_its_versions_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let old = sqlx::SqlitePool::connect_with(options).await.unwrap();
        let schema = "CREATE TABLE records (kind TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id)) STRICT;
            INSERT INTO records VALUES ('document', 'a', 7, '{}');
            PRAGMA user_version = 1";
        sqlx::raw_sql(schema).execute(&old).await.unwrap();
        old.close().await;
        let records = SqliteRecords::open(&path).await.unwrap();
        assert_eq!(records.get(Kind::Document, "a").await.unwrap().unwrap().version, 7);
        let new = crate::records::put(&records, Kind::Document, "b", json!({})).await;
        assert!(new.version > 7, "no version of the file comes back");
    }

    async fn write_until_killed(folder: std::ffi::OsString) {
        let records = SqliteRecords::open(&PathBuf::from(folder).join("records.sqlite")).await.unwrap();
        for n in 0_u64.. {
            let id = format!("r{n}");
            records.put_if_absent(Kind::Document, &id, json!({ "n": n })).await.unwrap();
            acknowledge(&id);
        }
    }

    #[tokio::test]
    async fn a_killed_process_loses_nothing_that_it_acknowledged() {
        if let Some(folder) = std::env::var_os(VICTIM) {
            return write_until_killed(folder).await;
        }
        let folder = tempfile::tempdir().unwrap();
        let test = "embedded::sqlite::a_killed_process_loses_nothing_that_it_acknowledged";
        let acknowledged = killed_after(test, &folder, 50);
        let records = SqliteRecords::open(&folder.path().join("records.sqlite")).await.unwrap();
        for id in acknowledged {
            assert!(records.get(Kind::Document, &id).await.unwrap().is_some(), "{id} is lost");
        }
    }
}

/// A folder of the embedded engine.
#[cfg(feature = "engine")]
mod edge {
    use std::{path::PathBuf, sync::Arc};

    use async_trait::async_trait;
    use rag_server::{
        adapters::edge::EdgeStore,
        model::{ContentHash, DocumentId},
        ports::{Epoch, Search, StoreError, VectorStore},
    };
    use tempfile::TempDir;

    use super::{VICTIM, acknowledge, killed_after};
    use crate::vector_store::{DIMENSION, Storage, point, vector_store_suite};

    const AT: [f32; DIMENSION] = [1.0, 0.0, 0.0, 0.0];

    struct Edge(TempDir);

    #[async_trait]
    impl Storage for Edge {
        const SHARED: bool = false;

        async fn fresh() -> Self {
            Self(TempDir::new().unwrap())
        }

        async fn open(&self) -> Arc<dyn VectorStore> {
            Arc::new(EdgeStore::open(&self.0.path().join("data")).await.unwrap())
        }
    }

    vector_store_suite!(Edge);

    async fn open(folder: &TempDir) -> EdgeStore {
        EdgeStore::open(folder.path()).await.unwrap()
    }

    async fn documents(store: &EdgeStore) -> Vec<String> {
        let all = Search { dense: Some(AT.to_vec()), limit: 100_000, ..Search::default() };
        let ids: Vec<_> = store.search(&all).await.unwrap().dense.into_iter().map(|hit| hit.chunk).collect();
        store.chunks(None, &ids).await.unwrap().into_iter().map(|chunk| chunk.document.to_string()).collect()
    }

    #[tokio::test]
    async fn a_second_holder_is_told_that_the_folder_is_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder).await;
        let refused = EdgeStore::open(folder.path()).await.err().unwrap();
        assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
        store.close().await.unwrap();
        store.close().await.unwrap();
        open(&folder).await;
        assert!(store.search(&Search::default()).await.is_err(), "a closed store answered");
    }

    #[tokio::test]
    async fn closing_a_store_whose_folder_is_gone_ends_no_process() {
        let folder = tempfile::tempdir().unwrap();
        let (path, gone) = (folder.path().join("data"), folder.path().join("gone"));
        let store = EdgeStore::open(&path).await.unwrap();
        for epoch in [Epoch(1), Epoch(2)] {
            store.create_epoch(epoch, DIMENSION).await.unwrap();
            store.upsert(epoch, vec![point("a", "v", 0, AT, &[])]).await.unwrap();
        }
        std::fs::rename(&path, &gone).unwrap();
        assert!(
            store.upsert(Epoch(1), vec![point("b", "v", 0, AT, &[])]).await.is_err(),
            "a lost write was acknowledged"
        );
        store.close().await.unwrap();
    }

    #[tokio::test]
    async fn a_folder_is_free_once_its_holder_is_killed() {
        if let Some(folder) = std::env::var_os(VICTIM) {
            return write_until_killed(folder).await;
        }
        let folder = tempfile::tempdir().unwrap();
        let acknowledged = killed_after("embedded::edge::a_folder_is_free_once_its_holder_is_killed", &folder, 1);
        assert!(acknowledged[0].ends_with(" 0"), "the first of some writer: {acknowledged:?}");
        open(&folder).await;
    }

    async fn write_until_killed(folder: std::ffi::OsString) {
        let store = Arc::new(EdgeStore::open(&PathBuf::from(folder)).await.unwrap());
        store.create_epoch(Epoch(1), DIMENSION).await.unwrap();
        store.activate(Epoch(1)).await.unwrap();
        let writers = (0..4).map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for n in 0_u32.. {
                    let name = format!("w{writer}-{n}");
                    let points = (0..20).map(|k| point(&name, "v", k, AT, &[(k, 1.0)])).collect();
                    store.upsert(Epoch(1), points).await.unwrap();
                    acknowledge(format!("{writer} {n}"));
                    if n % 3 == 2 {
                        let before: DocumentId = format!("w{writer}-{}", n - 1).parse().unwrap();
                        store.purge(Epoch(1), &before, &ContentHash("v".to_owned())).await.unwrap();
                        acknowledge(format!("{writer} -{}", n - 1));
                    }
                }
            })
        });
        for writer in writers.collect::<Vec<_>>() {
            writer.await.unwrap();
        }
    }

    /// What the victim acknowledged: documents by name, and whether they are there.
    fn replay(acknowledged: &[String]) -> std::collections::BTreeMap<String, bool> {
        let told = acknowledged.iter().map(|line| {
            let (writer, n) = line.split_once(' ').unwrap();
            match n.strip_prefix('-') {
                Some(gone) => (format!("w{writer}-{gone}"), false),
                None => (format!("w{writer}-{n}"), true),
            }
        });
        told.collect()
    }

    async fn check(store: &EdgeStore, acknowledged: &[String]) {
        let mut found: std::collections::BTreeMap<String, usize> = std::collections::BTreeMap::new();
        for document in documents(store).await {
            *found.entry(document).or_default() += 1;
        }
        let told = replay(acknowledged);
        for (name, is_there) in &told {
            let chunks = found.get(name).copied().unwrap_or_default();
            let (writer, n) = name.split_once('-').unwrap();
            // Its removal may have been done and not been told; the writer goes on only once it is told.
            let may_be_gone = !told.contains_key(&format!("{writer}-{}", n.parse::<u32>().unwrap() + 2));
            match is_there {
                true => assert!(chunks == 20 || (chunks == 0 && may_be_gone), "{name} has {chunks} of 20 chunks"),
                false => assert_eq!(chunks, 0, "{name} came back"),
            }
        }
    }

    #[tokio::test]
    async fn a_killed_process_loses_nothing_that_it_acknowledged() {
        if let Some(folder) = std::env::var_os(VICTIM) {
            return write_until_killed(folder).await;
        }
        let folder = tempfile::tempdir().unwrap();
        let test = "embedded::edge::a_killed_process_loses_nothing_that_it_acknowledged";
        let acknowledged = killed_after(test, &folder, 60);
        let store = open(&folder).await;
        check(&store, &acknowledged).await;
        // And it still takes writes: an engine that numbered them from the start again would drop them.
        store.upsert(Epoch(1), vec![point("w0-0", "later", 0, AT, &[])]).await.unwrap();
        let first: DocumentId = "w0-0".parse().unwrap();
        store.purge(Epoch(1), &first, &ContentHash("v".to_owned())).await.unwrap();
        assert_eq!(documents(&store).await.iter().filter(|name| *name == "w0-0").count(), 1);
    }

    #[tokio::test]
    async fn a_store_stays_whole_through_optimisation_and_a_shortened_log() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder).await;
        store.create_epoch(Epoch(1), DIMENSION).await.unwrap();
        store.activate(Epoch(1)).await.unwrap();
        for round in 0..16 {
            let points = (0..1_000).map(|n| {
                let mut point = point(&format!("d{n}"), "v", round, [1.0, n as f32, round as f32, 0.5], &[(n, 1.0)]);
                point.chunk.text.push_str(&"long ".repeat(600));
                point
            });
            store.upsert(Epoch(1), points.collect()).await.unwrap();
        }
        for n in 0..300 {
            store.purge(Epoch(1), &format!("d{n}").parse().unwrap(), &ContentHash("v".to_owned())).await.unwrap();
        }
        assert_eq!(store.count(Epoch(1)).await, Ok(11_200));
        store.close().await.unwrap();
        let store = open(&folder).await;
        assert_eq!(store.count(Epoch(1)).await, Ok(11_200));
        let closed = std::fs::read_dir(folder.path().join("e1").join("wal")).unwrap().count();
        assert!(closed <= 8, "{closed} files of the log are left");
        let legs = store
            .search(&Search {
                lexical: Some(rag_server::model::SparseVector { indices: vec![700], values: vec![1.0] }),
                limit: 100,
                ..Search::default()
            })
            .await
            .unwrap();
        assert_eq!(legs.lexical.len(), 16);
        store.upsert(Epoch(1), vec![point("d700", "v", 0, AT, &[(700, 1.0)])]).await.unwrap();
        assert_eq!(store.count(Epoch(1)).await, Ok(11_200), "a repeated write after reopening made a second chunk");
    }
}
