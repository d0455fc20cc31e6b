//! The services outside that the servers call with a key of the user's.

use super::Problems;
use super::place::{Place, place_of};
use crate::api::cluster::{RagCluster, SecretKeyRef};

/// The folder of the embedder's key; the CRD lets no provider have this name.
pub const EMBEDDING: &str = "embedding";
/// The folder of the reranker's key; the CRD lets no provider have this name.
pub const RERANK: &str = "rerank";

/// The folder of the headers for the collector of traces; the CRD lets no provider have this name.
pub const TRACING: &str = "tracing";

/// A service outside.
#[derive(Clone, Debug, PartialEq)]
pub struct Outside {
    /// The folder of its key, which is unique in a cluster.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// Where its key stands, if it needs one.
    pub key: Option<SecretKeyRef>,
}

/// All of them, in the order of the spec.
pub(super) fn outside(cluster: &RagCluster, problems: &mut Problems) -> Vec<Outside> {
    let (spec, namespace) = (&cluster.spec, cluster.metadata.namespace.as_deref().unwrap_or_default());
    let mut all = Vec::new();
    let mut add = |field: String, name: &str, url: &str, key: &Option<SecretKeyRef>| match place_of(url, namespace) {
        Some(place) => all.push(Outside { name: name.to_owned(), place, key: key.clone() }),
        // Somebody may have put a password into it.
        None => {
            problems.invalid(field, "a URL that names no host, or no valid port", "write it as https://HOST/v1");
        }
    };
    if let Some(service) = spec.embedding.as_ref().and_then(|embedding| embedding.open_ai.as_ref()) {
        add("spec.embedding.openAI.baseUrl".to_owned(), EMBEDDING, &service.base_url, &service.secret_ref);
    }
    if let Some(service) = &spec.retrieval.rerank {
        add("spec.retrieval.rerank.baseUrl".to_owned(), RERANK, &service.base_url, &service.secret_ref);
    }
    if let Some(tracing) = &spec.tracing {
        add("spec.tracing.endpoint".to_owned(), TRACING, &tracing.endpoint, &tracing.secret_ref);
    }
    let providers = spec.generation.iter().flat_map(|generation| generation.providers.iter().enumerate());
    for (index, provider) in providers {
        let field = format!("spec.generation.providers[{index}].baseUrl");
        add(field, &provider.name, &provider.base_url, &provider.secret_ref);
    }
    all
}
