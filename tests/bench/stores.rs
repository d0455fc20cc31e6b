//! Stores as processes of their own: the Qdrant double, and Postgres as its package ships it, which writes what it acknowledges to the disk.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// User and group of `nobody` on Debian: Postgres refuses to run as root.
const NOBODY: u32 = 65534;
/// Where Debian puts the versions of Postgres.
const POSTGRES: &str = "/usr/lib/postgresql";
/// How many connections it allows.
const CONNECTIONS: u32 = 200;

/// The Qdrant double; it ends with this value.
pub(super) struct Qdrant {
    url: String,
    _process: Child,
    _folder: TempDir,
}

impl Qdrant {
    /// Starts it beside this program, with nothing in it.
    pub(super) async fn start() -> anyhow::Result<Self> {
        let (folder, program) = (tempfile::tempdir()?, std::env::current_exe()?.with_file_name("qdrant-double"));
        let mut process = Command::new(&program)
            .args(["--host", "127.0.0.1", "--grpc-port", "0", "--http-port", "0", "--storage-path"])
            .arg(folder.path())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} does not start", program.display()))?;
        let mut lines = BufReader::new(process.stderr.take().context("no standard error")?).lines();
        while let Some(line) = lines.next_line().await? {
            let address = line.split_whitespace().find_map(|word| word.strip_prefix("grpc="));
            if let Some(address) = address {
                let url = format!("http://{address}");
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return Ok(Self { url, _process: process, _folder: folder });
            }
        }
        bail!("the Qdrant double ended before it listened")
    }

    /// The part of a configuration that names it.
    pub(super) fn config(&self) -> String {
        format!("[vector_store.qdrant]\nurl = {:?}\ncollection = \"bench\"\n", self.url)
    }
}

/// A Postgres with one empty database; it ends with this value.
pub(super) struct Postgres {
    /// The files by which servers find it.
    files: TempDir,
    _process: Child,
    _data: TempDir,
}

impl Postgres {
    /// Starts it; `None` where it is not installed. Servers wait for it.
    pub(super) async fn start() -> anyhow::Result<Option<Self>> {
        let Some(programs) = programs() else { return Ok(None) };
        let (data, files) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let is_root = fs::metadata("/proc/self")?.uid() == 0;
        if is_root {
            chown(data.path(), Some(NOBODY), Some(NOBODY))?;
        }
        let command = |program: &str| as_somebody(&programs.join(program), is_root);
        let made = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--username=bench", "--pgdata"];
        let made = command("initdb").args(made).arg(data.path()).stdout(Stdio::null()).status().await?;
        ensure!(made.success(), "initdb ended with {made}");
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
        let most = format!("max_connections={CONNECTIONS}");
        let process = command("postgres")
            .args(["-p", &port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-c", &most, "-D"])
            .arg(data.path())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let told = [("host", "127.0.0.1"), ("port", &port), ("database", "postgres"), ("username", "bench")];
        for (file, text) in told.into_iter().chain([("password", "not-asked-for")]) {
            fs::write(files.path().join(file), text)?;
        }
        Ok(Some(Self { files, _process: process, _data: data }))
    }

    /// The part of a configuration that names it, for so many servers.
    pub(super) fn config(&self, servers: usize) -> String {
        format!("[records.postgres]\ndir = {:?}\ntls = \"Off\"\nservers = {servers}\n", self.files.path())
    }
}

/// The programs of the newest version.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir(POSTGRES).ok()?.flatten().map(|entry| entry.path().join("bin"));
    versions.filter(|bin| bin.join("initdb").exists()).max()
}

fn as_somebody(program: &Path, is_root: bool) -> Command {
    let mut command = Command::new(if is_root { Path::new("setpriv") } else { program });
    if is_root {
        let nobody = NOBODY.to_string();
        command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups", "--"]).arg(program);
    }
    command.current_dir("/").stdin(Stdio::null());
    command
}
