//! `rag-server keys`: every key of the configuration, with what it means.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use crate::config::reference;

/// Prints to standard output.
pub(super) fn run() -> ExitCode {
    // Whoever closes the pipe has read enough.
    let _closed = io::stdout().lock().write_all(reference().as_bytes());
    ExitCode::SUCCESS
}
