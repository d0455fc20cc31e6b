//! What a process has used so far, read from `/proc`.

use std::fs;

use anyhow::Context;

/// Ticks of the kernel's clock in a second; 100 on every Linux that we run on (`getconf CLK_TCK`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of processor time, its own and the kernel's for it.
pub(crate) fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    seconds(&stat).with_context(|| format!("/proc/{pid}/stat is not what is expected: {stat}"))
}

/// Resident memory in MiB.
pub(crate) fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    memory(pid, "VmRSS")
}

/// The most resident memory that there ever was, in MiB.
pub(crate) fn peak_resident_mib(pid: u32) -> anyhow::Result<f64> {
    memory(pid, "VmHWM")
}

fn memory(pid: u32, name: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    mebibytes(&status, name).with_context(|| format!("/proc/{pid}/status has no {name}"))
}

/// The 14th and the 15th field; the 2nd is a name that may hold spaces and brackets.
fn seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

fn mebibytes(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 1 2 3";
        assert_eq!(seconds(stat), Some(3.0));
        assert_eq!(seconds("nonsense"), None);
    }

    #[test]
    fn resident_memory_is_read_in_mebibytes() {
        let status = "Name:\tx\nVmHWM:\t  4096 kB\nVmRSS:\t  2048 kB\nThreads: 1\n";
        assert_eq!((mebibytes(status, "VmRSS"), mebibytes(status, "VmHWM")), (Some(2.0), Some(4.0)));
        assert_eq!(mebibytes(status, "Vm"), None);
    }
}
