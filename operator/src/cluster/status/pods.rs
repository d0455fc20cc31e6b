//! Whether a pod takes traffic, and what keeps it from starting, in the classes in which a person can act on it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::api::ConditionReason;

/// Since when the pod has been ready; nothing while it is not.
pub(super) fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let status = pod.status.as_ref()?;
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready")?;
    let since = || ready.last_transition_time.as_ref().or(status.start_time.as_ref()).map(|time| time.0);
    (ready.status == "True").then(|| since().unwrap_or(Timestamp::UNIX_EPOCH))
}

/// The trouble of the first pod that has any.
pub(super) fn trouble(pods: &[Pod]) -> Option<(ConditionReason, String)> {
    pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).find_map(trouble_of)
}

fn trouble_of(pod: &Pod) -> Option<(ConditionReason, String)> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let status = pod.status.as_ref()?;
    let containers = status.container_statuses.iter().flatten();
    if let Some((reason, message)) = containers.into_iter().find_map(waiting) {
        return Some((reason, format!("pod {name}: {message}")));
    }
    let scheduled = status.conditions.iter().flatten().find(|condition| condition.type_ == "PodScheduled")?;
    let is_unschedulable = scheduled.status == "False" && scheduled.reason.as_deref() == Some("Unschedulable");
    is_unschedulable.then(|| {
        let said = scheduled.message.as_deref().unwrap_or("no node has room");
        (ConditionReason::Unschedulable, format!("pod {name}: {said}; add a node, or lower spec.resources.requests"))
    })
}

fn waiting(container: &ContainerStatus) -> Option<(ConditionReason, String)> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let said = waiting.message.as_deref().unwrap_or_default();
    let image = &container.image;
    match waiting.reason.as_deref()? {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" | "RegistryUnavailable" => {
            Some((
                ConditionReason::ImageUnavailable,
                format!(
                    "image {image} cannot be fetched: {said}; correct the image, or name a pull secret in spec.podTemplate"
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
    last.map(|last| format!(" (exit code {}, {})", last.exit_code, last.reason.as_deref().unwrap_or("no reason")))
        .unwrap_or_default()
}
