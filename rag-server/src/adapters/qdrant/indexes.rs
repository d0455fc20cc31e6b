//! Collections with the payload indexes that their filters need; making them again changes nothing.

use qdrant_client::qdrant::{
    CollectionInfo, CreateCollection, CreateFieldIndexCollection, FieldType, PointsOperationResponse,
};

use super::{
    connection::{QdrantConnection, Repeat},
    failure::Failure,
    layout::{Layout, medium},
};

/// Makes the collection unless it exists, then every index that is missing. Several processes may do so at once, and one that died half-way is completed.
///
/// It looks before it writes, so that a server may start while a peer that writes go through is down. What is there and laid out otherwise is left as it is, and told.
pub(super) async fn ensure(
    connection: &QdrantConnection,
    collection: CreateCollection,
    layout: &Layout,
    indexes: &[(&str, FieldType)],
) -> Result<CollectionInfo, Failure> {
    let name = collection.collection_name.clone();
    let found = match look(connection, &name).await {
        Err(failure) if failure.is_missing() => {
            create(connection, layout.applied(collection)).await?;
            look(connection, &name).await?
        }
        found => found?,
    };
    let differences = found.config.as_ref().map(|config| layout.differences(config)).unwrap_or_default();
    if !differences.is_empty() {
        tracing::warn!(
            collection = name,
            differences = differences.join("; "),
            "a collection is laid out otherwise than configured, and stays as it is"
        );
    }
    for (field, kind) in indexes.iter().filter(|(field, _)| !found.payload_schema.contains_key(*field)) {
        index(connection, &name, field, *kind).await?;
    }
    Ok(found)
}

async fn look(connection: &QdrantConnection, name: &str) -> Result<CollectionInfo, Failure> {
    let info = connection.call(Repeat::Harmless, |client| async move { client.collection_info(name).await }).await?;
    info.result.ok_or_else(|| Failure::failed(format!("it says nothing about the collection {name}")))
}

async fn create(connection: &QdrantConnection, collection: CreateCollection) -> Result<(), Failure> {
    let collection = &collection;
    // One that is there is left alone by a second request, also by a late one.
    let created = |client: super::client::Client| async move { client.create_collection(collection.clone()).await };
    match connection.call(Repeat::Harmless, created).await {
        Err(failure) if failure.is_taken() => Ok(()),
        created => created.map(drop),
    }
}

async fn index(
    connection: &QdrantConnection,
    name: &str,
    field: &str,
    kind: FieldType,
) -> Result<PointsOperationResponse, Failure> {
    let index = &CreateFieldIndexCollection {
        collection_name: name.to_owned(),
        wait: Some(true),
        field_name: field.to_owned(),
        field_type: Some(kind as i32),
        ordering: medium(),
        ..CreateFieldIndexCollection::default()
    };
    connection.call(Repeat::Harmless, |client| async move { client.create_field_index(index.clone()).await }).await
}
