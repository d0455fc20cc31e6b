//! kubelet and kube-proxy.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use serde_json::{Value, json};

use super::{ADDRESS, DNS, NAME, runtime};
use crate::control_plane::{Plan, first_end};
use crate::process::{Process, Program};
use crate::wait::until;

/// A warm start takes two seconds.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Starts both.
pub(crate) fn start(plan: &Plan<'_>, cgroup: &str, processes: &mut Vec<Process>) -> Result<()> {
    let folder = plan.folder;
    std::fs::write(folder.join("kubelet.json"), configuration(folder, cgroup).to_string())?;
    let kubelet = Program::new("kubelet", plan.parts.program("kubelet")).arguments(&format!(
        "--config=kubelet.json\n--kubeconfig={}\n--root-dir={root}\n--cert-dir={root}/pki
         --hostname-override={NAME}\n--node-ip={ADDRESS}",
        plan.kubeconfig("system:node:node").display(),
        root = folder.join("kubelet").display(),
    ));
    processes.push(Process::start(&kubelet, folder)?);
    let proxy = Program::new("kube-proxy", plan.parts.program("kube-proxy")).arguments(&format!(
        "--kubeconfig={}\n--proxy-mode=nftables\n--hostname-override={NAME}\n--cluster-cidr=10.244.0.0/16
         --conntrack-max-per-core=0",
        plan.kubeconfig("system:kube-proxy").display(),
    ));
    processes.push(Process::start(&proxy, folder)?);
    Ok(())
}

/// Waits until the node takes pods.
pub(crate) async fn ready(plan: &Plan<'_>, processes: &mut [Process]) -> Result<()> {
    let nodes: Api<Node> = Api::all(plan.client().await?);
    let nodes = &nodes;
    let ready = until("the node is ready", READY_WITHIN, || async move {
        let node = nodes.get(NAME).await?;
        let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
        let ready = conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
        let tainted = node.spec.and_then(|spec| spec.taints).is_some_and(|taints| !taints.is_empty());
        Ok((ready && !tainted).then_some(()))
    });
    tokio::select! {
        result = ready => result,
        obituary = first_end(processes) => bail!("{obituary}"),
    }
}

fn configuration(folder: &Path, cgroup: &str) -> Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": format!("unix://{}", runtime::socket(folder).display()),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{cgroup}"),
        "failCgroupV1": false,
        "failSwapOn": false,
        // The node shares its machine: it limits pods, never itself.
        "enforceNodeAllocatable": [],
        "address": "0.0.0.0",
        "readOnlyPort": 0,
        // Nobody but the cluster is in this network.
        "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
        "authorization": {"mode": "AlwaysAllow"},
        "clusterDNS": [DNS],
        "clusterDomain": "cluster.local",
        "resolvConf": "",
        // A disk that is full enough for production to worry is normal on a developer's machine.
        "evictionHard": {"nodefs.available": "1%", "memory.available": "50Mi", "imagefs.available": "1%"},
        // Images cannot be pulled again.
        "imageGCHighThresholdPercent": 100,
        "podLogsDir": folder.join("pod-logs"),
        "volumePluginDir": folder.join("kubelet/plugins-exec"),
    })
}
