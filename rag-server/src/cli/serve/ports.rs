//! Both listeners, and how they end: not ready first, then the load balancer's time, then what is in flight is finished, and the stores have what is left.
//!
//! All of it has one deadline, `server.drain_seconds` after the first signal. What is not finished then is cut off, and said in numbers.

use std::{error::Error, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::LOOK;
use crate::{
    config::{Config, Server},
    http::{
        self, Api,
        listen::{self, Ending, Limits},
    },
    ports::StoreError,
    resilience::Class,
    shutdown::Stop,
};

/// What of the time to stop is left for closing the stores: a fifth, and no more than this.
const MAX_CLOSE: Duration = Duration::from_secs(2);

/// What closing the stores has in any case, also after a second signal. Nothing is lost without it.
const LEAST_CLOSE: Duration = Duration::from_secs(1);

/// Both listeners and what follows the files.
pub(super) struct Ports {
    api: Api,
    stop: Stop,
    public: JoinHandle<()>,
    management: JoinHandle<()>,
    /// Ends the public port, once every client may have heard that it goes.
    leaves: CancellationToken,
    /// Ends the management port and the looks at files; cancelled after the drain.
    pub(super) drained: CancellationToken,
}

/// A stop that came as far as the stores.
pub(super) struct Drained {
    /// When the stores have to be closed.
    until: Instant,
    /// Requests that were cut off.
    cut: usize,
    /// Whether a second signal came.
    pub(super) hurried: bool,
}

impl Ports {
    pub(super) async fn open(config: &Config, api: &Api, stop: &Stop) -> Result<Self, Box<dyn Error>> {
        let (leaves, drained) = (CancellationToken::new(), CancellationToken::new());
        let public = listen::bind(config.server.listen).await?;
        let management = listen::bind(config.server.management_listen).await?;
        let (listen, management_listen) = (public.local_addr()?, management.local_addr()?);
        let keys = !api.keys.needs_none();
        tracing::info!(%listen, %management_listen, keys, version = env!("CARGO_PKG_VERSION"), "listening");
        let files = listen::allow_open_files(config.server.max_connections + Limits::MANAGEMENT.connections);
        let ending = Ending { leaving: stop.asked.clone(), stopping: leaves.clone() };
        let public = tokio::spawn(listen::serve(public, http::public_port(api.clone()), files, ending));
        let ending = Ending { leaving: CancellationToken::new(), stopping: drained.clone() };
        let management = listen::serve(management, http::management_port(api.clone()), files, ending);
        tokio::spawn(follow(api.clone(), stop.asked.clone(), drained.clone()));
        let (api, stop) = (api.clone(), stop.clone());
        Ok(Self { api, stop, public, management: tokio::spawn(management), leaves, drained })
    }

    /// Lets requests and what `ended` waits for finish, as long as the configuration allows. To be called when the server is asked to stop.
    pub(super) async fn drain_with(self, server: &Server, ended: impl Future<Output = ()>) -> Drained {
        let Self { api, stop, public, management, leaves, drained } = self;
        // Whoever asks from now on is told so, also where nobody looked since the signal.
        api.readiness.stop();
        let (began, all) = (Instant::now(), server.drain());
        let abort = public.abort_handle();
        let leave_and_finish = async {
            sleep(server.leave()).await;
            leaves.cancel();
            // It ends by itself; what it may say is that it was aborted.
            let _ended = public.await;
        };
        let finished = async { tokio::join!(leave_and_finish, ended) };
        let finished = tokio::select! {
            finished = timeout_at(began + all.saturating_sub(MAX_CLOSE.min(all / 5)), finished) => finished.is_ok(),
            () = stop.hurried.cancelled() => false,
        };
        let cut = if finished { 0 } else { cut_off(&api, began.elapsed()) };
        leaves.cancel();
        abort.abort();
        drained.cancel();
        management.abort();
        let hurried = stop.hurried.is_cancelled();
        let least = Instant::now() + LEAST_CLOSE;
        Drained { until: if hurried { least } else { least.max(began + all) }, cut, hurried }
    }
}

/// Says what was not finished; how many requests that is.
fn cut_off(api: &Api, after: Duration) -> usize {
    let admission = &api.admission;
    let [questions, streams, ingests, texts, records, admin] = Class::ALL.map(|class| admission.taken(class));
    let (arriving, seconds) = (admission.arriving(), after.as_secs());
    let cut = admission.in_flight() + arriving;
    tracing::warn!(
        seconds,
        questions,
        streams,
        ingests,
        texts,
        records,
        admin,
        arriving,
        "{}",
        if cut > 0 {
            "requests were still in flight and are cut off"
        } else {
            "what goes on beside the requests is cut off; it goes on at the next start"
        },
    );
    cut
}

impl Drained {
    /// Closes the stores in what is left of the time, and says how the stop ended.
    pub(super) async fn close(self, close: impl Future<Output = Result<(), StoreError>>) {
        let Self { until, cut, .. } = self;
        match timeout_at(until, close).await {
            Ok(Ok(())) => tracing::info!(cut, "stopped"),
            Ok(Err(error)) => {
                tracing::warn!(cut, %error, "stopped; a store was not closed properly, which loses nothing")
            }
            Err(_) => tracing::warn!(cut, "stopped; a store took too long to close, which loses nothing"),
        }
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
