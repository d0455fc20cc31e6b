//! A bucket of SeaweedFS, which is started once for the whole program and refuses wrong keys.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rag_core::doubles::eventually;
use rag_server::{
    adapters::archive::{ObjectArchive, S3Settings},
    ports::Archive as _,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::OnceCell;

pub(crate) const ID: &str = "snapshots";
pub(crate) const SECRET: &str = "a-secret-of-the-bucket";

/// What `program.sh` says when there is nothing to install with.
const NO_INSTALLER: i32 = 3;

/// Starts a program, and ends it and removes its folder when whoever started it is gone: nothing else tells a program that a test's process has ended.
const WATCHED: &str = r#""$@" & server=$!; cat > /dev/null; kill "$server"; wait "$server"; rm -rf "$PWD""#;

/// The server, for as long as the program runs.
pub(crate) struct Weed {
    pub(crate) endpoint: String,
    filer: String,
    home: PathBuf,
    _watched: Child,
}

/// The program, installed by exact version; none, and why, where it cannot be.
fn program() -> Result<PathBuf, String> {
    let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/s3/program.sh");
    let output = Command::new("bash").arg(setup).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.code() == Some(NO_INSTALLER) {
        return Err(said);
    }
    assert!(output.status.success(), "SeaweedFS was not installed: {said}");
    Ok(PathBuf::from(String::from_utf8(output.stdout).unwrap().trim()))
}

/// A port that was free a moment ago, and whose gRPC port, which lies ten thousand above it, is one.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if port < 50_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

/// How long one is waited for before another one is started, on other ports: what was free a moment ago may be somebody else's by then, and the server says nothing of it.
const STARTS_WITHIN: Duration = Duration::from_secs(40);
/// Starts before it is given up.
const STARTS: usize = 4;

async fn started() -> Result<Weed, String> {
    let program = program()?;
    for _ in 0..STARTS {
        let weed = on_free_ports(&program);
        if tokio::time::timeout(STARTS_WITHIN, weed.make_bucket()).await.is_ok() {
            return Ok(weed);
        }
    }
    panic!("SeaweedFS did not take an object within {STARTS_WITHIN:?}, {STARTS} times");
}

fn on_free_ports(program: &Path) -> Weed {
    let home = TempDir::new().unwrap().keep();
    let actions = ["Admin", "Read", "Write", "List"];
    let identities = json!([{
        "name": "tests",
        "credentials": [{ "accessKey": ID, "secretKey": SECRET }],
        "actions": actions,
    }]);
    fs::write(home.join("s3.json"), json!({ "identities": identities }).to_string()).unwrap();
    let [master, volume, filer, s3] = [(); 4].map(|()| free_port());
    let watched = Command::new("sh")
        .args(["-c", WATCHED, "sh"])
        .arg(program)
        .args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-master.volumeSizeLimitMB=64", "-dir=."])
        .args([format!("-master.port={master}"), format!("-volume.port={volume}")])
        .args([format!("-filer.port={filer}"), format!("-s3.port={s3}"), "-s3.config=s3.json".to_owned()])
        .current_dir(&home)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let [endpoint, filer] = [s3, filer].map(|port| format!("http://127.0.0.1:{port}"));
    Weed { endpoint, filer, home, _watched: watched }
}

impl Weed {
    /// Makes the bucket, which is a folder of the filer, and waits until it can be used: the server listens before it knows its volumes.
    async fn make_bucket(&self) {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        let made = async || http.post(format!("{}/buckets/archive/", self.filer)).send().await;
        eventually("the bucket is there", async || made().await.is_ok_and(|made| made.status().is_success())).await;
        let written = async || self.archive("probe", SECRET).put_if_absent("probe", b"x".to_vec()).await;
        eventually("the bucket takes an object", async || written().await.is_ok()).await;
    }

    pub(crate) fn archive(&self, prefix: &str, secret: &str) -> ObjectArchive {
        let file = |name: &str, text: &str| {
            let path = self.home.join(format!("{name}-{}", uuid::Uuid::new_v4()));
            fs::write(&path, text).unwrap();
            path
        };
        ObjectArchive::s3(&S3Settings {
            bucket: "archive".to_owned(),
            prefix: prefix.to_owned(),
            endpoint: Some(self.endpoint.clone()),
            region: "us-east-1".to_owned(),
            access_key_id_file: file("id", ID),
            secret_access_key_file: file("secret", secret),
            ca_file: None,
        })
        .unwrap()
    }
}

pub(crate) async fn weed() -> Result<&'static Weed, String> {
    static WEED: OnceCell<Result<Weed, String>> = OnceCell::const_new();
    WEED.get_or_init(started).await.as_ref().map_err(Clone::clone)
}
