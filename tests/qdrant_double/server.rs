//! The running double: two ports over one database, from the opened folder to the last answered call.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use qdrant_client::qdrant::collections_server::CollectionsServer;
use qdrant_client::qdrant::points_server::PointsServer;
use qdrant_client::qdrant::qdrant_server::QdrantServer;
use qdrant_client::qdrant::snapshots_server::SnapshotsServer;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use super::consistency::{Asked, Consistencies};
use super::database::Database;
use super::grpc::{Api, ApiKeyCheck, ApiKeys};
use super::http;

/// Larger requests are refused, so that memory is bounded; the real server's REST limit is half of it.
const MAX_REQUEST_BYTES: usize = 64 * 1024 * 1024;
/// How long a write that nobody waits for stays invisible.
const SETTLE_INTERVAL: Duration = Duration::from_millis(50);
/// How long open calls may take once the server is asked to stop.
const DRAIN: Duration = Duration::from_secs(5);

/// What to serve, and where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of the log.
    pub storage_path: PathBuf,
    /// Where gRPC is served; port 0 takes a free one.
    pub grpc: SocketAddr,
    /// Where the health endpoints are served; port 0 takes a free one.
    pub http: SocketAddr,
    /// The keys that are accepted.
    pub api_keys: ApiKeys,
    /// Whether collections that ask for nothing else want an index for every filter, as managed services set it.
    pub strict: bool,
}

/// A double that serves until it is stopped or dropped.
#[derive(Debug)]
pub struct Double {
    /// Where gRPC is served.
    pub grpc: SocketAddr,
    /// Where the health endpoints are served.
    pub http: SocketAddr,
    consistencies: Consistencies,
    stop: CancellationToken,
    task: JoinHandle<io::Result<()>>,
}

impl Double {
    /// Opens the storage, binds both ports and serves.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let folder = settings.storage_path.clone();
        let database =
            tokio::task::spawn_blocking(move || Database::open(&folder)).await.map_err(io::Error::other)??;
        let grpc = TcpListener::bind(settings.grpc).await?;
        let http = TcpListener::bind(settings.http).await?;
        let stop = CancellationToken::new();
        let (grpc_address, http_address) = (grpc.local_addr()?, http.local_addr()?);
        let database = Arc::new(database);
        let consistencies = Consistencies::default();
        let api = Api::new(Arc::clone(&database), settings.strict, consistencies.clone());
        let serving = serve(database, api, ApiKeyCheck(settings.api_keys), (grpc, http), stop.clone());
        Ok(Self { grpc: grpc_address, http: http_address, consistencies, stop, task: tokio::spawn(serving) })
    }

    /// The URL that a client connects to.
    pub fn url(&self) -> String {
        format!("http://{}", self.grpc)
    }

    /// Which ordering and consistency was asked of a collection, by the name that was used, since the start.
    pub fn asked(&self, collection: &str) -> Asked {
        self.consistencies.of(collection)
    }

    /// Ends when the server does, which without a stop is a failure.
    pub async fn ended(&mut self) -> io::Result<()> {
        (&mut self.task).await.map_err(io::Error::other)?
    }

    /// Answers what is open, then ends.
    pub async fn stop(mut self) -> io::Result<()> {
        self.stop.cancel();
        self.ended().await
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(
    database: Arc<Database>,
    api: Api,
    check: ApiKeyCheck,
    (grpc, http): (TcpListener, TcpListener),
    stop: CancellationToken,
) -> io::Result<()> {
    let points = PointsServer::new(api.clone()).max_decoding_message_size(MAX_REQUEST_BYTES);
    let grpc = Server::builder()
        .add_service(QdrantServer::new(api.clone()))
        .add_service(CollectionsServer::with_interceptor(api.clone(), check.clone()))
        .add_service(SnapshotsServer::with_interceptor(api, check.clone()))
        .add_service(InterceptedService::new(points, check))
        .serve_with_incoming_shutdown(TcpIncoming::from(grpc).with_nodelay(Some(true)), stop.clone().cancelled_owned());
    let http =
        axum::serve(http, http::router(Arc::clone(&database))).with_graceful_shutdown(stop.clone().cancelled_owned());
    let serving = async {
        tokio::try_join!(async { grpc.await.map_err(io::Error::other) }, async { http.await })?;
        Ok(())
    };
    let mut serving = std::pin::pin!(serving);
    let drained = async {
        tokio::select! {
            ended = &mut serving => ended,
            // Calls that are still open then are cut off.
            () = stop.cancelled() => timeout(DRAIN, &mut serving).await.unwrap_or(Ok(())),
        }
    };
    let ended = tokio::select! {
        ended = drained => ended,
        () = settle(Arc::clone(&database)) => Ok(()),
    };
    stop.cancel();
    ended
}

/// Makes unawaited writes visible, for ever.
async fn settle(database: Arc<Database>) {
    let mut ticks = tokio::time::interval(SETTLE_INTERVAL);
    loop {
        ticks.tick().await;
        let database = Arc::clone(&database);
        if tokio::task::spawn_blocking(move || database.settle()).await.is_err() {
            return;
        }
    }
}
