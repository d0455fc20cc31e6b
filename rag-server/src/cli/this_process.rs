//! How this process is named to those who share its stores.

/// Where the kernel tells the name of the machine, or of the pod.
const HOST: &str = "/proc/sys/kernel/hostname";

/// The command, the process and where it runs: `rag-server reindex (process 7 on pod-x)`.
pub(super) fn this_process(command: &str) -> String {
    let host = std::fs::read_to_string(HOST).unwrap_or_default();
    let on = match host.trim() {
        "" => String::new(),
        host => format!(" on {host}"),
    };
    format!("rag-server {command} (process {}{on})", std::process::id())
}
