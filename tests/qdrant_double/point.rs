//! One stored point: its id, its vectors in the form that search needs, and its payload. Pure.

use std::collections::BTreeMap;

use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::vector::Vector as WireVector;
use qdrant_client::qdrant::vectors::VectorsOptions;
use qdrant_client::qdrant::{
    DenseVector, NamedVectors, NamedVectorsOutput, PointId, PointStruct, SparseVector, Vector, VectorOutput, Vectors,
    VectorsOutput, vector_output, vectors_output,
};
use uuid::Uuid;

use super::payload::Payload;
use super::refusal::{Refusal, refuse_if};
use super::schema::Schema;

/// Numbers order before UUIDs, as in the real server; scroll pages follow this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum PointKey {
    /// A numeric id.
    Number(u64),
    /// A UUID.
    Uuid(Uuid),
}

impl PointKey {
    /// Reads an id from the wire.
    pub(crate) fn parse(id: &PointId) -> Result<Self, Refusal> {
        match &id.point_id_options {
            None => Err(Refusal::Invalid("Empty ID is not allowed".to_owned())),
            Some(PointIdOptions::Num(number)) => Ok(Self::Number(*number)),
            Some(PointIdOptions::Uuid(text)) => Uuid::parse_str(text)
                .map(Self::Uuid)
                .map_err(|_| Refusal::Invalid(format!("Unable to parse UUID: {text}"))),
        }
    }

    /// Writes the id for the wire.
    pub(crate) fn to_wire(self) -> PointId {
        let options = match self {
            Self::Number(number) => PointIdOptions::Num(number),
            Self::Uuid(uuid) => PointIdOptions::Uuid(uuid.to_string()),
        };
        PointId { point_id_options: Some(options) }
    }
}

/// A sparse vector with its terms in ascending order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Sparse {
    /// Term and weight, sorted by term, each term once.
    pub(crate) terms: Vec<(u32, f32)>,
}

impl Sparse {
    /// Refuses what the real server refuses: different lengths, or a term twice.
    pub(crate) fn parse(indices: &[u32], values: &[f32]) -> Result<Self, Refusal> {
        if indices.len() != values.len() {
            return Err(Refusal::invalid(format!(
                "sparse vector has {} indices and {} values",
                indices.len(),
                values.len()
            )));
        }
        let mut terms: Vec<(u32, f32)> = indices.iter().copied().zip(values.iter().copied()).collect();
        terms.sort_unstable_by_key(|(term, _)| *term);
        if terms.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(Refusal::invalid("sparse vector indices must be unique"));
        }
        Ok(Self { terms })
    }

    /// The weight of a term, if the vector has it.
    pub(crate) fn weight(&self, term: u32) -> Option<f32> {
        self.terms.binary_search_by_key(&term, |(known, _)| *known).ok().map(|at| self.terms[at].1)
    }
}

/// A point at rest.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct StoredPoint {
    /// Dense vectors by name; normalised where the distance is cosine.
    pub(crate) dense: BTreeMap<String, Vec<f32>>,
    /// Sparse vectors by name.
    pub(crate) sparse: BTreeMap<String, Sparse>,
    /// The payload.
    pub(crate) payload: Payload,
    /// The number of the operation that last changed it.
    pub(crate) version: u64,
}

impl StoredPoint {
    /// Checks a point against the schema and brings its vectors into search form.
    pub(crate) fn parse(point: &PointStruct, schema: &Schema) -> Result<(PointKey, Self), Refusal> {
        let PointStruct { id, payload, vectors } = point;
        let id = id.as_ref().ok_or_else(|| Refusal::Invalid("Empty ID is not allowed".to_owned()))?;
        let vectors = vectors.as_ref().ok_or_else(|| Refusal::Invalid("Expected some vectors".to_owned()))?;
        let mut stored = Self { payload: payload.clone(), ..Self::default() };
        for (name, vector) in named(vectors)? {
            stored.place(name, vector, schema)?;
        }
        Ok((PointKey::parse(id)?, stored))
    }

    fn place(&mut self, name: &str, vector: &Vector, schema: &Schema) -> Result<(), Refusal> {
        match content(vector)? {
            Content::Dense(values) => {
                self.dense.insert(name.to_owned(), schema.dense(name)?.prepare(values)?);
            }
            Content::Sparse(indices, values) => {
                schema.sparse(name)?;
                self.sparse.insert(name.to_owned(), Sparse::parse(indices, values)?);
            }
        }
        Ok(())
    }

    /// Writes the vectors whose names pass `wanted`.
    pub(crate) fn vectors_to_wire(&self, wanted: impl Fn(&str) -> bool) -> Option<VectorsOutput> {
        let dense = self
            .dense
            .iter()
            .map(|(name, data)| (name, vector_output::Vector::Dense(DenseVector { data: data.clone() })));
        let sparse = self.sparse.iter().map(|(name, sparse)| {
            let (indices, values) = sparse.terms.iter().copied().unzip();
            (name, vector_output::Vector::Sparse(SparseVector { indices, values }))
        });
        let mut vectors: BTreeMap<String, VectorOutput> = dense
            .chain(sparse)
            .filter(|(name, _)| wanted(name))
            .map(|(name, vector)| (name.clone(), VectorOutput { vector: Some(vector), ..VectorOutput::default() }))
            .collect();
        let options = match vectors.remove("") {
            Some(only) if vectors.is_empty() => vectors_output::VectorsOptions::Vector(only),
            unnamed => {
                vectors.extend(unnamed.map(|vector| (String::new(), vector)));
                vectors_output::VectorsOptions::Vectors(NamedVectorsOutput { vectors: vectors.into_iter().collect() })
            }
        };
        Some(VectorsOutput { vectors_options: Some(options) })
    }
}

enum Content<'a> {
    Dense(&'a [f32]),
    Sparse(&'a [u32], &'a [f32]),
}

/// Older clients fill the deprecated flat fields; both forms are read.
#[allow(deprecated, reason = "what older clients send is what this reads")]
fn content(vector: &Vector) -> Result<Content<'_>, Refusal> {
    let Vector { data, indices, vectors_count, vector } = vector;
    refuse_if(vectors_count.is_some(), "multi-vectors")?;
    match (vector, indices) {
        (Some(WireVector::Dense(dense)), _) => Ok(Content::Dense(&dense.data)),
        (Some(WireVector::Sparse(sparse)), _) => Ok(Content::Sparse(&sparse.indices, &sparse.values)),
        (Some(WireVector::MultiDense(_)), _) => Err(Refusal::unsupported("multi-vectors")),
        (Some(WireVector::Document(_) | WireVector::Image(_) | WireVector::Object(_)), _) => {
            Err(Refusal::unsupported("inference on the server"))
        }
        (None, Some(indices)) => Ok(Content::Sparse(&indices.data, data)),
        (None, None) => Ok(Content::Dense(data)),
    }
}

fn named(vectors: &Vectors) -> Result<Vec<(&str, &Vector)>, Refusal> {
    match &vectors.vectors_options {
        None => Err(Refusal::Invalid("Expected some vectors".to_owned())),
        Some(VectorsOptions::Vector(vector)) => Ok(vec![("", vector)]),
        Some(VectorsOptions::Vectors(NamedVectors { vectors })) => {
            Ok(vectors.iter().map(|(name, vector)| (name.as_str(), vector)).collect())
        }
    }
}
