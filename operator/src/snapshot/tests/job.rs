//! What may happen to a Job between two passes, for the models of what waits for one.

use jiff::Timestamp;
use proptest::prelude::{Just, Strategy, prop_oneof};

use super::{done, failed};
use crate::job::Looked;
use crate::snapshot::report::Cause;

/// What may happen to it.
#[derive(Clone, Debug)]
pub(crate) enum ToJob {
    Runs,
    /// Well, and it was read back, or not.
    Ends(bool),
    /// For this cause.
    Fails(usize),
    Vanishes,
}

pub(crate) fn to_job() -> impl Strategy<Value = ToJob> {
    prop_oneof![
        Just(ToJob::Runs),
        proptest::bool::ANY.prop_map(ToJob::Ends),
        (0..Cause::KNOWN.len()).prop_map(ToJob::Fails),
        Just(ToJob::Vanishes),
    ]
}

/// Whether it has not ended.
pub(crate) fn is_under_way(looked: &Looked) -> bool {
    matches!(looked, Looked::Pending { .. } | Looked::Running)
}

impl ToJob {
    /// Happens to the newest attempt, where that has not ended. Whether it has ended well by it.
    pub(crate) fn happens(&self, attempt: &mut Option<(u32, Looked)>, now: Timestamp) -> bool {
        let running = attempt.as_ref().filter(|(_, looked)| is_under_way(looked)).map(|(number, _)| *number);
        let looked = match (self, running) {
            (Self::Vanishes, _) => None,
            (_, None) => return false,
            (Self::Runs, Some(number)) => Some((number, Looked::Running)),
            (Self::Ends(verified), Some(number)) => Some((number, done("nightly", *verified))),
            (Self::Fails(cause), Some(number)) => Some((number, failed(&Cause::KNOWN[*cause], now))),
        };
        *attempt = looked;
        matches!(self, Self::Ends(_))
    }
}
