//! Jobs of the servers' program: what works on the corpus beside the servers and ends by itself.
//!
//! ```text
//!  the servers' Deployment and configuration ─► Servers ┐
//!  spec.snapshots ─────────────────────────► Archive ├─ Request ─► build ─► create
//!                                  the Job and its pods ─► look ─► remove
//! ```
//!
//! **Flow.** A Job is built of what the servers run, so that it reaches what they reach. Bytes never pass through the operator:
//! the Job works, and its container's termination message says what came of it, for which it needs no right at the API server.
//!
//! **Guarantees.** A Job has a name that its owner gives it, and is made at most once under it; an object of that name that is
//! not its owner's is never taken over. What was made for a Job never changes. It goes with its owner, or before by [`remove`].
//!
//! `servers`, `archive`, `attached`, `build` and `look` are pure; `missing` asks the API server, and `asking` the
//! pods; `carry_out` alone writes.

mod archive;
mod asking;
mod attached;
mod build;
mod carry_out;
mod look;
mod missing;
pub mod progress;
mod servers;

pub use archive::{Archive, NoDestination};
pub use asking::ask_jobs;
pub use attached::{Attached, MANIFEST_FILE};
pub use build::{Built, Request, build, owner};
pub use carry_out::{Made, create, made_for, remove};
pub use look::{Failure, Looked, look};
pub use missing::{Missing, missing};
pub use servers::{Servers, Unusable, servers};

use std::sync::Arc;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::ResourceExt;

use crate::api::{ClusterName, RagCluster};
use crate::apply::{Owner, Ownership, ownership};
use crate::caches::Caches;

/// What the servers of `cluster` run, as the caches show it.
pub fn servers_of(caches: &Caches, cluster: &RagCluster) -> Result<Servers, Unusable> {
    let (name, uid) = (cluster.name_any(), cluster.uid().unwrap_or_default());
    let whose = Owner { name: &name, uid: &uid };
    let deployment = ClusterName::parse(&name).ok().and_then(|name| caches.deployments.named(&name.server()));
    let deployment = deployment.filter(|found| ownership(&found.metadata, whose) == Ownership::Ours);
    let mut configs: Vec<Arc<ConfigMap>> = caches.config_maps.of(&uid);
    configs.retain(|found| ownership(&found.metadata, whose) == Ownership::Ours);
    servers(cluster, deployment.as_deref(), &configs)
}

/// The name of an attempt at what the Jobs of this name do: the first has the name itself. An attempt that failed is followed by
/// another Job, since a Job is never changed.
pub fn attempt_name(base: &str, number: u32) -> String {
    if number <= 1 { base.to_owned() } else { format!("{base}-{number}") }
}

/// The number of the attempt that a Job is; nothing for another Job.
pub fn attempt_number(base: &str, name: &str) -> Option<u32> {
    match name.strip_prefix(base)? {
        "" => Some(1),
        rest => rest.strip_prefix('-')?.parse().ok().filter(|number| *number > 1),
    }
}

/// The newest attempt that was made for the owner of this uid, and how it stands; nothing where there is none.
pub fn newest_attempt(caches: &Caches, owner_uid: &str, base: &str) -> Option<(u32, Looked)> {
    let jobs = caches.jobs.of(owner_uid);
    let newest = jobs.iter().filter_map(|job| attempt_number(base, &job.name_any())).max()?;
    Some((newest, look_at(caches, owner_uid, &attempt_name(base, newest))))
}

/// How the Job of this name stands that was made for the owner of this uid, as the caches show it.
pub fn look_at(caches: &Caches, owner_uid: &str, name: &str) -> Looked {
    let is_owned = |job: &Arc<Job>| job.owner_references().iter().any(|owner| owner.uid == owner_uid);
    let job = caches.jobs.named(name).filter(is_owned);
    let pods: Vec<Arc<Pod>> =
        job.as_ref().and_then(|job| job.uid()).map(|uid| caches.job_pods.of(&uid)).unwrap_or_default();
    look(job.as_deref(), &pods)
}

#[cfg(test)]
pub(crate) mod tests;
