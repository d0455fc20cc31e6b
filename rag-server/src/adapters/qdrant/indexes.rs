//! Collections with the payload indexes that their filters need; making them again changes nothing.

use qdrant_client::qdrant::{CreateCollection, CreateFieldIndexCollection, FieldType};

use super::{connection::QdrantConnection, failure::Failure, strong};

/// Makes the collection unless it exists, then every index. Several processes may do so at once, and one that died half-way is completed.
pub(super) async fn ensure(
    connection: &QdrantConnection,
    collection: CreateCollection,
    indexes: &[(&str, FieldType)],
) -> Result<(), Failure> {
    let name = collection.collection_name.clone();
    let collection = &collection;
    let created = connection.call(|client| async move { client.create_collection(collection.clone()).await }).await;
    match created {
        Ok(_) => {}
        Err(failure) if failure.is_taken() => {}
        Err(failure) => return Err(failure),
    }
    for (field, kind) in indexes {
        let index = &CreateFieldIndexCollection {
            collection_name: name.clone(),
            wait: Some(true),
            field_name: (*field).to_owned(),
            field_type: Some(*kind as i32),
            ordering: strong(),
            ..CreateFieldIndexCollection::default()
        };
        connection.call(|client| async move { client.create_field_index(index.clone()).await }).await?;
    }
    Ok(())
}
