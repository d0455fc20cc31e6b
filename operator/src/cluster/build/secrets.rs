//! Secrets: the immutable generations that are minted once, and what is derived from them for servers and clients.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::metadata::{self, Part};
use crate::api::{ClientName, Credential, labels};
use crate::cluster::decide::credentials::{CredentialPlan, Material, Origin, PlannedGeneration};
use crate::cluster::observed::MATERIAL_KEY;
use crate::cluster::validate::ValidatedCluster;

pub(super) use crate::cluster::observed::QDRANT_KEY;

/// The generations that this pass makes: minted, or read back.
pub(super) fn minted(cluster: &ValidatedCluster, plan: &CredentialPlan, now: Timestamp) -> Vec<Secret> {
    let minted = plan.current.iter().filter(|(_, planned)| planned.origin != Origin::Stored);
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
        // When what was read back was minted, nobody knows any more.
        metadata: match planned.origin {
            Origin::Minted => metadata::annotated(metadata, [(labels::MINTED_AT, &minted_at)]),
            Origin::Stored | Origin::ReadBack => metadata,
        },
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

/// The Secret that the servers mount: one file for each credential. With a credential lost it is not made anew: the servers that
/// run still hold on to what they mounted, until a newer one takes it from them.
pub(super) fn server(cluster: &ValidatedCluster, plan: &CredentialPlan, live: Option<&Secret>) -> Option<Secret> {
    if !plan.lost.is_empty() && live.is_none() {
        return None;
    }
    let files = plan.current.iter().map(|(credential, planned)| (credential.current_file(), bytes(&planned.material)));
    let clients: Vec<&str> = plan.remembered_clients.iter().map(ClientName::as_str).collect();
    let metadata = metadata::child(cluster, Part::Server, cluster.name.server());
    Some(Secret {
        metadata: metadata::annotated(metadata, [(labels::CLIENTS, &clients.join(","))]),
        data: Some(files.collect()),
        ..Secret::default()
    })
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

/// The Secret from which the managed vector store takes its key, unless that is lost.
pub(super) fn qdrant(cluster: &ValidatedCluster, plan: &CredentialPlan) -> Option<Secret> {
    let key = plan.current.get(&Credential::VectorStore)?;
    Some(Secret {
        metadata: metadata::child(cluster, Part::VectorStore, cluster.name.qdrant()),
        data: Some(BTreeMap::from([(QDRANT_KEY.to_owned(), bytes(&key.material))])),
        ..Secret::default()
    })
}

fn bytes(material: &Material) -> ByteString {
    ByteString(material.0.clone())
}
