//! The half of the supervisor that stays in the machine's own namespaces: prepares the folder, enters the namespaces with
//! a second supervisor, and lets people reach the API server.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};

use super::{API_SOCKET, PAUSE_IMAGE};
use crate::forward;
use crate::image::{Image, Item};
use crate::supervisor::{Handover, Message, Order, Served, report, serve};
use crate::workdir::Workdir;

/// Ends with SIGTERM, as Kubernetes expects of a pod's first container.
const PAUSE: &str = "\
#include <signal.h>
#include <unistd.h>
static void end(int number) { (void)number; _exit(0); }
int main(void) { signal(SIGTERM, end); signal(SIGINT, end); for (;;) pause(); }
";

/// A shell is the first process of the new namespace: it reaps orphans, and its end is everybody's.
const FIRST_PROCESS: &str = r#"exec 3<&0; "$0" "$@" <&3 3<&- & exec 3<&-; wait $!"#;

/// Runs a node until somebody asks to stop.
pub(crate) async fn run(order: &Order, workdir: &Workdir) -> Result<()> {
    let folder = workdir.path();
    report(&Message::Progress("building the pause image".into()))?;
    let mut images = vec![pause_image(folder).await?];
    images.extend(order.images.iter().cloned());
    let cgroup = workdir.create_cgroup()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("https://{}", listener.local_addr()?);
    tokio::spawn(forward::tcp_to_socket(listener, folder.join(API_SOCKET)));

    let inner = super::inside::Task { folder: folder.to_owned(), programs: order.programs.clone(), cgroup, images };
    let mut child = enter(&inner)?;
    let output = child.stdout.take().context("the inner supervisor has no standard output")?;
    let mut lines = BufReader::new(output).lines();
    let outcome = serve(ready(&mut lines, folder, url)).await;
    let outcome = match outcome {
        Ok(Served::Ready) => match serve(failure(&mut lines)).await {
            Ok(Served::Ready | Served::Stopped) => Ok(()),
            Err(error) => Err(error),
        },
        Ok(Served::Stopped) => Ok(()),
        Err(error) => Err(error),
    };
    // Killing `unshare` kills the first process of the namespace, and the kernel all the others.
    child.kill().await?;
    outcome
}

fn enter(task: &super::inside::Task) -> Result<Child> {
    Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"])
        .args(["--mount-proc", "sh", "-c", FIRST_PROCESS])
        .arg(std::env::current_exe()?)
        .arg("supervise-node")
        .arg(serde_json::to_string(task)?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("cannot start unshare")
}

async fn ready(lines: &mut Lines<BufReader<ChildStdout>>, folder: &Path, url: String) -> Result<()> {
    loop {
        match next(lines).await? {
            Message::Progress(step) => report(&Message::Progress(step))?,
            Message::Failed(reason) => bail!("{reason}"),
            Message::Ready(_) => break,
        }
    }
    let handover = Handover { folder: folder.to_owned(), url, pods: String::new() };
    point_outside(&handover)?;
    report(&Message::Ready(handover))
}

async fn failure(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<()> {
    loop {
        if let Message::Failed(reason) = next(lines).await? {
            bail!("{reason}");
        }
    }
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> Result<Message> {
    let line = lines.next_line().await?.context("the supervisor inside the namespaces has gone")?;
    Ok(serde_json::from_str(&line).unwrap_or(Message::Progress(line)))
}

/// The admin's kubeconfig named the address inside; from now on it is used outside.
fn point_outside(handover: &Handover) -> Result<()> {
    let path = handover.kubeconfig();
    let mut document: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
    document["clusters"][0]["cluster"]["server"] = serde_json::json!(handover.url);
    crate::kubeconfig::private(&path, serde_json::to_string_pretty(&document)?.as_bytes())
}

async fn pause_image(folder: &Path) -> Result<PathBuf> {
    let (source, program) = (folder.join("pause.c"), folder.join("pause"));
    std::fs::write(&source, PAUSE)?;
    let output = Command::new("gcc").args(["-static", "-Os", "-s", "-o"]).arg(&program).arg(&source).output().await?;
    if !output.status.success() {
        bail!("gcc cannot build the pause program: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let archive = folder.join("pause.tar");
    Image {
        name: PAUSE_IMAGE.into(),
        entrypoint: vec!["/pause".into()],
        user: 65535,
        environment: Vec::new(),
        items: vec![Item::File { from: program, to: "/pause".into() }],
    }
    .write(&archive)?;
    Ok(archive)
}
