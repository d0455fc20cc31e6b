//! What the handlers share.

use std::sync::{Arc, PoisonError, RwLock};

use super::{
    error::{Code, Problem},
    readiness::Readiness,
};
use crate::{
    config::{Config, Loaded, Retrieval, Server},
    generate::Answers,
    ingest::Ingest,
    metrics::Metrics,
    operations::Operations,
    ports::{Embedder, Records, VectorStore},
    resilience::{Admission, Places},
    retrieve::Retrieve,
    security::Keys,
};

/// Requests of whoever looks after the server that are handled at once: a few programs, each with one question.
const ADMIN_PLACES: usize = 32;

/// The flows and the stores behind them, once they are there.
pub struct Flows {
    /// Documents to an index.
    pub ingest: Arc<Ingest>,
    /// Questions to passages.
    pub retrieve: Arc<Retrieve>,
    /// Questions to passages without any cache.
    pub uncached: Arc<Retrieve>,
    /// Questions to answers.
    pub answers: Arc<Answers>,
    /// The vectors.
    pub store: Arc<dyn VectorStore>,
    /// The records.
    pub records: Arc<dyn Records>,
    /// The embedding model.
    pub embedder: Arc<dyn Embedder>,
}

/// What the handlers share; cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

/// See [`Api`].
pub struct Shared {
    /// The effective configuration.
    pub config: Config,
    /// Limits.
    pub server: Server,
    /// What a question is searched with unless it says otherwise.
    pub retrieval: Retrieval,
    /// SHA-256 of the accepted configuration file, in hex.
    pub config_sha256: String,
    /// What goes on, and what may change while the server runs.
    pub operations: Operations,
    /// Who may ask.
    pub keys: Keys,
    /// What is waited for.
    pub readiness: Readiness,
    /// What is counted.
    pub metrics: Metrics,
    /// How much is let in.
    pub admission: Admission,
    flows: RwLock<Option<Arc<Flows>>>,
}

impl Api {
    /// A server that has accepted its configuration and credentials, and nothing else yet.
    pub fn new(loaded: &Loaded, keys: Keys, metrics: Metrics, operations: Operations) -> Self {
        let config = &loaded.config;
        Self(Arc::new(Shared {
            config: config.clone(),
            server: config.server.clone(),
            retrieval: config.retrieval.clone(),
            config_sha256: loaded.sha256.clone(),
            keys: keys.without(operations.denied()),
            operations,
            readiness: Readiness::default(),
            metrics,
            admission: Admission::new(places(&config.server), config.server.max_body_bytes),
            flows: RwLock::default(),
        }))
    }

    /// Everything is loaded: requests are taken from now on, and by these flows.
    pub fn ready(&self, flows: Flows) {
        let before = self.flows.write().unwrap_or_else(PoisonError::into_inner).replace(Arc::new(flows));
        if before.is_none() {
            self.readiness.all_arrived();
            self.metrics.ready.set(1);
        }
    }

    /// The flows; before they are there, the problem that says what is waited for. A request takes them once: they change when the corpus changes over to another model.
    pub fn flows(&self) -> Result<Arc<Flows>, Problem> {
        let flows = self.flows.read().unwrap_or_else(PoisonError::into_inner).clone();
        flows.ok_or_else(|| self.not_ready())
    }

    /// The problem that says why requests are not taken.
    pub(super) fn not_ready(&self) -> Problem {
        if self.readiness.is_stopping() {
            return Problem::new(Code::Stopping, "the server is stopping; ask another one").retry_after(1);
        }
        let waiting_for = self.readiness.waiting_for();
        let detail = format!("the server is starting and waits for {}", waiting_for.join(", "));
        Problem { waiting_for, ..Problem::new(Code::NotReady, detail).retry_after(1) }
    }

    /// Whether anybody may do everything: no keys are configured, which only loopback allows.
    pub(super) fn is_anonymous(&self) -> bool {
        self.keys.needs_none()
    }
}

fn places(server: &Server) -> Places {
    let places = &server.places;
    Places {
        questions: places.questions,
        streams: places.streams,
        ingests: places.ingests,
        texts: places.texts,
        records: places.records,
        admin: ADMIN_PLACES,
    }
}

impl std::ops::Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}
