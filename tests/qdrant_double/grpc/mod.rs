//! The gRPC face: the client's own server traits over the database. It translates and refuses; it decides nothing.

mod auth;
mod collections;
mod points;
mod read;
mod root;

use std::sync::Arc;

use tonic::Status;

pub(crate) use auth::ApiKeyCheck;
pub use auth::ApiKeys;

use super::consistency::Consistencies;
use super::database::Database;
use super::mutation::Mutation;
use super::refusal::Refusal;
use super::store::Store;

/// The services, all over one database.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    database: Arc<Database>,
    strict: bool,
    consistencies: Consistencies,
}

impl Api {
    /// Serves this database; `strict` makes new collections want an index for every filter.
    pub(crate) fn new(database: Arc<Database>, strict: bool, consistencies: Consistencies) -> Self {
        Self { database, strict, consistencies }
    }

    /// Scans and answers off the async threads.
    async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Store) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Status> {
        let database = Arc::clone(&self.database);
        let answer = tokio::task::spawn_blocking(move || database.read(ask)).await;
        Ok(answer.map_err(|e| Status::internal(format!("the read ended early: {e}")))??)
    }

    /// Writes and syncs off the async threads. The write goes on when the caller goes away, as in the real server.
    async fn write(&self, mutation: Mutation, wait: bool) -> Result<Option<u64>, Status> {
        let database = Arc::clone(&self.database);
        let written = tokio::task::spawn_blocking(move || database.write(mutation, wait)).await;
        Ok(written.map_err(|e| Status::internal(format!("the write ended early: {e}")))??)
    }
}

/// A call that the double does not serve.
fn unserved<T>(call: &str) -> Result<T, Status> {
    Err(Refusal::unsupported(&format!("the call {call}")).into())
}
