//! How much memory the process has, as the kernel counts it. Children that read documents are processes of their own.

/// Memory that is really there, mapped files included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resident {
    /// Now.
    pub bytes: u64,
    /// The most at any time since the process began.
    pub peak_bytes: u64,
}

impl Resident {
    /// Of this process; nothing where the system does not tell.
    pub fn of_this_process() -> Option<Self> {
        // One reading of both, so that the peak is never below what is there.
        Self::read(&std::fs::read_to_string("/proc/self/status").ok()?)
    }

    fn read(status: &str) -> Option<Self> {
        let bytes = |name: &str| {
            let figure = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            figure.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
        };
        Some(Self { bytes: bytes("VmRSS")?, peak_bytes: bytes("VmHWM")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_figures_are_read_in_bytes_or_none_is() {
        let status = "Name:\tx\nVmPeak:\t  9000 kB\nVmHWM:\t  4096 kB\nVmRSS:\t  2048 kB\nRssAnon:\t 1 kB\n";
        assert_eq!(Resident::read(status), Some(Resident { bytes: 2 << 20, peak_bytes: 4 << 20 }));
        assert_eq!(Resident::read("Name:\tx\nVmRSS:\t  2048 kB\n"), None);
        assert_eq!(Resident::read(""), None);
    }

    #[test]
    fn the_peak_is_never_below_what_is_there() {
        let Resident { bytes, peak_bytes } = Resident::of_this_process().unwrap();
        assert!(bytes > 1 << 20 && peak_bytes >= bytes, "{bytes} of {peak_bytes}");
    }
}
