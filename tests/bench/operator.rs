//! The operator at many RagClusters: a real control plane, simulated nodes, and the operator as a process under the chart's Roles.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::{autoscaling::v2::HorizontalPodAutoscaler, core::v1::Namespace};
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
    runtime::wait::await_condition,
};
use ragops_operator::api::RagCluster;
use ragops_tests::{
    Cluster, availability,
    metrics::Metrics,
    operator::{Installation, Operator},
    pods::PodEndpoint,
    until,
};
use serde_json::json;

use super::{load::percentile, process, row};

/// RagClusters, each with three servers and a managed Qdrant.
const CLUSTERS: usize = 100;
/// RagClusters that are applied at once, as a GitOps tool would.
const AT_ONCE: usize = 10;
/// Changes whose latency is measured.
const CHANGES: usize = 20;
/// How long the operator is watched while nothing changes.
const CALM: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(900);
const NAMESPACE: &str = "bench";

/// Measures and prints.
pub(crate) async fn run() -> Result<()> {
    let parts = match availability::control_plane() {
        Ok(parts) => parts,
        Err(reason) => {
            println!("operator: not measured, because {reason}");
            return Ok(());
        }
    };
    let cluster = Cluster::control_plane(&parts).await?;
    let (_metrics, pods) = tokio::try_join!(Metrics::start(&cluster), PodEndpoint::start(&cluster))?;
    let client = cluster.client().await?;
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}}))?;
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    let installation = Installation::new(&cluster, NAMESPACE).await?;
    let port = pods.port().to_string();
    // Every object is looked at again every few seconds instead of minutes, so that a minute shows many passes.
    let flags = ["--management-port", &port, "--sample-seconds", "15", "--resync-seconds", "5"];
    let operator = installation.start(&flags).await?;
    let outcome = measure(&client, &operator).await;
    operator.stop().await?;
    cluster.stop().await?;
    outcome
}

async fn measure(client: &Client, operator: &Operator) -> Result<()> {
    let clusters: Api<RagCluster> = Api::namespaced(client.clone(), NAMESPACE);
    println!("operator, {CLUSTERS} RagClusters, {} simulated pods", CLUSTERS * 4);
    let began = Instant::now();
    stream::iter((0..CLUSTERS).map(anyhow::Ok))
        .try_for_each_concurrent(AT_ONCE, |number| apply(&clusters, number, json!({})))
        .await?;
    until("every RagCluster is ready", PATIENCE, || async {
        let all = clusters.list(&ListParams::default()).await?;
        let ready =
            all.items.iter().filter(|cluster| is(cluster, "Ready", "True") && is(cluster, "Reconciling", "False"));
        let ready = ready.count();
        ensure!(ready == CLUSTERS, "{ready} of {CLUSTERS} are ready");
        Ok(Some(()))
    })
    .await?;
    row("all ready, s", began.elapsed().as_secs_f64(), "");

    let id = operator.id().context("the operator has ended")?;
    let (before, cpu) = (Figures::of(operator).await?, process::cpu_seconds(id)?);
    let ended = until("the operator ends", CALM, || async { operator.ended() }).await;
    ensure!(ended.is_err(), "the operator ended in the calm minute");
    let passes = Figures::of(operator).await?.since(&before);
    let used = process::cpu_seconds(id)? - cpu;
    row("passes in a calm minute", passes.count(), "");
    row("a pass that finds nothing to do, p50, ms", passes.quantile_ms(0.50), "");
    row("a pass that finds nothing to do, p99, ms", passes.quantile_ms(0.99), "< 50");
    row("writes in that minute", passes.writes, "0");
    row("CPU ms for each pass", used * 1000.0 / passes.count(), "");
    row("resident memory, MiB", process::resident_mib(id)?, "< 100");

    let mut latencies = changes(client, &clusters).await?;
    latencies.sort_by(f64::total_cmp);
    row("from `kubectl scale` to the autoscaler, p50, ms", percentile(&latencies, 0.50), "");
    row("from `kubectl scale` to the autoscaler, p95, ms", percentile(&latencies, 0.95), "");
    Ok(())
}

fn name(number: usize) -> String {
    format!("library-{number}")
}

async fn apply(clusters: &Api<RagCluster>, number: usize, spec: serde_json::Value) -> Result<()> {
    let name = name(number);
    let object = json!({
        "apiVersion": "ragops.dev/v1alpha1", "kind": "RagCluster", "metadata": {"name": name}, "spec": spec,
    });
    clusters.patch(&name, &PatchParams::apply("kubectl"), &Patch::Apply(&object)).await?;
    Ok(())
}

fn is(cluster: &RagCluster, type_: &str, status: &str) -> bool {
    let conditions = cluster.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|condition| condition.type_ == type_ && condition.status == status)
}

/// Milliseconds from a change of the floor until the autoscaler has it.
async fn changes(client: &Client, clusters: &Api<RagCluster>) -> Result<Vec<f64>> {
    let autoscalers: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), NAMESPACE);
    let autoscalers = &autoscalers;
    stream::iter(0..CHANGES)
        .then(|number| async move {
            let name = name(number);
            let began = Instant::now();
            let scale = json!({"spec": {"replicas": 4}});
            clusters.patch_scale(&name, &PatchParams::default(), &Patch::Merge(&scale)).await?;
            let has_it = |autoscaler: Option<&HorizontalPodAutoscaler>| {
                autoscaler.is_some_and(|autoscaler| autoscaler.spec.min_replicas == Some(4))
            };
            let changed = await_condition(autoscalers.clone(), &name, has_it);
            tokio::time::timeout(PATIENCE, changed).await.with_context(|| format!("{name} was not changed"))??;
            Ok(began.elapsed().as_secs_f64() * 1000.0)
        })
        .try_collect()
        .await
}

/// What the operator has counted so far.
struct Figures {
    /// Upper bounds in seconds, and passes at or below each.
    passes: Vec<(f64, f64)>,
    writes: f64,
}

impl Figures {
    async fn of(operator: &Operator) -> Result<Self> {
        let text = operator.get("/metrics").await?;
        let value = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).unwrap_or(0.0);
        let mut passes: Vec<(f64, f64)> = Vec::new();
        for line in text.lines().filter(|line| line.starts_with("ragops_reconcile_seconds_bucket")) {
            let Some(bound) = line.split("le=\"").nth(1).and_then(|rest| rest.split('"').next()) else { continue };
            let bound = bound.parse().unwrap_or(f64::INFINITY);
            match passes.iter_mut().find(|(known, _)| *known == bound) {
                Some((_, count)) => *count += value(line),
                None => passes.push((bound, value(line))),
            }
        }
        let writes = text.lines().filter(|line| line.starts_with("ragops_writes_total")).map(value).sum();
        Ok(Self { passes, writes })
    }

    fn since(&self, before: &Self) -> Self {
        let passes = self.passes.iter().zip(&before.passes).map(|((bound, now), (_, then))| (*bound, now - then));
        Self { passes: passes.collect(), writes: self.writes - before.writes }
    }

    fn count(&self) -> f64 {
        self.passes.iter().map(|(_, count)| *count).fold(0.0, f64::max)
    }

    /// The upper bound of the bucket that holds the quantile.
    fn quantile_ms(&self, share: f64) -> f64 {
        let wanted = self.count() * share;
        self.passes.iter().find(|(_, count)| *count >= wanted).map_or(f64::NAN, |(bound, _)| bound * 1000.0)
    }
}
