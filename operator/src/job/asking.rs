//! Asks every Job that runs how far it is, in the background: no pass waits for a pod, and no Job for the operator.
//!
//! What is not answered is not news, and fails nothing: the last answer stands until the pod has ended.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tokio::time::{MissedTickBehavior, interval};

use super::progress::JobPod;
use crate::api::{RagRestore, RagSnapshot, labels};
use crate::context::Context;
use crate::objects::OwnKind;
use crate::server_client::ServerClient;

/// The time between two rounds. Each answer may be a write of a status, and people look once in a while.
const EVERY: Duration = Duration::from_secs(30);

/// Questions under way at once; one namespace has a handful of Jobs.
const AT_ONCE: usize = 8;

/// A pod that can be asked.
#[derive(Debug, PartialEq)]
struct Target {
    pod: JobPod,
    address: IpAddr,
    owner_kind: String,
    owner: String,
}

/// Asks all Jobs at every interval. Ends never.
pub async fn ask_jobs(context: Arc<Context>, jobs: ServerClient) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        round(&context, &jobs).await;
    }
}

async fn round(context: &Context, jobs: &ServerClient) {
    let pods = context.namespaces.values().flat_map(|caches| caches.job_pods.all());
    let targets: Vec<Target> = pods.filter_map(|pod| target(&pod)).collect();
    let known: Vec<JobPod> = targets.iter().map(|target| target.pod.clone()).collect();
    context.memory.how_far.retain(&known);
    let questions = targets.into_iter().map(async |target| (jobs.progress(target.address).await, target));
    let mut answers = futures::stream::iter(questions).buffer_unordered(AT_ONCE);
    while let Some((answer, target)) = answers.next().await {
        match answer {
            Ok(told) => {
                if context.memory.how_far.keep(&target.pod, told, (context.now)()) {
                    look_at(context, &target);
                }
            }
            Err(silence) => {
                let JobPod { namespace, job, .. } = &target.pod;
                tracing::debug!(namespace, job, %silence, "a Job does not say how far it is");
            }
        }
    }
}

fn look_at(context: &Context, target: &Target) {
    let Some(caches) = context.caches(&target.pod.namespace) else { return };
    match target.owner_kind.as_str() {
        RagSnapshot::KIND => caches.snapshots.queue.push(&target.owner),
        RagRestore::KIND => caches.restores.queue.push(&target.owner),
        _ => {}
    }
}

/// A pod of a Job that runs and is not on its way out.
fn target(pod: &Pod) -> Option<Target> {
    let label = |key: &str| pod.labels().get(key).cloned();
    let status = pod.status.as_ref()?;
    if status.phase.as_deref() != Some("Running") || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    Some(Target {
        pod: JobPod { namespace: pod.namespace()?, job: label(labels::JOB_NAME)?, uid: pod.uid()? },
        address: status.pod_ip.as_ref()?.parse().ok()?,
        owner_kind: label(labels::OWNER_KIND)?,
        owner: label(labels::OWNER)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(phase: &str, more: Value) -> Pod {
        let labels = json!({
            labels::JOB_NAME: "nightly-take", labels::OWNER_KIND: "RagSnapshot", labels::OWNER: "nightly",
        });
        let mut metadata = json!({"name": "p", "namespace": "team-a", "uid": "u", "labels": labels});
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(json!({"metadata": metadata, "status": {"phase": phase, "podIP": "127.1.0.7"}})).unwrap()
    }

    #[test]
    fn the_pods_of_jobs_that_run_are_asked_and_no_others() {
        let found = target(&pod("Running", json!({}))).unwrap();
        assert_eq!((found.pod.job.as_str(), found.owner.as_str()), ("nightly-take", "nightly"));
        assert_eq!(target(&pod("Succeeded", json!({}))), None);
        assert_eq!(target(&pod("Running", json!({"deletionTimestamp": "2026-11-21T08:00:00Z"}))), None);
        assert_eq!(target(&pod("Running", json!({"labels": {labels::JOB_NAME: "of-somebody-else"}}))), None);
    }
}
