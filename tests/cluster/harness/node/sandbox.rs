//! Network and mounts inside the new namespaces. Whatever writes to a fixed path of the machine writes to the cluster's
//! folder or to memory instead.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::ADDRESS;

/// Paths that containerd, runc, CNI and kubelet cannot be talked out of. These are covered by memory,
const MEMORY: [&str; 2] = ["/run", "/var/log"];
/// and what is written below this one goes to the cluster's folder: others may read what is there.
const OVERLAID: &str = "/var/lib";

/// Brings the network up and covers the machine's paths.
pub(crate) fn prepare(folder: &Path) -> Result<()> {
    network()?;
    // Volumes that kubelet mounts must show up in containers: it wants shared propagation, within these namespaces.
    run("mount --make-rshared /")?;
    for path in MEMORY {
        run(&format!("mount -t tmpfs -o mode=755 tmpfs {path}"))?;
    }
    overlay(folder)?;
    for name in ["volumes", "kubelet", "containerd", "pod-logs", "cni"] {
        std::fs::create_dir_all(folder.join(name))?;
    }
    Ok(())
}

fn overlay(folder: &Path) -> Result<()> {
    let (upper, work) = (folder.join("var-lib/upper"), folder.join("var-lib/work"));
    std::fs::create_dir_all(&upper)?;
    std::fs::create_dir_all(&work)?;
    let (upper, work) = (upper.display(), work.display());
    run(&format!("mount -t overlay overlay -o lowerdir={OVERLAID},upperdir={upper},workdir={work} {OVERLAID}"))
}

/// One end of a veth pair carries the node's address; the kernel of a small machine may lack a dummy device.
fn network() -> Result<()> {
    run("ip link set lo up")?;
    run("ip link add eth0 type veth peer name eth0-peer")?;
    run(&format!("ip address add {ADDRESS}/24 dev eth0"))?;
    run("ip link set eth0 up")?;
    run("ip link set eth0-peer up")?;
    // Without a default route, Service addresses are unreachable before kube-proxy can rewrite them.
    run("ip route add default dev eth0")?;
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("cannot switch forwarding on")
}

fn run(line: &str) -> Result<()> {
    let mut words = line.split_whitespace();
    let program = words.next().context("an empty command")?;
    let output = Command::new(program).args(words).output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!("{line}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
