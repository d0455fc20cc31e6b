//! Whether a pod takes traffic, and what keeps it from starting, in the classes in which a person can act on it.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::cut;
use crate::api::ConditionReason;

/// What the scheduler says of a pod whose volume does not exist yet.
const UNBOUND: &str = "unbound immediate PersistentVolumeClaims";

/// A volume that is made before its pod is placed takes a moment.
const BINDING: SignedDuration = SignedDuration::from_secs(30);

/// The last line of a log can be long; a condition is read by people.
const LINE_MAX_CHARS: usize = 300;

/// The fields of the spec by which a person can help pods of one kind.
pub(super) struct Fields {
    /// What the pods ask for.
    requests: &'static str,
    /// The class of their volume.
    class: &'static str,
}

/// Those of the query servers.
pub(super) const SERVERS: Fields =
    Fields { requests: "spec.resources.requests", class: "spec.vectorStore.embedded.storage.className" };

/// Those of the managed vector store.
pub(super) const STORE: Fields = Fields {
    requests: "spec.vectorStore.qdrant.resources.requests",
    class: "spec.vectorStore.qdrant.storage.className",
};

/// Since when the pod has been ready; nothing while it is not.
pub(super) fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready")?;
    let since = || ready.last_transition_time.as_ref().or(status.start_time.as_ref()).map(|time| time.0);
    (ready.status == "True").then(|| since().unwrap_or(Timestamp::UNIX_EPOCH))
}

/// The trouble of the first pod that has any.
pub(super) fn trouble(pods: &[Pod], fields: &Fields, now: Timestamp) -> Option<(ConditionReason, String)> {
    let mut staying = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    staying.find_map(|pod| trouble_of(pod, fields, now))
}

fn trouble_of(pod: &Pod, fields: &Fields, now: Timestamp) -> Option<(ConditionReason, String)> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let status = pod.status.as_ref()?;
    let containers = status.container_statuses.iter().flatten();
    if let Some((reason, message)) = containers.into_iter().find_map(waiting) {
        return Some((reason, format!("pod {name}: {message}")));
    }
    let scheduled = status.conditions.iter().flatten().find(|condition| condition.type_ == "PodScheduled")?;
    let is_unschedulable = scheduled.status == "False" && scheduled.reason.as_deref() == Some("Unschedulable");
    if !is_unschedulable {
        return None;
    }
    let said = scheduled.message.as_deref().unwrap_or("no node has room");
    let Fields { requests, class } = fields;
    if said.contains(UNBOUND) {
        let since = scheduled.last_transition_time.as_ref().map(|time| time.0);
        let lasts = since.is_none_or(|since| now.duration_since(since) > BINDING);
        let remedy = format!(
            "see kubectl get storageclass: make one the default, or create the RagCluster anew with {class}; \
             kubectl describe pvc says why there is no volume"
        );
        return lasts.then(|| (ConditionReason::VolumeUnbound, format!("pod {name}: {said}; {remedy}")));
    }
    Some((ConditionReason::Unschedulable, format!("pod {name}: {said}; add a node, or lower {requests}")))
}

/// Why a container does not start.
pub(crate) fn waiting(container: &ContainerStatus) -> Option<(ConditionReason, String)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let said = waiting.message.as_deref().unwrap_or_default();
    let image = &container.image;
    match waiting.reason.as_deref()? {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" | "RegistryUnavailable" => {
            Some((
                ConditionReason::ImageUnavailable,
                format!(
                    "image {image} cannot be fetched: {said}; correct the image, or name a pull secret in the podTemplate beside it"
                ),
            ))
        }
        "CrashLoopBackOff" => Some((
            ConditionReason::CrashLooping,
            format!("container {} ends again and again{}; see its log", container.name, last_exit(container)),
        )),
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            Some((ConditionReason::ContainerNotCreated, format!("container {}: {said}", container.name)))
        }
        _ => None,
    }
}

fn last_exit(container: &ContainerStatus) -> String {
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let Some(last) = last else { return String::new() };
    let reason = last.reason.as_deref().unwrap_or("no reason");
    let lines = last.message.as_deref().unwrap_or_default().lines().rev();
    let line = lines.map(str::trim).find(|line| !line.is_empty());
    let line = line.map(|line| format!(": {}", cut(line, LINE_MAX_CHARS))).unwrap_or_default();
    format!(" (exit code {}, {reason}{line})", last.exit_code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures::NOW;
    use serde_json::json;

    fn said(status: serde_json::Value, fields: &Fields) -> Option<(ConditionReason, String)> {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap();
        trouble(&[pod], fields, NOW.parse().unwrap())
    }

    fn unschedulable(message: &str, since: &str) -> serde_json::Value {
        let condition = json!({
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message, "lastTransitionTime": since,
        });
        json!({"conditions": [condition]})
    }

    #[test]
    fn a_volume_that_nobody_makes_has_a_remedy_of_its_own() {
        let unbound = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims.";
        let long_ago = unschedulable(unbound, "2026-11-21T07:00:00Z");
        for (fields, class) in [(&STORE, "vectorStore.qdrant.storage"), (&SERVERS, "vectorStore.embedded.storage")] {
            let (reason, message) = said(long_ago.clone(), fields).unwrap();
            assert_eq!(reason, ConditionReason::VolumeUnbound);
            assert!(message.contains(class) && message.contains("storageclass"), "{message}");
            assert!(!message.contains("add a node"), "{message}");
        }
        assert_eq!(said(unschedulable(unbound, "2026-11-21T07:59:40Z"), &STORE), None);
    }

    #[test]
    fn a_pod_without_room_names_the_requests_that_are_its_own() {
        let full = unschedulable("0/3 nodes are available: 3 Insufficient memory.", "2026-11-21T07:59:59Z");
        for (fields, requests) in [(&STORE, STORE.requests), (&SERVERS, SERVERS.requests)] {
            let (reason, message) = said(full.clone(), fields).unwrap();
            assert_eq!(reason, ConditionReason::Unschedulable);
            assert!(message.ends_with(&format!("add a node, or lower {requests}")), "{message}");
        }
    }

    #[test]
    fn a_container_that_ends_again_and_again_is_quoted_with_its_last_line() {
        let crashing = |message: serde_json::Value| {
            let last = json!({"terminated": {"exitCode": 1, "reason": "Error", "message": message}});
            let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
            let container = json!({
                "name": "server", "image": "i", "imageID": "", "ready": false, "restartCount": 3,
                "state": waiting, "lastState": last,
            });
            said(json!({"containerStatuses": [container]}), &SERVERS).unwrap().1
        };
        let message = crashing(json!("starting\nthe folder /data cannot be opened\n \n"));
        assert!(message.contains("(exit code 1, Error: the folder /data cannot be opened); see its log"), "{message}");
        assert!(crashing(json!(null)).contains("(exit code 1, Error); see its log"));
        assert!(crashing(json!("é".repeat(4000))).chars().count() < 500);
    }
}
