//! Who was let in: connections by port, and requests by class.

use prometheus::{IntCounterVec, IntGaugeVec, Opts};

use super::book::Book;

/// What is counted where connections and requests come in.
#[derive(Debug, Clone)]
pub struct Doors {
    /// Connections that are open, by port.
    pub connections: IntGaugeVec,
    /// Connections that the server ended or refused, by port and cause: `idle` made room for a newcomer, `port_full`, `address_full`, `unread` did not read.
    pub cut: IntCounterVec,
    /// Places of each class.
    pub places: IntGaugeVec,
    /// Places of each class that are taken.
    pub taken: IntGaugeVec,
    /// Requests that were refused because their class was full, by class.
    pub shed: IntCounterVec,
}

impl Doors {
    pub(super) fn register(registry: &Book) -> prometheus::Result<Self> {
        let gauges = |name: &str, help: &str, label: &str| {
            let gauges = IntGaugeVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(gauges.clone())).map(|()| gauges)
        };
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone())).map(|()| counters)
        };
        Ok(Self {
            connections: gauges("rag_connections", "Connections that are open, by port.", "port")?,
            cut: counters(
                "rag_connections_cut_total",
                "Connections that the server ended or refused, by port and cause.",
                &["port", "cause"],
            )?,
            places: gauges("rag_places", "Requests of a class that are handled at once.", "class")?,
            taken: gauges("rag_places_taken", "Requests of a class that are handled now.", "class")?,
            shed: counters(
                "rag_requests_shed_total",
                "Requests that were refused because their class was full.",
                &["class"],
            )?,
        })
    }
}
