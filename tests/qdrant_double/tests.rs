//! The double as the real client sees it.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use qdrant_client::qdrant::collections_client::CollectionsClient;
use qdrant_client::qdrant::points_selector::PointsSelectorOneOf;
use qdrant_client::qdrant::points_update_operation::{DeletePoints, Operation, PointStructList, SetPayload};
use qdrant_client::qdrant::{
    AliasOperations, ChangeAliases, Condition, CountPointsBuilder, CreateAlias, CreateCollection,
    CreateCollectionBuilder, CreateFieldIndexCollectionBuilder, DeletePointsBuilder, Direction, Distance, FieldType,
    Filter, Fusion, GetPointsBuilder, Modifier, NamedVectors, OrderByBuilder, PointId, PointStruct, PointsIdsList,
    PointsUpdateOperation, PrefetchQueryBuilder, Query, QueryPointsBuilder, Range, ScrollPointsBuilder,
    SetPayloadPointsBuilder, SparseVectorParamsBuilder, SparseVectorsConfigBuilder, UpdateBatchPointsBuilder,
    UpdateMode, UpdateStatus, UpsertPointsBuilder, Vector, VectorInput, VectorParamsBuilder, VectorsConfigBuilder,
    alias_operations::Action,
};
use qdrant_client::{Payload, Qdrant, QdrantError};
use ragops_tests::qdrant_double::{ApiKeys, Double, Settings, VERSION};
use serde_json::json;
use tonic::Code;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn settings(folder: &Path, keys: &[&str]) -> Settings {
    Settings {
        storage_path: folder.to_owned(),
        grpc: ([127, 0, 0, 1], 0).into(),
        http: ([127, 0, 0, 1], 0).into(),
        api_keys: ApiKeys::new(keys.iter().map(|key| (*key).to_owned())),
        strict: false,
    }
}

async fn double_at(folder: &Path, keys: &[&str]) -> std::io::Result<Double> {
    Double::start(settings(folder, keys)).await
}

fn client(double: &Double, key: Option<&str>) -> Result<Qdrant, QdrantError> {
    Qdrant::from_url(&double.url()).api_key(key).skip_compatibility_check().build()
}

/// A double with a collection `c` of a dense vector `d` (cosine, 2 dimensions) and a sparse vector `s` (idf).
async fn filled() -> Result<(tempfile::TempDir, Double, Qdrant), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let double = double_at(folder.path(), &[]).await?;
    let client = client(&double, None)?;
    client.create_collection(hybrid("c")).await?;
    let points = vec![
        point(1, [1.0, 0.0], &[(7, 1.0)], json!({ "kind": "a", "n": 1, "tags": ["x", "y"] })),
        point(2, [3.0, 4.0], &[(7, 2.0), (8, 1.0)], json!({ "kind": "b", "n": 2, "nested": { "k": "v" } })),
        point(3, [0.0, 2.0], &[(9, 1.0)], json!({ "kind": "b", "n": 3, "empty": [] })),
    ];
    client.upsert_points(UpsertPointsBuilder::new("c", points).wait(true)).await?;
    Ok((folder, double, client))
}

fn hybrid(name: &str) -> CreateCollection {
    let mut dense = VectorsConfigBuilder::default();
    dense.add_named_vector_params("d", VectorParamsBuilder::new(2, Distance::Cosine));
    let mut sparse = SparseVectorsConfigBuilder::default();
    sparse.add_named_vector_params("s", SparseVectorParamsBuilder::default().modifier(Modifier::Idf));
    CreateCollectionBuilder::new(name).vectors_config(dense).sparse_vectors_config(sparse).build()
}

fn point(id: u64, dense: [f32; 2], sparse: &[(u32, f32)], payload: serde_json::Value) -> PointStruct {
    let vectors = NamedVectors::from(vec![("d", Vector::from(dense.to_vec())), ("s", Vector::from(sparse))]);
    PointStruct::new(id, vectors, Payload::try_from(payload).unwrap())
}

fn bare(id: u64, payload: serde_json::Value) -> PointStruct {
    PointStruct::new(id, NamedVectors::default(), Payload::try_from(payload).unwrap())
}

fn code(error: QdrantError) -> Code {
    match error {
        QdrantError::ResponseError { status } => status.code(),
        other => panic!("not a response: {other}"),
    }
}

fn near(dense: [f32; 2]) -> Query {
    VectorInput::from(dense.to_vec()).into()
}

fn terms(sparse: &[(u32, f32)]) -> Query {
    VectorInput::from(sparse).into()
}

async fn scores(client: &Qdrant, query: QueryPointsBuilder) -> Result<Vec<(u64, f32)>, QdrantError> {
    let found = client.query(query).await?.result;
    Ok(found.into_iter().map(|hit| (number(hit.id), hit.score)).collect())
}

fn number(id: Option<PointId>) -> u64 {
    use qdrant_client::qdrant::point_id::PointIdOptions;
    match id.and_then(|id| id.point_id_options) {
        Some(PointIdOptions::Num(number)) => number,
        other => panic!("not a number: {other:?}"),
    }
}

async fn passing(client: &Qdrant, filter: Filter) -> Result<Vec<u64>, QdrantError> {
    let page = client.scroll(ScrollPointsBuilder::new("c").filter(filter)).await?;
    Ok(page.result.into_iter().map(|point| number(point.id)).collect())
}

#[test]
fn a_peer_founds_a_cluster_and_joins_none() {
    let (own, other) = ("http://a-0.peers:6335", "http://a:6335");
    let founds = |uri, bootstrap| super::check_founder(uri, bootstrap).map_err(|error| error.to_string());
    assert_eq!(founds(Some(own), None), Ok(()));
    assert_eq!(founds(Some(own), Some("http://a-0.peers:6335/")), Ok(()));
    assert!(founds(None, Some(own)).unwrap_err().contains("should specify its uri"));
    assert!(founds(Some(own), Some(other)).unwrap_err().contains("joins no cluster"));
    assert!(founds(Some("a-0.peers"), Some("http://")).unwrap_err().contains("no address"));
}

#[tokio::test]
async fn the_client_finds_its_own_version() -> Outcome {
    let (_folder, _double, client) = filled().await?;
    let version = client.health_check().await?.version;
    assert_eq!(version, VERSION);
    let manifest = include_str!("../../Cargo.toml");
    let minor = version.rsplit_once('.').map_or("", |(minor, _)| minor);
    assert!(
        manifest.contains(&format!("qdrant-client = {{ version = \"{minor}\"")),
        "the client moved on from {minor}"
    );
    Ok(())
}

#[tokio::test]
async fn scores_are_those_of_the_real_server() -> Outcome {
    let (_folder, _double, client) = filled().await?;
    let dense = scores(&client, QueryPointsBuilder::new("c").query(near([2.0, 0.0])).using("d")).await?;
    assert_eq!(dense, [(1, 1.0), (2, 0.6), (3, 0.0)]);
    // Three documents; term 7 is in two of them, term 9 in one: ln((3 - 2 + 0.5) / (2 + 0.5) + 1) and so on.
    let (idf7, idf9) = ((1.5_f32 / 2.5 + 1.0).ln(), (2.5_f32 / 1.5 + 1.0).ln());
    let sparse = scores(&client, QueryPointsBuilder::new("c").query(terms(&[(7, 1.0), (9, 1.0)])).using("s")).await?;
    assert_eq!(sparse, [(3, idf9), (2, 2.0 * idf7), (1, idf7)]);
    let above = QueryPointsBuilder::new("c").query(near([2.0, 0.0])).using("d").score_threshold(0.6);
    assert_eq!(scores(&client, above).await?, [(1, 1.0)], "the threshold itself does not pass");
    Ok(())
}

#[tokio::test]
async fn fusion_ranks_by_reciprocal_rank() -> Outcome {
    let (_folder, _double, client) = filled().await?;
    let query = QueryPointsBuilder::new("c")
        .add_prefetch(PrefetchQueryBuilder::default().query(near([2.0, 0.0])).using("d").limit(2u64))
        .add_prefetch(PrefetchQueryBuilder::default().query(terms(&[(9, 1.0), (7, 1.0)])).using("s").limit(2u64))
        .query(Fusion::Rrf);
    let expected = [(2, 1.0 / 3.0 + 1.0 / 3.0), (1, 0.5), (3, 0.5)];
    assert_eq!(scores(&client, query).await?, expected);
    Ok(())
}

#[tokio::test]
async fn filters_choose_the_points_that_they_describe() -> Outcome {
    let (_folder, _double, client) = filled().await?;
    let above_one = Range { gt: Some(1.0), lte: Some(3.0), ..Range::default() };
    let cases: Vec<(Filter, &[u64])> = vec![
        (Filter::must([Condition::matches("kind", "b".to_owned())]), &[2, 3]),
        (Filter::must([Condition::matches("kind", vec!["a".to_owned(), "z".to_owned()])]), &[1]),
        (Filter::must([Condition::matches("tags", "y".to_owned())]), &[1]),
        (Filter::must([Condition::matches("nested.k", "v".to_owned())]), &[2]),
        (Filter::must([Condition::matches("n", 3)]), &[3]),
        (Filter::must([Condition::range("n", above_one)]), &[2, 3]),
        (Filter::must_not([Condition::matches("kind", "b".to_owned())]), &[1]),
        (Filter::should([Condition::matches("n", 1), Condition::matches("n", 3)]), &[1, 3]),
        (Filter::must([Condition::has_id([2, 9])]), &[2]),
        (Filter::must([Condition::is_empty("empty"), Condition::is_empty("absent")]), &[1, 2, 3]),
        (Filter::must_not([Condition::is_empty("tags")]), &[1]),
        (Filter::must([Filter::should([Condition::matches("n", 2)]).into()]), &[2]),
    ];
    for (filter, expected) in cases {
        assert_eq!(passing(&client, filter.clone()).await?, expected, "{filter:?}");
    }
    Ok(())
}

#[tokio::test]
async fn scrolling_pages_through_everything_once() -> Outcome {
    let (_folder, _double, client) = filled().await?;
    let first = client.scroll(ScrollPointsBuilder::new("c").limit(2)).await?;
    assert_eq!(first.result.len(), 2);
    let next = first.next_page_offset.ok_or("a next page")?;
    let second = client.scroll(ScrollPointsBuilder::new("c").limit(2).offset(next)).await?;
    assert_eq!(second.result.into_iter().map(|point| number(point.id)).collect::<Vec<_>>(), [3]);
    assert_eq!(second.next_page_offset, None);
    let ordered = ScrollPointsBuilder::new("c").order_by(OrderByBuilder::new("n").direction(Direction::Desc as i32));
    let refused = client.scroll(ordered.clone()).await.map_err(code);
    assert_eq!(refused.map(drop), Err(Code::InvalidArgument), "ordering needs an index");
    let index = CreateFieldIndexCollectionBuilder::new("c", "n", FieldType::Integer).wait(true);
    client.create_field_index(index).await?;
    let numbers: Vec<u64> = client.scroll(ordered).await?.result.into_iter().map(|point| number(point.id)).collect();
    assert_eq!(numbers, [3, 2, 1]);
    Ok(())
}

#[tokio::test]
async fn a_conditional_upsert_touches_only_what_it_may() -> Outcome {
    let (_folder, _double, client) = filled().await?;
    let write = |id: u64, kind: &str| UpsertPointsBuilder::new("c", vec![bare(id, json!({ "kind": kind }))]).wait(true);
    let is_b = || Filter::must([Condition::matches("kind", "b".to_owned())]);
    client.upsert_points(write(1, "new").update_mode(UpdateMode::InsertOnly)).await?;
    client.upsert_points(write(4, "new").update_mode(UpdateMode::InsertOnly)).await?;
    client.upsert_points(write(5, "new").update_mode(UpdateMode::UpdateOnly)).await?;
    client.upsert_points(write(1, "new").update_filter(is_b())).await?;
    client.upsert_points(write(2, "new").update_filter(is_b())).await?;
    client.upsert_points(write(6, "new").update_filter(is_b())).await?;
    let new = passing(&client, Filter::must([Condition::matches("kind", "new".to_owned())])).await?;
    assert_eq!(new, [2, 4, 6]);
    Ok(())
}

#[tokio::test]
async fn of_many_racing_conditional_writers_one_wins() -> Outcome {
    let (_folder, _double, client) = filled().await?;
    let writers = (0..16).map(|writer| {
        let client = client.clone();
        async move {
            let filter = Filter::must([Condition::matches("n", 1)]);
            let point = bare(1, json!({ "n": 2, "writer": writer }));
            client.upsert_points(UpsertPointsBuilder::new("c", vec![point]).wait(true).update_filter(filter)).await?;
            let read = GetPointsBuilder::new("c", vec![1.into()]).with_payload(true);
            let found = client.get_points(read).await?.result;
            Ok::<_, QdrantError>(found[0].payload["writer"].as_integer() == Some(writer))
        }
    });
    let won = futures::future::try_join_all(writers).await?;
    assert_eq!(won.into_iter().filter(|won| *won).count(), 1);
    Ok(())
}

#[tokio::test]
async fn payloads_are_merged_and_points_deleted_by_filter() -> Outcome {
    let (_folder, _double, client) = filled().await?;
    let new = Payload::try_from(json!({ "extra": true, "n": null }))?;
    client
        .set_payload(
            SetPayloadPointsBuilder::new("c", new.clone()).points_selector(PointsIdsList::from([1_u64])).wait(true),
        )
        .await?;
    let read = client.get_points(GetPointsBuilder::new("c", vec![1.into()]).with_payload(true)).await?;
    let payload = &read.result[0].payload;
    assert_eq!((payload.contains_key("n"), payload["extra"].as_bool()), (false, Some(true)));
    let missing = SetPayloadPointsBuilder::new("c", new).points_selector(PointsIdsList::from([99_u64])).wait(true);
    assert_eq!(client.set_payload(missing).await.map(drop).map_err(code), Err(Code::NotFound));
    let b = Filter::must([Condition::matches("kind", "b".to_owned())]);
    client.delete_points(DeletePointsBuilder::new("c").points(b).wait(true)).await?;
    let left = client.count(CountPointsBuilder::new("c").exact(true)).await?.result.map(|result| result.count);
    assert_eq!(left, Some(1));
    Ok(())
}

#[tokio::test]
async fn a_batch_is_carried_out_in_order() -> Outcome {
    let (_folder, _double, client) = filled().await?;
    let only = |id: u64| Some(PointsSelectorOneOf::Points(PointsIdsList::from([id])).into());
    let upsert = PointStructList { points: vec![bare(4, json!({ "n": 4 }))], ..PointStructList::default() };
    let set = SetPayload {
        payload: Payload::try_from(json!({ "n": 5 }))?.into(),
        points_selector: only(4),
        ..SetPayload::default()
    };
    let delete = DeletePoints { points: only(1), ..DeletePoints::default() };
    let operations = [Operation::Upsert(upsert), Operation::SetPayload(set), Operation::DeletePoints(delete)];
    let operations = operations.into_iter().map(PointsUpdateOperation::from).collect::<Vec<_>>();
    let done = client.update_points_batch(UpdateBatchPointsBuilder::new("c", operations).wait(true)).await?;
    assert_eq!(done.result.len(), 3);
    assert_eq!(passing(&client, Filter::must([Condition::matches("n", 5)])).await?, [4]);
    assert_eq!(passing(&client, Filter::must([Condition::has_id([1])])).await?, [0_u64; 0]);
    Ok(())
}

#[tokio::test]
async fn aliases_change_all_at_once_or_not_at_all() -> Outcome {
    let (_folder, double, client) = filled().await?;
    client.create_collection(hybrid("c2")).await?;
    let point_at = |collection: &str| AliasOperations {
        action: Some(Action::CreateAlias(CreateAlias {
            collection_name: collection.to_owned(),
            alias_name: "live".to_owned(),
        })),
    };
    let change = |actions| ChangeAliases { actions, timeout: None };
    // The client's own calls carry one action each, so the batch goes over the generated stub.
    let mut stub = CollectionsClient::connect(double.url()).await?;
    stub.update_aliases(change(vec![point_at("c")])).await?;
    let half = stub.update_aliases(change(vec![point_at("c2"), point_at("absent")])).await;
    assert_eq!(half.map(drop).map_err(|status| status.code()), Err(Code::NotFound));
    let count = client.count(CountPointsBuilder::new("live").exact(true)).await?.result.map(|result| result.count);
    assert_eq!(count, Some(3), "the alias still points at the first collection");
    stub.update_aliases(change(vec![point_at("c2")])).await?;
    client.delete_collection("c2").await?;
    assert!(client.list_aliases().await?.aliases.is_empty(), "an alias goes with its collection");
    Ok(())
}

#[tokio::test]
async fn an_acknowledged_write_survives_a_restart_and_a_torn_tail() -> Outcome {
    let folder = tempfile::tempdir()?;
    let double = double_at(folder.path(), &[]).await?;
    client(&double, None)?.create_collection(hybrid("c")).await?;
    let write = |id| UpsertPointsBuilder::new("c", vec![point(id, [1.0, 1.0], &[(1, 1.0)], json!({ "id": id }))]);
    client(&double, None)?.upsert_points(write(1).wait(true)).await?;
    double.stop().await?;
    let log = folder.path().join("double.log");
    std::fs::OpenOptions::new().append(true).open(&log)?.write_all(&[200, 0, 0, 0, 1, 2, 3])?;

    let double = double_at(folder.path(), &[]).await?;
    client(&double, None)?.upsert_points(write(2).wait(true)).await?;
    double.stop().await?;
    let double = double_at(folder.path(), &[]).await?;
    assert_eq!(passing(&client(&double, None)?, Filter::default()).await?, [1, 2]);
    double.stop().await?;

    let mut bytes = std::fs::read(&log)?;
    bytes[20] ^= 0xff;
    std::fs::write(&log, bytes)?;
    let damaged = double_at(folder.path(), &[]).await.map(drop).map_err(|e| e.to_string());
    assert!(damaged.as_ref().is_err_and(|why| why.contains("is damaged at byte 0")), "{damaged:?}");
    Ok(())
}

#[tokio::test]
async fn a_folder_has_one_owner() -> Outcome {
    let (folder, _double, _client) = filled().await?;
    let second = double_at(folder.path(), &[]).await.map(drop).map_err(|e| e.to_string());
    assert!(second.as_ref().is_err_and(|why| why.contains("in use")), "{second:?}");
    Ok(())
}

#[tokio::test]
async fn a_write_that_nobody_waits_for_is_acknowledged_first_and_visible_later() -> Outcome {
    let (_folder, _double, client) = filled().await?;
    let written = client.upsert_points(UpsertPointsBuilder::new("c", vec![bare(4, json!({}))])).await?;
    assert_eq!(written.result.map(|result| result.status), Some(UpdateStatus::Acknowledged as i32));
    let seen = async {
        while passing(&client, Filter::must([Condition::has_id([4])])).await?.is_empty() {
            tokio::task::yield_now().await;
        }
        Ok::<_, QdrantError>(())
    };
    tokio::time::timeout(Duration::from_secs(10), seen).await??;
    Ok(())
}

#[tokio::test]
async fn every_call_but_the_health_check_needs_an_accepted_key() -> Outcome {
    let folder = tempfile::tempdir()?;
    let double = double_at(folder.path(), &["first", "second", ""]).await?;
    for refused in [None, Some("third"), Some("")] {
        let client = client(&double, refused)?;
        assert_eq!(client.list_collections().await.map(drop).map_err(code), Err(Code::Unauthenticated), "{refused:?}");
        let points = client.count(CountPointsBuilder::new("c")).await.map(drop).map_err(code);
        assert_eq!(points, Err(Code::Unauthenticated), "{refused:?}");
        assert_eq!(client.list_full_snapshots().await.map(drop).map_err(code), Err(Code::Unauthenticated));
        client.health_check().await?;
    }
    for accepted in ["first", "second"] {
        client(&double, Some(accepted))?.list_collections().await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_the_double_cannot_do_it_refuses() -> Outcome {
    let (_folder, _double, client) = filled().await?;
    let euclid = CreateCollectionBuilder::new("e").vectors_config(VectorParamsBuilder::new(2, Distance::Euclid));
    assert_eq!(client.create_collection(euclid).await.map(drop).map_err(code), Err(Code::Unimplemented));
    assert_eq!(client.list_full_snapshots().await.map(drop).map_err(code), Err(Code::Unimplemented));
    let text = Filter::must([Condition::matches_text("kind", "b")]);
    assert_eq!(passing(&client, text).await.map(drop).map_err(code), Err(Code::Unimplemented));
    let dbsf = QueryPointsBuilder::new("c")
        .add_prefetch(PrefetchQueryBuilder::default().query(near([1.0, 0.0])).using("d"))
        .query(Fusion::Dbsf);
    assert_eq!(client.query(dbsf).await.map(drop).map_err(code), Err(Code::Unimplemented));
    let long = UpsertPointsBuilder::new(
        "c",
        vec![PointStruct::new(9, HashMap::from([("d".to_owned(), vec![1.0; 3])]), Payload::new())],
    );
    assert_eq!(client.upsert_points(long).await.map(drop).map_err(code), Err(Code::InvalidArgument));
    let absent = client.count(CountPointsBuilder::new("absent")).await;
    assert_eq!(absent.map(drop).map_err(code), Err(Code::NotFound));
    assert_eq!(client.create_collection(hybrid("c")).await.map(drop).map_err(code), Err(Code::AlreadyExists));
    Ok(())
}

#[tokio::test]
async fn strict_mode_wants_an_index_for_every_filter() -> Outcome {
    let folder = tempfile::tempdir()?;
    let double = Double::start(Settings { strict: true, ..settings(folder.path(), &[]) }).await?;
    let client = client(&double, None)?;
    client.create_collection(CreateCollectionBuilder::new("c")).await?;
    let filter = || Filter::must([Condition::matches("kind", "b".to_owned())]);
    let delete = || DeletePointsBuilder::new("c").points(filter()).wait(true);
    assert_eq!(passing(&client, filter()).await.map_err(code), Err(Code::InvalidArgument));
    assert_eq!(client.delete_points(delete()).await.map(drop).map_err(code), Err(Code::InvalidArgument));
    let index = CreateFieldIndexCollectionBuilder::new("c", "kind", FieldType::Keyword).wait(true);
    client.create_field_index(index).await?;
    assert_eq!(passing(&client, filter()).await?, [0_u64; 0]);
    client.delete_points(delete()).await?;
    Ok(())
}

#[tokio::test]
async fn the_health_endpoints_of_the_real_image_answer() -> Outcome {
    let (_folder, double, _client) = filled().await?;
    for path in ["/readyz", "/livez", "/healthz"] {
        let answer = reqwest::get(format!("http://{}{path}", double.http)).await?;
        assert_eq!(answer.status(), 200, "{path}");
    }
    Ok(())
}
