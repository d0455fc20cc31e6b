//! containerd with a bridge network.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::process::Command;

use super::{PAUSE_IMAGE, POD_NETWORK};
use crate::process::{Process, Program};
use crate::wait::until;

/// The socket of the container runtime.
pub(crate) fn socket(folder: &Path) -> PathBuf {
    folder.join("containerd/containerd.sock")
}

/// Writes the configuration and starts containerd.
pub(crate) fn start(folder: &Path) -> Result<Process> {
    let root = folder.join("containerd");
    std::fs::create_dir_all(root.join("net.d"))?;
    std::fs::write(root.join("net.d/10-pods.conflist"), network(folder))?;
    std::fs::write(root.join("config.toml"), configuration(&root))?;
    let program = Program::new("containerd", "/usr/bin/containerd".into())
        .arguments(&format!("--config\n{}", root.join("config.toml").display()));
    Process::start(&program, folder)
}

/// Loads image archives into Kubernetes' namespace of containerd.
pub(crate) async fn import(folder: &Path, archives: &[PathBuf]) -> Result<()> {
    let socket = socket(folder);
    let socket = &socket;
    until("containerd answers", Duration::from_secs(30), || async move {
        let output = Command::new("ctr").arg("-a").arg(socket).arg("version").output().await?;
        Ok(output.status.success().then_some(()))
    })
    .await?;
    for archive in archives {
        let import = ["-n", "k8s.io", "images", "import"];
        let output = Command::new("ctr").arg("-a").arg(socket).args(import).arg(archive).output().await?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr);
            bail!("cannot import the image archive {}: {}", archive.display(), reason.trim());
        }
    }
    Ok(())
}

fn configuration(root: &Path) -> String {
    let root = root.display();
    // restrict_oom_score_adj: runc may not lower scores where a capability is missing, and would fail trying.
    format!(
        r#"version = 2
root = "{root}/root"
state = "{root}/state"
[grpc]
  address = "{root}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  sandbox_image = "{PAUSE_IMAGE}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{root}/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
"#
    )
}

fn network(folder: &Path) -> String {
    let state = folder.join("cni");
    serde_json::json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "pods0",
                "isGateway": true,
                "ipMasq": false,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "dataDir": state,
                    "ranges": [[{"subnet": POD_NETWORK}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
    .to_string()
}
