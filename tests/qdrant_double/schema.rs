//! What a collection accepts: its vectors, its indexes and its strict mode, read from the request that made it. Pure.
//! Settings that cannot change the answer of an exact scan (index, quantization, optimiser and placement tuning) are kept
//! and shown again; settings that would change it are refused.

use std::collections::{BTreeMap, HashMap};

use qdrant_client::qdrant::vectors_config::Config;
use qdrant_client::qdrant::{
    CollectionConfig, CollectionParams, CreateCollection, Datatype, Distance, Modifier, ShardingMethod,
    SparseVectorParams, StrictModeConfig, Value, VectorParams,
};

use super::refusal::{Refusal, refuse_if};

/// One dense vector of the schema.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Dense {
    size: usize,
    normalised: bool,
}

impl Dense {
    fn parse(params: &VectorParams) -> Result<Self, Refusal> {
        refuse_if(params.multivector_config.is_some(), "multi-vectors")?;
        let plain = [Datatype::Default as i32, Datatype::Float32 as i32];
        refuse_if(params.datatype.is_some_and(|datatype| !plain.contains(&datatype)), "vectors other than float32")?;
        if params.size == 0 || params.size > 65_536 {
            return Err(Refusal::invalid(format!("vector size {} is not within 1 and 65536", params.size)));
        }
        let normalised = match Distance::try_from(params.distance) {
            Ok(Distance::Cosine) => true,
            Ok(Distance::Dot) => false,
            Ok(Distance::Euclid | Distance::Manhattan) => {
                return Err(Refusal::unsupported("distances but Cosine and Dot"));
            }
            Ok(Distance::UnknownDistance) | Err(_) => return Err(Refusal::invalid("the distance is not known")),
        };
        Ok(Self { size: params.size as usize, normalised })
    }

    /// Checks the length and normalises for cosine, for stored and for query vectors alike.
    pub(crate) fn prepare(self, values: &[f32]) -> Result<Vec<f32>, Refusal> {
        if values.len() != self.size {
            return Err(Refusal::invalid(format!(
                "Vector dimension error: expected dim: {}, got {}",
                self.size,
                values.len()
            )));
        }
        let square = values.iter().map(|value| value * value).sum::<f32>();
        // What has the length of one already is kept bit for bit, as the real store keeps it.
        if !self.normalised || square < f32::EPSILON || (square - 1.0).abs() <= NEARLY {
            return Ok(values.to_vec());
        }
        let length = square.sqrt();
        Ok(values.iter().map(|value| value / length).collect())
    }
}

/// How far from one the square of a length may be that counts as one.
const NEARLY: f32 = 1.0e-6;

/// The shape of one collection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Schema {
    dense: BTreeMap<String, Dense>,
    sparse: BTreeMap<String, Weighting>,
    created: CreateCollection,
}

/// How the weights of a sparse query are scaled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weighting {
    /// As given.
    Plain,
    /// By the inverse document frequency of each term.
    Idf,
}

impl Schema {
    /// Reads a creation request; what the double would have to ignore is refused.
    pub(crate) fn parse(request: &CreateCollection) -> Result<Self, Refusal> {
        refuse_if(request.sharding_method == Some(ShardingMethod::Custom as i32), "custom sharding")?;
        check_strict_mode(request.strict_mode_config.as_ref())?;
        let dense = match request.vectors_config.as_ref().and_then(|config| config.config.as_ref()) {
            None => BTreeMap::new(),
            Some(Config::Params(params)) => BTreeMap::from([(String::new(), Dense::parse(params)?)]),
            Some(Config::ParamsMap(named)) => named
                .map
                .iter()
                .map(|(name, params)| Ok((name.clone(), Dense::parse(params)?)))
                .collect::<Result<_, Refusal>>()?,
        };
        let sparse = request
            .sparse_vectors_config
            .iter()
            .flat_map(|config| &config.map)
            .map(|(name, params)| Ok((name.clone(), weighting(params)?)))
            .collect::<Result<BTreeMap<_, _>, Refusal>>()?;
        if let Some(name) = sparse.keys().find(|name| dense.contains_key(*name)) {
            return Err(Refusal::invalid(format!("vector name {name} is used for a dense and a sparse vector")));
        }
        Ok(Self { dense, sparse, created: request.clone() })
    }

    /// The dense vector of that name.
    pub(crate) fn dense(&self, name: &str) -> Result<Dense, Refusal> {
        self.dense.get(name).copied().ok_or_else(|| unknown_vector(name))
    }

    /// How the sparse vector of that name weighs its terms.
    pub(crate) fn sparse(&self, name: &str) -> Result<Weighting, Refusal> {
        self.sparse.get(name).copied().ok_or_else(|| unknown_vector(name))
    }

    /// Merges metadata; null removes a key, as payloads do.
    pub(crate) fn merge_metadata(&mut self, metadata: &HashMap<String, Value>) {
        super::payload::merge(&mut self.created.metadata, metadata);
    }

    /// Replaces the strict mode.
    pub(crate) fn set_strict_mode(&mut self, config: StrictModeConfig) -> Result<(), Refusal> {
        check_strict_mode(Some(&config))?;
        self.created.strict_mode_config = Some(config);
        Ok(())
    }

    /// Whether a filter of a read may name a key without an index.
    pub(crate) fn reads_need_index(&self) -> bool {
        self.strict().is_some_and(|strict| strict.unindexed_filtering_retrieve == Some(false))
    }

    /// Whether a filter of a write may name a key without an index.
    pub(crate) fn writes_need_index(&self) -> bool {
        self.strict().is_some_and(|strict| strict.unindexed_filtering_update == Some(false))
    }

    fn strict(&self) -> Option<&StrictModeConfig> {
        self.created.strict_mode_config.as_ref().filter(|strict| strict.enabled == Some(true))
    }

    /// The settings as `collection_info` shows them.
    pub(crate) fn config(&self) -> CollectionConfig {
        let created = self.created.clone();
        CollectionConfig {
            params: Some(CollectionParams {
                shard_number: created.shard_number.unwrap_or(1),
                vectors_config: created.vectors_config,
                replication_factor: Some(created.replication_factor.unwrap_or(1)),
                write_consistency_factor: Some(created.write_consistency_factor.unwrap_or(1)),
                sparse_vectors_config: created.sparse_vectors_config,
                payload: created.payload,
                id_tracker: created.id_tracker,
                ..CollectionParams::default()
            }),
            hnsw_config: created.hnsw_config,
            quantization_config: created.quantization_config,
            optimizer_config: created.optimizers_config,
            wal_config: created.wal_config,
            strict_mode_config: created.strict_mode_config,
            metadata: created.metadata,
        }
    }
}

fn weighting(params: &SparseVectorParams) -> Result<Weighting, Refusal> {
    match params.modifier.map(Modifier::try_from) {
        None | Some(Ok(Modifier::None)) => Ok(Weighting::Plain),
        Some(Ok(Modifier::Idf)) => Ok(Weighting::Idf),
        Some(Err(_)) => Err(Refusal::invalid("the modifier is not known")),
    }
}

fn check_strict_mode(config: Option<&StrictModeConfig>) -> Result<(), Refusal> {
    let Some(config) = config else { return Ok(()) };
    let served = StrictModeConfig {
        enabled: config.enabled,
        unindexed_filtering_retrieve: config.unindexed_filtering_retrieve,
        unindexed_filtering_update: config.unindexed_filtering_update,
        ..StrictModeConfig::default()
    };
    refuse_if(*config != served, "strict mode settings but enabled and unindexed_filtering_*")
}

fn unknown_vector(name: &str) -> Refusal {
    Refusal::invalid(format!("Not existing vector name error: {name}"))
}
