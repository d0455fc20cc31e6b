//! A double of a Qdrant server, for servers that share one.

// The double belongs to the workspace's tests; it is compiled in, because a binary cannot be relied on to be built.
#[path = "../../../tests/qdrant_double/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "only a part of the double is used here")]
pub(crate) mod qdrant_double;

use std::net::SocketAddr;

use self::qdrant_double::{ApiKeys, Double, Settings};

/// The double, listening on loopback for as long as the test runs.
pub(crate) struct SharedStore {
    /// None while it is away.
    double: Option<Double>,
    url: String,
    settings: Settings,
    _folder: tempfile::TempDir,
}

impl SharedStore {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let loopback: SocketAddr = ([127, 0, 0, 1], 0).into();
        let api_keys = ApiKeys::new(std::iter::empty::<String>());
        let settings =
            Settings { storage_path: folder.path().to_owned(), grpc: loopback, http: loopback, api_keys, strict: true };
        let double = Double::start(settings.clone()).await.unwrap();
        let settings = Settings { grpc: double.grpc, http: double.http, ..settings };
        Self { url: double.url(), double: Some(double), settings, _folder: folder }
    }

    /// Its gRPC address.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// The part of a configuration that names it.
    pub(crate) fn config(&self) -> String {
        format!("[vector_store.qdrant]\nurl = {:?}\ncollection = \"handbook\"\n", self.url)
    }

    /// Goes away, and keeps its data.
    pub(crate) async fn leave(&mut self) {
        self.double.take().unwrap().stop().await.unwrap();
    }

    /// Is there again, where it was.
    pub(crate) async fn come_back(&mut self) {
        self.double = Some(Double::start(self.settings.clone()).await.unwrap());
    }
}
