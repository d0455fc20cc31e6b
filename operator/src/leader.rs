//! Only one process works: the one that holds the Lease.
//!
//! The lease is renewed in the background of [`Election::lost`]. A holder that cannot renew stops working before anybody else may
//! take over, so that there are never two. Everybody else waits with warm caches.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, Config};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::time::{Instant, sleep, sleep_until};

/// The pause between attempts while the API server does not answer.
const RETRY: Duration = Duration::from_secs(1);

/// Which lease, and how it is held.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Who we are; has to differ between processes.
    pub identity: String,
    /// How long the lease is good without being renewed; at least 2.
    pub seconds: u64,
}

impl Terms {
    /// How long before its end a lease is renewed. A third: two attempts fit before somebody else may take over.
    fn grace(&self) -> u64 {
        (self.seconds / 3).max(1)
    }
}

/// Why we no longer lead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Somebody else holds the lease.
    Taken,
    /// The API server did not let us renew in time.
    NotRenewed,
}

/// Our part in the election.
pub struct Election {
    lease: LeaseManager,
    api: Api<Lease>,
    terms: Terms,
}

impl Election {
    /// Joins: finds the Lease or creates it.
    pub async fn join(config: &Config, terms: Terms) -> Result<Self, LeaseManagerError> {
        let client = Client::try_from(impatient(config, &terms))?;
        let api = Api::namespaced(client.clone(), &terms.namespace);
        let lease = LeaseManagerBuilder::new(client, &terms.name)
            .with_namespace(&terms.namespace)
            .with_identity(&terms.identity)
            .with_field_manager(format!("ragops-operator-{}", terms.identity))
            // The order matters: the builder refuses a grace that is not shorter than the duration.
            .with_duration(terms.seconds)
            .with_grace(terms.grace())
            .build()
            .await?;
        Ok(Self { lease, api, terms })
    }

    /// Resolves when we hold the lease. Trouble on the way is logged and outlasted.
    pub async fn won(&self) {
        loop {
            match self.lease.changed().await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "the lease cannot be asked for");
                    sleep(RETRY).await;
                }
            }
        }
    }

    /// Renews the lease, and resolves when we no longer hold it.
    pub async fn lost(&self) -> Loss {
        let grace = Duration::from_secs(self.terms.grace());
        let mut deadline: Option<Instant> = None;
        loop {
            let expired = sleep_until(deadline.unwrap_or_else(Instant::now));
            tokio::select! {
                changed = self.lease.changed() => match changed {
                    Ok(true) => {}
                    Ok(false) => return Loss::Taken,
                    Err(error) => {
                        tracing::warn!(%error, "the lease could not be renewed");
                        deadline.get_or_insert_with(|| Instant::now() + grace);
                        sleep(RETRY.min(grace / 2)).await;
                    }
                },
                () = expired, if deadline.is_some() => {
                    if !self.is_still_ours().await {
                        return Loss::NotRenewed;
                    }
                    deadline = None;
                }
            }
        }
    }

    /// Frees the lease, so that the next process need not wait for its end.
    pub async fn release(&self) -> Result<(), LeaseManagerError> {
        self.lease.release().await
    }

    /// A renewal leaves no trace in the client, so the Lease itself has to be read.
    async fn is_still_ours(&self) -> bool {
        match self.api.get(&self.terms.name).await {
            Ok(lease) => is_held(&lease, &self.terms.identity, Timestamp::now()),
            Err(_) => false,
        }
    }
}

/// Requests about the lease must fail well before it ends.
fn impatient(config: &Config, terms: &Terms) -> Config {
    let patience = Some(Duration::from_secs(terms.seconds) / 4);
    let mut config = config.clone();
    (config.connect_timeout, config.read_timeout, config.write_timeout) = (patience, patience, patience);
    // Otherwise the time that a connection was idle between two renewals counts as waiting.
    config.reset_reader_on_write = true;
    config
}

fn is_held(lease: &Lease, identity: &str, now: Timestamp) -> bool {
    let Some(spec) = &lease.spec else { return false };
    let (Some(renewed), Some(seconds)) = (&spec.renew_time, spec.lease_duration_seconds) else { return false };
    let age = now.duration_since(renewed.0);
    spec.holder_identity.as_deref() == Some(identity) && age.as_secs() < i64::from(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::coordination::v1::LeaseSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

    fn lease(holder: &str, renewed: i64) -> Lease {
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            renew_time: Some(MicroTime(Timestamp::from_second(renewed).unwrap())),
            ..LeaseSpec::default()
        };
        Lease { spec: Some(spec), ..Lease::default() }
    }

    #[test]
    fn a_lease_is_held_by_its_holder_until_it_ends() {
        let now = Timestamp::from_second(1_000).unwrap();
        assert!(is_held(&lease("me", 990), "me", now));
        assert!(!is_held(&lease("me", 985), "me", now));
        assert!(!is_held(&lease("other", 990), "me", now));
        assert!(!is_held(&Lease::default(), "me", now));
    }

    #[test]
    fn a_lease_is_renewed_early_enough_for_every_length() {
        for seconds in 2..60 {
            let terms = Terms { namespace: String::new(), name: String::new(), identity: String::new(), seconds };
            assert!(terms.grace() >= 1 && terms.grace() < seconds, "{seconds}");
        }
    }
}
