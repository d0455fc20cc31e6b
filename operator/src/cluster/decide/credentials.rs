//! Which generation of each credential exists, and which is to be minted.
//!
//! A generation is minted once: where its Secret exists, what is inside counts, whatever was derived from it is lost. What is
//! minted in this pass is derived from the entropy in the facts, so the decision stays a pure function.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sha2::{Digest, Sha256};

use crate::api::{ClientName, Credential, Generation};
use crate::cluster::observed::{Entropy, Observed};
use crate::cluster::validate::{MATERIAL_KEY, Store, ValidatedCluster};

/// The generation in use of every credential.
#[derive(Clone, Debug, PartialEq)]
pub struct CredentialPlan {
    /// By credential.
    pub current: BTreeMap<Credential, PlannedGeneration>,
    /// Clients that the mounted Secret has to remember: those of the spec, and those whose Secrets still have to go.
    pub remembered_clients: BTreeSet<ClientName>,
}

/// One generation in use.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedGeneration {
    /// Which.
    pub generation: Generation,
    /// The key itself.
    pub material: Material,
    /// Whether this pass mints it.
    pub is_minted_now: bool,
}

/// Key material. Its debug form shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Material(pub Vec<u8>);

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Material(..)")
    }
}

/// The generation in use of every credential that the cluster needs.
pub fn credentials(cluster: &ValidatedCluster, observed: &Observed) -> CredentialPlan {
    let current = needed(cluster).into_iter().map(|credential| {
        let planned = planned(&credential, observed);
        (credential, planned)
    });
    let secrets = &observed.children.secrets;
    let still_there = secrets.generations.keys().filter_map(|(credential, _)| match credential {
        Credential::ApiKey(client) => Some(client),
        Credential::Operator | Credential::VectorStore => None,
    });
    let remembered = still_there.chain(secrets.client_keys.keys()).chain(cluster.clients.keys());
    CredentialPlan { current: current.collect(), remembered_clients: remembered.cloned().collect() }
}

/// Every credential that the cluster needs.
pub fn needed(cluster: &ValidatedCluster) -> BTreeSet<Credential> {
    let mut needed: BTreeSet<Credential> = cluster.clients.keys().cloned().map(Credential::ApiKey).collect();
    needed.insert(Credential::Operator);
    if matches!(cluster.store, Store::Managed(_)) {
        needed.insert(Credential::VectorStore);
    }
    needed
}

fn planned(credential: &Credential, observed: &Observed) -> PlannedGeneration {
    let generations = &observed.children.secrets.generations;
    let newest =
        generations.iter().filter(|((of, _), _)| of == credential).max_by_key(|((_, generation), _)| *generation);
    let existing = newest.and_then(|((_, generation), secret)| {
        let material = secret.data.as_ref()?.get(MATERIAL_KEY)?.0.clone();
        Some(PlannedGeneration { generation: *generation, material: Material(material), is_minted_now: false })
    });
    existing.unwrap_or_else(|| {
        let material = mint(&observed.entropy, credential, Generation::FIRST);
        PlannedGeneration { generation: Generation::FIRST, material, is_minted_now: true }
    })
}

/// 256 bits in hexadecimal, which stand in a header and in a file alike. Each credential gets its own by hashing the pass's
/// entropy together with its name; the entropy itself is kept nowhere.
fn mint(entropy: &Entropy, credential: &Credential, generation: Generation) -> Material {
    let mut hash = Sha256::new();
    hash.update(entropy.0);
    hash.update(format!("{credential}/g{generation}"));
    Material(hex::encode(hash.finalize()).into_bytes())
}
