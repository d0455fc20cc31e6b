//! In-memory doubles of the ports, for tests of the flows. They keep the promises of the ports in the plainest way: exact scans over maps.
//!
//! Doubles can be told to fail, which the real adapters cannot be.

mod answer;
mod archive;
mod clock;
mod embedder;
mod eventually;
mod life;
mod passage;
mod records;
mod store;

pub use answer::answer;
pub use archive::ArchiveDouble;
pub use clock::{InterruptedClock, SetClock};
pub use embedder::{EmbedderDouble, HighCosines, OverBudget};
pub use eventually::eventually;
pub use passage::{chunk, passage};
pub use records::RecordsDouble;
pub use store::{StoreDouble, page};
