//! What ties the two programs together: the operator never links the server, so these tests hold one against the other.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "what prepares a test is test, too")]

mod admission;
mod argocd;
#[path = "../argocd/health.rs"]
mod argocd_health;
mod built;
mod config;
mod defects;
mod documented;
mod management;
mod operations;
mod rendered;
mod snapshots;
mod status;
mod upgrade;
