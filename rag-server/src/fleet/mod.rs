//! What administrators and the operator decide for all servers of a corpus at once: read-only, breaker resets, cache epochs, blocks, denied fingerprints.
//!
//! It is one record, changed by compare-and-set and followed by every server within a second; who reads and writes it is `operations`.
//! Pure: states, changes of them, how a server's state and the record come together, and how the record is written. The time is passed in.
//! Guarantee: what was acknowledged once is not lost while one server lives that knows it, also where the record went away or back.

mod change;
mod row;
mod settle;
mod state;

pub use change::{Change, Full, MAX_BLOCKS, MAX_DENIED};
pub use row::{Unread, body, read};
pub use settle::{Settled, goes_back_to, over, settled};
pub use state::{Block, Denial, FleetState, ReadOnly};
