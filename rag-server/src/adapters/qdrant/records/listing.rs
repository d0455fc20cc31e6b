//! Listing by id in a store that orders points by their UUID: the ids that may match are read page by page, and only the lowest are kept.
//!
//! Guarantee: memory is bounded by the page that is asked for. Caveat: the time grows with the number of ids that share the prefix.

use std::collections::BTreeSet;

use qdrant_client::qdrant::{
    Filter, PayloadIncludeSelector, PointId, Range, RetrievedPoint, ScrollPoints,
    with_payload_selector::SelectorOptions,
};

use super::{
    super::{client::Client, condition, connection::Repeat},
    Reads,
    order::{folders, orders},
    stored::{ID, KIND, ORDER, WITHIN, text},
};
use crate::ports::{Kind, StoreError};

/// Ids in one answer: at most a kilobyte each.
const IDS_PER_REQUEST: u32 = 1000;

/// Most records of one page, whatever is asked for.
const MAX_PAGE: usize = 1000;

/// The lowest ids with the prefix after the given one, and the last of them when there are more.
pub(super) async fn ids(
    reads: &Reads<'_>,
    kind: Kind,
    (prefix, after): (&str, Option<&str>),
    limit: usize,
) -> Result<(BTreeSet<String>, Option<String>), StoreError> {
    let limit = limit.min(MAX_PAGE);
    let mut lowest = BTreeSet::new();
    let mut offset = None;
    loop {
        let request = &page(reads, filter(kind, prefix, after), offset);
        let asked = |client: Client| async move { client.scroll(request.clone()).await };
        let found = reads.connection.call(Repeat::Harmless, asked).await?;
        for id in found.result.into_iter().filter_map(id) {
            if id.starts_with(prefix) && after.is_none_or(|after| id.as_str() > after) {
                lowest.insert(id);
                if lowest.len() > limit + 1 {
                    lowest.pop_last();
                }
            }
        }
        offset = found.next_page_offset;
        if offset.is_none() {
            break;
        }
    }
    let more = lowest.len() > limit;
    if more {
        lowest.pop_last();
    }
    let next = lowest.last().filter(|_| more).cloned();
    Ok((lowest, next))
}

fn filter(kind: Kind, prefix: &str, after: Option<&str>) -> Filter {
    let orders = orders(prefix, after);
    // Exact: 48 bits fit into a double.
    let (lowest, highest) = (*orders.start() as f64, *orders.end() as f64);
    let range = Range { gte: Some(lowest), lte: Some(highest), ..Range::default() };
    let folder = folders(prefix).last().map(|folder| condition::is(WITHIN, folder));
    let always = [condition::is(KIND, kind.as_str()), condition::within(ORDER, range)];
    Filter::must(always.into_iter().chain(folder))
}

fn page(reads: &Reads<'_>, filter: Filter, offset: Option<PointId>) -> ScrollPoints {
    let only_id = PayloadIncludeSelector { fields: vec![ID.to_owned()] };
    ScrollPoints {
        collection_name: reads.collection.to_owned(),
        read_consistency: reads.consistency,
        filter: Some(filter),
        offset,
        limit: Some(IDS_PER_REQUEST),
        with_payload: Some(SelectorOptions::Include(only_id).into()),
        ..ScrollPoints::default()
    }
}

fn id(mut point: RetrievedPoint) -> Option<String> {
    text(point.payload.remove(ID))
}
