//! How new collections are laid out over the peers and on their disks, and in what an existing one differs. Pure.
//!
//! What is not set is left to the server. A collection that exists is never changed: a shard number cannot be, and the rest moves data.

use qdrant_client::qdrant::{
    BinaryQuantization, CollectionConfig, CreateCollection, HnswConfigDiff, QuantizationConfig, QuantizationType,
    ReadConsistency, ReadConsistencyType, ScalarQuantization, VectorParams, WriteOrdering, WriteOrderingType,
    quantization_config::Quantization as Kind, read_consistency, vectors_config::Config,
};

use super::chunk::DENSE;

/// From so many replicas on a read asks a majority of them: with two, one that is down would fail every read.
const QUORUM_FROM: u32 = 3;

/// How new collections are made; what is none is the server's default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// Shards of a collection.
    pub shard_number: Option<u32>,
    /// Copies of each shard, on as many peers.
    pub replication_factor: Option<u32>,
    /// Copies that must have a write before it is acknowledged.
    pub write_consistency_factor: Option<u32>,
    /// Whether the vectors stay on disk.
    pub on_disk: Option<bool>,
    /// Links of a point in the graph that is searched.
    pub hnsw_m: Option<u64>,
    /// Neighbours that are looked at while a point is put into the graph.
    pub hnsw_ef_construct: Option<u64>,
    /// What else is kept of each vector, to search by.
    pub quantization: Option<Quantization>,
}

/// A short form of a vector that stays in memory and is searched first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantization {
    /// A byte for each number.
    Scalar,
    /// A bit for each number.
    Binary,
}

impl Layout {
    /// That of records on so many replicas: one shard, so that all writes of a record are put into one order, and on three or more a majority that has a write before it is acknowledged, so that a majority that is read has it, too.
    pub fn of_records(replication_factor: Option<u32>, write_consistency_factor: Option<u32>) -> Self {
        let majority = replication_factor.filter(|replicas| *replicas >= QUORUM_FROM).map(|replicas| replicas / 2 + 1);
        Self {
            shard_number: Some(1),
            replication_factor,
            write_consistency_factor: write_consistency_factor.or(majority),
            ..Self::default()
        }
    }

    /// The collection, made as this says.
    pub(super) fn applied(&self, mut wanted: CreateCollection) -> CreateCollection {
        wanted.shard_number = self.shard_number;
        wanted.replication_factor = self.replication_factor;
        wanted.write_consistency_factor = self.write_consistency_factor;
        wanted.quantization_config = self.quantization.map(quantization);
        let graph =
            HnswConfigDiff { m: self.hnsw_m, ef_construct: self.hnsw_ef_construct, ..HnswConfigDiff::default() };
        wanted.hnsw_config = (graph != HnswConfigDiff::default()).then_some(graph);
        let named = wanted.vectors_config.as_mut().and_then(|vectors| vectors.config.as_mut());
        if let Some(Config::ParamsMap(named)) = named
            && let Some(dense) = named.map.get_mut(DENSE)
        {
            #[allow(deprecated, reason = "what takes its place is not known to the oldest server that is served")]
            {
                dense.on_disk = self.on_disk;
            }
        }
        wanted
    }

    /// What is set here and different there, each as a person says it.
    pub(super) fn differences(&self, found: &CollectionConfig) -> Vec<String> {
        let (params, graph) = (found.params.clone().unwrap_or_default(), found.hnsw_config.unwrap_or_default());
        let said = |number: Option<u64>| number.map(|number| number.to_string());
        let few = |number: Option<u32>| said(number.map(u64::from));
        let settings = [
            ("shard_number", few(self.shard_number), few(Some(params.shard_number))),
            ("replication_factor", few(self.replication_factor), few(params.replication_factor)),
            ("write_consistency_factor", few(self.write_consistency_factor), few(params.write_consistency_factor)),
            ("on_disk", self.on_disk.map(|flag| flag.to_string()), on_disk(found).map(|flag| flag.to_string())),
            ("hnsw.m", said(self.hnsw_m), said(graph.m)),
            ("hnsw.ef_construct", said(self.hnsw_ef_construct), said(graph.ef_construct)),
        ];
        let differs = |(name, wanted, there): (&str, Option<String>, Option<String>)| {
            let wanted = wanted.filter(|wanted| there.as_ref() != Some(wanted))?;
            let there = there.unwrap_or_else(|| "the server's".to_owned());
            Some(format!("{name} is {there} there and {wanted} here"))
        };
        let mut all: Vec<String> = settings.into_iter().filter_map(differs).collect();
        let there = quantized(found);
        if self.quantization.is_some() && self.quantization != there {
            let name = |kind: Option<Quantization>| kind.map_or_else(|| "none".to_owned(), |kind| format!("{kind:?}"));
            all.push(format!("quantization is {} there and {} here", name(there), name(self.quantization)));
        }
        all
    }
}

fn dense(found: &CollectionConfig) -> Option<&VectorParams> {
    match found.params.as_ref()?.vectors_config.as_ref()?.config.as_ref()? {
        Config::ParamsMap(named) => named.map.get(DENSE),
        Config::Params(_) => None,
    }
}

/// Whether the vectors of a collection stay on disk.
#[allow(deprecated, reason = "what takes its place is not known to the oldest server that is served")]
fn on_disk(found: &CollectionConfig) -> Option<bool> {
    dense(found).map(|dense| dense.on_disk.unwrap_or_default())
}

/// Kept in memory whatever the vectors are: that is what it is for.
#[allow(deprecated, reason = "what takes its place is not known to the oldest server that is served")]
fn quantization(kind: Quantization) -> QuantizationConfig {
    let kind = match kind {
        Quantization::Scalar => Kind::Scalar(ScalarQuantization {
            r#type: QuantizationType::Int8 as i32,
            always_ram: Some(true),
            ..ScalarQuantization::default()
        }),
        Quantization::Binary => {
            Kind::Binary(BinaryQuantization { always_ram: Some(true), ..BinaryQuantization::default() })
        }
    };
    QuantizationConfig { quantization: Some(kind) }
}

fn quantized(found: &CollectionConfig) -> Option<Quantization> {
    let of_vector = dense(found).and_then(|dense| dense.quantization_config);
    match of_vector.or(found.quantization_config)?.quantization? {
        Kind::Scalar(_) => Some(Quantization::Scalar),
        Kind::Binary(_) => Some(Quantization::Binary),
        Kind::Product(_) | Kind::Turboquant(_) => None,
    }
}

/// How the records of a collection are read: from a majority of the replicas, where one of them may be behind and a majority is left when one is down.
pub(super) fn read_consistency(found: &CollectionConfig) -> Option<ReadConsistency> {
    let replicas = found.params.as_ref().and_then(|params| params.replication_factor).unwrap_or(1);
    let quorum = read_consistency::Value::Type(ReadConsistencyType::Quorum as i32);
    (replicas >= QUORUM_FROM).then_some(ReadConsistency { value: Some(quorum) })
}

/// Writes go through the permanent leader of their shard, so that two of them are put into the same order on every replica. While that peer is down, they fail.
pub(super) fn strong() -> Option<WriteOrdering> {
    Some(WriteOrdering { r#type: WriteOrderingType::Strong as i32 })
}

/// Writes go through a leader that is alive. For what is the same in any order, such as points that nobody writes otherwise.
pub(super) fn medium() -> Option<WriteOrdering> {
    Some(WriteOrdering { r#type: WriteOrderingType::Medium as i32 })
}

#[cfg(test)]
mod tests {
    use qdrant_client::qdrant::CollectionParams;

    use super::*;

    fn replicated(replication_factor: u32) -> CollectionConfig {
        let params =
            CollectionParams { shard_number: 1, replication_factor: Some(replication_factor), ..Default::default() };
        CollectionConfig { params: Some(params), ..CollectionConfig::default() }
    }

    #[test]
    fn what_is_not_set_is_left_to_the_server() {
        let plain = CreateCollection { collection_name: "c".to_owned(), ..CreateCollection::default() };
        assert_eq!(Layout::default().applied(plain.clone()), plain);
        assert_eq!(Layout::default().differences(&replicated(3)), Vec::<String>::new());
    }

    #[test]
    fn records_are_one_shard_and_a_majority_of_three_has_each_write() {
        let factor = |replicas| Layout::of_records(replicas, None).write_consistency_factor;
        assert_eq!([None, Some(1), Some(2), Some(3), Some(5)].map(factor), [None, None, None, Some(2), Some(3)]);
        assert_eq!(Layout::of_records(Some(3), Some(1)).write_consistency_factor, Some(1), "what is set stands");
        assert_eq!(Layout::of_records(None, None).shard_number, Some(1));
    }

    #[test]
    fn a_majority_is_read_only_where_one_replica_may_be_down() {
        assert_eq!(
            [1, 2, 3, 5].map(|replicas| read_consistency(&replicated(replicas)).is_some()),
            [false, false, true, true]
        );
        assert_eq!(read_consistency(&CollectionConfig::default()), None);
    }

    #[test]
    fn every_setting_that_differs_is_told_with_both_values() {
        let wanted = Layout {
            shard_number: Some(6),
            replication_factor: Some(2),
            write_consistency_factor: Some(2),
            on_disk: Some(true),
            hnsw_m: Some(32),
            hnsw_ef_construct: Some(200),
            quantization: Some(Quantization::Binary),
        };
        let found = CollectionConfig {
            hnsw_config: Some(HnswConfigDiff { m: Some(16), ..HnswConfigDiff::default() }),
            quantization_config: Some(quantization(Quantization::Scalar)),
            ..replicated(2)
        };
        assert_eq!(
            wanted.differences(&found),
            [
                "shard_number is 1 there and 6 here",
                "write_consistency_factor is the server's there and 2 here",
                "on_disk is the server's there and true here",
                "hnsw.m is 16 there and 32 here",
                "hnsw.ef_construct is the server's there and 200 here",
                "quantization is Scalar there and Binary here",
            ]
        );
    }
}
