//! Who calls, and what tells it.
//!
//! A caller is the same one whichever of its credentials it shows: what is kept of it is kept under its subject and tenant, never under a key.

use async_trait::async_trait;

use super::Generation;
use crate::{
    config::Role,
    model::{Subject, Tenant},
};

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Its name.
    pub subject: Subject,
    /// Whose documents it sees and writes.
    pub tenant: Tenant,
    /// The most that it may do.
    pub role: Role,
    /// How it showed who it is.
    pub via: Via,
}

/// How a caller showed who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// Not at all: no keys are configured, so that only loopback is listened on.
    Loopback,
    /// By an API key.
    Key {
        /// The credential's name.
        credential: String,
        /// Which of its generations.
        generation: Generation,
    },
}

impl Principal {
    /// Whoever reaches a server without keys: this machine's user, who may do everything.
    pub fn anonymous() -> Self {
        Self { subject: Subject::anonymous(), tenant: Tenant::default(), role: Role::Admin, via: Via::Loopback }
    }

    /// Under which name its records are kept: another tenant's caller of the same name finds none of them.
    pub fn owner(&self) -> String {
        match self.tenant.is_default() {
            true => self.subject.to_string(),
            false => format!("{}@{}", self.subject, self.tenant),
        }
    }
}

/// Why nobody is known by what a request shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unauthenticated {
    /// It shows nothing.
    Missing,
    /// What it shows is not accepted here.
    Unknown,
    /// What it shows was accepted once, and was denied for all servers.
    Denied,
}

/// Tells who calls.
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// Who shows this.
    async fn authenticate(&self, shown: Option<&[u8]>) -> Result<Principal, Unauthenticated>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_one_subject_of_one_tenant() {
        let named = |name: &str, tenant: &str| {
            let subject = Subject::key(name);
            Principal { subject, tenant: tenant.to_owned().try_into().unwrap(), ..Principal::anonymous() }.owner()
        };
        let owners = [named("a", ""), named("a", "acme"), named("a-acme", ""), Principal::anonymous().owner()];
        assert_eq!(owners, ["api-key.a", "api-key.a@acme", "api-key.a-acme", "anonymous"]);
    }
}
