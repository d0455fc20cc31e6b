//! Which clusters a change of the ScaleApprovals concerns: those that the approval names, or named before it was deleted.

use std::collections::BTreeMap;

use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;

use crate::api::approval::ScaleApproval;

/// The clusters that the approvals of a namespace name, by the name of the approval.
#[derive(Default)]
pub(super) struct Concerned {
    known: BTreeMap<String, String>,
    /// What a list that is under way has named so far.
    listed: BTreeMap<String, String>,
}

impl Concerned {
    /// The clusters to look at after `event`, which the cache has taken in already. A report on an approval concerns nobody.
    pub(super) fn after(&mut self, event: &Event<DeserializeGuard<ScaleApproval>>) -> Vec<String> {
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(approval) => {
                self.listed.extend(named(approval));
                Vec::new()
            }
            // What was deleted or made anew during a gap in the watch has left no other trace.
            Event::InitDone => {
                let before = std::mem::replace(&mut self.known, std::mem::take(&mut self.listed));
                before.into_values().chain(self.known.values().cloned()).collect()
            }
            Event::Apply(approval) => {
                let Some((name, cluster)) = named(approval) else { return Vec::new() };
                let before = self.known.insert(name, cluster.clone());
                if before.as_ref() == Some(&cluster) { Vec::new() } else { vec![cluster] }
            }
            Event::Delete(approval) => self.known.remove(&approval.name_any()).into_iter().collect(),
        }
    }
}

fn named(approval: &DeserializeGuard<ScaleApproval>) -> Option<(String, String)> {
    let approval = approval.0.as_ref().ok()?;
    Some((approval.name_any(), approval.spec.cluster.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn approval(name: &str, cluster: &str) -> DeserializeGuard<ScaleApproval> {
        let spec = json!({
            "cluster": cluster, "maxReplicas": 25, "reason": "launch", "approvedBy": "grace",
            "expiresAt": "2026-12-01T08:00:00Z",
        });
        serde_json::from_value(json!({
            "apiVersion": "ragops.dev/v1alpha1", "kind": "ScaleApproval", "metadata": {"name": name, "namespace": "ns"},
            "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn an_approval_concerns_its_cluster_when_it_comes_and_when_it_goes_and_an_echo_concerns_nobody() {
        let mut concerned = Concerned::default();
        assert_eq!(concerned.after(&Event::Apply(approval("launch", "handbook"))), ["handbook"]);
        assert!(concerned.after(&Event::Apply(approval("launch", "handbook"))).is_empty());
        assert_eq!(concerned.after(&Event::Delete(approval("launch", "handbook"))), ["handbook"]);
        assert!(concerned.after(&Event::Delete(approval("launch", "handbook"))).is_empty());
    }

    #[test]
    fn what_went_or_came_while_nobody_watched_concerns_its_cluster() {
        let mut concerned = Concerned::default();
        concerned.after(&Event::Apply(approval("gone", "old")));
        assert!(concerned.after(&Event::Init).is_empty());
        assert!(concerned.after(&Event::InitApply(approval("new", "handbook"))).is_empty());
        assert_eq!(concerned.after(&Event::InitDone), ["old", "handbook"]);
        assert_eq!(concerned.after(&Event::InitDone), ["handbook"]);
    }
}
