//! CPU and memory of a container: what is requested and what may not be exceeded.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{Problems, Store};
use crate::api::cluster::{Amount, Resources};

/// What a query server requests when the spec does not say: enough for the model, and a base for the autoscaler.
const SERVER_REQUESTS: (&str, &str) = ("250m", "256Mi");
/// The same where the vector store is inside: its index stands in the server's memory, and the first to be evicted from a node is
/// whoever takes much more than it asked for.
const EMBEDDED_REQUESTS: (&str, &str) = ("250m", "1Gi");
/// What the managed vector store requests when the spec does not say.
pub(super) const QDRANT_REQUESTS: (&str, &str) = ("250m", "512Mi");

/// Resolved amounts by resource name.
#[derive(Clone, Debug, PartialEq)]
pub struct Amounts {
    /// What the scheduler sets aside; CPU and memory are always there.
    pub requests: BTreeMap<String, Quantity>,
    /// What may not be exceeded.
    pub limits: BTreeMap<String, Quantity>,
}

/// What a server requests that says nothing else, CPU and memory.
pub(super) fn requests(store: Option<&Store>) -> (&'static str, &'static str) {
    match store {
        Some(Store::Embedded { .. }) => EMBEDDED_REQUESTS,
        Some(Store::Managed(_) | Store::External(_)) | None => SERVER_REQUESTS,
    }
}

/// A request that is left out follows the limit, as Kubernetes has it, and otherwise the default.
pub(super) fn resolved(
    field: &str,
    given: Option<&Resources>,
    defaults: (&str, &str),
    problems: &mut Problems,
) -> Amounts {
    let requests = given.and_then(|given| given.requests.as_ref());
    let limits = given.and_then(|given| given.limits.as_ref());
    let mut resolved = Amounts { requests: BTreeMap::new(), limits: BTreeMap::new() };
    let rows = [
        ("cpu", requests.and_then(|r| r.cpu.as_ref()), limits.and_then(|l| l.cpu.as_ref()), defaults.0),
        ("memory", requests.and_then(|r| r.memory.as_ref()), limits.and_then(|l| l.memory.as_ref()), defaults.1),
    ];
    for (resource, request, limit, default) in rows {
        if limit.is_some_and(is_zero) {
            problems.invalid(
                format!("{field}.limits.{resource}"),
                "a limit of 0",
                "leave the limit out, or set it to what the container may use",
            );
        }
        let request = request.or(limit).map_or(default, |amount| &amount.0);
        resolved.requests.insert(resource.to_owned(), Quantity(request.to_owned()));
        if let Some(limit) = limit {
            resolved.limits.insert(resource.to_owned(), Quantity(limit.0.clone()));
        }
    }
    resolved
}

fn is_zero(amount: &Amount) -> bool {
    !amount.0.chars().any(|c| matches!(c, '1'..='9'))
}

/// The autoscaler measures use as a share of the request.
pub(super) fn check_cpu_request(resources: &Amounts, problems: &mut Problems) {
    let is_missing = resources.requests.get("cpu").is_none_or(|cpu| is_zero(&Amount(cpu.0.clone())));
    if is_missing {
        problems.invalid(
            "spec.resources.requests.cpu",
            "a CPU request of 0, while autoscaling measures CPU use against the request",
            "request some CPU, for example 250m, or set autoscaling.enabled: false",
        );
    }
}
