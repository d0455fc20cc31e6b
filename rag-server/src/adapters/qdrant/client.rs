//! The calls of one peer that the adapters make, over the client library's own stubs.
//!
//! The library's client is not used: it repeats calls by itself, whatever they do, and trusts the system's certificates only.

use qdrant_client::qdrant::{
    AliasOperations, ChangeAliases, CollectionOperationResponse, CountPoints, CountResponse, CreateAlias,
    CreateCollection, CreateFieldIndexCollection, DeleteCollection, DeletePoints, GetCollectionInfoRequest,
    GetCollectionInfoResponse, GetPoints, GetResponse, HealthCheckReply, HealthCheckRequest, ListAliasesRequest,
    ListAliasesResponse, ListCollectionsRequest, ListCollectionsResponse, PointsOperationResponse, QueryBatchPoints,
    QueryBatchResponse, ScrollPoints, ScrollResponse, SetPayloadPoints, UpsertPoints, alias_operations::Action,
    collections_client::CollectionsClient, points_client::PointsClient, qdrant_client::QdrantClient,
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

/// Largest answer that is read: 32 records of a megabyte each are the largest that is asked for.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// One peer, as it is asked with one key.
#[derive(Clone)]
pub(super) struct Client {
    channel: Channel,
    key: Option<MetadataValue<Ascii>>,
}

impl Client {
    /// Asks over this channel with this key.
    pub(super) fn new(channel: Channel, key: Option<MetadataValue<Ascii>>) -> Self {
        Self { channel, key }
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(key) = &self.key {
            request.metadata_mut().insert("api-key", key.clone());
        }
        request
    }

    fn points(&self) -> PointsClient<Channel> {
        PointsClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    fn collections(&self) -> CollectionsClient<Channel> {
        CollectionsClient::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    /// What it is, and which version of it.
    pub(super) async fn health_check(&self) -> Result<HealthCheckReply, Status> {
        let mut root = QdrantClient::new(self.channel.clone());
        Ok(root.health_check(self.request(HealthCheckRequest {})).await?.into_inner())
    }

    pub(super) async fn collection_info(&self, name: &str) -> Result<GetCollectionInfoResponse, Status> {
        let asked = GetCollectionInfoRequest { collection_name: name.to_owned() };
        Ok(self.collections().get(self.request(asked)).await?.into_inner())
    }

    pub(super) async fn list_collections(&self) -> Result<ListCollectionsResponse, Status> {
        Ok(self.collections().list(self.request(ListCollectionsRequest {})).await?.into_inner())
    }

    pub(super) async fn list_aliases(&self) -> Result<ListAliasesResponse, Status> {
        Ok(self.collections().list_aliases(self.request(ListAliasesRequest {})).await?.into_inner())
    }

    pub(super) async fn create_collection(
        &self,
        wanted: CreateCollection,
    ) -> Result<CollectionOperationResponse, Status> {
        Ok(self.collections().create(self.request(wanted)).await?.into_inner())
    }

    pub(super) async fn delete_collection(&self, name: &str) -> Result<CollectionOperationResponse, Status> {
        let gone = DeleteCollection { collection_name: name.to_owned(), ..DeleteCollection::default() };
        Ok(self.collections().delete(self.request(gone)).await?.into_inner())
    }

    /// Makes the alias, or moves it, in one step.
    pub(super) async fn create_alias(
        &self,
        alias: &str,
        collection: &str,
    ) -> Result<CollectionOperationResponse, Status> {
        let alias = CreateAlias { collection_name: collection.to_owned(), alias_name: alias.to_owned() };
        let actions = vec![AliasOperations { action: Some(Action::CreateAlias(alias)) }];
        let change = ChangeAliases { actions, ..ChangeAliases::default() };
        Ok(self.collections().update_aliases(self.request(change)).await?.into_inner())
    }

    pub(super) async fn create_field_index(
        &self,
        index: CreateFieldIndexCollection,
    ) -> Result<PointsOperationResponse, Status> {
        Ok(self.points().create_field_index(self.request(index)).await?.into_inner())
    }

    pub(super) async fn upsert_points(&self, points: UpsertPoints) -> Result<PointsOperationResponse, Status> {
        Ok(self.points().upsert(self.request(points)).await?.into_inner())
    }

    pub(super) async fn delete_points(&self, points: DeletePoints) -> Result<PointsOperationResponse, Status> {
        Ok(self.points().delete(self.request(points)).await?.into_inner())
    }

    pub(super) async fn set_payload(&self, payload: SetPayloadPoints) -> Result<PointsOperationResponse, Status> {
        Ok(self.points().set_payload(self.request(payload)).await?.into_inner())
    }

    pub(super) async fn get_points(&self, ids: GetPoints) -> Result<GetResponse, Status> {
        Ok(self.points().get(self.request(ids)).await?.into_inner())
    }

    pub(super) async fn scroll(&self, page: ScrollPoints) -> Result<ScrollResponse, Status> {
        Ok(self.points().scroll(self.request(page)).await?.into_inner())
    }

    pub(super) async fn count(&self, counted: CountPoints) -> Result<CountResponse, Status> {
        Ok(self.points().count(self.request(counted)).await?.into_inner())
    }

    pub(super) async fn query_batch(&self, queries: QueryBatchPoints) -> Result<QueryBatchResponse, Status> {
        Ok(self.points().query_batch(self.request(queries)).await?.into_inner())
    }
}
