//! The command line: flags, their environment variables, and help that teaches. Owns no behaviour.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Runs retrieval-augmented-generation services on Kubernetes from RagCluster objects.
#[derive(Debug, Parser)]
#[command(name = "ragops-operator", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch RagClusters and keep what they ask for running.
    ///
    /// Inside a pod it uses the pod's service account; elsewhere the kubeconfig that KUBECONFIG names, or ~/.kube/config.
    /// Of several processes with the same lease one works, and the others wait with warm caches.
    Run(Box<RunArgs>),
    /// Print the CustomResourceDefinitions as YAML.
    ///
    /// Try: ragops-operator crd | kubectl apply --server-side -f -
    Crd,
}

/// How to run.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Namespaces to watch, separated by commas. Each needs the operator's Role; one that cannot be read stops no other, and is
    /// asked for again until it can. Default: the operator's own.
    #[arg(long, env = "RAGOPS_NAMESPACES", value_name = "NAME,...", value_delimiter = ',')]
    pub namespaces: Vec<String>,

    /// The operator's own namespace: home of its Lease, let through to the servers' management port. Default: that of the service
    /// account, or of the kubeconfig's context.
    #[arg(long, env = "RAGOPS_OPERATOR_NAMESPACE", value_name = "NAME")]
    pub operator_namespace: Option<String>,

    /// Labels of the operator's pods, separated by commas: only pods of its namespace that carry them are let through to the
    /// servers' management port. Default: every pod of the namespace.
    #[arg(long, env = "RAGOPS_POD_LABELS", value_name = "KEY=VALUE,...", value_delimiter = ',', value_parser = label)]
    pub pod_labels: Vec<(String, String)>,

    /// Image of the query servers for RagClusters that name none. Resolved once for each revision: a new default changes no
    /// running pod.
    #[arg(long, env = "RAGOPS_SERVER_IMAGE", value_name = "IMAGE", default_value = concat!("ragops/rag-server:", env!("CARGO_PKG_VERSION")))]
    pub server_image: String,

    /// Image of the managed Qdrant for RagClusters that name none. Within one minor version of the servers' client (1.20).
    #[arg(long, env = "RAGOPS_QDRANT_IMAGE", value_name = "IMAGE", default_value = "qdrant/qdrant:v1.20.0")]
    pub qdrant_image: String,

    /// Where /healthz, /readyz and /metrics are served. The default is every address of both families, or of IPv4 where the kernel
    /// has no IPv6.
    #[arg(long, env = "RAGOPS_LISTEN", value_name = "ADDRESS:PORT", default_value = "[::]:8080")]
    pub listen: SocketAddr,

    /// Name of the Lease in the operator's namespace.
    #[arg(long, env = "RAGOPS_LEASE_NAME", value_name = "NAME", default_value = "ragops-operator")]
    pub lease_name: String,

    /// How long the lease is good without being renewed. After a crash another process takes over that long after it has seen the
    /// last renewal.
    #[arg(long, env = "RAGOPS_LEASE_SECONDS", value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(2..=600))]
    pub lease_seconds: u64,

    /// This process's name in the lease and in events; has to differ between processes. Default: HOSTNAME and a random suffix.
    #[arg(long, env = "RAGOPS_IDENTITY", value_name = "NAME")]
    pub identity: Option<String>,

    /// Port on which the query servers tell about themselves.
    #[arg(long, env = "RAGOPS_MANAGEMENT_PORT", value_name = "PORT", default_value_t = 9090)]
    pub management_port: u16,

    /// How often every query server is asked about itself.
    #[arg(long, env = "RAGOPS_SAMPLE_SECONDS", value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub sample_seconds: u64,

    /// How long a query server may take to answer.
    #[arg(long, env = "RAGOPS_SAMPLE_TIMEOUT_MILLIS", value_name = "MILLIS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub sample_timeout_millis: u64,

    /// How often a settled RagCluster is looked at although nothing has changed.
    #[arg(long, env = "RAGOPS_RESYNC_SECONDS", value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub resync_seconds: u64,

    /// How many RagClusters of a namespace are worked on at once.
    #[arg(long, env = "RAGOPS_CONCURRENCY", value_name = "NUMBER", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,

    /// How long a request to the API server may take.
    #[arg(long, env = "RAGOPS_REQUEST_TIMEOUT_SECONDS", value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub request_timeout_seconds: u64,

    /// What is logged: a level, or levels by module such as info,ragops_operator=debug.
    #[arg(long, env = "RAGOPS_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,

    /// How it is logged.
    #[arg(long, env = "RAGOPS_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
}

impl RunArgs {
    /// The time between two rounds of questions.
    pub fn sample_every(&self) -> Duration {
        Duration::from_secs(self.sample_seconds)
    }

    /// The patience with one server.
    pub fn sample_timeout(&self) -> Duration {
        Duration::from_millis(self.sample_timeout_millis)
    }

    /// The time after which a settled cluster is looked at.
    pub fn resync(&self) -> Duration {
        Duration::from_secs(self.resync_seconds)
    }

    /// The patience with the API server.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_seconds)
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("\"{text}\" is no label; write it as KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

/// How it is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For a person.
    Text,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn run(flags: &[&str]) -> Result<RunArgs, clap::Error> {
        let all = ["ragops-operator", "run"].iter().chain(flags);
        match Cli::try_parse_from(all)?.command {
            Command::Run(args) => Ok(*args),
            Command::Crd => unreachable!(),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_of_run_has_a_variable_named_like_it() {
        let cli = Cli::command();
        let run = cli.find_subcommand("run").unwrap();
        for flag in run.get_arguments().filter(|flag| !matches!(flag.get_id().as_str(), "help" | "version")) {
            let expected = format!("RAGOPS_{}", flag.get_long().unwrap().replace('-', "_").to_uppercase());
            assert_eq!(flag.get_env().and_then(|name| name.to_str()), Some(expected.as_str()));
            assert!(flag.get_help().is_some(), "{expected} has no help");
        }
    }

    #[test]
    fn namespaces_are_a_list() {
        assert_eq!(run(&["--namespaces", "a,b"]).unwrap().namespaces, ["a", "b"]);
    }

    #[test]
    fn labels_are_a_list_of_keys_with_values() {
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let labels = run(&["--pod-labels", "example.com/name=op,instance=a"]).unwrap().pod_labels;
        assert_eq!(labels, [label("example.com/name", "op"), label("instance", "a")]);
        assert!(run(&["--pod-labels", "name"]).is_err());
    }

    #[test]
    fn a_lease_too_short_to_be_renewed_is_refused() {
        assert!(run(&["--lease-seconds", "1"]).is_err());
        assert_eq!(run(&["--lease-seconds", "2"]).unwrap().lease_seconds, 2);
    }
}
