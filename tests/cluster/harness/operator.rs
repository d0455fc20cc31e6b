//! The operator as a process: installed by the chart, run with the rights that the chart gives and no others, and ended
//! with the test at the latest.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde::Deserialize as _;
use tokio::process::{Child, Command};

use crate::faults::{FaultProxy, Killer};
use crate::{Cluster, until};

/// A start needs the lease of a killed predecessor to run out.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Shorter than the default, since a test that kills the operator waits for its lease; a lease of two seconds is lost on a
/// machine whose cores are all busy, and the operator with it.
const LEASE_SECONDS: &str = "6";
/// A test waits for what a sample tells.
const SAMPLE_SECONDS: &str = "1";

/// The chart installed in one namespace, and the identity that came with it.
#[derive(Clone, Debug)]
pub struct Installation {
    namespace: String,
    /// What the operator watches.
    namespaces: Vec<String>,
    kubeconfig: PathBuf,
    log: PathBuf,
}

/// A running operator.
#[derive(Debug)]
pub struct Operator {
    child: Arc<Mutex<Child>>,
    listen: String,
    log: PathBuf,
}

impl Installation {
    /// Renders the chart for a release named like its namespace, applies it, and takes a token of its service account.
    /// The chart's own Deployment is there too; its pods are simulated, so the process of the test is the only operator.
    ///
    /// # Errors
    /// When the chart does not render, or the API server does not accept it.
    pub async fn new(cluster: &Cluster, namespace: &str) -> Result<Self> {
        Self::over(cluster, namespace, &[namespace]).await
    }

    /// The same for an operator that watches these namespaces.
    ///
    /// # Errors
    /// When the chart does not render, or the API server does not accept it.
    pub async fn over(cluster: &Cluster, namespace: &str, namespaces: &[&str]) -> Result<Self> {
        Self::with_drills(cluster, namespace, namespaces, &[]).await
    }

    /// The same with namespaces for full drills.
    ///
    /// # Errors
    /// When the chart does not render, or the API server does not accept it.
    pub async fn with_drills(cluster: &Cluster, namespace: &str, namespaces: &[&str], drills: &[&str]) -> Result<Self> {
        define_kinds(&cluster.client().await?).await?;
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/ragops");
        let rendered = Command::new(cluster.parts().program("helm"))
            .args(["template", namespace])
            .arg(chart)
            .args(["--namespace", namespace, "--set", &format!("namespaces={{{}}}", namespaces.join(","))])
            .args(drills.iter().enumerate().map(|(index, drill)| format!("--set=drillNamespaces[{index}]={drill}")))
            .env("HOME", cluster.folder())
            .output()
            .await
            .context("cannot run helm")?;
        ensure!(rendered.status.success(), "helm template: {}", String::from_utf8_lossy(&rendered.stderr).trim());
        let file = cluster.folder().join(format!("{namespace}.chart.yaml"));
        std::fs::write(&file, rendered.stdout)?;
        let apply = ["apply", "--server-side", "--force-conflicts", "-f"];
        let applied = Command::from(cluster.kubectl()).args(apply).arg(&file).output().await?;
        ensure!(applied.status.success(), "kubectl apply: {}", String::from_utf8_lossy(&applied.stderr).trim());

        let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client().await?, namespace);
        let (params, request) = (PostParams::default(), TokenRequest::default());
        let answer = accounts.create_token_request(namespace, &params, &request).await?;
        let token = answer
            .status
            .context("a token request without an answer")?
            .token
            .context("a token request without a token")?;
        let kubeconfig = cluster.kubeconfig_for(&format!("operator-{namespace}"), &token, None)?;
        let log = cluster.folder().join(format!("log/operator-{namespace}.log"));
        let namespaces = namespaces.iter().chain(drills).map(|&watched| watched.to_owned()).collect();
        Ok(Self { namespace: namespace.to_owned(), namespaces, kubeconfig, log })
    }

    /// The operator's user in the audit log.
    #[must_use]
    pub fn user(&self) -> String {
        format!("system:serviceaccount:{0}:{0}", self.namespace)
    }

    /// All that the operators of this installation logged.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> Result<String> {
        std::fs::read_to_string(&self.log).with_context(|| format!("no log {}", self.log.display()))
    }

    /// The last lines of what the operators of this installation logged.
    #[must_use]
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// Sends the operator's requests through a proxy from the next start on.
    ///
    /// # Errors
    /// When the kubeconfig cannot be rewritten.
    pub fn through(&self, proxy: &FaultProxy) -> Result<()> {
        let mut document: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&self.kubeconfig)?)?;
        document["clusters"][0]["cluster"] = serde_json::json!({"server": proxy.url()});
        crate::kubeconfig::private(&self.kubeconfig, document.to_string().as_bytes())
    }

    /// Starts an operator for the namespaces with further `flags`, and waits until it works.
    ///
    /// # Errors
    /// When it ends, or does not become ready; with the end of its log.
    pub async fn start(&self, flags: &[&str]) -> Result<Operator> {
        let operator = self.spawn(flags)?;
        operator.ready().await?;
        Ok(operator)
    }

    /// Starts an operator and does not wait.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn spawn(&self, flags: &[&str]) -> Result<Operator> {
        // Held only for a moment, but the kernel does not give the same port out again soon.
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let program = crate::cluster::sibling("operator-under-test")?;
        // A flag of the test's takes the place of the harness's.
        let defaults = [("--lease-seconds", LEASE_SECONDS), ("--sample-seconds", SAMPLE_SECONDS)];
        let defaults =
            defaults.iter().filter(|(flag, _)| !flags.contains(flag)).flat_map(|(flag, value)| [flag, value]);
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .arg("run")
            .args(["--namespaces", &self.namespaces.join(",")])
            .args(["--operator-namespace", &self.namespace, "--listen", &listen])
            .args(defaults)
            .args(flags)
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the operator")?;
        Ok(Operator { child: Arc::new(Mutex::new(child)), listen, log: self.log.clone() })
    }
}

impl Operator {
    /// Waits until it answers that it is ready: its caches are warm, and it works or waits for the lease.
    ///
    /// # Errors
    /// When it ends, or does not become ready; with the end of its log.
    pub async fn ready(&self) -> Result<()> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let (http, url) = (&http, format!("http://{}/readyz", self.listen));
        let url = url.as_str();
        let ready = until("the operator is ready", READY_WITHIN, || async move {
            if let Some(status) = self.ended()? {
                return Ok(Some(Err(anyhow::anyhow!("the operator ended early ({status})"))));
            }
            Ok(http.get(url).send().await?.status().is_success().then_some(Ok(())))
        });
        match ready.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) | Err(error) => bail!("{error:#}; the end of its log:\n{}", self.log_tail()),
        }
    }

    /// What it says about itself at a path of its own port, such as `/metrics`.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn get(&self, path: &str) -> Result<String> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(http.get(format!("http://{}{path}", self.listen)).send().await?.text().await?)
    }

    /// Its process, until it has ended.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner).id()
    }

    /// Kills it at once, from any thread; for the fault proxy.
    #[must_use]
    pub fn killer(&self) -> Killer {
        let child = self.child.clone();
        Arc::new(move || {
            let _ = child.lock().unwrap_or_else(PoisonError::into_inner).start_kill();
        })
    }

    /// Kills it and waits until it has gone.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn kill(&self) -> Result<()> {
        (self.killer())();
        self.gone().await
    }

    /// Asks it to end in order, and waits.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop(&self) -> Result<()> {
        if let Some(id) = self.id() {
            let status = Command::new("kill").args(["-TERM", &id.to_string()]).status().await?;
            ensure!(status.success(), "cannot signal the operator");
        }
        self.gone().await
    }

    /// Waits until it has gone.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn gone(&self) -> Result<()> {
        until("the operator has gone", READY_WITHIN, || async { Ok(self.ended()?.map(drop)) }).await
    }

    /// The last lines of what it logged.
    #[must_use]
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn ended(&self) -> Result<Option<std::process::ExitStatus>> {
        Ok(self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait()?)
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Applies the CustomResourceDefinitions and waits until they are served.
async fn define_kinds(client: &Client) -> Result<()> {
    let yaml = ragops_operator::api::schema::yaml().map_err(|error| anyhow::anyhow!("{error}"))?;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for document in serde_yaml_ng::Deserializer::from_str(&yaml) {
        let definition = CustomResourceDefinition::deserialize(document)?;
        let name = definition.name_any();
        definitions.patch(&name, &PatchParams::apply("helm").force(), &Patch::Apply(&definition)).await?;
        let (definitions, name) = (&definitions, name.as_str());
        until("the kinds are served", READY_WITHIN, || async move {
            let status = definitions.get(name).await?.status.unwrap_or_default();
            let conditions = status.conditions.unwrap_or_default();
            Ok(conditions.iter().any(|c| c.type_ == "Established" && c.status == "True").then_some(()))
        })
        .await?;
    }
    Ok(())
}
