//! What a limit of memory means beside the process in which a server reads hostile formats.

use crate::api::cluster::RagClusterSpec;
use crate::quantity::nanos;

/// What the process may take that reads a PDF or an office document for a server, in MiB. A test compares it with the server's own bound.
pub const READER_MIB: u64 = 512;

/// Room for a server, which takes 80 to 150 MiB beside a Qdrant, and for one such process.
const LEAST: &str = "768Mi";

/// What to say of a limit that one document can pass. Nodes with cgroup v2 end a container that passes its limit with all its
/// processes, so the bound of the one that reads does not save the server.
pub fn memory_warning(spec: &RagClusterSpec) -> Option<String> {
    let limit = &spec.resources.as_ref()?.limits.as_ref()?.memory.as_ref()?.0;
    let is_tight = nanos(limit)? < nanos(LEAST)?;
    is_tight.then(|| {
        format!(
            "spec.resources.limits.memory {limit} is less than {LEAST}: a document that is built to exhaust its reader takes \
             {READER_MIB}Mi beside the server, which then ends with it; raise the limit, or leave it out"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures::cluster;

    #[test]
    fn a_limit_that_one_document_can_pass_is_said() {
        let warning = |resources: &str| memory_warning(&cluster(&format!("resources: {resources}")).spec);
        for (limit, is_tight) in
            [("512Mi", true), ("767Mi", true), ("800M", true), ("768Mi", false), ("0.75Gi", false), ("1Gi", false)]
        {
            let said = warning(&format!("{{limits: {{memory: {limit}}}}}"));
            assert_eq!(said.is_some(), is_tight, "{limit}: {said:?}");
        }
        let said = warning("{limits: {memory: 512Mi}}").unwrap();
        assert!(said.starts_with("spec.resources.limits.memory 512Mi is less than 768Mi: "), "{said}");
        for without in ["{}", "{requests: {memory: 64Mi}}", "{limits: {cpu: 1}}"] {
            assert_eq!(warning(without), None, "{without}");
        }
    }
}
