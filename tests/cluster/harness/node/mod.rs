//! A real node: kubelet, containerd, a bridge network, kube-proxy, cluster DNS, volumes and resource metrics, inside
//! network, mount and process namespaces of their own. The kernel ends everything in them with their first process, so
//! there is nothing to clean up but a folder and a control group.

mod addons;
pub(crate) mod inside;
mod kubelet;
pub(crate) mod outside;
mod runtime;
mod sandbox;
mod volumes;

use std::net::Ipv4Addr;

/// The node's address in its namespace; pods reach the API server, DNS and metrics there.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The node's name.
const NAME: &str = "node";
/// Where pods get their addresses.
const POD_NETWORK: &str = "10.244.0.0/24";
/// The address of the DNS Service.
const DNS: &str = "10.96.0.10";
/// What keeps a pod's namespaces; built here, because nothing can be pulled.
const PAUSE_IMAGE: &str = "ragops.test/pause:1";
/// Passes the API server's connections out of the network namespace.
const API_SOCKET: &str = "api.sock";
