//! Collections and aliases.

use std::time::Instant;

use qdrant_client::qdrant::collections_server::Collections;
use qdrant_client::qdrant::{
    AliasDescription, ChangeAliases, CollectionClusterInfoRequest, CollectionClusterInfoResponse,
    CollectionDescription, CollectionExists, CollectionExistsRequest, CollectionExistsResponse, CollectionInfo,
    CollectionOperationResponse, CollectionStatus, CreateCollection, CreateShardKeyRequest, CreateShardKeyResponse,
    DeleteCollection, DeleteShardKeyRequest, DeleteShardKeyResponse, GetCollectionInfoRequest,
    GetCollectionInfoResponse, ListAliasesRequest, ListAliasesResponse, ListCollectionAliasesRequest,
    ListCollectionsRequest, ListCollectionsResponse, ListShardKeysRequest, ListShardKeysResponse, OptimizerStatus,
    PayloadSchemaInfo, StrictModeConfig, UpdateCollection, UpdateCollectionClusterSetupRequest,
    UpdateCollectionClusterSetupResponse,
};
use tonic::{Request, Response, Status};

use super::super::collection::Collection;
use super::super::mutation::Mutation;
use super::super::store::Store;
use super::{Api, unserved};

impl Api {
    /// Settings are always waited for, as in the real server.
    async fn settle(&self, mutation: Mutation) -> Result<Response<CollectionOperationResponse>, Status> {
        let begun = Instant::now();
        self.write(mutation, true).await?;
        Ok(Response::new(CollectionOperationResponse { result: true, time: begun.elapsed().as_secs_f64() }))
    }
}

fn info(collection: &Collection) -> CollectionInfo {
    let indexed = |key: &str| {
        let has = |payload: &super::super::payload::Payload| payload.contains_key(key);
        collection.points.values().filter(|point| has(&point.payload)).count() as u64
    };
    let payload_schema = collection
        .indexes
        .iter()
        .map(|(key, index)| {
            let params = index.params.clone();
            (key.clone(), PayloadSchemaInfo { data_type: index.kind as i32, params, points: Some(indexed(key)) })
        })
        .collect();
    let vectors = collection.points.values().map(|point| point.dense.len() + point.sparse.len()).sum::<usize>();
    CollectionInfo {
        status: CollectionStatus::Green as i32,
        optimizer_status: Some(OptimizerStatus { ok: true, error: String::new() }),
        segments_count: 1,
        config: Some(collection.schema.config()),
        payload_schema,
        points_count: Some(collection.points.len() as u64),
        indexed_vectors_count: Some(vectors as u64),
        ..CollectionInfo::default()
    }
}

fn aliases(store: &Store, of: Option<&str>) -> Vec<AliasDescription> {
    store
        .aliases()
        .filter(|(_, collection)| of.is_none_or(|wanted| wanted == *collection))
        .map(|(alias, collection)| AliasDescription {
            alias_name: alias.to_owned(),
            collection_name: collection.to_owned(),
        })
        .collect()
}

#[tonic::async_trait]
impl Collections for Api {
    async fn get(
        &self,
        request: Request<GetCollectionInfoRequest>,
    ) -> Result<Response<GetCollectionInfoResponse>, Status> {
        let begun = Instant::now();
        let name = request.into_inner().collection_name;
        let result = self.read(move |store| store.collection(&name).map(info)).await?;
        Ok(Response::new(GetCollectionInfoResponse { result: Some(result), time: begun.elapsed().as_secs_f64() }))
    }

    async fn list(&self, _: Request<ListCollectionsRequest>) -> Result<Response<ListCollectionsResponse>, Status> {
        let begun = Instant::now();
        let describe = |name: &str| CollectionDescription { name: name.to_owned() };
        let collections = self.read(move |store| Ok(store.names().map(describe).collect())).await?;
        Ok(Response::new(ListCollectionsResponse { collections, time: begun.elapsed().as_secs_f64() }))
    }

    async fn create(
        &self,
        request: Request<CreateCollection>,
    ) -> Result<Response<CollectionOperationResponse>, Status> {
        let mut request = request.into_inner();
        if self.strict && request.strict_mode_config.is_none() {
            request.strict_mode_config = Some(StrictModeConfig {
                enabled: Some(true),
                unindexed_filtering_retrieve: Some(false),
                unindexed_filtering_update: Some(false),
                ..StrictModeConfig::default()
            });
        }
        self.settle(Mutation::CreateCollection(request)).await
    }

    async fn update(
        &self,
        request: Request<UpdateCollection>,
    ) -> Result<Response<CollectionOperationResponse>, Status> {
        self.settle(Mutation::UpdateCollection(request.into_inner())).await
    }

    async fn delete(
        &self,
        request: Request<DeleteCollection>,
    ) -> Result<Response<CollectionOperationResponse>, Status> {
        let request = request.into_inner();
        let name = request.collection_name.clone();
        let existed = self.read(move |store| Ok(store.names().any(|known| known == name))).await?;
        let mut response = self.settle(Mutation::DeleteCollection(request)).await?;
        response.get_mut().result = existed;
        Ok(response)
    }

    async fn update_aliases(
        &self,
        request: Request<ChangeAliases>,
    ) -> Result<Response<CollectionOperationResponse>, Status> {
        self.settle(Mutation::ChangeAliases(request.into_inner())).await
    }

    async fn list_collection_aliases(
        &self,
        request: Request<ListCollectionAliasesRequest>,
    ) -> Result<Response<ListAliasesResponse>, Status> {
        let begun = Instant::now();
        let name = request.into_inner().collection_name;
        let aliases = self.read(move |store| Ok(aliases(store, Some(&name)))).await?;
        Ok(Response::new(ListAliasesResponse { aliases, time: begun.elapsed().as_secs_f64() }))
    }

    async fn list_aliases(&self, _: Request<ListAliasesRequest>) -> Result<Response<ListAliasesResponse>, Status> {
        let begun = Instant::now();
        let aliases = self.read(|store| Ok(aliases(store, None))).await?;
        Ok(Response::new(ListAliasesResponse { aliases, time: begun.elapsed().as_secs_f64() }))
    }

    async fn collection_exists(
        &self,
        request: Request<CollectionExistsRequest>,
    ) -> Result<Response<CollectionExistsResponse>, Status> {
        let begun = Instant::now();
        let name = request.into_inner().collection_name;
        let exists = self.read(move |store| Ok(store.collection(&name).is_ok())).await?;
        let result = Some(CollectionExists { exists });
        Ok(Response::new(CollectionExistsResponse { result, time: begun.elapsed().as_secs_f64() }))
    }

    async fn collection_cluster_info(
        &self,
        _: Request<CollectionClusterInfoRequest>,
    ) -> Result<Response<CollectionClusterInfoResponse>, Status> {
        unserved("Collections/CollectionClusterInfo")
    }

    async fn update_collection_cluster_setup(
        &self,
        _: Request<UpdateCollectionClusterSetupRequest>,
    ) -> Result<Response<UpdateCollectionClusterSetupResponse>, Status> {
        unserved("Collections/UpdateCollectionClusterSetup")
    }

    async fn create_shard_key(
        &self,
        _: Request<CreateShardKeyRequest>,
    ) -> Result<Response<CreateShardKeyResponse>, Status> {
        unserved("Collections/CreateShardKey")
    }

    async fn delete_shard_key(
        &self,
        _: Request<DeleteShardKeyRequest>,
    ) -> Result<Response<DeleteShardKeyResponse>, Status> {
        unserved("Collections/DeleteShardKey")
    }

    async fn list_shard_keys(
        &self,
        _: Request<ListShardKeysRequest>,
    ) -> Result<Response<ListShardKeysResponse>, Status> {
        unserved("Collections/ListShardKeys")
    }
}
