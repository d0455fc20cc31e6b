//! etcd, API server, controller-manager and scheduler as processes: the part that both forms share.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::certificates;
use crate::kubeconfig::{Access, private};
use crate::parts::Parts;
use crate::process::{Process, Program};
use crate::supervisor::Form;
use crate::wait::until;

/// Two cores that also build need patience; a cold start takes four seconds.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// The address of the API server's Service in every cluster.
const SERVICE_ADDRESS: &str = "10.96.0.1";
/// Every cluster has addresses of its own, so ports can be fixed; these are few people's favourites.
const API_PORT: u16 = 26443;
const ETCD_PORT: u16 = 22379;
const ETCD_PEER_PORT: u16 = 22380;
const CONTROLLER_PORT: u16 = 20257;
const SCHEDULER_PORT: u16 = 20259;
/// Bound, and never served: whoever holds it owns the range.
const CLAIM_PORT: u16 = 27127;

/// Users of the control plane's own parts, and the one that tests start from: name, groups.
const USERS: [(&str, &str); 8] = [
    ("admin", "system:masters"),
    ("addons", "system:masters"),
    ("system:node:node", "system:nodes"),
    ("system:kube-proxy", ""),
    ("kwok", "system:masters"),
    ("metrics-double", "system:masters"),
    ("system:kube-controller-manager", ""),
    ("system:kube-scheduler", ""),
];

const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
- {level: None, users: [kwok, addons, 'system:apiserver', 'system:kube-proxy']}
- {level: None, userGroups: ['system:nodes', 'system:unauthenticated']}
- {level: None, users: ['system:kube-controller-manager', 'system:kube-scheduler', metrics-double], verbs: [get, list, watch]}
- {level: None, userGroups: ['system:serviceaccounts:kube-system'], verbs: [get, list, watch]}
- {level: Metadata}
";

/// Where a cluster's programs listen, and where its simulated pods live.
#[derive(Debug)]
pub(crate) struct Place {
    /// All programs listen here.
    pub(crate) address: Ipv4Addr,
    /// What the API server tells pods; absent where pods are only simulated.
    pub(crate) advertised: Option<Ipv4Addr>,
    /// The network of simulated pods.
    pub(crate) pods: String,
    /// Keeps others out of the range while the cluster lives.
    _claim: Option<TcpListener>,
}

impl Place {
    /// A free 127.x.0.0/16, held until the value is dropped.
    pub(crate) fn claim() -> Result<Self> {
        let first: u8 = rand::random();
        for step in 0..=u8::MAX {
            let x = first.wrapping_add(step);
            // Low ranges are what people use by hand, 127.0.0.1 above all.
            if x < 16 {
                continue;
            }
            let Ok(claim) = TcpListener::bind((Ipv4Addr::new(127, x, 255, 254), CLAIM_PORT)) else { continue };
            let address = Ipv4Addr::new(127, x, 255, 1);
            return Ok(Self { address, advertised: None, pods: format!("127.{x}.0.0/16"), _claim: Some(claim) });
        }
        bail!("no free range 127.x.0.0/16: 240 clusters are running, or port {CLAIM_PORT} is taken on all addresses")
    }

    /// Inside a network namespace of its own, where nothing else listens.
    pub(crate) fn namespace(node: Ipv4Addr) -> Self {
        Self { address: Ipv4Addr::LOCALHOST, advertised: Some(node), pods: String::new(), _claim: None }
    }

    /// Where the API server answers.
    pub(crate) fn api(&self) -> (Ipv4Addr, u16) {
        (self.address, API_PORT)
    }
}

/// What a control plane is made from.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) parts: &'a Parts,
    pub(crate) folder: &'a Path,
    pub(crate) place: &'a Place,
    /// What kind of nodes it will have.
    pub(crate) form: Form,
}

impl Plan<'_> {
    /// Creates certificates, tokens and kubeconfigs, starts all four programs and waits until the API server is ready.
    pub(crate) async fn start(&self, processes: &mut Vec<Process>) -> Result<()> {
        self.prepare()?;
        processes.push(Process::start(&self.etcd(), self.folder)?);
        processes.push(Process::start(&self.api_server(), self.folder)?);
        self.ready(processes).await?;
        processes.push(Process::start(&self.controller_manager(), self.folder)?);
        processes.push(Process::start(&self.scheduler(), self.folder)?);
        Ok(())
    }

    /// The kubeconfig of one of the users known from the start.
    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        kubeconfig_path(self.folder, user)
    }

    /// A client of the admin, for the supervisor's own objects.
    pub(crate) async fn client(&self) -> Result<kube::Client> {
        let kubeconfig = kube::config::Kubeconfig::read_from(self.kubeconfig("admin"))?;
        crate::cluster::client(kubeconfig).await
    }

    fn prepare(&self) -> Result<()> {
        let (address, port) = self.place.api();
        let node = self.place.advertised.map(|node| format!(",IP:{node}")).unwrap_or_default();
        let names = format!(
            "IP:127.0.0.1,IP:{address},IP:{SERVICE_ADDRESS}{node},\
             DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
        );
        certificates::create(self.folder, &names)?;
        std::fs::write(self.folder.join("audit-policy.yaml"), AUDIT_POLICY)?;
        let authority = std::fs::read_to_string(self.folder.join("ca.crt"))?;
        let url = format!("https://{address}:{port}");
        let mut tokens = String::new();
        for (index, (user, groups)) in USERS.iter().enumerate() {
            let token = hex::encode(rand::random::<[u8; 16]>());
            tokens.push_str(&format!("{token},{user},{index},\"{groups}\"\n"));
            let access = Access { url: &url, authority: Some(&authority), token: &token, acting: None };
            access.write(&self.kubeconfig(user))?;
        }
        private(&self.folder.join("tokens.csv"), tokens.as_bytes())
    }

    fn etcd(&self) -> Program {
        let address = self.place.address;
        let (client, peer) = (format!("http://{address}:{ETCD_PORT}"), format!("http://{address}:{ETCD_PEER_PORT}"));
        // No fsync: the data is thrown away with the cluster.
        Program::new("etcd", self.parts.program("etcd")).arguments(&format!(
            "--data-dir=etcd\n--unsafe-no-fsync\n--log-level=warn\n--listen-client-urls={client}\n\
             --advertise-client-urls={client}\n--listen-peer-urls={peer}\n--initial-advertise-peer-urls={peer}\n\
             --initial-cluster=default={peer}"
        ))
    }

    fn api_server(&self) -> Program {
        let (address, port) = self.place.api();
        let reach = match self.place.advertised {
            Some(node) => format!("--bind-address=0.0.0.0\n--advertise-address={node}\n--enable-aggregator-routing"),
            None => {
                format!("--bind-address={address}\n--advertise-address={address}\n--endpoint-reconciler-type=none")
            }
        };
        Program::new("kube-apiserver", self.parts.program("kube-apiserver")).arguments(&format!(
            "{reach}\n--secure-port={port}\n--etcd-servers=http://{address}:{ETCD_PORT}
             --tls-cert-file=apiserver.crt\n--tls-private-key-file=apiserver.key
             --token-auth-file=tokens.csv\n--authorization-mode=Node,RBAC\n--allow-privileged
             --service-account-issuer=https://kubernetes.default.svc\n--service-account-key-file=service-account.pub
             --service-account-signing-key-file=service-account.key\n--service-cluster-ip-range=10.96.0.0/16
             --kubelet-preferred-address-types=InternalIP
             --requestheader-client-ca-file=ca.crt\n--requestheader-allowed-names=front-proxy
             --requestheader-extra-headers-prefix=X-Remote-Extra-\n--requestheader-group-headers=X-Remote-Group
             --requestheader-username-headers=X-Remote-User
             --proxy-client-cert-file=front-proxy.crt\n--proxy-client-key-file=front-proxy.key
             --audit-policy-file=audit-policy.yaml\n--audit-log-path=audit.log\n--profiling=false"
        ))
    }

    fn controller_manager(&self) -> Program {
        let address = self.place.address;
        let kubeconfig = self.kubeconfig("system:kube-controller-manager");
        // Beside scripted metrics the autoscaler looks every second and believes a pod's first second, so that a test's
        // windows are the only wait; simulated nodes report every ten to twenty minutes, and are up all the same. Real pods
        // use CPU to start, and keep the usual patience.
        let patience = match self.form {
            Form::ControlPlane => {
                "--horizontal-pod-autoscaler-sync-period=1s\n--horizontal-pod-autoscaler-initial-readiness-delay=1s\n\
                 --horizontal-pod-autoscaler-cpu-initialization-period=1s\n--node-monitor-grace-period=1h"
            }
            Form::Node => "--horizontal-pod-autoscaler-sync-period=5s",
        };
        Program::new("kube-controller-manager", self.parts.program("kube-controller-manager")).arguments(&format!(
            "--kubeconfig={}\n--authentication-kubeconfig={}\n--bind-address={address}\n--secure-port={CONTROLLER_PORT}
             --cert-dir=certs\n--service-account-private-key-file=service-account.key\n--root-ca-file=ca.crt
             --use-service-account-credentials\n--leader-elect=false\n{patience}
             --flex-volume-plugin-dir=volume-plugins\n--kube-api-qps=200\n--kube-api-burst=400\n--profiling=false",
            kubeconfig.display(),
            kubeconfig.display(),
        ))
    }

    fn scheduler(&self) -> Program {
        let (address, kubeconfig) = (self.place.address, self.kubeconfig("system:kube-scheduler"));
        let kubeconfig = kubeconfig.display();
        Program::new("kube-scheduler", self.parts.program("kube-scheduler")).arguments(&format!(
            "--kubeconfig={kubeconfig}\n--authentication-kubeconfig={kubeconfig}\n--bind-address={address}
             --secure-port={SCHEDULER_PORT}\n--cert-dir=certs\n--leader-elect=false\n--profiling=false"
        ))
    }

    async fn ready(&self, processes: &mut [Process]) -> Result<()> {
        let (address, port) = self.place.api();
        let authority = std::fs::read(self.folder.join("ca.crt"))?;
        let http = http_client(&authority)?;
        let url = format!("https://{address}:{port}/readyz");
        let (http, url) = (&http, url.as_str());
        let ready = until("the API server is ready", READY_WITHIN, || async move {
            Ok(http.get(url).send().await?.status().is_success().then_some(()))
        });
        tokio::select! {
            result = ready => result,
            obituary = first_end(processes) => bail!("{obituary}"),
        }
    }
}

/// Waits until any of the processes ends; says which.
pub(crate) async fn first_end(processes: &mut [Process]) -> String {
    if processes.is_empty() {
        return std::future::pending().await;
    }
    let ends = processes.iter_mut().map(|process| Box::pin(process.ended()));
    futures::future::select_all(ends).await.0
}

/// Where a user's kubeconfig lies; a colon in a file name is legal, but a nuisance in shells.
pub(crate) fn kubeconfig_path(folder: &Path, user: &str) -> PathBuf {
    folder.join(format!("{}.kubeconfig", user.replace(':', "-")))
}

/// A client that trusts the cluster's authority and no other.
pub(crate) fn http_client(authority: &[u8]) -> Result<reqwest::Client> {
    let certificate = reqwest::Certificate::from_pem(authority)?;
    reqwest::Client::builder()
        .tls_certs_only([certificate])
        .no_proxy()
        .connect_timeout(Duration::from_secs(5))
        .build()
        .context("cannot build an HTTP client")
}
