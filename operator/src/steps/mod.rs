//! What takes time, as steps: a procedure is a list of steps, and every pass takes it as far as it comes by looking.
//!
//! ```text
//!  record, facts, time ─► advance ─► record to write + wait | record first | do this | done | failed
//!  records of the cluster's procedures ─► Standing ─► the lock, and next() for status.next
//! ```
//!
//! **Flow.** Whoever runs a procedure asks [`advance()`] with what was last written and what is seen now. It writes the record
//! where it differs, and only then carries the effect out. The next pass sees what became of it.
//!
//! **Guarantees.** A step that has ended is not looked at again. An effect is asked for only by a step that looked in the same
//! pass, and only after the record says that the step runs: a crash between any two writes costs time and nothing else. At
//! most one disruptive step of a cluster is under way; it has the lock from its announcement until it is seen done or has
//! failed, and never while it waits. The more urgent goes first among those that have asked. A clock that jumps fails nothing
//! and repeats nothing: no step is older than this process has been looking.
//!
//! **Assumptions.** What is seen is no older than the procedure's own last effect, and records are as they were last written.
//! One pass at a time asks for and writes the record of one of a cluster's procedures. Effects of a name that exists already
//! change nothing.
//!
//! **Caveats.** A step that failed gives the lock back, whatever is left of it under way: a step that cleans up comes after
//! it, and who comes next looks. A step that has waited keeps its beginning, so what may wait for long is a step of its own.
//!
//! Pure: no client, no runtime, no clock. What a procedure sees and does is its own.

mod advance;
mod lock;
mod next;
mod record;
mod step;
#[cfg(test)]
pub(crate) mod tests;

pub use advance::{Advance, Answer, advance};
pub use lock::{Current, Standing, Turn, Window};
pub use next::next;
pub use step::{At, Disruption, Effect, Look, Pause, Priority, Procedure, Rank, Step};
