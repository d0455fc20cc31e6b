//! One program, its log, and its end. A program ends with the thread that started it: the kernel sees to that, so a
//! killed supervisor leaves nothing.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use anyhow::{Context, Result};
use tokio::process::{Child, Command};

/// How much of a log is worth showing when its program ends early.
const TAIL_LINES: usize = 15;

/// What to run.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<OsString>,
}

impl Program {
    pub(crate) fn new(name: &'static str, path: PathBuf) -> Self {
        Self { name, path, arguments: Vec::new() }
    }

    /// Adds one argument for each line of `lines`; a flag and its value are joined by `=`.
    pub(crate) fn arguments(mut self, lines: &str) -> Self {
        self.arguments.extend(lines.lines().map(str::trim).filter(|line| !line.is_empty()).map(OsString::from));
        self
    }
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts `program` with its output in `folder/log`. Call it from the thread with which the program should end.
    pub(crate) fn start(program: &Program, folder: &Path) -> Result<Self> {
        let logs = folder.join("log");
        std::fs::create_dir_all(&logs)?;
        let path = logs.join(format!("{}.log", program.name));
        let log = File::create(&path)?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(&program.path)
            .args(&program.arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A Ctrl-C of the terminal is for the one who asked for the cluster, who then ends it in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {} ({})", program.name, program.path.display()))?;
        Ok(Self { name: program.name, log: path, child })
    }

    /// Waits for the end, which for a part of a cluster is always a failure; says which, and what it last logged.
    pub(crate) async fn ended(&mut self) -> String {
        let status = self.child.wait().await;
        self.obituary(status)
    }

    fn obituary(&self, status: std::io::Result<ExitStatus>) -> String {
        let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        format!("{} ended early ({how}); the end of its log:\n{}", self.name, tail.join("\n"))
    }

    /// Ends it at once and waits until it has gone. Nothing that a cluster's parts hold is worth a graceful end: their
    /// folder is removed next.
    pub(crate) async fn end(&mut self) {
        let _ = self.child.kill().await;
    }
}
