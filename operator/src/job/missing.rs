//! Whether what a Job mounts of the users' is there. Secrets and claims of users are not watched: the API server is asked.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::{Api, ResourceExt};

use super::archive::Archive;
use crate::api::{ConditionReason, RagCluster};
use crate::caches::Kind;
use crate::context::Context;
use crate::error::sentence;

/// What a Job would mount and is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// A Secret of the destination, the encryption or the signatures.
    #[error(
        "{field} of RagCluster {cluster}: there is no Secret \"{name}\" in this namespace; create it, or name another one"
    )]
    Secret {
        /// The cluster.
        cluster: String,
        /// The field that names it.
        field: String,
        /// The Secret.
        name: String,
    },
    /// The claim of the destination.
    #[error(
        "there is no PersistentVolumeClaim \"{name}\" in this namespace, which destination {destination} names; create it"
    )]
    Claim {
        /// The destination.
        destination: String,
        /// The claim.
        name: String,
    },
}

impl Missing {
    /// The class of the cause.
    pub fn reason(&self) -> ConditionReason {
        match self {
            Self::Secret { .. } => ConditionReason::SecretMissing,
            Self::Claim { .. } => ConditionReason::ClaimMissing,
        }
    }
}

/// The first of what a Job of `cluster` mounts for `archive` that is not there.
pub async fn missing(context: &Context, cluster: &RagCluster, archive: &Archive) -> Option<Missing> {
    let namespace = cluster.namespace().unwrap_or_default();
    for (field, secret) in archive.secrets() {
        if is_missing::<Secret>(context, &namespace, secret).await {
            return Some(Missing::Secret { cluster: cluster.name_any(), field, name: secret.to_owned() });
        }
    }
    let claim = archive.claim()?;
    let is_missing = is_missing::<PersistentVolumeClaim>(context, &namespace, claim).await;
    let (destination, name) = (archive.destination.name.clone(), claim.to_owned());
    is_missing.then_some(Missing::Claim { destination, name })
}

/// What the API server cannot say is no finding.
async fn is_missing<K: Kind>(context: &Context, namespace: &str, name: &str) -> bool {
    let api: Api<K> = Api::namespaced(context.client.clone(), namespace);
    match api.get_metadata_opt(name).await {
        Ok(found) => found.is_none(),
        Err(error) => {
            tracing::warn!(kind = %K::kind(&()), name, error = sentence(&error), "an object of a user cannot be looked up");
            false
        }
    }
}
