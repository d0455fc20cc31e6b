//! The records of one tenant's documents, page by page. Whatever other tenants store is stepped over, and neither given nor counted.

use super::{Kind, Page, Record, Records, StoreError};
use crate::model::{DocumentId, Tenant, key_prefix};

/// Records of a tenant's documents whose name begins with a prefix, in the order of their names; at most `limit`, and so many unless the page is the last. `after` and `next` are names.
pub async fn documents_of(
    records: &dyn Records,
    tenant: &Tenant,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Page, StoreError> {
    let limit = limit.max(1);
    let below = key_prefix(tenant, prefix);
    let mut after = after.map(|after| key_prefix(tenant, after));
    let mut own: Vec<Record> = Vec::new();
    loop {
        let page = records.list(Kind::Document, &below, after.as_deref(), limit - own.len()).await?;
        own.extend(page.records.into_iter().filter(|record| owner(&record.id).as_ref() == Some(tenant)));
        let Some(next) = page.next else { return Ok(Page { records: own, next: None }) };
        if own.len() >= limit {
            let last = own.last().and_then(|record| DocumentId::of_key(&record.id).ok());
            return Ok(Page { records: own, next: last.map(String::from) });
        }
        after = Some(behind(next, tenant));
    }
}

fn owner(key: &str) -> Option<Tenant> {
    DocumentId::of_key(key).ok().map(|id| id.tenant())
}

/// Where to go on after this key: behind all documents of another tenant at once, because nothing sorts behind the last character.
fn behind(key: String, tenant: &Tenant) -> String {
    match owner(&key) {
        Some(other) if other != *tenant => key_prefix(&other, &char::MAX.to_string()),
        _ => key,
    }
}
