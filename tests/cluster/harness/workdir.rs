//! The folder of one cluster. It is held by a lock that the kernel releases when its owner dies, so that the next start
//! finds what a killed owner left, and removes it.

use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::wait::seen_within;

/// All folders of clusters start so, below the system's temporary folder.
const PREFIX: &str = "ragops-cluster-";
/// Held while the cluster lives.
const LOCK: &str = "lock";
/// Names the control group of a real node, to be removed with the folder.
const CGROUP: &str = "cgroup";
/// Where cgroup hierarchies are mounted, one folder for each of version 1, or version 2 at the top.
const CGROUPS: &str = "/sys/fs/cgroup";

/// A locked folder; removed by [`Workdir::remove`], or by the next cluster that starts after its owner has died.
#[derive(Debug)]
pub(crate) struct Workdir {
    path: PathBuf,
    _lock: File,
}

impl Workdir {
    /// Removes what dead owners left, then creates and locks a new folder.
    pub(crate) fn create() -> Result<Self> {
        sweep();
        let id = format!("{:08x}", rand::random::<u32>());
        let base = std::env::temp_dir();
        // The sweep of another process must never see a folder without a lock under its final name.
        let staging = base.join(format!(".{PREFIX}{id}"));
        let path = base.join(format!("{PREFIX}{id}"));
        fs::create_dir(&staging).with_context(|| format!("cannot create {}", staging.display()))?;
        let lock = File::create(staging.join(LOCK))?;
        lock.lock()?;
        fs::rename(&staging, &path)?;
        Ok(Self { path, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A name that no other cluster has.
    pub(crate) fn id(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Creates a control group of this name in every hierarchy, and remembers it for the removal.
    pub(crate) fn create_cgroup(&self) -> Result<String> {
        let name = self.id();
        fs::write(self.path.join(CGROUP), &name)?;
        for hierarchy in hierarchies() {
            let group = hierarchy.join(&name);
            fs::create_dir(&group).with_context(|| format!("cannot create the control group {}", group.display()))?;
            inherit_cpuset(&hierarchy, &group)?;
        }
        Ok(name)
    }

    /// Removes the folder and the control group; what cannot be removed is named, the rest is gone.
    pub(crate) fn remove(self) -> Result<()> {
        clear(&self.path)
    }
}

/// Version 1 creates cpusets empty, and nothing can run in an empty one.
fn inherit_cpuset(hierarchy: &Path, group: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if hierarchy.ends_with("cpuset") && group.join(file).exists() {
            fs::write(group.join(file), fs::read(hierarchy.join(file))?)?;
        }
    }
    Ok(())
}

/// The folders below which a control group has to exist.
fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new(CGROUPS);
    if root.join("cgroup.controllers").exists() {
        return vec![root.to_owned()];
    }
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    // Combined hierarchies ("cpu,cpuacct") are also reachable by symbolic links, which would name the same group twice.
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn sweep() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    let me = fs::metadata("/proc/self").map(|metadata| metadata.uid()).ok();
    for entry in entries.flatten() {
        let mine = entry.metadata().map(|metadata| metadata.uid()).ok() == me;
        if mine
            && entry.file_name().to_string_lossy().starts_with(PREFIX)
            && is_abandoned(&entry.path())
            && let Err(error) = clear(&entry.path())
        {
            tracing::warn!("what an ended cluster left in {} stays: {error:#}", entry.path().display());
        }
    }
}

fn is_abandoned(path: &Path) -> bool {
    let Ok(lock) = File::open(path.join(LOCK)) else { return false };
    match lock.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

fn clear(path: &Path) -> Result<()> {
    if let Ok(name) = fs::read_to_string(path.join(CGROUP)) {
        for hierarchy in hierarchies() {
            remove_cgroup(&hierarchy.join(name.trim()))?;
        }
    }
    fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))
}

/// For so long the kernel may hold a control group whose processes have been killed.
const GONE_WITHIN: Duration = Duration::from_secs(1);

/// A control group goes only when its children have gone; its files cannot be removed and need not be.
fn remove_cgroup(group: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(group) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&entry.path())?;
        }
    }
    // The kernel needs a moment to let go of processes that have just been killed.
    let is_gone = || (fs::remove_dir(group).is_ok() || !group.exists()).then_some(());
    if seen_within(GONE_WITHIN, is_gone).is_some() {
        return Ok(());
    }
    fs::remove_dir(group).with_context(|| format!("cannot remove the control group {}", group.display()))
}
