//! The runtime of the doubles. A test's own runtime ends with the test; a shared cluster's doubles must not.

use std::sync::OnceLock;

use anyhow::{Context, Result};
use tokio::runtime::{Handle, Runtime};

static RUNTIME: OnceLock<std::io::Result<Runtime>> = OnceLock::new();

/// A handle that lives as long as the process.
///
/// # Errors
/// When the runtime cannot be started.
pub fn handle() -> Result<Handle> {
    let runtime = RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("doubles").enable_all().build()
    });
    match runtime {
        Ok(runtime) => Ok(runtime.handle().clone()),
        Err(error) => Err(anyhow::anyhow!("{error}")).context("cannot start the runtime of the doubles"),
    }
}
