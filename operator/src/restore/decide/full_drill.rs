//! A full drill: in another namespace, a cluster with a store, keys and servers of its own is made from the archive alone, proven,
//! and removed again.
//!
//! ```text
//!  check ─► cluster ─► recover ─► remove
//! ```
//! No step is felt by those who use the drilled cluster. What was made says whose it is: where its drill is at work no more, because
//! somebody has deleted it, or its namespace, whoever looks at what it made removes that.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::super::names::elsewhere_name;
use super::super::observed::{Elsewhere, Found, Recovery, Seen, Serving};
use super::drill::verdict;
use super::{Asked, Deed, check, min_recall_percent, refusal, source, step};
use crate::steps::{Disruption, Look, Pause, Step};

/// Images are fetched, a volume is made, servers load their model. What does not serve by then needs a person.
const CLUSTER_WITHIN: SignedDuration = SignedDuration::from_hours(1);

/// The restore in place that is waited for gives up by itself before.
const RECOVER_WITHIN: SignedDuration = SignedDuration::from_hours(14);

/// Pods end within their grace period, and a node that does not answer is given up by Kubernetes after some minutes.
const REMOVE_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// A drill of which nobody knows whether it is at work is not any more: its steps before the removal have ended by then.
const AT_WORK_WITHIN: SignedDuration = SignedDuration::from_hours(16);

/// What is done for a full drill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// The cluster is made.
    MakeCluster,
    /// The restore into it is asked for.
    Recover,
    /// That restore goes.
    RemoveRecovery,
    /// The snapshot goes that it has asked for.
    RemoveSnapshot,
    /// The cluster goes, with all that belongs to it.
    RemoveCluster,
}

impl Errand {
    /// In words, where it makes objects of this name in this namespace.
    pub(super) fn words(self, namespace: &str, name: &str) -> String {
        let there = format!("{name} of namespace {namespace}");
        match self {
            Self::MakeCluster => format!("create RagCluster {there}"),
            Self::Recover => format!("create RagRestore {there}"),
            Self::RemoveRecovery => format!("delete RagRestore {there}"),
            Self::RemoveSnapshot => format!("delete the RagSnapshot that RagRestore {there} has asked for"),
            Self::RemoveCluster => format!("delete RagCluster {there}"),
        }
    }
}

pub(super) fn steps(asked: &Arc<Asked>, namespace: &str) -> Vec<Step<Seen, Deed>> {
    let errands = Errands { namespace: namespace.to_owned(), asked: Arc::clone(asked) };
    vec![check(asked), cluster(errands.clone()), recover(errands.clone()), remove(errands)]
}

/// What the steps have in common.
#[derive(Clone)]
struct Errands {
    namespace: String,
    asked: Arc<Asked>,
}

impl Errands {
    /// The name of what is made there.
    fn name(&self) -> String {
        elsewhere_name(&self.asked.name, &self.asked.uid)
    }

    fn deed(&self, errand: Errand) -> Deed {
        Deed::Elsewhere { errand, namespace: self.namespace.clone(), name: self.name() }
    }

    fn taken<E>(&self, kind: &str) -> Look<E> {
        let Self { namespace, .. } = self;
        let name = self.name();
        Look::Failed(format!("{kind} {name} of namespace {namespace} exists and was not made by this drill; remove it"))
    }

    fn lost<E>(&self, kind: &str) -> Look<E> {
        let Self { namespace, .. } = self;
        Look::Failed(format!("somebody has deleted {kind} {} of namespace {namespace}", self.name()))
    }
}

/// What is seen there, where it is.
fn there(seen: &Seen) -> Result<&Elsewhere, Pause> {
    match &seen.elsewhere {
        None => Err(Pause::for_change("nobody has looked into the other namespace yet")),
        Some(Elsewhere { unseen: Some(why), .. }) => Err(Pause::for_change(why.clone())),
        Some(there) => Ok(there),
    }
}

/// A cluster of its own, which serves.
fn cluster(errands: Errands) -> Step<Seen, Deed> {
    Step::new(step::CLUSTER, Disruption::None, CLUSTER_WITHIN, move |seen: &Seen, _| {
        let there = match there(seen) {
            Ok(there) => there,
            Err(pause) => return Look::UnderWay(pause),
        };
        match &there.cluster {
            None => match source(&errands.asked.spec, errands.asked.created_at, seen) {
                Err(obstacle) => refusal(obstacle),
                Ok(_) => Look::Begin(errands.deed(Errand::MakeCluster)),
            },
            Some(found) if !found.is_ours => errands.taken("RagCluster"),
            Some(found) if found.is_going => errands.lost("RagCluster"),
            Some(Found { state: Serving::NotYet(why), .. }) => {
                Look::UnderWay(Pause::for_change(format!("RagCluster {}: {why}", errands.name())))
            }
            Some(Found { state: Serving::Yes, .. }) => {
                Look::Done(format!("RagCluster {} of namespace {} serves", errands.name(), errands.namespace))
            }
        }
    })
}

/// The snapshot is restored into it, which is verified as every restore is.
fn recover(errands: Errands) -> Step<Seen, Deed> {
    Step::new(step::RECOVER, Disruption::None, RECOVER_WITHIN, move |seen: &Seen, _| {
        let there = match there(seen) {
            Ok(there) => there,
            Err(pause) => return Look::UnderWay(pause),
        };
        let Some(found) = &there.recovery else {
            return match source(&errands.asked.spec, errands.asked.created_at, seen) {
                Err(obstacle) => Look::Failed(obstacle.why),
                Ok(_) if there.cluster.as_ref().is_none_or(|cluster| cluster.is_going) => errands.lost("RagCluster"),
                Ok(_) => Look::Begin(errands.deed(Errand::Recover)),
            };
        };
        match &found.state {
            _ if !found.is_ours => errands.taken("RagRestore"),
            Recovery::Done(result) => verdict(result, min_recall_percent(&errands.asked.spec, seen)),
            Recovery::Failed { why, .. } => Look::Failed(why.clone()),
            Recovery::UnderWay(_) if found.is_going => errands.lost("RagRestore"),
            Recovery::UnderWay(why) => {
                Look::UnderWay(Pause::for_change(format!("RagRestore {}: {why}", errands.name())))
            }
        }
    })
}

/// Nothing is left there.
fn remove(errands: Errands) -> Step<Seen, Deed> {
    let step = Step::new(step::REMOVE, Disruption::None, REMOVE_WITHIN, move |seen: &Seen, _| {
        let Some(there) = &seen.elsewhere else {
            return Look::UnderWay(Pause::for_change("nobody has looked into the other namespace yet"));
        };
        match removal(there) {
            Removal::Next(errand) => Look::Continue(errands.deed(errand)),
            Removal::Waits(why) => Look::UnderWay(Pause::for_change(why)),
            Removal::Done => Look::Done(format!("nothing of it is in namespace {}", errands.namespace)),
        }
    });
    step.that_cleans_up()
}

/// How far the removal is.
enum Removal {
    /// This comes next.
    Next(Errand),
    /// For this it waits.
    Waits(String),
    /// Nothing is left.
    Done,
}

/// First who acts on the cluster, then what it has asked for, then the cluster, and then all that belongs to it. What somebody else
/// made under these names stays.
fn removal(there: &Elsewhere) -> Removal {
    if let Some(why) = &there.unseen {
        return Removal::Waits(why.clone());
    }
    let ours = [
        (going(there.recovery.as_ref()), Errand::RemoveRecovery, "RagRestore"),
        (going(there.before.as_ref()), Errand::RemoveSnapshot, "RagSnapshot"),
        (going(there.cluster.as_ref()), Errand::RemoveCluster, "RagCluster"),
    ];
    let first = ours.into_iter().find_map(|(is_going, errand, kind)| Some((is_going?, errand, kind)));
    match (first, &there.remains) {
        (Some((true, _, kind)), _) => Removal::Waits(format!("the {kind} is being removed")),
        (Some((false, errand, _)), _) => Removal::Next(errand),
        (None, Some(remains)) => Removal::Waits(format!("{remains} is being removed")),
        (None, None) => Removal::Done,
    }
}

/// Whether what the drill made is on its way out; nothing where there is none.
fn going<S>(found: Option<&Found<S>>) -> Option<bool> {
    found.filter(|found| found.is_ours).map(|found| found.is_going)
}

/// What is removed next of what a drill has made that is at work no more. Nothing: it is being removed.
pub fn swept(there: &Elsewhere) -> Option<Errand> {
    match removal(there) {
        Removal::Next(errand) => Some(errand),
        Removal::Waits(_) | Removal::Done => None,
    }
}

/// Whether a drill that has made something at `made_at` is at work no more. `is_at_work`: what is known of that; nothing where its
/// namespace cannot be read.
pub fn is_abandoned(is_at_work: Option<bool>, made_at: Timestamp, now: Timestamp) -> bool {
    is_at_work.map_or_else(|| now.duration_since(made_at) > AT_WORK_WITHIN, |is_at_work| !is_at_work)
}
