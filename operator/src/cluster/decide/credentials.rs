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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures::{EMBEDDED, EXTERNAL, applied, cluster, nothing, pass};
    use crate::cluster::observed::credentials_to_read;
    use crate::cluster::validate::validate;

    fn plan(spec: &str, observed: &Observed) -> CredentialPlan {
        credentials(&validate(&cluster(spec), observed).unwrap(), observed)
    }

    fn client(name: &str) -> ClientName {
        ClientName::parse(name).unwrap()
    }

    #[test]
    fn a_new_cluster_mints_a_key_of_its_own_for_each_credential() {
        let minted = plan("{}", &nothing()).current;
        assert!(minted.values().all(|planned| planned.is_minted_now && planned.generation == Generation::FIRST));
        let names: Vec<String> = minted.keys().map(Credential::to_string).collect();
        assert_eq!(names, ["api-key-default", "operator", "vector-store"]);
        let materials: BTreeSet<&[u8]> = minted.values().map(|planned| planned.material.0.as_slice()).collect();
        assert_eq!(materials.len(), 3);
        assert!(materials.iter().all(|material| material.len() == 64));
    }

    #[test]
    fn only_a_managed_store_gets_a_key_from_us() {
        for spec in [EMBEDDED, EXTERNAL] {
            assert!(!plan(spec, &nothing()).current.contains_key(&Credential::VectorStore), "{spec}");
        }
    }

    #[test]
    fn a_generation_that_exists_is_read_back_and_never_minted_again() {
        let cluster = cluster("{}");
        let first = plan("{}", &nothing());
        let world = applied(&cluster, &nothing()).later(60);
        let again = plan("{}", &world);
        for (credential, planned) in &again.current {
            assert!(!planned.is_minted_now);
            assert_eq!(planned.material, first.current[credential].material, "{credential}");
        }
    }

    #[test]
    fn a_lost_derived_secret_is_made_again_from_the_generations() {
        let cluster = cluster("{}");
        let mut world = applied(&cluster, &nothing());
        let server = world.children.secrets.server.take();
        let (_, _, children) = pass(&cluster, &world.later(60));
        assert_eq!(Some(children.server_secret.data), server.map(|secret| secret.data));
    }

    #[test]
    fn a_client_is_remembered_until_its_secrets_are_gone() {
        let with = cluster("auth: {apiKeys: [{name: nightly}, {name: web}]}");
        let without = cluster("auth: {apiKeys: [{name: web}]}");
        let world = applied(&with, &nothing());

        let (_, plan, children) = pass(&without, &world);
        assert!(plan.credentials.remembered_clients.contains(&client("nightly")));
        let nightly = Credential::ApiKey(client("nightly"));
        assert!(!children.server_secret.data.as_ref().unwrap().contains_key(&nightly.current_file()));
        // Cut off before the prune: what the mounted Secret remembers is enough to find the rest.
        assert!(credentials_to_read(&without.spec, Some(&children.server_secret)).contains(&nightly));

        let world = applied(&without, &world);
        assert!(!world.children.secrets.client_keys.contains_key(&client("nightly")));
        let (_, _, children) = pass(&without, &world);
        assert!(!credentials_to_read(&without.spec, Some(&children.server_secret)).contains(&nightly));
    }

    #[test]
    fn no_debug_form_shows_material() {
        let observed = applied(&cluster("{}"), &nothing());
        let plan = plan("{}", &observed);
        let material = String::from_utf8(plan.current[&Credential::Operator].material.0.clone()).unwrap();
        let shown = format!("{plan:?} {observed:?}");
        let bytes = format!("{:?}", material.as_bytes());
        assert!(!shown.contains(&material) && !shown.contains(bytes.trim_matches(['[', ']'])));
    }
}
