//! The stores that a configuration names, opened and reached.

use std::{sync::Arc, time::Duration};

use super::{AppError, Observer};
use crate::{
    adapters::{
        qdrant::{QdrantConnection, QdrantRecords, QdrantSettings, QdrantVectorStore},
        sqlite::SqliteRecords,
        watched::Watched,
    },
    config::{Config, Qdrant, RecordsChoice, VectorStoreChoice},
    http::readiness::Part,
    operations::Operations,
    ports::{Kind, Records, StoreError, VectorStore},
};

/// How long one call to Qdrant may take; a search takes milliseconds, a large write seconds.
const QDRANT_DEADLINE: Duration = Duration::from_secs(10);

/// Where vectors and records are.
#[derive(Clone)]
pub struct Stores {
    /// The vectors.
    pub vectors: Arc<dyn VectorStore>,
    /// The records.
    pub records: Arc<dyn Records>,
}

impl Stores {
    /// Opens and reaches them.
    pub async fn open(config: &Config, operations: &Operations, observer: &dyn Observer) -> Result<Self, AppError> {
        let qdrant = |qdrant: &Qdrant| {
            QdrantConnection::new(QdrantSettings {
                url: qdrant.url.clone(),
                api_key_file: qdrant.api_key_file.clone(),
                deadline: QDRANT_DEADLINE,
            })
            .map_err(AppError::VectorStore)
        };
        let (vectors, connection): (Arc<dyn VectorStore>, _) = match config.vector_store.choice() {
            VectorStoreChoice::Embedded(path) => (embedded(&path).await?, None),
            VectorStoreChoice::Qdrant(settings) => {
                let connection = qdrant(settings)?;
                let store = QdrantVectorStore::new(connection.clone(), &settings.collection);
                (Arc::new(store), Some((connection, &settings.collection)))
            }
        };
        let vectors: Arc<dyn VectorStore> = Arc::new(Watched::new(vectors, operations.sight("vector store")));
        // The first call is what reaches a store.
        vectors.active().await.map_err(AppError::VectorStore)?;
        observer.arrived(Part::VectorStore);
        let records: Arc<dyn Records> = match (config.records.choice(&config.vector_store), connection) {
            (RecordsChoice::VectorStore, Some((connection, collection))) => {
                Arc::new(QdrantRecords::new(connection, collection))
            }
            // Whoever may have the vectors may have the records: one process of the embedded store, any number beside a Qdrant.
            (RecordsChoice::Sqlite(path), None) => {
                Arc::new(SqliteRecords::open_alone(&path).await.map_err(AppError::Records)?)
            }
            (RecordsChoice::Sqlite(path), Some(_)) => {
                Arc::new(SqliteRecords::open(&path).await.map_err(AppError::Records)?)
            }
            (RecordsChoice::VectorStore, None) => return Err(AppError::NoQdrant),
        };
        let records: Arc<dyn Records> = Arc::new(Watched::new(records, operations.sight("records")));
        records.count(Kind::Corpus).await.map_err(AppError::Records)?;
        observer.arrived(Part::Records);
        Ok(Self { vectors, records })
    }

    /// Flushes and lets go of them. Nothing is lost without it.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.vectors.close().await?;
        self.records.close().await
    }
}

#[cfg(feature = "engine")]
async fn embedded(path: &std::path::Path) -> Result<Arc<dyn VectorStore>, AppError> {
    let store = crate::adapters::edge::EdgeStore::open(path).await.map_err(AppError::VectorStore)?;
    Ok(Arc::new(store))
}

#[cfg(not(feature = "engine"))]
async fn embedded(_path: &std::path::Path) -> Result<Arc<dyn VectorStore>, AppError> {
    Err(AppError::NoEngine)
}
