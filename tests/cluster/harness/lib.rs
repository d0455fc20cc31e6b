//! A real Kubernetes for tests and for `make demo`, started and stopped in seconds.
//!
//! Two forms: a control plane with simulated nodes (any user, several side by side), and a real node in namespaces of
//! its own (root on Linux). A supervisor process owns everything that runs; it ends with whoever asked for it, and what
//! it started ends with it, however either of them dies. Nothing here knows what the operator does: the doubles (pods'
//! management endpoint, resource metrics, fault proxy) are scripted by tests.
//!
//! From the test inwards: [`cluster`] starts a supervisor and hands out clients; [`supervisor`] runs the
//! [`control_plane`] and what a form adds ([`simulated`], [`node`]) as [`process`]es in a [`workdir`].

pub mod audit;
pub mod availability;
pub mod background;
mod certificates;
pub mod cluster;
mod control_plane;
pub mod faults;
mod forward;
pub mod image;
mod kubeconfig;
pub mod metrics;
mod node;
pub mod operator;
pub mod parts;
pub mod pods;
mod process;
#[path = "../../qdrant_double/mod.rs"]
pub mod qdrant_double;
pub mod restricted;
mod simulated;
pub mod supervisor;
pub mod wait;
mod workdir;

pub use cluster::Cluster;
pub use simulated::FIXED_STORAGE_CLASS;
pub use wait::{Pace, until, until_at};
