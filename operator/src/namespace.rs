//! One namespace is one unit: it is asked whether it can be read, its caches are filled, its servers are asked about themselves,
//! and its clusters are worked on, whatever becomes of the others. One that is gone or forbidden is counted, said, and asked for
//! again for ever; one that comes back is taken up where it stands.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::api::{RagCluster, RagRestore, RagSnapshot, ScaleApproval};
use crate::caches::{Caches, Filled, Probe, Watches};
use crate::context::Context;
use crate::controller::{self, Controlled};
use crate::error::{Call, Error, Phase, Verb};
use crate::http::Awaited;
use crate::metrics::Metrics;
use crate::sampler::{self, Rounds};

/// The first pause before a namespace is asked for again; doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// The longest: who gives a Role back sees within half a minute that it was missing.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The servers are asked once before the first pass, but pods that do not answer hold nothing up for longer than this.
const FIRST_ROUND: Duration = Duration::from_secs(5);

/// Keeps what is known of one namespace, for as long as the process lives.
pub struct Reading {
    /// The namespace.
    pub namespace: String,
    /// What is known of it.
    pub caches: Caches,
    /// What fills them.
    pub watches: Watches,
    /// Told when they are filled for the first time.
    pub awaited: Awaited,
    /// Counts the namespaces that cannot be read.
    pub metrics: Arc<Metrics>,
}

impl Reading {
    /// Outlasts whatever keeps the namespace from being read. Ends only when a watch has died.
    pub async fn run(self) {
        let Watches { running, filled, probes, troubled } = self.watches;
        let asking = Asking { namespace: self.namespace, probes, metrics: self.metrics };
        // Until then watches would only repeat what the question says already.
        asking.until_readable(Some(&self.awaited)).await;
        let mut watches: JoinSet<()> = running.into_iter().collect();
        let mut awaited = Some(self.awaited);
        loop {
            tokio::select! {
                _ = watches.join_next() => return,
                () = filled.clone(), if awaited.is_some() => {
                    tracing::info!(namespace = asking.namespace, "the caches are filled");
                    if let Some(awaited) = awaited.take() {
                        awaited.done();
                    }
                }
                () = troubled.notified() => {
                    if asking.until_readable(awaited.as_ref()).await {
                        // What failed meanwhile waits for long pauses.
                        self.caches.clusters.look_at_all();
                        self.caches.approvals.look_at_all();
                        self.caches.snapshots.look_at_all();
                        self.caches.restores.look_at_all();
                    }
                }
            }
        }
    }
}

/// Asks whether a namespace can be read.
struct Asking {
    namespace: String,
    probes: Vec<Probe>,
    metrics: Arc<Metrics>,
}

impl Asking {
    /// Resolves when everything can be read, and says whether that was not so at first.
    async fn until_readable(&self, awaited: Option<&Awaited>) -> bool {
        let (mut pause, mut was_unreadable) = (FIRST_PAUSE, false);
        while let Err(error) = self.answer().await {
            let remedy = undefined(&error).unwrap_or_else(|| error.remedy());
            tracing::warn!(
                namespace = self.namespace,
                remedy,
                retry_seconds = pause.as_secs_f64(),
                %error,
                "the namespace cannot be read; others are worked on"
            );
            if let Some(awaited) = awaited {
                awaited.troubled(format!("{error}; {remedy}"));
            }
            if !was_unreadable {
                self.metrics.unreadable_namespaces.inc();
                was_unreadable = true;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        if was_unreadable {
            self.metrics.unreadable_namespaces.dec();
            tracing::info!(namespace = self.namespace, "the namespace can be read");
        }
        was_unreadable
    }

    async fn answer(&self) -> Result<(), Error> {
        for Probe { resource, ask } in &self.probes {
            ask().await.map_err(|source| {
                let call = Call {
                    verb: Verb::List,
                    resource: resource.clone(),
                    namespace: self.namespace.clone(),
                    name: "*".to_owned(),
                };
                Error::Call { phase: Phase::Observe, call, source: Box::new(source) }
            })?;
        }
        Ok(())
    }
}

/// What to do when the API server does not know the kind. A list of one that exists is never absent, not even in a namespace that
/// is.
fn undefined(error: &Error) -> Option<String> {
    let Error::Call { call, source, .. } = error else { return None };
    let is_absent = matches!(source.as_ref(), kube::Error::Api(status) if status.code == 404);
    is_absent.then(|| {
        format!(
            "the CustomResourceDefinition {} is not installed; install the chart, or run: ragops-operator crd | kubectl apply \
             --server-side -f -",
            call.resource
        )
    })
}

/// Works on the clusters of one namespace while this process leads.
pub struct Work {
    /// What every pass shares.
    pub context: Arc<Context>,
    /// The namespace.
    pub namespace: String,
    /// Resolves when its caches are filled.
    pub filled: Filled,
    /// How often the servers have been asked.
    pub rounds: watch::Receiver<Rounds>,
    /// Has those servers asked that have not answered.
    pub pods_changed: Arc<Notify>,
    /// How many clusters are worked on at once.
    pub concurrency: u16,
    /// Asks to stop.
    pub stop: CancellationToken,
}

impl Work {
    /// Works until the stop; passes under way are finished first.
    pub async fn run(self) {
        let Self { context, namespace, filled, mut rounds, pods_changed, concurrency, stop } = self;
        let prepared = async {
            filled.await;
            pods_changed.notify_one();
            // A pass that knows no answers would report that nobody has answered yet, only to take it back a moment later.
            let _ = timeout(FIRST_ROUND, sampler::asked(&mut rounds)).await;
        };
        tokio::select! {
            () = prepared => {}
            () = stop.cancelled() => return,
        }
        let work = (&context, namespace.as_str(), concurrency, &stop);
        tokio::join!(
            over::<RagCluster>(work),
            over::<ScaleApproval>(work),
            over::<RagSnapshot>(work),
            over::<RagRestore>(work)
        );
    }
}

/// Works on the objects of one kind.
async fn over<K: Controlled>((context, namespace, concurrency, stop): (&Arc<Context>, &str, u16, &CancellationToken)) {
    controller::run::<K>(Arc::clone(context), namespace.to_owned(), concurrency, stop.clone().cancelled_owned()).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caches::{Clients, caches};
    use crate::http::Readiness;
    use futures::FutureExt;
    use kube::Client;
    use kube::client::Body;
    use kube::core::Status;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// How often it is asked before it answers.
    const REFUSALS: usize = 2;

    fn refused() -> kube::Error {
        kube::Error::Api(Status::failure("cannot list resource", "Forbidden").with_code(403).boxed())
    }

    /// A namespace of which the given question is asked, and whose watches do nothing.
    fn reading(readiness: &Arc<Readiness>, metrics: &Arc<Metrics>, ask: Box<crate::caches::Question>) -> Reading {
        let silent = tower::service_fn(|_: http::Request<Body>| {
            std::future::pending::<Result<http::Response<Body>, std::convert::Infallible>>()
        });
        let client = Client::new(silent, "default");
        let clients = Clients { asking: &client, watching: &client };
        let (caches, watches) = caches(clients, "team-b", &Arc::new(Notify::new()));
        let probes = vec![Probe { resource: "ragclusters.ragops.dev".to_owned(), ask }];
        let filled = std::future::ready(()).boxed().shared();
        Reading {
            namespace: "team-b".to_owned(),
            caches,
            watches: Watches { probes, filled, ..watches },
            awaited: readiness.waits_for_one_of_many("the caches of namespace team-b"),
            metrics: Arc::clone(metrics),
        }
    }

    async fn until(what: impl Fn() -> bool) {
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        while !what() {
            looks.tick().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_that_cannot_be_read_is_counted_and_asked_for_until_it_can() {
        let (readiness, metrics) = (Arc::new(Readiness::default()), Arc::new(Metrics::new().unwrap()));
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let ask = move || {
            let answer = if count.fetch_add(1, Ordering::Relaxed) < REFUSALS { Err(refused()) } else { Ok(()) };
            std::future::ready(answer).boxed()
        };
        let unit = tokio::spawn(reading(&readiness, &metrics, Box::new(ask)).run());
        until(|| metrics.unreadable_namespaces.get() == 1).await;
        let missing = readiness.missing().join("\n");
        let remedy = "grant list and watch on ragclusters.ragops.dev in namespace team-b to the operator";
        assert!(missing.contains(remedy), "{missing}");
        until(|| readiness.missing().is_empty()).await;
        assert_eq!((metrics.unreadable_namespaces.get(), asked.load(Ordering::Relaxed)), (0, REFUSALS + 1));
        unit.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_is_not_defined_is_said_with_how_to_define_it() {
        let (readiness, metrics) = (Arc::new(Readiness::default()), Arc::new(Metrics::new().unwrap()));
        let ask = || {
            let absent = kube::Error::Api(Status::failure("not found", "NotFound").with_code(404).boxed());
            std::future::ready(Err::<(), _>(absent)).boxed()
        };
        let unit = tokio::spawn(reading(&readiness, &metrics, Box::new(ask)).run());
        until(|| metrics.unreadable_namespaces.get() == 1).await;
        assert!(readiness.missing().join("\n").contains("ragops-operator crd | kubectl apply"));
        unit.abort();
    }
}
