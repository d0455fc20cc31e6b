//! Where vectors and records live: exactly one store, with every absent value resolved.

use super::place::{Place, place_of};
use super::{
    Amounts, Problems,
    amounts::{self, QDRANT_REQUESTS},
    qdrant,
};
use crate::api::cluster::{
    ExternalQdrant, ManagedQdrant, PodTemplate, Profile, RagCluster, RagClusterSpec, SecretKeyRef, Storage,
};
use crate::cluster::observed::Observed;

/// Where vectors and records live.
#[derive(Clone, Debug, PartialEq)]
pub enum Store {
    /// A Qdrant that the operator runs.
    Managed(Box<ManagedStore>),
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
    /// Where that is.
    pub place: Place,
    /// Where its key stands, if it needs one.
    pub api_key: Option<SecretKeyRef>,
    /// The key of the same Secret under which the certificates stand that its own is checked against; those of the web without.
    pub ca_key: Option<String>,
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
    Store::Managed(Box::new(ManagedStore {
        storage: asked.storage.clone(),
        image: asked.image.clone(),
        resources: amounts::resolved(field, asked.resources.as_ref(), QDRANT_REQUESTS, problems),
        pod_template: asked.pod_template.clone().unwrap_or_default(),
    }))
}

fn external(external: &ExternalQdrant, cluster: &RagCluster, problems: &mut Problems) -> Option<Store> {
    let namespace = cluster.metadata.namespace.as_deref().unwrap_or_default();
    let Some(place) = place_of(&external.url, namespace) else {
        problems.invalid(
            "spec.vectorStore.externalQdrant.url",
            format!("\"{}\" names no host, or no valid port", external.url),
            "write it as https://HOST:6334, with the gRPC port",
        );
        return None;
    };
    Some(Store::External(ExternalStore {
        url: external.url.trim_end_matches('/').to_owned(),
        place,
        api_key: external.api_key_secret_ref.clone(),
        ca_key: external.ca_key.clone(),
        collection: external.collection.clone().or_else(|| cluster.metadata.name.clone()).unwrap_or_default(),
    }))
}

/// The CRD says so too; this holds where an object was stored before the rule existed.
pub(super) fn check_embedded(spec: &RagClusterSpec, problems: &mut Problems) {
    let fits = spec.profile == Profile::Development && spec.replicas == 1 && !spec.autoscaling.enabled;
    if spec.embedded().is_some() && !fits {
        problems.invalid(
            "spec.vectorStore.embedded",
            "the embedded vector store lives inside one server",
            "set profile: Development, replicas: 1 and autoscaling.enabled: false, or choose vectorStore.qdrant",
        );
    }
}
