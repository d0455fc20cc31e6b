//! The process around the controllers: it puts the parts together, waits for the lease, works, and stops cleanly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::select_all;
use jiff::Timestamp;
use kube::{Client, Config};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::caches::{Clients, Filled, caches};
use crate::cli::RunArgs;
use crate::cluster::observed::OperatorDefaults;
use crate::context::Context;
use crate::http::{self, Readiness};
use crate::job::ask_jobs;
use crate::leader::{Election, LeaseError, Loss, Terms};
use crate::memory::Memory;
use crate::metrics::Metrics;
use crate::namespace::{Reading, Work};
use crate::sampler::{Rounds, Sampler, Samples};
use crate::server_client::ServerClient;

/// Passes under way at a stop get this long; it is shorter than the grace period that Kubernetes gives a pod.
const DRAIN: Duration = Duration::from_secs(20);

/// The pause between attempts while the API server does not answer at the start.
const RETRY: Duration = Duration::from_secs(2);

/// Each namespace, with what resolves when its caches are filled.
type FilledByNamespace = Vec<(String, Filled)>;

/// Why the process ends with an error. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Nothing says which API server to talk to.
    #[error("no cluster to talk to: {0}; set KUBECONFIG, or run inside a pod with a service account")]
    NoCluster(#[source] Box<kube::config::InferConfigError>),
    /// The client could not be made.
    #[error("the client for the API server cannot be made: {0}")]
    Client(#[source] Box<kube::Error>),
    /// The port for health and metrics is not to be had.
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The Lease cannot be used.
    #[error(
        "the lease {name} in namespace {namespace} cannot be used: {source}; the operator needs get, create and update on leases.coordination.k8s.io there"
    )]
    Lease {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// What went wrong.
        source: LeaseError,
    },
    /// The lease went to somebody else.
    #[error(
        "the lease was lost ({0:?}); another process may be working now, and this one ends so as not to work beside it"
    )]
    LeaseLost(Loss),
    /// A part that never ends has ended.
    #[error("a part of the process has died: {0}")]
    PartDied(&'static str),
    /// The metrics could not be registered, or the HTTP client not be made.
    #[error("{what} cannot be set up: {reason}")]
    SetUp {
        /// What.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

/// Runs until a signal asks to stop, which is a success, or until something keeps the process from working.
pub async fn run(args: RunArgs) -> Result<(), RunError> {
    let stop = stop_on_signal();
    let config = Config::infer().await.map_err(|error| RunError::NoCluster(Box::new(error)))?;
    let home = args.operator_namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    let namespaces = if args.namespaces.is_empty() { vec![home.clone()] } else { args.namespaces.clone() };
    let identity = args.identity.clone().unwrap_or_else(identity);

    let metrics = Arc::new(Metrics::new().map_err(|error| set_up("the metrics", &error))?);
    let readiness = Arc::new(Readiness::default());
    let listener = http::bind(args.listen).await;
    let listener = listener.map_err(|source| RunError::Listen { address: args.listen, source })?;
    let lease_known = readiness.waits_for("an answer about the lease");
    let port = http::router(Arc::clone(&readiness), Arc::clone(&metrics));
    tokio::spawn(http::serve(listener, port, stop.clone().cancelled_owned()));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), ?namespaces, home, identity, listen = %args.listen, "starting");

    let client = client(&patient(&config, args.request_timeout()))?;
    let work = async {
        let terms = Terms {
            namespace: home.clone(),
            name: args.lease_name.clone(),
            identity: identity.clone(),
            seconds: args.lease_seconds,
        };
        let election = join(&config, terms).await?;
        lease_known.done();
        let process =
            Process { args, client, config, home, namespaces, identity, metrics, readiness, stop: stop.clone() };
        process.run(&election).await
    };
    tokio::select! {
        ended = work => ended,
        // A stop while nothing is under way yet; later the work itself notices and ends in order.
        () = patience_after(&stop) => Ok(()),
    }
}

/// The parts of a process that has found its API server.
struct Process {
    args: RunArgs,
    client: Client,
    config: Config,
    home: String,
    namespaces: Vec<String>,
    identity: String,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    stop: CancellationToken,
}

impl Process {
    /// Fills the caches, waits for the lease, works on each namespace that can be read, and frees the lease.
    async fn run(self, election: &Election) -> Result<(), RunError> {
        let pods_changed = Arc::new(Notify::new());
        let mut parts = JoinSet::new();
        let (context, filled) = self.context(&pods_changed, &mut parts)?;
        // In this order: a process that can read no namespace must not keep the lease from one that can.
        let ready = async {
            select_all(filled.iter().map(|(_, filled)| filled.clone())).await;
            election.won().await;
        };
        tokio::select! {
            () = ready => {}
            () = self.stop.cancelled() => return self.release(election).await,
            _ = parts.join_next() => return Err(RunError::PartDied("a watch")),
        }
        self.metrics.leader.set(1);
        tracing::info!(identity = self.identity, "holding the lease");
        let sampler = self.sampler(&context, Arc::clone(&pods_changed))?;
        let (asking, rounds) = watch::channel(Rounds::default());
        parts.spawn(ask_jobs(Arc::clone(&context), sampler.servers.clone()));
        parts.spawn(sampler.run(Arc::clone(&context), asking));
        let mut controllers = JoinSet::new();
        for (namespace, filled) in filled {
            let work = Work {
                context: Arc::clone(&context),
                namespace,
                filled,
                rounds: rounds.clone(),
                pods_changed: Arc::clone(&pods_changed),
                concurrency: self.args.concurrency,
                stop: self.stop.clone(),
            };
            controllers.spawn(work.run());
        }
        let ended = tokio::select! {
            loss = election.lost() => Err(RunError::LeaseLost(loss)),
            ended = drained(&mut controllers, &self.stop) => ended,
            _ = parts.join_next() => Err(RunError::PartDied("a watch or the sampler")),
        };
        // What is still under way after a lost lease must not go on: somebody else may be at it.
        controllers.shutdown().await;
        self.metrics.leader.set(0);
        match ended {
            Err(RunError::LeaseLost(loss)) => Err(RunError::LeaseLost(loss)),
            ended => self.release(election).await.and(ended),
        }
    }

    /// What every pass shares, and of each namespace when its caches are filled, which nothing waits for but its own clusters.
    fn context(
        &self,
        pods_changed: &Arc<Notify>,
        parts: &mut JoinSet<()>,
    ) -> Result<(Arc<Context>, FilledByNamespace), RunError> {
        // Watches stay open for minutes, so they cannot have the patience of ordinary requests.
        let watching = client(&self.config)?;
        let clients = Clients { asking: &self.client, watching: &watching };
        let mut by_namespace = BTreeMap::new();
        let mut all_filled = Vec::new();
        for namespace in &self.namespaces {
            let (caches, watches) = caches(clients, namespace, pods_changed);
            by_namespace.insert(namespace.clone(), caches.clone());
            all_filled.push((namespace.clone(), watches.filled.clone()));
            let reading = Reading {
                namespace: namespace.clone(),
                caches,
                watches,
                awaited: self.readiness.waits_for_one_of_many(format!("the caches of namespace {namespace}")),
                metrics: Arc::clone(&self.metrics),
            };
            parts.spawn(reading.run());
        }
        let context = Context {
            client: self.client.clone(),
            defaults: OperatorDefaults {
                server_image: self.args.server_image.clone(),
                qdrant_image: self.args.qdrant_image.clone(),
                operator_namespace: self.home.clone(),
                operator_labels: self.args.pod_labels.iter().cloned().collect(),
            },
            namespaces: by_namespace,
            samples: Arc::new(Samples::new(self.args.sample_every())),
            identity: self.identity.clone(),
            metrics: Arc::clone(&self.metrics),
            memory: Memory::default(),
            resync: self.args.resync(),
            now: Timestamp::now,
            began: Instant::now(),
        };
        Ok((Arc::new(context), all_filled))
    }

    fn sampler(&self, context: &Context, pods_changed: Arc<Notify>) -> Result<Sampler, RunError> {
        let servers = ServerClient::new(self.args.management_port, self.args.sample_timeout());
        Ok(Sampler {
            client: self.client.clone(),
            servers: servers.map_err(|error| set_up("the client for query servers", &error))?,
            samples: Arc::clone(&context.samples),
            metrics: Arc::clone(&self.metrics),
            pods_changed,
            every: self.args.sample_every(),
        })
    }

    async fn release(&self, election: &Election) -> Result<(), RunError> {
        if let Err(error) = election.release().await {
            tracing::warn!(%error, "the lease could not be freed; it ends by itself");
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Resolves when every controller has finished its passes after a stop.
async fn drained(controllers: &mut JoinSet<()>, stop: &CancellationToken) -> Result<(), RunError> {
    while let Some(ended) = controllers.join_next().await {
        if ended.is_err() || !stop.is_cancelled() {
            return Err(RunError::PartDied("a controller"));
        }
    }
    Ok(())
}

async fn join(config: &Config, terms: Terms) -> Result<Election, RunError> {
    loop {
        let (namespace, name) = (terms.namespace.clone(), terms.name.clone());
        match Election::join(config, terms.clone()).await {
            Ok(election) => return Ok(election),
            Err(error) if error.may_pass() => {
                tracing::warn!(%error, "the lease cannot be asked for yet");
                tokio::time::sleep(RETRY).await;
            }
            Err(source) => return Err(RunError::Lease { namespace, name, source }),
        }
    }
}

fn client(config: &Config) -> Result<Client, RunError> {
    Client::try_from(config.clone()).map_err(|error| RunError::Client(Box::new(error)))
}

/// The configuration of ordinary requests: no pass waits for ever on an API server that went silent.
fn patient(config: &Config, patience: Duration) -> Config {
    let mut config = config.clone();
    (config.connect_timeout, config.read_timeout, config.write_timeout) =
        (Some(patience), Some(patience), Some(patience));
    // Otherwise the time that a connection was idle before counts as waiting.
    config.reset_reader_on_write = true;
    config
}

/// Unique among processes, and readable in the lease.
fn identity() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_else(|_| "ragops-operator".to_owned());
    format!("{host}-{:08x}", rand::random::<u32>())
}

fn set_up(what: &'static str, error: &dyn std::error::Error) -> RunError {
    RunError::SetUp { what, reason: error.to_string() }
}

/// Cancelled by SIGTERM or Ctrl-C.
fn stop_on_signal() -> CancellationToken {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        let term = async {
            match signal(SignalKind::terminate()) {
                Ok(mut signals) => signals.recv().await.unwrap_or(()),
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            () = term => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        tracing::info!("stopping: passes under way are finished first");
        stopped.cancel();
    });
    stop
}

async fn patience_after(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(DRAIN).await;
    tracing::warn!("stopped before everything under way was finished");
}
