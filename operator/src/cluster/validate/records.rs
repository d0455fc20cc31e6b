//! Where what is not a vector is recorded, with an absent choice resolved.

use super::Problems;
use crate::api::cluster::{Postgres, RagClusterSpec};

/// The database of the records; nothing where they are beside the vectors.
///
/// The CRD says so too; this holds where an object was stored before the rule existed.
pub(super) fn postgres(spec: &RagClusterSpec, problems: &mut Problems) -> Option<Postgres> {
    let records = spec.records.as_ref()?;
    if records.vector_store.is_some() == records.postgres.is_some() {
        problems.invalid(
            "spec.records",
            "not exactly one place for the records",
            "name exactly one of vectorStore and postgres, or leave records out",
        );
    }
    if spec.embedded().is_some() && records.postgres.is_some() {
        problems.invalid(
            "spec.records.postgres",
            "the embedded vector store keeps its records in a file beside the vectors, for its one server",
            "leave records out, or choose vectorStore.qdrant",
        );
    }
    records.postgres.clone()
}

#[cfg(test)]
mod tests {
    use crate::cluster::fixtures::{EMBEDDED, cluster, nothing};
    use crate::cluster::observed::Presence;
    use crate::cluster::validate::{Problem, validate};

    const POSTGRES: &str = "postgres: {secretRef: {name: db}}";

    fn problems(spec: &str) -> Vec<String> {
        validate(&cluster(spec), &nothing()).unwrap_err().iter().map(Problem::to_string).collect()
    }

    #[test]
    fn exactly_one_place_is_asked_for_even_where_the_rule_was_passed_by() {
        for spec in ["records: {}".to_owned(), format!("records: {{vectorStore: {{}}, {POSTGRES}}}")] {
            assert!(problems(&spec)[0].contains("exactly one of vectorStore and postgres"), "{spec}");
        }
        let chosen = |spec: &str| validate(&cluster(spec), &nothing()).unwrap().postgres;
        assert_eq!((chosen("{}"), chosen("records: {vectorStore: {}}")), (None, None));
        assert_eq!(chosen(&format!("records: {{{POSTGRES}}}")).unwrap().port, 5432);
        let refused = problems(&EMBEDDED.replace("profile:", &format!("records: {{{POSTGRES}}}, profile:")));
        assert!(refused[0].contains("leave records out, or choose vectorStore.qdrant"), "{refused:?}");
    }

    #[test]
    fn its_secret_is_looked_for() {
        let mut observed = nothing();
        observed.referenced_secrets.insert("db".to_owned(), Presence::Missing);
        let missing = validate(&cluster(&format!("records: {{{POSTGRES}}}")), &observed).unwrap_err();
        assert_eq!(missing[0].field, "spec.records.postgres.secretRef.name");
    }
}
