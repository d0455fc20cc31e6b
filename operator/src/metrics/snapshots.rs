//! Figures about the snapshots of clusters, and the trials of a restore.

use prometheus::core::Collector;
use prometheus::{Gauge, IntCounterVec, IntGauge, Opts};

use crate::cluster::figures::Worst;

/// Figures about the snapshots of clusters, and the trials of a restore.
pub struct SnapshotMetrics {
    /// Snapshots, by what became of them.
    pub taken: IntCounterVec,
    /// Trials of a restore that have ended, by how.
    pub drills: IntCounterVec,
    /// Readings of snapshots that are kept, by what came of them.
    pub readings: IntCounterVec,
    verified_at: IntGauge,
    drill_rto: Gauge,
    drill_rpo: Gauge,
}

impl SnapshotMetrics {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        Ok(Self {
            taken: IntCounterVec::new(
                Opts::new("ragops_snapshots_total", "Snapshots of RagClusters, by what became of them"),
                &["outcome"],
            )?,
            drills: IntCounterVec::new(
                Opts::new("ragops_drills_total", "Trials of a restore that have ended, by how"),
                &["outcome"],
            )?,
            readings: IntCounterVec::new(
                Opts::new("ragops_snapshot_readings_total", "Snapshots that were read again, by what was found"),
                &["outcome"],
            )?,
            verified_at: IntGauge::new(
                "ragops_snapshot_verified_timestamp_seconds",
                "When the newest verified snapshot was taken of the RagCluster whose one is the oldest",
            )?,
            drill_rto: Gauge::new("ragops_drill_rto_seconds", "The slowest of the last restores that were tried")?,
            drill_rpo: Gauge::new(
                "ragops_drill_rpo_seconds",
                "The age of the oldest of the snapshots that were tried last",
            )?,
        })
    }

    /// All of them, for the registry.
    pub(super) fn collectors(&self) -> [Box<dyn Collector>; 6] {
        [
            Box::new(self.taken.clone()),
            Box::new(self.drills.clone()),
            Box::new(self.readings.clone()),
            Box::new(self.verified_at.clone()),
            Box::new(self.drill_rto.clone()),
            Box::new(self.drill_rpo.clone()),
        ]
    }

    /// Shows what the snapshots of all clusters come to; 0 where there is nothing to show.
    pub fn worst(&self, worst: Worst) {
        self.verified_at.set(worst.verified_at.unwrap_or_default());
        self.drill_rto.set(worst.rto_seconds.unwrap_or_default());
        self.drill_rpo.set(worst.rpo_seconds.unwrap_or_default());
    }
}
