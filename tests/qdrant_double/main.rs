//! The double as a process, with the settings of the real image.

use std::io::IsTerminal;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context;
use clap::{ArgAction, Parser};
use ragops_tests::qdrant_double::{ApiKeys, Double, Settings};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A double of a Qdrant server for tests and demonstrations.
///
/// It speaks Qdrant's gRPC protocol and keeps what it acknowledged, but searches by exact scan and refuses what it does
/// not support. API keys come from the environment alone: QDRANT__SERVICE__API_KEY and QDRANT__SERVICE__ALT_API_KEY.
#[derive(Debug, Parser)]
#[command(name = "qdrant-double", version)]
struct Flags {
    /// Folder of the data
    #[arg(long, env = "QDRANT__STORAGE__STORAGE_PATH", default_value = "/qdrant/storage")]
    storage_path: PathBuf,
    /// Address to listen on
    #[arg(long, env = "QDRANT__SERVICE__HOST", default_value = "0.0.0.0")]
    host: IpAddr,
    /// Port of the gRPC API; 0 takes a free one
    #[arg(long, env = "QDRANT__SERVICE__GRPC_PORT", default_value_t = 6334)]
    grpc_port: u16,
    /// Port of the health endpoints; 0 takes a free one
    #[arg(long, env = "QDRANT__SERVICE__HTTP_PORT", default_value_t = 6333)]
    http_port: u16,
    /// Whether it is a peer of a cluster: one that it founds, and is alone in
    #[arg(long, env = "QDRANT__CLUSTER__ENABLED", action = ArgAction::Set, default_value_t = false)]
    cluster_enabled: bool,
    /// Address by which other peers would reach it
    #[arg(long, env = "QDRANT_URI")]
    uri: Option<String>,
    /// Address of the peer that it asks when it has no data yet; its own to found a cluster
    #[arg(long, env = "QDRANT_BOOTSTRAP")]
    bootstrap: Option<String>,
}

/// Settings of the real image that the double serves.
const SERVED: [&str; 7] = [
    "QDRANT__STORAGE__STORAGE_PATH",
    "QDRANT__SERVICE__HOST",
    "QDRANT__SERVICE__GRPC_PORT",
    "QDRANT__SERVICE__HTTP_PORT",
    "QDRANT__SERVICE__API_KEY",
    "QDRANT__SERVICE__ALT_API_KEY",
    "QDRANT__CLUSTER__ENABLED",
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal).init();
    warn_of_unserved_settings();
    if flags.cluster_enabled {
        check_founder(flags.uri.as_deref(), flags.bootstrap.as_deref())?;
    }
    let keys = ["QDRANT__SERVICE__API_KEY", "QDRANT__SERVICE__ALT_API_KEY"];
    let settings = Settings {
        storage_path: flags.storage_path.clone(),
        grpc: SocketAddr::new(flags.host, flags.grpc_port),
        http: SocketAddr::new(flags.host, flags.http_port),
        api_keys: ApiKeys::new(keys.into_iter().filter_map(|name| std::env::var(name).ok())),
        strict: false,
    };
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let folder = flags.storage_path.display();
    let mut double = Double::start(settings).await.with_context(|| format!("cannot serve from {folder}"))?;
    tracing::info!(grpc = %double.grpc, http = %double.http, storage = %folder, "the qdrant double serves");
    tokio::select! {
        ended = double.ended() => return ended.context("the server ended"),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    double.stop().await.context("the server did not stop cleanly")
}

/// A peer needs an address, as the real one does, and founds a cluster where it asks itself or nobody. Joining one would need its
/// data, which a double does not take from others.
fn check_founder(uri: Option<&str>, bootstrap: Option<&str>) -> anyhow::Result<()> {
    let uri = uri.context("First peer should specify its uri.")?;
    let uri: http::Uri = uri.parse().with_context(|| format!("QDRANT_URI is no address: {uri}"))?;
    anyhow::ensure!(uri.host().is_some(), "QDRANT_URI names no host: {uri}");
    let Some(bootstrap) = bootstrap else { return Ok(()) };
    let bootstrap: http::Uri =
        bootstrap.parse().with_context(|| format!("QDRANT_BOOTSTRAP is no address: {bootstrap}"))?;
    anyhow::ensure!(bootstrap == uri, "the qdrant double joins no cluster, and {bootstrap} is not its own address");
    Ok(())
}

/// The real server ignores what it does not know; here at least somebody is told.
fn warn_of_unserved_settings() {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("QDRANT__") && !SERVED.contains(&name.as_ref()) {
            tracing::warn!(setting = %name, "the qdrant double does not serve this setting");
        }
    }
}

#[cfg(test)]
mod tests;
