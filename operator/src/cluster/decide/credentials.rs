//! Which generation of each credential exists, and which is to be minted.
//!
//! A generation is minted once: where its Secret exists, what is inside counts, whatever was derived from it is lost. Where the
//! Secret itself is lost, it is made again of what was derived from it; where nothing holds what is in use any more, nothing is
//! minted in its place. What is minted in this pass is derived from the entropy in the facts, so the decision stays a pure
//! function.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sha2::{Digest, Sha256};

use crate::api::{ClientName, Credential, Generation};
use crate::cluster::observed::{Entropy, Observed};
use crate::cluster::validate::{Store, ValidatedCluster};

/// The generation in use of every credential.
#[derive(Clone, Debug, PartialEq)]
pub struct CredentialPlan {
    /// By credential.
    pub current: BTreeMap<Credential, PlannedGeneration>,
    /// Those that the cluster needs and that no Secret holds any more.
    pub lost: BTreeSet<Credential>,
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
    /// Where the key is from.
    pub origin: Origin,
}

/// Where the material of a generation is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The generation's Secret exists.
    Stored,
    /// Its Secret was lost, and this pass makes it again of what was derived from it.
    ReadBack,
    /// This pass mints it.
    Minted,
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
    let needed = needed(cluster);
    let current: BTreeMap<Credential, PlannedGeneration> =
        needed.iter().filter_map(|credential| Some((credential.clone(), planned(credential, observed)?))).collect();
    let lost = needed.into_iter().filter(|credential| !current.contains_key(credential)).collect();
    let secrets = &observed.children.secrets;
    let still_there = secrets.generations.keys().filter_map(|(credential, _)| match credential {
        Credential::ApiKey(client) => Some(client),
        Credential::Operator | Credential::VectorStore => None,
    });
    let remembered = still_there.chain(secrets.client_keys.keys()).chain(cluster.clients.keys());
    CredentialPlan { current, lost, remembered_clients: remembered.cloned().collect() }
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

/// Nothing where the material is lost.
fn planned(credential: &Credential, observed: &Observed) -> Option<PlannedGeneration> {
    let secrets = &observed.children.secrets;
    let newest = secrets.newest(credential).map(|(generation, _)| generation);
    let generation = newest.unwrap_or(Generation::FIRST);
    let (material, origin) = match (secrets.material(credential), newest) {
        (Some(material), Some(_)) => (Material(material.0.clone()), Origin::Stored),
        (Some(material), None) => (Material(material.0.clone()), Origin::ReadBack),
        (None, None) if !observed.is_lost(credential) => {
            (mint(&observed.entropy, credential, generation), Origin::Minted)
        }
        (None, None | Some(_)) => return None,
    };
    Some(PlannedGeneration { generation, material, origin })
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
    use crate::cluster::observed::{Presence, credentials_to_read};
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
        assert!(
            minted.values().all(|planned| planned.origin == Origin::Minted && planned.generation == Generation::FIRST)
        );
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
            assert_eq!(planned.origin, Origin::Stored);
            assert_eq!(planned.material, first.current[credential].material, "{credential}");
        }
    }

    #[test]
    fn a_lost_derived_secret_is_made_again_from_the_generations() {
        let cluster = cluster("{}");
        let mut world = applied(&cluster, &nothing());
        let server = world.children.secrets.server.take();
        let (_, _, children) = pass(&cluster, &world.later(60));
        assert_eq!(children.server_secret.map(|secret| secret.data), server.map(|secret| secret.data));
    }

    #[test]
    fn a_lost_generation_is_made_again_of_what_was_derived_from_it() {
        let cluster = cluster("{}");
        let world = applied(&cluster, &nothing());
        let before = plan("{}", &world).current;
        let mut without = world.clone().later(60);
        without.children.secrets.generations.clear();
        // Whatever else is lost with the generations, one copy is enough.
        let mut unmounted = without.clone();
        unmounted.children.secrets.server = None;
        let mut mounted = without.clone();
        (mounted.children.secrets.qdrant, mounted.children.secrets.client_keys) = (None, BTreeMap::new());
        for (credential, known) in &before {
            for (world, has_copy) in
                [(&without, true), (&mounted, true), (&unmounted, *credential != Credential::Operator)]
            {
                let again = &plan("{}", world).current[credential];
                let origin = if has_copy { Origin::ReadBack } else { Origin::Minted };
                assert_eq!((again.origin, again.material == known.material), (origin, has_copy), "{credential}");
            }
        }
        let (_, _, children) = pass(&cluster, &without);
        assert_eq!(children.minted.len(), 3);
        for secret in &children.minted {
            let lost =
                world.children.secrets.generations.values().find(|lost| lost.metadata.name == secret.metadata.name);
            assert_eq!(lost.map(|lost| &lost.data), Some(&secret.data));
            assert_eq!(secret.metadata.annotations, None, "nobody knows when it was minted");
        }
        assert_eq!(children.server_secret, world.children.secrets.server);
    }

    #[test]
    fn the_vector_store_s_own_copy_of_its_key_counts_before_the_servers() {
        let mut world = applied(&cluster("{}"), &nothing());
        world.children.secrets.generations.clear();
        let copy = world.children.secrets.qdrant.as_mut().unwrap().data.as_mut().unwrap();
        copy.insert("api-key".to_owned(), k8s_openapi::ByteString(b"the one that it was started with".to_vec()));
        let planned = &plan("{}", &world).current[&Credential::VectorStore];
        assert_eq!(planned.material.0, b"the one that it was started with");
    }

    #[test]
    fn nothing_is_minted_in_the_place_of_a_key_that_is_in_use_and_lost() {
        let cluster = cluster("{}");
        let mut world = applied(&cluster, &nothing()).later(60);
        let (_, before, _) = pass(&cluster, &world);
        world.children.secrets = crate::cluster::observed::OwnSecrets::default();
        let (_, plan, children) = pass(&cluster, &world);
        let lost: Vec<String> = plan.credentials.lost.iter().map(Credential::to_string).collect();
        assert_eq!(lost, ["api-key-default", "vector-store"]);
        assert_eq!(plan.revision, before.revision);
        let minted: Vec<_> = children.minted.iter().filter_map(|secret| secret.metadata.name.as_deref()).collect();
        assert_eq!(minted, ["handbook-operator-g1"]);
        // What runs has mounted the old ones, and would lose them to a new object.
        assert!(children.server_secret.is_none() && children.client_keys.is_empty());
        assert!(children.qdrant.unwrap().secret.is_none());
    }

    #[test]
    fn a_damaged_generation_gives_way_to_a_copy_and_is_not_made_again_while_it_is_there() {
        let cluster = cluster("{}");
        let mut world = applied(&cluster, &nothing()).later(60);
        let before = plan("{}", &world).current;
        world.children.secrets.generations.values_mut().for_each(|secret| secret.data = None);
        assert_eq!(plan("{}", &world).current, before);
        assert!(pass(&cluster, &world).2.minted.is_empty());
    }

    #[test]
    fn a_removed_client_loses_its_key_while_the_next_revision_is_held() {
        let with = cluster("auth: {apiKeys: [{name: nightly}, {name: web}]}");
        let mut world = applied(&with, &nothing());
        world.referenced_secrets.insert("pull".to_owned(), Presence::Missing);
        let without = cluster("{auth: {apiKeys: [{name: web}]}, podTemplate: {imagePullSecrets: [{name: pull}]}}");
        let (_, plan, children) = pass(&without, &world);
        assert!(!plan.held.is_empty());
        let mounted = children.server_secret.unwrap().data.unwrap();
        let files: Vec<&str> = mounted.keys().map(String::as_str).collect();
        assert_eq!(files, ["api-key.web.current", "operator.current", "vector-store.current"]);
        let pruned: Vec<&str> = plan.prune.iter().map(|object| object.name.as_str()).collect();
        assert_eq!(pruned, ["handbook-key-nightly", "handbook-api-key-nightly-g1"]);

        // The servers still run with the old configuration; their mounted Secret says that the key is no longer in use.
        let nightly = Credential::ApiKey(client("nightly"));
        let before = world.children.secrets.material(&nightly).cloned();
        let revoked = applied(&without, &world).later(60);
        let (_, plan, _) = pass(&with, &revoked);
        let again = &plan.credentials.current[&nightly];
        assert_eq!(again.origin, Origin::Minted);
        assert_ne!(Some(&again.material.0), before.as_ref().map(|before| &before.0));
    }

    #[test]
    fn a_client_is_remembered_until_its_secrets_are_gone() {
        let with = cluster("auth: {apiKeys: [{name: nightly}, {name: web}]}");
        let without = cluster("auth: {apiKeys: [{name: web}]}");
        let world = applied(&with, &nothing());

        let (_, plan, children) = pass(&without, &world);
        let mounted = children.server_secret.unwrap();
        assert!(plan.credentials.remembered_clients.contains(&client("nightly")));
        let nightly = Credential::ApiKey(client("nightly"));
        assert!(!mounted.data.as_ref().unwrap().contains_key(&nightly.current_file()));
        // Cut off before the prune: what the mounted Secret remembers is enough to find the rest.
        assert!(credentials_to_read(&without.spec, Some(&mounted)).contains(&nightly));

        let world = applied(&without, &world);
        assert!(!world.children.secrets.client_keys.contains_key(&client("nightly")));
        let (_, _, children) = pass(&without, &world);
        assert!(!credentials_to_read(&without.spec, children.server_secret.as_ref()).contains(&nightly));
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
