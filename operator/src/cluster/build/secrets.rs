//! Secrets: the immutable generations that are minted once, and what is derived from them for servers and clients.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::metadata::{self, Part};
use crate::api::{ClientName, Credential, labels};
use crate::cluster::decide::credentials::{CredentialPlan, Material, PlannedGeneration};
use crate::cluster::validate::{MATERIAL_KEY, ValidatedCluster};

/// The key of the managed vector store's Secret.
pub(super) const QDRANT_KEY: &str = "api-key";

/// The generations that this pass mints.
pub(super) fn minted(cluster: &ValidatedCluster, plan: &CredentialPlan, now: Timestamp) -> Vec<Secret> {
    let minted = plan.current.iter().filter(|(_, planned)| planned.is_minted_now);
    minted.map(|(credential, planned)| generation(cluster, credential, planned, now)).collect()
}

fn generation(
    cluster: &ValidatedCluster,
    credential: &Credential,
    planned: &PlannedGeneration,
    now: Timestamp,
) -> Secret {
    let name = cluster.name.generation(credential, planned.generation);
    let metadata = metadata::child(cluster, part(credential), name);
    let metadata = metadata::labelled(
        metadata,
        [(labels::CREDENTIAL, &credential.to_string()), (labels::GENERATION, &planned.generation.to_string())],
    );
    let minted_at = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    Secret {
        metadata: metadata::annotated(metadata, [(labels::MINTED_AT, &minted_at)]),
        data: Some(BTreeMap::from([(MATERIAL_KEY.to_owned(), bytes(&planned.material))])),
        immutable: Some(true),
        ..Secret::default()
    }
}

fn part(credential: &Credential) -> Part {
    match credential {
        Credential::ApiKey(_) | Credential::Operator => Part::Server,
        Credential::VectorStore => Part::VectorStore,
    }
}

/// The Secret that the servers mount: one file for each credential.
pub(super) fn server(cluster: &ValidatedCluster, plan: &CredentialPlan) -> Secret {
    let files = plan.current.iter().map(|(credential, planned)| (credential.current_file(), bytes(&planned.material)));
    let clients: Vec<&str> = plan.remembered_clients.iter().map(ClientName::as_str).collect();
    let metadata = metadata::child(cluster, Part::Server, cluster.name.server());
    Secret {
        metadata: metadata::annotated(metadata, [(labels::CLIENTS, &clients.join(","))]),
        data: Some(files.collect()),
        ..Secret::default()
    }
}

/// The Secrets from which clients take their keys.
pub(super) fn client_keys(cluster: &ValidatedCluster, plan: &CredentialPlan) -> Vec<Secret> {
    let keys = plan.current.iter().filter_map(|(credential, planned)| match credential {
        Credential::ApiKey(client) => Some((client, planned)),
        Credential::Operator | Credential::VectorStore => None,
    });
    let secret = |(client, planned): (&ClientName, &PlannedGeneration)| Secret {
        metadata: metadata::child(cluster, Part::Server, cluster.name.client_key(client)),
        data: Some(BTreeMap::from([(MATERIAL_KEY.to_owned(), bytes(&planned.material))])),
        ..Secret::default()
    };
    keys.map(secret).collect()
}

/// The Secret from which the managed vector store takes its key.
pub(super) fn qdrant(cluster: &ValidatedCluster, plan: &CredentialPlan) -> Secret {
    let key = plan.current.get(&Credential::VectorStore);
    let data = key.map(|planned| BTreeMap::from([(QDRANT_KEY.to_owned(), bytes(&planned.material))]));
    Secret { metadata: metadata::child(cluster, Part::VectorStore, cluster.name.qdrant()), data, ..Secret::default() }
}

fn bytes(material: &Material) -> ByteString {
    ByteString(material.0.clone())
}
