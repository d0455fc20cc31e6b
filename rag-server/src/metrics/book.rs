//! The registry, with the names of everything that was registered: what has counted nothing yet is told by nobody else.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{Registry, core::Collector, proto::MetricFamily};

/// A name and its labels.
type Described = (String, Vec<String>);

/// The registry, and the names in it with their labels. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Book {
    registry: Registry,
    labels: Arc<Mutex<Vec<Described>>>,
}

impl Book {
    /// Registers a metric.
    pub(super) fn register(&self, metric: Box<dyn Collector>) -> prometheus::Result<()> {
        let described: Vec<_> = metric
            .desc()
            .into_iter()
            .map(|described| (described.fq_name.clone(), described.variable_labels.clone()))
            .collect();
        self.registry.register(metric)?;
        self.labels.lock().unwrap_or_else(PoisonError::into_inner).extend(described);
        Ok(())
    }

    /// What was counted.
    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }

    /// Every name with its labels, in the order of registration.
    pub(super) fn labels(&self) -> Vec<Described> {
        self.labels.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
