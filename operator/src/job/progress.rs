//! How far a Job is: what its command answers, what is kept of it, and whom its pods let ask. Pure but for the lock.
//!
//! It is asked for over HTTP, at the port at which servers are asked. So a Job needs no right at the API server, and the operator
//! none to read logs. What is answered are figures and nothing else, so that no key is needed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyIngressRule};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;

use crate::api::progress::{JobProgress, ProgressUnit};
use crate::cluster::build::config::MANAGEMENT_PORT;
use crate::cluster::build::network_policy::{pods_of, port};
use crate::cluster::observed::OperatorDefaults;

/// Where a command answers.
pub const PROGRESS_PATH: &str = "/progress";

/// What a command answers.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub struct Told {
    /// What it counts.
    pub unit: Unit,
    /// So many are done.
    pub done: u64,
    /// How many there are.
    pub of: u64,
    /// Bytes that it wrote to the archive.
    #[serde(default)]
    pub bytes: Option<u64>,
}

/// What a command counts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Documents.
    Documents,
    /// Parts of a snapshot.
    Parts,
}

/// A pod of a Job, and for whom the Job works.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JobPod {
    /// Its namespace.
    pub namespace: String,
    /// Its Job.
    pub job: String,
    /// Its uid: another pod of the same Job begins anew.
    pub uid: String,
}

/// How far Jobs were when they were last asked.
#[derive(Default)]
pub struct HowFar(Mutex<HashMap<(String, String), (String, JobProgress)>>);

impl HowFar {
    /// How far the Job of this name was.
    pub fn of(&self, namespace: &str, job: &str) -> Option<JobProgress> {
        let key = (namespace.to_owned(), job.to_owned());
        self.lock().get(&key).map(|(_, progress)| progress.clone())
    }

    /// Keeps what a pod has told at `now`, and says whether that is news: what stands as before, stands since then.
    pub fn keep(&self, pod: &JobPod, told: Told, now: Timestamp) -> bool {
        let progress = progress(told, now);
        let key = (pod.namespace.clone(), pod.job.clone());
        let mut all = self.lock();
        let is_same = |(uid, before): &(String, JobProgress)| {
            *uid == pod.uid && JobProgress { at: progress.at.clone(), ..before.clone() } == progress
        };
        if all.get(&key).is_some_and(is_same) {
            return false;
        }
        all.insert(key, (pod.uid.clone(), progress));
        true
    }

    /// Forgets all but what these pods have told.
    pub fn retain(&self, pods: &[JobPod]) {
        self.lock().retain(|(namespace, job), (uid, _)| {
            pods.iter().any(|pod| pod.namespace == *namespace && pod.job == *job && pod.uid == *uid)
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), (String, JobProgress)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn progress(told: Told, now: Timestamp) -> JobProgress {
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let percent = u128::from(told.done) * 100 / u128::from(told.of.max(1));
    JobProgress {
        unit: match told.unit {
            Unit::Documents => ProgressUnit::Documents,
            Unit::Parts => ProgressUnit::Parts,
        },
        done: whole(told.done),
        of: whole(told.of),
        percent: i32::try_from(percent).unwrap_or(i32::MAX).min(100),
        bytes: told.bytes.map(whole),
        at: Time(Timestamp::from_second(now.as_second()).unwrap_or(now)),
    }
}

/// What is said of a Job that runs: how far it is, where that is known.
pub fn runs(job: &str, progress: Option<&JobProgress>) -> String {
    let Some(JobProgress { unit, done, of, .. }) = progress else { return format!("Job {job} runs") };
    let (done, of) = (grouped(*done), grouped(*of));
    match unit {
        ProgressUnit::Documents => format!("Job {job} runs: {done} of {of} documents"),
        ProgressUnit::Parts => format!("Job {job} runs: {done} of {of} parts are read back"),
    }
}

/// A number with its thousands apart, as people read it.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut said = if number < 0 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            said.push(',');
        }
        said.push(digit);
    }
    said
}

/// The same policy, under which the operator may ask as well.
pub(super) fn letting_in(mut policy: NetworkPolicy, operator: &OperatorDefaults) -> NetworkPolicy {
    let asks = NetworkPolicyIngressRule {
        from: Some(vec![pods_of(operator)]),
        ports: Some(vec![port("TCP", MANAGEMENT_PORT)]),
    };
    if let Some(spec) = &mut policy.spec {
        spec.ingress.get_or_insert_default().push(asks);
    }
    policy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures::nothing;
    use serde_json::json;

    fn pod(uid: &str) -> JobPod {
        JobPod { namespace: "team-a".into(), job: "nightly-take".into(), uid: uid.into() }
    }

    fn told(done: u64) -> Told {
        Told { unit: Unit::Documents, done, of: 24_000, bytes: Some(7) }
    }

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    const NOW: &str = "2026-11-21T08:00:00Z";

    const LATER: &str = "2026-11-21T08:00:30Z";

    #[test]
    fn what_a_job_tells_again_is_no_news_and_another_pod_begins_anew() {
        let kept = HowFar::default();
        let of = || kept.of("team-a", "nightly-take");
        assert_eq!(of(), None);
        assert!(kept.keep(&pod("p1"), told(12_000), at(NOW)));
        assert!(!kept.keep(&pod("p1"), told(12_000), at(LATER)));
        assert_eq!(of().unwrap().at.0, at(NOW));
        assert!(kept.keep(&pod("p1"), told(12_001), at(LATER)));
        assert_eq!((of().unwrap().done, of().unwrap().at.0), (12_001, at(LATER)));
        assert!(kept.keep(&pod("p2"), told(12_001), at(LATER)));
        kept.retain(&[pod("p2")]);
        assert!(of().is_some());
        assert_eq!(kept.of("team-b", "nightly-take"), None);
        kept.retain(&[pod("p1")]);
        assert_eq!(of(), None);
    }

    #[test]
    fn a_job_that_tells_what_cannot_be_fills_no_field_with_it() {
        let hostile = Told { unit: Unit::Parts, done: u64::MAX, of: 0, bytes: Some(u64::MAX) };
        let shown = progress(hostile, at(NOW));
        assert_eq!((shown.done, shown.of, shown.percent, shown.bytes), (i64::MAX, 0, 100, Some(i64::MAX)));
        let halfway = progress(Told { done: 199, of: 200, ..hostile }, at(NOW));
        assert_eq!(halfway.percent, 99, "what is not done is never 100");
    }

    #[test]
    fn people_read_how_far_it_is_where_that_is_known() {
        let said = |told: Told| runs("a-take", Some(&progress(told, at(NOW))));
        assert_eq!(said(told(12_000)), "Job a-take runs: 12,000 of 24,000 documents");
        let parts = Told { unit: Unit::Parts, done: 7, of: 1_234_567, bytes: None };
        assert_eq!(said(parts), "Job a-take runs: 7 of 1,234,567 parts are read back");
        assert_eq!(runs("a-take", None), "Job a-take runs");
    }

    #[test]
    fn the_operator_is_let_in_beside_whoever_was_and_at_one_port() {
        let defaults =
            OperatorDefaults { operator_labels: [("app".into(), "ragops".into())].into(), ..nothing().defaults };
        let policy: NetworkPolicy = serde_json::from_value(json!({"spec": {"podSelector": {}}})).unwrap();
        let ingress = json!(letting_in(policy, &defaults).spec.unwrap().ingress);
        let peer = json!({
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ragops-system"}},
            "podSelector": {"matchLabels": {"app": "ragops"}},
        });
        assert_eq!(ingress, json!([{"from": [peer], "ports": [{"port": MANAGEMENT_PORT, "protocol": "TCP"}]}]));
    }
}
