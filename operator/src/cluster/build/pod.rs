//! What the pods of servers and of the managed vector store have in common: the restricted standard, and what the user adds.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, EmptyDirVolumeSource, HTTPGetAction, LocalObjectReference, PodSecurityContext, PodSpec,
    Probe, ResourceRequirements, SeccompProfile, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::cluster::PodTemplate;
use crate::cluster::validate::Amounts;

/// A pod under the restricted standard that runs as the given user and group.
pub(super) fn restricted(user: i64, additions: &PodTemplate) -> PodSpec {
    let pull_secrets = additions.image_pull_secrets.iter();
    PodSpec {
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(user),
            run_as_group: Some(user),
            fs_group: Some(user),
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
            ..PodSecurityContext::default()
        }),
        node_selector: present(additions.node_selector.clone()),
        tolerations: (!additions.tolerations.is_empty()).then(|| additions.tolerations.clone()),
        priority_class_name: additions.priority_class_name.clone(),
        image_pull_secrets: (!additions.image_pull_secrets.is_empty())
            .then(|| pull_secrets.map(|secret| LocalObjectReference { name: secret.name.clone() }).collect()),
        ..PodSpec::default()
    }
}

/// A container under the restricted standard.
pub(super) fn container(name: &str, image: &str, amounts: &Amounts) -> Container {
    Container {
        name: name.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        resources: Some(ResourceRequirements {
            requests: present(amounts.requests.clone()),
            limits: present(amounts.limits.clone()),
            claims: None,
        }),
        // The last lines of its log say why it ended, also to those who may not read logs.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

/// A probe of a path on a named port.
pub(super) fn probe(path: &str, port: &str, period_seconds: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(port.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failures),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}

/// A folder that lives as long as the pod.
pub(super) fn empty_dir(name: &str) -> Volume {
    let size_limit = Some(Quantity("256Mi".to_owned()));
    Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource { size_limit, ..EmptyDirVolumeSource::default() }),
        ..Volume::default()
    }
}

/// Where a volume stands in the container.
pub(crate) fn mount(volume: &str, path: &str, is_read_only: bool) -> VolumeMount {
    VolumeMount {
        name: volume.to_owned(),
        mount_path: path.to_owned(),
        read_only: is_read_only.then_some(true),
        ..VolumeMount::default()
    }
}

fn present<V>(map: BTreeMap<String, V>) -> Option<BTreeMap<String, V>> {
    (!map.is_empty()).then_some(map)
}
