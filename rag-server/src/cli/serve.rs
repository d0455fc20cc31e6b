//! `rag-server serve`: listen at once, be ready when everything is loaded, drain when told to stop.

mod background;
mod certificates;
mod moving;
mod ports;

use std::{
    error::Error,
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use self::{background::Background, ports::Ports};
use crate::{
    adapters::redis::OUTCOMES,
    app::{self, App, AppError, Models, Observer, Process, Stores},
    config::{Config, LiveSettings, Loaded, Origin, Server, Setting},
    corpus::CorpusError,
    generate::Meter,
    http::{Api, Flows, error::Code, readiness::Part},
    metrics::Metrics,
    operations::{FleetError, Operations},
    ports::{CacheKind, Kind},
    resilience::Class,
    retention,
    security::{Generation, Keys},
    shutdown,
    telemetry::{Telemetry, Traces},
};

/// How often credentials, live settings and the epoch that is searched are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Between two warnings that another epoch cannot be searched.
const WARN_EACH: Duration = Duration::from_secs(60);

/// Pauses between two tries to reach a store while starting.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long sending the last spans may take after the drain.
const MAX_FLUSH: Duration = Duration::from_secs(5);

/// Answer over HTTP.
///
/// Everybody on loopback may ask without a key. Other addresses need API keys: see auth in the configuration.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// Address and port of the public API; the same as --set server.listen=...
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// Address and port of /metrics, /ops/… and /health; the same as --set server.management_listen=...
    #[arg(long, value_name = "IP:PORT")]
    management_listen: Option<SocketAddr>,
}

impl ServeArgs {
    pub(super) fn settings(&self) -> Vec<Setting> {
        let setting = |flag: &str, key: &str, value: SocketAddr| Setting {
            origin: Origin::Flag(flag.to_owned()),
            key: key.to_owned(),
            value: value.to_string(),
        };
        let listen = self.listen.map(|value| setting("--listen", "server.listen", value));
        let management =
            self.management_listen.map(|value| setting("--management-listen", "server.management_listen", value));
        listen.into_iter().chain(management).collect()
    }
}

/// Serves until told to stop.
pub(super) async fn run(loaded: &Loaded) -> Result<ExitCode, Box<dyn Error>> {
    let stop = shutdown::on_signals()?;
    let config = &loaded.config;
    let metrics = metrics(config)?;
    let Telemetry { log, traces } = Telemetry::start(config, &metrics.looks.spans)?;
    let keys = Keys::open(&config.auth);
    let operations = Operations::new(LiveSettings::new(config.live.file.clone()));
    tokio::spawn(log.follow(operations.live().follow()));
    if let Some(traces) = &traces {
        operations.keep_part(Arc::clone(traces.sight()));
    }
    let api = Api::new(loaded, keys, metrics, operations);
    let ports = Ports::open(config, &api, &stop).await?;
    tokio::spawn(certificates::watch(config.clone(), api.operations.clone(), ports.drained.clone()));
    let source = Source::new(config, &api);
    let opened = tokio::select! {
        opened = source.open() => Some(opened?),
        () = stop.asked.cancelled() => None,
    };
    let server = &config.server;
    let Some(app) = opened else {
        // Nobody was told that it is ready, so nobody has to be told that it goes.
        let drained = ports.drain_with(&Server { leave_seconds: 0, ..server.clone() }, async {}).await;
        flush(traces).await;
        return Ok(ended(drained.hurried));
    };
    let process = Arc::clone(&app.process);
    let (operations, records) = (process.operations.clone(), Arc::clone(&process.stores.records));
    tokio::spawn(operations.follow_fleet(records, ports.drained.clone()));
    let background = serve(&source, app, &stop.asked).await;
    let drained = ports.drain_with(server, background.end()).await;
    let hurried = drained.hurried;
    let closed = async {
        process.models.keep_costs().await;
        process.stores.close().await
    };
    tokio::join!(drained.close(closed), flush(traces));
    Ok(ended(hurried))
}

/// Whoever was in a hurry is told that not all was finished.
fn ended(hurried: bool) -> ExitCode {
    if hurried { ExitCode::from(shutdown::INTERRUPTED) } else { ExitCode::SUCCESS }
}

/// Sends the spans that still wait.
async fn flush(traces: Option<Traces>) {
    if let Some(traces) = traces {
        traces.flush(MAX_FLUSH).await;
    }
}

/// Serves with one set of flows, and with the next one whenever another epoch is searched, until told to stop. Returns what is to be ended then.
async fn serve(source: &Source, mut app: App, stopping: &CancellationToken) -> Background {
    source.api.ready(flows(&app));
    tracing::info!("ready");
    loop {
        let background = Background::begin(source, &app).await;
        let from = app.epoch.0;
        app = tokio::select! {
            () = stopping.cancelled() => return background,
            successor = source.successor(&app) => successor,
        };
        source.api.ready(flows(&app));
        tracing::info!(from, to = app.epoch.0, "another epoch is searched from now on");
        // Its job ends after the window that it is at and commits nothing to the old epoch; nobody has to wait for that.
        tokio::spawn(background.end());
    }
}

fn flows(app: &App) -> Flows {
    Flows {
        ingest: Arc::clone(&app.ingest),
        retrieve: Arc::clone(&app.retrieve),
        uncached: Arc::clone(&app.uncached),
        answers: Arc::clone(&app.answers),
        store: Arc::clone(&app.process.stores.vectors),
        records: Arc::clone(&app.records),
        embedder: Arc::clone(&app.embedder),
    }
}

/// Metrics with a zero for everything that may be counted, so that "never used" can be told from "not measured".
fn metrics(config: &Config) -> Result<Metrics, Box<dyn Error>> {
    let metrics = Metrics::new()?;
    let keys = config.auth.api_keys.iter().map(|key| format!("api-key.{}", key.name));
    for credential in keys.chain(["operator".to_owned()]) {
        for generation in Generation::ALL {
            metrics.credential_uses.with_label_values(&[credential.as_str(), generation.as_str()]).reset();
        }
    }
    for rating in ["up", "down"] {
        metrics.writing.feedback.with_label_values(&[rating]).reset();
    }
    for kind in retention::KINDS {
        metrics.retention_removed.with_label_values(&[kind.as_str()]).reset();
    }
    for kind in CacheKind::ALL {
        metrics.cache_requests.with_label_values(&[kind.as_str()]).reset();
        metrics.cache_hits.with_label_values(&[kind.as_str()]).reset();
    }
    if config.cache.redis.is_some() {
        for (command, outcome) in OUTCOMES.iter() {
            metrics.redis_requests.with_label_values(&[command, outcome]).reset();
        }
    }
    for class in Class::ALL {
        metrics.doors.shed.with_label_values(&[class.as_str()]).reset();
    }
    for outcome in ["grounded", "partial", "refused", "failed", "abandoned"] {
        metrics.query_outcomes.with_label_values(&[outcome]).reset();
        metrics.looks.slow_queries.with_label_values(&[outcome]).reset();
    }
    for code in Code::ALL {
        metrics.looks.errors.with_label_values(&[code.slug()]).reset();
    }
    Ok(metrics)
}

/// Tells the API of parts that arrive and documents that are dealt with.
struct Told(Api);

impl Observer for Told {
    fn arrived(&self, part: Part) {
        self.0.readiness.arrived(part);
    }

    fn ingested(&self, outcome: &'static str) {
        self.0.metrics.ingested.with_label_values(&[outcome]).inc();
    }

    fn noticed(&self, kind: &'static str) {
        self.0.metrics.notices.with_label_values(&[kind]).inc();
    }

    fn forgot(&self, kind: Kind, records: u64) {
        self.0.metrics.retention_removed.with_label_values(&[kind.as_str()]).inc_by(records);
    }

    fn meter(&self) -> Arc<dyn Meter> {
        Arc::new(self.0.metrics.writing.clone())
    }

    fn looked_up(&self, kind: CacheKind, found: bool) {
        let metrics = &self.0.metrics;
        metrics.cache_requests.with_label_values(&[kind.as_str()]).inc();
        metrics.cache_hits.with_label_values(&[kind.as_str()]).inc_by(u64::from(found));
    }

    fn asked_redis(&self, command: &'static str, outcome: &'static str) {
        self.0.metrics.redis_requests.with_label_values(&[command, outcome]).inc();
    }
}

/// Where flows come from.
struct Source {
    config: Config,
    api: Api,
    models: Arc<Models>,
}

impl Source {
    fn new(config: &Config, api: &Api) -> Self {
        let models = Arc::new(Models::new(config, &api.operations));
        Self { config: config.clone(), api: api.clone(), models }
    }

    /// Opens everything; what cannot be reached, and a corpus that is somebody else's, is tried again, everything else ends the start.
    async fn open(&self) -> Result<App, AppError> {
        let mut process = None;
        let mut pause = FIRST_PAUSE;
        // Somebody else's stores, and those that a restore fills, are let go of while they are waited for, and then somebody else may have them.
        let mut let_go = false;
        loop {
            let error = match self.open_once(&mut process).await {
                Ok(app) => {
                    app.process.stores.warm(app.epoch).await;
                    return Ok(app);
                }
                Err(error) => error,
            };
            let waits_for = error.waits_for().or_else(|| error.in_use().filter(|_| let_go));
            let Some((part, cause)) = waits_for else { return Err(error) };
            let_go |= matches!(error, AppError::Corpus(CorpusError::Foreign { .. } | CorpusError::Restoring { .. }));
            // What the log says is so already: whoever reads it may ask.
            self.api.readiness.held_by(part, cause);
            tracing::warn!(%error, cause, "waiting for {}", part.as_str());
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One try. Models are loaded, stores opened and the rest of the process made once, whatever fails after it.
    async fn open_once(&self, process: &mut Option<Arc<Process>>) -> Result<App, AppError> {
        let process = match process {
            Some(process) => process,
            None => {
                let (operations, told) = (&self.api.operations, Arc::new(Told(self.api.clone())));
                // While a store cannot be reached, the model is loaded already.
                self.models.load_if_one(&*told).await?;
                let stores = Stores::open(&self.config, operations, &*told).await?;
                if let Err(error) = app::expect_own(&self.config, &stores).await {
                    stores.close().await.map_err(AppError::VectorStore)?;
                    return Err(error);
                }
                let models = Arc::clone(&self.models);
                process.insert(Arc::new(Process::new(models, stores, operations.clone(), told)?))
            }
        };
        // Who is blocked and which keys are denied is known before anybody is let in. What is not understood costs the past and no start; it is said.
        if let Err(FleetError::Store(error)) = self.api.operations.look_at_fleet(&*process.stores.records).await {
            return Err(AppError::Records(error));
        }
        App::over(process).await
    }

    /// Waits until another epoch is searched than that of these flows, and returns the flows for it.
    ///
    /// Where they cannot be had (the model of that epoch is not configured here, or not reached), these go on: their answers are right by the old vectors, jobs are left to others, and it is
    /// tried again. A start is refused then, so the server is to be configured anew and replaced.
    async fn successor(&self, app: &App) -> App {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut warned = None::<Instant>;
        loop {
            looks.tick().await;
            match app.process.stores.vectors.active().await {
                Ok(Some(epoch)) if epoch != app.epoch => {}
                Ok(_) => continue,
                Err(error) => {
                    tracing::debug!(%error, "whether another epoch is searched was not found out; asked again in a second");
                    continue;
                }
            }
            match App::over(&app.process).await {
                Ok(next) => return next,
                Err(error) if warned.is_none_or(|at| at.elapsed() >= WARN_EACH) => {
                    warned = Some(Instant::now());
                    tracing::warn!(%error, searched = app.epoch.0, "another epoch is searched now and this server cannot; it answers from the old one and takes no jobs");
                }
                Err(_) => {}
            }
        }
    }
}
