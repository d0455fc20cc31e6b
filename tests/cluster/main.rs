//! Promises on a real control plane with simulated nodes, one file for each; all share one cluster, each in namespaces of
//! its own.

#[path = "../argocd/health.rs"]
mod argocd_health;
mod scene;
mod shared;

// What the harness promises.
mod autoscaler_double;
mod fault_proxy;
mod simulated_pods;
mod supervision;

// What the operator promises.
mod approvals;
mod chart;
mod corpus;
mod drain;
mod examples;
mod full_drills;
mod history;
mod leader;
mod lost_material;
mod namespaces;
mod ownership;
mod quiet;
mod readings;
mod refusals;
mod reports;
mod restores;
mod rights;
mod scaling;
mod schedules;
mod secrets;
mod snapshots;
mod sweep;
mod upgrade;
mod volumes;
