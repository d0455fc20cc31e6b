//! The one lock of a cluster: who is at its disruptive step, and who comes next. It is kept nowhere but in the recorded steps.

use jiff::{SignedDuration, Timestamp};

use super::record;
use super::step::{Disruption, Pause, Priority, Procedure, Rank, Step};
use crate::api::steps::{StepState, StepStatus};

/// Whether what is not urgent may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// A maintenance window is open, or the cluster has none.
    Open,
    /// None is.
    Closed {
        /// When the next one opens. Absent: none is to come.
        opens_at: Option<Timestamp>,
    },
}

/// What a procedure is told when it is asked to go on.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// Now.
    pub now: Timestamp,
    /// For how long this process has been looking, by a clock that never jumps.
    pub awake: SignedDuration,
    /// Whether what is not urgent may begin.
    pub window: Window,
    /// Every procedure of the cluster, as it was last written; the one that is asked may be among them.
    pub standings: &'a [Standing],
}

/// How a procedure stands among those of its cluster: made of its record, whatever it sees and does.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The procedure's name.
    pub name: String,
    /// How urgent it is.
    pub priority: Priority,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// The step that it is at. Absent: it has ended.
    pub current: Option<Current>,
}

/// The step that a procedure is at.
#[derive(Clone, Debug, PartialEq)]
pub struct Current {
    /// As it is recorded.
    pub step: StepStatus,
    /// How many steps there are.
    pub of: usize,
    /// Whether it needs the lock.
    pub disruption: Disruption,
}

impl Standing {
    /// How the procedure stands by its record.
    pub fn of<S, E>(procedure: &Procedure<S, E>, recorded: &[StepStatus]) -> Self {
        let steps = record::aligned(procedure, recorded);
        let of = steps.len();
        let has_failed = record::first_failure(&steps).is_some();
        let current =
            procedure.steps.iter().zip(steps).find(|(step, status)| record::is_ahead(step, status, has_failed));
        Self {
            name: procedure.name.clone(),
            priority: procedure.priority,
            created_at: procedure.created_at,
            current: current.map(|(step, status)| Current { step: status, of, disruption: step.disruption }),
        }
    }

    /// Its place in the queue.
    pub fn rank(&self) -> Rank<'_> {
        (self.priority, self.created_at, self.name.as_str())
    }

    /// Whether it has the lock: its disruptive step is under way.
    pub fn has_lock(&self) -> bool {
        self.current
            .as_ref()
            .is_some_and(|current| current.disruption != Disruption::None && current.step.state == StepState::Running)
    }

    /// Whether it would take the lock now.
    fn wants_lock(&self, window: Window) -> bool {
        self.current
            .as_ref()
            .is_some_and(|current| current.step.state == StepState::Queued && may_begin(current.disruption, window))
    }
}

fn may_begin(disruption: Disruption, window: Window) -> bool {
    match (disruption, window) {
        (Disruption::Planned, Window::Closed { .. }) => false,
        (Disruption::None | Disruption::Urgent, _) | (Disruption::Planned, Window::Open) => true,
    }
}

/// Whether a step of which nothing is under way may begin, or what it waits for. One that has the lock already is overtaken by
/// nobody; it gives the lock back when the window has closed in the meantime.
pub(super) fn permit<S, E>(
    procedure: &Procedure<S, E>,
    step: &Step<S, E>,
    has_lock: bool,
    turn: &Turn<'_>,
) -> Result<(), Pause> {
    if step.disruption == Disruption::None {
        return Ok(());
    }
    if let Window::Closed { opens_at } = turn.window
        && !may_begin(step.disruption, turn.window)
    {
        return Err(Pause { why: "waits for a maintenance window".to_owned(), until: opens_at });
    }
    let others: Vec<&Standing> = turn.standings.iter().filter(|other| other.name != procedure.name).collect();
    if let Some(holder) = others.iter().find(|other| other.has_lock()) {
        return Err(Pause::for_change(format!("waits for {}, which is at a step that disrupts", holder.name)));
    }
    let wanting = others.iter().filter(|other| other.wants_lock(turn.window));
    let first = wanting.min_by(|one, two| one.rank().cmp(&two.rank()));
    match first {
        Some(first) if !has_lock && first.rank() < procedure.rank() => {
            Err(Pause::for_change(format!("waits for {}, which goes first", first.name)))
        }
        Some(_) | None => Ok(()),
    }
}
