//! How much memory is free: for this machine, and for the group of processes that this one is bounded with.

use std::{fs, path::Path};

/// Where the groups are.
const GROUPS: &str = "/sys/fs/cgroup";

/// Bytes that may be taken without anybody being short of them; none where the system does not say.
pub(super) fn free() -> Option<u64> {
    let machine = available(&fs::read_to_string("/proc/meminfo").ok()?)?;
    Some(group().map_or(machine, |group| group.min(machine)))
}

/// What the group leaves; none where nothing bounds it.
fn group() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let folder = Path::new(GROUPS).join(path(&own)?);
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    left(&read("memory.max")?, &read("memory.current")?, &read("memory.stat")?)
}

/// The line that says what may be taken without swapping, in kilobytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The group of this process, in the one hierarchy that all controllers share.
fn path(own: &str) -> Option<&str> {
    own.lines().find_map(|line| line.strip_prefix("0::/"))
}

/// The bound, without what is used for good: pages of files are given back when somebody needs the room.
fn left(max: &str, current: &str, stat: &str) -> Option<u64> {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let files = stat.lines().find_map(|line| line.strip_prefix("file ")).and_then(number)?;
    Some(number(max)?.saturating_sub(number(current)?.saturating_sub(files)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_free_is_read_of_what_the_system_says() {
        assert_eq!(available("MemTotal: 8 kB\nMemFree: 1 kB\nMemAvailable:    2048 kB\n"), Some(2 << 20));
        assert_eq!(available("MemTotal: 8 kB\n"), None);
        assert_eq!(path("0::/kubepods/pod1\n"), Some("kubepods/pod1"));
        assert_eq!((path("0::/\n"), path("4:memory:/x\n")), (Some(""), None));
    }

    #[test]
    fn pages_of_files_do_not_count_as_used_and_an_unbounded_group_bounds_nothing() {
        let stat = "anon 100\nfile 300\nfile_mapped 200\n";
        assert_eq!(left("1000\n", "500\n", stat), Some(800));
        assert_eq!(left("100\n", "500\n", stat), Some(0));
        assert_eq!(left("max\n", "500\n", stat), None);
    }
}
