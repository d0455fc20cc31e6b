//! `/admin/cache`: what is remembered of questions, and how to have it forgotten. Sessions are no cache: they are never cleared here.

use axum::{
    Json,
    extract::State,
    routing::{delete, get},
};
use serde::{Deserialize, Serialize};
use utoipa::{
    ToSchema,
    openapi::{HttpMethod, path::ParameterIn, schema::Type},
};

use super::{
    super::super::{
        decide::Decider,
        endpoint::Endpoint,
        error::{Code, Problem},
        extract::{AdminKey, Params},
        ops::{self, CacheHeld},
        state::Api,
    },
    decision,
    stats::{CacheStats, caches},
};
use crate::{model::Tenant, operations::Change, ports::CacheKind};

/// What is remembered of questions.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
struct CacheView {
    /// Most bytes of it; 0 where nothing is remembered.
    max_bytes: u64,
    /// What it holds, entries that were cleared included until there is no room for them; null where nothing is remembered.
    held: Option<CacheHeld>,
    /// Questions to each kind of entry.
    kinds: Vec<CacheStats>,
    /// What was cleared on all servers.
    cleared: Vec<Clearing>,
}

/// Entries that were cleared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct Clearing {
    /// Of which kind.
    kind: &'static str,
    /// Of which tenant: empty for the documents of keys without one, null for all.
    tenant: Option<String>,
    /// At which revision of what holds for all servers, last.
    revision: u64,
}

/// What is void from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct Cleared {
    /// Entries of these kinds.
    kinds: Vec<&'static str>,
    /// Of which tenant; null for all.
    tenant: Option<String>,
    /// The revision of what holds for all servers.
    revision: u64,
}

/// What to clear. Anything else is refused, so that a misspelt parameter does not clear everything.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClearParams {
    kind: Option<String>,
    tenant: Option<String>,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let clear =
        Endpoint::new(HttpMethod::Delete, "/admin/cache", delete(clear), "Forget what is remembered, on all servers")
            .parameter(
                ParameterIn::Query,
                "kind",
                Type::String,
                "`embedding`, `retrieval` or `response`; all without it",
            )
            .parameter(
                ParameterIn::Query,
                "tenant",
                Type::String,
                "one tenant's, empty for that of keys without a tenant; all without it",
            )
            .answers::<Cleared>(200, "nothing that was remembered before is used again; sessions stay")
            .problem(400, "an unknown parameter")
            .problem(422, "no such kind, no tenant's name, or entries that tenants share");
    vec![
        Endpoint::new(HttpMethod::Get, "/admin/cache", get(show), "What is remembered of questions")
            .keyed()
            .answers::<CacheView>(200, "the cache of this server"),
        decision(clear),
    ]
}

async fn show(_admin: AdminKey, State(api): State<Api>) -> Json<CacheView> {
    let epochs = api.operations.fleet().state.cache_epochs();
    let clearing = |((kind, tenant), revision): ((CacheKind, Option<Tenant>), u64)| Clearing {
        kind: kind.as_str(),
        tenant: tenant.map(|tenant| tenant.as_str().to_owned()),
        revision,
    };
    Json(CacheView {
        max_bytes: api.config.cache.max_bytes,
        held: ops::held(&api.operations).await,
        kinds: caches(&api),
        cleared: epochs.into_iter().map(clearing).collect(),
    })
}

async fn clear(by: Decider, Params(params): Params<ClearParams>) -> Result<Json<Cleared>, Problem> {
    let (kinds, tenant) = wanted(params)?;
    let names = kinds.iter().map(|kind| kind.as_str()).collect();
    let changed = by.decide(Change::Clear { kinds, tenant: tenant.clone() }).await?;
    let tenant = tenant.map(|tenant| tenant.as_str().to_owned());
    Ok(Json(Cleared { kinds: names, tenant, revision: changed.state.revision }))
}

/// Which kinds, and whose.
fn wanted(ClearParams { kind, tenant }: ClearParams) -> Result<(Vec<CacheKind>, Option<Tenant>), Problem> {
    let invalid = |detail: String| Problem::new(Code::InvalidValue, detail);
    let tenant = match tenant.as_deref() {
        None => None,
        Some("") => Some(Tenant::default()),
        Some(name) => Some(name.parse().map_err(|error| invalid(format!("tenant: {error}")))?),
    };
    let named = |name: &str| CacheKind::ALL.into_iter().find(|kind| kind.as_str() == name);
    let kinds = match (kind.as_deref(), &tenant) {
        (None, None) => CacheKind::ALL.to_vec(),
        (None, Some(_)) => vec![CacheKind::Retrieval, CacheKind::Response],
        (Some(name), tenant) => match named(name) {
            None => return Err(invalid(format!("kind: {name:?}; send embedding, retrieval or response"))),
            Some(CacheKind::Embedding) if tenant.is_some() => {
                let detail = "kind: tenants share the vectors of questions; clear them without a tenant";
                return Err(invalid(detail.to_owned()));
            }
            Some(kind) => vec![kind],
        },
    };
    Ok((kinds, tenant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cleared_is_what_was_named_and_vectors_belong_to_no_tenant() {
        let wanted = |kind: Option<&str>, tenant: Option<&str>| {
            wanted(ClearParams { kind: kind.map(str::to_owned), tenant: tenant.map(str::to_owned) })
                .map_err(|problem| problem.code)
        };
        let acme: Tenant = "acme".parse().unwrap();
        assert_eq!(wanted(None, None), Ok((CacheKind::ALL.to_vec(), None)));
        assert_eq!(wanted(Some("embedding"), None), Ok((vec![CacheKind::Embedding], None)));
        let both = vec![CacheKind::Retrieval, CacheKind::Response];
        assert_eq!(wanted(None, Some("acme")), Ok((both.clone(), Some(acme))));
        assert_eq!(wanted(None, Some("")), Ok((both, Some(Tenant::default()))));
        for (kind, tenant) in [(Some("session"), None), (Some("embedding"), Some("acme")), (None, Some("NO"))] {
            assert_eq!(wanted(kind, tenant), Err(Code::InvalidValue), "{kind:?} {tenant:?}");
        }
        for unknown in ["tennant=acme", "kind=response&all=true"] {
            let uri: axum::http::Uri = format!("/admin/cache?{unknown}").parse().unwrap();
            assert!(axum::extract::Query::<ClearParams>::try_from_uri(&uri).is_err(), "{unknown}");
        }
    }
}
