//! A real Postgres of the test's own: on a free port of loopback, in a folder of its own, ended with the test program.
//!
//! It refuses to run as root, so there it runs as `nobody`. Nobody ends it by name: a shell that waits for the end of this program stops it by its folder and removes that.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection,
    postgres::{PgConnectOptions, PgSslMode},
};

use crate::certificates;

/// Where the programs of the server are, if not where Debian puts them.
const BIN: &str = "RAGOPS_TEST_POSTGRES_BIN";
const DEBIAN: &str = "/usr/lib/postgresql";

/// User and group of `nobody` on Debian.
const NOBODY: u32 = 65534;

/// Of the user who may do everything.
const ADMIN: (&str, &str) = ("postgres", "of-the-test-alone");

/// How many connections it allows, three of them to superusers alone.
pub(crate) const MAX_CONNECTIONS: u32 = 203;

/// Why there is none here, if there is none.
pub(crate) fn skipped() -> Option<String> {
    let lacks = || format!("no Postgres is installed below {DEBIAN} and {BIN} names none");
    programs().is_none().then(lacks)
}

fn programs() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(BIN) {
        return Some(named.into());
    }
    let versions = fs::read_dir(DEBIAN).ok()?.flatten().map(|entry| entry.path().join("bin"));
    versions.filter(|bin| bin.join("initdb").exists()).max()
}

/// A running server.
pub(crate) struct Postgres {
    folder: PathBuf,
    port: u16,
    /// Ends the server and removes the folder once its standard input is closed, by us or by our end.
    _keeper: Child,
}

/// A program of the server's, as a user that it runs for.
fn command(program: &str) -> Command {
    let mut command = match is_root() {
        true => {
            let mut command = Command::new("setpriv");
            let nobody = NOBODY.to_string();
            command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups", "--"]).arg(path(program));
            command
        }
        false => Command::new(path(program)),
    };
    command.current_dir("/").stdin(Stdio::null());
    command
}

fn path(program: &str) -> PathBuf {
    programs().unwrap().join(program)
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| std::os::unix::fs::MetadataExt::uid(&process) == 0)
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Postgres {
    /// The one that tests share as long as they leave it alone.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// One of its own, with TLS that [`Self::ca`] vouches for.
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("ragops-postgres-").tempdir().unwrap().keep();
        fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
        let data = folder.join("data");
        fs::create_dir(&data).unwrap();
        fs::write(folder.join("admin"), ADMIN.1).unwrap();
        certificates::authority(&folder, "ca", certificates::DAYS);
        certificates::signed(&folder, "ca", "localhost", certificates::DAYS);
        for name in ["data", "admin", "server.key", "server.crt"] {
            if is_root() {
                chown(folder.join(name), Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        fs::set_permissions(folder.join("server.key"), PermissionsExt::from_mode(0o600)).unwrap();
        let admin = folder.join("admin").display().to_string();
        let asked = ["--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--username", ADMIN.0];
        run(command("initdb").arg("--pgdata").arg(&data).args(asked).args(["--pwfile", &admin]));
        let keeper = format!(
            "trap '' INT TERM; cat >/dev/null; kill -CONT $(head -1 '{data}/postmaster.pid'); kill -QUIT $(head -1 '{data}/postmaster.pid'); rm -rf '{folder}'",
            data = data.display(),
            folder = folder.display()
        );
        let keeper = Command::new("sh").args(["-c", &keeper]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { folder, port, _keeper: keeper.unwrap() };
        server.come_back();
        server
    }

    /// Starts it where it was; returns when it answers.
    pub(crate) fn come_back(&self) {
        let folder = self.folder.display();
        let settings = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections={MAX_CONNECTIONS} \
             -c superuser_reserved_connections=3 -c shared_buffers=16MB -c fsync=off -c ssl=on \
             -c ssl_cert_file={folder}/server.crt -c ssl_key_file={folder}/server.key",
            self.port
        );
        let log = self.folder.join("data/log");
        let start = ["start", "--wait", "--timeout=120", "--silent", "-o", &settings];
        // What it says goes to its log: a pipe would stay open for as long as it runs.
        let mut command = command("pg_ctl");
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.args(start).arg("-D").arg(self.data()).arg("-l").arg(&log).status().unwrap();
        assert!(status.success(), "{}", fs::read_to_string(&log).unwrap_or_default());
    }

    /// Stops it, in the middle of whatever it does; connections are told so.
    pub(crate) fn leave(&self) {
        run(command("pg_ctl").args(["stop", "--wait", "--mode=fast", "-D"]).arg(self.data()));
    }

    /// Every process of it stands still.
    pub(crate) fn stall(&self) {
        self.signal("STOP");
    }

    /// It goes on.
    pub(crate) fn go_on(&self) {
        self.signal("CONT");
    }

    /// By the ids of the server and of the processes that it started.
    fn signal(&self, name: &str) {
        let id = fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let id = id.lines().next().unwrap();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        let ids = children.split_whitespace().chain([id]);
        run(Command::new("kill").arg(format!("-{name}")).args(ids));
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The authority that vouches for it.
    pub(crate) fn ca(&self) -> String {
        fs::read_to_string(self.folder.join("ca.crt")).unwrap()
    }

    /// What it wrote into its log.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.data().join("log")).unwrap()
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(self.port).database(database);
        let options = options.username(ADMIN.0).password(ADMIN.1).ssl_mode(PgSslMode::Disable);
        options.disable_statement_logging()
    }

    /// A connection of whoever may do everything.
    pub(crate) async fn admin(&self, database: &str) -> PgConnection {
        PgConnection::connect_with(&self.options(database)).await.unwrap()
    }

    /// Does something as whoever may do everything.
    pub(crate) async fn does(&self, sql: String) {
        let mut admin = self.admin("postgres").await;
        admin.execute(AssertSqlSafe(sql)).await.unwrap();
        admin.close().await.unwrap();
    }

    /// A new database, and a user of the same name who owns it.
    pub(crate) async fn database(&'_ self) -> Database<'_> {
        let folder = tempfile::tempdir().unwrap();
        let name = self.database_in(folder.path()).await;
        Database { server: self, folder, name }
    }

    /// The name of a new database that a user of the same name owns; how to reach it is written into the folder.
    pub(crate) async fn database_in(&self, folder: &Path) -> String {
        let name = format!("t{}", uuid::Uuid::new_v4().simple());
        self.does(format!("CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")).await;
        self.does(format!("CREATE DATABASE {name} OWNER {name}")).await;
        for (file, text) in [
            ("host", "127.0.0.1"),
            ("port", self.port.to_string().as_str()),
            ("database", name.as_str()),
            ("username", name.as_str()),
            ("password", PASSWORD),
            ("ca.crt", self.ca().as_str()),
        ] {
            fs::write(folder.join(file), text).unwrap();
        }
        name
    }
}

/// The password that a user begins with.
pub(crate) const PASSWORD: &str = "first-password";

/// A database, and the folder that says how to reach it.
pub(crate) struct Database<'s> {
    pub(crate) server: &'s Postgres,
    pub(crate) name: String,
    folder: tempfile::TempDir,
}

impl Database<'_> {
    /// The folder of the files.
    pub(crate) fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces a file in one step, as nobody may see half of it.
    pub(crate) fn write(&self, file: &str, text: &str) {
        let new = self.folder.path().join(format!("{file}.new"));
        fs::write(&new, text).unwrap();
        fs::rename(new, self.folder.path().join(file)).unwrap();
    }

    /// How many sessions of it are of this kind, a condition of SQL.
    pub(crate) async fn sessions(&self, condition: &str) -> i64 {
        let mut admin = self.server.admin("postgres").await;
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND {condition}", self.name);
        let count = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut admin).await.unwrap();
        admin.close().await.unwrap();
        count
    }
}
