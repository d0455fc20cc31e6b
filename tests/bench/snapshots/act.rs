//! One run of `rag-server snapshot`, and what it took.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::ensure;
use ragops_tests::{Pace, until_at};

use crate::bench::{process, row};

/// Between two looks at the memory: its peak never falls, so only the last moment can be missed.
const LOOK: Pace = Pace { first: Duration::from_millis(20), longest: Duration::from_millis(20) };

/// The largest corpus that anybody tries, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What it took.
pub(super) struct Act {
    seconds: f64,
    peak_mib: f64,
}

impl Act {
    /// Runs it to its end, which must be a good one.
    pub(super) async fn of(program: &Path, config: &Path, archive: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        let (began, mut peak_mib) = (Instant::now(), 0.0_f64);
        let mut command = Command::new(program);
        command.arg("--config").arg(config).arg("snapshot").args(arguments).arg("--archive").arg(archive);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let status = until_at(LOOK, "the command has ended", PATIENCE, || {
            // It may end between the two looks.
            peak_mib = process::peak_resident_mib(child.id()).unwrap_or_default().max(peak_mib);
            std::future::ready(child.try_wait().map_err(Into::into))
        })
        .await?;
        ensure!(status.success(), "{command:?} ended with {status}");
        Ok(Self { seconds: began.elapsed().as_secs_f64(), peak_mib })
    }

    /// Prints it beside the bytes that it read or wrote, where they are known.
    pub(super) fn tell(&self, what: &str, bytes: Option<u64>) {
        row(&format!("{what}, s"), self.seconds, "");
        if let Some(bytes) = bytes {
            row(&format!("{what}, MiB"), bytes as f64 / f64::from(1 << 20), "");
        }
        row(&format!("{what}, peak memory, MiB"), self.peak_mib, "");
    }
}
