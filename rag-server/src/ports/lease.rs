//! Leases over [`Records`]: who works on something, until when.
//!
//! Guarantee: of all holders at most one has the highest fence, and a write that is conditional on the version of a record which the holder read after it acquired is lost to nobody.
//! Assumption: clocks of the replicas agree to well within the lease's time.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Kind, Put, Records, StoreError, Swap};

/// A lease that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What is leased.
    pub name: String,
    /// Grows with every holder: the fencing token.
    pub fence: u64,
    version: u64,
}

#[derive(Serialize, Deserialize)]
struct Body {
    holder: String,
    fence: u64,
    until: Timestamp,
}

/// Takes the lease if nobody else holds it at `now`.
pub async fn acquire(
    records: &dyn Records,
    name: &str,
    holder: &str,
    now: Timestamp,
    ttl: SignedDuration,
) -> Result<Option<Lease>, StoreError> {
    let first = body(holder, 1, now, ttl);
    let standing = match records.put_if_absent(Kind::Lease, name, first).await? {
        Put::Created(record) => return Ok(Some(Lease { name: name.to_owned(), fence: 1, version: record.version })),
        Put::Existing(record) => record,
    };
    let current: Body = read(name, standing.body)?;
    if current.until > now && current.holder != holder {
        return Ok(None);
    }
    let fence = current.fence + 1;
    let wanted = body(holder, fence, now, ttl);
    Ok(match records.compare_and_set(Kind::Lease, name, standing.version, wanted).await? {
        Swap::Done(record) => Some(Lease { name: name.to_owned(), fence, version: record.version }),
        Swap::Conflict(_) => None,
    })
}

/// Prolongs a lease; none when somebody else has taken it.
pub async fn renew(
    records: &dyn Records,
    lease: &Lease,
    holder: &str,
    now: Timestamp,
    ttl: SignedDuration,
) -> Result<Option<Lease>, StoreError> {
    let wanted = body(holder, lease.fence, now, ttl);
    Ok(match records.compare_and_set(Kind::Lease, &lease.name, lease.version, wanted).await? {
        Swap::Done(record) => Some(Lease { version: record.version, ..lease.clone() }),
        Swap::Conflict(_) => None,
    })
}

/// Gives a lease back by letting it end at `now`; the fence stays, so that it keeps growing.
pub async fn release(records: &dyn Records, lease: &Lease, now: Timestamp) -> Result<(), StoreError> {
    let ended = body("", lease.fence, now, SignedDuration::ZERO);
    records.compare_and_set(Kind::Lease, &lease.name, lease.version, ended).await.map(drop)
}

fn body(holder: &str, fence: u64, now: Timestamp, ttl: SignedDuration) -> serde_json::Value {
    let until = now.checked_add(ttl).unwrap_or(Timestamp::MAX);
    serde_json::json!({ "holder": holder, "fence": fence, "until": until })
}

fn read(name: &str, body: serde_json::Value) -> Result<Body, StoreError> {
    serde_json::from_value(body)
        .map_err(|e| StoreError::Corrupt { what: format!("the lease {name}"), cause: e.to_string() })
}
