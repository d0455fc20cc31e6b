//! Whether what says whose the corpus is can be read.

use super::Problems;
use crate::cluster::observed::{CORPUS_ID_KEY, Observed};

/// The id is written once and is immutable: one that cannot be read was not written by us, and a guess would lose the data.
pub(super) fn check(observed: &Observed, problems: &mut Problems) {
    if let (Some(corpus), Some(Err(refused))) = (&observed.children.corpus, observed.children.corpus_id()) {
        problems.invalid(
            format!("ConfigMap/{}", corpus.metadata.name.as_deref().unwrap_or_default()),
            format!("its \"{CORPUS_ID_KEY}\" cannot be read: {refused}"),
            "make it anew with the id that the servers' configuration calls owner_id, or delete it where there are none yet",
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::cluster::fixtures::{applied, cluster, nothing};
    use crate::cluster::validate::validate;

    #[test]
    fn an_id_of_the_corpus_that_cannot_be_read_is_not_guessed() {
        let mut world = applied(&cluster("{}"), &nothing());
        world.children.corpus.as_mut().unwrap().data = Some([("id".to_owned(), "Not An Id".to_owned())].into());
        let problems = validate(&cluster("{}"), &world).unwrap_err();
        assert_eq!(problems[0].field, "ConfigMap/handbook-corpus");
        world.children.corpus.as_mut().unwrap().data = None;
        assert_eq!(validate(&cluster("{}"), &world).unwrap_err().len(), 1);
    }
}
