//! The one control plane of this test program, started by the first test that needs it and ended with the program.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use kube::api::PostParams;
use kube::{Api, Client};
use ragops_tests::metrics::Metrics;
use ragops_tests::pods::PodEndpoint;
use ragops_tests::{Cluster, availability, restricted};
use tokio::sync::OnceCell;

/// The cluster and its doubles.
pub(crate) struct Shared {
    pub(crate) cluster: Cluster,
    pub(crate) metrics: Metrics,
    pub(crate) pods: PodEndpoint,
}

static SHARED: OnceCell<Option<Shared>> = OnceCell::const_new();
static NAMESPACES: AtomicU32 = AtomicU32::new(1);

/// The shared cluster; `None`, and a line that says why, where this machine cannot run it.
pub(crate) async fn shared(test: &str) -> Result<Option<&'static Shared>> {
    let parts = match availability::control_plane() {
        Ok(parts) => parts,
        Err(reason) => {
            availability::skipped(test, &reason)?;
            return Ok(None);
        }
    };
    let start = async || {
        let cluster = Cluster::control_plane(&parts).await?;
        let (metrics, pods) = tokio::try_join!(Metrics::start(&cluster), PodEndpoint::start(&cluster))?;
        anyhow::Ok(Some(Shared { cluster, metrics, pods }))
    };
    Ok(SHARED.get_or_try_init(start).await?.as_ref())
}

impl Shared {
    /// A client of the admin, and a new namespace that takes restricted pods only: what a test needs to be alone.
    pub(crate) async fn alone(&self, prefix: &str) -> Result<(Client, String)> {
        let client = self.cluster.client().await?;
        let name = format!("{prefix}-{}", NAMESPACES.fetch_add(1, Ordering::Relaxed));
        Api::all(client.clone()).create(&PostParams::default(), &restricted::namespace(&name)).await?;
        Ok((client, name))
    }
}
