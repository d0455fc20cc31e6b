//! A running server that is asked from the command line.

use std::{error::Error, path::Path};

use reqwest::{Client, ClientBuilder, Response, header::HeaderValue};
use serde::{Deserialize, Serialize};

use super::{key::key, printable};
use crate::{
    key_file::NoKey,
    outside::{self, innermost},
};

/// Bytes of a problem document; the server's own have a few hundred.
pub(super) const MAX_PROBLEM_BYTES: usize = 64 * 1024;

/// Why a server gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("the key cannot be used: {0}")]
    Key(#[source] NoKey),
    #[error("{server} cannot be asked: {cause}; is the address right, and the server running?")]
    Unreachable { server: String, cause: String },
    #[error("{server} answered {status}: {detail}")]
    Refused { server: String, status: u16, detail: String },
    #[error("{server} answered something else than rag-server does: {cause}")]
    NotOurs { server: String, cause: String },
}

/// What a problem document says.
#[derive(Default, Deserialize)]
struct ProblemView {
    status: Option<u16>,
    title: Option<String>,
    detail: Option<String>,
}

/// The status, unless it is this one, and the reason in a problem document, for a terminal.
pub(super) fn problem(status: u16, body: &[u8]) -> (u16, String) {
    let said: ProblemView = serde_json::from_slice(body).unwrap_or_default();
    let reason = said.detail.or(said.title).unwrap_or_else(|| "no reason given".to_owned());
    (said.status.unwrap_or(status), printable::line(&reason).to_string())
}

/// A server by its address, with the key that it wants.
pub(super) struct Server {
    address: String,
    client: Client,
    key: Option<HeaderValue>,
}

impl Server {
    /// Nothing is sent yet. Without a file the key is that of the environment, if there is one.
    pub(super) fn new(address: &str, key_file: Option<&Path>, builder: ClientBuilder) -> Result<Self, AskError> {
        let server = address.trim_end_matches('/').to_owned();
        let client = outside::client(&server, builder)
            .map_err(|e| AskError::Unreachable { server: server.clone(), cause: innermost(&e) })?;
        Ok(Self { address: server, client, key: key(key_file).map_err(AskError::Key)? })
    }

    /// The answer to a request, if it is no problem document.
    pub(super) async fn post(&self, path: &str, body: &impl Serialize) -> Result<Response, AskError> {
        let mut request = self.client.post(format!("{}{path}", self.address)).json(body);
        if let Some(key) = &self.key {
            request = request.header("x-api-key", key.clone());
        }
        let response = request.send().await.map_err(|e| self.unreachable(&e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = outside::bounded(response, MAX_PROBLEM_BYTES).await.map_err(|e| self.unreachable(&e))?;
        Err(self.refused(status.as_u16(), &body))
    }

    /// The server sent a problem document, with this status unless the document has one.
    pub(super) fn refused(&self, status: u16, body: &[u8]) -> AskError {
        let (status, detail) = problem(status, body);
        AskError::Refused { server: self.address.clone(), status, detail }
    }

    /// The connection failed.
    pub(super) fn unreachable(&self, error: &dyn Error) -> AskError {
        AskError::Unreachable { server: self.address.clone(), cause: innermost(error) }
    }

    /// What came cannot be read.
    pub(super) fn not_ours(&self, error: &dyn Error) -> AskError {
        AskError::NotOurs { server: self.address.clone(), cause: error.to_string() }
    }
}
