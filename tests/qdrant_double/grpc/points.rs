//! Points: every call of the service, those that the double does not serve included.

use std::time::Instant;

use qdrant_client::qdrant::points_server::Points;
use qdrant_client::qdrant::{
    BatchResult, ClearPayloadPoints, CountPoints, CountResponse, CountResult, CreateFieldIndexCollection,
    CreateVectorNameRequest, DeleteFieldIndexCollection, DeletePayloadPoints, DeletePointVectors, DeletePoints,
    DeleteVectorNameRequest, DiscoverBatchPoints, DiscoverBatchResponse, DiscoverPoints, DiscoverResponse, FacetCounts,
    FacetResponse, GetPoints, GetResponse, PointsOperationResponse, QueryBatchPoints, QueryBatchResponse,
    QueryGroupsResponse, QueryPointGroups, QueryPoints, QueryResponse, RecommendBatchPoints, RecommendBatchResponse,
    RecommendGroupsResponse, RecommendPointGroups, RecommendPoints, RecommendResponse, ScrollPoints, ScrollResponse,
    SearchBatchPoints, SearchBatchResponse, SearchGroupsResponse, SearchMatrixOffsetsResponse,
    SearchMatrixPairsResponse, SearchMatrixPoints, SearchPointGroups, SearchPoints, SearchResponse, SetPayloadPoints,
    UpdateBatchPoints, UpdateBatchResponse, UpdatePointVectors, UpdateResult, UpdateStatus, UpsertPoints,
};
use tonic::{Request, Response, Status};

use super::super::mutation::{Mutation, split_batch};
use super::super::refusal::Refusal;
use super::{Api, read, unserved};

impl Api {
    /// Whoever does not wait is told `Acknowledged`: logged, but not visible yet.
    async fn operate(&self, mutation: Mutation, wait: Option<bool>) -> Result<UpdateResult, Status> {
        let operation_id = self.write(mutation, wait.unwrap_or(false)).await?;
        let status = if operation_id.is_some() { UpdateStatus::Completed } else { UpdateStatus::Acknowledged };
        Ok(UpdateResult { operation_id, status: status as i32 })
    }

    async fn operate_one(
        &self,
        mutation: Mutation,
        wait: Option<bool>,
    ) -> Result<Response<PointsOperationResponse>, Status> {
        let begun = Instant::now();
        let result = Some(self.operate(mutation, wait).await?);
        Ok(Response::new(PointsOperationResponse { result, time: begun.elapsed().as_secs_f64(), usage: None }))
    }
}

#[tonic::async_trait]
impl Points for Api {
    async fn upsert(&self, request: Request<UpsertPoints>) -> Result<Response<PointsOperationResponse>, Status> {
        let request = request.into_inner();
        let wait = request.wait;
        self.consistencies.wrote(&request.collection_name, "Upsert", request.ordering.as_ref());
        self.operate_one(Mutation::Upsert(request), wait).await
    }

    async fn delete(&self, request: Request<DeletePoints>) -> Result<Response<PointsOperationResponse>, Status> {
        let request = request.into_inner();
        let wait = request.wait;
        self.consistencies.wrote(&request.collection_name, "Delete", request.ordering.as_ref());
        self.operate_one(Mutation::Delete(request), wait).await
    }

    async fn set_payload(
        &self,
        request: Request<SetPayloadPoints>,
    ) -> Result<Response<PointsOperationResponse>, Status> {
        let request = request.into_inner();
        let wait = request.wait;
        self.consistencies.wrote(&request.collection_name, "SetPayload", request.ordering.as_ref());
        self.operate_one(Mutation::SetPayload(request), wait).await
    }

    async fn overwrite_payload(
        &self,
        request: Request<SetPayloadPoints>,
    ) -> Result<Response<PointsOperationResponse>, Status> {
        let request = request.into_inner();
        let wait = request.wait;
        self.consistencies.wrote(&request.collection_name, "OverwritePayload", request.ordering.as_ref());
        self.operate_one(Mutation::OverwritePayload(request), wait).await
    }

    async fn delete_payload(
        &self,
        request: Request<DeletePayloadPoints>,
    ) -> Result<Response<PointsOperationResponse>, Status> {
        let request = request.into_inner();
        let wait = request.wait;
        self.operate_one(Mutation::DeletePayload(request), wait).await
    }

    async fn clear_payload(
        &self,
        request: Request<ClearPayloadPoints>,
    ) -> Result<Response<PointsOperationResponse>, Status> {
        let request = request.into_inner();
        let wait = request.wait;
        self.operate_one(Mutation::ClearPayload(request), wait).await
    }

    async fn create_field_index(
        &self,
        request: Request<CreateFieldIndexCollection>,
    ) -> Result<Response<PointsOperationResponse>, Status> {
        let request = request.into_inner();
        let wait = request.wait;
        self.operate_one(Mutation::CreateFieldIndex(request), wait).await
    }

    async fn delete_field_index(
        &self,
        request: Request<DeleteFieldIndexCollection>,
    ) -> Result<Response<PointsOperationResponse>, Status> {
        let request = request.into_inner();
        let wait = request.wait;
        self.operate_one(Mutation::DeleteFieldIndex(request), wait).await
    }

    async fn update_batch(&self, request: Request<UpdateBatchPoints>) -> Result<Response<UpdateBatchResponse>, Status> {
        let begun = Instant::now();
        let request = request.into_inner();
        let wait = request.wait;
        let mut result = Vec::new();
        for mutation in split_batch(request)? {
            result.push(self.operate(mutation, wait).await?);
        }
        Ok(Response::new(UpdateBatchResponse { result, time: begun.elapsed().as_secs_f64(), usage: None }))
    }

    async fn get(&self, request: Request<GetPoints>) -> Result<Response<GetResponse>, Status> {
        let begun = Instant::now();
        let request = request.into_inner();
        self.consistencies.read(&request.collection_name, "Get", request.read_consistency.as_ref());
        let result = self.read(move |store| read::get(store, &request)).await?;
        Ok(Response::new(GetResponse { result, time: begun.elapsed().as_secs_f64(), usage: None }))
    }

    async fn scroll(&self, request: Request<ScrollPoints>) -> Result<Response<ScrollResponse>, Status> {
        let begun = Instant::now();
        let request = request.into_inner();
        self.consistencies.read(&request.collection_name, "Scroll", request.read_consistency.as_ref());
        let (result, next_page_offset) = self.read(move |store| read::scroll(store, &request)).await?;
        let time = begun.elapsed().as_secs_f64();
        Ok(Response::new(ScrollResponse { next_page_offset, result, time, usage: None }))
    }

    async fn count(&self, request: Request<CountPoints>) -> Result<Response<CountResponse>, Status> {
        let begun = Instant::now();
        let request = request.into_inner();
        self.consistencies.read(&request.collection_name, "Count", request.read_consistency.as_ref());
        let count = self.read(move |store| read::count(store, &request)).await?;
        let result = Some(CountResult { count });
        Ok(Response::new(CountResponse { result, time: begun.elapsed().as_secs_f64(), usage: None }))
    }

    async fn query(&self, request: Request<QueryPoints>) -> Result<Response<QueryResponse>, Status> {
        let begun = Instant::now();
        let request = request.into_inner();
        self.consistencies.read(&request.collection_name, "Query", request.read_consistency.as_ref());
        let result = self.read(move |store| read::query(store, &request)).await?;
        Ok(Response::new(QueryResponse { result, time: begun.elapsed().as_secs_f64(), usage: None }))
    }

    async fn query_batch(&self, request: Request<QueryBatchPoints>) -> Result<Response<QueryBatchResponse>, Status> {
        let begun = Instant::now();
        let QueryBatchPoints { collection_name, query_points, read_consistency, timeout: _ } = request.into_inner();
        self.consistencies.read(&collection_name, "QueryBatch", read_consistency.as_ref());
        let answers = move |store: &_| {
            let one = |query: QueryPoints| {
                // The batch names the collection for all of its queries.
                let query = QueryPoints { collection_name: collection_name.clone(), ..query };
                Ok(BatchResult { result: read::query(store, &query)? })
            };
            query_points.into_iter().map(one).collect::<Result<Vec<_>, Refusal>>()
        };
        let result = self.read(answers).await?;
        Ok(Response::new(QueryBatchResponse { result, time: begun.elapsed().as_secs_f64(), usage: None }))
    }

    async fn update_vectors(
        &self,
        _: Request<UpdatePointVectors>,
    ) -> Result<Response<PointsOperationResponse>, Status> {
        unserved("Points/UpdateVectors")
    }

    async fn delete_vectors(
        &self,
        _: Request<DeletePointVectors>,
    ) -> Result<Response<PointsOperationResponse>, Status> {
        unserved("Points/DeleteVectors")
    }

    async fn create_vector_name(
        &self,
        _: Request<CreateVectorNameRequest>,
    ) -> Result<Response<PointsOperationResponse>, Status> {
        unserved("Points/CreateVectorName")
    }

    async fn delete_vector_name(
        &self,
        _: Request<DeleteVectorNameRequest>,
    ) -> Result<Response<PointsOperationResponse>, Status> {
        unserved("Points/DeleteVectorName")
    }

    async fn search(&self, _: Request<SearchPoints>) -> Result<Response<SearchResponse>, Status> {
        unserved("Points/Search")
    }

    async fn search_batch(&self, _: Request<SearchBatchPoints>) -> Result<Response<SearchBatchResponse>, Status> {
        unserved("Points/SearchBatch")
    }

    async fn search_groups(&self, _: Request<SearchPointGroups>) -> Result<Response<SearchGroupsResponse>, Status> {
        unserved("Points/SearchGroups")
    }

    async fn recommend(&self, _: Request<RecommendPoints>) -> Result<Response<RecommendResponse>, Status> {
        unserved("Points/Recommend")
    }

    async fn recommend_batch(
        &self,
        _: Request<RecommendBatchPoints>,
    ) -> Result<Response<RecommendBatchResponse>, Status> {
        unserved("Points/RecommendBatch")
    }

    async fn recommend_groups(
        &self,
        _: Request<RecommendPointGroups>,
    ) -> Result<Response<RecommendGroupsResponse>, Status> {
        unserved("Points/RecommendGroups")
    }

    async fn discover(&self, _: Request<DiscoverPoints>) -> Result<Response<DiscoverResponse>, Status> {
        unserved("Points/Discover")
    }

    async fn discover_batch(&self, _: Request<DiscoverBatchPoints>) -> Result<Response<DiscoverBatchResponse>, Status> {
        unserved("Points/DiscoverBatch")
    }

    async fn query_groups(&self, _: Request<QueryPointGroups>) -> Result<Response<QueryGroupsResponse>, Status> {
        unserved("Points/QueryGroups")
    }

    async fn facet(&self, _: Request<FacetCounts>) -> Result<Response<FacetResponse>, Status> {
        unserved("Points/Facet")
    }

    async fn search_matrix_pairs(
        &self,
        _: Request<SearchMatrixPoints>,
    ) -> Result<Response<SearchMatrixPairsResponse>, Status> {
        unserved("Points/SearchMatrixPairs")
    }

    async fn search_matrix_offsets(
        &self,
        _: Request<SearchMatrixPoints>,
    ) -> Result<Response<SearchMatrixOffsetsResponse>, Status> {
        unserved("Points/SearchMatrixOffsets")
    }
}
