//! The health check, and snapshots, which are answered with a clear refusal.

use qdrant_client::qdrant::qdrant_server::Qdrant;
use qdrant_client::qdrant::snapshots_server::Snapshots;
use qdrant_client::qdrant::{
    CreateFullSnapshotRequest, CreateSnapshotRequest, CreateSnapshotResponse, DeleteFullSnapshotRequest,
    DeleteSnapshotRequest, DeleteSnapshotResponse, HealthCheckReply, HealthCheckRequest, ListFullSnapshotsRequest,
    ListSnapshotsRequest, ListSnapshotsResponse,
};
use tonic::{Request, Response, Status};

use super::super::VERSION;
use super::{Api, unserved};

#[tonic::async_trait]
impl Qdrant for Api {
    async fn health_check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckReply>, Status> {
        let title = "qdrant double - not the vector search engine".to_owned();
        Ok(Response::new(HealthCheckReply { title, version: VERSION.to_owned(), commit: None }))
    }
}

#[tonic::async_trait]
impl Snapshots for Api {
    async fn create(&self, _: Request<CreateSnapshotRequest>) -> Result<Response<CreateSnapshotResponse>, Status> {
        unserved("Snapshots/Create")
    }

    async fn list(&self, _: Request<ListSnapshotsRequest>) -> Result<Response<ListSnapshotsResponse>, Status> {
        unserved("Snapshots/List")
    }

    async fn delete(&self, _: Request<DeleteSnapshotRequest>) -> Result<Response<DeleteSnapshotResponse>, Status> {
        unserved("Snapshots/Delete")
    }

    async fn create_full(
        &self,
        _: Request<CreateFullSnapshotRequest>,
    ) -> Result<Response<CreateSnapshotResponse>, Status> {
        unserved("Snapshots/CreateFull")
    }

    async fn list_full(&self, _: Request<ListFullSnapshotsRequest>) -> Result<Response<ListSnapshotsResponse>, Status> {
        unserved("Snapshots/ListFull")
    }

    async fn delete_full(
        &self,
        _: Request<DeleteFullSnapshotRequest>,
    ) -> Result<Response<DeleteSnapshotResponse>, Status> {
        unserved("Snapshots/DeleteFull")
    }
}
