//! Everything that changes the store, as one value: what the log holds is what the wire carried. Pure.

use prost::{Message, Oneof};
use qdrant_client::qdrant::points_update_operation::{Operation, PointStructList};
use qdrant_client::qdrant::{
    ChangeAliases, ClearPayloadPoints, CreateCollection, CreateFieldIndexCollection, DeleteCollection,
    DeleteFieldIndexCollection, DeletePayloadPoints, DeletePoints, PointsSelector, PointsUpdateOperation,
    SetPayloadPoints, ShardKeySelector, UpdateBatchPoints, UpdateCollection, UpsertPoints, WriteOrdering,
};

use super::payload::Payload;
use super::refusal::{Refusal, refuse_if};

/// One record of the log.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Entry {
    /// What was done.
    #[prost(oneof = "Mutation", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12")]
    pub(crate) mutation: Option<Mutation>,
}

/// One change.
#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Mutation {
    /// A new collection.
    #[prost(message, tag = "1")]
    CreateCollection(CreateCollection),
    /// New settings of a collection.
    #[prost(message, tag = "2")]
    UpdateCollection(UpdateCollection),
    /// A collection goes, with its aliases.
    #[prost(message, tag = "3")]
    DeleteCollection(DeleteCollection),
    /// All of these alias actions, or none.
    #[prost(message, tag = "4")]
    ChangeAliases(ChangeAliases),
    /// Points are written.
    #[prost(message, tag = "5")]
    Upsert(UpsertPoints),
    /// Points go.
    #[prost(message, tag = "6")]
    Delete(DeletePoints),
    /// Payloads are merged.
    #[prost(message, tag = "7")]
    SetPayload(SetPayloadPoints),
    /// Payloads are replaced.
    #[prost(message, tag = "8")]
    OverwritePayload(SetPayloadPoints),
    /// Payload keys go.
    #[prost(message, tag = "9")]
    DeletePayload(DeletePayloadPoints),
    /// Payloads go.
    #[prost(message, tag = "10")]
    ClearPayload(ClearPayloadPoints),
    /// A key is indexed.
    #[prost(message, tag = "11")]
    CreateFieldIndex(CreateFieldIndexCollection),
    /// A key is indexed no more.
    #[prost(message, tag = "12")]
    DeleteFieldIndex(DeleteFieldIndexCollection),
}

/// Shard keys choose among shards that the double does not have.
pub(crate) fn refuse_shard_keys(selector: Option<&ShardKeySelector>) -> Result<(), Refusal> {
    refuse_if(selector.is_some_and(|selector| !selector.shard_keys.is_empty()), "shard keys")
}

/// Takes a batch apart; as in the real server each operation stands for itself.
pub(crate) fn split_batch(batch: UpdateBatchPoints) -> Result<Vec<Mutation>, Refusal> {
    let UpdateBatchPoints { collection_name, wait, operations, ordering, timeout } = batch;
    let shared = Shared { collection_name, wait, ordering, timeout };
    operations.into_iter().map(|operation| shared.mutation(operation)).collect()
}

/// What a batch says once for all of its operations.
struct Shared {
    collection_name: String,
    wait: Option<bool>,
    ordering: Option<WriteOrdering>,
    timeout: Option<u64>,
}

impl Shared {
    fn mutation(&self, operation: PointsUpdateOperation) -> Result<Mutation, Refusal> {
        match operation.operation.ok_or_else(|| Refusal::invalid("an operation of the batch is empty"))? {
            Operation::Upsert(upsert) => Ok(Mutation::Upsert(self.upsert(upsert))),
            Operation::DeletePoints(delete) => Ok(Mutation::Delete(DeletePoints {
                collection_name: self.collection_name.clone(),
                wait: self.wait,
                points: delete.points,
                ordering: self.ordering,
                shard_key_selector: delete.shard_key_selector,
                timeout: self.timeout,
            })),
            Operation::SetPayload(new) => {
                let set = self.set(new.payload, new.points_selector, new.shard_key_selector, new.key);
                Ok(Mutation::SetPayload(set))
            }
            Operation::OverwritePayload(new) => {
                let set = self.set(new.payload, new.points_selector, new.shard_key_selector, new.key);
                Ok(Mutation::OverwritePayload(set))
            }
            Operation::DeletePayload(delete) => Ok(Mutation::DeletePayload(DeletePayloadPoints {
                collection_name: self.collection_name.clone(),
                wait: self.wait,
                keys: delete.keys,
                points_selector: delete.points_selector,
                ordering: self.ordering,
                shard_key_selector: delete.shard_key_selector,
                timeout: self.timeout,
            })),
            Operation::ClearPayload(clear) => Ok(Mutation::ClearPayload(ClearPayloadPoints {
                collection_name: self.collection_name.clone(),
                wait: self.wait,
                points: clear.points,
                ordering: self.ordering,
                shard_key_selector: clear.shard_key_selector,
                timeout: self.timeout,
            })),
            _ => Err(Refusal::unsupported("vector and deprecated operations in a batch")),
        }
    }

    fn upsert(&self, upsert: PointStructList) -> UpsertPoints {
        UpsertPoints {
            collection_name: self.collection_name.clone(),
            wait: self.wait,
            points: upsert.points,
            ordering: self.ordering,
            shard_key_selector: upsert.shard_key_selector,
            update_filter: upsert.update_filter,
            timeout: self.timeout,
            update_mode: upsert.update_mode,
        }
    }

    fn set(
        &self,
        payload: Payload,
        points_selector: Option<PointsSelector>,
        shard_key_selector: Option<ShardKeySelector>,
        key: Option<String>,
    ) -> SetPayloadPoints {
        let Self { collection_name, wait, ordering, timeout } = self;
        SetPayloadPoints {
            collection_name: collection_name.clone(),
            wait: *wait,
            payload,
            points_selector,
            ordering: *ordering,
            shard_key_selector,
            key,
            timeout: *timeout,
        }
    }
}
