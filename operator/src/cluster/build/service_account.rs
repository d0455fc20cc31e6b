//! The identity of the servers' pods, which may do nothing at the API server.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata::{self, Part};
use crate::cluster::validate::ValidatedCluster;

/// NAME-server.
pub(super) fn service_account(cluster: &ValidatedCluster) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata::child(cluster, Part::Server, cluster.name.server()),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
