//! `rag-server serve`: listen at once, be ready when everything is loaded, drain when told to stop.

mod background;
mod moving;

use std::{
    error::Error,
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use tokio::{task::JoinHandle, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use self::background::Background;
use crate::{
    app::{self, App, AppError, Models, Observer, Process, Stores},
    config::{Config, LiveSettings, Loaded, Origin, Setting},
    corpus::CorpusError,
    generate::Meter,
    http::{self, Api, Flows, listen, readiness::Part},
    metrics::Metrics,
    operations::Operations,
    ports::{CacheKind, Kind},
    retention,
    security::{Generation, Keys},
    shutdown,
};

/// How often credentials, live settings and the epoch that is searched are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Between two warnings that another epoch cannot be searched.
const WARN_EACH: Duration = Duration::from_secs(60);

/// Pauses between two tries to reach a store while starting.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long closing the stores may take after the drain; nothing is lost without it.
const MAX_CLOSE: Duration = Duration::from_secs(5);

/// Answer over HTTP.
///
/// Everybody on loopback may ask without a key. Other addresses need API keys: see auth in the configuration.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// Address and port of the public API; the same as --set server.listen=...
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
    /// Address and port of /metrics, /ops/status and /health; the same as --set server.management_listen=...
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
    let stopping = shutdown::on_signals()?;
    let config = &loaded.config;
    let keys = Keys::open(&config.auth);
    let operations = Operations::new(LiveSettings::new(config.live.file.clone()));
    let api = Api::new(loaded, keys, metrics(config)?, operations);
    let ports = Ports::open(config, &api, &stopping).await?;
    let source = Source::new(config, &api);
    let opened = tokio::select! {
        opened = source.open() => Some(opened?),
        () = stopping.cancelled() => None,
    };
    let Some(app) = opened else {
        ports.drain_with(config, async {}).await;
        return Ok(ExitCode::SUCCESS);
    };
    let process = Arc::clone(&app.process);
    let background = serve(&source, app, &stopping).await;
    ports.drain_with(config, background.end()).await;
    match tokio::time::timeout(MAX_CLOSE, process.stores.close()).await {
        Ok(Ok(())) => tracing::info!("stopped"),
        Ok(Err(error)) => tracing::warn!(%error, "stopped; a store was not closed properly, which loses nothing"),
        Err(_) => tracing::warn!("stopped; a store took too long to close, which loses nothing"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Serves with one set of flows, and with the next one whenever another epoch is searched, until told to stop. Returns what is to be ended then.
async fn serve(source: &Source, mut app: App, stopping: &CancellationToken) -> Background {
    source.api.ready(flows(&app));
    tracing::info!("ready");
    loop {
        let background = Background::begin(source, &app).await;
        app = tokio::select! {
            () = stopping.cancelled() => return background,
            successor = source.successor(&app) => successor,
        };
        source.api.ready(flows(&app));
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
        records: Arc::clone(&app.process.stores.records),
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
    for outcome in ["grounded", "partial", "refused", "failed", "abandoned"] {
        metrics.query_outcomes.with_label_values(&[outcome]).reset();
    }
    Ok(metrics)
}

/// Both listeners and what follows the files.
struct Ports {
    public: JoinHandle<()>,
    management: JoinHandle<()>,
    /// Ends the management port and the looks at files; cancelled after the drain.
    drained: CancellationToken,
}

impl Ports {
    async fn open(config: &Config, api: &Api, stopping: &CancellationToken) -> Result<Self, Box<dyn Error>> {
        let drained = CancellationToken::new();
        let public = listen::bind(config.server.listen).await?;
        let management = listen::bind(config.server.management_listen).await?;
        let (listen, management_listen) = (public.local_addr()?, management.local_addr()?);
        let keys = !api.keys.needs_none();
        tracing::info!(%listen, %management_listen, keys, version = env!("CARGO_PKG_VERSION"), "listening");
        let files = listen::allow_open_files();
        let public = listen::serve(public, http::public_port(api.clone()), files, stopping.clone());
        let public = tokio::spawn(public);
        let management = listen::serve(management, http::management_port(api.clone()), files, drained.clone());
        tokio::spawn(follow(api.clone(), stopping.clone(), drained.clone()));
        Ok(Self { public, management: tokio::spawn(management), drained })
    }

    /// Lets requests and what `ended` waits for finish, as long as the configuration allows.
    async fn drain_with(self, config: &Config, ended: impl Future<Output = ()>) {
        let Self { public, management, drained } = self;
        let abort = public.abort_handle();
        let finished = async { tokio::join!(public, ended) };
        if tokio::time::timeout(config.server.drain(), finished).await.is_err() {
            tracing::warn!(seconds = config.server.drain_seconds, "requests were still in flight and are cut off");
            abort.abort();
        }
        drained.cancel();
        management.abort();
    }
}

/// Looks at the files that may change, and tells the readiness of a stop at once.
async fn follow(api: Api, stopping: CancellationToken, drained: CancellationToken) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stopping.cancelled(), if !api.readiness.is_stopping() => api.readiness.stop(),
            () = drained.cancelled() => return,
            _ = looks.tick() => {
                let api = api.clone();
                let look = tokio::task::spawn_blocking(move || {
                    api.keys.refresh();
                    api.operations.live().refresh();
                });
                if let Err(error) = look.await {
                    tracing::warn!(%error, "looking at credentials and live settings failed");
                }
            }
        }
    }
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
        // Somebody else's stores are let go of while they are waited for, and then somebody else may have them.
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
            let_go |= matches!(error, AppError::Corpus(CorpusError::Foreign { .. }));
            tracing::warn!(%error, cause, "waiting for {}", part.as_str());
            self.api.readiness.held_by(part, cause);
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
                Ok(next) => {
                    tracing::info!(from = app.epoch.0, to = next.epoch.0, "another epoch is searched from now on");
                    return next;
                }
                Err(error) if warned.is_none_or(|at| at.elapsed() >= WARN_EACH) => {
                    warned = Some(Instant::now());
                    tracing::warn!(%error, searched = app.epoch.0, "another epoch is searched now and this server cannot; it answers from the old one and takes no jobs");
                }
                Err(_) => {}
            }
        }
    }
}
