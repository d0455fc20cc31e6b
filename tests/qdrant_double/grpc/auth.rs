//! The API key check before every call but the health check, which the real server leaves open too.

use std::fmt;
use std::sync::Arc;

use subtle::{Choice, ConstantTimeEq};
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// The keys that are accepted; none means that every call is.
#[derive(Clone, Default)]
pub struct ApiKeys(Arc<Vec<String>>);

impl ApiKeys {
    /// Accepts these; empty ones do not count.
    pub fn new(keys: impl IntoIterator<Item = String>) -> Self {
        Self(Arc::new(keys.into_iter().filter(|key| !key.is_empty()).collect()))
    }

    /// Compares with every key in constant time, so that timing tells nothing about any.
    fn accept(&self, offered: &str) -> bool {
        let found = self.0.iter().fold(Choice::from(0), |found, key| found | key.as_bytes().ct_eq(offered.as_bytes()));
        found.into()
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeys({})", self.0.len())
    }
}

/// Refuses calls without an accepted key.
#[derive(Debug, Clone)]
pub(crate) struct ApiKeyCheck(pub(crate) ApiKeys);

impl Interceptor for ApiKeyCheck {
    fn call(&mut self, request: Request<()>) -> Result<Request<()>, Status> {
        let ApiKeyCheck(keys) = self;
        if keys.0.is_empty() {
            return Ok(request);
        }
        let header = |name: &str| request.metadata().get(name).and_then(|value| value.to_str().ok());
        let offered = header("api-key").or_else(|| header("authorization")?.strip_prefix("Bearer "));
        match offered {
            None => Err(Status::unauthenticated("Must provide an API key or an Authorization bearer token")),
            Some(key) if keys.accept(key) => Ok(request),
            Some(_) => Err(Status::unauthenticated("Invalid API key or JWT")),
        }
    }
}
