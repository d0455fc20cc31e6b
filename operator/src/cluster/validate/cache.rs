//! What the servers remember of questions: their memory, or a Redis behind it.

use super::Problems;
use super::place::{Place, place_of};
use crate::api::cluster::RagCluster;

/// A Redis that somebody else runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Redis {
    /// Its address.
    pub url: String,
    /// Where that is.
    pub place: Place,
    /// Whether it shows a certificate.
    pub tls: bool,
    /// The Secret with its password, if it needs one.
    pub secret: Option<String>,
}

/// The Redis that the spec asks for; none where each server has its memory alone.
pub(super) fn redis(cluster: &RagCluster, problems: &mut Problems) -> Option<Redis> {
    let cache = cluster.spec.cache.as_ref()?;
    // The CRD says so too; this holds where an object was stored before the rule existed.
    if cache.memory.is_some() == cache.redis.is_some() {
        problems.invalid(
            "spec.cache",
            "not exactly one cache",
            "name exactly one of memory and redis, or leave cache out",
        );
        return None;
    }
    let redis = cache.redis.as_ref()?;
    let namespace = cluster.metadata.namespace.as_deref().unwrap_or_default();
    let Some(place) = place_of(&redis.url, namespace) else {
        // Somebody may have put a password into it.
        problems.invalid(
            "spec.cache.redis.url",
            "a URL that names no host, or no valid port",
            "write it as redis://HOST:6379, or over TLS as rediss://HOST:6379",
        );
        return None;
    };
    let secret = redis.secret_ref.as_ref().map(|secret| secret.name.clone());
    let tls = redis.url.starts_with("rediss:");
    Some(Redis { url: redis.url.trim_end_matches('/').to_owned(), place, tls, secret })
}
