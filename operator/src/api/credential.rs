//! What rotates: the credentials of a cluster and their generations.

use std::fmt;

use super::names::ClientName;

/// A credential that the operator mints for a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Credential {
    /// The key with which a client of the service authenticates.
    ApiKey(ClientName),
    /// The key with which the operator asks the servers' management port.
    Operator,
    /// The key with which the servers authenticate to the managed vector store.
    VectorStore,
}

impl Credential {
    /// The stem of the credential's file names in the mounted folder: `api-key.NAME`, `operator`, `vector-store`.
    pub fn file_stem(&self) -> String {
        match self {
            Self::ApiKey(client) => format!("api-key.{client}"),
            Self::Operator | Self::VectorStore => self.to_string(),
        }
    }

    /// The client whose key it is, if it is one's.
    pub fn client(&self) -> Option<&ClientName> {
        match self {
            Self::ApiKey(client) => Some(client),
            Self::Operator | Self::VectorStore => None,
        }
    }

    /// The file that holds the generation in use.
    pub fn current_file(&self) -> String {
        format!("{}.current", self.file_stem())
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiKey(client) => write!(f, "api-key-{client}"),
            Self::Operator => f.write_str("operator"),
            Self::VectorStore => f.write_str("vector-store"),
        }
    }
}

/// One generation of a credential, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u32);

impl Generation {
    /// The generation that is minted when the cluster is created.
    pub const FIRST: Self = Self(1);
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
