//! When certificates expire, as the management port says it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{metrics::Looks, operations::Operations};

/// A file of certificates that connections are checked against.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct CertificateExpiry {
    /// `qdrant_ca`, `postgres_ca`, `redis_ca`, `snapshots_ca` or `tracing_ca`.
    pub name: String,
    /// When the first of its certificates expires, or expired.
    pub expires_at: String,
}

/// All that are known, the one that expires first at the front.
pub(super) fn certificates(operations: &Operations) -> Vec<CertificateExpiry> {
    let known = operations.certificates().earliest_first().into_iter();
    known
        .map(|(certificate, at)| CertificateExpiry {
            name: certificate.as_str().to_owned(),
            expires_at: at.to_string(),
        })
        .collect()
}

/// Takes down how many seconds each still has; what is no longer known is not told any more.
pub(super) fn take_down(operations: &Operations, looks: &Looks) {
    let now = Timestamp::now();
    looks.certificate_expiry.reset();
    for (certificate, at) in operations.certificates().earliest_first() {
        let seconds = at.duration_since(now).as_secs_f64();
        looks.certificate_expiry.with_label_values(&[certificate.as_str()]).set(seconds);
    }
}
