//! The Secrets: those of users that the spec names, and those in which the operator keeps what it minted.
//!
//! What runs has them already, so each keeps no more than a new revision from being made.

use std::collections::BTreeMap;

use super::{Client, Problems, Scope, Store};
use crate::api::cluster::RagClusterSpec;
use crate::api::{ClientName, ClusterName, ConditionReason, Credential, Generation};
use crate::cluster::observed::{MATERIAL_KEY, Observed, Presence};

pub(super) fn check_named(spec: &RagClusterSpec, observed: &Observed, problems: &mut Problems) {
    for (field, name) in spec.secrets_of_pods() {
        if observed.referenced_secrets.get(name) == Some(&Presence::Missing) {
            problems.add(
                (Scope::Revision, ConditionReason::SecretMissing),
                field,
                format!("there is no Secret \"{name}\" in this namespace"),
                "create it, or name another one",
            );
        }
    }
}

/// Material is written once and is immutable: a Secret without it was not written by us.
pub(super) fn check_material(observed: &Observed, problems: &mut Problems) {
    for secret in observed.children.secrets.generations.values() {
        let has_material =
            secret.data.as_ref().and_then(|data| data.get(MATERIAL_KEY)).is_some_and(|key| !key.0.is_empty());
        if !has_material {
            problems.add(
                (Scope::Revision, ConditionReason::InvalidSpec),
                format!("Secret/{}", secret.metadata.name.as_deref().unwrap_or_default()),
                format!("holds no \"{MATERIAL_KEY}\""),
                "delete it, and it is made again with the key that is in use",
            );
        }
    }
}

/// A new key in the place of one that is in use would be refused by whoever has the old one: that is for a person to decide.
pub(super) fn check_lost(
    name: &ClusterName,
    clients: &BTreeMap<ClientName, Client>,
    store: &Store,
    observed: &Observed,
    problems: &mut Problems,
) {
    for client in clients.keys() {
        let credential = Credential::ApiKey(client.clone());
        if observed.is_lost(&credential) {
            let (stored, mounted) = (name.generation(&credential, Generation::FIRST), name.server());
            problems.add(
                (Scope::Revision, ConditionReason::CredentialLost),
                format!("Secret/{stored}"),
                format!(
                    "the key of client \"{client}\" is in use, and is neither there nor in Secret \"{mounted}\" or \"{}\"",
                    name.client_key(client)
                ),
                "restore one of them from a backup, or put a client of another name in its place in spec.auth.apiKeys, which \
                 gets a new key",
            );
        }
    }
    if matches!(store, Store::Managed(_)) && observed.is_lost(&Credential::VectorStore) {
        let (stored, mounted) = (name.generation(&Credential::VectorStore, Generation::FIRST), name.server());
        let field = format!("Secret/{stored}");
        let qdrant = name.qdrant();
        let found = format!(
            "the key of the vector store is in use, and is neither there nor in Secret \"{qdrant}\" or \"{mounted}\""
        );
        let remedy = format!(
            "restore one of them from a backup; or, for a new key, delete StatefulSet {qdrant} with --cascade=orphan and then \
             pod {qdrant}-0: the volume stays, and queries wait for the restart"
        );
        // Halfway through the remedy, a StatefulSet would take the pod up again, with the key that is lost.
        problems.add((Scope::of_store(observed), ConditionReason::CredentialLost), field, found, remedy);
    }
}
