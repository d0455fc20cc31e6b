//! Starts rag-server in a folder of its own, finds its ports in its log, and asks it.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    time::{Duration, Instant},
};

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

/// How long anything may take before a test gives up; generous, because a busy machine is no defect.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A folder with everything that one server needs.
pub(crate) struct Home {
    pub(crate) dir: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// Replaces a file in one step, as nobody may see half of it.
    pub(crate) fn swap(&self, name: &str, content: &str) {
        let new = self.write(&format!("{name}.new"), content);
        fs::rename(new, self.path(name)).unwrap();
    }

    /// Starts the server with the embedded store in this folder.
    pub(crate) fn serve(&self, config: &str) -> Server {
        let config = self.write("config.toml", config);
        Server::start(&self.command(&["serve", "--config"]).args_of(&[&config]))
    }

    /// Starts the server with the vector store that the configuration names.
    pub(crate) fn serve_over_store(&self, config: &str) -> Server {
        let config = self.write("config.toml", config);
        Server::start(&self.command(&["serve", "--config"]).args_of(&[&config]).without_embedded_store())
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).command().output().unwrap()
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Call {
        let arguments = arguments.iter().map(PathBuf::from).collect();
        Call { home: self.dir.path().to_owned(), arguments, embedded: true, variables: Vec::new(), under: Vec::new() }
    }
}

/// A call of the program.
pub(crate) struct Call {
    home: PathBuf,
    arguments: Vec<PathBuf>,
    embedded: bool,
    variables: Vec<(&'static str, &'static str)>,
    under: Vec<String>,
}

impl Call {
    pub(crate) fn args_of(mut self, paths: &[&Path]) -> Self {
        self.arguments.extend(paths.iter().map(|path| path.to_path_buf()));
        self
    }

    /// Sets a variable of the environment.
    pub(crate) fn variable(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.push((name, value));
        self
    }

    /// Lets another program start this one in its own place.
    pub(crate) fn under(mut self, program: &[&str]) -> Self {
        self.under = program.iter().map(|part| (*part).to_owned()).collect();
        self
    }

    /// Leaves the choice of the vector store to the configuration file.
    pub(crate) fn without_embedded_store(mut self) -> Self {
        self.embedded = false;
        self
    }

    pub(crate) fn command(&self) -> Command {
        let program = env!("CARGO_BIN_EXE_rag-server");
        let mut command = match self.under.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
            None => Command::new(program),
        };
        command
            .args(&self.arguments)
            .current_dir(&self.home)
            .env_clear()
            .env("HOME", &self.home)
            .env("RAG_MODEL_DIR", model())
            .envs(self.variables.iter().copied());
        if self.embedded {
            command.env("RAG__VECTOR_STORE__EMBEDDED__PATH", self.home.join("data"));
        }
        command
    }
}

/// The folder of the model that `make model` fetches.
pub(crate) fn model() -> PathBuf {
    std::env::var_os("RAG_MODEL_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../model"), PathBuf::from)
}

/// A running server; it is killed when this is dropped.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) public: String,
    pub(crate) management: String,
    log: Receiver<String>,
    pub(crate) seen: Vec<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is fine.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

impl Server {
    pub(crate) fn start(call: &Call) -> Self {
        let mut child = call.command().stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (lines, log) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    return;
                }
            }
        });
        let mut server = Self { child, public: String::new(), management: String::new(), log, seen: Vec::new() };
        let listening = server.await_log("listening");
        server.public = format!("http://{}", listening["listen"].as_str().unwrap());
        server.management = format!("http://{}", listening["management_listen"].as_str().unwrap());
        server
    }

    /// The next line of the log with this message.
    pub(crate) fn await_log(&mut self, message: &str) -> Value {
        let until = Instant::now() + PATIENCE;
        while let Ok(line) = self.log.recv_timeout(until.saturating_duration_since(Instant::now())) {
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            self.seen.push(line);
            if event["message"].as_str().is_some_and(|text| text.starts_with(message)) {
                return event;
            }
        }
        panic!("no {message:?} in the log:\n{}", self.seen.join("\n"));
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        reqwest::Client::new().request(method, format!("{}{path}", self.public)).timeout(PATIENCE)
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// Asks the management port.
    pub(crate) fn manage(&self, path: &str) -> RequestBuilder {
        reqwest::Client::new().get(format!("{}{path}", self.management)).timeout(PATIENCE)
    }

    pub(crate) async fn await_ready(&self) {
        eventually("ready", async || self.get("/health/ready").send().await.unwrap().status() == StatusCode::OK).await;
    }

    /// Ingests one text and waits until it can be found.
    pub(crate) async fn ingest(&self, id: &str, text: &str, key: &str) {
        let body = serde_json::json!({"documents": [{"id": id, "text": text}]});
        let accepted = self.post("/ingest").header("x-api-key", key).json(&body).send().await.unwrap();
        assert_eq!(accepted.status(), StatusCode::ACCEPTED);
        let job = accepted.headers()["location"].to_str().unwrap().to_owned();
        eventually("the job is done", async || {
            let job: Value = self.get(&job).header("x-api-key", key).send().await.unwrap().json().await.unwrap();
            assert_ne!(job["state"], "failed", "{job}");
            job["state"] == "done"
        })
        .await;
    }

    /// Tells the process to stop.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    pub(crate) async fn await_exit(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("it ends", async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }
}

/// Waits for a condition.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    let looking = async {
        looks.tick().await;
        while !holds().await {
            looks.tick().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, looking).await.is_ok(), "not within {PATIENCE:?}: {what}");
}

/// The problem document of a response; it must be one, with this status and this last segment of its type.
pub(crate) async fn problem(response: Response, status: u16, kind: &str) -> Value {
    assert_eq!(response.headers()["content-type"], "application/problem+json", "{response:?}");
    let request_id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert_eq!(response.status().as_u16(), status, "{response:?}");
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["request_id"], request_id);
    assert!(problem["type"].as_str().unwrap().ends_with(&format!("/{kind}")), "{problem}");
    for member in ["title", "detail"] {
        assert!(!problem[member].as_str().unwrap().is_empty(), "{problem}");
    }
    problem
}

/// Listens on free ports of loopback.
pub(crate) const FREE_PORTS: &str = "[server]\nlisten = \"127.0.0.1:0\"\nmanagement_listen = \"127.0.0.1:0\"\n";
