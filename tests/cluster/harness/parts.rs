//! Where the Kubernetes programs are. Builds nothing: `parts/build.sh` does, and names the folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// What the control plane form runs.
pub const CONTROL_PLANE: [&str; 7] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok", "helm"];
/// What the node form runs beside the control plane.
pub const NODE: [&str; 4] = ["kubelet", "kube-proxy", "coredns", "metrics-server"];

/// The folder of the built programs.
#[derive(Clone, Debug)]
pub struct Parts {
    folder: PathBuf,
}

impl Parts {
    /// Asks `RAGOPS_KUBERNETES_BIN`, then the build script, for the folder.
    ///
    /// # Errors
    /// When the build script cannot be run.
    pub fn find() -> Result<Self> {
        if let Some(folder) = std::env::var_os("RAGOPS_KUBERNETES_BIN") {
            return Ok(Self { folder: folder.into() });
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/parts/build.sh");
        let output = Command::new(&script)
            .arg("--where")
            .output()
            .with_context(|| format!("cannot run {}", script.display()))?;
        if !output.status.success() {
            bail!("{} --where failed: {}", script.display(), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(Self { folder: String::from_utf8(output.stdout)?.trim().into() })
    }

    /// The folder named directly.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Where the programs are, also for `PATH`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of one program.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// KWOK's descriptions of how simulated nodes and pods behave.
    #[must_use]
    pub fn stages(&self) -> PathBuf {
        self.folder.with_file_name("stages")
    }

    /// Those of `names` that have not been built.
    #[must_use]
    pub fn missing<'a>(&self, names: &[&'a str]) -> Vec<&'a str> {
        names.iter().copied().filter(|name| !self.program(name).is_file()).collect()
    }
}
