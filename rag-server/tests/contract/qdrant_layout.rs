//! How the Qdrant adapters lay out new collections, and in which order and from how many replicas they write and read.

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex},
};

use qdrant_client::{
    Qdrant,
    qdrant::{CollectionConfig, quantization_config::Quantization as Kind},
};
use rag_server::{
    adapters::qdrant::{Layout, QdrantRecords, QdrantVectorStore, Quantization},
    model::{ContentHash, DocumentId},
    ports::{Epoch, Kind as RecordKind, Records, Search, VectorStore},
};
use serde_json::json;

use crate::{
    qdrant::OnDouble,
    records::put,
    vector_store::{DIMENSION, point},
};

fn wide() -> Layout {
    Layout {
        shard_number: Some(6),
        replication_factor: Some(2),
        write_consistency_factor: Some(1),
        on_disk: Some(true),
        hnsw_m: Some(32),
        hnsw_ef_construct: Some(256),
        quantization: Some(Quantization::Scalar),
    }
}

async fn created(storage: &OnDouble, name: &str) -> CollectionConfig {
    let client = Qdrant::from_url(&storage.double.url()).build().unwrap();
    client.collection_info(name).await.unwrap().result.unwrap().config.unwrap()
}

#[tokio::test]
async fn new_collections_are_laid_out_as_configured_and_records_are_one_shard() {
    let storage = OnDouble::start().await;
    QdrantVectorStore::new(storage.connect(), "corpus", wide()).create_epoch(Epoch(1), DIMENSION).await.unwrap();
    let config = created(&storage, "corpus-e1").await;
    let params = config.params.unwrap();
    assert_eq!(
        (params.shard_number, params.replication_factor, params.write_consistency_factor),
        (6, Some(2), Some(1))
    );
    let graph = config.hnsw_config.unwrap();
    assert_eq!((graph.m, graph.ef_construct), (Some(32), Some(256)));
    assert!(matches!(config.quantization_config.unwrap().quantization, Some(Kind::Scalar(_))));
    let vectors = format!("{:?}", params.vectors_config);
    assert!(vectors.contains("on_disk: Some(true)"), "{vectors}");

    let records = QdrantRecords::new(storage.connect(), "corpus", Layout::of_records(Some(3), None));
    put(&records, RecordKind::Job, "a", json!(1)).await;
    let params = created(&storage, "corpus-records").await.params.unwrap();
    assert_eq!(
        (params.shard_number, params.replication_factor, params.write_consistency_factor),
        (1, Some(3), Some(2))
    );
}

#[tokio::test]
async fn without_settings_a_collection_is_the_server_s_own() {
    let storage = OnDouble::start().await;
    storage.corpus().create_epoch(Epoch(1), DIMENSION).await.unwrap();
    let config = created(&storage, "corpus-e1").await;
    assert_eq!((config.hnsw_config, config.quantization_config), (None, None));
    assert_eq!(config.params.unwrap().shard_number, 1);
}

#[tokio::test]
async fn records_are_written_in_one_order_and_read_from_a_majority_of_three_replicas() {
    for (replicas, read) in
        [(None, "One"), (Some(1), "One"), (Some(2), "One"), (Some(3), "Quorum"), (Some(5), "Quorum")]
    {
        let storage = OnDouble::start().await;
        let open = |layout| QdrantRecords::new(storage.connect(), "corpus", layout);
        let records = open(Layout::of_records(replicas, None));
        let standing = put(&records, RecordKind::Job, "a", json!(1)).await;
        records.list(RecordKind::Job, "", None, 9).await.unwrap();
        records.count(RecordKind::Job).await.unwrap();
        records.remove(RecordKind::Job, "a", standing.version).await.unwrap();
        let asked = storage.double.asked("corpus-records");
        assert!(asked.writes.iter().all(|(_, ordering)| *ordering == "Strong"), "{replicas:?}: {asked:?}");
        let expected = ["Count", "Get", "Scroll"].map(|call| (call, read.to_owned()));
        assert_eq!(asked.reads, BTreeSet::from(expected), "{replicas:?}");
    }
}

#[tokio::test]
async fn what_counts_is_how_many_replicas_there_are_and_not_how_many_are_configured() {
    let storage = OnDouble::start().await;
    let open = |replicas| QdrantRecords::new(storage.connect(), "corpus", Layout::of_records(replicas, None));
    open(Some(3)).count(RecordKind::Job).await.unwrap();
    open(None).get(RecordKind::Job, "a").await.unwrap();
    assert!(storage.double.asked("corpus-records").reads.contains(&("Get", "Quorum".to_owned())));
}

#[tokio::test]
async fn points_are_written_by_a_leader_that_is_alive_and_labels_in_one_order() {
    let storage = OnDouble::start().await;
    let corpus = storage.corpus();
    corpus.create_epoch(Epoch(1), DIMENSION).await.unwrap();
    corpus.upsert(Epoch(1), vec![point("a.md", "v1", 0, [1.0, 0.0, 0.0, 0.0], &[(1, 1.0)])]).await.unwrap();
    let id: DocumentId = "a.md".parse().unwrap();
    corpus.relabel(Epoch(1), &id, &["dept=ops".to_owned()]).await.unwrap();
    corpus.purge(Epoch(1), &id, &ContentHash("v0".to_owned())).await.unwrap();
    let search = Search { dense: Some(vec![1.0, 0.0, 0.0, 0.0]), limit: 3, epoch: Some(Epoch(1)), ..Search::default() };
    corpus.search(&search).await.unwrap();
    let asked = storage.double.asked("corpus-e1");
    assert_eq!(asked.writes, BTreeSet::from([("Delete", "Medium"), ("SetPayload", "Strong"), ("Upsert", "Medium")]));
    assert!(asked.reads.contains(&("QueryBatch", "One".to_owned())), "{asked:?}");
}

/// What is logged, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_collection_that_is_laid_out_otherwise_is_told_and_left_as_it_is() {
    let storage = OnDouble::start().await;
    storage.corpus().create_epoch(Epoch(1), DIMENSION).await.unwrap();
    let before = created(&storage, "corpus-e1").await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let listening = tracing::subscriber::set_default(subscriber);
    QdrantVectorStore::new(storage.connect(), "corpus", wide()).create_epoch(Epoch(1), DIMENSION).await.unwrap();
    drop(listening);
    assert_eq!(created(&storage, "corpus-e1").await, before);
    let said = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for part in
        ["WARN", "corpus-e1", "stays as it is", "shard_number is 1 there and 6 here", "quantization is none there"]
    {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}
