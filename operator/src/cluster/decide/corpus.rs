//! Whose the corpus is: an id that tells this cluster from one of the same name in another Kubernetes cluster.
//!
//! It is minted once, derived from the entropy in the facts, and then read back: from NAME-corpus, which outlives the cluster
//! as its data does, or from a revision that was frozen with it, where somebody removed the object.

use sha2::{Digest, Sha256};

use crate::api::CorpusId;
use crate::cluster::observed::{Entropy, Frozen, Observed};

/// The id of the corpus.
pub fn id(observed: &Observed) -> CorpusId {
    // One that cannot be read has stopped the pass before this.
    let kept = observed.children.corpus_id().and_then(Result::ok);
    kept.or_else(|| frozen(observed)).unwrap_or_else(|| mint(&observed.entropy))
}

/// What the newest revision that has an id was frozen with.
fn frozen(observed: &Observed) -> Option<CorpusId> {
    let revisions = observed.children.revisions.iter();
    let ids = revisions.filter_map(|revision| Some((revision.revision, Frozen::read(revision).ok()?.corpus_id()?)));
    ids.max_by_key(|(number, _)| *number).map(|(_, id)| id)
}

fn mint(entropy: &Entropy) -> CorpusId {
    let mut hash = Sha256::new();
    hash.update(entropy.0);
    hash.update("corpus");
    CorpusId::of_hash(&hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures::{EMBEDDED, EXTERNAL, applied, cluster, nothing, pass};

    fn rendered(spec: &str, observed: &Observed) -> String {
        pass(&cluster(spec), observed).2.config.data.unwrap()["config.toml"].clone()
    }

    #[test]
    fn an_id_is_minted_once_and_read_back_for_every_later_revision() {
        let first = id(&nothing());
        assert_ne!(id(&nothing().later(60)), first, "another pass has other entropy");
        for spec in ["{}", EMBEDDED, EXTERNAL] {
            assert_eq!(id(&applied(&cluster(spec), &nothing()).later(60)), first, "{spec}");
        }
        let world = applied(&cluster("{}"), &nothing()).later(60);
        let new = rendered("retrieval: {topK: 9}", &world);
        assert!(new.contains(&format!("owner_id = \"{first}\"\n")), "{new}");
    }

    #[test]
    fn a_lost_object_is_made_again_from_a_revision() {
        let cluster = cluster("{}");
        let mut world = applied(&cluster, &nothing()).later(60);
        let lost = world.children.corpus.take();
        let (_, _, children) = pass(&cluster, &world);
        assert_eq!(children.corpus.data, lost.unwrap().data);
    }

    #[test]
    fn what_was_retained_is_found_by_a_cluster_of_the_same_name_whose_servers_get_it() {
        let before = applied(&cluster("{}"), &nothing());
        let mut world = nothing().later(60);
        world.children.corpus = before.children.corpus.clone();
        assert_eq!(id(&world), id(&before));
        assert_eq!(rendered("{}", &world), rendered("{}", &before));
    }

    #[test]
    fn a_revision_of_before_there_were_ids_is_left_as_it_was_frozen() {
        let cluster = cluster("{}");
        let mut world = applied(&cluster, &nothing()).later(60);
        world.children.corpus = None;
        let mut frozen = String::new();
        for revision in &mut world.children.revisions {
            let Some(text) = revision.data.0["config"].as_str() else { continue };
            let before: Vec<&str> = text.lines().filter(|line| !line.starts_with("owner_id")).collect();
            frozen = before.join("\n");
            revision.data.0["config"] = frozen.clone().into();
        }
        assert!(frozen.starts_with("owner = "), "{frozen}");
        let (_, plan, children) = pass(&cluster, &world);
        assert_eq!(plan.corpus, mint(&world.entropy));
        assert_eq!(children.config.data.unwrap()["config.toml"], frozen);
    }
}
