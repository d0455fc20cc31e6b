//! What keeps the server standing under load: permits and deadlines. No flow is known here.

mod admission;
mod deadline;

pub use admission::{Admission, Permit};
pub use deadline::{Deadline, Expired};
