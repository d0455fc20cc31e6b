//! Decisions for all servers, made and logged: who decided what. Of a text that somebody wrote the log has the hash.

use axum::{extract::FromRequestParts, http::request::Parts};
use sha2::{Digest as _, Sha256};

use super::{
    error::Problem,
    extract::{AdminKey, Client},
    state::Api,
};
use crate::operations::{Change, Changed};

/// An administrator who asks for a decision.
pub(super) struct Decider {
    pub(super) client: Client,
    pub(super) api: Api,
}

impl FromRequestParts<Api> for Decider {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let AdminKey(client) = AdminKey::from_request_parts(parts, api).await?;
        Ok(Self { client, api: api.clone() })
    }
}

impl Decider {
    /// Makes a decision in the administrator's name, and says so in the log.
    pub(super) async fn decide(&self, change: Change) -> Result<Changed, Problem> {
        decide(&self.api, &self.client.owner(), change).await
    }
}

/// Makes a decision in the name of `by`, and says so in the log.
pub(super) async fn decide(api: &Api, by: &str, change: Change) -> Result<Changed, Problem> {
    let flows = api.flows()?;
    let changed = api.operations.change_fleet(&*flows.records, &change, by).await?;
    let (action, what) = described(&change);
    let reason_sha256 = match &change {
        Change::Block { reason, .. } => Some(hex::encode(Sha256::digest(reason))),
        _ => None,
    };
    let (revision, did) = (changed.state.revision, changed.did);
    tracing::info!(by, action, what, reason_sha256, revision, did, "a decision for all servers");
    Ok(changed)
}

/// What is decided, and about what.
fn described(change: &Change) -> (&'static str, String) {
    match change {
        Change::ReadOnly(on) => ("read_only", on.to_string()),
        Change::Reset(service) => ("reset_breaker", service.clone()),
        Change::Clear { kinds, tenant } => {
            let kinds = kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(",");
            let of =
                tenant.as_ref().map_or_else(|| "every tenant".to_owned(), |tenant| format!("{:?}", tenant.as_str()));
            ("clear_cache", format!("{kinds} of {of}"))
        }
        Change::Block { subject, .. } => ("block", subject.clone()),
        Change::Lift(subject) => ("lift_block", subject.clone()),
        Change::Deny(fingerprint) => ("deny", fingerprint.clone()),
    }
}
