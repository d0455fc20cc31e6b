//! A double of a Qdrant server, for servers that share one.

// The double belongs to the workspace's tests; it is compiled in, because a binary cannot be relied on to be built.
#[path = "../../../tests/qdrant_double/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "only a part of the double is used here")]
mod qdrant_double;

use std::net::SocketAddr;

use self::qdrant_double::{ApiKeys, Double, Settings};

/// The double, listening on loopback for as long as the test runs.
pub(crate) struct SharedStore {
    double: Double,
    _folder: tempfile::TempDir,
}

impl SharedStore {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let loopback: SocketAddr = ([127, 0, 0, 1], 0).into();
        let api_keys = ApiKeys::new(std::iter::empty::<String>());
        let settings =
            Settings { storage_path: folder.path().to_owned(), grpc: loopback, http: loopback, api_keys, strict: true };
        Self { double: Double::start(settings).await.unwrap(), _folder: folder }
    }

    /// Its gRPC address.
    pub(crate) fn url(&self) -> String {
        self.double.url()
    }

    /// The part of a configuration that names it.
    pub(crate) fn config(&self) -> String {
        format!("[vector_store.qdrant]\nurl = {:?}\ncollection = \"handbook\"\n", self.double.url())
    }
}
