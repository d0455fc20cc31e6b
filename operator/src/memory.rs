//! What is remembered between passes of each object of our own kinds, and forgotten together. All of it may be lost: it costs
//! a request, or a moment.

use crate::apply::Unsettled;
use crate::cluster::figures::Figures;
use crate::controller::{Backoff, Expectations};
use crate::job::progress::HowFar;
use crate::objects::ObjectId;
use crate::report::Written;

/// The memory of the process.
#[derive(Default)]
pub struct Memory {
    /// Failures in a row.
    pub backoff: Backoff,
    /// Writes that the caches have not shown yet.
    pub expectations: Expectations,
    /// What was wanted of each child when it was last settled, and our last write of it.
    pub unsettled: Unsettled,
    /// When each status was last written.
    pub written: Written,
    /// What was last seen of the snapshots of each cluster.
    pub figures: Figures,
    /// How far each Job was when it was last asked; forgotten with its pod.
    pub how_far: HowFar,
}

impl Memory {
    /// Forgets an object that is gone.
    pub fn forget(&self, object: &ObjectId) {
        let Self { backoff, expectations, unsettled, written, figures, how_far: _ } = self;
        backoff.reset(object);
        expectations.forget(object);
        unsettled.forget(object);
        written.forget(object);
        figures.forget(object);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;
    use std::time::{Duration, Instant};

    fn handbook(kind: &'static str) -> ObjectId {
        ObjectId { kind, namespace: "ns".into(), name: "handbook".into() }
    }

    #[test]
    fn objects_of_two_kinds_with_one_name_share_no_memory_and_are_forgotten_one_by_one() {
        let (memory, now) = (Memory::default(), Instant::now());
        let (cluster, other) = (handbook("RagCluster"), handbook("Other"));
        let child = || ("Deployment".to_owned(), "handbook-server".to_owned());
        for object in [&cluster, &other] {
            memory.backoff.failed(object, Class::Transient, 0.0, now);
            memory.expectations.wrote(object, child(), "9");
        }
        assert_eq!(memory.backoff.len(), 2);
        memory.forget(&other);
        assert!(memory.backoff.lasts(&cluster, now + Duration::from_secs(60)), "another object was forgotten");
        assert!(!memory.backoff.lasts(&other, now + Duration::from_secs(60)));
        assert!(!memory.expectations.are_met(&cluster, |_| None));
        assert!(memory.expectations.are_met(&other, |_| None));
    }
}
