//! Where vectors and records live: exactly one store, with every absent value resolved.

use http::Uri;

use super::{Amounts, Problems, QDRANT_REQUESTS, amounts, qdrant};
use crate::api::cluster::{
    ExternalQdrant, ManagedQdrant, PodTemplate, Profile, RagCluster, RagClusterSpec, SecretKeyRef, Storage,
};
use crate::cluster::observed::Observed;

/// Where vectors and records live.
#[derive(Clone, Debug, PartialEq)]
pub enum Store {
    /// A Qdrant that the operator runs.
    Managed(ManagedStore),
    /// A Qdrant that somebody else runs.
    External(ExternalStore),
    /// The engine inside the one server.
    Embedded {
        /// Its volume.
        storage: Storage,
    },
}

/// A Qdrant that the operator runs.
#[derive(Clone, Debug, PartialEq)]
pub struct ManagedStore {
    /// Its volume.
    pub storage: Storage,
    /// Its image, where the spec names one.
    pub image: Option<String>,
    /// Its CPU and memory.
    pub resources: Amounts,
    /// What its pod carries besides.
    pub pod_template: PodTemplate,
}

/// A Qdrant that somebody else runs.
#[derive(Clone, Debug, PartialEq)]
pub struct ExternalStore {
    /// Address of its gRPC port.
    pub url: String,
    /// Its port.
    pub port: u16,
    /// Where its key stands, if it needs one.
    pub api_key: Option<SecretKeyRef>,
    /// The collection.
    pub collection: String,
}

pub(super) fn store(cluster: &RagCluster, observed: &Observed, problems: &mut Problems) -> Option<Store> {
    let Some(store) = &cluster.spec.vector_store else {
        return Some(managed(&ManagedQdrant::default(), observed, problems));
    };
    match (&store.qdrant, &store.external_qdrant, &store.embedded) {
        (Some(qdrant), None, None) => Some(managed(qdrant, observed, problems)),
        (None, Some(external), None) => self::external(external, cluster, problems),
        (None, None, Some(embedded)) => Some(Store::Embedded { storage: embedded.storage.clone() }),
        _ => {
            problems.invalid(
                "spec.vectorStore",
                "not exactly one vector store",
                "name exactly one of qdrant, externalQdrant and embedded, or leave vectorStore out",
            );
            None
        }
    }
}

fn managed(asked: &ManagedQdrant, observed: &Observed, problems: &mut Problems) -> Store {
    if let Some(image) = &asked.image {
        qdrant::check(image, observed, problems);
    }
    let field = "spec.vectorStore.qdrant.resources";
    Store::Managed(ManagedStore {
        storage: asked.storage.clone(),
        image: asked.image.clone(),
        resources: amounts(field, asked.resources.as_ref(), QDRANT_REQUESTS, problems),
        pod_template: asked.pod_template.clone().unwrap_or_default(),
    })
}

fn external(external: &ExternalQdrant, cluster: &RagCluster, problems: &mut Problems) -> Option<Store> {
    let Some(port) = port_of(&external.url) else {
        problems.invalid(
            "spec.vectorStore.externalQdrant.url",
            format!("\"{}\" names no host, or no valid port", external.url),
            "write it as https://HOST:6334, with the gRPC port",
        );
        return None;
    };
    Some(Store::External(ExternalStore {
        url: external.url.trim_end_matches('/').to_owned(),
        port,
        api_key: external.api_key_secret_ref.clone(),
        collection: external.collection.clone().or_else(|| cluster.metadata.name.clone()).unwrap_or_default(),
    }))
}

/// The port of a URL; a scheme's own port where it names none. What has none, the servers would refuse, too.
pub(super) fn port_of(url: &str) -> Option<u16> {
    let url: Uri = url.parse().ok()?;
    let default = match url.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return None,
    };
    let authority = url.authority().filter(|authority| !authority.host().is_empty())?;
    match authority.as_str().strip_prefix(authority.host())? {
        "" => Some(default),
        port => port.strip_prefix(':')?.parse().ok().filter(|port| *port != 0),
    }
}

/// The CRD says so too; this holds where an object was stored before the rule existed.
pub(super) fn check_embedded(spec: &RagClusterSpec, problems: &mut Problems) {
    let is_embedded = spec.vector_store.as_ref().is_some_and(|store| store.embedded.is_some());
    let fits = spec.profile == Profile::Development && spec.replicas == 1 && !spec.autoscaling.enabled;
    if is_embedded && !fits {
        problems.invalid(
            "spec.vectorStore.embedded",
            "the embedded vector store lives inside one server",
            "set profile: Development, replicas: 1 and autoscaling.enabled: false, or choose vectorStore.qdrant",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gives_its_port() {
        for (url, port) in [
            ("https://qdrant.example.com:6334", Some(6334)),
            ("https://qdrant.example.com/", Some(443)),
            ("http://qdrant", Some(80)),
            ("http://[::1]:6334", Some(6334)),
            ("http://[::1]", Some(80)),
            ("https://api.example.com/v1", Some(443)),
            ("http://llm.rag.svc:8000/v1/", Some(8000)),
            ("https:///v1", None),
            ("https://:6334", None),
            ("https://host:0", None),
            ("https://host:70000", None),
            ("ftp://host", None),
            ("host:6334", None),
            ("https://user:secret@host", None),
            ("https://host:443:443", None),
            ("http://[::1", None),
            ("https://ho{st}/v1", None),
            ("https://h\u{f6}st/v1", None),
        ] {
            assert_eq!(port_of(url), port, "{url}");
        }
    }
}
