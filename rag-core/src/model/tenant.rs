//! Whose documents: what one tenant stores, another can neither find nor change.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A tenant's name, or the default tenant, whose keys name none.
///
/// 1 to 63 bytes of a-z, 0-9 and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tenant(String);

/// Why a text cannot name a tenant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tenant is named by 1 to 63 of a-z, 0-9 and -, not by {0:?}")]
pub struct InvalidTenant(String);

impl Tenant {
    /// Bytes that a tenant's name may have.
    pub const MAX_BYTES: usize = 63;

    /// The name; empty for the default tenant.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the one of keys that name none.
    pub fn is_default(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Tenant {
    type Err = InvalidTenant;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(allowed);
        if fits { Ok(Self(text.to_owned())) } else { Err(InvalidTenant(text.to_owned())) }
    }
}

impl TryFrom<String> for Tenant {
    type Error = InvalidTenant;

    /// What was written of the default tenant is empty.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() { Ok(Self::default()) } else { text.parse() }
    }
}

impl From<Tenant> for String {
    fn from(tenant: Tenant) -> Self {
        tenant.0
    }
}

impl fmt::Display for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_default() { "the default tenant" } else { &self.0 })
    }
}
