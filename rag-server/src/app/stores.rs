//! The stores that a configuration names, opened and reached.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{AppError, Observer, damage};
use crate::{
    adapters::{
        postgres::{PostgresRecords, PostgresSettings},
        qdrant::{Layout, PeerTold, QdrantConnection, QdrantRecords, QdrantSettings, QdrantVectorStore, Quantization},
        sqlite::SqliteRecords,
        warm::{self, Warmed},
        watched::Watched,
    },
    config::{Config, Postgres, Qdrant, QdrantQuantization, RecordsChoice, Tls, VectorStoreChoice},
    corpus,
    http::readiness::Part,
    operations::{Database, Operations, RECORDS, VECTOR_STORE},
    ports::{Edition, Editions, Epoch, Kind, OpenStores, Records, StoreError, VectorStore},
};

/// How long one call to Qdrant may take; a search takes milliseconds, a large write seconds.
const QDRANT_DEADLINE: Duration = Duration::from_secs(10);

/// How long one call to Postgres may take, the wait for a connection included; a statement takes milliseconds.
const POSTGRES_DEADLINE: Duration = Duration::from_secs(10);

/// Where vectors and records are.
#[derive(Clone)]
pub struct Stores {
    /// The vectors.
    pub vectors: Arc<dyn VectorStore>,
    /// The records, with the documents of the edition that the flows of this process are over.
    pub records: Arc<dyn Records>,
    /// The same, for whoever needs those of an edition.
    pub editions: Arc<Editions>,
    /// What of them is on this machine.
    pub here: Here,
}

/// What of the stores is on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Here {
    /// The folder of the embedded vector store.
    vectors: Option<PathBuf>,
    /// The file of the records.
    records: Option<PathBuf>,
}

impl Stores {
    /// Opens and reaches them.
    pub async fn open(config: &Config, operations: &Operations, observer: &dyn Observer) -> Result<Self, AppError> {
        let mut here = Here::default();
        let alone = match (config.vector_store.choice(), config.records.choice(&config.vector_store)) {
            (VectorStoreChoice::Embedded(folder), RecordsChoice::Sqlite(file)) => {
                Some(damage::open(config, operations, &folder, &file).await?)
            }
            _ => None,
        };
        let (opened_vectors, opened_records) = alone.unzip();
        let (vectors, connection): (Arc<dyn VectorStore>, _) = match config.vector_store.choice() {
            VectorStoreChoice::Embedded(path) => {
                let store = match opened_vectors {
                    Some(store) => store,
                    None => embedded(&path).await?,
                };
                here.vectors = Some(path);
                (store, None)
            }
            VectorStoreChoice::Qdrant(settings) => {
                settings.addresses().first().into_iter().for_each(|url| operations.sight(VECTOR_STORE).is_at(url));
                let connection = connection(settings, observer)?;
                let store = QdrantVectorStore::new(connection.clone(), &settings.collection, layout(settings));
                (Arc::new(store), Some((connection, settings)))
            }
        };
        let vectors: Arc<dyn VectorStore> = Arc::new(Watched::new(vectors, operations.sight(VECTOR_STORE)));
        // The first call is what reaches a store.
        let active = vectors.active().await.map_err(AppError::VectorStore)?;
        observer.arrived(Part::VectorStore);
        let guards = connection.iter().flat_map(|(connection, _)| connection.guards().to_vec()).collect::<Vec<_>>();
        let records: Arc<dyn Records> = match (config.records.choice(&config.vector_store), connection) {
            (RecordsChoice::VectorStore, Some((connection, settings))) => {
                let layout = records_layout(config, settings);
                settings.addresses().first().into_iter().for_each(|url| operations.sight(RECORDS).is_at(url));
                Arc::new(QdrantRecords::new(connection, &settings.collection, layout))
            }
            // Whoever may have the vectors may have the records: one process of the embedded store, any number beside a Qdrant.
            (RecordsChoice::Sqlite(path), connection) => {
                let opened = match (opened_records, connection) {
                    (Some(records), _) => records,
                    (None, _) => Arc::new(SqliteRecords::open(&path).await.map_err(AppError::Records)?),
                };
                here.records = Some(path);
                opened
            }
            (RecordsChoice::Postgres(settings), _) => postgres(&settings, operations).await?,
            (RecordsChoice::VectorStore, None) => return Err(AppError::NoQdrant),
        };
        let records: Arc<dyn Records> = Arc::new(Watched::new(records, operations.sight(RECORDS)));
        let editions = Arc::new(Editions::new(records, Edition::First));
        let records: Arc<dyn Records> = Arc::clone(&editions) as _;
        records.count(Kind::Corpus).await.map_err(AppError::Records)?;
        editions.follow(corpus::edition(&*records, active).await.map_err(AppError::Corpus)?);
        observer.arrived(Part::Records);
        // Only now: an opening that fails is tried again.
        guards.into_iter().for_each(|guard| operations.keep_guard(guard));
        Ok(Self { vectors, records, editions, here })
    }

    /// Reads what searches of an epoch will read, where it is on this machine and there is room for it.
    pub async fn warm(&self, epoch: Epoch) {
        let began = Instant::now();
        let Here { vectors, records } = self.here.clone();
        let vectors = vectors.map(|folder| epoch_folder(&folder, epoch));
        let Warmed { bytes, of } = warm::read(&vectors.into_iter().chain(records).collect::<Vec<_>>()).await;
        if of > 0 {
            let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(bytes, of, millis, "the index is in memory, as far as there was room and time");
        }
    }

    /// What a snapshot of them is taken of.
    pub fn source(&self) -> OpenStores {
        OpenStores { vectors: Arc::clone(&self.vectors), records: Arc::clone(&self.records) }
    }

    /// Flushes and lets go of them. Nothing is lost without it.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.vectors.close().await?;
        self.records.close().await
    }
}

/// Reaches the database, and shows its connections to whoever looks after the process.
async fn postgres(settings: &Postgres, operations: &Operations) -> Result<Arc<dyn Records>, AppError> {
    let settings = PostgresSettings {
        dir: settings.dir.clone(),
        host: settings.host.clone(),
        port: settings.port,
        database: settings.database.clone(),
        tls: settings.tls == Tls::VerifyFull,
        servers: settings.servers,
        reserved: settings.reserved_connections,
        deadline: POSTGRES_DEADLINE,
    };
    let records = Arc::new(PostgresRecords::open(settings).await.map_err(AppError::Records)?);
    let shown = Arc::downgrade(&records);
    operations.keep_database(move || {
        let found = shown.upgrade()?.connections();
        Some(Database { open: found.open as u64, most: found.most, limit: found.limit, servers: found.servers })
    });
    Ok(records)
}

/// The connection to the Qdrant of this configuration. Nothing is sent yet.
fn connection(settings: &Qdrant, observer: &dyn Observer) -> Result<QdrantConnection, AppError> {
    let meter = observer.meter();
    let told: PeerTold = Arc::new(move |name, state, changed| meter.breaker(name, state, changed));
    let settings = QdrantSettings {
        urls: settings.addresses(),
        api_key_file: settings.api_key_file.clone(),
        ca_file: settings.ca_file.clone(),
        deadline: QDRANT_DEADLINE,
    };
    QdrantConnection::new(settings, &told).map_err(AppError::VectorStore)
}

/// How new collections of vectors are made.
fn layout(settings: &Qdrant) -> Layout {
    Layout {
        shard_number: settings.shard_number,
        replication_factor: settings.replication_factor,
        write_consistency_factor: settings.write_consistency_factor,
        on_disk: settings.on_disk,
        hnsw_m: settings.hnsw.m,
        hnsw_ef_construct: settings.hnsw.ef_construct,
        quantization: settings.quantization.map(|quantization| match quantization {
            QdrantQuantization::Scalar => Quantization::Scalar,
            QdrantQuantization::Binary => Quantization::Binary,
        }),
    }
}

/// How a new collection of records is made.
fn records_layout(config: &Config, settings: &Qdrant) -> Layout {
    let records = config.records.vector_store.clone().unwrap_or_default();
    Layout::of_records(records.replication_factor.or(settings.replication_factor), records.write_consistency_factor)
}

#[cfg(feature = "engine")]
fn epoch_folder(path: &Path, epoch: Epoch) -> PathBuf {
    crate::adapters::edge::EdgeStore::folder_of(path, epoch)
}

#[cfg(not(feature = "engine"))]
fn epoch_folder(path: &Path, _epoch: Epoch) -> PathBuf {
    path.to_owned()
}

#[cfg(feature = "engine")]
pub(super) async fn embedded(path: &Path) -> Result<Arc<dyn VectorStore>, AppError> {
    let store = crate::adapters::edge::EdgeStore::open(path).await.map_err(AppError::VectorStore)?;
    Ok(Arc::new(store))
}

/// Moves aside what keeps the embedded store from being opened; one sentence for each.
#[cfg(feature = "engine")]
pub(super) async fn mend(path: &Path, stamp: &str) -> Result<Vec<String>, AppError> {
    let moved = crate::adapters::edge::EdgeStore::mend(path, stamp).await.map_err(AppError::VectorStore)?;
    Ok(moved.iter().map(|moved| damage::sentence(&moved.from, &moved.to, &moved.cause)).collect())
}

#[cfg(not(feature = "engine"))]
pub(super) async fn mend(_path: &Path, _stamp: &str) -> Result<Vec<String>, AppError> {
    Err(AppError::NoEngine)
}

#[cfg(not(feature = "engine"))]
pub(super) async fn embedded(_path: &Path) -> Result<Arc<dyn VectorStore>, AppError> {
    Err(AppError::NoEngine)
}
