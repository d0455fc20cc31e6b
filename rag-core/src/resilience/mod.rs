//! What keeps the server standing under load: permits, breakers and deadlines. No flow is known here.

mod admission;
mod breaker;
mod deadline;
mod guard;
mod supervised;

pub use admission::{Admission, Arriving, Bodies, Class, Full, Permit, Place, Places};
pub use breaker::{Breaker, BreakerPolicy, BreakerState, Ticket, Verdict};
pub use deadline::{Deadline, Expired};
pub use guard::{Guard, Pass, Told};
pub use supervised::{TaskState, supervise};
