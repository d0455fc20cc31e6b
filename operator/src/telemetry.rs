//! Logs of the process: one JSON object a line on standard error, filtered by level and module.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::cli::LogFormat;

/// Starts logging. To be called once, before anything is logged.
pub fn start(filter: &str, format: LogFormat) -> Result<(), ParseError> {
    let filter: EnvFilter = filter.parse()?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => logs.json().flatten_event(true).with_current_span(true).with_span_list(false).init(),
        LogFormat::Text => logs.init(),
    }
    Ok(())
}
