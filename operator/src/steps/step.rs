//! What a procedure is made of, and what a step answers when it looks.

use std::convert::Infallible;

use jiff::{SignedDuration, Timestamp};

/// Something that a step does to the world.
pub trait Effect {
    /// What it does to which object, in words: a name that is the same in every pass and every process, because it is made of
    /// the procedure's name and the step alone. Whoever carries the effect out looks whether there is one of that name already.
    fn name(&self) -> String;
}

/// How urgent a procedure is: the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A credential that somebody else may know.
    RevokeNow,
    /// The data is not what it should be.
    Restore,
    /// Another revision.
    Rollout,
    /// A credential whose time has come.
    Rotation,
    /// What keeps the cluster well and can be done on any day.
    Maintenance,
}

/// A place in the queue: the more urgent first, then the older one, then the first by name.
pub type Rank<'a> = (Priority, Timestamp, &'a str);

/// What takes time: steps that are taken one after the other. What differs between two of them stands in what their steps see.
pub struct Procedure<S, E> {
    /// As people read it, and unlike every other of the cluster, for example `RagRotation api-keys-3`.
    pub name: String,
    /// How urgent it is.
    pub priority: Priority,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Its steps, in order; no two have the same name.
    pub steps: Vec<Step<S, E>>,
}

impl<S, E> Procedure<S, E> {
    /// Its place in the queue of the cluster.
    pub fn rank(&self) -> Rank<'_> {
        (self.priority, self.created_at, self.name.as_str())
    }
}

/// Whether a step is felt by those who use the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disruption {
    /// It is not: no lock is needed.
    None,
    /// It may be, and begins only while a maintenance window is open.
    Planned,
    /// It may be, and no window is waited for.
    Urgent,
}

/// The time, as a step may use it. It is the only clock that a step has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct At {
    /// Now.
    pub now: Timestamp,
    /// When the step began: now, if it has not begun. Never later than now.
    pub since: Timestamp,
    /// For how long the step has been watched without a break: the time since it began, but no longer than this process has
    /// been looking. What must be seen for a while, and every deadline, goes by it.
    pub elapsed: SignedDuration,
}

/// What a step waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct Pause {
    /// What for, in words.
    pub why: String,
    /// Until when, where that is known: a fixed time and not one that moves with the clock, or each pass writes a new status.
    pub until: Option<Timestamp>,
}

impl Pause {
    /// Waits for something to change.
    pub fn for_change(why: impl Into<String>) -> Self {
        Self { why: why.into(), until: None }
    }

    /// Waits for a time.
    pub fn until(why: impl Into<String>, until: Timestamp) -> Self {
        Self { why: why.into(), until: Some(until) }
    }
}

/// What a step sees. Whether something of it is under way decides about the lock, so a step that is only half done never says
/// `Begin` or `Wait`.
#[derive(Clone, Debug, PartialEq)]
pub enum Look<E> {
    /// It is done, or there is nothing to do; the words say what was found.
    Done(String),
    /// Its moment has not come, and nothing of it is under way.
    Wait(Pause),
    /// Nothing of it is under way, and this is what it begins with.
    Begin(E),
    /// It is under way, and nothing is to be done but wait.
    UnderWay(Pause),
    /// It is under way, and this comes next.
    Continue(E),
    /// It cannot be done, and why.
    Failed(String),
}

impl<E: Effect> Look<E> {
    /// In words, for a step that is given up.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Done(words) | Self::Failed(words) => words.clone(),
            Self::Wait(pause) | Self::UnderWay(pause) => pause.why.clone(),
            Self::Begin(effect) | Self::Continue(effect) => effect.name(),
        }
    }
}

/// How a step looks.
type Eye<S, E> = Box<dyn Fn(&S, &At) -> Look<E> + Send + Sync>;

/// One step: it decides by looking.
pub struct Step<S, E> {
    pub(super) name: String,
    pub(super) disruption: Disruption,
    pub(super) deadline: SignedDuration,
    pub(super) cleans_up: bool,
    eye: Eye<S, E>,
}

impl<S: 'static, E: 'static> Step<S, E> {
    /// A step that only looks. Without a deadline it waits for as long as it takes, on a person for example.
    pub fn wait(
        name: &str,
        deadline: Option<SignedDuration>,
        look: impl Fn(&S, &At) -> Look<Infallible> + Send + Sync + 'static,
    ) -> Self {
        let deadline = deadline.unwrap_or(SignedDuration::MAX);
        Self::new(name, Disruption::None, deadline, move |seen: &S, at: &At| match look(seen, at) {
            Look::Done(words) => Look::Done(words),
            Look::Wait(pause) => Look::Wait(pause),
            Look::UnderWay(pause) => Look::UnderWay(pause),
            Look::Failed(why) => Look::Failed(why),
        })
    }

    /// A step with effects. It fails when it is not done within its deadline; the time in the queue does not count.
    pub fn new(
        name: &str,
        disruption: Disruption,
        deadline: SignedDuration,
        look: impl Fn(&S, &At) -> Look<E> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.to_owned(), disruption, deadline, cleans_up: false, eye: Box::new(look) }
    }

    /// It is taken also when an earlier step failed: it rolls back, or removes what would be left behind.
    #[must_use]
    pub fn that_cleans_up(mut self) -> Self {
        self.cleans_up = true;
        self
    }
}

impl<S, E> Step<S, E> {
    pub(super) fn look(&self, seen: &S, at: &At) -> Look<E> {
        (self.eye)(seen, at)
    }
}
