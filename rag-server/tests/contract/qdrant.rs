//! The Qdrant adapters: on the double, whose collections are as strict as those of a managed service, and on each of the real servers that `RAGOPS_TEST_QDRANT_URL` names, with commas between them.

// The double belongs to the workspace's tests; it is compiled in, because a binary cannot be relied on to be built and because a library of that crate would tie both test suites together.
#[path = "../../../tests/qdrant_double/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "only a part of the double is used here")]
pub(crate) mod qdrant_double;

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use qdrant_client::{
    Payload, Qdrant,
    qdrant::{
        Condition, CountPointsBuilder, CreateCollectionBuilder, Distance, Filter, SetPayloadPointsBuilder,
        VectorParamsBuilder, VectorsConfigBuilder,
    },
};
use rag_server::{
    adapters::qdrant::{Layout, PeerTold, QdrantConnection, QdrantRecords, QdrantSettings, QdrantVectorStore},
    ports::{Epoch, Kind, Put, Records, StoreError, Swap, VectorStore},
};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;

use self::qdrant_double::{ApiKeys, Double, Settings};
use crate::{PLACE, records, vector_store};

const URL: &str = "RAGOPS_TEST_QDRANT_URL";
/// File with the API key of those servers, if they want one.
const KEY_FILE: &str = "RAGOPS_TEST_QDRANT_API_KEY_FILE";

/// Far more than a call takes on a busy machine, and far less than a test may.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) const LOOPBACK: ([u8; 4], u16) = ([127, 0, 0, 1], 0);

async fn double(folder: &Path, keys: &[&str], grpc: SocketAddr) -> Double {
    let api_keys = ApiKeys::new(keys.iter().map(|key| (*key).to_owned()));
    let settings = Settings { storage_path: folder.to_owned(), grpc, http: LOOPBACK.into(), api_keys, strict: true };
    Double::start(settings).await.unwrap()
}

fn connection(url: String, api_key_file: Option<&Path>, deadline: Duration) -> QdrantConnection {
    let api_key_file = api_key_file.map(Path::to_owned);
    let settings = QdrantSettings { urls: vec![url], api_key_file, ca_file: None, deadline };
    let nobody: PeerTold = Arc::new(|_, _, _| {});
    QdrantConnection::new(settings, &nobody).unwrap()
}

/// The records of the alias `corpus`.
pub(crate) fn records_of(connection: QdrantConnection) -> QdrantRecords {
    QdrantRecords::new(connection, "corpus", Layout::of_records(None, None))
}

/// The corpus of that alias.
pub(crate) fn corpus_of(connection: QdrantConnection) -> QdrantVectorStore {
    QdrantVectorStore::new(connection, "corpus", Layout::default())
}

/// A double of its own.
pub(crate) struct OnDouble {
    _folder: TempDir,
    pub(crate) double: Double,
}

impl OnDouble {
    pub(crate) async fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let double = double(folder.path(), &[], LOOPBACK.into()).await;
        Self { _folder: folder, double }
    }

    pub(crate) fn connect(&self) -> QdrantConnection {
        connection(self.double.url(), None, DEADLINE)
    }

    pub(crate) fn corpus(&self) -> QdrantVectorStore {
        corpus_of(self.connect())
    }
}

#[async_trait]
impl records::Storage for OnDouble {
    async fn fresh() -> Self {
        Self::start().await
    }

    async fn open(&self) -> Arc<dyn Records> {
        Arc::new(records_of(self.connect()))
    }
}

#[async_trait]
impl vector_store::Storage for OnDouble {
    const SHARED: bool = true;

    async fn fresh() -> Self {
        Self::start().await
    }

    async fn open(&self) -> Arc<dyn VectorStore> {
        Arc::new(corpus_of(self.connect()))
    }
}

/// Collections of its own on one of the named servers.
struct OnServer {
    url: String,
    name: String,
}

impl OnServer {
    fn skipped() -> Option<String> {
        std::env::var_os(URL).is_none().then(|| format!("{URL} is not set"))
    }

    fn new() -> Self {
        Self { url: PLACE.get(), name: format!("ragops-test-{}", uuid::Uuid::new_v4().simple()) }
    }

    fn urls() -> Vec<String> {
        std::env::var(URL).unwrap().split(',').map(|url| url.trim().to_owned()).collect()
    }

    fn connect(&self) -> QdrantConnection {
        let key = std::env::var_os(KEY_FILE);
        connection(self.url.clone(), key.as_deref().map(Path::new), DEADLINE)
    }

    async fn remove(&self) {
        let key = std::env::var_os(KEY_FILE).map(|file| std::fs::read_to_string(file).unwrap().trim().to_owned());
        let client = Qdrant::from_url(&self.url).api_key(key).skip_compatibility_check();
        let client = client.build().unwrap();
        for collection in client.list_collections().await.unwrap().collections {
            if collection.name.starts_with(&self.name) {
                client.delete_collection(collection.name).await.unwrap();
            }
        }
    }
}

impl Drop for OnServer {
    fn drop(&mut self) {
        // A thread of its own, because a runtime cannot be entered from within another.
        std::thread::scope(|scope| {
            let removal = || tokio::runtime::Runtime::new().unwrap().block_on(self.remove());
            scope.spawn(removal);
        });
    }
}

#[async_trait]
impl records::Storage for OnServer {
    fn skipped() -> Option<String> {
        Self::skipped()
    }

    fn places() -> Vec<String> {
        Self::urls()
    }

    async fn fresh() -> Self {
        Self::new()
    }

    async fn open(&self) -> Arc<dyn Records> {
        Arc::new(QdrantRecords::new(self.connect(), &self.name, Layout::of_records(None, None)))
    }
}

#[async_trait]
impl vector_store::Storage for OnServer {
    const SHARED: bool = true;

    fn skipped() -> Option<String> {
        Self::skipped()
    }

    fn places() -> Vec<String> {
        Self::urls()
    }

    async fn fresh() -> Self {
        Self::new()
    }

    async fn open(&self) -> Arc<dyn VectorStore> {
        Arc::new(QdrantVectorStore::new(self.connect(), &self.name, Layout::default()))
    }
}

mod records_on_the_double {
    crate::records::records_suite!(super::OnDouble);
}

mod vectors_on_the_double {
    crate::vector_store::vector_store_suite!(super::OnDouble);
}

mod records_on_a_real_server {
    crate::records::records_suite!(super::OnServer);
}

mod vectors_on_a_real_server {
    crate::vector_store::vector_store_suite!(super::OnServer);
}

#[tokio::test]
async fn a_rotated_key_is_read_again_and_a_refused_one_is_said() {
    let (folder, keys) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let key = keys.path().join("vector-store.current");
    std::fs::write(&key, "the-first-key\n").unwrap();
    let first = double(folder.path(), &["the-first-key"], LOOPBACK.into()).await;
    let address = first.grpc;
    let records = records_of(connection(first.url(), Some(&key), DEADLINE));
    records.put_if_absent(Kind::Job, "a", json!({})).await.unwrap();
    first.stop().await.unwrap();

    let second = double(folder.path(), &["the-second-key"], address).await;
    let refused = records.get(Kind::Job, "a").await.unwrap_err();
    assert!(matches!(refused, StoreError::AuthFailed { .. }), "{refused:?}");
    assert!(!refused.to_string().contains("the-first-key"), "{refused}");
    std::fs::write(&key, "the-second-key\n").unwrap();
    assert!(records.get(Kind::Job, "a").await.unwrap().is_some());
    second.stop().await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_unreachable_and_a_silent_server_is_a_timeout() {
    let silent = TcpListener::bind(SocketAddr::from(LOOPBACK)).await.unwrap();
    let address = silent.local_addr().unwrap();
    let deadline = Duration::from_secs(1);
    let store = corpus_of(connection(format!("http://{address}"), None, deadline));
    let late = store.active().await.unwrap_err();
    assert_eq!((late.cause(), late.is_transient()), ("timeout", true), "{late}");
    drop(silent);
    let gone = store.active().await.unwrap_err();
    assert_eq!((gone.cause(), gone.is_transient()), ("unreachable", true), "{gone}");
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again() {
    let folder = TempDir::new().unwrap();
    let first = double(folder.path(), &[], LOOPBACK.into()).await;
    let address = first.grpc;
    let records = records_of(connection(first.url(), None, DEADLINE));
    records.put_if_absent(Kind::Job, "a", json!({})).await.unwrap();
    first.stop().await.unwrap();
    assert_eq!(records.get(Kind::Job, "a").await.map_err(|error| error.cause()), Err("unreachable"));
    let _second = double(folder.path(), &[], address).await;
    assert!(records.get(Kind::Job, "a").await.unwrap().is_some());
}

#[tokio::test]
async fn an_epoch_made_for_another_model_is_refused() {
    let storage = OnDouble::start().await;
    let store = corpus_of(storage.connect());
    store.create_epoch(Epoch(1), 4).await.unwrap();
    let refused = store.create_epoch(Epoch(1), 8).await.unwrap_err();
    assert!(refused.to_string().contains("corpus-e1 has 4 dimensions where the model has 8"), "{refused}");
}

#[tokio::test]
async fn a_collection_whose_scores_are_no_cosines_is_refused() {
    let storage = OnDouble::start().await;
    let client = Qdrant::from_url(&storage.double.url()).build().unwrap();
    let mut vectors = VectorsConfigBuilder::default();
    vectors.add_named_vector_params("dense", VectorParamsBuilder::new(4, Distance::Dot));
    client.create_collection(CreateCollectionBuilder::new("corpus-e1").vectors_config(vectors)).await.unwrap();
    let store = corpus_of(storage.connect());
    let refused = store.create_epoch(Epoch(1), 4).await.unwrap_err();
    assert!(refused.to_string().contains("corpus-e1 has the distance Dot where scores are cosines"), "{refused}");
    assert!(!refused.is_transient(), "{refused}");
}

/// Forwards to a server, and cuts the connection in front of one answer.
pub(crate) struct Cut {
    pub(crate) address: SocketAddr,
    /// Which answer that is, counted from the next one; 0: none.
    pub(crate) answer: Arc<AtomicUsize>,
}

impl Cut {
    pub(crate) async fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(LOOPBACK)).await.unwrap();
        let cut = Self { address: listener.local_addr().unwrap(), answer: Arc::default() };
        let answer = Arc::clone(&cut.answer);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(Self::forward(client, server, Arc::clone(&answer)));
            }
        });
        cut
    }

    async fn forward(
        mut client: tokio::net::TcpStream,
        server: SocketAddr,
        answer: Arc<AtomicUsize>,
    ) -> std::io::Result<()> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
        let mut server = tokio::net::TcpStream::connect(server).await?;
        let (mut from_server, mut to_server) = server.split();
        let (mut from_client, mut to_client) = client.split();
        let answers = async {
            let mut buffer = vec![0; 16 * 1024];
            loop {
                let count = from_server.read(&mut buffer).await?;
                let is_cut = || answer.fetch_update(SeqCst, SeqCst, |answer| answer.checked_sub(1)) == Ok(1);
                if count == 0 || carries_data(&buffer[..count]) && is_cut() {
                    return std::io::Result::Ok(());
                }
                to_client.write_all(&buffer[..count]).await?;
            }
        };
        tokio::select! {
            ended = answers => ended,
            ended = copy(&mut from_client, &mut to_server) => ended.map(drop),
        }
    }
}

/// Whether a body is among these HTTP/2 frames: settings and acknowledgements are no answer.
fn carries_data(mut frames: &[u8]) -> bool {
    const HEADER: usize = 9;
    while let Some([a, b, c, kind, ..]) = frames.get(..HEADER) {
        if *kind == 0 {
            return true;
        }
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        frames = frames.get(HEADER + length..).unwrap_or_default();
    }
    false
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_known_as_ones_own() {
    let storage = OnDouble::start().await;
    let cut = Cut::before(storage.double.grpc).await;
    let records = records_of(connection(format!("http://{}", cut.address), None, DEADLINE));
    assert_eq!(records.count(Kind::Job).await, Ok(0));
    // The look at the record, the floor, and then the write.
    cut.answer.store(3, SeqCst);
    let put = records.put_if_absent(Kind::Job, "a", json!({ "n": 1 })).await;
    assert!(matches!(put, Ok(Put::Created(_))), "{put:?}");
    assert_eq!(cut.answer.load(SeqCst), 0, "no answer was cut");
    let read = records.get(Kind::Job, "a").await.unwrap().unwrap();
    assert!(matches!(put, Ok(Put::Created(record)) if record == read));
    assert_eq!(read.body, json!({ "n": 1 }));
}

/// Makes every mark of a removed record old enough to be swept away.
async fn age_marks(client: &Qdrant) {
    let marks = Filter::must([Condition::matches("kind", "removed".to_owned())]);
    let removed_long_ago = Payload::try_from(json!({ "removed_at": 0 })).unwrap();
    let aged = SetPayloadPointsBuilder::new("corpus-records", removed_long_ago).points_selector(marks).wait(true);
    client.set_payload(aged).await.unwrap();
}

async fn marks(client: &Qdrant) -> u64 {
    let marks = Filter::must([Condition::matches("kind", "removed".to_owned())]);
    let count = CountPointsBuilder::new("corpus-records").filter(marks).exact(true);
    client.count(count).await.unwrap().result.unwrap().count
}

#[tokio::test]
async fn a_version_never_comes_back_although_the_mark_of_its_removal_is_swept_away() {
    let storage = OnDouble::start().await;
    let client = Qdrant::from_url(&storage.double.url()).build().unwrap();
    let open = || records_of(storage.connect());
    let mut last = 0;
    for writes in [4, 0, 1, 0, 0, 0, 0, 0] {
        let records = open();
        let mut standing = records::put(&records, Kind::Claim, "a", json!({})).await;
        assert!(standing.version > last, "{} after {last}", standing.version);
        for _ in 0..writes {
            match records.compare_and_set(Kind::Claim, "a", standing.version, json!({})).await.unwrap() {
                Swap::Done(next) => standing = next,
                Swap::Conflict(other) => panic!("{other:?}"),
            }
        }
        last = standing.version;
        records.remove(Kind::Claim, "a", last).await.unwrap();
        age_marks(&client).await;
        // A process sweeps with its first removal.
        let sweeper = open();
        let other = records::put(&sweeper, Kind::Lease, "b", json!({})).await;
        sweeper.remove(Kind::Lease, "b", other.version).await.unwrap();
        // Nobody waits for a sweep.
        let swept = async {
            while marks(&client).await > 1 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), swept)
            .await
            .expect("only the mark of the latest removal is left");
        age_marks(&client).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_beside_a_sweep_never_takes_an_old_version() {
    let storage = Arc::new(OnDouble::start().await);
    let client = Qdrant::from_url(&storage.double.url()).build().unwrap();
    records_of(storage.connect()).count(Kind::Job).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let sweeping = tokio::spawn({
        let (storage, done) = (Arc::clone(&storage), Arc::clone(&done));
        async move {
            while !done.load(SeqCst) {
                age_marks(&client).await;
                let sweeper = records_of(storage.connect());
                let other = records::put(&sweeper, Kind::Lease, "b", json!({})).await;
                sweeper.remove(Kind::Lease, "b", other.version).await.unwrap();
            }
        }
    });
    let (records, mut last) = (records_of(storage.connect()), 0);
    for _ in 0..200 {
        let standing = records::put(&records, Kind::Claim, "a", json!({})).await;
        assert!(standing.version > last, "{} after {last}", standing.version);
        last = standing.version;
        records.remove(Kind::Claim, "a", last).await.unwrap();
    }
    done.store(true, SeqCst);
    sweeping.await.unwrap();
}
