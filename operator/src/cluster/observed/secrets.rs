//! The Secrets that the operator made for a cluster: the generations of its credentials, and what was derived from them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use crate::api::{ClientName, Credential, Generation, RagClusterSpec, labels};

/// Where the key material stands in a Secret of one generation, and in a client's Secret.
pub const MATERIAL_KEY: &str = "key";

/// Where the managed vector store's Secret holds its key.
pub const QDRANT_KEY: &str = "api-key";

/// The Secrets that the operator made for this cluster, with what is inside.
#[derive(Clone, Default)]
pub struct OwnSecrets {
    /// NAME-server, which the servers mount.
    pub server: Option<Secret>,
    /// NAME-qdrant, from which the managed vector store takes its key.
    pub qdrant: Option<Secret>,
    /// NAME-key-CLIENT.
    pub client_keys: BTreeMap<ClientName, Secret>,
    /// NAME-CREDENTIAL-gN, immutable.
    pub generations: BTreeMap<(Credential, Generation), Secret>,
}

impl OwnSecrets {
    /// The newest generation of a credential.
    pub fn newest(&self, credential: &Credential) -> Option<(Generation, &Secret)> {
        let generations = self.generations.iter().filter(|((of, _), _)| of == credential);
        generations.map(|((_, generation), secret)| (*generation, secret)).max_by_key(|(generation, _)| *generation)
    }

    /// The material of a credential, of its newest generation or, where that is lost, of what was derived from it: first as
    /// whoever checks the key has it.
    pub fn material(&self, credential: &Credential) -> Option<&ByteString> {
        let stored = self.newest(credential).and_then(|(_, secret)| content(Some(secret), MATERIAL_KEY));
        let mounted = || content(self.server.as_ref(), &credential.current_file());
        stored.or_else(|| match credential {
            Credential::ApiKey(client) => mounted().or_else(|| content(self.client_keys.get(client), MATERIAL_KEY)),
            Credential::Operator => mounted(),
            Credential::VectorStore => content(self.qdrant.as_ref(), QDRANT_KEY).or_else(mounted),
        })
    }
}

/// What stands in a Secret under a key, unless nothing does.
fn content<'a>(secret: Option<&'a Secret>, key: &str) -> Option<&'a ByteString> {
    secret?.data.as_ref()?.get(key).filter(|content| !content.0.is_empty())
}

impl fmt::Debug for OwnSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnSecrets")
            .field("server", &self.server.is_some())
            .field("qdrant", &self.qdrant.is_some())
            .field("client_keys", &self.client_keys.keys())
            .field("generations", &self.generations.keys())
            .finish()
    }
}

/// The credentials whose Secrets have to be read: those that the spec asks for, and those of clients that are gone from the
/// spec and whose Secrets may still exist. The mounted Secret remembers the latter, since Secrets are never listed.
pub fn credentials_to_read(spec: &RagClusterSpec, mounted: Option<&Secret>) -> Vec<Credential> {
    let remembered = mounted.and_then(|secret| secret.metadata.annotations.as_ref()?.get(labels::CLIENTS));
    let remembered =
        remembered.iter().flat_map(|names| names.split(',')).filter_map(|name| ClientName::parse(name).ok());
    let listed = spec.auth.api_keys.iter().filter_map(|key| ClientName::parse(&key.name).ok());
    let mut clients: BTreeSet<ClientName> = listed.chain(remembered).collect();
    if spec.auth.api_keys.is_empty() {
        clients.insert(ClientName::default_client());
    }
    let mut credentials = vec![Credential::Operator];
    let is_managed = spec.vector_store.as_ref().is_none_or(|store| store.qdrant.is_some());
    if is_managed {
        credentials.push(Credential::VectorStore);
    }
    credentials.extend(clients.into_iter().map(Credential::ApiKey));
    credentials
}
