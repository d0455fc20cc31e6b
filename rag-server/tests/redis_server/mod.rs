//! A Redis of Debian's for one test: a process on a free port of loopback, in a folder of its own, which ends with the test.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use redis::{Client, Cmd, FromRedisValue};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program.
const PROGRAM: &str = "redis-server";

/// A running Redis, or one that was stopped for a while.
pub(crate) struct RedisServer {
    child: Child,
    port: u16,
    /// Where it speaks TLS, if it does.
    tls_port: Option<u16>,
    arguments: Vec<String>,
    folder: tempfile::TempDir,
    password: Option<String>,
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl RedisServer {
    /// Why there is none here, if there is none.
    pub(crate) fn missing() -> Option<String> {
        let found = Command::new(PROGRAM).arg("--version").stdout(Stdio::null()).status();
        (!found.is_ok_and(|status| status.success()))
            .then(|| format!("{PROGRAM} is not installed (tests/packages.sh installs it)"))
    }

    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with these arguments, and a password where `--requirepass` is among them.
    pub(crate) async fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let password = arguments.iter().position(|argument| *argument == "--requirepass");
        let password = password.map(|at| arguments[at + 1].to_owned());
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        loop {
            let port = free_port();
            let mut child = spawn(port, folder.path(), &arguments);
            // Somebody else may take the port in between; then it ends.
            if is_up(&mut child, port, password.as_deref()).await {
                return Self { child, port, tls_port: None, arguments, folder, password };
            }
        }
    }

    /// Starts one that also speaks TLS, with `server.crt` and `server.key` of the folder, and asks for no certificate of its clients.
    pub(crate) async fn start_tls(certificates: &Path) -> Self {
        let file = |name: &str| certificates.join(name).display().to_string();
        let (port, certificate, key) = (free_port(), file("server.crt"), file("server.key"));
        let tls = ["--tls-port", &port.to_string(), "--tls-auth-clients", "no", "--tls-ca-cert-file", &certificate];
        let shown = ["--tls-cert-file", &certificate, "--tls-key-file", &key];
        let mut server = Self::start_with(&[&tls[..], &shown[..]].concat()).await;
        server.tls_port = Some(port);
        server
    }

    /// Shows what is in the files of its certificate now.
    pub(crate) async fn reload_certificate(&self) {
        let file = self.arguments.iter().skip_while(|argument| *argument != "--tls-cert-file").nth(1).unwrap();
        let key = self.arguments.iter().skip_while(|argument| *argument != "--tls-key-file").nth(1).unwrap();
        let mut command = redis::cmd("CONFIG");
        command.arg("SET").arg("tls-cert-file").arg(file).arg("tls-key-file").arg(key);
        self.ask::<()>(&command).await;
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Its address under this name, over TLS.
    pub(crate) fn tls_url(&self, host: &str) -> String {
        format!("rediss://{host}:{}", self.tls_port.unwrap())
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself, which is fine.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }

    /// Is there again, where it was, with nothing in it.
    pub(crate) async fn come_back(&mut self) {
        self.kill();
        self.child = spawn(self.port, self.folder.path(), &self.arguments);
        let is_up = is_up(&mut self.child, self.port, self.password.as_deref()).await;
        assert!(is_up, "it does not start again");
    }

    /// Stands still, and takes connections all the same.
    pub(crate) fn stall(&self) {
        self.signal("-STOP");
    }

    /// Goes on.
    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    /// The password that this test's own calls show from now on.
    pub(crate) fn show_password(&mut self, password: &str) {
        self.password = Some(password.to_owned());
    }

    /// What it answers.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> T {
        ask(self.port, self.password.as_deref(), command).await.unwrap()
    }

    /// The names of all entries.
    pub(crate) async fn names(&self) -> Vec<String> {
        self.ask(redis::cmd("KEYS").arg("*")).await
    }

    /// The name of the one entry of this kind that there is.
    pub(crate) async fn only_name(&self, kind: &str) -> String {
        let names = self.names().await;
        let mut of_kind = names.iter().filter(|name| name.contains(&format!(":{kind}:")));
        let (Some(name), None) = (of_kind.next(), of_kind.next()) else { panic!("not one {kind}: {names:?}") };
        name.clone()
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }
}

async fn ask<T: FromRedisValue>(port: u16, password: Option<&str>, command: &Cmd) -> redis::RedisResult<T> {
    let password = password.map_or(String::new(), |password| format!(":{password}@"));
    let client = Client::open(format!("redis://{password}127.0.0.1:{port}"))?;
    command.query_async(&mut client.get_multiplexed_async_connection().await?).await
}

/// Whether it answers before it ends.
async fn is_up(child: &mut Child, port: u16, password: Option<&str>) -> bool {
    let mut looks = tokio::time::interval(Duration::from_millis(20));
    let answers = async {
        loop {
            looks.tick().await;
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            if ask::<String>(port, password, &redis::cmd("PING")).await.is_ok() {
                return true;
            }
        }
    };
    tokio::time::timeout(PATIENCE, answers).await.unwrap()
}

fn spawn(port: u16, folder: &Path, arguments: &[String]) -> Child {
    Command::new(PROGRAM)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"])
        .arg(folder)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
