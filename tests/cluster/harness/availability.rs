//! Says whether this machine can run a form, and if not, which command changes that.

use std::io::Write as _;
use std::path::Path;

use crate::parts::{self, Parts};

/// Programs of the node form that Debian ships, each with its package.
const DEBIAN: [(&str, &str); 7] = [
    ("/usr/bin/containerd", "containerd"),
    ("/usr/sbin/runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("/usr/sbin/ip", "iproute2"),
    ("/usr/sbin/nft", "nftables"),
    ("/usr/sbin/conntrack", "conntrack"),
    ("/usr/bin/gcc", "gcc"),
];

/// The parts of a control plane, or why it cannot run here.
///
/// # Errors
/// One sentence for a person, with the command that helps.
pub fn control_plane() -> Result<Parts, String> {
    let parts = Parts::find().map_err(|error| format!("{error:#}"))?;
    needs(&parts, &parts::CONTROL_PLANE)?;
    if !parts.stages().is_dir() {
        return Err(format!("{} is missing; run `make cluster-parts`", parts.stages().display()));
    }
    for (program, package) in [("setpriv", "util-linux"), ("openssl", "openssl")] {
        if !on_path(program) {
            return Err(format!("{program} is missing; run `apt-get install {package}`"));
        }
    }
    Ok(parts)
}

/// The parts of a real node, or why it cannot run here.
///
/// # Errors
/// One sentence for a person, with the command that helps.
pub fn node() -> Result<Parts, String> {
    let parts = control_plane()?;
    needs(&parts, &parts::NODE)?;
    if !is_root() {
        return Err("a real node needs root; run as root, or use the control plane with simulated nodes".into());
    }
    let packages: Vec<&str> =
        DEBIAN.iter().filter(|(path, _)| !Path::new(path).exists()).map(|(_, package)| *package).collect();
    if !packages.is_empty() {
        return Err(format!("Debian packages are missing; run `apt-get install {}`", packages.join(" ")));
    }
    Ok(parts)
}

/// Prints why a test did not run, past the test runner's capture of output; fails instead where `RAGOPS_NO_SKIP` is set.
///
/// # Errors
/// When skipping is not allowed.
pub fn skipped(test: &str, reason: &str) -> anyhow::Result<()> {
    if std::env::var_os("RAGOPS_NO_SKIP").is_some_and(|value| value != "0" && !value.is_empty()) {
        anyhow::bail!("{test} may not be skipped (RAGOPS_NO_SKIP), but {reason}");
    }
    writeln!(std::io::stderr(), "skipped, because {reason}: {test}")?;
    Ok(())
}

fn needs(parts: &Parts, names: &[&str]) -> Result<(), String> {
    let missing = parts.missing(names);
    if missing.is_empty() {
        return Ok(());
    }
    let folder = parts.folder().display();
    Err(format!("{} not built in {folder}; run `make cluster-parts`", missing.join(", ")))
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// True when the process acts as root; files that it creates would then belong to user 0.
#[must_use]
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}
