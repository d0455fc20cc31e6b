//! Which ordering writes asked for, and which consistency reads: for one replica all of them are the same, so they are
//! remembered for whoever wants to know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use qdrant_client::qdrant::{
    ReadConsistency, ReadConsistencyType, WriteOrdering, WriteOrderingType, read_consistency::Value,
};

/// What was asked of a collection since the double was started, by the names of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// The call and the ordering of each write, such as `("Upsert", "Strong")`; `Weak` where none was named.
    pub writes: BTreeSet<(&'static str, &'static str)>,
    /// The call and the consistency of each read, such as `("Get", "Quorum")`; `One` where none was named.
    pub reads: BTreeSet<(&'static str, String)>,
}

/// What was asked of each collection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Consistencies(Arc<Mutex<BTreeMap<String, Asked>>>);

impl Consistencies {
    /// What was asked of this one, by the name that was used.
    pub(crate) fn of(&self, collection: &str) -> Asked {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(collection).cloned().unwrap_or_default()
    }

    /// A write.
    pub(crate) fn wrote(&self, collection: &str, call: &'static str, ordering: Option<&WriteOrdering>) {
        let ordering = match ordering.map(WriteOrdering::r#type) {
            None | Some(WriteOrderingType::Weak) => "Weak",
            Some(WriteOrderingType::Medium) => "Medium",
            Some(WriteOrderingType::Strong) => "Strong",
        };
        self.change(collection, |asked| asked.writes.insert((call, ordering)));
    }

    /// A read.
    pub(crate) fn read(&self, collection: &str, call: &'static str, consistency: Option<&ReadConsistency>) {
        let consistency = match consistency.and_then(|consistency| consistency.value) {
            None => "One".to_owned(),
            Some(Value::Factor(factor)) => factor.to_string(),
            Some(Value::Type(kind)) => match ReadConsistencyType::try_from(kind) {
                Ok(ReadConsistencyType::All) => "All".to_owned(),
                Ok(ReadConsistencyType::Majority) => "Majority".to_owned(),
                Ok(ReadConsistencyType::Quorum) => "Quorum".to_owned(),
                Err(_) => format!("unknown {kind}"),
            },
        };
        self.change(collection, |asked| asked.reads.insert((call, consistency)));
    }

    fn change(&self, collection: &str, change: impl FnOnce(&mut Asked) -> bool) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(all.entry(collection.to_owned()).or_default());
    }
}
