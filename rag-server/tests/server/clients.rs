//! The official clients, unchanged, against the real program: OpenAI's for Python and Node, and that of the Model Context Protocol.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::process::{FREE_PORTS, Home, Server};

const WRITER: &str = "writer-key-0123456789";
const READER: &str = "reader-key-0123456789";
const KEYS: &str = "[auth]\ncredentials_dir = \"keys\"\napi_keys = [\n{ name = \"writer\", role = \"Writer\" },\n{ name = \"reader\", role = \"Reader\" },\n]\n";
const BACKUP: &str = "# Backup\n\nDaily snapshots are kept for 7 days.\nWeekly snapshots are kept for 5 weeks.\n";

/// What `setup.sh` says when there is nothing to install with.
const NO_INSTALLER: i32 = 3;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients").canonicalize().unwrap()
}

/// Where the clients for `language` are; none, and a word about it, where they cannot be installed.
fn installed(language: &str) -> Option<PathBuf> {
    installed_by(&[language])
}

/// Where that is which `setup.sh` installs when it is called with this.
pub(crate) fn installed_by(arguments: &[&str]) -> Option<PathBuf> {
    let output = Command::new("bash").arg(folder().join("setup.sh")).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.code() == Some(NO_INSTALLER) {
        eprintln!("skipped, because {said}");
        return None;
    }
    assert!(output.status.success(), "setup.sh {arguments:?} installed nothing: {said}");
    Some(PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()))
}

async fn served(home: &Home) -> Server {
    home.write("keys/api-key.writer.current", WRITER);
    home.write("keys/api-key.reader.current", READER);
    let server = home.serve(&format!("{FREE_PORTS}{KEYS}"));
    server.await_ready().await;
    server.ingest("ops/backup.md", BACKUP, WRITER).await;
    server
}

/// Runs a client's script, which ends with a word of success.
async fn passes(mut script: Command, server: &Server) {
    script.env("RAG_URL", &server.public).env("RAG_KEY", WRITER).env("RAG_READER_KEY", READER);
    without_proxy(&mut script);
    script.stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || script.output().unwrap()).await.unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success() && said[0].trim().ends_with(": fine"), "{}", said.concat());
}

/// A proxy of the machine is not meant for loopback.
pub(crate) fn without_proxy(script: &mut Command) {
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"] {
        script.env_remove(name);
    }
}

fn python(clients: &Path, script: &str) -> Command {
    let mut python = Command::new("python3");
    python.arg(folder().join(script)).env("PYTHONPATH", clients.join("packages")).env("PYTHONDONTWRITEBYTECODE", "1");
    python
}

#[tokio::test]
async fn the_openai_client_for_python_works_unchanged() {
    let Some(clients) = installed("python") else { return };
    let home = Home::new();
    passes(python(&clients, "openai_client.py"), &served(&home).await).await;
}

#[tokio::test]
async fn the_mcp_client_for_python_works_unchanged() {
    let Some(clients) = installed("python") else { return };
    let home = Home::new();
    passes(python(&clients, "mcp_client.py"), &served(&home).await).await;
}

#[tokio::test]
async fn the_openai_client_for_node_works_unchanged() {
    let Some(clients) = installed("node") else { return };
    let home = Home::new();
    let mut node = Command::new("node");
    node.arg(folder().join("openai_client.mjs")).env("RAG_CLIENTS", clients);
    passes(node, &served(&home).await).await;
}
